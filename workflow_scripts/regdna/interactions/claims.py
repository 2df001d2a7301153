"""Which epistasis is more than chance: means over backgrounds and seeds, their intervals, and claims about many at once."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from regdna.bootstrap import key_seed

ROUNDING = 1e-5  # in logits: less is what float32 leaves of sums that are equal


@dataclass(frozen=True)
class Claims:
    """Of every arrangement and target, float64 (K, T) each.

    Attributes:
        mean: over backgrounds and seeds.
        low, high: 95 % interval.
        p: of this one, two-sided.
        p_adjusted: chance of one as large anywhere among the K times T if the mean of all were 0.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_adjusted: np.ndarray


def judge(values: np.ndarray, count: int, key: str) -> Claims:
    """What a sample of backgrounds and seeds says of the mean epistasis of each arrangement and target.

    The variance of the mean is that over backgrounds and that over seeds, with the degrees of freedom of Satterthwaite (1946,
    Biometrics Bull 2:110); one seed says nothing of others. Claims are adjusted by max-T (Westfall and Young 1993) over studentised
    draws: whole backgrounds get random signs, which keeps how arrangements and targets depend on each other and is exact where epistasis
    lies about 0 symmetrically; with several seeds their deviations do (Wu 1986, Ann Stat 14:1261), and seeds are drawn as normal
    numbers, the same for all arrangements of a target.

    # ASSUME: the seeds of a model spread alike over the arrangements of a motif pair; their variance is the mean over these.

    Args:
        values: epistasis, float64 (seeds, n, K, T), with at least two backgrounds n. What is below ``ROUNDING`` counts as 0.
        count: random draws.
        key: of the draws.
    """
    values = np.where(np.abs(values) < ROUNDING, 0.0, values)
    seeds, backgrounds = values.shape[:2]
    of_background = values.mean(0)
    mean = of_background.mean(0)
    own = of_background.var(0, ddof=1) / backgrounds
    between = values.mean(1).var(0, ddof=1).mean(0) / seeds if seeds > 1 else np.zeros(mean.shape[1])
    variance = own + between
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = variance**2 / (own**2 / (backgrounds - 1) + between**2 / max(seeds - 1, 1))
        half = np.where(variance > 0, stats.t.ppf(0.975, freedom) * np.sqrt(variance), 0.0)
        p = np.where(variance > 0, 2 * stats.t.sf(np.abs(mean) / np.sqrt(variance), freedom), (mean == 0).astype(float))
    draw = np.random.default_rng(key_seed(key))
    signs = draw.choice([-1.0, 1.0], (count, backgrounds)) / backgrounds
    largest = np.zeros(count)
    for target in range(mean.shape[1]):
        used = own[:, target] > 0
        apart = of_background[:, used, target]
        if seeds > 1:  # what seeds have in common is no matter of backgrounds; the mean takes away one degree of freedom
            apart = (apart - mean[used, target]) * np.sqrt(backgrounds / (backgrounds - 1))
        moved = signs @ apart
        spread = np.maximum((apart**2).mean(0) - moved**2, 0) / (backgrounds - 1)
        if seeds > 1:
            drawn = draw.standard_normal((count, seeds)) * np.sqrt(between[target] * seeds)
            moved += drawn.mean(1, keepdims=True)
            spread += drawn.var(1, ddof=1, keepdims=True) / seeds
        largest = np.maximum(largest, (np.abs(moved) / np.sqrt(spread)).max(1, initial=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.where(mean == 0, 0.0, np.abs(mean) / np.sqrt(variance))
    above = count - np.searchsorted(np.sort(largest), observed * (1 - 1e-12))
    return Claims(mean, mean - half, mean + half, p, np.maximum((1 + above) / (1 + count), p))


def over_seeds(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over seeds and its 95 % interval by Student's t, (...,) each; no interval (NaN) with one seed.

    Args:
        values: float64 (seeds, ...).
    """
    mean, seeds = values.mean(0), len(values)
    if seeds == 1:
        return mean, np.full(mean.shape, np.nan), np.full(mean.shape, np.nan)
    half = stats.t.ppf(0.975, seeds - 1) * values.std(0, ddof=1) / np.sqrt(seeds)
    return mean, mean - half, mean + half
