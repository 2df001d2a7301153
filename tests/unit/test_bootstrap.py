from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from regdna.bootstrap import (
    LINE,
    RUN,
    WIDTH,
    Seeds,
    accelerated,
    acceleration,
    draw_counts,
    influence,
    interval,
    over_seeds,
    replicate,
    resampled,
    satterthwaite,
    too_small,
    variances,
    with_seeds,
)
from regdna.metrics import auroc, average_precision


def made(seed, rows=400, blocks=25, prevalence=0.2, levels=None):
    draw = np.random.default_rng(seed)
    labels = draw.random(rows) < prevalence
    scores = draw.normal(size=rows) + labels
    return labels, scores if levels is None else np.round(scores * levels) / levels, draw.integers(0, blocks, rows)


@pytest.mark.parametrize("prevalence", [0.5, 0.2, 0.01])
@pytest.mark.parametrize("levels", [None, 4, 0.2])
@pytest.mark.parametrize("replicates", [1, WIDTH, WIDTH + 7])
def test_replicates_equal_scikit_learn_with_sample_weights(prevalence, levels, replicates):
    labels, scores, block = made(3, prevalence=prevalence, levels=levels)
    counts = draw_counts(25, replicates, "key")
    found = replicate(labels, scores, block, counts)
    for i in range(replicates):
        weight = counts[block, i].astype(float)
        both = weight[labels].sum() > 0 and weight[~labels].sum() > 0
        expected = [f(labels, scores, sample_weight=weight) if both else np.nan for f in (roc_auc_score, average_precision_score)]
        assert [one[i] for one in found] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_weights_are_repeated_rows():
    labels, scores, block = made(4, levels=3)
    counts = draw_counts(25, 20, "rows")
    area, precision = replicate(labels, scores, block, counts)
    for i in range(20):
        rows = np.repeat(np.arange(len(labels)), counts[block, i])
        assert area[i] == pytest.approx(auroc(labels[rows], scores[rows]), abs=1e-12)
        assert precision[i] == pytest.approx(average_precision(labels[rows], scores[rows]), abs=1e-12)


def test_drawing_every_block_once_gives_the_point_estimate():
    labels, scores, block = made(5, levels=2)
    area, precision = replicate(labels, scores, block, np.ones((25, 1), np.uint8))
    assert area[0] == pytest.approx(auroc(labels, scores), abs=1e-12)
    assert precision[0] == pytest.approx(average_precision(labels, scores), abs=1e-12)


def test_a_replicate_without_a_class_is_undefined():
    labels, scores, block = np.array([True, False, False]), np.array([1.0, 0, 0]), np.array([0, 1, 2])
    counts = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 1]], np.uint8)
    for found in replicate(labels, scores, block, counts):
        assert np.isnan(found).tolist() == [True, True, False] and found[2] == 1


def test_draws_depend_on_the_key_and_number_of_blocks_alone():
    counts = draw_counts(40, 30, "one")
    assert (counts.sum(0) == 40).all() and counts.shape == (40, 30)
    assert np.array_equal(counts, draw_counts(40, 30, "one"))
    assert np.array_equal(counts[:, :10], draw_counts(40, 10, "one"))
    assert not np.array_equal(counts, draw_counts(40, 30, "two"))


def test_draws_are_multinomial():
    counts = draw_counts(50, 4000, "many")
    assert counts.mean() == 1
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.02)


def test_interval_is_the_percentile_one_and_leaves_out_a_few_undefined():
    values = np.arange(1001.0)
    assert interval(values) == pytest.approx((25, 975))
    assert interval(values, 0.90) == pytest.approx((50, 950))
    assert interval(np.r_[values, np.full(50, np.nan)]) == pytest.approx((25, 975))
    assert np.isnan(interval(np.r_[values, np.full(60, np.nan)])).all()
    assert np.isnan(interval(np.full(5, np.nan))).all()
    assert np.isnan(interval(np.array([]))).all()


def test_the_interval_covers_a_known_truth_about_as_often_as_it_says():
    draw = np.random.default_rng(0)
    truth = 0.7602499389065233  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    inside = 0
    for trial in range(200):
        labels = np.arange(120) % 2 == 0
        counts = draw_counts(120, 200, str(trial))
        low, high = interval(replicate(labels, draw.normal(size=120) + labels, np.arange(120), counts)[0])
        inside += low <= truth <= high
    assert 180 <= inside <= 199


@pytest.mark.parametrize(("blocks", "positives", "small"), [(19, 500, True), (20, 20, False), (500, 19, True), (0, 0, True)])
def test_too_small_below_twenty_of_either(blocks, positives, small):
    assert too_small(blocks, positives) == small


