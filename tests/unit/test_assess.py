"""Seeds in the bootstrap: weights that sum to one and spread as the mean of seeds does."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from regdna.assess import MEAN, NO_CURVES, add_intervals, curve_points, describe, judgeable, points, resample, seed_weights
from regdna.bootstrap import draw_counts
from regdna.targets import Targets, pack


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


# --- labels that are not known ---

ROWS, BLOCKS, REPLICATES = 600, 30, 40


@pytest.fixture
def measured(tmp_path):
    """Windows in blocks, labels of four targets with ties in their scores, two seeds, and a mask: the third target is all known,
    of the fourth positives alone are; what is not known is labelled 0 and scored highest, so that it would be seen if it counted."""
    draw = np.random.default_rng(7)
    labels = draw.random((ROWS, 4)) < [0.3, 0.1, 0.2, 0.2]
    known = draw.random((ROWS, 4)) < [0.5, 0.8, 1.0, 0.9]
    known[:, 3] &= labels[:, 3]
    known[:100, 0] = False  # whole blocks of which nothing is known
    labels &= known
    scores = np.round(draw.normal(size=(2, ROWS, 4)) + labels, 1)
    scores[:, ~known] = 9.0
    start = np.arange(ROWS) * 100
    block = [f"chr1:{at // (ROWS // BLOCKS)}" for at in range(ROWS)]
    frame = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 100, "block": block})
    np.save(tmp_path / "t.npy", pack(labels))
    table = pd.DataFrame({"cell_type": "", "assay": "a", "target": list("wxyz"), "source": "s"})
    table.rename_axis("index").to_csv(tmp_path / "t.tsv", sep="\t")
    return frame, labels, known, scores.astype(np.float32), Targets(tmp_path / "t.npy", tmp_path / "t.tsv")


def test_facts_count_the_rows_known(measured):
    frame, labels, known, _, targets = measured
    facts = describe(frame, labels, targets, known)
    for at, fact in enumerate(facts):
        rows = known[:, at]
        assert (fact["n"], fact["positives"]) == (rows.sum(), (labels[:, at] & rows).sum())
        assert fact["prevalence"] == labels[rows, at].mean()
        assert fact["blocks"] == frame["block"][rows].nunique()
    assert facts[0]["blocks"] == BLOCKS - 5 and facts[2]["n"] == ROWS
    assert [judgeable(fact) for fact in facts] == ["", "", "", "undefined"], "positives alone are one class"


def test_a_target_of_which_nothing_is_known_is_undefined(measured):
    frame, labels, known, scores, targets = measured
    known[:, 0], labels[:, 0] = False, False
    facts = describe(frame, labels, targets, known)
    assert facts[0]["n"] == 0 and np.isnan(facts[0]["prevalence"]) and judgeable(facts[0]) == "undefined"
    table = pd.DataFrame(points("test", scores, labels, facts, [1, 2], known))
    assert table.query("target == 0")["value"].isna().all() and table.query("target == -1")["value"].notna().all()
    assert 0 not in set(curve_points(labels, scores[0], known)["target"])


def test_points_equal_those_of_scikit_learn_without_the_rows_that_are_not_known(measured):
    frame, labels, known, scores, targets = measured
    table = pd.DataFrame(points("test", scores, labels, describe(frame, labels, targets, known), [4, 5], known))
    value = table.set_index(["metric", "target", "seed"])["value"]
    for metric, function in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
        expected = np.array([[function(labels[known[:, at], at], one[known[:, at], at]) for at in range(3)] for one in scores])
        found = np.array([[value[metric, at, seed] for at in range(3)] for seed in (4, 5)])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        assert np.isnan(value[metric, 3, MEAN])
        assert value[metric, MEAN, MEAN] == pytest.approx(expected.mean(), abs=1e-12)
    whole = table.query("target == -1").iloc[0]
    assert (whole["n"], whole["blocks"]) == (ROWS, BLOCKS - 5)
    lift = table.query("metric == 'average_precision' and target == 0 and seed == -1").iloc[0]
    assert lift["lift"] == pytest.approx(lift["value"] / labels[known[:, 0], 0].mean())


def test_replicates_equal_scikit_learn_where_what_is_not_known_weighs_nothing(measured):
    frame, labels, known, scores, targets = measured
    drawn = resample(frame, labels, scores, describe(frame, labels, targets, known), "digest", "m", REPLICATES, known)
    counts, share = draw_counts(BLOCKS, REPLICATES, "digest"), seed_weights(2, REPLICATES, "digest m")
    block = pd.factorize(frame["block"])[0]
    for metric, function in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
        expected = np.empty((REPLICATES, 3))
        for at in range(3):
            for i in range(REPLICATES):
                weight = counts[block, i] * known[:, at]
                expected[i, at] = sum(
                    share[s, i] * function(labels[:, at], one[:, at], sample_weight=weight) for s, one in enumerate(scores)
                )
        np.testing.assert_allclose(drawn[metric][:, :3], expected, rtol=0, atol=1e-9)
        assert np.isnan(drawn[metric][:, 3]).all()
        np.testing.assert_allclose(drawn[metric][:, -1], expected.mean(1), rtol=0, atol=1e-9)


def test_a_target_with_gaps_is_judged_as_after_dropping_them(measured):
    """Not a bit differs: points, replicates, interval and curves of a target, beside others or alone on its own rows."""
    frame, labels, known, scores, targets = measured
    known[:100, 0] = np.arange(100) % 2 == 0  # every block has a row left, so that dropping rows drops no block
    labels &= known
    facts = describe(frame, labels, targets, known)
    drawn = resample(frame, labels, scores, facts, "digest", "m", REPLICATES, known)
    table = pd.DataFrame(points("test", scores, labels, facts, [4, 5], known))
    add_intervals(table, drawn)
    for at in range(3):
        rows = known[:, at]
        mine, truth, odds = frame[rows], labels[rows][:, [at]], scores[:, rows][:, :, [at]]
        targets.table, whole = targets.table.iloc[[at]], targets.table
        alone = describe(mine, truth, targets)
        targets.table = whole
        assert [{**one, "target": at} for one in alone] == [facts[at]]
        drawn_alone = resample(mine, truth, odds, alone, "digest", "m", REPLICATES)
        apart = pd.DataFrame(points("test", odds, truth, alone, [4, 5]))
        add_intervals(apart, drawn_alone)
        pd.testing.assert_frame_equal(
            table[table["target"] == at].drop(columns="target").reset_index(drop=True),
            apart[apart["target"] == 0].drop(columns="target").reset_index(drop=True),
            check_exact=True,
        )
        for metric in drawn:
            assert np.array_equal(drawn[metric][:, at], drawn_alone[metric][:, 0])
        curves, curves_alone = curve_points(labels, scores[0], known), curve_points(truth, odds[0])
        assert np.array_equal(curves.loc[curves["target"] == at, ["x", "y"]], curves_alone[["x", "y"]])


def test_a_mask_of_known_labels_alone_changes_nothing(measured):
    frame, labels, known, scores, targets = measured
    everything = np.ones_like(known)
    facts = describe(frame, labels, targets)
    assert describe(frame, labels, targets, everything) == facts
    plain, masked = (pd.DataFrame(points("test", scores, labels, facts, [1, 2], mask)) for mask in (None, everything))
    pd.testing.assert_frame_equal(plain, masked, check_exact=True)
    drawn, same = (resample(frame, labels, scores, facts, "d", "m", 5, mask) for mask in (None, everything))
    assert all(np.array_equal(drawn[metric], same[metric]) for metric in drawn)
    pd.testing.assert_frame_equal(curve_points(labels, scores[0]), curve_points(labels, scores[0], everything), check_exact=True)
