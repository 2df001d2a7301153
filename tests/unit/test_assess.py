"""Seeds in the bootstrap: weights that sum to one and spread as the mean of seeds does."""

import numpy as np
import pandas as pd
import pytest

from regdna.assess import MEAN, NO_CURVES, add_intervals, curve_points, judgeable, points, seed_weights


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_weights_sum_to_one_and_average_to_equal(seeds):
    weight = seed_weights(seeds, 20_000, "key")
    assert weight.shape == (seeds, 20_000)
    assert np.allclose(weight.sum(0), 1)
    assert np.allclose(weight.mean(1), 1 / seeds, atol=0.01)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_replicates_spread_as_the_mean_of_seeds(seeds):
    values = np.random.default_rng(seeds).normal(size=seeds)
    spread = (values[:, None] * seed_weights(seeds, 200_000, "key")).sum(0).std()
    assert spread == pytest.approx(values.std(ddof=1) / np.sqrt(seeds), rel=0.02)


def test_one_model_draws_its_seeds_without_the_other():
    assert not np.array_equal(seed_weights(3, 50, "digest a"), seed_weights(3, 50, "digest b"))
    assert np.array_equal(seed_weights(3, 50, "digest a"), seed_weights(3, 50, "digest a"))


def fact(**changed):
    return {
        "target": 0,
        "name": "t",
        "group": "",
        "n": 100,
        "positives": 40,
        "prevalence": 0.4,
        "blocks": 30,
        "independent_positives": 40,
    } | changed


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"positives": 0}, "undefined"),
        ({"positives": 100}, "undefined"),
        ({"blocks": 19}, "too small to judge"),
        ({"independent_positives": 19}, "too small to judge"),
        ({"blocks": 20, "independent_positives": 20}, ""),
    ],
)
def test_what_is_judged(changed, said):
    assert judgeable(fact(**changed)) == said


def test_points_average_over_seeds_and_over_defined_targets():
    labels = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], bool)
    good, bad = np.array([[4.0, 1], [1, 2], [3, 3], [2, 4]]), np.array([[1.0, 1], [4, 2], [2, 3], [3, 4]])
    facts = [fact(n=4, positives=2, prevalence=0.5), fact(target=1, n=4, positives=0, prevalence=0.0)]
    table = pd.DataFrame(points("test", np.stack([good, bad]), labels, facts, [7, 8]))
    auroc = table[table["metric"] == "auroc"].set_index(["target", "seed"])["value"]
    assert (auroc[0, 7], auroc[0, 8], auroc[0, MEAN]) == (1.0, 0.0, 0.5)
    assert np.isnan(auroc[1, MEAN])
    assert auroc[MEAN, MEAN] == 0.5
    lift = table[(table["metric"] == "average_precision") & (table["target"] == 0)].set_index("seed")["lift"]
    assert lift[7] == 2.0


def test_positives_that_many_resamples_miss_are_too_small_to_judge():
    table = pd.DataFrame([{"part": "test", "seed": MEAN, "verdict": "", "metric": "auroc", "target": 0}])
    add_intervals(table, {"auroc": np.array([[np.nan]] * 20 + [[0.7]] * 80)})
    assert table.loc[0, "verdict"] == "too small to judge"
    assert np.isnan(table.loc[0, "low"])


def test_curves_end_where_they_must():
    labels, scores = np.array([[1], [0], [1], [0]], bool), np.array([[0.9], [0.1], [0.8], [0.3]])
    table = curve_points(labels, scores)
    roc = table[table["curve"] == "roc"]
    assert (roc["x"].iloc[0], roc["y"].iloc[0], roc["x"].iloc[-1], roc["y"].iloc[-1]) == (0, 0, 1, 1)
    assert list(curve_points(np.zeros((4, 1), bool), scores).columns) == list(NO_CURVES.columns)