def test_long_runs_of_negatives_with_high_counts_overflow_nothing():
    rows = 5 * RUN
    labels, scores = np.zeros(rows, bool), np.arange(rows, dtype=float)
    labels[[0, rows // 2]] = True
    counts = np.full((1, WIDTH), 255, np.uint8)
    area, precision = replicate(labels, scores, np.zeros(rows, int), counts)
    assert area == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert precision == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_float32_ties_are_exact():
    labels, scores, block = made(8, rows=3000, levels=50)
    scores = scores.astype(np.float32)
    counts = draw_counts(25, 5, "narrow")
    found = replicate(labels, scores, block, counts)
    for i in range(5):
        expected = [f(labels, scores, sample_weight=counts[block, i]) for f in (roc_auc_score, average_precision_score)]
        assert [one[i] for one in found] == pytest.approx(expected, abs=1e-12)


def test_counts_lie_in_whole_cache_lines_that_do_not_meet():
    counts = draw_counts(300, 1024, "lines")
    assert counts.ctypes.data % LINE == 0 and counts.strides[0] % LINE == 0 and (counts.strides[0] // LINE) % 2


@pytest.mark.parametrize("levels", [None, 3])
def test_influence_is_the_derivative_by_a_blocks_weight(levels):
    labels, scores, block = made(6, rows=300, levels=levels)
    found = influence(labels, scores, block, 25)
    step = 1e-6
    for at, function in enumerate((roc_auc_score, average_precision_score)):
        base = function(labels, scores)
        for one in range(25):
            weight = np.where(block == one, 1 + step, 1.0)
            assert found[at][one] == pytest.approx((function(labels, scores, sample_weight=weight) - base) / step, abs=1e-5)
        assert found[at].sum() == pytest.approx(0, abs=1e-9), "weighing all alike changes nothing"
    assert not np.any(influence(np.ones(5, bool), np.arange(5.0), np.arange(5), 5))


def test_bca_equals_that_of_scipy_for_a_mean():
    values = np.random.default_rng(2).exponential(size=60)
    given = stats.bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(3))
    found = accelerated(given.bootstrap_distribution, values.mean(), acceleration(values - values.mean()))
    assert found == pytest.approx(tuple(given.confidence_interval), abs=1e-3)
    assert interval(given.bootstrap_distribution)[1] < found[1], "a long right tail moves the interval up"


def test_bca_of_what_never_varies_or_is_mostly_undefined_is_none():
    assert np.isnan(accelerated(np.ones(100), 1.0, acceleration(np.zeros(5)))).all()
    assert np.isnan(accelerated(np.r_[np.arange(90.0), np.full(10, np.nan)], 45.0, 0.0)).all()


def test_sums_over_drawn_blocks_are_products_with_their_counts():
    sums, counts = np.random.default_rng(1).normal(size=(40, 3)), draw_counts(40, 70, "sums")
    np.testing.assert_allclose(resampled(sums, counts), counts.T.astype(float) @ sums, rtol=1e-12, atol=1e-12)


def test_seeds_alone_spread_as_student_says():
    values = np.array([0.80, 0.82, 0.81, 0.85, 0.79])
    moved = over_seeds(np.tile(values[:, None], 200_000), values, "m", 100)
    expected = stats.t(4, values.mean(), values.std(ddof=1) / np.sqrt(5))
    assert interval(moved) == pytest.approx(expected.interval(0.95), abs=2e-3)
    assert interval(moved, 0.8) == pytest.approx(expected.interval(0.8), abs=1e-3)


def test_blocks_alone_are_stretched_by_students_t_and_one_seed_moves_nothing():
    blocks = 0.72 + 0.01 * np.random.default_rng(0).standard_normal(200_000)
    moved = over_seeds(blocks[None], np.array([0.7]), "m", 20)
    assert interval(moved) == pytest.approx(stats.t(19, 0.7, 0.01).interval(0.95), abs=5e-4), (
        "about the value, not about the replicates' mean"
    )


def test_what_seed_and_window_have_together_is_counted_once():
    """Three seeds of which each window is something else to each: all they differ by is that, and the blocks have it already."""
    draw = np.random.default_rng(1)
    windows = draw.normal(size=(3, 400))
    counts = draw_counts(400, 4000, "once")
    values = windows.mean(1)
    drawn = (windows @ counts.astype(float)) / 400
    seeds = Seeds.of("m", values, drawn)
    assert seeds.shared == pytest.approx(1 / 400 / 3, rel=0.15)
    assert seeds.error == pytest.approx(values.var(ddof=1) / 3)
    parts = variances(drawn.mean(0).var(ddof=1), [seeds], 400)
    assert parts[0][0] < 0.2 * seeds.shared and parts[1] == (seeds.error, 2)
    off = variances(drawn.mean(0).var(ddof=1), [seeds, replace(seeds, weight=-1.0)], 400)
    assert off[0][0] <= parts[0][0] and off[2][0] == seeds.error


def test_one_model_draws_its_seeds_alike_wherever_it_is_compared():
    seeds = {name: Seeds(name, 3, np.array([1.0 + at]), np.zeros(1)) for at, name in enumerate("abc")}
    nothing, value = np.zeros((1000, 1)), np.zeros(1)

    def pair(one, other):
        return with_seeds(nothing, value, [seeds[one], replace(seeds[other], weight=-1.0)], 100)[:, 0]

    assert np.corrcoef(pair("a", "b"), pair("a", "c"))[0, 1] > 0.1
    assert np.corrcoef(pair("a", "b"), pair("c", "a"))[0, 1] < -0.1
    assert np.allclose(pair("a", "b"), -pair("b", "a"))


def test_columns_are_moved_each_by_its_own():
    draw = np.random.default_rng(3)
    drawn, values = 0.01 * draw.normal(size=(4, 500, 2)) + [0.5, 0.8], draw.normal(size=(4, 2)) * [0.01, 0.1] + [0.5, 0.8]
    both = over_seeds(drawn, values, "m", np.array([30, 60]))
    for at, blocks in enumerate((30, 60)):
        np.testing.assert_allclose(both[:, at], over_seeds(drawn[..., at], values[:, at], "m", blocks), rtol=1e-12)


def test_degrees_of_freedom_lie_between_those_of_the_parts():
    assert satterthwaite([(np.array([1.0, 0, 1, 0]), 99), (np.array([0.0, 1, 1, 0]), 4)]) == pytest.approx([99, 4, 4 / (1 / 99 + 1 / 4), 1])
