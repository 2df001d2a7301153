"""Dependencies on the page: sentences, tables and figures say what the tables of contexts and interactions say."""

import re

import numpy as np
import pandas as pd
import pytest
from made_up_study import write
from test_page import Page

import render
from regdna.contexts import COLUMNS
from regdna.interactions.planted import arrangements
from regdna.page import dependencies
from regdna.page.results import Beside

MOTIFS = {"gata": "AGATAA", "box": "CACGTT"}
NAMES = ["K562 <open>", "HepG2 & open"]


def context_rows(model, gaps, whole=1000, verdict=""):
    """contexts.parquet of one model whose mean AUROC lies ``gaps[context]`` below that of the whole window."""
    rows = []
    for context, gap in {**gaps, whole: 0.0}.items():
        for metric in ("auroc", "average_precision"):
            for target in (0, 1, -1):
                value, half = 0.8123 - gap - 0.001 * target, np.nan if verdict else 0.004321
                rows.append({
                    "model": model, "context": context, "metric": metric, "target": target, "name": "x", "n": 1000, "positives": 250,
                    "prevalence": 0.25, "value": value, "low": value - half, "high": value + half, "difference": -gap,
                    "difference_low": -gap - half, "difference_high": -gap + half, "within_low": -gap - half, "within_high": -gap + half,
                    "verdict": verdict,
                })  # fmt: skip
    return pd.DataFrame(rows)[COLUMNS]


def pair_rows(epistasis, p, grammar=0.5):
    """interactions.parquet of one model: one arrangement and target has this epistasis and p, the others a tenth and 1."""
    rows = []
    for at, one in enumerate(arrangements(*MOTIFS.values(), [5, 10], 200)):
        for target, name in enumerate(NAMES):
            best = at == 5 and target == 1
            value = epistasis * (1 if best else 0.1)
            rows.append({
                "kind": "planted", "locus": "", "a": "gata", "b": "box", "spacing": one.spacing, "orientation": one.orientation,
                "target": target, "name": name, "effect_a": 0.25, "effect_b": 0.5, "effect_joint": 0.75 + value, "epistasis": value,
                "low": value - 0.01,
                "high": value + 0.01, "p": p, "p_adjusted": p if best else 1.0, "p_arrangement": grammar, "backgrounds": 20,
            })  # fmt: skip
    for at, size in enumerate((0.1, -0.9, 0.3, 0.2)):
        rows.append(rows[0] | {"kind": "locus", "locus": "here", "a": f"chr1:{at}A>C", "b": "chr1:9G>T", "epistasis": size,
                               "orientation": "", "p": np.nan, "p_adjusted": np.nan, "low": np.nan, "high": np.nan})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """The made-up study with tables of contexts and interactions of three models on ``large``."""
    folder = tmp_path_factory.mktemp("study")
    arguments = {**write(folder), "page": folder / "report.html"}
    tables = {
        ("basset", "contexts"): context_rows("basset", {200: 0.1234, 600: 0.001}),
        ("nt-random", "contexts"): context_rows("nt-random", {200: 0.2, 600: 0.05}),
        ("kmer-logistic", "contexts"): context_rows("kmer-logistic", {200: 0.01, 600: 0.0}, verdict="too small to judge"),
        ("basset", "interactions"): pair_rows(-0.4567, 0.0123, 0.0012),
        ("nt-random", "interactions"): pair_rows(0.0343, 0.45),
        ("kmer-logistic", "interactions"): pair_rows(0.0, 1.0),
    }
    paths = []
    for (model, kind), table in tables.items():
        paths.append(folder / "results/made-up/large" / model / f"{kind}.parquet")
        table.attrs = {"motifs": MOTIFS}
        table.to_parquet(paths[-1])
    return {**arguments, "beside": paths}


@pytest.fixture(scope="module")
def html(given):
    render.main(**given)
    return given["page"].read_text()


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_a_sentence_a_model_says_how_much_context_it_needs(page):
    said = " ".join("".join(page.said).split())
    assert "basset: 600 bp in the middle do as well as the whole window (90 % interval within ±0.01)" in said
    assert "mean AUROC 0.813 with all 1,000 bp, 0.690 with 200 (−0.123 [−0.128, −0.119])" in said
    assert "nt-random: mean AUROC 0.813 with all 1,000 bp, 0.613 with 200" in said
    assert "No narrower context of those tried is shown to be equivalent" in said
    assert "kmer-logistic: too small to judge; mean AUROC 0.813 with all 1,000 bp, 0.803 with 200." in said


def test_a_model_that_sees_no_more_than_what_was_asked_is_said_to_have_been_left_alone():
    rows = context_rows("basset", {})
    said = dependencies.needed(Beside("large", "basset", "contexts", "contexts.parquet", rows, {}), 0.01)
    assert said == "basset sees 1,000 bp, no more than the narrowest context that was asked for; nothing was shuffled."


