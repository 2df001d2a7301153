"""Labels that are not known, from a user's table to the comparison of models."""

import json

import numpy as np
import pandas as pd
import pytest
import toy_models
from sklearn.metrics import average_precision_score, roc_auc_score
from workflow_tools import step

from regdna.assess import MEAN
from regdna.bootstrap import draw_counts, replicate, with_seeds
from regdna.step import InputError
from regdna.targets import Targets

ROWS = 300
READING = {
    "files": [{"file": "mine/own.csv"}], "columns": {"sequence": "dna", "labels": ["open", "bound", "whole"], "part": "fold"},
    "length": 0, "assay": "MPRA", "target": "", "shuffled": False, "seed": 0,
}  # fmt: skip


def unpack(folder, reading, kind="multilabel"):
    """The table in ``folder``, read."""
    files = {name: folder / name for name in ("sequences.npy", "records.parquet", "labels.npy", "labels.tsv", "labels.known.npy")}
    step("unpack").main([folder / "own.csv"], *files.values(), reading, kind)


def label(folder, kind="multilabel"):
    """The windows of what was read, labelled."""
    step("tile").main(folder / "candidates.parquet", 1000, records=folder / "records.parquet", sequences=folder / "sequences.npy")
    step("label").main(
        folder / "candidates.parquet", folder / "targets.npy", folder / "targets.tsv", folder / "labelled.parquet",
        folder / "targets.known.npy", kind, labels=folder / "labels.npy", names=folder / "labels.tsv",
        labels_known=folder / "labels.known.npy",
    )  # fmt: skip


def made(folder, gaps=True):
    """A table of one's own with cells that say nothing, unpacked, labelled and split; gives the table, NaN where it has gaps."""
    draw = np.random.default_rng(3)
    table = pd.DataFrame((draw.random((ROWS, 3)) < 0.4).astype(float), columns=READING["columns"]["labels"])
    if gaps:
        table[draw.random((ROWS, 3)) < [0.3, 0.3, 0]] = np.nan
    table["fold"] = np.resize(["train", "dev", "test", "test"], ROWS)
    table["dna"] = [toy_models.letters(draw, 40) for _ in range(ROWS)]
    table.to_csv(folder / "own.csv", index=False, na_rep="NA")
    unpack(folder, READING)
    label(folder)
    step("split").main(
        folder / "labelled.parquet",
        folder / "windows.parquet",
        folder / "splits.json",
        {"rule": "given"},
        sequences=folder / "sequences.npy",
    )
    return table


def judge(folder, model, seed, known):
    """Made-up predictions of a model, evaluated; gives the test part's."""
    out = folder / "tiny" / "own" / model
    out.mkdir(parents=True)
    windows, digest = pd.read_parquet(folder / "windows.parquet"), json.loads((folder / "splits.json").read_text())["digest"]
    labels = Targets(folder / "targets.npy", folder / "targets.tsv")[np.arange(ROWS)]
    odds = (1 / (1 + np.exp(-np.random.default_rng(seed).normal(size=labels.shape) - labels))).astype(np.float32)
    for part in ("validation", "test"):
        np.save(out / f"{part}.npy", odds[windows["split"] == part])
    (out / "about.json").write_text(json.dumps({"split_digest": digest, "seed": 1, "initialisation": "random", "control": ""}))
    step("evaluate").main(
        folder / "windows.parquet", folder / "splits.json", folder / "targets.npy", folder / "targets.tsv", [out / "test.npy"],
        [out / "validation.npy"], [out / "about.json"], out / "metrics.parquet", out / "replicates.npz", out / "curves.parquet", model,
        replicate_count=50, **({"known": folder / "targets.known.npy"} if known else {}),
    )  # fmt: skip
    return out, odds[windows["split"] == "test"]


def test_what_a_table_leaves_open_counts_nowhere(tmp_path):
    table = made(tmp_path)
    truth = table[READING["columns"]["labels"]].to_numpy()
    targets = Targets(tmp_path / "targets.npy", tmp_path / "targets.tsv", tmp_path / "targets.known.npy")
    assert np.array_equal(targets.known(np.arange(ROWS)), ~np.isnan(truth))
    assert np.array_equal(targets[np.arange(ROWS)], truth == 1)
    assert targets.table["known"].tolist() == (~np.isnan(truth)).sum(0).tolist()
    assert targets.table["positives"].tolist() == (truth == 1).sum(0).tolist()

    out, odds = judge(tmp_path, "one", 1, known=True)
    truth = truth[table["fold"] == "test"]
    found = pd.read_parquet(out / "metrics.parquet").query("part == 'test' and seed == 1").set_index(["metric", "target"])
    for at in range(3):
        rows = ~np.isnan(truth[:, at])
        for metric, function in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
            one = found.loc[(metric, at)]
            assert one["value"] == pytest.approx(function(truth[rows, at], odds[rows, at]), abs=1e-12)
            assert (one["n"], one["positives"], one["prevalence"]) == (rows.sum(), (truth[:, at] == 1).sum(), truth[rows, at].mean())
    assert found.loc[("auroc", MEAN), "n"] == len(truth)

    windows, curves = pd.read_parquet(tmp_path / "windows.parquet").query("split == 'test'"), pd.read_parquet(out / "curves.parquet")
    block, names = pd.factorize(windows["block"])
    counts = draw_counts(len(names), 50, json.loads((tmp_path / "splits.json").read_text())["digest"])
    with np.load(out / "replicates.npz") as drawn:
        for at in range(3):
            rows = ~np.isnan(truth[:, at])
            area, precision = replicate(truth[rows, at] == 1, odds[rows, at], block[rows], counts)
            assert np.array_equal(drawn["auroc"][:, at], area) and np.array_equal(drawn["average_precision"][:, at], precision)
            negatives = curves.query(f"target == {at} and curve == 'roc'")["x"] * (truth[:, at] == 0).sum()
            assert np.allclose(negatives, negatives.round(), atol=1e-9), "a curve goes by whole negatives that are known"

    other, _ = judge(tmp_path, "other", 2, known=True)
    step("compare").main(
        [out / "metrics.parquet", other / "metrics.parquet"], [out / "replicates.npz", other / "replicates.npz"], tmp_path / "c.parquet"
    )
    pairs = pd.read_parquet(tmp_path / "c.parquet").query("model == 'one' and target >= 0")
    assert len(pairs) == 3 * 3
    with np.load(out / "replicates.npz") as mine, np.load(other / "replicates.npz") as theirs:
        for row in pairs.itertuples():
            apart = mine[row.metric][:, row.target] - theirs[row.metric][:, row.target]
            moved = with_seeds(apart, row.difference, [], found.loc[(row.metric, row.target), "blocks"])
            assert (row.low, row.high) == pytest.approx(np.quantile(moved, [0.025, 0.975]), abs=1e-12)
            assert np.quantile(moved, [0.025, 0.975]) == pytest.approx(np.quantile(apart, [0.025, 0.975]), abs=0.02)


