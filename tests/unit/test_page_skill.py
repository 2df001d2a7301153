"""Groups, decisions and calibration on the page: what is shown equals the tables, and ranks say what was shown."""

import re

import numpy as np
import pandas as pd
import pytest
from made_up_study import CONTROLS, MEAN, MODELS, TARGETS
from test_page import Page, given, html, page, results  # noqa: F401

from regdna.page import skill, tables
from regdna.page.results import pick


def test_decisions_and_probabilities_equal_the_metrics(page, given):  # noqa: F811
    for dataset, shown in zip(TARGETS, page.find("Decisions and probabilities"), strict=True):
        assert len(shown) == len(MODELS)
        for row in shown.to_dict("records"):
            model = row["model"].split(" ")[0]
            [path] = [path for path in given["metrics"] if path.parts[-3:-1] == (dataset, model)]
            mean = pd.read_parquet(path).query("part == 'test' and target == @MEAN and seed == @MEAN").set_index("metric")["value"]
            assert [row[name] for name in ("MCC [95\u00a0%]", "Brier score [95\u00a0%]", "Brier, scaled", "ECE", "ECE, scaled")] == list(
                mean[["mcc", "brier", "brier_scaled", "ece", "ece_scaled"]]
            )
            assert row["temperature by seed"] == pytest.approx(1.35)


def test_a_metric_without_a_value_is_undefined_everywhere():
    assert skill.said(pd.Series({"value": np.nan, "low": np.nan, "high": np.nan})) == "undefined"
    assert skill.said(pd.Series({"value": 0.25, "low": 0.125, "high": 0.375})) == "0.250 [0.125, 0.375]"


def test_groups_equal_the_metrics_and_the_comparison(page, given):  # noqa: F811
    truth = pd.read_parquet(given["comparison"]).query("metric == 'auroc'").set_index(["dataset", "model", "against"])
    for dataset, shown in zip(TARGETS, page.find("Groups of targets"), strict=True):
        assert len(shown) == len(MODELS), "controls are no contenders"
        for row in shown.to_dict("records"):
            model = row["model"].split(" ")[0]
            [path] = [path for path in given["metrics"] if path.parts[-3:-1] == (dataset, model)]
            mean = pd.read_parquet(path).query("part == 'test' and target == @MEAN and seed == @MEAN").set_index("metric")
            for metric, name in skill.METRICS.items():
                assert row[f"{name} [95\u00a0%]"] == mean.at[metric, "value"]
            said = row["AUROC against the CNN to beat, basset"]
            assert said.startswith("itself" if model == "basset" else truth.loc[(dataset, model, "basset"), "verdict"])


def test_ranks_are_left_open_by_what_was_not_shown(results):  # noqa: F811
    found = {model: cell["text"] for model, cell in tables.ranking(results, "large").items()}
    pairs = pick(results.comparison, dataset="large", metric="auroc", target=MEAN, verdict="better")
    for model in MODELS:
        above = sum((pairs["against"] == model) & pairs["model"].isin(MODELS))
        below = sum((pairs["model"] == model) & pairs["against"].isin(MODELS))
        assert found[model] == (f"{1 + above}" if above + below == len(MODELS) - 1 else f"{1 + above} to {len(MODELS) - below}")
    assert not set(found) & set(CONTROLS)
    assert tables.ranking(results, "small") == {}, "what is too small to judge has no rank"


def test_the_reliability_figure_says_what_it_draws(html):  # noqa: F811
    figure = re.search(r'<svg role="img" aria-label="(Share of windows that are positive[^"]*)"', html)
    assert figure and "basset 0.097" in figure[1]
    assert "How often a label is there when a probability is given" in html


def test_adjusted_p_stands_below_each_verdict(html, results):  # noqa: F811
    shown = tables.differences(results, "large")
    heads = [name for name, _ in shown["columns"]]
    for name in ("AUROC", "AP", "MCC"):
        assert {row[heads.index(f"verdict on {name}")]["detail"] for row in shown["rows"]} == {"p 0.012"}
    assert "<small>p 0.012</small>" in html


def test_groups_show_the_interval_that_the_verdicts_sentences_give():
    row = {"verdict": "cannot tell", "difference": 0.02, "low": 0.001, "high": 0.04, "joint_low": -0.005, "joint_high": 0.045}
    pairs = pd.DataFrame([row], index=pd.MultiIndex.from_tuples([(MEAN, "a", "b")]))
    assert skill.against(pairs, MEAN, "a", "b")["detail"] == "+0.020 [−0.005, +0.045]"


def test_averages_of_a_single_target_are_shown_once():
    kinds, groups = ("macro", "weighted", "micro"), ("all", "DNase", "TF")
    averages = pd.DataFrame([{"average": kind, "group": group} for group in groups for kind in kinds])
    for assays, shown in ((["DNase"], [1, 1, 1]), (["DNase", "TF", "TF"], [3, 1, 3])):
        left = skill.several(averages, pd.DataFrame({"group": assays}))
        assert [int((left["group"] == group).sum()) for group in groups] == shown
