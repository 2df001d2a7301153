"""The effect of deleting each base of a locus."""

import numpy as np

from regdna.alphabet import N
from regdna.models.classifier import Classifier
from regdna.step import progress

ROWS = 512  # windows that are computed at a time


def delete(classifier: Classifier, codes: np.ndarray, starts: list[int], length: int, first: int, last: int, begin: int) -> np.ndarray:
    """Effects of deleting each of some bases, averaged over windows, both strands, and both ends that a base can come in from.

    Args:
        codes: sequence around the bases, uint8 (n,).
        starts: indices into it where windows begin; at least one base lies before and behind each window.
        length: of a window in bp.
        first, last: indices of the bases to delete (half-open), within every window.
        begin: coordinate of the first of ``codes``, 0-based.

    Returns:
        Float64 (last - first, T): the difference in log-odds, NaN where the base is N. What is missing is made up for by the next base
        behind the window, and in a second window by the one before it; of a run of equal bases each has the same effect.
    """
    effect = 0.0
    show, done = progress(len(starts) * (last - first), "deleting", "bases"), 0
    for start in starts:
        position = begin + start + length / 2
        reference = classifier.strands(codes[None, start : start + length], np.array([position]))
        rows = []
        for some in np.array_split(np.arange(first, last), max(-(-2 * (last - first) // ROWS), 1)):
            behind = [np.delete(codes[start : start + length + 1], at - start) for at in some]
            before = [np.delete(codes[start - 1 : start + length], at - start + 1) for at in some]
            odds = classifier.strands(np.array(behind + before), np.full(2 * len(some), position))
            rows.append((odds - reference).reshape(2, 2, len(some), -1).mean((0, 1)))
            done += len(some)
            show(done)
        effect = effect + np.concatenate(rows) / len(starts)
    effect[codes[first:last] == N] = np.nan
    return effect
