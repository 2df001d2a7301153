"""k-mer counts, each with its reverse complement: the baseline that deep models most often fail to beat."""

import numpy as np

from regdna.alphabet import N


def canonical(k: int) -> tuple[np.ndarray, int]:
    """Column of each k-mer, int64 (4**k,), shared with its reverse complement; and the number of columns."""
    words = np.arange(4**k)
    reverse, left = np.zeros_like(words), words.copy()
    for _ in range(k):
        reverse = reverse * 4 + (3 - left % 4)
        left //= 4
    found, column = np.unique(np.minimum(words, reverse), return_inverse=True)
    return column, len(found)


def features(codes: np.ndarray, position: np.ndarray, parameters: dict) -> np.ndarray:
    """Share of each canonical k-mer among a window's k-mers without N, float64 (n, columns).

    Args:
        codes: uint8 (n, L).
        position: not used.
        parameters: ``k``.
    """
    k = parameters["k"]
    column, columns = canonical(k)
    starts = codes.shape[1] - k + 1
    word = np.zeros((len(codes), starts), np.int64)
    unknown = np.zeros(word.shape, bool)
    for i in range(k):
        base = codes[:, i : i + starts]
        unknown |= base == N
        word = word * 4 + np.minimum(base, 3)
    place = column[word] + columns * np.arange(len(codes))[:, None]
    counts = np.bincount(place[~unknown], minlength=columns * len(codes)).reshape(len(codes), columns)
    return counts / np.maximum((~unknown).sum(1, keepdims=True), 1)
