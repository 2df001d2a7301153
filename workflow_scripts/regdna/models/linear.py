"""Logistic regression on standardised features: what row zero and every probe are made of."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

from regdna import models
from regdna.arrays import read_tensors


def fit_logistic(
    features: np.ndarray, labels: np.ndarray, exclusive: bool, l2: float, known: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit by L-BFGS and give the linear map from raw features to logits.

    Args:
        features: float (n, F), training rows only: the scaler is fitted on them.
        labels: bool (n, T).
        exclusive: one softmax over the targets, else one sigmoid each.
        l2: strength of the penalty, as 1/C of scikit-learn on standardised features.
        known: labels that count, bool (n, T), where targets do not exclude each other; None for all.

    Returns:
        weight, float64 (T, F), and bias, float64 (T,), with the scaler folded in. A target with one class in training
        gets no weight and the log-odds of its smoothed prevalence.
    """
    mean, scale = features.mean(0), features.std(0)
    scale[scale <= 1e-12 * np.abs(mean)] = 1  # a constant feature; its sum of squares is rounding, not spread
    scaled = (features - mean) / scale
    weight, bias = np.zeros((labels.shape[1], features.shape[1])), np.zeros(labels.shape[1])
    if exclusive:
        classes = labels.argmax(1)
        present = np.unique(classes)
        if len(present) > 1:
            model = LogisticRegression(C=1 / l2, max_iter=300).fit(scaled, classes)
            # scikit-learn gives one row for two classes: the second's.
            rows = present[1:] if len(present) == 2 else present
            weight[rows], bias[rows] = model.coef_, model.intercept_
        bias[np.setdiff1d(np.arange(len(bias)), present)] = -np.log(2 * len(labels))
    else:
        for target in range(labels.shape[1]):
            rows = slice(None) if known is None else known[:, target]
            truth = labels[rows, target]
            if 0 < truth.sum() < len(truth):
                model = LogisticRegression(C=1 / l2, max_iter=300).fit(scaled[rows], truth)
                weight[target], bias[target] = model.coef_[0], model.intercept_[0]
            else:
                bias[target] = np.log((truth.sum() + 0.5) / (len(truth) - truth.sum() + 0.5))
    weight = weight / scale
    return weight, bias - weight @ mean


def save(folder: Path, about: dict, weight: np.ndarray, bias: np.ndarray) -> None:
    """Write a checkpoint: ``about.json`` and ``model.safetensors`` with weight (T, F) and bias (T,)."""
    save_tensors(folder, about, {"weight": weight, "bias": bias})


def save_tensors(folder: Path, about: dict, tensors: dict[str, np.ndarray]) -> None:
    """Write a checkpoint of any of row zero: ``about.json`` and ``model.safetensors``."""
    save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, folder / "model.safetensors")
    (folder / "about.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


def opened(folder: Path, about: dict) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function from codes, uint8 (n, L), and positions, float (n,) in bp, to logits, float64 (n, T)."""
    tensors, kind = read_tensors(folder / "model.safetensors"), models.module(about["architecture"])
    if hasattr(kind, "opened"):  # no regression: training windows are looked up
        return kind.opened(tensors, about)
    features = kind.features

    def logits(codes: np.ndarray, position: np.ndarray) -> np.ndarray:
        return features(codes, position, about["parameters"]) @ tensors["weight"].T + tensors["bias"]

    return logits
