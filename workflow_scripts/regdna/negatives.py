"""Negatives: windows of the genome that look like the positive ones in all but their labels, and how well they do."""

import numba
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from regdna.intervals import merge
from regdna.step import InputError

# ASSUME: windows are alike within 0.02 in GC (as in gkmSVM genNullSeqs), 0.05 in repeats or N and 0.1 in log10 of TSS distance.
STEPS = {"gc": 0.02, "repeat_fraction": 0.05, "n_fraction": 0.05, "tss_distance": 0.1}
# ASSUME: groups are balanced up to a standardised mean difference of 0.1 (Austin 2009, Stat Med 28:3083) and as much KS distance.
LIMIT = 0.1
UNKNOWN_SD = 1000.0  # how far an unknown value lies from every known one, in standard deviations
PAIRS = 2_000_000  # neighbours looked at in one round, to bound memory


def choose(windows: pd.DataFrame, positive: np.ndarray, match: list[str], per_positive: float, seed: int) -> np.ndarray:
    """Choose negatives that are distributed as the positive windows in the columns ``match``, bool (n,).

    Windows that touch no base of a positive window are candidates. Stratified sampling without replacement: each
    chromosome gives, in every joint step of the columns, ``per_positive`` times as many candidates as it has positives
    there. What a chromosome lacks is drawn from the same steps on all chromosomes, and what still lacks from the nearest
    steps that have candidates left, closest pairs first, in units of each column's standard deviation.

    Args:
        windows: chrom, start, end (0-based, half-open) and the columns to match, as ``windows.describe`` gives them.
            Unknown values (NaN) match unknown ones.
        positive: bool (n,), whether a window has at least one positive target.
        match: of ``STEPS``; with none, only chromosomes are balanced.
        per_positive: negatives for each positive window; need not be whole.
        seed: of the draw.

    Raises:
        InputError: a column that cannot be matched or is not known, no positive window, or fewer candidates than wanted.
    """
    _check(windows, match)
    wanted = int(np.floor(positive.sum() * per_positive + 0.5))
    if not wanted:
        raise InputError(f"negatives: {positive.sum():,} positive windows x per_positive {per_positive} give no negatives; raise either")
    free = _candidates(windows, positive)
    if free.sum() < wanted:
        raise InputError(
            f"negatives: {wanted:,} are wanted ({per_positive} for each of {positive.sum():,} positive windows), but only {free.sum():,}"
            " windows overlap no positive one; lower negatives.per_positive or take in more of the genome"
        )
    cell, keys, places = _cells(windows, match)
    chrom = pd.factorize(windows["chrom"])[0]
    stratum, strata = pd.factorize(chrom * (keys.max() + 1) + keys[cell])
    cell_of = np.empty(len(strata), np.int64)
    cell_of[stratum] = cell

    draw = np.random.default_rng(seed)
    chosen = np.zeros(len(windows), bool)
    # Strata in the order of chromosomes, so that rounding evens out within each of them.
    need = _share(np.bincount(stratum[positive], minlength=len(strata)), np.argsort(strata), per_positive)
    need = _take(stratum, free, need, draw, chosen)
    need = _take(cell, free, np.bincount(cell_of, need, minlength=len(keys)).astype(np.int64), draw, chosen)
    _take(cell, free, _nearest(places, need, np.bincount(cell[free], minlength=len(keys)), draw), draw, chosen)
    return chosen


def balance(windows: pd.DataFrame, positive: np.ndarray, negative: np.ndarray, match: list[str]) -> dict:
    """How far negatives and positive windows differ in each column, and how far all candidates did.

    Args:
        windows, positive, match: as for ``choose``.
        negative: bool (n,), the chosen ones.

    Returns:
        For each column: ``scale`` (the distance to a TSS is judged as log10(bp + 1)), ``mean_positive``,
        ``mean_negative``, ``mean_candidates`` over known values, and ``difference`` (standardised mean difference,
        Austin 2009, Stat Med 28:3083, section 3.1: difference of means over the root of the mean of both variances) and
        ``distance`` (Kolmogorov-Smirnov, with unknown values above all others) between positive windows and negatives;
        ``difference_before``, ``distance_before`` are those between positive windows and all candidates. None: undefined.
    """
    candidates = _candidates(windows, positive)
    out = {}
    for column in match:
        values = _values(windows, column)
        wanted, found, before = values[positive], values[negative], values[candidates]
        out[column] = {
            "scale": "log10(bp + 1)" if column == "tss_distance" else "share",
            "mean_positive": _mean(wanted),
            "mean_negative": _mean(found),
            "mean_candidates": _mean(before),
            "difference": _difference(wanted, found),
            "distance": _distance(wanted, found),
            "difference_before": _difference(wanted, before),
            "distance_before": _distance(wanted, before),
        }
    return out


def gate(balance: dict) -> None:
    """Let only balanced negatives pass.

    Args:
        balance: from ``balance``.

    Raises:
        InputError: a column's standardised mean difference or Kolmogorov-Smirnov distance is above 0.1 or undefined.
    """
    for column, one in balance.items():
        sizes = (one["difference"], one["distance"])
        if any(size is None or abs(size) > LIMIT for size in sizes):
            difference, distance, positive, negative = (
                "undefined" if value is None else f"{value:.3g}" for value in (*sizes, one["mean_positive"], one["mean_negative"])
            )
            raise InputError(
                f"negatives.match: {column} is not matched: mean {positive} of positive windows, {negative} of negatives, standardised mean"
                f" difference {difference}, Kolmogorov-Smirnov distance {distance} (at most {LIMIT} each); lower negatives.per_positive,"
                " match fewer columns or take in more of the genome"
            )


