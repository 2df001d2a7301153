"""Predictions of a trained model on the windows of a part."""

import numpy as np

from regdna.models.classifier import Classifier, probability
from regdna.step import progress
from regdna.windows import Sequences

ROWS = 2048


def predict(classifier: Classifier, sequences: Sequences, rows: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Probabilities, float32 (n, T), forward and reverse complement averaged, in the order of ``rows``.

    Args:
        sequences: of every window of the dataset.
        rows: row numbers.
        position: centre of those windows in bp, float (n,).
    """
    out = np.empty((len(rows), len(classifier.about["targets"])), np.float32)
    show = progress(len(rows), "predicting")
    for at in range(0, len(rows), ROWS):
        part = slice(at, at + ROWS)
        out[part] = probability(classifier.strands(sequences[rows[part]], position[part])).mean(0)
        show(min(at + ROWS, len(rows)))
    return out
