"""AUROC and average precision of one model on one dataset, per target and seed, with block-bootstrap intervals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.assess import add_intervals, curve_points, describe, points, resample
from regdna.splits import digest as split_digest
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.targets import Targets


def main(
    windows: Path,
    splits: Path,
    targets: Path,
    table: Path,
    predictions: list[Path],
    validation: list[Path],
    about: list[Path],
    metrics: Path,
    replicates: Path,
    curves: Path,
    model: str,
    replicate_count: int = 1000,
    known: Path | None = None,
) -> None:
    """Write a row a part, metric, target and seed to ``metrics``; replicates to ``replicates``; curves to ``curves``.

    Args:
        windows: windows.parquet of the dataset.
        splits: its certificate, splits.json.
        targets: its labels, targets.npy.
        table: its table of targets, targets.tsv.
        predictions, validation, about: of every seed, in the same order.
        metrics, replicates, curves: what is written.
        model: id of the model, for the tables.
        replicate_count: bootstrap replicates.
        known: which of its labels are known, targets.known.npy; None: all.

    Raises:
        InputError: predictions belong to another split, or have other rows than the windows.
    """
    frame = pd.read_parquet(windows)
    digest = json.loads(splits.read_text())["digest"]
    runs = [json.loads(path.read_text()) for path in about]
    for path, other in [(windows, split_digest(frame)), *((path, one["split_digest"]) for path, one in zip(about, runs, strict=True))]:
        if other != digest:
            raise InputError(f"{path}: belongs to split {other}, {splits} certifies {digest}; predict on this split first")
    labels = Targets(targets, table, known)
    seeds = [one["seed"] for one in runs]
    rows = []
    for part, files in {"test": predictions, "validation": validation}.items():
        at = np.flatnonzero(frame["split"].to_numpy() == part)
        scores = np.stack([load(path, len(at), len(labels.table)) for path in files])
        truth, measured = labels[at], labels.known(at)
        facts = describe(frame.iloc[at], truth, labels, measured)
        rows += points(part, scores, truth, facts, seeds, measured)
        if part == "test":
            drawn = resample(frame.iloc[at], truth, scores, facts, digest, model, replicate_count, measured)
            shapes = curve_points(truth, scores[0], measured)
    result = pd.DataFrame(rows)
    result.insert(0, "model", model)
    add_intervals(result, drawn)
    result.attrs = {"split_digest": digest, "replicates": replicate_count, "initialisation": runs[0]["initialisation"]}
    with atomic(metrics) as temporary:
        result.to_parquet(temporary, index=False)
    with atomic(replicates) as temporary:
        np.savez_compressed(temporary, split_digest=digest, model=model, **drawn)
    with atomic(curves) as temporary:
        shapes.assign(model=model).to_parquet(temporary, index=False)


def load(path: Path, rows: int, targets: int) -> np.ndarray:
    """Predictions, float32 (rows, targets).

    Raises:
        InputError: the file has another shape or holds NaN.
    """
    values = read_array(path)
    if values.shape != (rows, targets):
        raise InputError(f"{path}: shape {values.shape}, but the windows need {(rows, targets)}; predict again")
    if not np.isfinite(values).all():
        raise InputError(f"{path}: holds {int((~np.isfinite(values)).sum())} values that are not numbers; train again with a lower rate")
    return values


if __name__ == "__main__":
    run(main)
