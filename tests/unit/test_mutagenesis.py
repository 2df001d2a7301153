import numpy as np
import pytest
import toy_models

from regdna import mutagenesis
from regdna.alphabet import N, encode, reverse_complement
from regdna.models.classifier import Classifier
from regdna.mutagenesis import saturate

AT = 12
TEXT = "C" * AT + "GATTACA" + "C" * 21


@pytest.fixture
def motif(tmp_path):
    return Classifier(toy_models.motif_checkpoint(tmp_path / "c", 40, [4.0, -2.0], [-1.0, 0.5]))


def test_effects_of_a_motif_by_hand(motif):
    effect, reference = saturate(motif, encode(TEXT), 0, 40, 0.0)
    # the motif is on one strand of two
    assert reference == pytest.approx([-1 + 4 / 2, 0.5 - 2 / 2], abs=1e-5)
    expected = np.zeros((40, 4, 2))
    for i, letter in enumerate("GATTACA"):
        for base in range(4):
            if "ACGT"[base] != letter:
                expected[AT + i, base] = [-2, 1]
    assert effect == pytest.approx(expected, abs=1e-5)


def test_effects_of_gc_by_hand(tmp_path):
    classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 8, [16.0], [0.0]))
    effect, reference = saturate(classifier, encode("ACGTNACG"), 1, 6, 0.0)
    one = 16 / 7  # seven known bases
    expected = [[-one, 0, 0, -one], [-one, 0, 0, -one], [0, one, one, 0], [np.nan] * 4, [0, one, one, 0]]
    assert effect[..., 0] == pytest.approx(np.array(expected), abs=1e-12, nan_ok=True)
    assert reference == pytest.approx([16 * 4 / 7])


@pytest.mark.parametrize("size", [1, 3, 64, 1000])
def test_effects_do_not_depend_on_the_batch(motif, monkeypatch, size):
    whole, _ = saturate(motif, encode(TEXT), 5, 25, 0.0)
    monkeypatch.setattr(mutagenesis, "ROWS", size)
    assert saturate(motif, encode(TEXT), 5, 25, 0.0)[0] == pytest.approx(whole, abs=1e-5)


def test_the_reference_bases_column_is_exactly_zero_and_n_is_undefined(motif):
    codes = encode(TEXT).copy()
    codes[30] = N
    effect, _ = saturate(motif, codes, 0, 40, 0.0)
    known = np.flatnonzero(codes < N)
    assert (effect[known, codes[known]] == 0).all()
    assert np.isnan(effect[30]).all() and not np.isnan(effect[known]).any()


def test_a_locus_of_n_alone_is_undefined(motif):
    effect, _ = saturate(motif, np.full(40, N, np.uint8), 3, 7, 0.0)
    assert effect.shape == (4, 4, 2) and np.isnan(effect).all()


def test_a_part_equals_the_same_part_of_the_whole(motif):
    whole, _ = saturate(motif, encode(TEXT), 0, 40, 0.0)
    part, _ = saturate(motif, encode(TEXT), 10, 20, 0.0)
    assert part == pytest.approx(whole[10:20], abs=1e-6)


def test_the_other_strand_gives_the_mirrored_map(motif):
    one, _ = saturate(motif, encode(TEXT), 0, 40, 0.0)
    two, _ = saturate(motif, reverse_complement(encode(TEXT)), 0, 40, 0.0)
    assert two == pytest.approx(one[::-1, ::-1], abs=1e-5)


def test_the_window_is_left_alone(motif):
    codes = encode(TEXT)
    saturate(motif, codes, 0, 40, 0.0)
    assert np.array_equal(codes, encode(TEXT))
