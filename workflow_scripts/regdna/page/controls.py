"""Controls on the page: each beside the model that it is of, and what its score says."""

import numpy as np

from regdna.page.results import MEAN, Results, pick
from regdna.page.text import cell, estimate, remake, table, words

# What is taken away, and what is left then.
MEANINGS = {
    "random-init": (
        "what the published weights learnt",
        "The same network begun with random weights: how far the model stands above it is what pre-training is worth here.",
    ),
    "shuffled-labels": (
        "which window has which labels",
        "What is left when nothing can be learnt: an AUROC of about 0.5. One shuffle may lie off it by luck, further where a model has few "
        "features, and the interval does not contain that luck; what lies above 0.5 on dataset after dataset is a leak.",
    ),
    "shuffled-sequences": (
        "the order of bases, dinucleotides kept",
        "Composition alone: no motif survives the shuffle, so what this scores is told by bases and dinucleotides.",
    ),
    "flank-only": (
        "the bin (without one, the middle third)",
        "The neighbourhood alone: what this scores is told by sequence beside the bin that is asked about.",
    ),
    "centre-only": (
        "all but the bin (without one, the middle third)",
        "The bin alone: how far the model stands above it is what the neighbourhood adds.",
    ),
    "held-out-cells": (
        "the labels of the held-out cell types",
        "Its outputs for those cell types were never taught, so that its means over targets fall by themselves; what counts is how its "
        "other outputs do in those cell types, under Transfer: loci and cell types are held out together there.",
    ),
}


def meanings(results: Results) -> list[tuple[str, str]]:
    """Every kind of control in the study, and what it says."""
    there = {entry["control"] for entry in results.study["models"].values()}
    return [(control, said) for control, (_, said) in MEANINGS.items() if control in there]


def tables(results: Results, dataset: str) -> list[dict]:
    """A table for every model of a dataset that has controls."""
    found = {model: results.controls(dataset, model) for model in results.contenders(dataset)}
    return [beside(results, dataset, model, controls) for model, controls in found.items() if controls]


def beside(results: Results, dataset: str, model: str, controls: list[str]) -> dict:
    """The model, then one row a control: skill with intervals, and the paired difference of the two."""
    auroc, ap = results.mean(dataset), results.mean(dataset, "average_precision")
    pairs = pick(results.comparison, dataset=dataset, metric="auroc", target=MEAN, model=model).set_index("against")
    rows = []
    for one in (model, *controls):
        taken = MEANINGS[results.study["models"][one]["control"]][0] if results.base(one) else "nothing"
        row = [words(*results.label(one).split(" · ", 1)), words(taken)]
        row += [cell(at.value, f"{estimate(at.value, at.low, at.high)} {at.verdict}".rstrip()) for at in (auroc.loc[one], ap.loc[one])]
        row += [cell(ap.loc[one].prevalence)]
        if one in pairs.index:
            gap = pairs.loc[one]
            row += [cell(gap.difference, estimate(gap.difference, gap.low, gap.high, True)), words(gap.verdict)]
        else:
            row += [cell(np.nan), words("")]
        rows.append(row)
    skill = ["mean AUROC [95\u00a0%]", "mean AP [95\u00a0%]", "prevalence"]
    columns = ["model", "taken away", *skill, f"drop: {model} minus this, AUROC [95\u00a0%]", f"{model} is"]
    metrics = remake([f"{results.root}/{dataset}/{one}/metrics.parquet" for one in (model, *controls)])
    return table(f"{model} and its controls, test part", columns, rows, f"{metrics} {results.root}/comparison.parquet")
