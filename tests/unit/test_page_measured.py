"""What was measured on the page: rules before numbers, and no number that the table does not hold."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from test_page import Page

from regdna import measured, plots
from regdna.page.measured import Compared, show
from regdna.page.template import engine
from regdna.sources.variant_sets import DOUBT

LOOKS = plots.series({"basset": ("cnn", "basset", ""), "nt": ("transformer", "nt · random weights", "")})
ELEMENTS = pd.DataFrame(
    {"element": ["SORT1", "SORT1", "HBB"], "cell_type": ["HepG2", "HepG2", "HEL 92.1.7"]}, index=["SORT1", "SORT1.2", "HBB"]
)
ABOUT = {"targets": ["HepG2 <open>", "K562 open"], "cell_types": ["HepG2", "K562"], "variants": "satmut"}
EFFECTS = {
    "Spearman [95\u00a0%]": ("all", "spearman"),
    "Pearson [95\u00a0%]": ("all", "pearson"),
    "substitutions alone, Spearman": ("substitution", "spearman"),
    "deletions alone, Spearman": ("deletion", "spearman"),
    "AUROC of significant by |logit|": ("all", "auroc"),
}
LABELS = {
    "AUROC [95\u00a0%]": ("auroc", None),
    "AP [95\u00a0%]": ("average_precision", None),
    "odds ratio of the top 1\u00a0%": ("odds_ratio", 0.01),
    "odds ratio of the top 10\u00a0%": ("odds_ratio", 0.1),
}
PATH = "results/made-up/large/{}/variants/{}.measured.parquet"


def assay(seed):
    """Effects of three experiments, two of which have a target, as ``judge`` writes them."""
    draw = np.random.default_rng(seed)
    rows = [(one, at, kind) for one in ELEMENTS.index for at in range(300) for kind in ("snv", "snv", "deletion")]
    table = pd.DataFrame(rows, columns=["id", "position", "kind"]).assign(chrom="chr1", ref="A", alt=np.resize(["C", "G", "T"], len(rows)))
    table["measured"] = draw.normal(size=len(rows))
    table["p_value"] = 2 * norm.sf(np.abs(table["measured"]) / (0.2 + 0.1 * seed))
    logit = draw.normal(size=(len(rows), 2)) + table[["measured"]].to_numpy()
    out = measured.judge_effects(table, logit, ABOUT, ELEMENTS, {}, 50)
    out.attrs = {"kind": "effects", "rules": measured.RULES["effects"], "not_judged": {"fewer than 10 barcodes": 1234}, "used": len(rows),
                 "left_out": {DOUBT: 4}, "experiments": {"SORT1": "SORT1 enhancer, HepG2"}}  # fmt: skip
    return out


def sets(seed, n=2000):
    """Labels with two groups of negatives."""
    draw = np.random.default_rng(seed)
    positive = draw.random(n) < 0.3
    table = pd.DataFrame({"chrom": "chr1", "position": draw.integers(50_000_000, size=n), "measured": positive * 1.0,
                          "group": np.where(positive, "", draw.choice(["near", "far"], n))})  # fmt: skip
    out = measured.judge_labels(
        table, {"logit": draw.normal(size=n) + positive, "diff": draw.random(n)}, measured.EVERY, "2 targets", "k", 50
    )
    out.attrs = {"kind": "labels", "rules": measured.RULES["labels"], "not_judged": {}, "used": n}
    return out


def read(folder, name, made):
    """What two models' tables give when they are written and read again."""
    found = []
    for seed, model in enumerate(LOOKS):
        path = folder / PATH.format(model, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        made(seed).to_parquet(path)
        found.append(Compared.read(path))
    return found


def page(some, **more):
    """The partial of one set, as a page."""
    text = '{% include "measured.html.j2" %}'
    return engine().from_string(text).render(measured=[show(some, LOOKS)], invocation="snakemake", **more)


@pytest.fixture(scope="module")
def effects(tmp_path_factory):
    some = read(tmp_path_factory.mktemp("effects"), "satmut", assay)
    return some, page(some)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    some = read(tmp_path_factory.mktemp("labels"), "eqtl", sets)
    return some, page(some)


def test_results_are_known_by_their_place(effects):
    some, _ = effects
    assert [(one.dataset, one.model, one.name) for one in some] == [("large", model, "satmut") for model in LOOKS]
    assert some[0].path.endswith(PATH.format("basset", "satmut")) and some[0].about["kind"] == "effects"


@pytest.mark.parametrize("kind", ["effects", "labels"])
def test_score_and_sign_are_said_before_any_number(kind, request):
    some, text = request.getfixturevalue(kind)
    said = " ".join(Page(text).said)
    head = said[: said.index("variants held against measurement")]
    for rule in some[0].about["rules"].values():
        assert " ".join(rule.split())[:60] in " ".join(head.split())
    assert ("with sign +1" in head) == (kind == "effects")


def test_the_table_of_effects_has_the_headline_rows_and_their_numbers(effects):
    some, text = effects
    table = Page(text).tables[0]
    assert [(row[0][0], row[1][0]) for row in table["rows"]] == [(one, model) for one in ("SORT1", "SORT1.2") for model in LOOKS], (
        "two experiments of two models; the third has no target of its cells"
    )
    for row in table["rows"]:
        of = {head: cell for head, cell in zip(table["heads"], row, strict=True)}
        held = next(one for one in some if one.model == row[1][0]).table
        mine = held[(held["experiment"] == row[0][0]) & held["headline"]].set_index(["edits", "statistic"])
        for head, at in EFFECTS.items():
            one = mine.loc[at]
            assert float(of[head][1]) == one["value"]
            assert of[head][0] == f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]".replace("-", "−")
        bound = held.query("statistic == 'ceiling' and edits == 'all'").set_index("experiment").at[row[0][0], "value"]
        assert 0 < bound < 1 and of["noise ceiling of Pearson"][1] == repr(float(bound))
        assert of["target"][0] == "HepG2 <open>" and float(of["variants"][1]) == 900


