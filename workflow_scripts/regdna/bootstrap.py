"""Block bootstrap of AUROC and average precision: one sort per target, counts shared by all targets and models.

Source: Efron and Tibshirani 1993; resampling whole genomic blocks keeps neighbouring windows together.
"""

import hashlib

import numba
import numpy as np

FEWEST_BLOCKS = 20
FEWEST_POSITIVES = 20
WIDTH = 64  # replicates swept together: their running sums stay in the first-level cache


def draw_counts(blocks: int, replicates: int, key: str) -> np.ndarray:
    """How often each block is drawn in each replicate, uint16 (blocks, replicates).

    The same ``key`` and number of blocks give the same draws, so that models judged on one set of windows are compared on
    the same resamples.
    """
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    draw = np.random.default_rng(seed)
    counts = np.empty((blocks, replicates), np.uint16)
    for replicate in range(replicates):
        counts[:, replicate] = np.bincount(draw.integers(blocks, size=blocks), minlength=blocks)
    return counts


def replicate(labels: np.ndarray, scores: np.ndarray, block: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision of every replicate, float64 (replicates,) each; NaN where a class is not drawn.

    Args:
        labels: bool (n,).
        scores: float (n,); ties are exact.
        block: index of each row's block, int (n,).
        counts: from ``draw_counts``.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends_tie = np.r_[ranked[1:] != ranked[:-1], True]
    return _sweep(labels[order], ends_tie, np.asarray(block, np.int64)[order], counts)


@numba.njit(cache=True)
def _sweep(labels, ends_tie, block, counts):
    """Walk down the ranking once for each group of replicates, adding up what each tie of scores contributes."""
    replicates = counts.shape[1]
    auroc, precision = np.empty(replicates), np.empty(replicates)
    for first in range(0, replicates, WIDTH):
        width = min(WIDTH, replicates - first)
        true, false = np.zeros(width), np.zeros(width)
        tied_true, tied_false = np.zeros(width), np.zeros(width)
        area, summed = np.zeros(width), np.zeros(width)
        in_tie = False
        for row in range(len(labels)):
            drawn = counts[block[row], first : first + width]
            if ends_tie[row] and not in_tie:  # a score of its own, as nearly all are: no sums to hold back
                if labels[row]:
                    for i in range(width):
                        true[i] += drawn[i]
                        summed[i] += drawn[i] * true[i] / max(true[i] + false[i], 1.0)
                else:
                    for i in range(width):
                        area[i] += drawn[i] * true[i]
                        false[i] += drawn[i]
                continue
            in_tie = not ends_tie[row]
            tied = tied_true if labels[row] else tied_false
            for i in range(width):
                tied[i] += drawn[i]
            if ends_tie[row]:
                for i in range(width):
                    area[i] += tied_false[i] * (true[i] + 0.5 * tied_true[i])
                    true[i] += tied_true[i]
                    false[i] += tied_false[i]
                    summed[i] += tied_true[i] * true[i] / max(true[i] + false[i], 1.0)
                    tied_true[i] = 0.0
                    tied_false[i] = 0.0
        for i in range(width):
            both = true[i] > 0 and false[i] > 0
            auroc[first + i] = area[i] / (true[i] * false[i]) if both else np.nan
            precision[first + i] = summed[i] / true[i] if both else np.nan
    return auroc, precision


def interval(replicates: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of replicates, NaN ones left out; NaN bounds if more than one in twenty is NaN."""
    good = replicates[~np.isnan(replicates)]
    if len(good) < 0.95 * len(replicates) or not len(good):
        return float("nan"), float("nan")
    low, high = np.quantile(good, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def too_small(blocks: int, independent_positives: int) -> bool:
    """Whether there is too little to give an interval at all: under 20 blocks or 20 independent positives."""
    return blocks < FEWEST_BLOCKS or independent_positives < FEWEST_POSITIVES
