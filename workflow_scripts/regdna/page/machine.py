"""The report for programs: what the page says of verdicts, skill, differences and costs, in full precision."""

import json
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pandas as pd

from regdna.page import answer, cost
from regdna.page.results import MEAN, Results, pick

VERSION = 1  # of the keys; raised when one is renamed, leaves, or means something else
PACKAGES = ("numpy", "pandas", "pyarrow", "scikit-learn", "numba", "torch", "transformers", "tokenizers", "peft", "accelerate", "snakemake",
            "matplotlib", "logomaker", "jinja2")  # fmt: skip
FACTS = ("part", "metric", "target", "average", "group", "name", "n", "positives", "prevalence", "blocks", "independent_positives",
         "value", "low", "high", "bca_low", "bca_high", "lift", "verdict")  # fmt: skip


def report(results: Results) -> dict:
    """The content of ``report.json``; ``rules/schemas/report.schema.yaml`` says what it holds.

    Values are those of the tables, unrounded; what is NaN or infinite there is None here. Of each model the averages over targets are
    told; its targets are in the table that is named.
    """
    said = {
        "version": VERSION,
        "study": results.name,
        "title": results.study["title"],
        "question": results.study["question"],
        "replicates": sorted({int(one) for one in results.scores["replicates"]}),
        "margin": results.study["evaluation"]["margin"],
        "tables": {name: f"{results.root}/{name}" for name in ("comparison.parquet", "ledger.tsv", "report.html")},
        "datasets": {one: dataset(results, one) for one in results.study["datasets"]},
        "versions": results.versions,
        "assumptions": [{"file": file, "text": text} for file, text in results.assumptions],
    }
    return plain(said)


def dataset(results: Results, name: str) -> dict:
    """What is told of one dataset."""
    entry, certificate = results.study["datasets"][name], results.certificates[name]
    said = answer.verdict(results, name)
    compared = pick(results.comparison, dataset=name)
    return {
        "title": entry["title"],
        "verdict": {key: said[key] for key in ("headline", "sentences", "chosen")},
        "certificate": {key: certificate[key] for key in ("digest", "verdict", "counts")},
        "leaderboard": [model(results, name, one) for one in results.ranked(name)],
        "comparisons": compared[compared["target"] < 0].drop(columns="dataset").to_dict("records"),
        "costs": cost.prices(results, name).to_dict("records"),
        "literature": literature(results, name),
    }


def model(results: Results, dataset: str, name: str) -> dict:
    """What is told of one model on one dataset: a row a part, metric and average, with the values of its seeds."""
    entry = results.study["models"][name]
    mine = pick(results.scores, dataset=dataset, model=name)
    averages = mine[mine["target"] < 0]
    whole, seeds = averages[averages["seed"] == MEAN], averages[averages["seed"] != MEAN]
    each = {
        key: dict(zip(some["seed"].astype(str), some["value"], strict=True)) for key, some in seeds.groupby(["part", "metric", "target"])
    }
    shown = [fact for fact in FACTS if fact in whole.columns]
    return {
        "model": name,
        "architecture": entry["architecture"],
        "family": results.family(name),
        "regime": entry["regime"],
        "initialisation": results.weights(name),
        "control": entry["control"],
        "control_of": results.base(name),
        "collapsed": results.collapsed(dataset, name),
        "targets": f"{results.root}/{dataset}/{name}/metrics.parquet",
        "metrics": [row | {"seeds": each[row["part"], row["metric"], row["target"]]} for row in whole[shown].to_dict("records")],
    }


def literature(results: Results, dataset: str) -> list[dict]:
    """The rows of ``literature.parquet`` of one dataset; none where it is no benchmark."""
    table = results.literature
    return [] if table is None else pick(table, dataset=dataset).drop(columns="dataset").to_dict("records")


def plain(value: object) -> object:
    """The same as JSON has it: numbers of numpy as Python's, what is not finite or missing as None."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return value


def as_text(content: dict) -> str:
    """JSON, indented, its keys as they stand; the same content gives the same text."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def installed() -> dict[str, str]:
    """Version of each package that made the results or the page, where it is installed here."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