def _check(windows: pd.DataFrame, match: list[str]) -> None:
    for column in match:
        if column not in STEPS:
            raise InputError(f"negatives.match: {column} cannot be matched; name some of {', '.join(STEPS)}")
        if windows[column].isna().all():
            known = [name for name in STEPS if name in windows and windows[name].notna().any()]
            raise InputError(
                f"negatives.match: {column} is not known for this dataset; take it out of the list (known: {', '.join(known) or 'none'})"
                " or give the dataset its 'repeats' or 'tss' (repeats are also known from a genome in lower case)"
            )


def _candidates(windows: pd.DataFrame, positive: np.ndarray) -> np.ndarray:
    """Whether a window shares no base with a positive one, bool (n,)."""
    start, end = windows["start"].to_numpy(np.int64), windows["end"].to_numpy(np.int64)
    # Chromosomes are laid one behind the other, so that one search does for all.
    offset = pd.factorize(windows["chrom"])[0].astype(np.int64) * (end.max(initial=0) + 1)
    start, end = offset + start, offset + end
    first, last = (np.r_[-1, edges] for edges in merge(start[positive], end[positive]))
    return last[np.searchsorted(first, end, side="left") - 1] <= start


def _values(windows: pd.DataFrame, column: str) -> np.ndarray:
    """A column on the scale on which it is matched and judged, float64 (n,)."""
    values = windows[column].to_numpy(np.float64)
    return np.log10(values + 1) if column == "tss_distance" else values


def _cells(windows: pd.DataFrame, match: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joint steps of the columns: the cell of each window, int64 (n,); of each cell a sort key, int64 (m,), and its
    place in standard deviations, float64 (m, columns)."""
    key = np.zeros(len(windows), np.int64)
    sizes, scales = [], []
    for column in match:
        values = _values(windows, column)
        step = np.ceil(values / STEPS[column])  # rounded up, so that those without any N or repeat are apart
        index = np.where(np.isnan(step), 0, step - np.nanmin(step) + 1).astype(np.int64)
        sizes.append(index.max() + 1)
        scales.append(STEPS[column] / (np.nanstd(values) or 1.0))
        key = key * sizes[-1] + index
    cell, keys = pd.factorize(key)
    places = np.empty((len(keys), len(match)))
    rest = keys
    for at in reversed(range(len(match))):
        rest, index = np.divmod(rest, sizes[at])
        places[:, at] = np.where(index == 0, -UNKNOWN_SD, index * scales[at])
    return cell, keys, places


def _share(counts: np.ndarray, order: np.ndarray, ratio: float) -> np.ndarray:
    """``ratio`` times the counts in whole numbers, int64; sums along ``order`` are off by less than one."""
    out = np.empty(len(counts), np.int64)
    out[order] = np.diff(np.floor(np.cumsum(counts[order]) * ratio + 0.5), prepend=0)
    return out


def _take(group: np.ndarray, free: np.ndarray, need: np.ndarray, draw: np.random.Generator, chosen: np.ndarray) -> np.ndarray:
    """Move a random sample of ``need`` free windows of each group to ``chosen``; gives what each group could not fill."""
    need = need.copy()
    if need.any():
        _sample(group, free, need, np.bincount(group[free], minlength=len(need)), draw.random(len(group)), chosen)
    return need


@numba.njit(cache=True, nogil=True)
def _sample(group, free, need, left, chance, chosen):
    """One pass in which each free window is taken with the share that its group still needs of those it has left.

    Every sample of a group is equally likely (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
    """
    for row in range(len(group)):
        if free[row]:
            at = group[row]
            if chance[row] * left[at] < need[at]:
                chosen[row], free[row] = True, False
                need[at] -= 1
            left[at] -= 1


def _nearest(places: np.ndarray, need: np.ndarray, stock: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """How many to take from each cell's stock so that all needs are met by near cells, closest pairs first, int64 (m,)."""
    need, left = need.copy(), stock.copy()
    while need.any():
        short, stocked = np.flatnonzero(need), np.flatnonzero(left)
        neighbours = min(len(stocked), max(8, PAIRS // len(short)))
        distance, at = cKDTree(places[stocked]).query(places[short], k=range(1, neighbours + 1))
        # Cells lie on a grid, so that ties are many; they are broken by chance, not towards one side.
        order = np.lexsort((draw.random(distance.size), distance.ravel()))
        _settle(np.repeat(short, neighbours)[order], stocked[at.ravel()[order]], need, left)
    return stock - left


@numba.njit(cache=True, nogil=True)
def _settle(short, stocked, need, left):
    """Walk down the pairs of cells and give each what the one needs and the other has."""
    for pair in range(len(short)):
        moved = min(need[short[pair]], left[stocked[pair]])
        need[short[pair]] -= moved
        left[stocked[pair]] -= moved


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _difference(one: np.ndarray, other: np.ndarray) -> float | None:
    """Standardised mean difference of known values."""
    one, other = one[~np.isnan(one)], other[~np.isnan(other)]
    if not len(one) or not len(other):
        return None
    if np.ptp(one) == 0 and np.ptp(other) == 0:
        return 0.0 if one[0] == other[0] else None
    return float((one.mean() - other.mean()) / np.sqrt((one.var() + other.var()) / 2))


def _distance(one: np.ndarray, other: np.ndarray) -> float | None:
    """Largest difference of both distribution functions; unknown values count as larger than all."""
    if not len(one) or not len(other):
        return None
    one, other = (np.sort(np.where(np.isnan(values), np.inf, values)) for values in (one, other))
    # It lies at a value of ``one``, or just before it: between two of them only the other function rises.
    at = one[np.r_[True, one[1:] != one[:-1]]]
    sides = [np.searchsorted(one, at, side) / len(one) - np.searchsorted(other, at, side) / len(other) for side in ("left", "right")]
    return float(np.abs(sides).max())
