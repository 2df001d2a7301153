"""Skill beyond one mean: by group of targets, at a threshold, and whether probabilities mean what they say."""

import numpy as np
import pandas as pd

from regdna.page.figures import files_of, looks
from regdna.page.results import MEAN, Results, pick
from regdna.page.text import cell, estimate, figure, number, table, words
from regdna.plots.reliability import reliability

SHOWN = 4  # panels of the reliability figure
METRICS = {"auroc": "AUROC", "average_precision": "AP", "mcc": "MCC"}


def groups(results: Results, dataset: str, chosen: dict[str, str]) -> dict | None:
    """One row an average and contender: its skill, and its verdicts against the CNN to beat and the best of row zero."""
    rows_of = pick(results.scores, dataset=dataset, part="test", seed=MEAN)
    once = rows_of.drop_duplicates("target")
    averages = several(once[once["target"] < 0], once[once["target"] >= 0])
    at = rows_of.set_index(["metric", "target", "model"])
    pairs = pick(results.comparison, dataset=dataset, metric="auroc").set_index(["target", "model", "against"])
    roles = {"the CNN to beat": "cnn", "the best of row zero": "row zero"}
    rivals = {role: chosen[family] for role, family in roles.items() if family in chosen}
    rows = []
    for average in averages.sort_values("target", ascending=False).itertuples():
        for model in results.contenders(dataset):
            left_out = f"{average.undefined:.0f} undefined, left out" if average.undefined else ""
            row = [words(average.name, left_out), words(results.label(model))]
            for metric in METRICS:
                one = at.loc[metric, average.target, model]
                row.append(cell(one.value, f"{estimate(one.value, one.low, one.high)} {one.verdict}".rstrip()))
            row.append(cell(at.loc["average_precision", average.target, model].prevalence))
            for rival in rivals.values():
                row.append(against(pairs, average.target, model, rival))
            rows.append(row)
    columns = ["average", "model", *(f"{name} [95\u00a0%]" for name in METRICS.values()), "prevalence"]
    columns += [f"AUROC against {role}, {rival}" for role, rival in rivals.items()]
    command = files_of(results, dataset, results.contenders(dataset), "metrics.parquet")
    caption = (
        "Groups of targets, test part. Macro: every target counts alike; weighted: as it has positives; micro: all windows and targets in "
        "one ranking, without an interval. Intervals of differences hold for all pairs of models at once"
    )
    return table(caption, columns, rows, f"{command} {results.root}/comparison.parquet")


def several(averages: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    """Those averages that say something of their own: of a single target all are the same, and the macro mean stands for them."""
    count = averages["group"].map(lambda group: len(targets) if group == "all" else (targets["group"] == group).sum())
    return averages[(averages["average"] == "macro") | (count > 1)]


def against(pairs: pd.DataFrame, target: int, model: str, rival: str) -> dict:
    """A model's difference to another on one average, with what it lets us say; the interval is that of the verdict's sentences."""
    if model == rival:
        return words("itself")
    if (target, model, rival) not in pairs.index:
        return words("–")
    one = pairs.loc[(target, model, rival)]
    return words(one.verdict, estimate(one.difference, one.joint_low, one.joint_high, True))


def calibration(results: Results, dataset: str) -> dict:
    """One row a contender: MCC at the threshold of validation, Brier score and calibration error before and after one temperature."""
    shown = {metric: results.mean(dataset, metric) for metric in ("mcc", "brier", "brier_scaled", "ece", "ece_scaled")}
    rows = []
    for model in results.contenders(dataset):
        one = {metric: frame.loc[model] for metric, frame in shown.items()}
        heat = pick(results.scores, dataset=dataset, model=model, metric="temperature")["value"]
        rows.append([
            words(results.label(model)),
            *(cell(one[metric].value, said(one[metric])) for metric in ("mcc", "brier")),
            *(cell(one[metric].value) for metric in ("brier_scaled", "ece", "ece_scaled")),
            cell(float(np.mean(heat)), ", ".join(number(value, 2) for value in heat)),
        ])  # fmt: skip
    columns = ["model", "MCC [95\u00a0%]", "Brier score [95\u00a0%]", "Brier, scaled", "ECE", "ECE, scaled", "temperature by seed"]
    caption = (
        "Decisions and probabilities, test part, mean over targets and seeds. MCC: at each target's best threshold on validation; "
        "undefined where a target has one class there or in the test part. ECE: mean gap between what is said and what happens, in 15 "
        "bins; scaled: after dividing log-odds by a temperature fitted on validation"
    )
    return table(caption, columns, rows, files_of(results, dataset, results.contenders(dataset), "metrics.parquet"))


def said(row: pd.Series) -> str:
    """A metric with its interval, in words where it has no value."""
    return estimate(row["value"], row["low"], row["high"]) if np.isfinite(row["value"]) else "undefined"


def curves(results: Results, dataset: str) -> dict | None:
    """Reliability of the targets with most positives; nothing where no target is defined."""
    targets, cut = results.targets(dataset, SHOWN)
    points = results.curves[(results.curves["dataset"] == dataset) & (results.curves["curve"] == "reliability")]
    points = points[points["target"].isin(targets["target"])]
    if not len(points):
        return None
    shown = results.contenders(dataset)
    mine = {model: look for model, look in looks(results).items() if model in shown}
    gaps = results.mean(dataset, "ece")["value"]
    alt = "Share of windows that are positive against predicted probability; ECE: " + ", ".join(
        f"{one} {number(gaps[one])}" for one in shown
    )
    svg = reliability(points, targets, mine, name=f"reliability-{dataset}", alt=alt)
    caption = (
        f"How often a label is there when a probability is given, one panel a target{cut}; first seed of each model. On the diagonal "
        "probabilities mean what they say; below it a model is too sure. Larger dots hold more windows."
    )
    return figure(svg, caption, files_of(results, dataset, shown, "curves.parquet"))
