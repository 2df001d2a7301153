"""Strata, explained skill, strands and findings on the page, from tables whose content is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_up_study import MEAN, write
from test_page import Page

import render
from regdna import page as pages
from regdna.page import findings, strata
from regdna.page.results import Beside
from regdna.page.text import detectable
from regdna.strata import COLUMNS

DATASET = "large"
VALUES = {"none": 0.80, "under 10 %": 0.81, "30 % or more": 0.90}


def stratified(model, gap=0.1, half=0.02):
    """strata.parquet of a model: three strata of similarity, the second too small, and GC of which nothing is known."""
    rows = []
    for stratum, value in VALUES.items():
        small = stratum == "under 10 %"
        for metric in ("auroc", "average_precision"):
            row = dict.fromkeys(COLUMNS, np.nan) | {
                "factor": "similarity to training", "stratum": stratum, "metric": metric, "n": 1234, "positives": 300, "prevalence": 0.25,
                "targets": 2, "blocks": 40, "independent_positives": 200, "value": value - 0.3 * (metric != "auroc"),
                "low": np.nan if small else value - 0.31, "high": np.nan if small else value + 0.01,
                "verdict": "too small to judge" if small else "", "against": "",
            }  # fmt: skip
            if metric == "auroc" and stratum == "30 % or more":
                row |= {"against": "none", "difference": gap, "difference_low": gap - half, "difference_high": gap + half}
            rows.append(row)
    table = pd.DataFrame(rows)
    table.attrs = {"strands": {"correlation": [0.875, None], "difference": [0.01, 0.03]}}
    return Beside(DATASET, model, "strata", f"results/made-up/{DATASET}/{model}/strata.parquet", table, table.attrs)


def explained(model, shares):
    """explained.parquet of a model, by model of row zero."""
    rows = [
        {"row_zero": zero, "best": at == len(shares) - 1, "metric": metric, "share": share, "low": share - 0.05, "high": share + 0.05,
         "verdict": ""}
        for at, (zero, share) in enumerate(shares.items()) for metric in ("auroc", "average_precision")
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    return Beside(DATASET, model, "explained", f"results/made-up/{DATASET}/{model}/explained.parquet", table, {})


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """The made-up study as the page reads it, with strata of its models on one dataset."""
    kept = {}
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "render", lambda results: kept.setdefault("results", results) and "")
        render.main(**write(folder), page=folder / "page.html")
    results = kept["results"]
    models = results.contenders(DATASET)
    beside = {
        "strata": [stratified(model) for model in models],
        "explained": [explained(model, {"basset": 0.2, "kmer-logistic": 0.5}) for model in models],
    }
    return dataclasses.replace(results, beside=beside)


def changed(results, **values):
    """Results in which some models have another mean AUROC on the test part."""
    frame = results.scores.copy()
    for model, value in values.items():
        rows = (frame["model"] == model) & (frame["part"] == "test") & (frame["target"] == MEAN) & (frame["metric"] == "auroc")
        frame.loc[rows & (frame["seed"] == MEAN), ["value", "low", "high"]] = [value, value - 0.01, value + 0.01]
    return dataclasses.replace(results, scores=frame)


def with_models(results, **entries):
    """Results of a study of which some models are others; ids with _ for -."""
    models = {model: {**entry, **entries.get(model.replace("-", "_"), {})} for model, entry in results.study["models"].items()}
    return dataclasses.replace(results, study={**results.study, "models": models})


def quiet(results, **more):
    """Results without any sign of a leak."""
    whole = results.certificates[DATASET]
    test = whole["shared_with_training"]["test"] | {"identical": 0, "reverse_complement": 0}
    clean = {**whole, "shared_with_training": {**whole["shared_with_training"], "test": test}, **more}
    models = results.contenders(DATASET)
    beside = {"strata": [stratified(model, 0.0) for model in models], "explained": results.beside["explained"]}
    jobs = [dataclasses.replace(job, cost=job.cost | {"collapsed": False, "failures": []}) for job in results.jobs]
    return dataclasses.replace(results, certificates=results.certificates | {DATASET: clean}, beside=beside, jobs=jobs)


def kinds(results):
    return [one["kind"] for one in findings.findings(results, DATASET)]


def test_tables_show_the_numbers_of_their_files(made_up):
    page = Page(pages.render(made_up))
    told = {table["caption"].split(",")[0]: table for table in page.tables}
    skill = told["Skill on parts of the test windows"]
    assert len(skill["rows"]) == 3 * len(made_up.contenders(DATASET))
    model, factor, stratum, windows, auroc, ap, prevalence, targets, gap = (cell for cell in skill["rows"][2])
    assert (factor[0], stratum[0], windows) == ("similarity to training", "30 % or more", ["1,234", "1234.0"])
    assert auroc == ["0.900 [0.590, 0.910]", "0.9"] and ap[1] == repr(0.9 - 0.3) and prevalence[1] == "0.25" and targets[1] == "2.0"
    assert gap == ["+0.100 [+0.080, +0.120]", "0.1"]
    assert "too small to judge" in skill["rows"][1][4][0] and skill["rows"][1][8] == ["–", ""]
    shares = next(table for caption, table in told.items() if caption.startswith("How much of each model’s skill"))
    assert shares["rows"][0][1] == ["50% [45%, 55%]", "0.5"]
    assert not [head for head in shares["heads"] if "composition" in head or "position" in head], "neither is in this study"
    strands = told["Both strands of each test window"]
    assert [cell[1] for cell in strands["rows"][0][1:]] == ["0.875", "0.875", "0.02"]
    text = " ".join(page.said)
    assert "does better on windows with similarity to training “30 % or more” than with “none”" in text and "#strata" in page.addresses


def test_a_page_without_strata_has_no_such_section(made_up):
    page = Page(pages.render(dataclasses.replace(made_up, beside={})))
    assert "strata" not in page.ids and "#strata" not in page.addresses
    assert strata.show(dataclasses.replace(made_up, beside={}), DATASET) is None


def test_models_of_which_no_stratum_is_known_have_no_section(made_up):
    bare = [dataclasses.replace(one, table=one.table[:0]) for one in made_up.beside["strata"]]
    found = dataclasses.replace(made_up, beside=made_up.beside | {"strata": bare})
    assert strata.show(found, DATASET) is None and "#strata" not in Page(pages.render(found)).addresses


def test_a_detectable_difference_beyond_1_is_none(made_up):
    table = made_up.comparison.copy()
    table["smallest_detectable"] = table["smallest_detectable"].where(table["smallest_detectable"].isna(), 3.5)
    html = pages.render(dataclasses.replace(made_up, comparison=table))
    assert "No true difference, however large, would be found in four of five studies like this one." in html
    assert "3.500" not in html and detectable(0.25)["text"] == "0.250" and detectable(3.5)["text"] == "none"


def test_a_share_that_is_none_says_why():
    table = pd.DataFrame([{"row_zero": "gc", "share": np.nan, "low": np.nan, "high": np.nan, "verdict": "not above chance"}])
    assert strata.share(table)["detail"] == "not above chance" and strata.share(table)["value"] == ""


def test_findings_stand_under_the_verdict_and_none_is_said_to_be_none(made_up):
    page = pages.render(made_up)
    part = page[page.index(f'id="verdict-{DATASET}"') : page.index('id="verdict-small"')]
    assert "What to distrust.</strong>" in part and part.count("<li>") == len(findings.findings(made_up, DATASET)) > 0
    clean = quiet(made_up)
    assert kinds(clean) == []
    checks = "runs that learnt nothing, copies of training windows in the test part, validation windows like those of training, "
    assert f"What to distrust: none of the checks found anything ({checks}" in pages.render(clean)


def test_overlaps_and_many_copies_are_leaks_and_a_few_copies_are_none(made_up):
    assert kinds(quiet(made_up, overlapping_windows=3)) == ["copies"]
    clean = quiet(made_up)
    shared = clean.certificates[DATASET]["shared_with_training"]["test"]
    for count, expected in ((10, []), (11, ["copies"])):
        shared |= {"identical": count - 4, "reverse_complement": 4}
        assert kinds(clean) == expected, count
    assert "11 of 1,000 test windows" in findings.findings(clean, DATASET)[0]["sentence"]


@pytest.mark.parametrize(("validation", "test", "named"), [(90, 7, False), (91, 7, True), (300, 166, True), (300, 167, False)])
def test_validation_windows_like_training_windows_are_named_where_test_windows_are_not(made_up, validation, test, named):
    clean = quiet(made_up)  # 900 and 1,000 windows
    shared = clean.certificates[DATASET]["shared_with_training"]
    shared["validation"] = shared["validation"] | {"similar": validation}
    shared["test"] = shared["test"] | {"similar": test}
    assert kinds(clean) == ["chosen"] * named
    if named:
        said = findings.findings(clean, DATASET)[0]["sentence"]
        assert f"{validation} of 900 validation windows share 30 % or more" in said and f"of the test windows {test} of 1,000" in said


def test_skill_on_similar_windows_is_named_where_its_interval_passes_the_margin(made_up):
    clean = quiet(made_up)
    for gap, expected in ((0.029, []), (0.031, ["leak"] * 3)):
        held = clean.beside | {"strata": [stratified(model, gap) for model in clean.contenders(DATASET)]}
        assert kinds(dataclasses.replace(clean, beside=held)) == expected
    only = [stratified("basset", 0.1), stratified("wide-basset", 0.1)]
    told = findings.findings(dataclasses.replace(clean, beside=clean.beside | {"strata": only}), DATASET)
    assert [one["kind"] for one in told] == ["leak"] and told[0]["sentence"].startswith("Leak: basset reaches 0.900 on the 1,234")
    look_up = with_models(dataclasses.replace(clean, beside=clean.beside | {"strata": only[:1]}), basset={"architecture": "nearest"})
    assert kinds(look_up) == []


@pytest.mark.parametrize(("value", "composition", "named"), [(0.872, 0.6, True), (0.871, 0.6, False), (0.93, 0.881, False)])
def test_a_look_up_as_good_as_the_best_is_named_unless_composition_is_near(made_up, value, composition, named):
    clean = with_models(quiet(made_up), nt_probe={"architecture": "nearest"}, kmer_logistic={"architecture": "composition"})
    table = clean.comparison.copy()
    table.loc[(table["model"] == "nt-probe") & (table["against"] == "kmer-logistic"), "verdict"] = "better"
    clean = changed(clean, **{"nt-probe": value, "kmer-logistic": composition})
    clean = dataclasses.replace(clean, comparison=table, beside={})
    assert ("look-up" in kinds(clean)) == named
    table.loc[(table["model"] == "nt-probe") & (table["against"] == "kmer-logistic"), "verdict"] = "cannot tell"
    assert "look-up" not in kinds(clean)


def test_a_look_up_far_below_chance_is_named(made_up):
    clean = with_models(dataclasses.replace(quiet(made_up), beside={}), nt_probe={"architecture": "nearest"})
    for value, named in ((0.43, ["look-up"]), (0.45, [])):
        assert kinds(changed(clean, **{"nt-probe": value})) == named
    assert findings.findings(changed(clean, **{"nt-probe": 0.226}), DATASET)[0]["sentence"].startswith("Reversed: looking up")


@pytest.mark.parametrize("kind", ["composition", "position"])
def test_a_simple_reason_is_named_from_four_fifths_on(made_up, kind):
    clean = with_models(quiet(made_up), kmer_logistic={"architecture": kind})
    for share, expected in ((0.79, []), (0.8, [kind] * 2)):  # the best CNN and transformer; not itself
        held = [explained(model, {"kmer-logistic": share}) for model in clean.contenders(DATASET)]
        assert kinds(dataclasses.replace(clean, beside=clean.beside | {"explained": held})) == expected
    sentence = findings.findings(dataclasses.replace(clean, beside=clean.beside | {"explained": held}), DATASET)[0]["sentence"]
    assert "80% [75%, 85%] of the skill above chance" in sentence


@pytest.mark.parametrize(
    ("verdict", "named"), [("better", 0), ("equivalent", 1), ("cannot tell", 1), ("worse", 1), ("too small to judge", 0)]
)
def test_pretraining_that_is_not_shown_to_help_is_named(made_up, verdict, named):
    twin = {"control": "random-init", "base": "basset"}
    clean = with_models(quiet(made_up), basset_flank_only=twin)
    table = clean.comparison.copy()
    table.loc[(table["model"] == "basset") & (table["against"] == "basset-flank-only"), "verdict"] = verdict
    assert kinds(dataclasses.replace(clean, comparison=table)) == ["twin"] * named


def test_shuffled_labels_above_chance_and_luck_are_named(made_up):
    clean = quiet(made_up)
    for value, expected in ((0.529, []), (0.531, ["shuffled-labels"])):
        assert kinds(changed(clean, **{"basset-shuffled-labels": value})) == expected
