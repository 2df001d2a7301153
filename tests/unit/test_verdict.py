"""What paired differences let us say: families by max-T, single p by Student's t, words, ranks."""

import numpy as np
import pytest
from scipy import stats

from regdna.bootstrap import Seeds, interval
from regdna.verdict import POWER, false_discovery, half_width, max_t, ranks, welch, word


def spread(low, high):
    return np.linspace(low, high, 1001)


@pytest.mark.parametrize(
    ("difference", "p", "said"),
    [
        (spread(0.01, 0.05), 0.01, "better"),
        (spread(-0.05, -0.01), 0.01, "worse"),
        (spread(0.001, 0.003), 0.01, "better"),
        (spread(0.01, 0.05), 0.06, "cannot tell"),
        (spread(-0.004, 0.004), 0.5, "equivalent"),
        # 95 % interval within 0.0105, 90 % within 0.00995
        (spread(-0.01105, 0.01105), 0.9, "equivalent"),
        (spread(-0.0112, 0.0112), 0.9, "cannot tell"),
        (spread(-0.002, 0.05), 0.2, "cannot tell"),
        (spread(0, 0), 1.0, "equivalent"),
        (spread(1, 2), np.nan, "too small to judge"),
    ],
)
def test_the_word_goes_by_the_adjusted_p_and_by_the_ninety_percent_interval(difference, p, said):
    assert word(difference.mean(), difference, p, 0.01) == said


def replicates(seed, pairs, count=4000, correlated=0.0):
    draw = np.random.default_rng(seed)
    return correlated * draw.normal(size=(count, 1)) + draw.normal(size=(count, pairs)) * np.arange(1, pairs + 1)


def test_a_family_of_one_is_the_pair_itself():
    drawn = replicates(0, 1) + 2.5
    found = max_t(np.array([2.5]), drawn)
    half = half_width(drawn)[0]
    assert found.joint_high[0] - 2.5 == pytest.approx(half, rel=0.03)
    assert found.p[0] == pytest.approx(2 * stats.norm.sf(2.5), abs=0.006)
    assert found.detectable[0] == pytest.approx((1.96 + 0.8416) / 1.96 * half, rel=0.03)


def test_a_family_of_independent_pairs_pays_as_sidak_says_and_one_of_alike_pairs_nothing():
    drawn = replicates(1, 10, 20_000)
    size = stats.norm.isf(0.0025)  # p of 0.005 by itself
    found = max_t(size * np.arange(1, 11), size * np.arange(1, 11) + drawn)
    assert found.p == pytest.approx(1 - 0.995**10, abs=0.01)
    assert (found.joint_high - found.joint_low) / 2 / half_width(drawn) == pytest.approx(
        stats.norm.isf((1 - 0.95**0.1) / 2) / 1.96, rel=0.03
    )
    alike = np.repeat(replicates(2, 1), 5, axis=1)
    assert max_t(np.full(5, 2.5), 2.5 + alike).p == pytest.approx(max_t(np.array([2.5]), 2.5 + alike[:, :1]).p[0], abs=1e-9)


def test_claims_of_equal_models_are_false_five_times_in_a_hundred():
    wrong, draw = 0, np.random.default_rng(3)
    for _ in range(400):
        noise = draw.normal(size=(600, 4))
        true = draw.normal(size=4)
        pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
        observed = np.array([true[one] - true[other] for one, other in pairs])
        drawn = observed + np.stack([noise[:, one] - noise[:, other] for one, other in pairs], 1)
        wrong += (max_t(observed, drawn).p < 0.05).any()
    assert 8 <= wrong <= 34  # 5 % is 20, two in a thousand lie outside


def test_pairs_that_never_differ_or_have_no_interval():
    drawn = replicates(4, 3)
    drawn[:, 1] = 0
    drawn[:400, 2] = np.nan
    found = max_t(np.array([5.0, 0.0, 1.0]), drawn + np.array([5.0, 0.0, 1.0]))
    assert found.p[0] < 0.01 and found.p[1] == 1 and np.isnan(found.p[2])
    assert (found.joint_low[1], found.joint_high[1]) == (0, 0) and np.isnan(found.joint_low[2])
    nothing = max_t(np.zeros(2), np.zeros((100, 2)))
    assert nothing.p.tolist() == [1, 1] and nothing.detectable.tolist() == [0, 0]


