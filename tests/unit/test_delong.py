"""DeLong's covariance against the definition, and the bootstrap against DeLong."""

import numpy as np
import pytest

from regdna.bootstrap import draw_counts, replicate
from regdna.delong import covariance, mean_interval
from regdna.metrics import auroc


def by_definition(labels, scores):
    """Every pair of a positive and a negative, one by one."""
    above = scores[:, labels][:, :, None] - scores[:, ~labels][:, None, :]
    won = (above > 0) + 0.5 * (above == 0)
    return won.mean((1, 2)), np.cov(won.mean(2)) / labels.sum() + np.cov(won.mean(1)) / (~labels).sum()


def made(seed, rows, levels=8):
    draw = np.random.default_rng(seed)
    labels = draw.random(rows) < 0.3
    common = draw.normal(size=rows)
    return labels, np.round((common + draw.normal(size=(3, rows)) + labels) * levels) / levels


@pytest.mark.parametrize("seed", range(3))
def test_covariance_is_that_of_the_definition_ties_and_all(seed):
    labels, scores = made(seed, 80)
    value, spread = covariance(labels, scores)
    expected, expected_spread = by_definition(labels, scores)
    np.testing.assert_allclose(value, expected, atol=1e-12)
    np.testing.assert_allclose(spread, expected_spread, atol=1e-12)
    assert value == pytest.approx([auroc(labels, one) for one in scores], abs=1e-12)


def test_the_bootstrap_of_single_rows_spreads_as_delong_says():
    labels, scores = made(5, 3000)
    counts = draw_counts(3000, 6000, "delong")
    drawn = np.array([replicate(labels, one, np.arange(3000), counts)[0] for one in scores])
    np.testing.assert_allclose(np.cov(drawn), covariance(labels, scores)[1], rtol=0.12)
    low, high = mean_interval(labels, scores)
    assert np.quantile(drawn.mean(0), [0.025, 0.975]) == pytest.approx([low, high], abs=2e-3)


def test_one_score_and_too_few_rows():
    labels, scores = made(1, 200)
    low, high = mean_interval(labels, scores[:1])
    assert low < auroc(labels, scores[0]) < high
    with pytest.raises(ValueError, match="1 positives"):
        covariance(np.arange(10) == 3, np.arange(10.0)[None])


def test_of_one_row_of_a_class_there_is_no_interval():
    labels, scores = np.arange(30) > 0, np.random.default_rng(0).random((2, 30))
    assert np.isnan(mean_interval(labels, scores)).all() and np.isnan(mean_interval(~labels, scores)).all()