def test_a_table_without_gaps_is_judged_as_if_there_were_no_mask(tmp_path):
    made(tmp_path, gaps=False)
    for name in ("labels.known.npy", "targets.known.npy"):
        assert np.load(tmp_path / name).shape == (0, 1) and np.load(tmp_path / name).dtype == np.uint8
    assert pd.read_csv(tmp_path / "targets.tsv", sep="\t")["known"].tolist() == [ROWS] * 3
    (one, _), (other, _) = judge(tmp_path, "one", 1, known=True), judge(tmp_path, "other", 1, known=False)
    tables = [pd.read_parquet(folder / "metrics.parquet").drop(columns="model") for folder in (one, other)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    with np.load(one / "replicates.npz") as first, np.load(other / "replicates.npz") as second:
        numbers = [name for name in first if first[name].dtype.kind == "f"]
        assert len(numbers) > 8 and all(np.array_equal(first[name], second[name], equal_nan=True) for name in numbers)


def test_a_cell_that_says_nothing_contradicts_no_other(tmp_path, caplog):
    (tmp_path / "own.csv").write_text("dna,open,bound\nACGT,1,\nACGT,1,1\nGGAT,0,0\n")
    reading = READING | {"columns": {"sequence": "dna", "labels": ["open", "bound"]}}
    unpack(tmp_path, reading)
    assert not [text for text in caplog.messages if "repeat" in text]
    (tmp_path / "own.csv").write_text("dna,open,bound\nACGT,1,\nACGT,0,1\nGGAT,0,0\n")
    unpack(tmp_path, reading)
    assert [text for text in caplog.messages if "1 rows repeat a sequence with another label" in text]


def test_a_shuffled_negative_is_known_where_its_row_is(tmp_path):
    (tmp_path / "own.csv").write_text("dna,open,bound\nACGTACGTACGGAT,1,\nGGATCCATAGATTA,0,1\nCCATGACCAGATAA,,0\n")
    unpack(tmp_path, READING | {"columns": {"sequence": "dna", "labels": ["open", "bound"]}, "shuffled": True})
    label(tmp_path)
    targets = Targets(tmp_path / "targets.npy", tmp_path / "targets.tsv", tmp_path / "targets.known.npy")
    assert targets.known(np.arange(6)).tolist() == [[True, False], [True, True], [False, True]] * 2
    assert targets[np.arange(6)].tolist() == [[True, False], [False, True], [False, False], *[[False, False]] * 3]


def test_a_target_whose_known_labels_are_all_positive_is_said_to_be_of_one_class(tmp_path, caplog):
    (tmp_path / "own.csv").write_text("dna,open,bound\nACGT,1,1\nGGAT,0,\nCCAT,1,1\n")
    unpack(tmp_path, READING | {"columns": {"sequence": "dna", "labels": ["open", "bound"]}})
    with caplog.at_level("WARNING", "regdna"):
        label(tmp_path)
    assert "target bound: 2 of 2 windows are positive; its metrics will be undefined" in caplog.messages


@pytest.mark.parametrize(
    ("kind", "labels", "said"),
    [
        ("multilabel", ["open", "bound"], r"own.csv: row 3: nothing is given for open, bound; label it or remove it"),
        ("multilabel", ["bound"], r"own.csv: row 3: nothing is given for bound; label it or remove it"),
        ("exclusive", ["open"], r"own.csv: row 3 has no class; give it one or remove it"),
    ],
)
def test_a_row_without_any_label_is_refused_by_its_row(tmp_path, kind, labels, said):
    (tmp_path / "own.csv").write_text("dna,open,bound\nACGT,1,1\nGGAT,,NA\nCCAT,0,0\n")
    with pytest.raises(InputError, match=said):
        unpack(tmp_path, READING | {"columns": {"sequence": "dna", "labels": labels}}, kind)
    assert not any((tmp_path / name).exists() for name in ("labels.npy", "labels.known.npy", "sequences.npy"))
