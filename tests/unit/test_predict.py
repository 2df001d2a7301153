import math

import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna import predict as module
from regdna.alphabet import encode, reverse_complement
from regdna.models import linear
from regdna.models.classifier import Classifier, probability
from regdna.predict import Strands, predict
from regdna.windows import Sequences


@pytest.fixture
def sequences(tmp_path):
    codes = np.random.default_rng(0).integers(0, 4, (30, 40)).astype(np.uint8)
    codes[::2, 9:16] = encode("GATTACA")
    codes[1, 9:16] = encode("TGTAATC")
    np.save(tmp_path / "s.npy", codes)
    frame = pd.DataFrame({"chrom": "chr1", "start": np.arange(30) * 100, "end": np.arange(30) * 100 + 40})
    return Sequences(frame, tmp_path / "s.npy")


def test_both_strands_are_averaged_as_probabilities(tmp_path, sequences):
    classifier = Classifier(toy_models.motif_checkpoint(tmp_path / "c", 40, [4.0, 0.0], [-1.0, 2.0]))
    rows = np.array([1, 0, 3])
    found = predict(classifier, sequences, rows, np.zeros(3))
    having, without = 1 / (1 + math.exp(-3)), 1 / (1 + math.exp(1))
    other = 1 / (1 + math.exp(-2))
    expected = [[(having + without) / 2, other], [(having + without) / 2, other], [without, other]]
    assert found.dtype == np.float32 and found == pytest.approx(np.array(expected), abs=1e-5)


def test_both_strands_of_a_window_are_predicted_alike(tmp_path, sequences):
    classifier = Classifier(toy_models.motif_checkpoint(tmp_path / "c", 40, [4.0], [-1.0]))
    codes = np.load(tmp_path / "s.npy")
    np.save(tmp_path / "r.npy", reverse_complement(codes))
    frame = pd.DataFrame({"chrom": "chr1", "start": np.arange(30) * 100, "end": np.arange(30) * 100 + 40})
    rows = np.arange(30)
    one, two = (predict(classifier, part, rows, np.zeros(30)) for part in (sequences, Sequences(frame, tmp_path / "r.npy")))
    assert one == pytest.approx(two, abs=1e-6)


@pytest.mark.parametrize("size", [1, 7, 30, 1000])
def test_predictions_do_not_depend_on_how_many_rows_are_read_at_once(tmp_path, sequences, monkeypatch, size):
    classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 40, [9.0, -3.0], [-4.0, 1.0]))
    rows = np.random.default_rng(1).permutation(30)
    monkeypatch.setattr(module, "ROWS", size)
    found = predict(classifier, sequences, rows, np.zeros(30))
    share = np.isin(sequences[rows], [1, 2]).mean(1)
    assert found == pytest.approx(np.stack([probability(9 * share - 4), probability(1 - 3 * share)], 1), abs=1e-6)


def test_strands_are_told_as_if_all_rows_were_read_at_once(tmp_path, sequences, monkeypatch):
    classifier = Classifier(toy_models.motif_checkpoint(tmp_path / "c", 40, [4.0, 0.0], [-1.0, 2.0]))
    rows, told = np.arange(30), Strands(2)
    monkeypatch.setattr(module, "ROWS", 7)
    predict(classifier, sequences, rows, np.zeros(30), told)
    one, other = probability(classifier.strands(sequences[rows], np.zeros(30)))
    said = told.summary()
    assert said["correlation"] == [pytest.approx(np.corrcoef(one[:, 0], other[:, 0])[0, 1]), None]  # the second is the same everywhere
    assert said["difference"] == pytest.approx([np.abs(one - other)[:, 0].mean(), 0], abs=1e-12) and said["difference"][0] > 0.1


def test_strands_of_small_probabilities_that_hardly_vary_correlate_all_the_same():
    draw = np.random.default_rng(0)
    both = 0.3 + 1e-4 * draw.normal(size=(2, 5000, 1))
    both[1] = 0.5 * (both[0] + both[1])
    told = Strands(1)
    told.add(both)
    assert told.summary()["correlation"][0] == pytest.approx(np.corrcoef(*both[..., 0])[0, 1], abs=1e-6)


def test_each_row_gets_its_own_position(tmp_path, sequences, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 4)
    folder = tmp_path / "c"
    folder.mkdir()
    weight = np.zeros((1, 14))
    weight[0, 6] = 1  # position in Mb
    linear.save(folder, toy_models.about("composition", {"l2": 1.0}, 40), weight, np.zeros(1))
    position = np.arange(30) * 1e5
    assert predict(Classifier(folder), sequences, np.arange(30), position)[:, 0] == pytest.approx(probability(position / 1e6), abs=1e-6)
