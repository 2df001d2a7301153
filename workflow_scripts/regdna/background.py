"""The background of variant scores: how often variants of a large set score as high as one does, target by target.

Source: Zhou and Troyanskaya 2015, Nat Methods 12:931, and the E-values of their program: the share of 1,000,000 random variants of the
1000 Genomes project with at least the same |diff| x |log2 odds|. Here the smallest E-value is 1 / (1 + variants of the background).
"""

import json
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from regdna.genome import Genome
from regdna.step import InputError, progress
from regdna.store import atomic
from regdna.variants import read_blocks

# What each column counts by: how large a variant's effect on a target is.
MAGNITUDES = {"evalue_2015": "|diff| x |log2_odds|", "evalue_diff": "|diff|", "percentile": "|log2_odds|"}
DEFINITION = "(1 + background variants at least as large) / (1 + background variants)"
TOP = 1000  # largest values of a target that are kept as they are; also the fewest variants that a stratum needs
ROWS = 16384  # variants counted at a time: fewer would find each target's counts gone from the cache
# Values below the largest are counted by the upper half of a float32: 128 bins an octave, from 2**-40 to 2**10, and one for zero alone.
LOWEST = int(np.float32(2.0**-40).view(np.uint32)) >> 16
BINS = 50 * 128 + 2
# ASSUME: a variant is matched with those of the background in the same bin of minor allele frequency (bounds 0.001, 0.01, 0.05) that are
# also C>T at CpG, on either strand, or also are not; finer trinucleotide contexts would leave under 1,000 variants in the rarest strata.
FREQUENCIES = (0.001, 0.01, 0.05)
STRATA = 2 * (len(FREQUENCIES) + 1)


def magnitudes(diff: np.ndarray, log2_odds: np.ndarray) -> np.ndarray:
    """What is counted, by the names of ``MAGNITUDES`` in their order, float32 (3, n, T).

    Scores are rounded to the float32 that tables of scores hold before anything else, so that a variant meets itself as a tie.

    Args:
        diff, log2_odds: float (n, T).
    """
    size, odds = np.abs(diff.astype(np.float32)), np.abs(log2_odds.astype(np.float32))
    product = size.astype(np.float64) * odds
    return np.stack([product.astype(np.float32), size, odds])


def strata(table: pd.DataFrame, genome: Genome | None) -> np.ndarray:
    """What each variant is matched on, int64 (n,): 1 to ``STRATA``; 0 where frequency or context is not known, and for all but SNVs.

    Args:
        table: contig, position (0-based), ref, alt, kind, and af (of the alternate allele) where it is known.
        genome: that holds the contigs; None: no context is known.
    """
    out = np.zeros(len(table), np.int64)
    if genome is None or "af" not in table:
        return out
    at = np.flatnonzero(table["kind"].eq("snv") & table["af"].notna() & table["contig"].isin(genome.index.index))
    some = table.iloc[at]
    around = genome.windows(some["contig"].to_numpy(), some["position"].to_numpy() - 1, 3, pad=True)
    change = (some["ref"] + some["alt"]).to_numpy()
    transition = ((change == "CT") & (around[:, 2] == 2)) | ((change == "GA") & (around[:, 0] == 1))
    minor = np.minimum(some["af"], 1 - some["af"]).to_numpy()
    out[at] = 1 + 2 * np.digitize(minor, FREQUENCIES) + transition
    return out


def tally(scores: Path, genome: Genome | None) -> dict[str, np.ndarray]:
    """Count a table of scores, a few thousand rows at a time; memory grows with targets and strata, not with variants.

    Args:
        scores: parquet of ``regdna.variants.write_scores``.
        genome: for the context of variants; None: they are not matched.

    Returns:
        what ``save`` writes. ``tail``, float32 (3, slots, T, k), ascending: the k = min(1,000, offered) largest magnitudes of each
        target; ``tied``, int64 (3, slots, T): further ones equal to the smallest of these; ``counts``, uint32 (3, slots, T, bins): of all;
        ``first``: number of the first of these bins; ``offered``, int64 (slots,); ``slot``, int64 (STRATA + 1,): of each stratum, 0 where
        it is too small; slot 0 holds all variants; ``about``: JSON.

    Raises:
        InputError: a score is no finite number.
    """
    show, done, waiting, held = progress(pq.read_metadata(scores).num_rows, "counting", "variants"), 0, [], None
    for block in read_blocks(scores, ("diff", "log2_odds")):
        if held is None:
            matched = genome is not None and "af" in block.table
            held = _Held(STRATA + 1 if matched else 1, len(block.about["targets"]))
        sizes = magnitudes(block.values["diff"], block.values["log2_odds"])
        good = np.isfinite(sizes).all((0, 2))
        if not good.all():
            raise InputError(f"{scores}: row {done + good.argmin() + 1} has a score that is no finite number; score the variants again")
        waiting.append((sizes, strata(block.table, genome if matched else None)))
        done += len(good)
        if sum(len(group) for _, group in waiting) >= ROWS:
            held.add(waiting)
            waiting = []
            show(done)
    held.add(waiting)
    show(done)
    return held.gathered(block.about)


