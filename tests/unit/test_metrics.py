import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, matthews_corrcoef, roc_auc_score

from regdna.metrics import (
    BINS,
    METRICS,
    auroc,
    average_precision,
    best_threshold,
    from_tally,
    mcc,
    pooled,
    softened,
    tally,
    temperature,
)

CASES = {
    "no ties": lambda draw: (draw.random(500) < 0.3, draw.normal(size=500)),
    "many ties": lambda draw: (draw.random(500) < 0.3, draw.integers(0, 5, 500) / 4),
    "all tied": lambda draw: (draw.random(50) < 0.5, np.zeros(50)),
    "one positive": lambda draw: (np.arange(300) == 17, draw.normal(size=300)),
    "one negative": lambda draw: (np.arange(300) != 17, np.round(draw.normal(size=300), 1)),
    "two rows": lambda draw: (np.array([True, False]), draw.normal(size=2)),
    "float32": lambda draw: (draw.random(400) < 0.5, draw.random(400).astype(np.float32)),
    "perfect": lambda draw: (np.arange(100) < 40, -np.arange(100.0)),
    "reversed": lambda draw: (np.arange(100) < 40, np.arange(100.0)),
    "infinite": lambda draw: (draw.random(99) < 0.5, np.tile([np.inf, -np.inf, 0], 33)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_scikit_learn(case, seed):
    labels, scores = CASES[case](np.random.default_rng(seed))
    finite = np.nan_to_num(scores, posinf=9, neginf=-9)
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, finite), abs=1e-12)
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, finite), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS.values())
@pytest.mark.parametrize("labels", [np.ones(5, bool), np.zeros(5, bool), np.zeros(0, bool)])
def test_one_class_is_undefined(metric, labels):
    assert np.isnan(metric(labels, np.arange(len(labels), dtype=float)))


