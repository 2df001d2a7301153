from dataclasses import replace
from itertools import pairwise, product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy_models

from regdna.alphabet import N, reverse_complement
from regdna.train import batches
from regdna.train.batches import LAUNCH, Batch, Batches, augment, draw_changes, side_by_side
from regdna.train.data import thinned
from regdna.train.team import Team

SETTINGS = {"batch_size": 16, "reverse_complement": True, "shift": 2}
PLAIN = {"batch_size": 16, "reverse_complement": False, "shift": 0}


def member(rank=0, size=1, device="cpu"):
    """A process of a team, without the team."""
    team = object.__new__(Team)
    team.rank, team.size, team.device = rank, size, SimpleNamespace(type=device)
    return team


def as_they_are(codes):
    return {"codes": torch.from_numpy(codes)}


def in_words(codes):
    """Ids and mask of a tokeniser to whom a window is 5 to 24 tokens long, by its content; padded to the longest."""
    lengths = 5 + codes.astype(int).sum(1) % 20
    mask = np.arange(lengths.max()) < lengths[:, None]
    return {"input_ids": torch.from_numpy(np.where(mask, codes[:, : lengths.max()] + 1, 0)), "attention_mask": torch.from_numpy(mask)}


@pytest.fixture
def data(tmp_path):
    return toy_models.data(tmp_path / "data", unknown=0.2)


def made(data, encode=as_they_are, settings=SETTINGS, seed=1, team=None):
    return Batches(data, encode, settings, seed, team or member())


def content(batch):
    known = b"" if batch.known is None else batch.known.numpy().tobytes()
    inputs = [(name, value.numpy().tobytes()) for name, value in sorted(batch.inputs.items())]
    return batch.number, batch.size, inputs, batch.labels.numpy().tobytes(), known, batch.weight


class TestEpoch:
    def test_each_training_window_comes_once_with_its_labels_in_an_order_of_the_epochs_own(self, data):
        rows = data.rows("train")
        whole = {data.sequences[[row]].tobytes(): row for row in rows}
        orders = []
        for epoch in (1, 2):
            seen = []
            for batch in made(data, settings=PLAIN).epoch(epoch):
                mine = [whole[one.tobytes()] for one in batch.inputs["codes"].numpy()]
                assert np.array_equal(batch.labels, data.targets[mine]) and np.array_equal(batch.known, data.targets.known(mine))
                seen += mine
            assert sorted(seen) == rows.tolist()
            orders.append(seen)
        assert orders[0] != orders[1] and rows.tolist() not in orders

    @pytest.mark.parametrize("device", ["cpu", "cuda"])  # before a GPU each is made while the one before is computed
    @pytest.mark.parametrize("begin", [0, 1, 3, 4])
    def test_a_batch_is_a_function_of_seed_epoch_and_number_alone(self, data, begin, device):
        whole = [content(one) for one in made(data).epoch(2)]
        assert [content(one) for one in made(data, team=member(device=device)).epoch(2, begin)] == whole[begin:]
        for other in (made(data, seed=2).epoch(2), made(data).epoch(3)):
            assert all(content(one) != before for one, before in zip(other, whole, strict=True))

    def test_changes_are_drawn_anew_for_every_batch_of_every_epoch(self, data, monkeypatch):
        drawn = []
        monkeypatch.setattr(batches, "augment", lambda codes, other, moved: drawn.append((*other, *moved)) or codes)
        for epoch in (1, 2):
            list(made(data, settings=SETTINGS | {"batch_size": 20}).epoch(epoch))
        assert len(drawn) == len(set(drawn)) == 6

    def test_a_failure_on_the_way_to_a_gpu_is_seen(self, data):
        def fails(codes):
            raise ValueError("not that sequence")

        with pytest.raises(ValueError, match="not that sequence"):
            list(made(data, fails, team=member(device="cuda")).epoch(1))

    @pytest.mark.parametrize(
        ("size", "team", "sizes"),
        [
            (59, 1, [59]),
            (58, 1, [58, 2]),
            (58, 2, [58]),
            (57, 2, [57]),
            (56, 2, [56, 4]),
            (100, 1, [60]),
            (60, 1, [60]),
            (16, 1, [16, 16, 16, 12]),
        ],
    )
    def test_a_last_batch_that_leaves_a_process_one_window_is_left_out(self, data, size, team, sizes):
        found = made(data, settings=PLAIN | {"batch_size": size}, team=member(0, team))
        assert len(found) == len(sizes) and [one.size for one in found.epoch(1)] == sizes

    @pytest.mark.parametrize("size", [2, 3])
    def test_processes_share_every_batch_as_one_would_have_it(self, data, size):
        alone = list(made(data).epoch(1))
        shares = [list(made(data, team=member(rank, size)).epoch(1)) for rank in range(size)]
        for at, batch in enumerate(alone):
            for rank in range(size):
                one = shares[rank][at]
                assert (one.number, one.size, one.weight) == (batch.number, batch.size, batch.weight)
                assert torch.equal(one.inputs["codes"], batch.inputs["codes"][rank::size])
                assert torch.equal(one.labels, batch.labels[rank::size]) and torch.equal(one.known, batch.known[rank::size])

    def test_a_label_weighs_one_over_those_that_are_known_in_the_batch(self, tmp_path, data):
        for batch in made(data).epoch(1):
            assert batch.weight == 1 / int(batch.known.sum()) and not batch.known.all()
        whole = toy_models.data(tmp_path / "whole")
        assert [one.weight for one in made(whole).epoch(1)] == [1 / 48] * 3 + [1 / 36]
        assert {one.known for one in made(whole).epoch(1)} == {None}
        exclusive = toy_models.data(tmp_path / "exclusive", exclusive=True)
        assert [one.weight for one in made(exclusive).epoch(1)] == [1 / 16] * 3 + [1 / 12]


