"""Point metrics of ranked predictions: AUROC and step-wise average precision, with exact ties."""

import numpy as np


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; tied scores count one half. NaN if one class is absent.

    Args:
        labels: bool (n,).
        scores: float (n,), higher means more likely positive.

    Source: Hanley and McNeil 1982, Radiology 143:29 (the Mann-Whitney statistic).
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(counts) - (counts - 1) / 2
    return float((middle_rank[inverse][labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Average precision: sum over distinct thresholds of recall gained times precision, without interpolation.

    Tied scores share one threshold. NaN if one class is absent (an AP of 1 on positives alone says nothing).

    Args:
        labels: bool (n,).
        scores: float (n,), higher means more likely positive.
    """
    positives = int(labels.sum())
    if not positives or positives == len(labels):
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_tie = np.r_[np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1]
    found = np.cumsum(labels[order])[last_of_tie]
    precision = found / (last_of_tie + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / positives)


METRICS = {"auroc": auroc, "average_precision": average_precision}
