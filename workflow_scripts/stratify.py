"""Where a model's skill lies: within strata of the test windows, on either strand, and how much of it row zero has too."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.assess import Part
from regdna.certificate import digest
from regdna.paired import Judged
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.strata import FACTORS, best_on_validation, explain, judge
from regdna.targets import Targets


def main(
    windows: Path,
    targets: Path,
    names: Path,
    predictions: list[Path],
    about: list[Path],
    metrics: Path,
    replicates: Path,
    strata: Path,
    explained: Path,
    model: str,
    replicate_count: int = 1000,
    known: Path | None = None,
    row_zero: list[Path] | None = None,
    row_zero_replicates: list[Path] | None = None,
    threads: int = 1,
) -> None:
    """Write skill within strata to ``strata``, and the share of it that row zero has to ``explained``.

    Args:
        windows, targets, names, known: of the dataset.
        predictions, about: of every seed, test part, in the same order.
        metrics, replicates: of the model.
        row_zero, row_zero_replicates: the same of all models of row zero on the dataset, in the same order.
        model: its id.
        replicate_count: bootstrap replicates.

    Raises:
        InputError: predictions, or results of row zero, of another split, or windows of an earlier version.
    """
    one = Judged.read(metrics, replicates)
    runs = [json.loads(path.read_text()) for path in about]
    for path, said in zip(about, runs, strict=True):
        if said["split_digest"] != one.digest:
            raise InputError(f"{path}: belongs to split {said['split_digest']}, {metrics} to {one.digest}; predict and evaluate again")
    zeros = [Judged.read(*paths) for paths in zip(row_zero or [], row_zero_replicates or [], strict=True)]
    for zero in zeros:
        if zero.digest != one.digest:
            raise InputError(f"{zero.path}: belongs to split {zero.digest}, {metrics} to {one.digest}; evaluate both on one")
    frame, held = pd.read_parquet(windows), Targets(targets, names, known)
    if missing := sorted({"gc", *(column for column, *_ in FACTORS.values())} - {*frame.columns}):
        raise InputError(f"{windows}: written by an earlier version, without {', '.join(missing)}; delete it and run again")
    if (mine := digest(frame)) != one.digest:
        raise InputError(f"{windows}: belongs to split {mine}, {metrics} to {one.digest}; predict and evaluate again")
    at = np.flatnonzero(frame["split"].to_numpy() == "test")
    part = Part(frame.iloc[at], held[at], held.known(at), [read_array(path, "r") for path in predictions])
    found = judge(part, held, one.digest, model, replicate_count, threads)
    found.attrs = {"split_digest": one.digest, "replicates": replicate_count, "strands": strands(runs)}
    best = best_on_validation({zero.model: pd.read_parquet(zero.path) for zero in zeros})
    shares = explain(one, zeros, best)
    shares.attrs = {"split_digest": one.digest}
    for path, table in ((strata, found), (explained, shares)):
        with atomic(path) as temporary:
            table.to_parquet(temporary, index=False)


def strands(runs: list[dict]) -> dict[str, list[float | None]]:
    """How well strands agree by target, mean over seeds: correlation (None where a seed has none) and mean absolute difference."""
    each = [one["strands"] for one in runs]
    correlations = zip(*(one["correlation"] for one in each), strict=True)
    return {
        "correlation": [None if None in some else float(np.mean(some)) for some in correlations],
        "difference": np.mean([one["difference"] for one in each], axis=0).tolist(),
    }


if __name__ == "__main__":
    run(main)
