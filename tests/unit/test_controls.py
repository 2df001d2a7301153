import numpy as np
import pytest

from regdna.alphabet import N
from regdna.controls import CONTROLS, order, relabelled, shown
from regdna.manifest import read_yaml
from regdna.shuffles import dinucleotide_shuffle
from regdna.step import InputError


class Codes:
    """Sequences of a dataset, held in memory."""

    def __init__(self, codes):
        self.codes, self.length = codes, codes.shape[1]

    def __len__(self):
        return len(self.codes)

    def __getitem__(self, rows):
        return self.codes[rows]


class Labels:
    """Targets of a dataset, held in memory."""

    names = ("first", "second")

    def __init__(self, labels, known=None):
        self.labels, self._known = labels, known

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, rows):
        return self.labels[rows]

    def known(self, rows):
        return None if self._known is None else self._known[rows]


@pytest.fixture
def codes():
    return np.random.default_rng(1).integers(0, 4, (40, 90), dtype=np.uint8)


PARTS = np.array(["train"] * 30 + ["validation"] * 20 + ["test"] * 10 + ["gap"] * 5, dtype=object)[np.random.default_rng(2).permutation(65)]


@pytest.mark.parametrize("control", ["", "random-init", "shuffled-labels"])
def test_what_changes_no_sequence_gives_the_very_sequences(codes, control):
    sequences = Codes(codes)
    assert shown(sequences, control, 20, 1) is sequences


def test_the_study_may_name_every_control_and_no_other(request):
    schema = read_yaml(request.config.rootpath / "rules/schemas/study.schema.yaml")
    assert schema["$defs"]["model"]["properties"]["controls"]["items"]["enum"] == list(CONTROLS)


def test_an_unknown_control_is_refused(codes):
    with pytest.raises(InputError, match="'flank' is no control"):
        shown(Codes(codes), "flank", 20, 1)


@pytest.mark.parametrize(("centre", "middle"), [(20, slice(35, 55)), (21, slice(34, 55)), (0, slice(30, 60)), (1, slice(44, 45))])
def test_flank_only_and_centre_only_hide_one_anothers_part(codes, centre, middle):
    before, rows = codes.copy(), np.array([7, 3, 3])
    flank, only = (shown(Codes(codes), control, centre, 1)[rows] for control in ("flank-only", "centre-only"))
    expected = codes[rows].copy()
    expected[:, middle] = N
    assert np.array_equal(flank, expected)
    expected = np.full_like(expected, N)
    expected[:, middle] = codes[rows][:, middle]
    assert np.array_equal(only, expected)
    assert flank.dtype == only.dtype == np.uint8
    assert np.array_equal(codes, before)


@pytest.mark.parametrize("control", ["flank-only", "centre-only"])
@pytest.mark.parametrize("centre", [90, 200])
def test_a_centre_that_leaves_no_flank_is_refused(codes, control, centre):
    with pytest.raises(InputError, match=f"{control} needs a flank.*90 bp.*{centre}"):
        shown(Codes(codes), control, centre, 1)


def test_a_shuffled_window_keeps_its_dinucleotides_and_hangs_on_seed_and_number_alone(codes):
    whole = shown(Codes(codes), "shuffled-sequences", 0, 3)
    assert (len(whole), whole.length) == (40, 90)
    everything = whole[np.arange(40)]
    assert (everything != codes).any(1).all()
    for row, other in zip(codes, everything, strict=True):
        pairs = [np.bincount(one[:-1] * 4 + one[1:], minlength=16) for one in (row, other)]
        assert np.array_equal(*pairs)
    for rows in ([5], [39, 0, 5, 5], np.arange(10, 20)):
        assert np.array_equal(whole[np.asarray(rows)], everything[rows])
    assert np.array_equal(everything, dinucleotide_shuffle(codes, 3))
    assert (shown(Codes(codes), "shuffled-sequences", 0, 4)[np.arange(40)] != everything).any()


def test_two_windows_of_one_sequence_are_shuffled_differently(codes):
    twice = shown(Codes(np.repeat(codes[:1], 2, 0)), "shuffled-sequences", 0, 1)[np.arange(2)]
    assert (twice[0] != twice[1]).any()


def test_labels_are_swapped_within_training_and_within_validation_alone():
    found = order(PARTS, "shuffled-labels", 1)
    assert found.dtype == np.int64
    for part in ("train", "validation"):
        rows = np.flatnonzero(part == PARTS)
        assert sorted(found[rows]) == list(rows)
        assert (found[rows] != rows).mean() > 0.8
    others = np.flatnonzero((PARTS != "train") & (PARTS != "validation"))
    assert np.array_equal(found[others], others)
    assert np.array_equal(order(PARTS, "shuffled-labels", 1), found)
    assert not np.array_equal(order(PARTS, "shuffled-labels", 2), found)


@pytest.mark.parametrize("control", ["", "flank-only", "random-init"])
def test_other_controls_leave_labels_where_they_are(control):
    assert np.array_equal(order(PARTS, control, 1), np.arange(len(PARTS)))


def test_relabelled_targets_give_the_labels_of_the_other_rows():
    draw = np.random.default_rng(3)
    labels, known = draw.random((65, 2)) < 0.4, draw.random((65, 2)) < 0.7
    moved, rows = order(PARTS, "shuffled-labels", 1), np.array([12, 0, 64, 12])
    masked, whole = (relabelled(Labels(labels, one), moved) for one in (known, None))
    assert (len(masked), masked.names) == (65, Labels.names)
    assert np.array_equal(masked[rows], labels[moved[rows]])
    assert np.array_equal(masked.known(rows), known[moved[rows]])
    assert whole.known(rows) is None
    train = np.flatnonzero(PARTS == "train")
    assert np.array_equal(masked[train].sum(0), labels[train].sum(0))
