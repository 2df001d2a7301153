import numpy as np
import pytest
import torch
import toy_models

from regdna import mutagenesis
from regdna.alphabet import N, encode, reverse_complement
from regdna.models import family
from regdna.models.classifier import Classifier
from regdna.mutagenesis import Window, saturate

AT = 12
TEXT = "C" * AT + "GATTACA" + "C" * 21


@pytest.fixture
def motif(tmp_path):
    return Classifier(toy_models.motif_checkpoint(tmp_path / "c", 40, [4.0, -2.0], [-1.0, 0.5]))


def trained(folder, architecture, sizes, labels="multilabel"):
    """A checkpoint with random weights."""
    folder.mkdir()
    about = toy_models.about(architecture, sizes, 60, 3, labels)
    family(architecture).save(folder, about, family(architecture).build(about, lambda: np.zeros((4, 60), np.uint8)))
    return Classifier(folder)


def mean(classifier, codes, first, last):
    """Effects and reference of one window, averaged over strands."""
    effect, reference = saturate(classifier, [Window(codes, first, last, 0.0)])
    return effect.mean(0), reference.mean(0)


def one_by_one(classifier, codes, first, last):
    """Every mutant by itself, on both strands: (2, P, 4, T)."""
    before = classifier.strands(codes[None], np.zeros(1))[:, 0]
    out = np.zeros((2, last - first, 4, before.shape[1]))
    for at in range(first, last):
        for base in range(4):
            if codes[at] == N:
                out[:, at - first, base] = np.nan
            elif codes[at] != base:
                mutant = codes.copy()
                mutant[at] = base
                out[:, at - first, base] = classifier.strands(mutant[None], np.zeros(1))[:, 0] - before
    return out


def test_effects_of_a_motif_by_hand(motif):
    effect, reference = mean(motif, encode(TEXT), 0, 40)
    # the motif is on one strand of two
    assert reference == pytest.approx([-1 + 4 / 2, 0.5 - 2 / 2], abs=1e-5)
    expected = np.zeros((40, 4, 2))
    for i, letter in enumerate("GATTACA"):
        for base in range(4):
            if "ACGT"[base] != letter:
                expected[AT + i, base] = [-2, 1]
    assert effect == pytest.approx(expected, abs=1e-5)


def test_each_strand_is_a_view(motif):
    effect, reference = saturate(motif, [Window(encode(TEXT), 0, 40, 0.0)])
    assert reference == pytest.approx(np.array([[3, -1.5], [-1, 0.5]]), abs=1e-5)
    assert effect[0, AT, 0] == pytest.approx([-4, 2], abs=1e-5) and np.abs(effect[1]).max() < 1e-5


def test_effects_of_gc_by_hand(tmp_path):
    classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 8, [16.0], [0.0]))
    effect, reference = mean(classifier, encode("ACGTNACG"), 1, 6)
    one = 16 / 7  # seven known bases
    expected = [[-one, 0, 0, -one], [-one, 0, 0, -one], [0, one, one, 0], [np.nan] * 4, [0, one, one, 0]]
    assert effect[..., 0] == pytest.approx(np.array(expected), abs=1e-12, nan_ok=True)
    assert reference == pytest.approx([16 * 4 / 7])


@pytest.mark.parametrize("labels", ["multilabel", "exclusive"])
@pytest.mark.parametrize("name", ["basset", "deepsea", "nucleotide-transformer", "dnabert2"])
def test_every_family_equals_its_mutants_one_by_one(tmp_path, name, labels):
    sizes = {"basset": toy_models.BASSET, "deepsea": toy_models.DEEPSEA, "nucleotide-transformer": toy_models.NT}
    classifier = trained(tmp_path / "c", name, sizes.get(name, toy_models.DNABERT2), labels)
    codes = np.random.default_rng(1).integers(0, 4, 60).astype(np.uint8)
    codes[[11, 40]] = N
    effect, reference = saturate(classifier, [Window(codes, 8, 22, 0.0)])
    assert effect == pytest.approx(one_by_one(classifier, codes, 8, 22), abs=3e-6, nan_ok=True)
    assert reference == pytest.approx(classifier.strands(codes[None], np.zeros(1))[:, 0], abs=2e-6)