def test_what_is_no_result_is_named_and_not_shown(effects):
    _, text = effects
    said = " ".join(Page(text).said)
    assert said.count("basset, nt: no target of the cell type of HBB;") == 1
    assert "HBB" not in {row[0][0] for row in Page(text).tables[0]["rows"]}
    assert "4 rows are left out" in said and "rs12740374" in said
    assert (
        "basset, nt: 2,700 variants held against measurement. Left out: " in said
        and "reference of the construct in doubt 4; fewer than 10 barcodes 1,234." in said
    )


def test_ceilings_and_replicates_have_a_table_of_their_own(effects):
    some, text = effects
    table = Page(text).tables[1]
    assert [row[0][0] for row in table["rows"]] == ["SORT1", "SORT1.2", "HBB"]
    held = some[0].table
    pair = held.query("statistic == 'replicate_pearson'")["value"].item()
    shown = f"{pair:.3f}".replace("-", "−")
    assert [row[4][0] for row in table["rows"]] == [f"SORT1.2 {shown} (same cells)", f"SORT1 {shown} (same cells)", "–"]
    for row in table["rows"]:
        assert (
            float(row[2][1]) == held.query(f"experiment == '{row[0][0]}' and edits == 'all' and statistic == 'reliability'")["value"].item()
        )


def test_the_table_of_labels_has_a_row_a_model_group_and_score(labels):
    some, text = labels
    table = Page(text).tables[0]
    assert len(table["rows"]) == 2 * 3 * 2
    for row in table["rows"]:
        of = {head: cell for head, cell in zip(table["heads"], row, strict=True)}
        held = next(one for one in some if one.model == row[0][0]).table
        mine = held[(held["group"] == row[1][0]) & (held["score"] == row[2][0])]
        for head, (statistic, share) in LABELS.items():
            one = mine[(mine["statistic"] == statistic) & (mine["share"].isna() if share is None else mine["share"] == share)].iloc[0]
            assert float(of[head][1]) == one["value"] and f"{one['low']:.3f}" in of[head][0]
        assert float(of["lift"][1]) == pytest.approx(float(of["AP [95\u00a0%]"][1]) / float(of["prevalence"][1]))


def test_figures_name_what_they_show_and_how_to_make_it_again(effects, labels):
    for (some, text), word in ((effects, "measured"), (labels, "enrichment")):
        assert len(re.findall(r"<svg ", text)) == 1 and f"#{word}-large-{some[0].name}" in text
        commands = [one for one in Page(text).commands if one]
        assert text.count("Make again") == len(commands) == 3 - (word == "enrichment")
        for model in LOOKS:
            value = some[list(LOOKS).index(model)].table.query("headline")["value"].iloc[0]
            assert f"{model} " in text and f"{value:.3f}" in text


def test_the_same_results_give_the_same_text(effects):
    some, text = effects
    assert page(some) == text


def test_undefined_values_are_called_so(tmp_path):
    def flat(seed):
        out = sets(seed)
        out[["value", "low", "high"]] = np.nan
        return out.assign(verdict="undefined")

    text = page(read(tmp_path, "eqtl", flat))
    assert {row[3][0] for row in Page(text).tables[0]["rows"]} == {"undefined"} and "<svg" not in text


def test_without_a_target_of_the_cells_there_is_no_figure_but_a_ceiling(tmp_path):
    def proxies(seed):
        made = assay(seed)
        out = made[made["experiment"] == "HBB"]
        out.attrs = made.attrs
        return out

    text = page(read(tmp_path, "satmut", proxies))
    assert "<svg" not in text and len(Page(text).tables) == 1 and "no result" in text
