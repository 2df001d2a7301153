"""Block bootstrap of AUROC and average precision: one sort per target, counts shared by all targets and models.

Source: Efron and Tibshirani 1993; resampling whole genomic blocks keeps neighbouring windows together.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
from scipy.special import chdtri, ndtr, ndtri

from regdna.metrics import ends_of_ties

FEWEST_BLOCKS = 20
FEWEST_POSITIVES = 20
WIDTH = 64  # replicates swept together: one cache line of counts
LINE = 64  # bytes
RUN = 256  # rows whose counts, of 255 at most, add up within 16 bits


def key_seed(key: str) -> int:
    """A 64-bit seed that stands for a text."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def draw_counts(blocks: int, replicates: int, key: str) -> np.ndarray:
    """How often each block is drawn in each replicate, uint8 (blocks, replicates).

    The same ``key`` and number of blocks give the same draws, so that models judged on one set of windows are compared on
    the same resamples. A replicate does not depend on how many there are.
    """
    # Rows begin on a cache line, and an odd number of lines apart: at a power of two they would all fall into a few sets of the cache.
    stride = LINE * (-(-replicates // LINE) | 1)
    memory = np.zeros(blocks * stride + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    counts = memory[first : first + blocks * stride].reshape(blocks, stride)[:, :replicates]
    _draw(counts, np.uint64(key_seed(key)))
    return counts


@numba.njit(cache=True, nogil=True)
def _draw(counts, seed):
    """Fill ``counts`` with draws of SplitMix64 (Steele, Lea and Flood 2014), a stream a replicate.

    No count can pass 255: with up to 255 blocks there are no more draws, and with more it is likelier that the memory fails.
    """
    blocks, replicates = counts.shape
    drawn = np.empty((WIDTH, blocks), np.uint8)  # a replicate's counts side by side, which a cache holds
    for first in range(0, replicates, WIDTH):
        width = min(WIDTH, replicates - first)
        drawn[:] = 0
        for one in range(width):
            mine = drawn[one]
            state = _mix(seed + np.uint64(first + one) * np.uint64(0xD1342543DE82EF95))
            for _ in range(blocks):
                state += np.uint64(0x9E3779B97F4A7C15)
                share = (_mix(state) >> np.uint64(11)) * 2.0**-53
                mine[np.int64(share * blocks)] += 1
        for block in range(blocks):
            for one in range(width):
                counts[block, first + one] = drawn[one, block]


@numba.njit(cache=True, nogil=True)
def _mix(state):
    """SplitMix64's scrambling of a 64-bit state."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def replicate(labels: np.ndarray, scores: np.ndarray, block: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision of every replicate, float64 (replicates,) each; NaN where a class is not drawn.

    Args:
        labels: bool (n,).
        scores: float (n,); ties are exact.
        block: index of each row's block, int (n,).
        counts: from ``draw_counts``.
    """
    order = np.argsort(scores)[::-1]
    ends, truth = ends_of_ties(scores[order]), labels[order]
    held = np.add.reduceat(truth, np.r_[0, ends[:-1]], dtype=np.int64) > 0 if len(ends) else np.zeros(0, bool)
    # Between two ties with positives the order does not matter: negatives there are one run.
    kept = held | np.r_[held[1:], True][: len(held)]
    return _sweep(truth, ends[kept], held[kept], np.asarray(block, np.int32)[order], counts)


@numba.njit(cache=True, nogil=True)
def _sweep(labels, ends, held, block, counts):
    """Walk down the ranking once for each group of replicates, adding up what each tie of scores contributes.

    All but the divisions of average precision are sums of whole numbers, which float64 holds exactly.
    """
    replicates = counts.shape[1]
    auroc, precision = np.empty(replicates), np.empty(replicates)
    for first in range(0, replicates, WIDTH):
        width = min(WIDTH, replicates - first)
        part = counts[:, first : first + width]
        waiting = np.zeros(width, np.uint16)  # negatives not yet in ``false``
        true, false = np.zeros(width), np.zeros(width)
        tied_true, tied_false = np.zeros(width), np.zeros(width)
        area, summed = np.zeros(width), np.zeros(width)
        row = 0
        for run in range(len(ends)):
            end = ends[run]
            if not held[run]:
                for begin in range(row, end, RUN):
                    _add(part, block[begin : min(begin + RUN, end)], waiting)
                    for i in range(width):
                        false[i] += waiting[i]
                        waiting[i] = 0
                row = end
                continue
            if end - row == 1:
                drawn = part[block[row]]
                for i in range(width):
                    now = np.float64(drawn[i])
                    area[i] += now * false[i]
                    true[i] += now
                    summed[i] += now * true[i] / max(true[i] + false[i], 1.0)
            else:
                tied_true[:] = 0
                tied_false[:] = 0
                for one in range(row, end):
                    tied = tied_true if labels[one] else tied_false
                    drawn = part[block[one]]
                    for i in range(width):
                        tied[i] += drawn[i]
                for i in range(width):
                    area[i] += tied_true[i] * (false[i] + 0.5 * tied_false[i])
                    true[i] += tied_true[i]
                    false[i] += tied_false[i]
                    summed[i] += tied_true[i] * true[i] / max(true[i] + false[i], 1.0)
            row = end
        for i in range(width):
            both = true[i] > 0 and false[i] > 0
            auroc[first + i] = 1 - area[i] / (true[i] * false[i]) if both else np.nan
            precision[first + i] = summed[i] / true[i] if both else np.nan
    return auroc, precision


@numba.njit(cache=True, nogil=True)
def _add(counts, block, waiting):
    """Add the counts of some rows; at a full width, which the compiler then knows, nearly all of the time is spent here."""
    if len(waiting) == WIDTH:
        for one in block:
            drawn = counts[one]
            for i in range(WIDTH):
                waiting[i] += drawn[i]
    else:
        for one in block:
            drawn = counts[one]
            for i in range(len(waiting)):
                waiting[i] += drawn[i]


def influence(labels: np.ndarray, scores: np.ndarray, block: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """How AUROC and average precision change with the weight of each block, float64 (blocks,) each; zeros where a class is absent.

    The derivative by the weight of every row, summed over a block's: the infinitesimal jackknife (Efron and Tibshirani 1993, 22.6).
    """
    order = np.argsort(scores)[::-1]
    ends = ends_of_ties(scores[order])
    return _influence(labels[order], ends, np.asarray(block, np.int32)[order], blocks)


@numba.njit(cache=True, nogil=True)
def _influence(labels, ends, block, blocks):
    """As ``influence``, of rows in the order of the ranking."""
    auroc, precision = np.zeros(blocks), np.zeros(blocks)
    positives, ties = 0, len(ends)
    for one in labels:
        positives += one
    negatives = len(labels) - positives
    if not positives or not negatives:
        return auroc, precision
    true, false, gain = np.zeros(ties + 1), np.zeros(ties + 1), np.zeros(ties)
    row = 0
    for tie in range(ties):
        for one in range(row, ends[tie]):
            gain[tie] += labels[one]
        true[tie + 1] = true[tie] + gain[tie]
        false[tie + 1] = ends[tie] - true[tie + 1]
        row = ends[tie]
    area, whole = 0.0, 0.0
    for tie in range(ties):
        area += gain[tie] * (false[tie] + 0.5 * (false[tie + 1] - false[tie]))
        whole += gain[tie] * true[tie + 1] / ends[tie]
    area = 1 - area / (positives * negatives)
    whole /= positives
    # What positives at or below a rank lose or gain where another row at or above it weighs more.
    lost, won = 0.0, 0.0
    for tie in range(ties - 1, -1, -1):
        row = ends[tie - 1] if tie else 0
        lost += gain[tie] * true[tie + 1] / ends[tie] ** 2
        won += gain[tie] * false[tie + 1] / ends[tie] ** 2
        below = negatives - 0.5 * (false[tie] + false[tie + 1])
        above = 0.5 * (true[tie] + true[tie + 1])
        for one in range(row, ends[tie]):
            if labels[one]:
                auroc[block[one]] += (below / negatives - area) / positives
                precision[block[one]] += (true[tie + 1] / ends[tie] + won - whole) / positives
            else:
                auroc[block[one]] += (above / positives - area) / negatives
                precision[block[one]] -= lost / positives
    return auroc, precision


def resampled(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums over the blocks that each replicate draws, float64 (replicates, k).

    Args:
        sums: of each block, float (blocks, k).
        counts: from ``draw_counts``.
    """
    return _weighted(np.ascontiguousarray(sums, np.float64), counts).T


@numba.njit(cache=True, nogil=True)
def _weighted(sums, counts):
    """As ``resampled``, (k, replicates)."""
    out = np.zeros((sums.shape[1], counts.shape[1]))
    for block in range(len(sums)):
        drawn = counts[block]
        for kind in range(sums.shape[1]):
            value = sums[block, kind]
            if value:
                mine = out[kind]
                for i in range(len(mine)):
                    mine[i] += value * drawn[i]
    return out


@dataclass(frozen=True)
class Seeds:
    """What a mean over seeds owes to which seeds there were.

    Attributes:
        key: names the draws that stand for other seeds, the same wherever the model is compared.
        number: of seeds.
        error: variance of their mean on these windows, float (...).
        shared: the part of the blocks' variance that is in ``error`` too: what is new in every window for every seed, float (...).
        weight: of the mean in what is looked at: 1, or -1 where it is taken off.
    """

    key: str
    number: int
    error: np.ndarray
    shared: np.ndarray
    weight: float = 1.0

    def __getitem__(self, columns: np.ndarray) -> "Seeds":
        return replace(self, error=self.error[columns], shared=self.shared[columns])

    @classmethod
    def of(cls, key: str, values: np.ndarray, drawn: np.ndarray) -> "Seeds":
        """From values of the seeds, float (seeds, ...), and their replicates, (seeds, count, ...).

        Seeds differ more in a resample than in the windows themselves, by the variance that seed and window have together.
        """
        number = len(values)
        if number == 1:
            return cls(key, 1, np.zeros_like(values[0]), np.zeros_like(values[0]))
        apart, resampled = values.var(0, ddof=1), drawn.var(0, ddof=1)
        good = ~np.isnan(resampled)
        within = np.where(good, resampled, 0).sum(0) / np.maximum(good.sum(0), 1)
        # Seeds that are alike have nothing counted twice.
        return cls(key, number, apart / number, np.where(apart > 0, np.maximum(within - apart, 0), 0) / number)


def with_seeds(replicates: np.ndarray, value: np.ndarray | float, seeds: Sequence[Seeds], blocks: np.ndarray | int) -> np.ndarray:
    """Replicates over blocks and seeds, from those over blocks of a sum or difference of means over seeds.

    Replicates are put about the value first: average precision of a resample lies above that of what is resampled, as that of few
    windows lies above that of many, and a percentile interval would count this twice. The interval is then one for test parts of this size.

    Each mean of a few seeds lies about the mean of all that could be, by the standard error of those seeds; a replicate is moved by a
    normal draw of it for each model. What blocks and what seeds move is each stretched by a draw that makes it Student's t, with the
    degrees of freedom of either: n - 1 for n seeds of one model. One seed says nothing of others, and moves nothing.

    Args:
        replicates: float (count, ...).
        value: of the windows as they are, float (...).
        seeds: of every model.
        blocks: that were resampled, int (...).
    """
    deviation = replicates - np.nanmean(replicates, axis=0)
    whole = np.nanvar(deviation, axis=0, ddof=1)
    (common, free), *parts = variances(whole, seeds, blocks)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = deviation * np.where(whole > 0, np.sqrt(common / whole), 1.0) * _stretch("blocks", free, replicates.shape)
    moved = np.zeros_like(deviation)
    for one in seeds:
        draws = np.random.default_rng(key_seed(one.key)).standard_normal(len(replicates))
        moved += np.multiply.outer(one.weight * draws, np.sqrt(one.error))
    return value + deviation + moved * _stretch("seeds", satterthwaite(parts), replicates.shape)


def over_seeds(drawn: np.ndarray, values: np.ndarray, key: str, blocks: np.ndarray | int) -> np.ndarray:
    """Replicates over blocks and seeds of one model's mean over seeds, float (count, ...), as of ``with_seeds``.

    Args:
        drawn: replicates over blocks of each seed, float (seeds, count, ...).
        values: of the seeds on the windows as they are, float (seeds, ...).
        key: names the draws that stand for other seeds.
        blocks: that were resampled, int (...).
    """
    return with_seeds(drawn.mean(0), values.mean(0), [Seeds.of(key, values, drawn)], blocks)


def _stretch(key: str, freedom: np.ndarray | int, shape: tuple) -> np.ndarray:
    """What makes normal draws those of Student's t, float (count, ...) of that shape; alike for all that is compared."""
    chance = np.random.default_rng(key_seed(key)).random(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    return np.sqrt(freedom / chdtri(freedom, chance))


def variances(over_blocks: np.ndarray, seeds: Sequence[Seeds], blocks: np.ndarray | int) -> list[tuple[np.ndarray, np.ndarray | int]]:
    """Independent parts of a variance with their degrees of freedom: of blocks, less what seeds have in theirs; then of each model's seeds.

    Args:
        over_blocks: variance of replicates over blocks, float (...).
    """
    shared = sum((one.weight**2 * one.shared for one in seeds), np.zeros_like(over_blocks))
    parts = [(np.maximum(over_blocks - shared, 0), np.asarray(blocks) - 1)]
    return parts + [(one.weight**2 * one.error, one.number - 1) for one in seeds if one.number > 1]


def satterthwaite(parts: list[tuple[np.ndarray, np.ndarray | int]]) -> np.ndarray:
    """Degrees of freedom of a sum of estimated variances, each given with its own; one where there is no variance.

    Source: Satterthwaite 1946, Biometrics Bull 2:110.
    """
    whole = sum((variance for variance, _ in parts), np.zeros(()))
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = whole**2 / sum(variance**2 / np.maximum(free, 1) for variance, free in parts)
    return np.asarray(np.where(whole > 0, freedom, 1.0))


def interval(replicates: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of replicates, NaN ones left out; NaN bounds if more than one in twenty is NaN."""
    good = replicates[~np.isnan(replicates)]
    if len(good) < 0.95 * len(replicates) or not len(good):
        return float("nan"), float("nan")
    low, high = np.quantile(good, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def acceleration(influence: np.ndarray) -> float:
    """How skewed an estimate is, from the ``influence`` of each block, float (blocks,); NaN where none has any (Efron 1987, eq. 4.4)."""
    spread = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * spread**1.5) if spread else float("nan")


def accelerated(replicates: np.ndarray, value: float, skew: float, level: float = 0.95) -> tuple[float, float]:
    """BCa interval: corrected for bias and skew (Efron 1987, J Am Stat Assoc 82:171); NaN bounds where ``interval`` has them.

    Args:
        replicates: float (count,).
        value: of the windows as they are.
        skew: from ``acceleration``.
    """
    good = replicates[~np.isnan(replicates)]
    below = ((good < value).sum() + 0.5 * (good == value).sum()) / max(len(good), 1)
    if len(good) < 0.95 * len(replicates) or np.isnan(skew) or not 0 < below < 1:
        return float("nan"), float("nan")
    bias = ndtri(below)
    normal = bias + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(good, ndtr(bias + normal / (1 - skew * normal)))
    return float(low), float(high)


def too_small(blocks: int, independent_positives: int) -> bool:
    """Whether there is too little to give an interval at all: under 20 blocks or 20 independent positives."""
    return blocks < FEWEST_BLOCKS or independent_positives < FEWEST_POSITIVES
