"""What one model's predictions on one dataset are worth: metrics per target, average and seed, with intervals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.assess import DRAWN, MEAN, Part, add_delong, add_intervals, averages, curve_points, decide, describe, points, resample, table
from regdna.certificate import certified
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.targets import Targets


def main(
    windows: Path,
    splits: Path,
    targets: Path,
    names: Path,
    predictions: list[Path],
    validation: list[Path],
    about: list[Path],
    metrics: Path,
    replicates: Path,
    curves: Path,
    model: str,
    labels: str = "multilabel",
    replicate_count: int = 1000,
    known: Path | None = None,
    threads: int = 1,
) -> None:
    """Write a row a part, metric, target and seed to ``metrics``; replicates over blocks to ``replicates``; curves to ``curves``.

    Args:
        windows: windows.parquet of the dataset.
        splits: its certificate, splits.json.
        targets: its labels, targets.npy.
        names: its table of targets, targets.tsv.
        predictions, validation, about: of every seed, in the same order.
        metrics, replicates, curves: what is written.
        model: id of the model, for the tables.
        labels: ``exclusive`` or ``multilabel``.
        replicate_count: bootstrap replicates.
        known: which of its labels are known, targets.known.npy; None: all.

    Raises:
        InputError: predictions belong to another split, or have other rows than the windows.
    """
    frame = pd.read_parquet(windows)
    runs = [json.loads(path.read_text()) for path in about]
    belong = ((path, one["split_digest"]) for path, one in zip(about, runs, strict=True))
    digest = certified(splits, windows, frame, belong, "predict on this split first")
    held = Targets(targets, names, known)
    seeds = [one["seed"] for one in runs]
    parts = {}
    for part, files in {"validation": validation, "test": predictions}.items():
        at = np.flatnonzero(frame["split"].to_numpy() == part)
        scores = [load(path, len(at), len(held.table)) for path in files]
        parts[part] = Part(frame.iloc[at], held[at], held.known(at), scores, labels == "exclusive")
    decided = decide(parts["validation"], threads)
    tables = []
    for part, one in parts.items():
        facts = describe(one, held)
        values, tallies = points(one, facts, decided, threads)
        tables.append(table(part, values, facts, seeds))
    # The last part is the test part, from here on.
    heat = pd.DataFrame({"seed": seeds, "value": decided.temperatures}).assign(
        part="validation", metric="temperature", target=MEAN, average="macro", group="all", name="all targets", verdict=""
    )
    result = pd.concat([*tables, heat], ignore_index=True)
    result.insert(0, "model", model)
    ids = [fact["target"] for fact in (*facts, *averages(facts))]
    drawn = resample(parts["test"], facts, decided, digest, replicate_count, threads)
    add_intervals(result, drawn, values, ids, f"{digest} {model}")
    add_delong(result, parts["test"], facts, threads)
    result.attrs = {"split_digest": digest, "replicates": replicate_count, "initialisation": runs[0]["initialisation"],
                    "control": runs[0]["control"]}  # fmt: skip
    shapes = curve_points(parts["test"], tallies, threads)
    with atomic(metrics) as temporary:
        result.to_parquet(temporary, index=False)
    arrays = {metric: drawn.mean(metric) for metric in DRAWN}
    for metric in DRAWN:
        apart = drawn.seeds(metric, values[metric], f"{digest} {model}")
        arrays |= {f"{metric}_error": apart.error, f"{metric}_shared": apart.shared}
    with atomic(replicates) as temporary:
        np.savez_compressed(temporary, split_digest=digest, model=model, targets=np.array(ids), seeds=len(seeds), **arrays)
    with atomic(curves) as temporary:
        shapes.assign(model=model).to_parquet(temporary, index=False)


def load(path: Path, rows: int, targets: int) -> np.ndarray:
    """Predictions, float32 (rows, targets), memory-mapped.

    Raises:
        InputError: the file has another shape, or holds what is no probability.
    """
    values = read_array(path, "r")
    if values.shape != (rows, targets):
        raise InputError(f"{path}: shape {values.shape}, but the windows need {(rows, targets)}; predict again")
    if not np.isfinite(values).all():
        raise InputError(f"{path}: holds {int((~np.isfinite(values)).sum())} values that are not numbers; train again with a lower rate")
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise InputError(f"{path}: holds values from {values.min():g} to {values.max():g}, no probabilities; predict again")
    return values


if __name__ == "__main__":
    run(main)
