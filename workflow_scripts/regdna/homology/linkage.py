"""Clusters: windows that share sequence, directly or through others, so that a split can keep them together."""

import numba
import numpy as np
import pandas as pd

from regdna.homology.words import FEW, Words, list_pairs
from regdna.step import log

MOST_PAIRS = 1 << 26  # of tiles, counted in one pass
# ASSUME: two pieces of sequence that share a single 21-mer are not homologous, however few they have.
FEWEST_SHARED = 2
GIANT = 0.2  # share of the windows in one cluster from which there is a warning
THRESHOLDS = tuple(tenth / 10 for tenth in range(1, 10))
_PAIR, _LOW = np.uint64(32), np.uint64(2**32 - 1)


def clusters(words: Words, threshold: float) -> tuple[np.ndarray, dict]:
    """Homology clusters: single linkage of the windows' units by the words that their tiles share.

    Two units are linked when a tile of one and a tile of the other share at least ``threshold`` of the informative words of
    the tile that has fewer, and at least two words. A word in m <= 10 tiles gives m (m - 1) / 2 pairs of tiles to count. A
    frequent word gives at most m - 1: neighbours in its list of those tiles that are judged by all their words, so that
    many near-copies hang together. Time and memory thus grow with the words, but for sorting; pairs are counted
    ``MOST_PAIRS`` at a time.

    Returns:
        cluster of every window, int64 (n,), from 0 by first appearance; and threshold, unit, count, largest (windows),
        curve (by threshold: clusters, and windows in the largest) and warning (None, or what is wrong).
    """
    links = _links(words, min(threshold, *THRESHOLDS))
    windows = np.bincount(words.unit)
    parent, found, before = np.arange(len(windows)), {}, np.inf
    for least in sorted({*THRESHOLDS, threshold}, reverse=True):
        new = (links["share"] >= least) & (links["share"] < before)
        _union(parent, links["left"][new], links["right"][new])
        root, before = _roots(parent), least
        size = np.bincount(root, windows)
        found[least] = {"clusters": int((size > 0).sum()), "largest": int(size.max())}
        if least == threshold:
            labels = root
    largest = found[threshold]["largest"]
    warning = None
    if largest > GIANT * len(words.unit):
        advice = "shorten the block" if words.block else "give a block if windows lie along a genome"
        warning = (
            f"the largest cluster holds {largest:,} of {len(words.unit):,} windows and may only train; raise the threshold, or {advice}"
        )
        log.warning("homology: %s", warning)
    about = {
        "threshold": threshold,
        "unit": f"windows whose centres lie in one block of {words.block:,} bp" if words.block else "windows that overlap",
        "count": found[threshold]["clusters"],
        "largest": largest,
        "curve": {f"{least}": found[least] for least in THRESHOLDS},
        "warning": warning,
    }
    return pd.factorize(labels[words.unit])[0].astype(np.int64), about


def _links(words: Words, least: float) -> dict[str, np.ndarray]:
    """Pairs of units (left, right) that a pair of tiles links, and the share of words that these have in common."""
    poor = words.good < FEW * words.every
    number = np.where(poor, words.every, words.good)

    def pairs(turn: int, turns: int, out: np.ndarray) -> int:
        return list_pairs(words.keys, words.bits, words.tile_unit, poor, turn, turns, out)

    nothing = np.empty(0, np.uint64)
    turns = max(-(-pairs(0, 1, nothing) // MOST_PAIRS), 1)
    found: dict[str, list] = {"left": [], "right": [], "share": []}
    for turn in range(turns):
        pair = np.empty(pairs(turn, turns, nothing), np.uint64)
        pairs(turn, turns, pair)
        pair.sort()
        first = np.flatnonzero(np.r_[True, pair[1:] != pair[:-1]][: len(pair)])
        count = np.diff(np.r_[first, len(pair)])
        left, right = (pair[first] >> _PAIR).astype(np.int64), (pair[first] & _LOW).astype(np.int64)
        share = count / np.minimum(number[left], number[right])
        kept = (share >= least) & (count >= FEWEST_SHARED)
        for name, one in (("left", words.tile_unit[left]), ("right", words.tile_unit[right]), ("share", share)):
            found[name].append(one[kept])
    return {name: np.concatenate(parts) for name, parts in found.items()}


@numba.njit(cache=True, nogil=True)
def _find(parent, one):
    """The root of a unit; the way to it is halved."""
    while parent[one] != one:
        parent[one] = parent[parent[one]]
        one = parent[one]
    return one


@numba.njit(cache=True, nogil=True)
def _union(parent, left, right):
    """Join the sets of each pair of units."""
    for i in range(len(left)):
        one, other = _find(parent, left[i]), _find(parent, right[i])
        parent[max(one, other)] = min(one, other)


@numba.njit(cache=True, nogil=True)
def _roots(parent):
    """The root of every unit."""
    out = np.empty_like(parent)
    for i in range(len(parent)):
        out[i] = _find(parent, i)
    return out