def test_row_zero_is_told_where_each_window_lies(tmp_path):
    classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 8, [1.0], [0.0]))
    seen = []
    classifier.logits = lambda codes, position: seen.append(position) or np.zeros((len(codes), 1))
    saturate(classifier, [Window(encode("ACGTACGT"), 1, 3, 7.0), Window(encode("CGTACGTA"), 0, 2, 8.0)])
    assert seen[0].tolist() == [7, 8, 7, 8] and [set(one) for one in seen[1:]] == [{7.0}, {8.0}, {7.0}, {8.0}]


def test_shifted_windows_are_views_of_the_same_bases(motif, tmp_path):
    for classifier in (motif, Classifier(toy_models.gc_checkpoint(tmp_path / "g", 40, [8.0, 1.0], [0.0, 0.0]))):
        text = "ACGT" + TEXT + "TGCA"
        windows = [Window(encode(text)[shift : shift + 40], 14 - shift, 24 - shift, 0.0) for shift in (4, 0, 7)]
        effect, reference = saturate(classifier, windows)
        assert effect.shape == (6, 10, 4, 2) and reference.shape == (6, 2)
        for i, one in enumerate(windows):
            alone, before = saturate(classifier, [one])
            assert effect[[i, i + 3]] == pytest.approx(alone, abs=1e-6) and reference[[i, i + 3]] == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("size", [1, 3, 64, 1000])
def test_effects_do_not_depend_on_the_batch(tmp_path, monkeypatch, size):
    classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 40, [8.0, 1.0], [0.0, 0.0]))
    whole = mean(classifier, encode(TEXT), 5, 25)[0]
    monkeypatch.setattr(mutagenesis, "ROWS", size)
    assert mean(classifier, encode(TEXT), 5, 25)[0] == pytest.approx(whole, abs=1e-5)


def test_the_reference_bases_column_is_exactly_zero_and_n_is_undefined(motif):
    codes = encode(TEXT).copy()
    codes[30] = N
    effect, _ = mean(motif, codes, 0, 40)
    known = np.flatnonzero(codes < N)
    assert (effect[known, codes[known]] == 0).all()
    assert np.isnan(effect[30]).all() and not np.isnan(effect[known]).any()


def test_no_edit_puts_the_base_that_is_there(motif, monkeypatch):
    seen = []
    monkeypatch.setattr(
        mutagenesis, "_changes", lambda classifier, views, position, edits: seen.append((views, edits)) or (np.zeros((2, 2)), iter([]))
    )
    saturate(motif, [Window(encode(TEXT), 3, 20, 0.0)])
    views, edits = seen[0]
    assert len(edits) == 2 * 3 * 17 and (views[edits.window, edits.where] != edits.base).all()


def test_a_locus_of_n_alone_is_undefined(motif):
    effect, _ = mean(motif, np.full(40, N, np.uint8), 3, 7)
    assert effect.shape == (4, 4, 2) and np.isnan(effect).all()


def test_a_part_equals_the_same_part_of_the_whole(motif):
    whole, _ = mean(motif, encode(TEXT), 0, 40)
    part, _ = mean(motif, encode(TEXT), 10, 20)
    assert part == pytest.approx(whole[10:20], abs=1e-6)


def test_the_other_strand_gives_the_mirrored_map(motif):
    one, _ = mean(motif, encode(TEXT), 0, 40)
    two, _ = mean(motif, reverse_complement(encode(TEXT)), 0, 40)
    assert two == pytest.approx(one[::-1, ::-1], abs=1e-5)


def test_the_window_is_left_alone_and_so_is_the_number_of_threads(motif):
    codes, threads = encode(TEXT), torch.get_num_threads()
    saturate(motif, [Window(codes, 0, 40, 0.0)])
    assert np.array_equal(codes, encode(TEXT)) and torch.get_num_threads() == threads
