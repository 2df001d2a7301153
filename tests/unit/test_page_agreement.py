"""Agreement with published weights on the page: what is compared stands before numbers, and every number is the table's."""

import numpy as np
import pandas as pd
import pytest
from test_agreement import PUBLISHED, TARGETS, described, places, scores
from test_page import Page

from regdna import plots
from regdna.agreement import compare
from regdna.page import agreement as module
from regdna.page.agreement import Compared, show
from regdna.page.template import engine

LOOKS = plots.series({"basset": ("cnn", "basset", ""), "nt": ("transformer", "nt · random weights", "")})
SOURCE = {"source": "kipoi-deepsea", "citation": "Zhou & Troyanskaya 2015", "licence": "CC BY 3.0"}
COLUMNS = {"logit, Spearman [95\u00a0%]": ("logit", "spearman"), "logit, Pearson [95\u00a0%]": ("logit", "pearson"),
           "diff, Spearman [95\u00a0%]": ("diff", "spearman"), "diff, Pearson [95\u00a0%]": ("diff", "pearson")}  # fmt: skip


@pytest.fixture
def made(tmp_path):
    """Agreement of two models on 300 variants in many blocks; a function of what the targets are."""

    def of(targets=TARGETS):
        out = []
        for seed, model in enumerate(("basset", "nt")):
            draw, table = np.random.default_rng(seed), places(300)
            published = scores(tmp_path / "published.parquet", table, draw.normal(size=(300, len(PUBLISHED))), described(PUBLISHED))
            mine = scores(tmp_path / f"{model}.parquet", table, draw.normal(size=(300, len(targets))), targets)
            held = compare(mine, published, targets, described(PUBLISHED), 50)
            held.attrs |= {"source": SOURCE, "initialisation": "published weights, kipoi-deepsea", "index": 499}
            path = tmp_path / f"results/study/dhs/{model}/variants/dbsnp.agreement.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            held.to_parquet(path, index=False)
            out.append(Compared.read(path))
        return out

    return of


def page(some):
    html = engine().get_template("agreement.html.j2").render(agreement=[show(some, LOOKS)], invocation="snakemake")
    return html, Page(html)


def test_a_file_says_where_it_belongs(made):
    one = made()[1]
    assert (one.dataset, one.model, one.name) == ("dhs", "nt", "dbsnp") and one.about["compared"] == 300


def test_every_correlation_is_that_of_the_file(made):
    some = made()
    _, found = page(some)
    held = next(one for one in found.tables if one["caption"].startswith("Agreement by target"))
    assert len(held["rows"]) == 4
    for row in held["rows"]:
        cells = dict(zip(held["heads"], row, strict=True))
        table = next(one.table for one in some if one.model == cells["model"][0])
        mine = table[table["name"] == cells["target"][0]]
        for column, (score, statistic) in COLUMNS.items():
            one = mine[(mine["score"] == score) & (mine["statistic"] == statistic)].iloc[0]
            assert float(cells[column][1]) == one["value"]
            assert "[" in cells[column][0]
        tops = mine[mine["what"] == "overlap"].set_index("share")["value"]
        assert [float(cells[f"top {share}\u00a0% in common"][1]) for share in (1, 5)] == tops.tolist()


def test_medians_are_over_a_groups_targets(made):
    targets = described([("K562", "TF", "CTCF"), ("K562", "TF", "CTCF"), ("NHEK", "histone", "H3K4me3")])
    some = made(targets)
    _, found = page(some)
    held = next(one for one in found.tables if "medians" in one["caption"])
    row = dict(zip(held["heads"], held["rows"][0], strict=True))
    mine = some[0].table[some[0].table["group"] == "TF"]
    expected = mine[(mine["score"] == "logit") & (mine["statistic"] == "spearman")]["value"].median()
    assert (row["model"][0], row["targets"][0], row["matched"][1]) == ("basset", "TF", "2.0")
    assert float(row["logit, Spearman"][1]) == expected


def test_what_is_compared_is_said_first_and_that_it_is_no_measurement(made):
    html, _ = page(made())
    assert html.index("another model, not a measurement") < html.index("<table")
    assert "CC BY 3.0" in html and "Zhou &amp; Troyanskaya" in html and "at index 499" in html
    assert "basset: 300 of 300 that both have scored" in html


def test_targets_without_a_published_one_are_listed_with_the_reason(made):
    _, found = page(made())
    rows = next(one for one in found.tables if one["caption"].startswith("Targets without"))["rows"]
    assert [[one[0] for one in row] for row in rows] == [
        [model, "no published target is of hESC", "1", "hESC DHS"] for model in ("basset", "nt")
    ]


def test_it_is_said_when_nothing_can_be_compared(made):
    html, found = page(made(TARGETS.assign(cell_type="")))
    assert "nothing can be compared" in html and len(found.tables) == 1 and "<svg" not in html


def test_a_dataset_that_is_matched_whole_lists_none(made):
    html, found = page(made(described(PUBLISHED[:4])))
    assert len(found.tables) == 2 and "Targets without" not in html


def test_the_figure_shows_each_group_and_says_its_largest_effects(made):
    some = made()
    html, _ = page(some)
    for words in ("DNase, |diff|", "histone, |log2 odds|", "nt · random weights"):
        assert words in html
    points = some[0].table[(some[0].table["what"] == "quantile") & (some[0].table["score"] == "log2_odds")]
    last = points[points["group"] == "DNase"].iloc[-1]
    assert f"basset DNase {last['value']:.2f} and {last['against']:.2f}" in html


def test_many_targets_are_cut_and_that_is_said(made, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 1)
    _, found = page(made())
    held = next(one for one in found.tables if one["caption"].startswith("Agreement by target"))
    assert len(held["rows"]) == 2 and "the first 1 targets" in held["caption"]


def test_zero_effects_do_not_break_the_logarithmic_axes():
    points = pd.DataFrame({"model": "basset", "group": "TF", "score": ["diff", "diff", "log2_odds"], "value": [0.0, 0.2, 0.0],
                           "against": [0.1, 0.3, 0.0]})  # fmt: skip
    assert "TF, |diff|" in module.paint(points, LOOKS, name="q", alt="")
