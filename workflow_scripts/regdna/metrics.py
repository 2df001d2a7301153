"""Point metrics of predictions: how well they rank (AUROC, average precision), decide (MCC) and mean what they say (Brier, ECE)."""

import numba
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit

BINS = 15
COLDEST, HOTTEST = 0.05, 20.0
SMALLEST = 1e-7  # float32 probabilities are no closer to 0 or 1 than that tells
ROWS = 4096  # windows that are laid out at a time
ENOUGH = 2_000_000  # labels that a temperature is fitted on at most
TALLIES = 4 + 2 + 2 * 3 * BINS


def ranking(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """AUROC and average precision from one sort, equal to those of the functions below.

    Args:
        labels: bool (n,).
        scores: float (n,), higher means more likely positive.
    """
    order = np.argsort(scores)[::-1]
    ends = ends_of_ties(scores[order])
    return _of_ties(np.cumsum(labels[order])[ends - 1], ends)


def ends_of_ties(ranked: np.ndarray) -> np.ndarray:
    """Where each run of equal values ends, int64 (ties,), of values in order (n,)."""
    return np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], np.ones(min(len(ranked), 1), bool)]) + 1


def _of_ties(found: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """AUROC and average precision from the positives and the rows down to the end of each tie, int (ties,) each."""
    positives, rows = int(found[-1]) if len(found) else 0, int(seen[-1]) if len(seen) else 0
    if not positives or positives == rows:
        return float("nan"), float("nan")
    gained = np.diff(found, prepend=0)
    false = seen - found
    above = false - 0.5 * np.diff(false, prepend=0)
    auroc = 1 - float((gained * above).sum()) / (positives * (rows - positives))
    return auroc, float((gained * (found / seen)).sum()) / positives


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; tied scores count one half. NaN if one class is absent.

    Args:
        labels: bool (n,).
        scores: float (n,), higher means more likely positive.

    Source: Hanley and McNeil 1982, Radiology 143:29 (the Mann-Whitney statistic).
    """
    return ranking(labels, scores)[0]


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Average precision: sum over distinct thresholds of recall gained times precision, without interpolation.

    Tied scores share one threshold. NaN if one class is absent (an AP of 1 on positives alone says nothing).

    Args:
        labels: bool (n,).
        scores: float (n,), higher means more likely positive.
    """
    return ranking(labels, scores)[1]


def pooled(labels: np.ndarray, scores: np.ndarray, known: np.ndarray | None, targets: list[int]) -> tuple[float, float]:
    """AUROC and average precision of all windows and some targets in one ranking (micro average).

    Args:
        labels: bool (n, T).
        scores: float32 (n, T), probabilities.
        known: bool (n, T), or None: all are.
        targets: columns.
    """
    # Floats from 0 to 1 sort as their bits do and leave two bits free: the label goes into the lowest, and one sort in place is all.
    keys = np.empty(len(scores) * len(targets) if known is None else int(known[:, targets].sum()), np.uint32)
    at = 0
    for begin in range(0, len(scores), ROWS):
        rows = slice(begin, begin + ROWS)
        some = (np.ascontiguousarray(scores[rows][:, targets]).view(np.uint32) << np.uint32(1)) | labels[rows][:, targets]
        some = some.ravel() if known is None else some[known[rows][:, targets]]
        keys[at : at + len(some)] = some
        at += len(some)
    keys.sort()
    return _of_keys(keys)


@numba.njit(cache=True, nogil=True)
def _of_keys(keys):
    """AUROC and average precision of scores with their labels in the lowest bit, uint32 (n,), ascending; nothing of that size is made."""
    true, false, tied_true, tied_false, above, summed = 0, 0, 0, 0, 0.0, 0.0
    for at in range(len(keys) - 1, -1, -1):
        if keys[at] & np.uint32(1):
            tied_true += 1
        else:
            tied_false += 1
        if at == 0 or keys[at] >> np.uint32(1) != keys[at - 1] >> np.uint32(1):
            above += tied_true * (false + 0.5 * tied_false)
            true += tied_true
            false += tied_false
            summed += tied_true * (true / (true + false))
            tied_true, tied_false = 0, 0
    if not true or not false:
        return np.nan, np.nan
    return 1 - above / (np.float64(true) * false), summed / true


def best_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """The score from which on calling windows positive gives the highest MCC; NaN if one class is absent.

    Of equally good ones the highest. It is a score that was seen, so that ``scores >= threshold`` decides alike everywhere.

    Args:
        labels: bool (n,).
        scores: float (n,).
    """
    positives = int(labels.sum())
    if not positives or positives == len(labels):
        return float("nan")
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    ends = ends_of_ties(ranked)
    true = np.cumsum(labels[order])[ends - 1].astype(float)
    false = ends - true
    return float(ranked[ends[np.argmax(mcc(true, false, positives - true, len(labels) - positives - false))] - 1])


def mcc(true: np.ndarray, false: np.ndarray, missed: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """Matthews' correlation coefficient; 0 where a row or column of the table is empty.

    Args:
        true, false: called positive rightly and wrongly, float (...).
        missed, rejected: called negative wrongly and rightly.

    Source: Matthews 1975, Biochim Biophys Acta 405:442.
    """
    below = (true + false) * (true + missed) * (rejected + false) * (rejected + missed)
    return np.where(below > 0, (true * rejected - false * missed) / np.sqrt(np.where(below > 0, below, 1.0)), 0.0)


def temperature(labels: np.ndarray, probabilities: np.ndarray, known: np.ndarray | None, exclusive: bool) -> float:
    """What log-odds are divided by so that validation labels are likeliest; 1 where there is nothing to fit.

    Args:
        labels: bool (n, T), of validation windows.
        probabilities: float32 (n, T).
        known: bool (n, T), or None: all are.
        exclusive: the targets are classes of which each window has one.

    Source: Guo et al. 2017, ICML, "On calibration of modern neural networks". One temperature for all targets.
    """
    rows = slice(None, None, max(-(-labels.size // ENOUGH), 1))
    labels, odds = labels[rows], raw(probabilities[rows], exclusive)
    if not labels.size or (known is not None and not known[rows].any()):
        return 1.0

    def loss(log_heat: float) -> float:
        warm = odds / np.exp(log_heat)
        if exclusive:
            return -float(log_softmax(warm, 1)[labels].mean())
        each = np.logaddexp(0, np.where(labels, -warm, warm))
        return float(each.mean() if known is None else each[known[rows]].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded").x))


def raw(probabilities: np.ndarray, exclusive: bool) -> np.ndarray:
    """Logits that give probabilities, float64 (n, T), up to a constant a window where targets exclude each other."""
    held = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return np.log(held) if exclusive else logit(held)


def softened(probabilities: np.ndarray, heat: float, exclusive: bool) -> np.ndarray:
    """Probabilities after temperature scaling, float64 of the same shape; (n, T) where targets exclude each other."""
    odds = raw(probabilities, exclusive) / heat
    return np.exp(log_softmax(odds, 1)) if exclusive else expit(odds)


def tally(labels: np.ndarray, scores: np.ndarray, scaled: np.ndarray, threshold: float) -> np.ndarray:
    """Sums that MCC, Brier score and calibration error are made of, float64 (TALLIES,): they add up over windows and targets.

    Args:
        labels: bool (n,).
        scores, scaled: probabilities, float (n,), before and after temperature scaling.
        threshold: of ``scores``.
    """
    called = scores >= threshold
    scores = scores.astype(np.float64)  # squares of float32 would err by what scikit-learn's do not
    table = [(labels & called).sum(), (~labels & called).sum(), (labels & ~called).sum(), (~labels & ~called).sum()]
    errors = [((one - labels) ** 2).sum() for one in (scores, scaled)]
    bins = [np.bincount(binned(one), weights, BINS) for one in (scores, scaled) for weights in (None, one, labels)]
    return np.concatenate([table, errors, *bins]).astype(np.float64)


def binned(scores: np.ndarray) -> np.ndarray:
    """Which of the equally wide bins from 0 to 1 each probability falls in, int64 (n,)."""
    return np.minimum((scores * BINS).astype(np.int64), BINS - 1)


def from_tally(sums: np.ndarray) -> dict[str, float]:
    """MCC, Brier score and expected calibration error (Guo et al. 2017, 15 bins), the latter two before and after scaling.

    Args:
        sums: from ``tally``, or a sum of such, float64 (TALLIES,).
    """
    windows = sums[:4].sum()
    bins = sums[6:].reshape(2, 3, BINS)
    errors = np.abs(bins[:, 1] - bins[:, 2]).sum(1) / windows
    return {"mcc": float(mcc(*sums[:4])), "brier": sums[4] / windows, "brier_scaled": sums[5] / windows,
            "ece": errors[0], "ece_scaled": errors[1]}  # fmt: skip


METRICS = {"auroc": auroc, "average_precision": average_precision}
RANKING = tuple(METRICS)
TALLIED = ("mcc", "brier", "brier_scaled", "ece", "ece_scaled")
