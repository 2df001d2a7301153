"""Epistasis: motifs stand where they should, what adds up shows none, what does not is found, and chance is found one time in twenty."""

import itertools

import numpy as np
import pandas as pd
import pytest
from toy_models import about, motif_checkpoint

from regdna.alphabet import decode, encode, reverse_complement
from regdna.interactions import claims, loci, logits, planted
from regdna.interactions.planted import Arrangement, arrangements, palindromic, spell
from regdna.models import linear
from regdna.models.classifier import Classifier
from regdna.models.kmer_logistic import canonical
from regdna.step import InputError

GATA, EBOX = "AGATAA", "CAGCTG"


def random_codes(rows, length, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (rows, length)).astype(np.uint8)


def kmer_checkpoint(folder, length, labels, k=5, targets=3):
    """A k-mer regression with random weights, large ones."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(1)
    columns = canonical(k)[1]
    entry = about("kmer-logistic", {"k": k, "l2": 1.0}, length, targets, labels)
    linear.save(folder, entry, draw.normal(0, 300, (targets, columns)), draw.normal(size=targets))
    return Classifier(folder)


def epistasis(classifier, backgrounds, first, second, some):
    """Of every background, arrangement and target."""
    place = np.zeros(1)
    parts = planted.effects(
        lambda codes: logits(classifier, codes, np.resize(place, len(codes))),
        backgrounds, *(np.tile(encode(motif), (len(backgrounds), 1)) for motif in (first, second)), some,
    )  # fmt: skip
    a, b, both = parts
    return both - a - b


# --- motifs ---


@pytest.mark.parametrize(("motif", "same"), [("CAGCTG", True), ("CANNTG", True), ("RGATAY", False), ("RCATGY", True), ("AGATAA", False)])
def test_palindromes_are_known_by_their_letters(motif, same):
    assert palindromic(motif) == same


def test_letters_are_drawn_among_those_they_stand_for():
    found = {decode(one) for one in spell("CRNT", 400, np.random.default_rng(0))}
    assert found == {f"C{r}{n}T" for r in "AG" for n in "ACGT"}
    assert {decode(one) for one in spell("GATTACA", 3, np.random.default_rng(0))} == {"GATTACA"}


def test_every_letter_and_its_complement_stand_for_the_same_number_of_bases():
    pairs = {"A": "T", "C": "G", "R": "Y", "S": "S", "W": "W", "K": "M", "B": "V", "D": "H", "N": "N"}
    assert set(planted.LETTERS) == {*pairs, *pairs.values()}
    for letter, other in pairs.items():
        assert {3 - code for code in planted.LETTERS[letter]} == set(planted.LETTERS[other])


def test_all_relative_orientations_are_tried_once_and_what_does_not_fit_is_left_out():
    both = arrangements(GATA, "AACC", [0, 5, 91], 100)
    assert [(one.spacing, one.orientation) for one in both] == [(at, one + other) for at in (0, 5) for one in "+-" for other in "+-"]
    assert [one.orientation for one in arrangements(GATA, EBOX, [3], 100)] == ["++", "-+"]
    assert [one.orientation for one in arrangements(EBOX, GATA, [3], 100)] == ["++", "+-"]
    assert arrangements(GATA, EBOX, [88, 89], 100)[-1].spacing == 88


def test_motifs_stand_where_they_should():
    backgrounds = random_codes(5, 31)
    seen = []

    def answer(codes):
        seen.append(codes)
        return np.zeros((len(codes), 1))

    first, second = (np.tile(encode(motif), (5, 1)) for motif in ("AGATAA", "CCC"))
    planted.effects(answer, backgrounds, first, second, [Arrangement(4, "+-"), Arrangement(0, "-+")])
    texts = {decode(codes) for codes in seen[0]}
    for background in map(decode, backgrounds):
        for gap, one, other in ((4, "AGATAA", "GGG"), (0, "TTATCT", "CCC")):
            begin = (31 - 9 - gap) // 2
            right = begin + 6 + gap
            left_alone = background[:begin] + one + background[begin + 6 :]
            right_alone = background[:right] + other + background[right + 3 :]
            both = left_alone[:right] + other + left_alone[right + 3 :]
            assert {background, left_alone, right_alone, both} <= texts
    assert len(seen[0]) == 5 * (1 + 3 + 3)


def test_effects_are_those_of_each_alone_and_of_both_against_the_background():
    backgrounds = np.zeros((2, 20), np.uint8)
    backgrounds[1] = 3

    def answer(codes):
        return np.stack([(codes == 1).sum(1), (codes == 2).sum(1) * (codes == 1).sum(1)], 1).astype(float)

    first, second = np.ones((2, 3), np.uint8), np.full((2, 2), 2, np.uint8)
    a, b, both = planted.effects(answer, backgrounds, first, second, [Arrangement(2, "++"), Arrangement(4, "++")])
    assert a.shape == (2, 2, 2) and (a == [3, 0]).all() and (b == [0, 0]).all() and (both == [3, 6]).all()


# --- models ---


@pytest.mark.parametrize("labels", ["multilabel", "exclusive"])
def test_a_sum_of_kmers_shows_none_beyond_its_words_and_some_within(tmp_path, labels):
    model = kmer_checkpoint(tmp_path / "model", 80, labels)
    some = arrangements(GATA, EBOX, [0, 2, 4, 9], 80)
    found = epistasis(model, random_codes(20, 80), GATA, EBOX, some)
    near = np.array([one.spacing < 4 for one in some])  # a 5-mer reaches both
    assert np.abs(found[:, ~near]).max() < 1e-9 and np.abs(found[:, near]).max() > 0.1
    held = claims.judge(found[None][:, :, ~near], 200, "key")
    assert (held.p_adjusted == 1).all() and (held.mean == 0).all() and (held.low == 0).all() and (held.high == 0).all()


def test_exclusive_logits_have_a_mean_of_nothing_and_the_differences_of_log_probabilities(tmp_path):
    model = kmer_checkpoint(tmp_path / "model", 40, "exclusive")
    codes, place = random_codes(30, 40), np.zeros(30)
    found = logits(model, codes, place)
    both = (model.logits(codes, place) + model.logits(reverse_complement(codes), place)) / 2
    assert np.allclose(found.mean(1), 0, atol=1e-12)
    assert np.allclose(found[:, 1] - found[:, 0], both[:, 1] - both[:, 0], atol=1e-9)


def test_both_strands_are_averaged(tmp_path):
    model = Classifier(motif_checkpoint(tmp_path / "model", 40, [2.0], [0.5]))
    codes = np.zeros((3, 40), np.uint8)
    codes[0, 5:12] = encode("GATTACA")
    codes[1, 5:12] = reverse_complement(encode("GATTACA"))
    assert np.allclose(logits(model, codes, np.zeros(3))[:, 0], [1.5, 1.5, 0.5], atol=1e-6)


def test_a_network_that_asks_for_both_motifs_is_found_at_that_arrangement_alone(tmp_path):
    model = Classifier(motif_checkpoint(tmp_path / "model", 80, [3.0, 0.0], [0.1, 0.2], GATA + "NNNNN" + "CACGTT"))
    some = arrangements(GATA, "CACGTT", [3, 5, 9], 80)
    held = claims.judge(epistasis(model, random_codes(20, 80), GATA, "CACGTT", some)[None], 400, "key")
    there = [(one.spacing, one.orientation) for one in some].index((5, "++"))
    assert held.mean[there, 0] == pytest.approx(1.5, abs=1e-5)  # one strand of two
    assert held.p_adjusted[there, 0] < 0.01
    rest = np.ones(held.mean.shape, bool)
    rest[there, 0] = False
    assert (held.p_adjusted[rest] > 0.99).all() and (held.mean[rest] == 0).all()


# --- claims ---


def null(draw, seeds, backgrounds, kinds, targets, shared):
    """Epistasis that is 0 on average: spread over backgrounds that differs between arrangements, and over seeds."""
    scale = np.linspace(0.2, 3, kinds)[:, None]
    of_background = draw.normal(size=(backgrounds, kinds, targets)) * scale
    rest = draw.normal(size=(seeds, backgrounds, kinds, targets)) * scale
    of_seed = draw.normal(size=(seeds, 1, 1 if shared else kinds, targets)) * (seeds > 1)
    return of_background + 0.5 * rest + of_seed


@pytest.mark.parametrize(("seeds", "shared", "least"), [(1, True, 0.025), (3, True, 0.02), (3, False, 0), (5, True, 0.02), (5, False, 0)])
def test_one_claim_in_twenty_is_chance(seeds, shared, least):
    draw, runs = np.random.default_rng(8), 400
    found = sum((claims.judge(null(draw, seeds, 20, 6, 2, shared), 200, f"{at}").p_adjusted < 0.05).any() for at in range(runs))
    assert least <= found / runs <= 0.08, found / runs


def test_intervals_hold_what_is_true_in_nineteen_of_twenty():
    draw, runs, held = np.random.default_rng(3), 600, 0
    for at in range(runs):
        one = claims.judge(null(draw, 3, 20, 4, 1, True) + 0.7, 10, f"{at}")
        held += ((one.low <= 0.7) & (one.high >= 0.7)).mean()
    assert 0.93 <= held / runs <= 0.98, held / runs


def test_one_seed_is_a_t_test_over_backgrounds():
    from scipy import stats

    values = np.random.default_rng(0).normal(0.3, 1, (1, 15, 4, 2))
    held = claims.judge(values, 50, "key")
    test = stats.ttest_1samp(values[0], 0)
    assert np.allclose(held.p, test.pvalue) and np.allclose(held.mean, values[0].mean(0))
    low, high = test.confidence_interval(0.95)
    assert np.allclose(held.low, low) and np.allclose(held.high, high)
    assert (held.p_adjusted >= held.p).all()


def test_seeds_that_disagree_widen_the_interval_and_undo_the_claim():
    draw = np.random.default_rng(0)
    agree = draw.normal(0.5, 0.1, (3, 30, 3, 1))
    apart = agree + np.array([-2.0, 0, 2.0])[:, None, None, None]
    sure, unsure = claims.judge(agree, 400, "key"), claims.judge(apart, 400, "key")
    assert np.allclose(sure.mean, unsure.mean) and (unsure.high - unsure.low > 5 * (sure.high - sure.low)).all()
    assert (sure.p_adjusted < 0.05).all() and (unsure.p_adjusted > 0.3).all()


def test_claims_count_all_that_was_looked_at():
    values = np.random.default_rng(2).normal(size=(1, 20, 1, 1)) + 0.62
    alone = claims.judge(values, 2000, "key").p_adjusted[0, 0]
    among = claims.judge(np.concatenate([values, np.random.default_rng(5).normal(size=(1, 20, 40, 1))], 2), 2000, "key").p_adjusted[0, 0]
    assert alone < 0.05 < among


def test_the_same_key_gives_the_same_claims():
    values = np.random.default_rng(2).normal(size=(2, 20, 3, 2))
    one, two, other = (claims.judge(values, 100, key).p_adjusted for key in ("a", "a", "b"))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_seeds_of_a_locus_give_an_interval_by_t():
    mean, low, high = claims.over_seeds(np.array([[1.0], [3.0]]))
    assert mean[0] == 2 and low[0] == pytest.approx(2 - 12.706205, abs=1e-5) and high[0] == pytest.approx(2 + 12.706205, abs=1e-5)
    assert np.isnan(claims.over_seeds(np.array([[1.0]]))[1]).all()


# --- backgrounds ---


def test_backgrounds_are_test_windows_without_n_drawn_by_the_seed(tmp_path):
    frame = pd.DataFrame({"split": ["test", "train"] * 50, "n_fraction": np.where(np.arange(100) % 10 == 0, 0.1, 0.0)})
    rows = planted.choose(frame, 20, 1, tmp_path)
    assert len(set(rows)) == 20 and (frame["split"].iloc[rows] == "test").all() and (frame["n_fraction"].iloc[rows] == 0).all()
    assert np.array_equal(rows, planted.choose(frame, 20, 1, tmp_path)) and not np.array_equal(rows, planted.choose(frame, 20, 2, tmp_path))
    assert len(planted.choose(frame, 500, 1, tmp_path)) == 40
    codes = random_codes(100, 50)
    shuffled = planted.shuffled(codes, rows, 1)
    for mine, given in zip(shuffled, codes[rows], strict=True):
        assert (mine != given).any()
        assert np.array_equal(np.bincount(mine[:-1] * 4 + mine[1:], minlength=16), np.bincount(given[:-1] * 4 + given[1:], minlength=16))
    with pytest.raises(InputError, match="1 test windows are without N"):
        planted.choose(frame.iloc[:3], 20, 1, tmp_path)


# --- loci ---


def test_the_strongest_positions_are_those_of_the_largest_effect():
    effect = np.zeros((6, 4, 2))
    effect[1, 2] = [1, -1]
    effect[4, 0] = [-3, 0]
    effect[4, 3] = [0, 0.5]
    effect[2, 1] = [0.1, 0]
    effect[3] = np.nan
    assert loci.strongest(effect, 2) == [(1, 2), (4, 0)]
    assert loci.strongest(effect, 9) == [(1, 2), (2, 1), (4, 0)]


def test_pairs_of_substitutions_are_both_made():
    codes = np.zeros(10, np.uint8)

    def answer(mutants):
        return np.stack([(mutants != 0).sum(1) ** 2.0, mutants @ 10.0 ** -np.arange(10)], 1)

    edits = [(1, 2), (4, 1), (7, 3)]
    alone, both = loci.effects(answer, codes, edits)
    assert (alone[:, 0] == 1).all() and (both[:, 0] == 4).all()
    assert np.allclose(alone[:, 1], [2e-1, 1e-4, 3e-7])
    assert np.allclose(both[:, 1], [alone[i, 1] + alone[j, 1] for i, j in itertools.combinations(range(3), 2)])
