"""Predictions of a trained model on the windows of a part."""

import numpy as np

from regdna.models.classifier import Classifier, probability
from regdna.step import progress
from regdna.windows import Places, Sequences

ROWS = 2048


class Strands:
    """How well a model's probabilities of a window agree with those of its reverse complement, gathered batch by batch."""

    def __init__(self, targets: int):
        self._rows, self._sums, self._apart = 0, np.zeros((5, targets)), np.zeros(targets)

    def add(self, both: np.ndarray) -> None:
        """Take in probabilities of either strand, float (2, n, T)."""
        one, other = both.astype(np.float64)
        self._rows += len(one)
        self._sums += [one.sum(0), other.sum(0), (one**2).sum(0), (other**2).sum(0), (one * other).sum(0)]
        self._apart += np.abs(one - other).sum(0)

    def summary(self) -> dict[str, list[float | None]]:
        """By target ``correlation`` (Pearson's, None where a strand gives all windows the same) and ``difference`` (mean absolute)."""
        one, other, one_square, other_square, product = self._sums / max(self._rows, 1)
        spread = np.stack([one_square - one**2, other_square - other**2])
        # What is left of a constant is rounding.
        varies = (spread > 1e-12 * np.stack([one_square, other_square])).all(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.clip((product - one * other) / np.sqrt(spread[0] * spread[1]), -1, 1)
        apart = self._apart / max(self._rows, 1)
        return {"correlation": [float(value) if good else None for value, good in zip(found, varies, strict=True)],
                "difference": apart.tolist()}  # fmt: skip


def predict(
    classifier: Classifier, sequences: Sequences, rows: np.ndarray, position: np.ndarray | Places, strands: Strands | None = None
) -> np.ndarray:
    """Probabilities, float32 (n, T), forward and reverse complement averaged, in the order of ``rows``.

    Args:
        sequences: of every window of the dataset.
        rows: row numbers.
        position: centre of those windows in bp, float (n,), or where they lie.
        strands: told of both strands' probabilities, if given.
    """
    out = np.empty((len(rows), len(classifier.about["targets"])), np.float32)
    show = progress(len(rows), "predicting")
    for at in range(0, len(rows), ROWS):
        part = slice(at, at + ROWS)
        both = probability(classifier.strands(sequences[rows[part]], position[part]))
        out[part] = both.mean(0)
        if strands:
            strands.add(both)
        show(min(at + ROWS, len(rows)))
    return out
