"""A trained model as every later step sees it: log-odds of each target from codes."""

import json
from pathlib import Path

import numpy as np

from regdna import models
from regdna.alphabet import reverse_complement


def log_odds(logits: np.ndarray, exclusive: bool) -> np.ndarray:
    """Log-odds of each target, float64 (n, T): the logits themselves, or those of a softmax against all others."""
    if not exclusive:
        return logits
    odds = np.empty_like(logits)
    for target in range(logits.shape[1]):
        others = np.delete(logits, target, 1)
        top = others.max(1)
        odds[:, target] = logits[:, target] - (top + np.log(np.exp(others - top[:, None]).sum(1)))
    return odds


def probability(odds: np.ndarray) -> np.ndarray:
    """The logistic function of log-odds, without overflow."""
    half = np.exp(-np.abs(odds))
    return np.where(odds >= 0, 1, half) / (1 + half)


class Classifier:
    """A checkpoint folder, opened.

    Attributes:
        about: its ``about.json``: architecture, parameters, targets, labels, length, seed, split digest.
        exclusive: whether its targets exclude each other.
        logits: called with codes, uint8 (n, L), and positions, float (n,) in bp or ``regdna.windows.Places``, gives logits, float64
            (n, T); of a network it is a ``regdna.models.network.Opened``, which has the network.

    Args:
        folder: ``results/{study}/{dataset}/{model}/seed{seed}/checkpoint``.
    """

    def __init__(self, folder: Path):
        self.about = json.loads((folder / "about.json").read_text())
        if models.ARCHITECTURES[self.about["architecture"]].family == "row zero":
            from regdna.models import linear as kind
        else:
            from regdna.models import network as kind
        self.exclusive = self.about["labels"] == "exclusive"
        self.logits = kind.opened(folder, self.about)

    def log_odds(self, codes: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Log-odds of each target on the strand given, float64 (n, T).

        Args:
            codes: uint8 (n, L) with L the length the model was trained on.
            position: centre of each window on its chromosome in bp, float (n,), or ``regdna.windows.Places``.
        """
        return log_odds(self.logits(codes, position), self.exclusive)

    def strands(self, codes: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Log-odds on the strand given and on the other, float64 (2, n, T)."""
        return np.stack([self.log_odds(codes, position), self.log_odds(reverse_complement(codes), position)])