class TestParts:
    @pytest.mark.parametrize("encode", [as_they_are, in_words])
    @pytest.mark.parametrize("most", [1, 2, 5, 15, 16, 100])
    def test_every_window_is_in_one_part_with_its_labels(self, data, encode, most):
        for batch in made(data, encode).epoch(1):
            parts, name = batch.parts(most), "codes" if encode is as_they_are else "input_ids"

            def rows(inputs, labels, known, name=name):
                together = zip(inputs[name], labels.tolist(), known.tolist(), strict=True)
                return [(one[one > 0].numpy().tobytes(), two, three) for one, two, three in together]

            assert sorted(row for part in parts for row in rows(*part)) == sorted(rows(batch.inputs, batch.labels, batch.known))
            assert all(1 <= len(labels) <= most for _, labels, _ in parts)

    def test_a_part_is_padded_to_its_own_longest_and_parts_go_from_short_to_long(self, data):
        for batch in made(data, in_words).epoch(1):
            assert np.array_equal(batch.lengths, batch.inputs["attention_mask"].sum(1))
            longest = []
            for inputs, _, _ in batch.parts(4):
                lengths = inputs["attention_mask"].sum(1)
                assert inputs["input_ids"].shape == inputs["attention_mask"].shape and inputs["input_ids"].shape[1] == lengths.max()
                longest.append(int(lengths.max()))
            assert longest == sorted(longest) and longest[0] < longest[-1]

    def test_windows_of_one_length_keep_their_order_and_are_not_copied(self, data):
        batch = next(made(data).epoch(1))
        [(inputs, labels, known)] = batch.parts(16)
        assert inputs is batch.inputs and labels is batch.labels and known is batch.known
        codes = torch.cat([inputs["codes"] for inputs, _, _ in batch.parts(5)])
        assert torch.equal(codes, batch.inputs["codes"]) and [len(labels) for _, labels, _ in batch.parts(5)] == [5, 5, 5, 1]

    def test_known_may_be_none(self):
        labels = torch.ones(3, 2, dtype=torch.bool)
        mask = torch.tensor([[1, 0], [1, 1], [1, 0]], dtype=torch.bool)
        batch = Batch(0, 3, {"attention_mask": mask}, labels, None, 1.0, np.array([1, 2, 1]))
        assert [known for _, _, known in batch.parts(2)] == [None] * len(batch.parts(2))

    def test_lengths_decide_the_parts_and_not_which_windows_make_an_update(self, data):
        plain, words = (list(made(data, encode).epoch(1)) for encode in (as_they_are, in_words))
        for one, two in zip(plain, words, strict=True):
            assert torch.equal(one.labels, two.labels) and one.weight == two.weight


def cost(lengths, cuts):
    return sum((last - first) * lengths[last - 1] + LAUNCH for first, last in cuts)


def every_way(count):
    for inner in product([False, True], repeat=count - 1):
        at = [0, *(i + 1 for i, cut in enumerate(inner) if cut), count]
        yield list(pairwise(at))


