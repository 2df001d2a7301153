import numpy as np
import pytest
import toy_models
from safetensors.numpy import load_file

from regdna.alphabet import N, reverse_complement
from regdna.models import lookup, nearest, position
from regdna.models.classifier import Classifier, probability
from regdna.models.limits import context
from regdna.step import InputError
from regdna.targets import Targets, pack
from regdna.train import features
from regdna.train.data import Data
from regdna.windows import Places

NEAR = {"neighbours": 3, "distance": 1000}
WORDS = {"word": 5, "neighbours": 3}


def places(chrom, middle):
    return Places(np.array(chrom, object), np.array(middle, float))


def votes(labels, known, row, weight, prior, strength):
    """Slow and obvious."""
    out = np.empty(prior.shape)
    for window, target in np.ndindex(prior.shape):
        top, below = strength * prior[window, target], strength
        for voter, one in zip(row[window], weight[window], strict=True):
            if voter >= 0 and (known is None or known[voter, target]):
                top, below = top + one * labels[voter, target], below + one
        out[window, target] = top / below
    return out


@pytest.mark.parametrize("kind", ["multilabel", "exclusive"])
@pytest.mark.parametrize("unknown", [0.0, 0.4])
def test_votes_are_a_weighted_share_beside_what_is_expected(kind, unknown):
    draw = np.random.default_rng(0)
    labels = draw.random((30, 11)) < 0.4
    if kind == "exclusive":
        labels = np.arange(11) == draw.integers(0, 11, 30)[:, None]
    known = draw.random((30, 11)) >= unknown if unknown else None
    row, weight = draw.integers(-1, 30, (8, 4)), draw.random((8, 4))
    prior = draw.dirichlet(np.ones(11), 8)
    tensors = lookup.packed(labels, known)
    logits = lookup.opened(lambda *_: (row, weight, prior), tensors, {"labels": kind, "parameters": {}}, 0.5)(None, None)
    expected = votes(labels, known, row, weight, prior, 0.5)
    assert (np.exp(logits) if kind == "exclusive" else probability(logits)) == pytest.approx(expected, abs=1e-12)
    seen = np.full(11, 30) if known is None else known.sum(0)
    assert tensors["rate"] == pytest.approx(((labels if known is None else labels & known).sum(0) + 0.5) / (seen + 1))


def test_what_is_not_known_neither_votes_nor_makes_a_rate():
    draw = np.random.default_rng(1)
    labels, known = draw.random((50, 3)) < 0.5, draw.random((50, 3)) < 0.6
    at = places(["chr1"] * 50, np.arange(50) * 100)
    codes = draw.integers(0, 4, (50, 40)).astype(np.uint8)
    for kind, parameters in ((position, NEAR), (nearest, WORDS)):
        one, other = (kind.learn(codes, at, some, known, parameters, at) for some in (labels, labels | ~known))
        about = {"labels": "multilabel", "parameters": parameters}
        assert np.array_equal(*(kind.opened(some, about)(codes, at) for some in (one, other)))


