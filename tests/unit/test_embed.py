import json
import shutil

import numpy as np
import pytest
import torch
import toy_models

from regdna import embed
from regdna.alphabet import N
from regdna.embed import Embeddings
from regdna.models import encoders, family
from regdna.step import InputError
from regdna.tokenisers import OverlappingKmers

LENGTH, ROWS = 60, 40


class Windows:
    """Sequences of which some are shorter than the rest, filled up with N."""

    length = LENGTH

    def __init__(self):
        draw = np.random.default_rng(0)
        self.codes = draw.integers(0, 4, (ROWS, LENGTH)).astype(np.uint8)
        for row in self.codes[::3]:
            row[draw.integers(20, LENGTH) :] = N

    def __getitem__(self, rows):
        return self.codes[rows]


def network(pooling="best", **more):
    about = toy_models.about("nucleotide-transformer", toy_models.NT | {"layers": 2, "pooling": pooling}, LENGTH, **more)
    return family("nucleotide-transformer").build(about, lambda: None).eval()


def written(folder, net, rows=None, **more):
    folder.mkdir()
    names = getattr(net.pooling, "names", ["mean"])
    embed.write(folder, net, names, Windows(), np.arange(3, 33) if rows is None else rows, {"split_digest": "s", "length": LENGTH}, **more)
    return folder


class TestRows:
    def test_all_windows_of_training_and_validation_where_they_are_few(self):
        parts = np.array(["test", "train", "gap", "validation", "train", "unused", "validation"], dtype=object)
        assert embed.choose_rows(parts).tolist() == [1, 3, 4, 6]

    def test_else_evenly_spaced_ones_of_each(self, monkeypatch):
        monkeypatch.setattr(embed, "MOST", {"train": 20, "validation": 10})
        parts = np.repeat(np.array(["validation", "train", "test"], dtype=object), [35, 1000, 50])
        rows = embed.choose_rows(parts)
        train, validation = rows[rows >= 35], rows[rows < 35]
        assert train.tolist() == list(range(35, 1035, 50)) and len(validation) == 10
        assert set(np.diff(validation)) <= {3, 4} and validation[0] == 0
        assert rows.dtype == np.int64

    def test_a_part_without_windows_has_none(self):
        assert embed.choose_rows(np.array(["train", "test"], dtype=object)).tolist() == [0]


