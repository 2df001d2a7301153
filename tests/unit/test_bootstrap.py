import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from regdna.bootstrap import WIDTH, draw_counts, interval, replicate, too_small
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
    area, precision = replicate(labels, scores, block, np.ones((25, 1), np.uint16))
    assert area[0] == pytest.approx(auroc(labels, scores), abs=1e-12)
    assert precision[0] == pytest.approx(average_precision(labels, scores), abs=1e-12)


def test_a_replicate_without_a_class_is_undefined():
    labels, scores, block = np.array([True, False, False]), np.array([1.0, 0, 0]), np.array([0, 1, 2])
    counts = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 1]], np.uint16)
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