class TestPosition:
    def learn(self, chrom, middle, labels, everywhere=None):
        at = places(chrom, middle)
        return position.learn(None, at, np.array(labels, bool).reshape(len(middle), -1), None, NEAR, everywhere or at)

    def test_the_nearest_windows_of_the_same_chromosome_vote_by_distance(self):
        draw = np.random.default_rng(2)
        chrom, middle = draw.choice(["chr1", "chr2", "chrX"], 60), draw.choice(5000, 60, replace=False).astype(float)
        held = self.learn(chrom, middle, np.zeros(60))
        order = np.lexsort((middle, chrom))
        asked = places(draw.choice(["chr1", "chr2", "chrX", "chr9"], 40), draw.integers(0, 5000, 40) + 0.25)
        row, weight, _ = position.near(held, None, asked, NEAR)
        for i in range(40):
            apart = {at: abs(middle[one] - asked.middle[i]) for at, one in enumerate(order) if chrom[one] == asked.chrom[i]}
            expected = [at for at in sorted(apart, key=apart.get) if apart[at] < 1000][:3]
            assert row[i].tolist() == expected + [-1] * (3 - len(expected))
            assert weight[i][: len(expected)] == pytest.approx([1 - apart[at] / 1000 for at in expected])

    def test_labels_go_with_their_windows_whatever_their_order(self):
        middle = np.array([500.0, 100.0, 900.0, 300.0])
        held = self.learn(["chr2", "chr1", "chr1", "chr2"], middle, [[1, 0], [0, 1], [0, 0], [1, 1]])
        logits = position.opened(held, {"labels": "multilabel", "parameters": NEAR | {"neighbours": 1}})
        found = probability(logits(None, places(["chr1", "chr1", "chr2", "chr2"], [101, 899, 301, 499])))
        assert (found > 0.5).tolist() == [[False, True], [False, False], [True, True], [True, False]]

    def test_far_from_all_the_stretch_of_the_chromosome_decides_and_on_another_the_rate(self):
        middle = np.r_[np.arange(0, 100_000, 500), np.arange(0, 100_000, 500)]
        chrom = np.repeat(["chr1", "chr2"], 200)
        labels = middle > 50_000
        seen = np.tile([True, False], 200)  # half of the windows are not trained on
        everywhere = places(np.r_[chrom, ["chr3", "chr3"]], np.r_[middle, 0.0, 100_000.0])
        at = places(chrom[seen], middle[seen])
        held = position.learn(None, at, labels[seen][:, None], None, NEAR, everywhere)
        found = probability(position.opened(held, {"labels": "multilabel", "parameters": NEAR})(
            None, places(["chr3", "chr3", "chr4"], [20_000, 80_000, 80_000])
        ))[:, 0]  # fmt: skip
        assert found[0] < 0.35 and found[1] > 0.65
        assert found[2] == pytest.approx((labels[seen].sum() + 0.5) / (seen.sum() + 1))

    def test_windows_without_coordinates_are_refused(self):
        with pytest.raises(InputError, match="no coordinates.*take the dataset out of 'datasets'"):
            self.learn(["a:1", "a:2", "a:3"], [50, 50, 50], [0, 1, 0])

    def test_an_edit_has_no_place(self):
        held = self.learn(["chr1"] * 3, [1, 2, 3], [0, 1, 0])
        with pytest.raises(InputError, match="no edit has an effect on it; take out its 'mutagenesis'"):
            position.opened(held, {"labels": "multilabel", "parameters": NEAR})(None, np.array([1.0]))


