"""Paired differences between all models of every dataset, on the same resamples, each with a verdict."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.assess import MEAN
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.verdict import judge


def main(metrics: list[Path], replicates: list[Path], comparison: Path, margin: float = 0.01) -> None:
    """Write a row a dataset, ordered pair of models, metric and target to ``comparison``.

    Args:
        metrics, replicates: of every dataset and model, in the same order.
        margin: differences no larger than this are of no practical matter.

    Raises:
        InputError: two models of one dataset were judged on different splits, or files are of different models.
    """
    datasets: dict[str, list[tuple[pd.DataFrame, dict, Path]]] = {}
    for path, other in zip(metrics, replicates, strict=True):
        with np.load(other) as drawn:
            table = pd.read_parquet(path)
            if table["model"].iloc[0] != str(drawn["model"]):
                raise InputError(
                    f"{other}: replicates of {drawn['model']}, but {path} is of {table['model'].iloc[0]}; give both in one order"
                )
            datasets.setdefault(path.parts[-3], []).append((table, dict(drawn), path))
    rows = []
    for dataset, models in datasets.items():
        if len({str(drawn["split_digest"]) for _, drawn, _ in models}) > 1:
            raise InputError(f"{', '.join(str(path) for *_, path in models)}: judged on different splits; evaluate all on one")
        for (one, mine, _), (other, theirs, _) in permutations(models, 2):
            rows += pair(dataset, one, mine, other, theirs, margin)
    with atomic(comparison) as temporary:
        pd.DataFrame(rows, columns=COLUMNS).to_parquet(temporary, index=False)


COLUMNS = ["dataset", "model", "against", "metric", "target", "name", "difference", "low", "high", "verdict", "smallest_detectable"]


def pair(dataset: str, one: pd.DataFrame, mine: dict, other: pd.DataFrame, theirs: dict, margin: float) -> list[dict]:
    """Rows of one model against another: every metric and target, and the mean over targets."""
    keys = ["metric", "target"]
    one, other = (table[(table["part"] == "test") & (table["seed"] == MEAN)] for table in (one, other))
    both = one.merge(other, on=keys, suffixes=("", "_other"), validate="one_to_one")
    rows = []
    for row in both.itertuples():
        if row.verdict == "undefined":
            continue
        difference = mine[row.metric][:, row.target] - theirs[row.metric][:, row.target]
        rows.append({
            "dataset": dataset, "model": row.model, "against": row.model_other, "metric": row.metric, "target": row.target,
            "name": row.name, "difference": row.value - row.value_other, **judge(difference, margin, bool(row.verdict)),
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    run(main)