def test_p_of_seeds_alone_is_welchs_and_of_blocks_alone_that_of_a_t_test():
    draw = np.random.default_rng(5)
    one, other = draw.normal(1, 0.1, (5, 1)), draw.normal(1.1, 0.3, (4, 1))
    seeds = [Seeds.of(key, some, np.repeat(some[:, None], 50, 1)) for key, some in (("one", one), ("other", other))]
    found = welch(one.mean(0) - other.mean(0), np.zeros((50, 1)), seeds, 100)
    assert found[0] == pytest.approx(stats.ttest_ind(one[:, 0], other[:, 0], equal_var=False).pvalue, rel=1e-9)
    blocks = draw.normal(size=(100_000, 1)) * 0.5
    assert welch(np.array([1.0]), blocks, [], 30)[0] == pytest.approx(2 * stats.t.sf(2, 29), rel=0.02)
    assert welch(np.zeros(1), np.zeros((9, 1)), [], 30)[0] == 1


def test_q_is_benjamini_and_hochbergs_without_what_is_not_judged():
    p = np.array([0.001, np.nan, 0.02, 0.03, 0.9])
    found = false_discovery(p)
    assert np.isnan(found[1])
    assert found[[0, 2, 3, 4]] == pytest.approx([0.004, 0.04, 0.04, 0.9])
    assert np.isnan(false_discovery(np.array([np.nan]))).all()


def test_ranks_leave_open_what_was_not_shown():
    found = ranks(["a", "b", "c"], {("a", "b"), ("a", "c")})
    assert found == {"a": (1, 1), "b": (2, 3), "c": (2, 3)}
    assert ranks(["a", "b"], set()) == {"a": (1, 2), "b": (1, 2)}


def test_half_a_width_is_that_of_the_interval_and_needs_nineteen_of_twenty():
    drawn = replicates(6, 2)
    drawn[:201, 1] = np.nan
    low, high = interval(drawn[:, 0])
    assert half_width(drawn)[0] == pytest.approx((high - low) / 2) and np.isnan(half_width(drawn)[1])
    assert pytest.approx(stats.norm.isf(0.2) / stats.norm.isf(0.025)) == POWER


@pytest.mark.parametrize("count", [99, 100, 1000, 1001])
def test_a_joint_interval_leaves_out_nothing_where_p_is_below_five_percent_and_only_there(count):
    drawn = replicates(6, 1, count)
    half = half_width(drawn)[0]
    sizes = np.sort(np.abs(drawn[:, 0]))
    for size in (sizes[1:] + sizes[:-1])[-count // 10 :] / 2:
        found = max_t(np.array([size]), drawn + size)
        assert (found.p[0] < 0.05) == (found.joint_low[0] > 0), size / half


def test_resamples_without_a_class_count_for_nothing():
    drawn = replicates(7, 2) + 0.5
    cut = drawn.copy()
    cut[:100] = np.nan
    with np.errstate(all="raise"):
        found, without = max_t(np.array([0.5, 0.5]), cut), max_t(np.array([0.5, 0.5]), drawn[100:])
    assert np.isfinite(found.joint_low).all()
    for name in ("joint_low", "joint_high", "p", "detectable"):
        assert getattr(found, name) == pytest.approx(getattr(without, name), rel=1e-12)


def test_a_difference_that_no_resample_moves_is_there():
    """Labels that one model separates in full, and the other, which says the same of all windows, not at all."""
    for drawn in (np.full((100, 1), 0.5), np.c_[np.full(100, 0.5), replicates(8, 1, 100)]):
        found = max_t(drawn.mean(0), drawn)
        assert found.p[0] == pytest.approx(1 / 101) and found.joint_low[0] == 0.5
    still = Seeds("a", 2, np.zeros(3), np.zeros(3))
    assert welch(np.array([0.5, 0.0, 1e-17]), np.tile([0.5, 0.0, 0.0], (100, 1)), [still, still], 30).tolist() == [0, 1, 1]