class TestNearest:
    def words(self, row, k):
        """The k-mers of a row, either strand, as sets of texts."""
        found = set()
        for codes in (row, reverse_complement(row)):
            for at in range(len(codes) - k + 1):
                if (codes[at : at + k] < N).all():
                    found.add(tuple(codes[at : at + k].tolist()))
        return {min(one, tuple(3 - base for base in one[::-1])) for one in found}

    @pytest.mark.parametrize("k", [2, 3, 5, 12, 15, 16, 31])
    def test_a_sketch_has_one_hash_a_kmer_of_either_strand(self, k, monkeypatch):
        draw = np.random.default_rng(3)
        codes = draw.choice(5, (12, 90), p=[0.24, 0.24, 0.24, 0.24, 0.04]).astype(np.uint8)
        monkeypatch.setattr(nearest, "SKETCH", 200)
        found = nearest.sketches(codes, k)
        for row, sketch in zip(codes, found, strict=True):
            kept = sketch[sketch >= 0]
            assert len(kept) == len(self.words(row, k)) and (np.diff(kept) > 0).all() and (kept < 4**k).all()
        assert np.array_equal(found, nearest.sketches(reverse_complement(codes), k))
        both = {(i, j): len(self.words(codes[i], k) & self.words(codes[j], k)) for i in range(12) for j in range(12)}
        assert both == {(i, j): len(np.intersect1d(found[i][found[i] >= 0], found[j][found[j] >= 0])) for i, j in both}

    def test_a_sketch_is_the_lowest_hashes(self, monkeypatch):
        codes = np.random.default_rng(4).integers(0, 4, (5, 300)).astype(np.uint8)
        monkeypatch.setattr(nearest, "SKETCH", 400)
        whole = nearest.sketches(codes, 9)
        monkeypatch.setattr(nearest, "SKETCH", 20)
        assert np.array_equal(nearest.sketches(codes, 9), whole[:, :20])

    def test_those_that_share_most_words_come_first(self):
        draw = np.random.default_rng(5)
        codes = draw.integers(0, 4, (40, 50)).astype(np.uint8)
        asked = codes[draw.integers(0, 40, 15)]
        asked[:, :20] = draw.integers(0, 4, (15, 20))
        held = nearest.learn(codes, None, np.zeros((40, 1), bool), None, {"word": 4}, None)
        row, weight, _ = nearest.near(held, asked, None, {"word": 4, "neighbours": 3})
        for i, one in enumerate(asked):
            mine = nearest.sketches(one[None], 4)[0]
            shared = [len(np.intersect1d(mine[mine >= 0], other[other >= 0])) for other in nearest.sketches(codes, 4)]
            best = sorted(range(40), key=lambda at: (-shared[at], at))[:3]
            assert row[i].tolist() == best and weight[i] == pytest.approx([shared[at] / (mine >= 0).sum() for at in best])

    def test_a_word_of_too_many_windows_says_nothing(self, monkeypatch):
        draw = np.random.default_rng(6)
        codes = draw.integers(0, 4, (12, 60)).astype(np.uint8)
        codes[:, :30], codes[:, 30] = codes[0, :30], N
        held = nearest.learn(codes, None, np.zeros((12, 1), bool), None, {"word": 12}, None)
        row, weight = nearest._most_shared.py_func(held["words"], held["row"], 12, nearest.sketches(codes[:1], 12), 3)
        assert (row >= 0).all()
        monkeypatch.setattr(nearest, "FREQUENT", 11)
        row, weight = nearest._most_shared.py_func(held["words"], held["row"], 12, nearest.sketches(codes[:1], 12), 3)
        assert row.tolist() == [[0, -1, -1]] and weight[0, 0] == (nearest.sketches(codes[:1, 31:], 12) >= 0).sum()

    def test_a_window_of_n_gets_the_rate(self):
        labels = np.array([[1, 0], [0, 0], [1, 0]], bool)
        held = nearest.learn(np.zeros((3, 30), np.uint8), None, labels, None, WORDS, None)
        logits = nearest.opened(held, {"labels": "multilabel", "parameters": WORDS})
        assert probability(logits(np.full((1, 30), N, np.uint8), None))[0] == pytest.approx([2.5 / 4, 0.5 / 4])

    def test_words_longer_than_a_number_are_refused(self):
        assert context("nearest", {"word": 12, "neighbours": 5}) == (12, None) and context("position", NEAR) == (1, None)
        with pytest.raises(ValueError, match="31"):
            context("nearest", {"word": 32, "neighbours": 5})


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize(("architecture", "parameters"), [("position", NEAR), ("nearest", WORDS)])
def test_a_checkpoint_is_fitted_on_training_rows_and_opens_as_a_classifier(tmp_path, architecture, parameters, exclusive):
    data = toy_models.data(tmp_path, exclusive=exclusive)
    said = toy_models.about(architecture, parameters, 60, len(data.targets.names), "exclusive" if exclusive else "multilabel")
    (tmp_path / "out").mkdir()
    cost = features.fit(said, data, tmp_path / "out")
    assert cost["sequences"] == 60 and 0 < cost["validation_ap"] <= 1
    other = data.targets[np.arange(90)]
    other[data.rows("validation")] = False
    np.save(tmp_path / "targets.npy", pack(other))
    again = tmp_path / "again"
    again.mkdir()
    targets = Targets(tmp_path / "targets.npy", tmp_path / "targets.tsv")
    features.fit(said, Data(data.sequences, targets, data.windows, exclusive), again)
    one, two = (load_file(folder / "model.safetensors") for folder in (tmp_path / "out", again))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    rows = data.rows("train")
    both = probability(Classifier(tmp_path / "out").strands(data.sequences[rows], data.position(rows)))
    assert both[0] == pytest.approx(both[1], abs=1e-12)  # neither knows strands
    truth = toy_models.data(tmp_path / "b", exclusive=exclusive).targets[rows]
    # Each is its own nearest.
    assert (both[0][truth].mean() > both[0][~truth].mean() + 0.2) if architecture == "nearest" else True


def test_places_are_middles_where_numbers_are_asked_for():
    at = places(["chr1", "chr2", "chr1"], [1.5, 2.5, 9.0])
    assert np.asarray(at, float).tolist() == [1.5, 2.5, 9.0] and len(at) == 3
    some = at[np.array([2, 0])]
    assert some.chrom.tolist() == ["chr1", "chr1"] and some.middle.tolist() == [9.0, 1.5]
    assert at[0:1].chrom.tolist() == ["chr1"]
