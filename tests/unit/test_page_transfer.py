"""Transfer on the page: no number that the table does not hold, and planted truths are named."""

import re
from types import SimpleNamespace

import pandas as pd
import pytest
from test_page import Page
from test_transfer import GROUP, made, only

from regdna.bootstrap import draw_counts
from regdna.page.results import Beside
from regdna.page.template import engine
from regdna.page.transfer import findings, show
from regdna.transfer import average, judge, table

MODELS = {"kmer": "row zero", "basset": "cnn", "basset-held-out-cells": "cnn", "nt": "transformer"}


def beside(folder, model, held_out=(), blocks=1, **truth):
    """transfer.parquet of one model, written and read again."""
    one = made(random=3, **truth)
    found = judge(one.cells, set(held_out), draw_counts(one.block.max() + 1, 200, "k"))
    held = table([*found, *average(found, GROUP), *average(found, None)], model)
    if blocks > 1:
        held[["low", "high"]], held["verdict"] = float("nan"), "too small to judge"
    group = {"assay": "DNase", "target": "", "label": "DNase", "cells": ["A", "B", "C"], "windows": len(one.cells.labels),
             "varying": len(one.cells.varying)}  # fmt: skip
    held.attrs = {"control": "held-out-cells" if held_out else "", "held_out": sorted(held_out), "groups": [group],
                  "left_out": {"TF <x>": "no window is positive"}}  # fmt: skip
    path = folder / f"results/study/peaks/{model}/transfer.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    held.to_parquet(path)
    read = Beside.read(path)
    return Beside(read.dataset, model, read.kind, f"results/study/peaks/{model}/transfer.parquet", read.table, read.about)


def results(*some):
    """As much of Results as the section asks for."""

    def base(model):
        return "basset" if model.endswith("held-out-cells") else ""

    contenders = [one for one in MODELS if not base(one)]
    value = pd.DataFrame({"value": 0.5}, index=list(MODELS))
    return SimpleNamespace(
        beside={"transfer": list(some)}, models=lambda dataset: list(MODELS), contenders=lambda dataset: contenders, base=base,
        controls=lambda dataset, model: [one for one in MODELS if base(one) == model], family=MODELS.get,
        mean=lambda dataset, part: value, label=lambda model: f"{model} · control of {base(model)}" if base(model) else model,
    )  # fmt: skip


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """A model that knows each cell, the same without B's labels, one that knows the mean alone, and one on too few blocks."""
    folder = tmp_path_factory.mktemp("transfer")
    size = {"n": 3000, "noise": 0.2}
    return {"basset": beside(folder, "basset", **size), "basset-held-out-cells": beside(folder, "basset-held-out-cells", ["B"], **size),
            "kmer": beside(folder, "kmer", own=0.0, **size), "nt": beside(folder, "nt", blocks=2, **size)}  # fmt: skip


def html(some):
    """The section as a page."""
    shown = {"title": "Peaks", **show(results(*some), "peaks")}
    return engine().from_string('{% include "transfer.html.j2" %}').render(transfer=[shown], invocation="snakemake")


def test_a_model_that_knows_the_mean_alone_is_named_and_one_that_knows_cells_is_not(four):
    (said,) = findings(results(*four.values()), "peaks")
    assert said.startswith("kmer: transfer here is only the mean activity.")
    row = only(four["kmer"].table, kind="deviation", metric="auroc", tested_on="", assay="")
    assert f"AUROC {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in said
    assert findings(results(*four.values()), "elsewhere") == findings(results(), "peaks") == [] and show(results(), "peaks") is None


def test_a_wide_interval_is_not_called_the_mean_alone_and_no_skill_is_nothing_to_transfer(four, tmp_path):
    wide = beside(tmp_path, "kmer", own=0.0, noise=0.2, n=900)
    wide.table.loc[wide.table["kind"] == "deviation", "high"] = 0.6
    assert findings(results(wide), "peaks")[0].startswith("kmer: transfer here cannot be told from the mean activity.")
    little = wide.table.copy()
    little.loc[little["kind"] == "deviation", ["value", "low", "high"]] = 0.52, 0.501, 0.54  # little, but shown
    assert findings(results(Beside("peaks", "kmer", "transfer", wide.path, little, wide.about)), "peaks") == []
    wide.table.loc[wide.table["kind"] == "mean-of-others", "low"] = 0.49
    assert findings(results(wide), "peaks") == []


