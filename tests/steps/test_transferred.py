"""From predictions to transfer.parquet, with what is refused; and the control that never sees some cell types."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workflow_tools import step

from regdna.certificate import digest
from regdna.step import InputError
from regdna.targets import Targets, all_known, pack
from regdna.train.data import Material

NAMES = [("A", "DNase", "a-dnase"), ("", "promoter", "promoter"), ("B", "DNase", "b-dnase"), ("C", "DNase", "c-dnase"),
         ("A", "TF", "a-ctcf"), ("B", "TF", "b-ctcf")]  # fmt: skip


@pytest.fixture
def dataset(tmp_path):
    """A dataset as the steps write it, 900 windows in blocks of ten, labels that share an activity; and predictions of two seeds."""
    draw = np.random.default_rng(0)
    n = 900
    frame = pd.DataFrame({"chrom": "chr1", "start": np.arange(n) * 500, "end": np.arange(n) * 500 + 200,
                          "split": np.repeat(["train", "validation", "test"], n // 3), "block": np.arange(n) // 10})  # fmt: skip
    frame.to_parquet(tmp_path / "windows.parquet")
    (tmp_path / "splits.json").write_text(json.dumps({"digest": digest(frame)}))
    common, own = draw.normal(size=(n, 1)), draw.normal(size=(n, len(NAMES)))
    write(tmp_path, common + own > 0.5)
    files = {"predictions": [], "about": []}
    for seed in (1, 2):
        files["predictions"].append(tmp_path / f"test{seed}.npy")
        np.save(files["predictions"][-1], (1 / (1 + np.exp(-(common + 0.5 * own)[frame["split"] == "test"]))).astype(np.float32))
        files["about"].append(tmp_path / f"about{seed}.json")
        said(files["about"][-1], split_digest=digest(frame), seed=seed)
    return {"windows": tmp_path / "windows.parquet", "splits": tmp_path / "splits.json", "targets": tmp_path / "targets.npy",
            "names": tmp_path / "targets.tsv", "known": tmp_path / "known.npy", "transfer": tmp_path / "transfer.parquet", "model": "m",
            "replicate_count": 100, **files}  # fmt: skip


def write(folder: Path, labels: np.ndarray, names: list = NAMES) -> None:
    """Labels and the table of targets."""
    np.save(folder / "targets.npy", pack(labels))
    np.save(folder / "known.npy", all_known(len(names)))
    table = pd.DataFrame(names, columns=["cell_type", "assay", "target"]).assign(source="s", positives=1, known=1)
    table.rename_axis("index").to_csv(folder / "targets.tsv", sep="\t")


def said(path: Path, **facts: object) -> None:
    """about.json of predictions."""
    path.write_text(json.dumps({"control": "", "initialisation": "random", **facts}))


def test_a_table_of_every_group_pair_and_reference_is_written(dataset):
    step("transfer").main(**dataset, threads=2)
    table = pd.read_parquet(dataset["transfer"])
    assert [one["cells"] for one in table.attrs["groups"]] == [["A", "B", "C"], ["A", "B"]] and table.attrs["left_out"] == {}
    pairs = table[(table["kind"] == "pair") & (table["metric"] == "auroc")]
    assert len(pairs) == 6 + 2 and (pairs["low"] < pairs["value"]).all() and (pairs["value"] < pairs["high"]).all()
    means = table[(table["kind"] == "deviation") & (table["metric"] == "auroc") & (table["tested_on"] == "")].set_index("assay")
    assert means["cells"].to_dict() == {"DNase": 3, "TF": 2, "": 5} and (means["low"] > 0.5).all()
    labels = Targets(dataset["targets"], dataset["names"])[np.arange(600, 900)][:, [0, 2, 3]]
    assert table.attrs["groups"][0]["varying"] == (labels.any(1) & ~labels.all(1)).sum() and table.attrs["groups"][0]["windows"] == 300
    again = dataset | {"transfer": dataset["transfer"].with_name("again.parquet")}
    step("transfer").main(**again)
    pd.testing.assert_frame_equal(pd.read_parquet(again["transfer"]), table)


def test_the_control_is_judged_on_what_it_never_saw_and_others_on_all(dataset):
    for control, seen, tested in (("held-out-cells", False, {"C", ""}), ("", True, {"A", "B", "C", ""})):
        for path in dataset["about"]:
            said(path, **(json.loads(path.read_text()) | {"control": control}))
        step("transfer").main(**dataset, held_out=["C"])
        table = pd.read_parquet(dataset["transfer"])
        assert set(table["seen"]) == {seen} and set(table["tested_on"]) == tested
    assert table.attrs["held_out"] == []
    for path in dataset["about"]:
        said(path, **(json.loads(path.read_text()) | {"control": "held-out-cells"}))
    step("transfer").main(**dataset, held_out=["C"])
    assert pd.read_parquet(dataset["transfer"]).attrs["left_out"] == {"TF ctcf": "none of its cell types was held out"}


def test_what_means_nothing_is_refused_with_the_reason(dataset):
    folder = dataset["windows"].parent
    with pytest.raises(InputError, match=r"targets.tsv: labels are exclusive: each window has one label"):
        step("transfer").main(**dataset, labels="exclusive")
    with pytest.raises(InputError, match=r"targets.tsv: transfer.held_out: 'D' shares no assay"):
        step("transfer").main(**dataset, held_out=["D"])
    with pytest.raises(InputError, match=r"test1.npy: shape \(300, 6\), but the windows need \(300, 2\)"):
        write(folder, np.random.default_rng(1).random((900, 2)) < 0.5, [NAMES[0], NAMES[2]])
        step("transfer").main(**dataset)
    with pytest.raises(InputError, match=r"targets.tsv: transfer: no two cell types share an assay and a target"):
        write(folder, np.ones((900, 2), bool), NAMES[:2])
        step("transfer").main(**dataset)
    one_each = np.zeros((900, 6), bool)
    one_each[np.arange(900), np.random.default_rng(2).choice(6, 900)] = True
    with pytest.raises(
        InputError, match=r"DNase: no window is positive in two of its cell types, so the labels exclude each other.*TF ctcf: no"
    ):
        write(folder, one_each)
        step("transfer").main(**dataset)
    said(dataset["about"][1], split_digest="other")
    with pytest.raises(InputError, match=r"about2.json: belongs to split other"):
        step("transfer").main(**dataset)


def test_training_never_meets_the_labels_of_a_held_out_cell(dataset):
    frame = pd.read_parquet(dataset["windows"])
    np.save(dataset["windows"].with_name("sequences.npy"), np.random.default_rng(0).integers(0, 4, (len(frame), 200), dtype=np.uint8))
    given = (dataset["windows"], dataset["splits"], dataset["targets"], dataset["names"], "multilabel")
    held = Material(*given, sequences=dataset["windows"].with_name("sequences.npy"), control="held-out-cells", held_out=("A",)).open()
    for part in ("train", "validation"):
        rows = held.rows(part)
        assert not held.targets.known(rows)[:, [0, 4]].any() and held.targets.known(rows)[:, [1, 2, 3, 5]].all()
        assert not held.targets[rows][:, [0, 4]].any() and held.targets[rows][:, 2].any()


@pytest.mark.parametrize("model", ["kmer-logistic", "basset"])
def test_a_model_without_the_labels_of_a_cell_is_the_same_whatever_they_are(dataset, tmp_path, model):
    """The strict form is strict: other labels of the held-out cell, and not a bit of the checkpoint differs."""
    frame = pd.read_parquet(dataset["windows"])
    np.save(tmp_path / "sequences.npy", np.random.default_rng(0).integers(0, 4, (len(frame), 200), dtype=np.uint8))
    certificate = json.loads(dataset["splits"].read_text()) | {"sequence_digest": "s"}
    dataset["splits"].write_text(json.dumps(certificate))
    sizes = {
        "kmer-logistic": {"k": 2, "l2": 1.0},
        "basset": {"filters": [4, 4, 4], "widths": [9, 5, 3], "pools": [4, 4, 4], "hidden": 8, "dropout": 0.1},
    }
    training = {"epochs": 1, "batch_size": 64, "learning_rate": 0.01, "weight_decay": 0.01, "warmup": 0.1, "schedule": "cosine",
                "layer_decay": 1.0, "precision": "float32", "micro_batch": 0, "balance": True, "clip": 1.0, "patience": 1, "retries": 0,
                "reverse_complement": True, "shift": 0}  # fmt: skip
    entry = {"architecture": model, "parameters": sizes[model], "regime": "full", "initialisation": "random", "context": 0,
             "training": training, "control": "held-out-cells", "held_out": ["A"]}  # fmt: skip
    labels, found = Targets(dataset["targets"], dataset["names"])[np.arange(900)], []
    for turn in range(2):
        other = labels.copy()
        other[:, [0, 4]] ^= bool(turn)
        write(tmp_path, other)
        out = tmp_path / f"checkpoint{turn}"
        step("train").main(dataset["windows"], dataset["splits"], dataset["targets"], dataset["names"], dataset["known"], out,
                           tmp_path / f"compute{turn}.json", entry, "multilabel", "m", 1, tmp_path / "store",
                           sequences=tmp_path / "sequences.npy")  # fmt: skip
        found.append((out / "model.safetensors").read_bytes())
    assert found[0] == found[1]