class TestWrite:
    def test_each_window_is_what_it_would_be_alone(self, tmp_path, monkeypatch):
        net = network()
        monkeypatch.setattr(embed, "BASES", 4 * LENGTH)
        monkeypatch.setattr(embed, "PIECE_BYTES", 9 * 3 * 4 * 16 * 4)  # nine windows, so eight at a time
        held = Embeddings(written(tmp_path / "out", net))
        assert held.rows.tolist() == list(range(3, 33)) and held.rows.dtype == np.int64
        assert held.poolings == ["mean", "cls", "max", "bases"] and held.layers == 2
        given = Windows()
        for name in held.poolings:
            for layer in range(3):
                encoders.set_pooling(net, name, layer)
                with torch.no_grad():
                    expected = [net.embed(**net.encode(given[row : row + 1]))[0].numpy() for row in held.rows]
                found = held.read(name, layer, np.arange(30))
                assert found.dtype == np.float32 and found == pytest.approx(np.array(expected), rel=1e-3, abs=1e-3)
        assert np.load(tmp_path / "out/mean.npy").dtype == np.float16
        tokens = sum(int(net.encode(given[row : row + 1])["attention_mask"].sum()) for row in held.rows)
        assert held.about["tokens"] == tokens and held.about["width"] == 16 and held.about["rows"] == 30
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
            ["about.json", "rows.npy", *(f"{name}.npy" for name in held.poolings)]
        )

    def test_only_the_networks_own_pooling_is_written_where_it_has_one(self, tmp_path):
        net = network("mean")
        held = Embeddings(written(tmp_path / "out", net))
        several = Embeddings(written(tmp_path / "several", network()))
        assert held.poolings == ["mean"]
        assert np.array_equal(held.read("mean", 1, np.arange(30)), several.read("mean", 1, np.arange(30)))

    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            (lambda draw: draw.normal(size=(50, 2, 3)), np.float16),
            (lambda draw: draw.normal(size=(50, 2, 3)) * 1e5, np.float32),  # beyond what float16 holds
            (lambda draw: draw.normal(size=(50, 2, 3)) + [[[0, 0, 800]]], np.float32),  # a spread that its rounding hides
            (lambda draw: draw.normal(size=(50, 2, 3)) * [[[1, 1, 0]]] + 0.1, np.float16),  # a constant
            (lambda draw: draw.normal(size=(50, 2, 3)) * [[[1, 1, 1e-9]]] + 3.3, np.float16),  # and one but for rounding
        ],
    )
    def test_half_precision_is_taken_where_nothing_is_lost(self, values, kind, tmp_path, monkeypatch):
        given = values(np.random.default_rng(0)).astype(np.float32)
        np.save(tmp_path / "mean.npy", given)
        monkeypatch.setattr(embed, "PIECE_BYTES", 7 * given[0].nbytes)
        embed._narrow(tmp_path / "mean.npy")
        found = np.load(tmp_path / "mean.npy")
        assert found.dtype == kind and np.array_equal(found, given.astype(kind))
        assert [path.name for path in tmp_path.iterdir()] == ["mean.npy"]

    def test_what_is_no_number_is_refused(self, tmp_path):
        net = network("mean")
        with torch.no_grad():
            net.encoder.encoder.layer[1].output.dense.weight[0, 0] = float("nan")
        with pytest.raises(ValueError, match="layer 2 gives numbers that are not finite"):
            written(tmp_path / "out", net)


class TestIdentity:
    def test_it_is_of_encoder_and_tokeniser_and_nothing_else(self):
        net = network()
        mine = embed.identity(net)
        assert mine == embed.identity(network()) == embed.identity(network("mean"))
        assert mine != embed.identity(network(seed=2))
        torch.nn.init.normal_(net.head.weight)
        assert mine == embed.identity(net)
        net.tokeniser = OverlappingKmers(3)
        assert mine != embed.identity(net)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Embeddings of the mean, written once."""
    return written(tmp_path_factory.mktemp("embed") / "out", network("mean"))


class TestEmbeddings:
    def test_places_are_those_of_windows_that_were_embedded(self, folder):
        held = Embeddings(folder)
        assert held.places(np.array([0, 3, 5, 32, 33])).tolist() == [0, 2, 29]
        assert np.array_equal(held.read("mean", 2, np.array([2, 0])), np.load(folder / "mean.npy")[[2, 0], 2].astype(np.float32))

    @pytest.mark.parametrize(
        ("harm", "said"),
        [
            (lambda folder: (folder / "about.json").unlink(), "not whole"),
            (lambda folder: (folder / "about.json").write_text("{"), "not whole"),
            (lambda folder: np.save(folder / "rows.npy", np.arange(29)), r"mean.npy is of shape \(30, 3, 16\), not \(29, 3, 16\)"),
            (lambda folder: (folder / "mean.npy").write_bytes((folder / "mean.npy").read_bytes()[:500]), "cut short"),
        ],
    )
    def test_a_folder_that_is_not_whole_is_named(self, folder, harm, said, tmp_path):
        copy = shutil.copytree(folder, tmp_path / "copy")
        harm(copy)
        with pytest.raises(InputError, match=said) as caught:
            Embeddings(copy)
        assert str(copy) in str(caught.value)

    def test_about_says_what_was_given(self, folder):
        said = json.loads((folder / "about.json").read_text())
        assert said["split_digest"] == "s" and said["length"] == LENGTH and said["digest"] == embed.identity(network())