class _Held:
    """What is held of the values added so far: counts by bin, and the largest of each stratum and target as a heap.

    Args:
        groups: strata, the first for what is in none.
        targets: number of targets.
    """

    def __init__(self, groups: int, targets: int):
        self.counts = np.zeros((len(MAGNITUDES), groups, targets, BINS), np.uint32)
        self.heaps = np.zeros((len(MAGNITUDES), groups, targets, TOP), np.float32)
        self.tied = np.zeros((len(MAGNITUDES), groups, targets), np.int64)
        self.offered = np.zeros(groups, np.int64)

    def add(self, some: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Count blocks of variants: magnitudes, float32 (3, n, T), and strata, int64 (n,)."""
        group = np.concatenate([np.empty(0, np.int64), *(one for _, one in some)])
        if not len(group):
            return
        for which in range(len(MAGNITUDES)):
            values = np.concatenate([sizes[which].T for sizes, _ in some], 1)
            _count(values, values.view(np.uint32), group, self.offered, self.counts[which], self.heaps[which], self.tied[which])
        self.offered += np.bincount(group, minlength=len(self.offered))

    def gathered(self, about: dict) -> dict[str, np.ndarray]:
        """All variants together in slot 0, then the strata that are large enough."""
        large = [group for group in range(1, len(self.offered)) if self.offered[group] >= TOP]
        total, kept = int(self.offered.sum()), np.minimum(self.offered, TOP)
        union = np.concatenate([self.heaps[:, group, :, :count] for group, count in enumerate(kept)], -1)
        union.sort(-1)
        dropped, union = np.split(union, [max(union.shape[-1] - TOP, 0)], -1)
        # A stratum's ties count where its smallest kept value is the smallest kept of all; where it is smaller, none of them is kept.
        floor = union[..., :1]
        ties = (dropped == floor).sum(-1) + (self.tied * (self.heaps[..., 0] == floor.transpose(0, 2, 1))).sum(1)
        counts = np.concatenate([self.counts.sum(1, keepdims=True, dtype=np.uint32), self.counts[:, large]], 1)
        tail = np.concatenate([union[:, None], *([np.sort(self.heaps[:, large], -1)] if large else [])], 1)
        offered = np.array([total, *self.offered[large]])
        used = np.flatnonzero(counts.any((0, 1, 2)))
        slot = np.zeros(STRATA + 1, np.int64)
        slot[large] = 1 + np.arange(len(large))
        said = {
            **{name: about[name] for name in ("targets", "split_digest", "seeds", "shifts", "align", "variants") if name in about},
            "magnitudes": MAGNITUDES,
            "definition": DEFINITION,
            "offered": total,
            "retained": int(tail.shape[-1]),
            "strata": {str(group): int(self.offered[group]) for group in large},
            "matched": "on minor allele frequency and on being C>T at CpG" if large else "not matched",
            "error": _error(counts, tail, offered),
        }
        return {
            "tail": tail,
            "tied": np.concatenate([ties[:, None], self.tied[:, large]], 1),
            "counts": counts[..., used[0] : used[-1] + 1],
            "first": used[0],
            "offered": offered,
            "slot": slot,
            "about": json.dumps(said, sort_keys=True),
        }


@numba.njit(cache=True, nogil=True)
def _bin(bits):
    """Number of the bin of a float32 that is not negative, by its bits."""
    if bits == 0:
        return 0
    return min(max((bits >> 16) - LOWEST + 1, 1), BINS - 1)


@numba.njit(cache=True, nogil=True)
def _count(values, bits, group, before, counts, heaps, tied):
    """Add values, float32 (T, n), to the counts, and the largest to each target's heap, whose root is the smallest kept."""
    for target in range(values.shape[0]):
        held = before.copy()
        for row in range(values.shape[1]):
            value, mine = values[target, row], group[row]
            counts[mine, target, _bin(np.int64(bits[target, row]))] += 1
            heap = heaps[mine, target]
            if held[mine] < TOP:
                at = held[mine]
                while at and heap[(at - 1) // 2] > value:
                    heap[at] = heap[(at - 1) // 2]
                    at = (at - 1) // 2
                heap[at] = value
            elif value > heap[0]:
                lost, at = heap[0], 0
                while 2 * at + 1 < TOP:
                    child = 2 * at + 1
                    if child + 1 < TOP and heap[child + 1] < heap[child]:
                        child += 1
                    if heap[child] >= value:
                        break
                    heap[at] = heap[child]
                    at = child
                heap[at] = value
                # What fell out before was as small as what falls out now, or smaller than the root.
                tied[mine, target] = tied[mine, target] + 1 if heap[0] == lost else 0
            elif value == heap[0]:
                tied[mine, target] += 1
            held[mine] += 1


def _error(counts: np.ndarray, tail: np.ndarray, offered: np.ndarray) -> dict[str, float]:
    """The most that an E-value below the exact tail can be wrong by: the share of the fullest bin of any target."""
    bits = tail[..., 0].view(np.uint32).astype(np.int64)
    floor = np.where(bits == 0, 0, np.clip((bits >> 16) - LOWEST + 1, 1, BINS - 1))
    worst = np.zeros(len(MAGNITUDES))
    for slot in np.flatnonzero(offered > tail.shape[-1]):
        inexact = (np.arange(BINS) > 0) & (np.arange(BINS) <= floor[:, slot, :, None])
        worst = np.maximum(worst, np.where(inexact, counts[:, slot], 0).max((1, 2)) / (1 + offered[slot]))
    return dict(zip(MAGNITUDES, worst.tolist(), strict=True))


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write what ``tally`` gives (npz)."""
    with atomic(path) as temporary:
        np.savez_compressed(temporary, **arrays)


class Background:
    """A tallied background, opened.

    Attributes:
        about: targets, offered and retained counts, what is matched, and ``error``: how far off an E-value below the exact tail can be.
    """

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.about = json.loads(str(arrays["about"]))
        self._tail, self._tied, self._first = arrays["tail"], arrays["tied"], int(arrays["first"])
        self._offered, self._slot = arrays["offered"], arrays["slot"]
        # How many values lie in a bin or above it; one more bin, above the last, that is empty.
        counts = arrays["counts"]
        self._above = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1), np.uint32)
        np.cumsum(counts[..., ::-1], -1, out=self._above[..., -2::-1])

    @classmethod
    def open(cls, path: Path) -> "Background":
        """Read the file of ``save``."""
        with np.load(path) as arrays:
            return cls(dict(arrays))

    def columns(self, diff: np.ndarray, log2_odds: np.ndarray, stratum: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """evalue_2015, evalue_diff and percentile of a block of variants, float32 (n, T) each.

        Args:
            diff, log2_odds: float (n, T).
            stratum: from ``strata``, int (n,); None: all are counted against the whole background.
        """
        sizes = dict(zip(MAGNITUDES, magnitudes(diff, log2_odds), strict=True))
        return {name: (self.percentile if name == "percentile" else self.evalues)(name, values, stratum) for name, values in sizes.items()}

    def evalues(self, name: str, values: np.ndarray, stratum: np.ndarray | None = None) -> np.ndarray:
        """(1 + background values at least as large) / (1 + background values), float32 (n, T).

        Exact, with ties, for the 1,000 largest of a target, and for zero; below it is interpolated within bins of 1/128 octave, between
        exact counts at their bounds, so that it errs by no more than ``about["error"]``.

        Args:
            name: of ``MAGNITUDES``.
            values: that magnitude as ``magnitudes`` gives it, float (n, T), not negative.
            stratum: from ``strata``, int (n,); a stratum with too few variants counts against all, as 0 does.
        """
        count, offered = self._counts(name, values, stratum)
        return ((1 + count) / (1 + offered)).astype(np.float32)

    def percentile(self, name: str, values: np.ndarray, stratum: np.ndarray | None = None) -> np.ndarray:
        """Percent of background values that are smaller, float32 (n, T); as exact as ``evalues``, and with its arguments."""
        count, offered = self._counts(name, values, stratum)
        return (100 * (1 - count / offered)).astype(np.float32)

    def _counts(self, name: str, values: np.ndarray, stratum: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Background values at least as large as each, float64 (n, T), and how many there are, (n, 1)."""
        if values.shape[1] != self._tail.shape[2]:
            raise ValueError(f"{values.shape[1]} targets, but the background has {self._tail.shape[2]}")
        which = list(MAGNITUDES).index(name)
        slot = np.zeros(len(values), np.int64) if stratum is None else self._slot[stratum]
        values = np.ascontiguousarray(values, np.float32)
        arrays = (one[which] for one in (self._tail, self._tied, self._above))
        return _at_least(values, values.view(np.uint32), slot, *arrays, self._first, self._offered), self._offered[slot][:, None]


@numba.njit(cache=True, nogil=True)
def _at_least(values, bits, slot, tail, tied, above, first, offered):
    """How many background values are at least as large as each, float64 (n, T)."""
    kept, bins = tail.shape[2], above.shape[2] - 1
    out = np.empty(values.shape)
    for target in range(values.shape[1]):
        for row in range(values.shape[0]):
            value, mine = values[row, target], slot[row]
            top = tail[mine, target]
            if value > top[0] or offered[mine] == kept:
                out[row, target] = kept - np.searchsorted(top, value)
                continue
            if value == top[0]:
                out[row, target] = kept + tied[mine, target]
                continue
            number = np.int64(bits[row, target])
            at = _bin(number) - first
            if at < 0:
                out[row, target] = offered[mine]
                continue
            at = min(at, bins)
            inside = above[mine, target, at] - above[mine, target, min(at + 1, bins)]
            share = (number & 0xFFFF) / 65536.0 if (number >> 16) >= LOWEST else 0.0
            # Values of this bin that are larger than the tail's smallest are of the tail, and all of those are larger than this one.
            out[row, target] = max(above[mine, target, at] - share * inside, kept + tied[mine, target])
    return out
