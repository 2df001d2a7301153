import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from regdna.metrics import METRICS, auroc, average_precision

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
