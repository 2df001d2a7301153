"""The step that embeds windows, and the training of a probe on what it writes."""

import json

import numpy as np
import pandas as pd
import pytest
import toy_models
from workflow_tools import step

from regdna import models
from regdna.certificate import digest
from regdna.embed import Embeddings
from regdna.models import weights
from regdna.models.classifier import Classifier
from regdna.step import InputError
from regdna.store import write_json

SIZES = {name: toy_models.NT[name] for name in ("version", "k", "hidden", "layers", "heads", "intermediate", "dropout")}
ENTRY = {
    "architecture": "nucleotide-transformer", "initialisation": "random", "context": 0, "parameters": SIZES | {"pooling": "mean"},
    "control": "", "centre": 0, "precision": "auto",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A toy dataset with its split certified."""
    data = toy_models.data(tmp_path, rows=120)
    data.windows.to_parquet(tmp_path / "windows.parquet")
    (tmp_path / "splits.json").write_text(json.dumps({"digest": digest(data.windows), "sequence_digest": "s"}))
    np.save(tmp_path / "known.npy", np.zeros((0, 1), np.uint8))
    return tmp_path


def embed(folder, out="embeddings", entry=ENTRY, **changed):
    given = {"windows": folder / "windows.parquet", "splits": folder / "splits.json", "embeddings": folder / out, "entry": entry,
             "model": "nt", "seed": 1, "sequences": folder / "sequences.npy"}  # fmt: skip
    step("embed").main(**(given | changed))
    return Embeddings(folder / out)


def array(held, layer=1):
    return held.read(held.poolings[0], layer, np.arange(len(held.rows)))


def test_windows_of_training_and_validation_are_embedded_and_said_of_what(folder):
    held = embed(folder)
    split = pd.read_parquet(folder / "windows.parquet")["split"].to_numpy()
    assert held.rows.tolist() == np.flatnonzero(np.isin(split, ["train", "validation"])).tolist()
    assert held.poolings == ["mean"] and held.layers == 1 and held.about["width"] == 16
    certified = json.loads((folder / "splits.json").read_text())["digest"]
    said = {"architecture": "nucleotide-transformer", "initialisation": "random", "weights": "", "weights_digest": "", "seed": 1,
            "length": 60, "control": "", "centre": 0, "split_digest": certified}  # fmt: skip
    assert held.about.items() >= said.items()


def test_what_is_asked_for_twice_is_the_same_and_another_seed_is_not(folder):
    first = embed(folder)
    assert np.array_equal(array(first), array(embed(folder, "again")))
    other = embed(folder, "other", seed=2)
    assert other.about["digest"] != first.about["digest"] and not np.allclose(array(other), array(first), atol=1e-2)


def test_all_poolings_are_written_where_one_is_to_be_chosen(folder):
    held = embed(folder, entry=ENTRY | {"parameters": SIZES | {"pooling": "best"}})
    assert held.poolings == ["mean", "cls", "max", "bases"]
    assert np.array_equal(array(held), array(embed(folder, "mean")))


def test_a_control_is_embedded_as_it_is_shown(folder):
    plain = embed(folder)
    flank = embed(folder, "flank", entry=ENTRY | {"control": "flank-only", "centre": 20})
    assert not np.allclose(array(flank), array(plain), atol=1e-2)
    codes = np.load(folder / "sequences.npy")
    codes[:, 20:40] = 4
    np.save(folder / "sequences.npy", codes)
    assert np.array_equal(array(embed(folder, "masked")), array(flank))


def test_published_weights_are_those_of_the_vault(folder):
    published = toy_models.published(folder / "weights", "nt-v2")
    files = sorted(published.iterdir())
    entry = ENTRY | {"initialisation": "published", "weights": "hub", "parameters": {"pooling": "mean"}}
    given = {"entry": entry, "weights": files, "vault": folder / "vault.json"}
    write_json(folder / "vault.json", {"parameter_digest": "0" * 16})
    with pytest.raises(InputError, match="its weights are not those that vault.json there describes"):
        embed(folder, **given)
    write_json(folder / "vault.json", {"parameter_digest": weights.digest(models.load(published)[0].state_dict())})
    held = embed(folder, **given)
    assert held.layers == 2 and held.about["weights"] == "hub"
    assert np.array_equal(array(held), array(embed(folder, "again", seed=2, **given)))  # no seed has a part in them


def test_windows_that_the_network_does_not_take_are_refused_and_leave_nothing(folder):
    sizes = {"k": 3, "hidden": 16, "layers": 1, "heads": 2, "intermediate": 16, "dropout": 0.1, "pooling": "mean"}
    np.save(folder / "sequences.npy", np.zeros((120, 600), np.uint8))
    frame = pd.read_parquet(folder / "windows.parquet")
    frame["end"] = frame["start"] + 600
    frame.to_parquet(folder / "windows.parquet")
    with pytest.raises(InputError, match="windows.parquet: belongs to split"):
        embed(folder)
    (folder / "splits.json").write_text(json.dumps({"digest": digest(frame), "sequence_digest": "s"}))
    with pytest.raises(InputError, match=r"models.nt: a sequence of 600 tokens, but this DNABERT takes 512"):
        embed(folder, entry=ENTRY | {"architecture": "dnabert", "parameters": sizes})
    assert not (folder / "embeddings").exists()


def test_a_probe_trains_on_them(folder):
    embed(folder)
    entry = ENTRY | {"regime": "probe", "training": {"batch_size": 32}}
    given = {"windows": folder / "windows.parquet", "splits": folder / "splits.json", "targets": folder / "targets.npy",
             "table": folder / "targets.tsv", "known": folder / "known.npy", "checkpoint": folder / "checkpoint", "labels": "multilabel",
             "compute": folder / "compute.json", "entry": entry, "model": "nt", "seed": 1, "store": folder / "store",
             "sequences": folder / "sequences.npy"}  # fmt: skip
    step("train").main(**given, embeddings=folder / "embeddings")
    about = Classifier(folder / "checkpoint").about
    assert about["parameters"]["layer"] in (0, 1) and len(about["sweep"]) == 2
    compute = json.loads((folder / "compute.json").read_text())
    assert compute["validation_ap"] == about["validation_ap"] and compute["tokens"] > 0
    with pytest.raises(InputError, match="embed_windows"):
        step("train").main(**given | {"checkpoint": folder / "another"})