def test_the_table_of_contexts_equals_the_files(page, given):
    [shown] = page.find("Skill against context")
    assert len(shown) == 9
    for path in given["beside"][:3]:
        table = pd.read_parquet(path).query("target == -1").set_index(["context", "metric"])
        mine = shown[shown["model"] == path.parts[-2]].set_index("bases left")
        for context in (200, 600, 1000):
            row = mine.loc[context]
            assert row["mean AUROC [95\u00a0%]"] == table.at[(context, "auroc"), "value"]
            assert row["AP minus that of the whole [95\u00a0%]"] == table.at[(context, "average_precision"), "difference"]


def test_a_sentence_a_model_says_whether_the_pair_interacts(page):
    said = " ".join("".join(page.said).split())
    assert "basset: found. Clearest for gata → box ←, 10 bp apart, on HepG2 & open: together +0.293, the sum of either alone +0.750" in said
    assert (
        "epistasis −0.457 [−0.467, −0.447], p 0.012 over 8 arrangements and 2 targets. It depends on spacing or orientation (p 0.0012)."
        in said
    )
    assert "nt-random: none shown. The largest epistasis is that of gata → box ←, 10 bp apart, on HepG2 & open: +0.034" in said
    assert "kmer-logistic: none. What gata and box do in its logits adds up in every arrangement." in said


def test_a_claim_that_does_not_depend_on_arrangement_says_so():
    said = dependencies.told("m", pair_rows(0.5, 0.01, 0.3), ("gata", "box"))
    assert "It is not shown to depend on spacing or orientation (p 0.3)." in said and said.startswith("m: found.")
    assert "depend" not in dependencies.told("m", pair_rows(0.5, 0.01, np.nan), ("gata", "box"))


def test_the_arrangements_equal_the_files_at_the_target_with_most(page, given):
    [shown] = page.find("Every arrangement of gata and box, on HepG2 & open")
    assert len(shown) == 3 * 8
    table = pd.read_parquet(given["beside"][3]).query("kind == 'planted' and target == 1").reset_index(drop=True)
    mine = shown[shown["model"].str.startswith("basset")].reset_index(drop=True)
    for column, name in {"epistasis": "epistasis [95\u00a0%]", "effect_a": "effect of gata", "effect_joint": "of both",
                         "spacing": "bp between", "p_adjusted": "p, all arrangements and targets"}.items():  # fmt: skip
        assert np.array_equal(mine[name].astype(float), table[column].astype(float)), column


def test_the_largest_pairs_of_each_locus_are_shown(page):
    [shown] = page.find("Substitutions in pairs")
    assert len(shown) == 9 and shown["epistasis [95\u00a0% over seeds]"].tolist()[:3] == [-0.9, 0.3, 0.2]


def test_networks_are_listed_by_the_bases_they_see_with_their_tokens(page, given):
    shown = page.find("Skill by tokeniser")[0]
    assert set(shown["model"]) == {"basset", "wide-basset", "nt-random", "nt-probe"}
    tokens = shown.set_index("model")["tokens a window"]
    assert tokens["basset"] == 200 and tokens["nt-random"] == 1 + 33 + 2  # <cls>, 33 6-mers and two bases
    assert shown["mean AUROC [95\u00a0%]"].tolist() == sorted(shown["mean AUROC [95\u00a0%]"], reverse=True)


def test_byte_pairs_are_counted_by_training_runs_alone(given, monkeypatch):
    class Some:
        study = {"models": {"whole": {"architecture": "dnabert2", "regime": "full"},
                            "probe": {"architecture": "dnabert2", "regime": "probe"},
                            "old": {"architecture": "dnabert", "regime": "full"}}}  # fmt: skip
        runs = pd.DataFrame({"dataset": "d", "model": list(study["models"]), "seed": 1, "tokens": 900.0, "sequences": 20})

        def family(self, model):
            return "transformer"

    def job(model, **parameters):
        return dependencies.Job("d", model, 1, {}, {"length": 200, "parameters": parameters})

    found = {model: dependencies.tokeniser(Some(), job(model)) for model in Some.study["models"]}
    assert found["whole"] == ("byte pairs", 45.0) and np.isnan(found["probe"][1]) and found["old"] == ("k-mers, overlapping", 45.0)
    assert dependencies.tokeniser(Some(), job("old", k=3)) == ("3-mers, overlapping", 200.0)


def test_figures_have_captions_and_alternatives_and_are_made_again_by_a_command(html):
    for name, said in {
        "Mean AUROC by context: basset 0.690 with 200 bp, 0.812 with 600 bp": "the flanks’ dinucleotides are in another order",
        "Epistasis of gata and box on HepG2 &amp; open, largest in size: basset −0.457": "is grammar",
    }.items():
        at = html.index(f'aria-label="{name}')
        assert said in html[at : html.index("</figure>", at)].replace("&#8217;", "’")
    commands = re.findall(r"snakemake [^<]*(?:contexts|interactions)\.parquet", html)
    assert len(commands) == 5 and all("{basset,nt-random,kmer-logistic}" in one for one in commands)


def test_a_study_that_asks_nothing_has_no_section(tmp_path):
    given = write(tmp_path)
    found = Beside("other", "basset", "contexts", "x", pd.DataFrame(), {})

    class Nothing:
        beside = {"contexts": [found]}

        def contenders(self, dataset):
            return ["basset"]

        def family(self, model):
            return "cnn"

    assert given and dependencies.show(Nothing(), "large") is None