def test_a_group_speaks_where_the_whole_is_too_small_to_judge(four):
    held = four["kmer"]
    cut = held.table.copy()
    cut.loc[(cut["assay"] == "") & (cut["kind"] == "deviation"), ["low", "high"]] = float("nan")
    (said,) = findings(results(Beside("peaks", "kmer", "transfer", held.path, cut, held.about)), "peaks")
    assert said.startswith("kmer: transfer here is only the mean activity in DNase.")


def test_sentences_say_whether_transfer_beats_mean_activity_and_tells_cells_apart(four):
    kmer, basset, nt = (next(one for one in show(results(*four.values()), "peaks")["sentences"] if one.startswith(f"{model}:"))
                        for model in ("kmer", "basset", "nt"))  # fmt: skip
    gap = only(four["kmer"].table, kind="over-mean-activity", metric="auroc", tested_on="", assay="")
    for low, high, word in ((-0.2, -0.1, "worse than"), (-0.2, 0.1, "not to be told from"), (0.1, 0.2, "better than")):
        moved = four["kmer"].table.copy()
        moved.loc[moved["kind"] == "over-mean-activity", ["low", "high"]] = low, high
        (said,) = show(results(Beside("peaks", "kmer", "transfer", "results/a/b", moved, four["kmer"].about)), "peaks")["sentences"]
        assert f"so transfer is {word} mean activity" in said
    assert f"{gap['value']:+.3f}".replace("-", "−") in kmer
    assert kmer.endswith("cell-specific skill is not shown.") and basset.endswith("it tells cell types apart.")
    strict = only(four["basset-held-out-cells"].table, kind="mean-of-others", metric="auroc", tested_on="", assay="")
    assert f"Trained without any label of B, at loci that are held out too, it has {strict['value']:.3f}" in basset
    assert "Trained without" not in kmer and "too small to judge" in nt


def test_the_tables_numbers_are_the_parquets(four):
    page = Page(html(four.values()))
    for name, metric in (("AUROC", "auroc"), ("AP", "average_precision")):
        (shown,) = page.find(f"Transfer to each cell type, {name}")
        assert len(shown) == 4 * 3 + 2  # A, B, C and their mean; the control has B and the mean
        for _, row in shown.iterrows():
            held = four[row["model"]].table
            mine = held[(held["tested_on"] == row["tested on"].replace("mean over cell types", "")) & (held["assay"] == "DNase")]
            for kind, head in {
                "same-cell": "own output",
                "mean-of-others": "mean of outputs for others",
                "nearest-cell": "measured: nearest",
                "over-mean-activity": "outputs for others minus measured mean",
                "deviation": "deviation from the mean",
            }.items():
                (column,) = [one for one in shown if one.startswith(f"{head}, {name}")]
                of = mine[(mine["kind"] == kind) & (mine["metric"] == metric)]
                assert row[column] == (of["value"].item() if len(of) else "–"), (kind, row)
            assert row["labels in training"] == ("not of this cell type" if row["model"].endswith("cells") else "all")
    assert set(re.findall(r"snakemake results/[^\s<]+", html(four.values()))) == {
        "snakemake results/study/peaks/{nt,basset,basset-held-out-cells,kmer}/transfer.parquet",
        *(f"snakemake results/study/peaks/{model}/transfer.parquet" for model in ("kmer", "basset", "nt")),
    }


def test_every_value_of_a_pair_is_written_in_the_matrix_with_a_text_for_who_cannot_see_it(four):
    text = html([four["basset"]])
    figure = text[text.index("<svg") : text.index("</svg>")]
    held = four["basset"].table
    pairs = held[held["kind"].isin(["pair", "same-cell"]) & (held["metric"] == "auroc") & (held["tested_on"] != "")]
    assert len(pairs) == 9
    written = re.findall(r">(\d\.\d\d)</text>", figure)
    assert written == [
        f"{pairs[(pairs['trained_on'] == one) & (pairs['tested_on'] == other)]['value'].item():.2f}" for one in "ABC" for other in "ABC"
    ]
    assert 'role="img" aria-label="AUROC of basset' in figure
    assert "no window is positive" in text and "TF &lt;x&gt;" in text and "<x>" not in text
