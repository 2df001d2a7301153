"""What paired differences let us say: of one pair, of a family of pairs at once, and of a model's rank."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from regdna.bootstrap import Seeds, satterthwaite, variances

LEVEL = 0.05
ROUNDING = 1e-12  # means of the same numbers, summed in another order, differ by less
POWER = float(stats.norm.ppf(0.8) / stats.norm.ppf(0.975))  # of half a 95 % interval, for four chances in five to see a difference


@dataclass(frozen=True)
class Family:
    """Pairs about which claims are made together.

    Attributes:
        joint_low, joint_high: intervals that hold all true differences at once in 95 of 100 studies, float (pairs,).
        p: chance of a difference this large anywhere in the family if there were none at all, float (pairs,).
        detectable: differences that four of five such studies would show, float (pairs,).
    """

    joint_low: np.ndarray
    joint_high: np.ndarray
    p: np.ndarray
    detectable: np.ndarray


def half_width(replicates: np.ndarray) -> np.ndarray:
    """Half the width of the 95 % interval of each column's replicates, (pairs,); NaN where more than one in twenty is NaN."""
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(replicates, [LEVEL / 2, 1 - LEVEL / 2], axis=0)
    return np.where(np.isnan(replicates).mean(0) <= 0.05, (high - low) / 2, np.nan)


def max_t(difference: np.ndarray, replicates: np.ndarray) -> Family:
    """Claims about several pairs at once, from the largest of their studentised differences in every resample.

    Args:
        difference: float (pairs,).
        replicates: of the same differences on the same resamples, float (count, pairs).

    Source: Westfall and Young 1993, single-step max-T. The scale is half a 95 % interval, which, unlike a standard deviation, the few
    far draws of Student's t with one degree of freedom do not move. The joint interval leaves out 0 where p is below 5 %, and only there.
    """
    half = half_width(replicates)
    # A pair whose difference no resample moves cannot be the largest; one without an interval is in no family.
    used = np.flatnonzero(half > ROUNDING)
    studentised = np.abs(replicates[:, used] - difference[used]) / half[used]
    # Of a resample in which a class is missing nothing is known.
    largest = np.max(studentised, axis=1, initial=0, where=~np.isnan(studentised))[~np.isnan(studentised).all(1) | (len(used) == 0)]
    few = int((np.arange(1, len(largest) + 1) / (1 + len(largest)) < LEVEL).sum())  # as many are above what is called different
    critical = float(np.append(np.sort(largest), np.inf)[len(largest) - few])
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.where(half > ROUNDING, np.abs(difference) / half, np.where(np.abs(difference) > ROUNDING, np.inf, 0.0))
    p = np.where(np.isnan(half), np.nan, (1 + (largest >= size[:, None] * (1 - 1e-12)).sum(1)) / (1 + len(largest)))
    return Family(difference - critical * half, difference + critical * half, p, (critical + POWER) * half)


def welch(difference: np.ndarray, replicates: np.ndarray, seeds: Sequence[Seeds], blocks: np.ndarray | int) -> np.ndarray:
    """Two-sided p of each difference by Student's t, float (k,), which tells far smaller ones than replicates can count.

    Args:
        difference: float (k,).
        replicates: over blocks alone, float (count, k).
        seeds: of both models.
        blocks: that were resampled, int (k,) or one for all.

    Source: Welch 1947, Biometrika 34:28, of the variance of blocks and of each model's seeds.
    """
    parts = variances(np.nanvar(replicates, axis=0, ddof=1), seeds, blocks)
    whole = sum(variance for variance, _ in parts)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * stats.t.sf(np.abs(difference) / np.sqrt(whole), satterthwaite(parts))
    # What neither a resample nor a seed moves is there for certain, or is not there.
    return np.where(whole > 0, p, np.where(whole == 0, np.abs(difference) <= ROUNDING, np.nan))


def false_discovery(p: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p, float (k,); NaN stays and counts for nothing (1995, J R Stat Soc B 57:289)."""
    out, good = np.full(len(p), np.nan), ~np.isnan(p)
    if good.any():
        out[good] = stats.false_discovery_control(p[good])
    return out


def word(difference: float, replicates: np.ndarray, p: float, margin: float) -> str:
    """``better`` or ``worse`` if the p that is adjusted for its family is below 5 %; ``equivalent`` if the 90 % interval lies within the
    margin; else ``cannot tell``.

    Args:
        replicates: float (count,).
        margin: differences no larger than this are of no practical matter.
    """
    if np.isnan(p):
        return "too small to judge"
    if p < LEVEL:
        return "better" if difference > 0 else "worse"
    low, high = np.nanquantile(replicates, [LEVEL, 1 - LEVEL])
    return "equivalent" if -margin < low and high < margin else "cannot tell"


def ranks(models: list[str], better: set[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """Best and worst rank that each model may have: as many are shown to be better than it, and worse.

    Args:
        better: pairs (model, other) of which the first was shown to be better, all in one family.

    Source: Mogstad, Romano, Shaikh and Wilhelm 2024, Rev Econ Stud 91:476.
    """
    return {
        one: (1 + sum((other, one) in better for other in models), len(models) - sum((one, other) in better for other in models))
        for one in models
    }
