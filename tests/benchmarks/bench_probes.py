"""Probes of many targets at once against scikit-learn's loop over them; row probes of the benchmarks.

Embeddings are made up: correlated features of unlike spread, targets of 2 to 30 % positives. Both fit the same objective, ours on
one thread; of scikit-learn, standardising included, part of the targets is timed and scaled up. The error is the largest difference
between both's probabilities, scikit-learn's asked for to a tighter end than it is timed with. One JSON object.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from regdna.models.classifier import probability
from regdna.models.logistic import fit_path

ROWS, WIDTH, TARGETS, SOME, STRENGTH, ALTERNATIONS = 4000, 1000, 100, 3, 10.0, 3


def data() -> tuple[np.ndarray, np.ndarray]:
    """Features, float32 (ROWS, WIDTH), and labels, bool (ROWS, TARGETS)."""
    draw = np.random.default_rng(0)
    plain = draw.normal(size=(ROWS, WIDTH)) * np.exp(-5 * np.arange(WIDTH) / WIDTH)
    turned = plain @ np.linalg.qr(draw.normal(size=(WIDTH, WIDTH)))[0]
    share = np.linspace(0.02, 0.3, TARGETS)
    logits = plain[:, :40] @ draw.normal(size=(40, TARGETS)) / 5 + np.log(share / (1 - share))
    return turned.astype(np.float32), draw.random(logits.shape) < probability(logits)


def clock(function: Callable) -> tuple[float, object]:
    """Seconds by the wall, and what the function gives."""
    begun = time.perf_counter()
    found = function()
    return time.perf_counter() - begun, found


def loop(features: np.ndarray, labels: np.ndarray, tolerance: float = 1e-4, most: int = 300) -> np.ndarray:
    """Probabilities, (n, T), of scikit-learn."""
    wide = features.astype(np.float64)
    scaled = (wide - wide.mean(0)) / wide.std(0)
    fits = [LogisticRegression(C=1 / STRENGTH, tol=tolerance, max_iter=most).fit(scaled, column) for column in labels.T]
    return np.stack([fit.predict_proba(scaled)[:, 1] for fit in fits], 1)


def main() -> None:
    """Print the row."""
    features, labels = data()
    some = np.linspace(0, TARGETS - 1, SOME).astype(int)
    here, there = [], []
    for _ in range(ALTERNATIONS):
        seconds, (weights, biases) = clock(lambda: fit_path(features, labels, None, False, [STRENGTH]))
        here.append(seconds)
        there.append(clock(lambda: loop(features, labels[:, some]))[0] * TARGETS / SOME)
    ours = probability(features @ weights[0, some].T + biases[0, some])
    error = float(np.abs(ours - loop(features, labels[:, some], 1e-9, 10_000)).max())
    assert error < 1e-4, f"probabilities differ by {error}"
    path = clock(lambda: fit_path(features, labels, None, False, 10.0 ** np.arange(-4, 5)))[0]
    note = (
        f"{np.median(here):.2f} s against {np.median(there):.1f} s for {TARGETS} targets, {ROWS} windows, {WIDTH} features, one penalty "
        f"(the peer timed on {SOME} targets and scaled); nine penalties take {path:.2f} s; error: largest difference in probability"
    )
    ratio = round(float(np.median(np.divide(there, here))), 1)
    print(json.dumps({"name": "probes", "peer": "scikit-learn", "ratio": ratio, "error": error, "note": note}), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