def test_known_values_by_hand():
    labels, scores = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.8, 0.1])
    assert auroc(labels, scores) == (1 + 1 + 0.5 + 1) / 4
    assert average_precision(labels, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


@pytest.mark.parametrize("seed", range(3))
def test_auroc_of_the_opposite_is_one_minus(seed):
    draw = np.random.default_rng(seed)
    labels, scores = draw.random(200) < 0.4, draw.integers(0, 9, 200).astype(float)
    assert auroc(labels, -scores) == pytest.approx(1 - auroc(labels, scores), abs=1e-12)
    assert auroc(~labels, scores) == pytest.approx(1 - auroc(labels, scores), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS.values())
def test_only_the_order_counts(metric):
    draw = np.random.default_rng(0)
    labels, scores = draw.random(300) < 0.2, draw.normal(size=300)
    row = draw.permutation(300)
    assert metric(labels[row], np.exp(3 * scores[row])) == pytest.approx(metric(labels, scores), abs=1e-12)


def made(seed=0, rows=500, targets=4):
    draw = np.random.default_rng(seed)
    labels = draw.random((rows, targets)) < [0.5, 0.2, 0.05, 0.1][:targets]
    odds = np.round(draw.normal(size=labels.shape) * 1.5 + 3 * labels - 2, 1)
    return labels, (1 / (1 + np.exp(-odds))).astype(np.float32), draw.random(labels.shape) < 0.8


@pytest.mark.parametrize("mask", [False, True])
def test_one_ranking_of_all_targets_equals_scikit_learn_on_all_pairs(mask):
    labels, scores, known = made()
    labels &= known | (not mask)
    rows = known if mask else np.ones_like(known)
    for targets in ([0, 1, 2, 3], [1, 3], [2]):
        mine = np.zeros_like(known)
        mine[:, targets] = rows[:, targets]
        expected = roc_auc_score(labels[mine], scores[mine]), average_precision_score(labels[mine], scores[mine])
        assert pooled(labels, scores, known if mask else None, targets) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(pooled(labels, scores, None, [])).all() and np.isnan(pooled(labels & False, scores, None, [1])).all()


def test_the_extremes_of_probabilities_are_ranked():
    labels, scores = np.array([[True, False, True, False]]), np.array([[1.0, 0.0, 1e-38, 0.5]], np.float32)
    assert pooled(labels, scores, None, [0, 1, 2, 3]) == pytest.approx((3 / 4, (1 + 2 / 3) / 2))


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_the_best_of_all_scores_and_mcc_is_that_of_scikit_learn(seed):
    labels, scores, _ = made(seed)
    for truth, score in zip(labels.T, scores.T, strict=True):
        by_hand = {float(one): matthews_corrcoef(truth, score >= one) for one in np.unique(score)}
        threshold = best_threshold(truth, score)
        assert by_hand[threshold] == pytest.approx(max(by_hand.values()), abs=1e-12)
        sums = tally(truth, score, score, threshold)
        assert from_tally(sums)["mcc"] == pytest.approx(by_hand[threshold], abs=1e-12)


@pytest.mark.parametrize("labels", [np.ones(5, bool), np.zeros(5, bool), np.zeros(0, bool)])
def test_no_threshold_where_validation_has_one_class(labels):
    assert np.isnan(best_threshold(labels, np.arange(len(labels), dtype=float)))


def test_mcc_of_an_empty_row_is_nothing():
    assert mcc(*np.array([[0.0], [0.0], [5.0], [5.0]])) == 0


def test_brier_equals_scikit_learn_and_calibration_error_a_loop_over_bins():
    labels, scores, _ = made(3)
    truth, score = labels[:, 0], scores[:, 0].astype(float)
    found = from_tally(tally(truth, score, score**2, 0.5))
    assert found["brier"] == pytest.approx(brier_score_loss(truth, score), abs=1e-12)
    assert found["brier_scaled"] == pytest.approx(brier_score_loss(truth, score**2), abs=1e-12)
    for name, one in (("ece", score), ("ece_scaled", score**2)):
        expected = 0.0
        for low in range(BINS):
            rows = (one >= low / BINS) & ((one < (low + 1) / BINS) | (low == BINS - 1))
            expected += abs(truth[rows].sum() - one[rows].sum()) / len(one)
        assert found[name] == pytest.approx(expected, abs=1e-9)


def test_tallies_add_up():
    labels, scores, _ = made(4)
    both = tally(labels[:, 0], scores[:, 0], scores[:, 0], 0.5) + tally(labels[:, 1], scores[:, 1], scores[:, 1], 0.5)
    whole = tally(labels[:, :2].ravel(), scores[:, :2].ravel(), scores[:, :2].ravel(), 0.5)
    np.testing.assert_allclose(both, whole, rtol=1e-12)


@pytest.mark.parametrize("heat", [0.4, 1.0, 3.0])
def test_the_temperature_that_spoilt_calibration_is_found(heat):
    draw = np.random.default_rng(1)
    odds = draw.normal(size=(20_000, 3)) * 2
    labels = draw.random(odds.shape) < 1 / (1 + np.exp(-odds))
    spoilt = (1 / (1 + np.exp(-odds * heat))).astype(np.float32)
    found = temperature(labels, spoilt, None, False)
    assert found == pytest.approx(heat, rel=0.05)
    mended = softened(spoilt, found, False)
    assert np.abs(mended - 1 / (1 + np.exp(-odds))).max() < 0.02
    for target in range(3):
        sums = from_tally(tally(labels[:, target], spoilt[:, target], mended[:, target], 0.5))
        assert sums["ece_scaled"] < 0.02 and (heat == 1.0 or sums["ece"] > 3 * sums["ece_scaled"])


def test_temperature_of_classes_that_exclude_each_other_and_of_what_is_known():
    draw = np.random.default_rng(2)
    odds = draw.normal(size=(20_000, 4)) * 2
    share = np.exp(odds) / np.exp(odds).sum(1, keepdims=True)
    labels = np.arange(4) == (draw.random(len(odds))[:, None] > np.cumsum(share, 1)).sum(1, keepdims=True)
    hot = np.exp(2.5 * odds)
    spoilt = (hot / hot.sum(1, keepdims=True)).astype(np.float32)
    found = temperature(labels, spoilt, None, True)
    assert found == pytest.approx(2.5, rel=0.05)
    assert np.allclose(softened(spoilt, found, True).sum(1), 1)
    alone = np.zeros((len(odds), 2), bool)
    alone[:, 0] = True
    sure, lying = 1 / (1 + np.exp(-odds[:, :1])), draw.random((len(odds), 1))
    truth = np.concatenate([draw.random(sure.shape) < sure, lying < 0.5], 1)
    both = np.concatenate([sure, 1 - 0.999 * (lying < 0.5)], 1).astype(np.float32)
    assert temperature(truth, both, alone, False) == pytest.approx(1, rel=0.05)
    assert temperature(truth, both, np.zeros_like(alone), False) == 1.0
    assert temperature(truth[:0], both[:0], None, False) == 1.0
