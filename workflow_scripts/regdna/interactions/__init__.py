"""Interactions: what a pair of changes does beyond the sum of the two alone, in a model's logits.

Epistasis is f(both) - f(one) - f(other) + f(neither), in natural-log odds. Motif pairs are planted into shuffled windows (``planted``), the
strongest substitutions of a locus are made in pairs (``loci``), and ``claims`` says what is more than chance.
"""

import numpy as np

from regdna.alphabet import reverse_complement
from regdna.models.classifier import Classifier
from regdna.predict import ROWS


def logits(classifier: Classifier, codes: np.ndarray, position: np.ndarray) -> np.ndarray:
    """What epistasis is computed from: logits, the mean of both strands, float64 (n, T).

    Of targets that exclude each other a model fixes logits but for a number that it may add to all; here their mean is 0, so that a logit
    is the logarithm of a probability over the geometric mean of all. A linear model is linear in it, as it is not in log-odds against all
    other targets.

    Args:
        codes: uint8 (n, L).
        position: centre of each window on its chromosome in bp, float (n,).
    """
    out = np.empty((len(codes), len(classifier.about["targets"])))
    for at in range(0, len(codes), ROWS):
        some, where = codes[at : at + ROWS], position[at : at + ROWS]
        out[at : at + ROWS] = (classifier.logits(some, where) + classifier.logits(reverse_complement(some), where)) / 2
    return out - out.mean(1, keepdims=True) if classifier.exclusive else out
