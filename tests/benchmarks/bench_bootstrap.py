"""Bootstrap of AUROC and AP against scikit-learn with sample weights; rows bootstrap and bootstrap-block of the benchmarks.

200,000 rows, 2 % positive, 32 targets, 1,000 replicates on all cores; our sorting and drawing of counts included. The peer runs 20
replicates of one target, scaled to all. Prints one JSON object a line.
"""

import json
import os
import time

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from regdna.assess import each
from regdna.bootstrap import draw_counts, replicate

ROWS, TARGETS, REPLICATES, PREVALENCE = 200_000, 32, 1000, 0.02
PEER_REPLICATES = 20
ALTERNATIONS = 2
THREADS = len(os.sched_getaffinity(0))


def ours(labels: np.ndarray, scores: np.ndarray, block: np.ndarray, key: str) -> float:
    """Seconds for all targets and replicates."""
    begun = time.perf_counter()
    counts = draw_counts(int(block[-1]) + 1, REPLICATES, key)
    each(TARGETS, lambda target: replicate(labels[:, target], np.ascontiguousarray(scores[:, target]), block, counts), THREADS)
    return time.perf_counter() - begun


def peers(labels: np.ndarray, scores: np.ndarray, block: np.ndarray, key: str) -> tuple[float, float]:
    """Seconds of scikit-learn scaled to all targets and replicates, and the largest difference from ours."""
    begun = time.perf_counter()
    counts = draw_counts(int(block[-1]) + 1, PEER_REPLICATES, key)
    expected = np.empty((2, PEER_REPLICATES))
    for one in range(PEER_REPLICATES):
        weight = counts[block, one]
        expected[0, one] = roc_auc_score(labels, scores, sample_weight=weight)
        expected[1, one] = average_precision_score(labels, scores, sample_weight=weight)
    seconds = (time.perf_counter() - begun) * TARGETS * REPLICATES / PEER_REPLICATES
    return seconds, float(np.abs(np.stack(replicate(labels, scores, block, counts)) - expected).max())


def bench(name: str, blocks: int) -> dict:
    """One row: the median ratio over alternations, and the error."""
    draw = np.random.default_rng(1)
    labels = draw.random((ROWS, TARGETS)) < PREVALENCE
    scores = (draw.normal(size=labels.shape) + 1.5 * labels).astype(np.float32)
    block = np.arange(ROWS) * blocks // ROWS
    replicate(labels[:100, 0], scores[:100, 0], block[:100], draw_counts(blocks, 2, "compile"))
    ratios, errors, seconds = [], [], []
    for turn in range(ALTERNATIONS):
        peer, error = peers(labels[:, turn], scores[:, turn], block, str(turn))
        seconds.append(ours(labels, scores, block, str(turn)))
        ratios.append(peer / seconds[-1])
        errors.append(error)
    size = f"{TARGETS} targets x {REPLICATES} replicates of {ROWS:,} rows in {blocks:,} blocks"
    note = f"{np.median(seconds):.1f} s for {size} on {THREADS} threads"
    return {"name": name, "peer": "sklearn", "ratio": round(float(np.median(ratios)), 1), "error": max(errors), "note": note}


if __name__ == "__main__":
    for name, blocks in (("bootstrap", ROWS), ("bootstrap-block", 2000)):
        print(json.dumps(bench(name, blocks)), flush=True)
