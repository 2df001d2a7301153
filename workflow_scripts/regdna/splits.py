"""Splits: which windows train, which choose, which test."""

import re

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from regdna.certificate import PARTS, before, line_up, place_of
from regdna.step import InputError, log

REGION = re.compile(r"^(?P<chrom>[^\s:]+):(?P<first>[\d,]+)-(?P<last>[\d,]+)$")


def by_regions(windows: pd.DataFrame, test: list[str], validation: list[str], unused: list[str] = ()) -> np.ndarray:
    """Split by chromosomes and regions, object (n,) of part names; what is not listed trains.

    A window belongs where its central base lies, (start + end) // 2 with start and end 0-based and half-open, which of a window
    centred on a bin is the bin's central base.

    Args:
        windows: chrom, start, end.
        test, validation: chromosomes ('chr8') or regions as UCSC writes them, 1-based and inclusive, with or without commas
            ('chr7:30,508,751-35,296,850').
        unused: the same, for windows of no part.

    Raises:
        InputError: a region that cannot be read, is reversed or lies on a chromosome without windows; regions of two parts that overlap.
    """
    chrom, names = pd.factorize(windows["chrom"])
    listed = [
        (part, *_place(text, part, names))
        for part, texts in zip(("test", "validation", "unused"), (test, validation, unused), strict=True)
        for text in texts
    ]
    for i, (part, text, name, first, last) in enumerate(listed):
        for other, other_text, other_name, other_first, other_last in listed[:i]:
            if part != other and name == other_name and first < other_last and other_first < last:
                raise InputError(f"split.{part}: {text} overlaps {other_text} of {other}; keep each place in one part")
    lacking = [(part, name) for part, _, name, *_ in listed if name not in names]
    bare = {one.lower().removeprefix("chr"): one for one in names} if lacking else {}
    for part, name in lacking:
        if near := bare.get(name.lower().removeprefix("chr")):
            raise InputError(f"split.{part}: {name!r} is called {near!r} in the dataset; give it that name")
        log.warning("split.%s: no window lies on %s", part, name)
    middle = ((windows["start"] + windows["end"]) // 2).to_numpy()
    out = np.full(len(windows), "train", object)
    for part, _, name, first, last in listed:
        out[(chrom == names.get_indexer([name])[0]) & (middle >= first) & (middle < last)] = part
    return out


def _place(text: str, part: str, names: pd.Index) -> tuple[str, str, float, float]:
    """A chromosome or region as text, chromosome, first and past-the-last base (0-based)."""
    if text in names or ":" not in text:
        return text, text, -np.inf, np.inf
    match = REGION.match(text)
    if match is None:
        raise InputError(f"split.{part}: {text!r} is no region; write it as chr7:30,508,751-35,296,850")
    first, last = int(match["first"].replace(",", "")), int(match["last"].replace(",", ""))
    if not 1 <= first <= last:
        raise InputError(f"split.{part}: {text} does not run from a first base, from 1, to a last; turn it round")
    if match["chrom"] not in names:
        raise InputError(f"split.{part}: {text}: no window lies on {match['chrom']}; name a chromosome of the dataset")
    return text, match["chrom"], first - 1, last


def by_blocks(windows: pd.DataFrame, block: int, test: int, validation: int, seed: int) -> np.ndarray:
    """Split by stretches of ``block`` bp, drawn at random, object (n,) of part names; a window belongs where its centre lies.

    Args:
        windows: chrom, start, end (0-based, half-open).
        block: length of a stretch in bp.
        test, validation: how many of the occupied stretches go to each.
        seed: of the draw.

    Raises:
        InputError: fewer stretches than asked for, or none left to train.
    """
    chrom, _ = pd.factorize(windows["chrom"])
    middle = ((windows["start"] + windows["end"]) // 2).to_numpy()
    number = middle // block
    name, blocks = pd.factorize(chrom * (np.ptp(number) + 1) + number)
    if len(blocks) <= test + validation:
        raise InputError(
            f"split: {len(blocks)} blocks of {block:,} bp hold windows, {test} + {validation} are set aside; none is left to train"
        )
    drawn = np.random.default_rng(seed).permutation(len(blocks))
    part = np.full(len(blocks), "train", object)
    part[drawn[:test]], part[drawn[test : test + validation]] = "test", "validation"
    return part[name]


def by_clusters(cluster: np.ndarray, test: float, validation: float, seed: int) -> np.ndarray:
    """Split by whole clusters, drawn at random, object (n,) of part names.

    A part takes clusters until it holds its share of the windows, so it has at most one cluster too many; a cluster
    larger than that share is passed over and trains.

    Args:
        cluster: cluster of every window, int64 (n,), from 0.
        test, validation: share of the windows in each part, 0 to 1.
        seed: of the draw.

    Raises:
        InputError: the shares leave nothing to train, or no cluster is small enough for a part.
    """
    if min(test, validation) <= 0 or test + validation >= 1:
        raise InputError(f"split: shares of {test} for test and {validation} for validation; both above 0, and less than 1 together")
    size = np.bincount(cluster)
    part = np.full(len(size), "train", object)
    drawn = np.random.default_rng(seed).permutation(len(size))
    for name, share in (("test", test), ("validation", validation)):
        wanted = share * len(cluster)
        fits = drawn[(part[drawn] == "train") & (size[drawn] <= wanted)]
        part[fits[np.cumsum(size[fits]) - size[fits] < wanted]] = name
        got = int(size[part == name].sum())
        if not got:
            raise InputError(
                f"split.{name}: every homology cluster holds more than {share:.0%} of the windows; raise the threshold or the share"
            )
        if got < wanted:
            log.warning(
                "split: %s got %.1f %% of the windows, not %.1f %%: the other clusters are too large",
                name,
                100 * got / len(cluster),
                100 * share,
            )
    return part[cluster]


def join_identical(cluster: np.ndarray, prints: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Clusters joined where they hold the same sequence on either strand: those shorter than a word have nothing else to show it.

    Args:
        cluster: of every window, int64 (n,), from 0.
        prints: fingerprint of every window's sequence, and of its reverse complement, uint64 (n,) each; 0 is like no other.

    Returns:
        int64 (n,), from 0 by first appearance.
    """
    rows = np.flatnonzero(prints[0])
    _, sequence = np.unique(np.minimum(prints[0][rows], prints[1][rows]), return_inverse=True)
    groups = int(cluster.max()) + 1
    size = groups + int(sequence.max(initial=-1)) + 1
    edges = coo_array((np.ones(len(rows), bool), (cluster[rows], groups + sequence)), shape=(size, size))
    return pd.factorize(connected_components(edges, directed=False)[1][cluster])[0].astype(np.int64)


def as_given(candidates: pd.DataFrame) -> np.ndarray:
    """The parts that come with the data (column ``part``), object (n,).

    Raises:
        InputError: there is no such column, or a row names no part.
    """
    if "part" not in candidates:
        raise InputError("split.rule: given, but the data say no part; name its column in sequences.columns.part, or choose another rule")
    part = candidates["part"].to_numpy(object)
    wrong = np.flatnonzero(~np.isin(part.astype(str), (*PARTS, "unused")))
    if len(wrong):
        raise InputError(f"{place_of(candidates, wrong[0])}: part {part[wrong[0]]!r}; one of {', '.join(PARTS)} or unused is needed")
    return part


def open_gap(windows: pd.DataFrame, split: np.ndarray, gap: int) -> np.ndarray:
    """Set windows aside (part ``gap``) that lie closer than ``gap`` bp to a window of another part.

    Test windows are kept before validation windows, and those before training windows.
    """
    out = split.copy()
    start, end, _ = line_up(windows, gap)
    for at, part in enumerate(("validation", "train")):
        kept = np.flatnonzero(np.isin(out, ("test", "validation")[: at + 1]))
        mine = np.flatnonzero(out == part)
        _, reach, _ = before(start, end, mine, kept, gap)
        out[mine[reach + gap > start[mine]]] = "gap"
    return out