class TestSideBySide:
    @pytest.mark.parametrize("tokens", [400, 1000, 65536])
    @pytest.mark.parametrize("most", [1, 3, 8])
    def test_it_is_the_cheapest_of_all_ways(self, tokens, most, monkeypatch):
        monkeypatch.setattr(batches, "TOKENS", tokens)
        draw = np.random.default_rng(most)
        for count in range(1, 9):
            lengths = np.sort(draw.integers(1, 600, count))
            found = side_by_side(lengths, most)
            allowed = [
                way for way in every_way(count)
                if all(last - first == 1 or (last - first <= most and (last - first) * lengths[last - 1] <= tokens) for first, last in way)
            ]  # fmt: skip
            assert found in allowed
            assert cost(lengths, found) == min(cost(lengths, way) for way in allowed)

    def test_a_window_that_alone_has_too_many_tokens_stands_alone(self):
        assert side_by_side(np.array([10, 10, 70000, 80000]), 8) == [(0, 2), (2, 3), (3, 4)]

    def test_windows_of_about_one_length_stay_together(self):
        assert side_by_side(np.array([170, 171, 171, 172]), 8) == [(0, 4)]


class TestAugment:
    def test_it_equals_a_slow_loop(self):
        draw = np.random.default_rng(0)
        codes = draw.integers(0, 5, (50, 30)).astype(np.uint8)
        other, moved = draw.random(50) < 0.5, draw.integers(-4, 5, 50)
        before, expected = codes.copy(), np.full_like(codes, N)
        for row, at in np.ndindex(codes.shape):
            shown = [3 - one if one < 4 else N for one in codes[row][::-1]] if other[row] else codes[row]
            if 0 <= at + moved[row] < 30:
                expected[row, at] = shown[at + moved[row]]
        found = augment(codes, other, moved)
        assert np.array_equal(found, expected) and found.dtype == np.uint8 and np.array_equal(codes, before)

    def test_one_change_does_not_need_the_other(self):
        codes = np.random.default_rng(1).integers(0, 4, (6, 9)).astype(np.uint8)
        no, yes, nowhere = np.zeros(6, bool), np.ones(6, bool), np.zeros(6, int)
        assert np.array_equal(augment(codes, no, nowhere), codes)
        assert np.array_equal(augment(codes, yes, nowhere), reverse_complement(codes))
        assert np.array_equal(augment(codes, no, nowhere + 1)[:, :-1], codes[:, 1:])


class TestDraw:
    def test_nothing_asked_nothing_drawn(self):
        other, moved = draw_changes(np.random.default_rng(0), 100, PLAIN)
        assert not other.any() and not moved.any()

    def test_half_turn_and_shifts_reach_both_ends(self):
        other, moved = draw_changes(np.random.default_rng(0), 1000, SETTINGS | {"shift": 3})
        assert 450 < other.sum() < 550
        assert set(moved) == set(range(-3, 4)) and np.bincount(moved + 3).min() > 100


class TestShare:
    def test_a_share_of_the_training_windows_is_left_and_other_parts_as_they_were(self):
        parts = np.array(["train", "validation", "train", "test", "train", "train", "gap"] * 30, dtype=object)
        found = thinned(parts, 0.25)
        assert (found == "train").sum() == 30 and ((found == "") == ((parts == "train") & (found != "train"))).all()
        assert (found[parts != "train"] == parts[parts != "train"]).all()
        assert thinned(parts, 1.0) is parts and np.array_equal(thinned(parts, 0.25), found)
        assert set(np.flatnonzero(thinned(parts, 0.1) == "train")) < set(np.flatnonzero(found == "train"))
        kept = np.flatnonzero(found[parts == "train"] == "train")
        assert kept.tolist() != list(range(30)) and kept.max() > 60  # drawn, not the first

    def test_one_window_is_left_of_a_share_that_is_less(self):
        assert (thinned(np.array(["train"] * 9, dtype=object), 0.01) == "train").sum() == 1

    def test_material_opens_with_its_share(self, tmp_path):
        whole = toy_models.material(tmp_path)
        assert len(replace(whole, share=0.5).open().rows("train")) == 30 and len(whole.open().rows("train")) == 60
        assert np.array_equal(replace(whole, share=0.5).open().rows("validation"), whole.open().rows("validation"))
