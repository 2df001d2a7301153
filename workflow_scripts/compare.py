"""Paired differences between all models of every dataset, on the same resamples, each with a verdict."""

from itertools import combinations
from pathlib import Path

import pandas as pd

from regdna.paired import NO_PAIRS, Judged, compare, mirrored
from regdna.step import InputError, run
from regdna.store import atomic


def main(metrics: list[Path], replicates: list[Path], comparison: Path, margin: float = 0.01) -> None:
    """Write a row a dataset, ordered pair of models, metric and target or average to ``comparison``.

    Args:
        metrics, replicates: of every dataset and model, in the same order.
        margin: differences no larger than this are of no practical matter.

    Raises:
        InputError: two models of one dataset were judged on different splits or with other replicates, or files are of
            different models.
    """
    datasets: dict[str, list[Judged]] = {}
    for path, other in zip(metrics, replicates, strict=True):
        datasets.setdefault(path.parts[-3], []).append(Judged.read(path, other))
    tables = []
    for dataset, models in datasets.items():
        if len({one.digest for one in models}) > 1:
            raise InputError(f"{', '.join(str(one.path) for one in models)}: judged on different splits; evaluate all on one")
        if len(counts := {len(one.drawn["auroc"]) for one in models}) > 1:
            paths, said = ", ".join(str(one.path) for one in models), " and ".join(map(str, sorted(counts)))
            raise InputError(f"{paths}: of {said} replicates; evaluate all with as many")
        found = compare(dataset, list(combinations(models, 2)), margin)
        tables += [found, mirrored(found)]
    with atomic(comparison) as temporary:
        pd.concat([NO_PAIRS, *tables], ignore_index=True).to_parquet(temporary, index=False)


if __name__ == "__main__":
    run(main)
