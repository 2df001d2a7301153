"""DeLong's variance of AUROC, of rows that are independent: a cross-check of the bootstrap.

Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837, by mid-ranks (Sun and Xu 2014, IEEE Signal Process Lett 21:1389).
"""

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata


def covariance(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC of several scores of the same rows, float64 (m,), and their covariance, (m, m).

    Args:
        labels: bool (n,); at least two of each class.
        scores: float (m, n).

    Raises:
        ValueError: fewer than two rows of a class.
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if min(positives, negatives) < 2:
        raise ValueError(f"{positives} positives and {negatives} negatives; at least two of each are needed")
    among_all = rankdata(scores, axis=1)
    above = (among_all[:, labels] - rankdata(scores[:, labels], axis=1)) / negatives
    below = 1 - (among_all[:, ~labels] - rankdata(scores[:, ~labels], axis=1)) / positives
    spread = np.atleast_2d(np.cov(above)) / positives + np.atleast_2d(np.cov(below)) / negatives
    return above.mean(1), spread


def mean_interval(labels: np.ndarray, scores: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Normal interval of the mean AUROC of several scores of the same rows, such as those of seeds; NaN bounds under two rows of a class.

    Args:
        labels: bool (n,).
        scores: float (m, n).
    """
    if min(labels.sum(), (~labels).sum()) < 2:
        return float("nan"), float("nan")
    value, spread = covariance(labels, scores)
    half = ndtri((1 + level) / 2) * np.sqrt(spread.mean())
    return float(value.mean() - half), float(value.mean() + half)
