"""Put our results beside the published ones of the same benchmark, and say where the two may not be compared."""

import json
from pathlib import Path

import pandas as pd

from regdna.literature import COLUMNS, Data, beside
from regdna.paired import Judged
from regdna.papers import read_papers
from regdna.step import InputError, run
from regdna.store import atomic

SHOWN = ["model", "metric", "statistic", "group", "value", "source"]


def main(
    papers: Path,
    metrics: list[Path],
    replicates: list[Path],
    windows: list[Path],
    splits: list[Path],
    literature: Path,
    benchmarks: dict[str, str],
    models: dict[str, dict],
) -> None:
    """Write a row for each of our models and each published value of its architecture to ``literature``.

    Args:
        papers: the published values, resources/literature.tsv.
        metrics, replicates: of every model on the datasets that are benchmarks, in the same order, as
            ``results/{study}/{dataset}/{model}/...``.
        windows, splits: of these datasets, in the order of ``benchmarks``.
        benchmarks: dataset to the benchmark that it is.
        models: id to the model's entry, completed.

    Raises:
        InputError: results belong to another split than the dataset's, or the table of papers is wrong.
    """
    known = read_papers(papers)
    certificates = {name: json.loads(path.read_text()) for name, path in zip(benchmarks, splits, strict=True)}
    data = {name: read_data(path, certificates[name]) for name, path in zip(benchmarks, windows, strict=True)}
    rows = []
    for path, other in zip(metrics, replicates, strict=True):
        dataset, judged = path.parts[-3], Judged.read(path, other)
        certified = certificates[dataset]["digest"]
        if judged.digest != certified:
            raise InputError(f"{path}: belongs to split {judged.digest}, splits.json certifies {certified}; evaluate again")
        scores = pd.read_parquet(path)
        seeds = scores[(scores["part"] == "test") & (scores["target"] >= 0) & (scores["seed"] >= 0)]
        mine = known[known["benchmark"] == benchmarks[dataset]]
        rows += [{"dataset": dataset, **row} for row in beside(judged, seeds, models[judged.model], mine, data[dataset])]
    found = pd.DataFrame(rows, columns=COLUMNS)
    found.attrs = {"without": {name: without(known, benchmark, models) for name, benchmark in benchmarks.items()}}
    with atomic(literature) as temporary:
        found.to_parquet(temporary, index=False)


def read_data(windows: Path, certificate: dict) -> Data:
    """What decides whether a dataset is the one of a paper."""
    test = pd.read_parquet(windows, columns=["chrom", "start", "end"], filters=[("split", "==", "test")])
    lengths = (test["end"] - test["start"]).unique()
    return Data(certificate["rule"]["rule"], certificate["counts"], set(test["chrom"]), {int(one) for one in lengths})


def without(known: pd.DataFrame, benchmark: str, models: dict[str, dict]) -> list[dict]:
    """Published values of a benchmark of which the study has no model of the same architecture."""
    here = {entry["architecture"] for entry in models.values()}
    return known.loc[(known["benchmark"] == benchmark) & ~known["architecture"].isin(here), SHOWN].to_dict("records")


if __name__ == "__main__":
    run(main)
