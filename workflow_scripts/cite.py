"""Put our results beside the published ones of the same benchmark, and say where the two may not be compared."""

from pathlib import Path

import pandas as pd

from regdna.certificate import certified, read
from regdna.literature import COLUMNS, Data, beside
from regdna.models import ARCHITECTURES
from regdna.paired import Judged
from regdna.papers import read_papers
from regdna.step import run
from regdna.store import atomic

SHOWN = ["model", "metric", "statistic", "group", "targets", "value", "source", "evidence"]


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
    known = read_papers(papers, ARCHITECTURES)
    rows, others = [], {}
    for (dataset, benchmark), frames, certificate in zip(benchmarks.items(), windows, splits, strict=True):
        frame = pd.read_parquet(frames, columns=["chrom", "start", "end", "split"])
        pairs = [paths for paths in zip(metrics, replicates, strict=True) if paths[0].parts[-3] == dataset]
        models_here = [Judged.read(*paths) for paths in pairs]
        certified(certificate, frames, frame, [(one.path, one.digest) for one in models_here], "evaluate again")
        data, mine = describe(frame, read(certificate)), known[known["benchmark"] == benchmark]
        for one in models_here:
            scores = pd.read_parquet(one.path)
            seeds = scores[(scores["part"] == "test") & (scores["target"] >= 0) & (scores["seed"] >= 0)]
            rows += [{"dataset": dataset, **row} for row in beside(one, seeds, models[one.model], mine, data)]
        others[dataset] = without(mine, {models[one.model]["architecture"] for one in models_here})
    found = pd.DataFrame(rows, columns=COLUMNS)
    found.attrs = {"without": others}
    with atomic(literature) as temporary:
        found.to_parquet(temporary, index=False)


def describe(frame: pd.DataFrame, certificate: dict) -> Data:
    """What decides whether a dataset is the one of a paper, from its windows and its certificate."""
    test = frame[frame["split"] == "test"]
    lengths = (test["end"] - test["start"]).unique()
    return Data(certificate["rule"]["rule"], certificate["counts"], set(test["chrom"]), {int(one) for one in lengths})


def without(published: pd.DataFrame, here: set[str]) -> list[dict]:
    """Published values of which the dataset has no model of the same architecture."""
    return published.loc[~published["architecture"].isin(here), SHOWN].to_dict("records")


if __name__ == "__main__":
    run(main)
