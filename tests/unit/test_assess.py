"""One model judged: facts, averages, values, replicates, intervals and curves, against scikit-learn and by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, matthews_corrcoef, precision_recall_curve, roc_auc_score

from regdna.assess import (
    DRAWN,
    MEAN,
    NO_CURVES,
    Decided,
    Drawn,
    Part,
    add_delong,
    add_intervals,
    averages,
    curve_points,
    decide,
    describe,
    judgeable,
    mean_of,
    points,
    resample,
    table,
)
from regdna.bootstrap import acceleration, draw_counts, influence, interval, over_seeds
from regdna.delong import mean_interval
from regdna.targets import Targets, pack


def fact(**changed):
    return {
        "target": 0,
        "average": "",
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
        ({"n": 119, "positives": 100}, "too small to judge"),
        ({"n": 120, "positives": 100}, ""),
        ({"blocks": 20, "independent_positives": 20}, ""),
    ],
)
def test_what_is_judged(changed, said):
    assert judgeable(fact(**changed)) == said


def made_part(labels, scores, known=None):
    """A part of windows of one block each."""
    start = np.arange(len(labels)) * 100
    frame = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 100, "block": start})
    return Part(frame, labels, known, [np.asarray(one, np.float32) for one in scores])


def undecided(seeds, targets):
    return Decided(np.full((seeds, targets), 0.5), [1.0] * seeds)


def test_values_average_over_seeds_and_over_defined_targets():
    labels = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], bool)
    good, bad = np.array([[0.4, 0.1], [0.1, 0.2], [0.3, 0.3], [0.2, 0.4]]), np.array([[0.1, 0.1], [0.4, 0.2], [0.2, 0.3], [0.3, 0.4]])
    facts = [fact(n=4, positives=2, prevalence=0.5), fact(target=1, n=4, positives=0, prevalence=0.0)]
    values, _ = points(made_part(labels, [good, bad]), facts, undecided(2, 2))
    result = table("test", values, facts, [7, 8])
    auroc = result[result["metric"] == "auroc"].set_index(["target", "seed"])["value"]
    assert (auroc[0, 7], auroc[0, 8], auroc[0, MEAN]) == (1.0, 0.0, 0.5)
    assert np.isnan(auroc[1, MEAN])
    assert auroc[MEAN, MEAN] == 0.5
    for metric in values:
        assert result[(result["metric"] == metric) & (result["target"] == 1)]["value"].isna().all(), "one class is undefined"
    assert result.loc[result["target"] == MEAN, "undefined"].eq(1).all()
    lift = result[(result["metric"] == "average_precision") & (result["target"] == 0)].set_index("seed")["lift"]
    assert lift[7] == 2.0


def test_averages_are_of_all_targets_and_of_each_group():
    facts = [fact(target=at, group=group, positives=positives, prevalence=positives / 100) for at, (group, positives)
             in enumerate([("DNase", 30), ("TF", 50), ("TF", 0), ("TF", 70), ("", 20)])]  # fmt: skip
    found = averages(facts)
    assert [one["target"] for one in found] == list(range(-1, -13, -1))
    assert [(one["group"], one["average"], one["members"]) for one in found[::3]] == [
        ("all", "macro", [0, 1, 3, 4]), ("DNase", "macro", [0]), ("TF", "macro", [1, 3]), ("no assay", "macro", [4])
    ]  # fmt: skip
    assert [one["average"] for one in found[:3]] == ["macro", "weighted", "micro"]
    assert found[1]["weights"] == pytest.approx(np.array([30, 50, 70, 20]) / 170)
    assert (found[6]["undefined"], found[6]["positives"], found[6]["name"]) == (1, 120, "macro mean of 2 TF targets")
    assert [one["group"] for one in averages(facts[1:4])] == ["all"] * 3, "one group is all targets again"
    none = averages([fact(positives=0)])[0]
    assert (none["verdict"], none["members"], none["undefined"]) == ("undefined", [], 1)


def test_an_average_is_judged_where_the_middle_one_of_its_targets_can_be():
    small, large = fact(independent_positives=5), fact(target=1, independent_positives=50)
    assert averages([small, large, large | {"target": 2}])[0]["verdict"] == ""
    assert averages([small, small | {"target": 2}, large])[0]["verdict"] == "too small to judge"


def test_positives_that_many_resamples_miss_are_too_small_to_judge():
    row = {"part": "test", "seed": MEAN, "verdict": "", "metric": "auroc", "target": 0, "average": "", "value": 0.7, "blocks": 30}
    result = pd.DataFrame([row])
    drawn = Drawn({"auroc": np.array([[[np.nan]] * 20 + [[0.7]] * 80])}, {"auroc": np.zeros(1)})
    add_intervals(result, drawn, {"auroc": np.array([[0.7]])}, [0], "key")
    assert result.loc[0, "verdict"] == "too small to judge"
    assert np.isnan(result.loc[0, "low"])


def test_an_average_of_replicates_bears_one_target_in_twenty_without_a_class():
    drawn = np.tile(np.arange(40.0), (3, 1))
    drawn[1, :2], drawn[2, :3] = np.nan, np.nan
    found = mean_of(drawn, np.full(40, 1 / 40))
    assert found[:2] == pytest.approx([19.5, np.arange(2, 40).mean()]) and np.isnan(found[2])


def test_curves_end_where_they_must():
    labels, scores = np.array([[1], [0], [1], [0]], bool), np.array([[0.9], [0.1], [0.8], [0.3]])
    part = made_part(labels, [scores])
    _, tallies = points(part, [fact(n=4, positives=2)], undecided(1, 1))
    found = curve_points(part, tallies)
    roc = found[found["curve"] == "roc"]
    assert (roc["x"].iloc[0], roc["y"].iloc[0], roc["x"].iloc[-1], roc["y"].iloc[-1]) == (0, 0, 1, 1)
    reliability = found[found["curve"] == "reliability"]
    assert reliability["windows"].tolist() == [1, 1, 1, 1] and reliability["y"].tolist() == [0, 0, 1, 1]
    assert reliability["x"].to_numpy() == pytest.approx([0.1, 0.3, 0.8, 0.9])
    empty = curve_points(made_part(np.zeros((4, 1), bool), [scores]), tallies)
    assert list(empty.columns) == list(NO_CURVES.columns) and not len(empty)


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("count", [40, 20_000])
@pytest.mark.parametrize("tied", [False, True])
def test_the_curves_that_are_drawn_have_the_area_of_the_whole_ones(noise, count, tied):
    draw = np.random.default_rng(0)
    labels = draw.random((count, 1)) < 0.2
    scores = 1 / (1 + np.exp(-1.0 * labels - noise * draw.normal(size=labels.shape)))
    scores = scores.round(1) if tied else scores
    part = made_part(labels, [scores])
    found = curve_points(part, points(part, [fact(n=count, positives=int(labels.sum()))], undecided(1, 1))[1])
    roc, pr = (found[found["curve"] == curve] for curve in ("roc", "pr"))
    assert max(len(roc), len(pr)) <= 300
    assert np.trapezoid(roc["y"], roc["x"]) == pytest.approx(roc_auc_score(labels, scores), abs=2e-4)
    precision, recall, _ = precision_recall_curve(labels[:, 0], scores[:, 0])
    assert np.trapezoid(pr["y"], pr["x"]) == pytest.approx(np.trapezoid(precision[::-1], recall[::-1]), abs=3e-3)
    whole = set(zip(recall, precision, strict=True))
    assert all(point in whole for point in zip(pr["x"], pr["y"], strict=True))


def test_what_validation_decides_is_the_threshold_of_each_seed_and_target():
    draw = np.random.default_rng(0)
    labels = draw.random((300, 2)) < 0.3
    labels[:, 1] = False
    scores = [np.clip(draw.random((300, 2)) * 0.6 + 0.4 * labels, 0, 1).astype(np.float32) for _ in range(2)]
    found = decide(made_part(labels, scores), threads=2)
    assert found.thresholds.shape == (2, 2) and np.isnan(found.thresholds[:, 1]).all()
    for seed, one in enumerate(scores):
        best = max(matthews_corrcoef(labels[:, 0], one[:, 0] >= at) for at in one[:, 0])
        assert matthews_corrcoef(labels[:, 0], one[:, 0] >= found.thresholds[seed, 0]) == pytest.approx(best)
    assert len(found.temperatures) == 2


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
    scores = np.round(1 / (1 + np.exp(-scores)), 2)
    scores[:, ~known] = 1.0
    start = np.arange(ROWS) * 100
    block = [f"chr1:{at // (ROWS // BLOCKS)}" for at in range(ROWS)]
    frame = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 100, "block": block})
    np.save(tmp_path / "t.npy", pack(labels))
    table = pd.DataFrame({"cell_type": "", "assay": "a", "target": list("wxyz"), "source": "s"})
    table.rename_axis("index").to_csv(tmp_path / "t.tsv", sep="\t")
    return Part(frame, labels, known, list(scores.astype(np.float32))), Targets(tmp_path / "t.npy", tmp_path / "t.tsv")


def without(part, target):
    """The windows of which a target is known, with that target alone."""
    rows = part.known[:, target]
    return Part(part.frame[rows], part.labels[rows][:, [target]], None, [one[rows][:, [target]] for one in part.scores])


def test_facts_count_the_rows_known(measured):
    part, targets = measured
    facts = describe(part, targets)
    for at, one in enumerate(facts):
        rows = part.known[:, at]
        assert (one["n"], one["positives"]) == (rows.sum(), (part.labels[:, at] & rows).sum())
        assert one["prevalence"] == part.labels[rows, at].mean()
        assert one["blocks"] == part.frame["block"][rows].nunique()
    assert facts[0]["blocks"] == BLOCKS - 5 and facts[2]["n"] == ROWS
    assert [judgeable(one) for one in facts] == ["", "", "", "undefined"], "positives alone are one class"


def test_a_target_of_which_nothing_is_known_is_undefined(measured):
    part, targets = measured
    part.known[:, 0], part.labels[:, 0] = False, False
    facts = describe(part, targets)
    assert facts[0]["n"] == 0 and np.isnan(facts[0]["prevalence"]) and judgeable(facts[0]) == "undefined"
    values, tallies = points(part, facts, undecided(2, 4))
    result = table("test", values, facts, [1, 2])
    assert result.query("target == 0")["value"].isna().all() and result.query("target == -1")["value"].notna().all()
    assert 0 not in set(curve_points(part, tallies)["target"])


def test_values_equal_those_of_scikit_learn_without_the_rows_that_are_not_known(measured):
    part, targets = measured
    facts = describe(part, targets)
    values, _ = points(part, facts, undecided(2, 4), threads=2)
    result = table("test", values, facts, [4, 5])
    value = result.set_index(["metric", "target", "seed"])["value"]
    functions = {"auroc": roc_auc_score, "average_precision": average_precision_score, "brier": brier_score_loss,
                 "mcc": lambda truth, score: matthews_corrcoef(truth, score >= 0.5)}  # fmt: skip
    for metric, function in functions.items():
        expected = np.array([[function(part.labels[known, at], one[known, at].astype(float)) for at, known in enumerate(part.known.T[:3])]
                             for one in part.scores])  # fmt: skip
        found = np.array([[value[metric, at, seed] for at in range(3)] for seed in (4, 5)])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        assert np.isnan(value[metric, 3, MEAN])
        assert value[metric, MEAN, MEAN] == pytest.approx(expected.mean(), abs=1e-12)
        positives = part.labels[:, :3].sum(0)
        assert value[metric, MEAN - 1, 4] == pytest.approx(np.average(expected[0], weights=positives), abs=1e-12)
        rows = part.known[:, :3]
        pairs = function(part.labels[:, :3][rows], part.scores[1][:, :3][rows].astype(float))
        assert value[metric, MEAN - 2, 5] == pytest.approx(pairs, abs=1e-12), "micro: all pairs of a window and a target"
    whole = result.query("target == -1").iloc[0]
    assert (whole["n"], whole["blocks"]) == (ROWS, BLOCKS)
    lift = result.query("metric == 'average_precision' and target == 0 and seed == -1").iloc[0]
    assert lift["lift"] == pytest.approx(lift["value"] / part.labels[part.known[:, 0], 0].mean())


def test_replicates_equal_scikit_learn_where_what_is_not_known_weighs_nothing(measured):
    part, targets = measured
    drawn = resample(part, describe(part, targets), undecided(2, 4), "digest", REPLICATES, threads=2)
    counts, block = draw_counts(BLOCKS, REPLICATES, "digest"), pd.factorize(part.frame["block"])[0]

    def called(truth, score, sample_weight):
        return matthews_corrcoef(truth, score >= 0.5, sample_weight=sample_weight)

    functions = {"auroc": roc_auc_score, "average_precision": average_precision_score, "mcc": called, "brier": brier_score_loss}
    assert tuple(functions) == DRAWN
    for metric, function in functions.items():
        expected = np.empty((REPLICATES, 3))
        for at in range(3):
            for i in range(REPLICATES):
                weight = (counts[block, i] * part.known[:, at]).astype(float)
                each = [function(part.labels[:, at], one[:, at].astype(float), sample_weight=weight) for one in part.scores]
                expected[i, at] = np.mean(each)
        found = drawn.mean(metric)
        np.testing.assert_allclose(found[:, :3], expected, rtol=0, atol=1e-9)
        assert np.isnan(found[:, 3]).all()
        np.testing.assert_allclose(found[:, 4], expected.mean(1), rtol=0, atol=1e-9)
        np.testing.assert_allclose(found[:, 5], np.average(expected, 1, part.labels[:, :3].sum(0)), rtol=0, atol=1e-9)
        assert np.isnan(found[:, 6]).all(), "of a micro average there are none"


def test_intervals_are_those_of_the_replicates_moved_by_seeds(measured):
    part, targets = measured
    facts, decided = describe(part, targets), undecided(2, 4)
    values, _ = points(part, facts, decided)
    drawn = resample(part, facts, decided, "digest", 400)
    result = table("test", values, facts, [4, 5])
    add_intervals(result, drawn, values, [0, 1, 2, 3, -1, -2, -3], "key")
    add_delong(result, part, facts)
    judged = result.query("seed == -1 and verdict == '' and average != 'micro' and metric in @DRAWN")
    assert len(judged) == 4 * 5
    for row in judged.itertuples():
        at = [0, 1, 2, 3, -1, -2].index(row.target)
        moved = over_seeds(drawn.by_seed[row.metric][:, :, at], values[row.metric][:, at], "key", row.blocks)
        least = -1 if row.metric == "mcc" else 0
        assert (row.low, row.high) == pytest.approx(tuple(np.clip(interval(moved), least, 1)), abs=1e-12)
    ranked = judged[judged["metric"].isin(["auroc", "average_precision"])]
    assert (ranked["bca_low"] < ranked["value"]).all() and (ranked["value"] < ranked["bca_high"]).all()
    assert result.query("seed != -1 or metric == 'ece' or average == 'micro'")[["low", "bca_low"]].isna().all(axis=None)
    rows = part.known[:, 1]
    expected = mean_interval(part.labels[rows, 1], np.stack([one[rows, 1] for one in part.scores]))
    one = result.query("seed == -1 and target == 1 and metric == 'auroc'").iloc[0]
    assert (one["delong_low"], one["delong_high"]) == expected
    assert result.query("metric != 'auroc' or target < 0 or seed != -1")["delong_low"].isna().all()


def test_a_target_with_gaps_is_judged_as_after_dropping_them(measured):
    """Not a bit differs: values, replicates, interval and curves of a target, beside others or alone on its own rows."""
    part, targets = measured
    part.known[:100, 0] = np.arange(100) % 2 == 0  # every block has a row left, so that dropping rows drops no block
    part.labels[:] &= part.known
    facts, decided = describe(part, targets), undecided(2, 4)
    drawn = resample(part, facts, decided, "digest", REPLICATES)
    values, tallies = points(part, facts, decided)
    result = table("test", values, facts, [4, 5])
    add_intervals(result, drawn, values, [0, 1, 2, 3, -1, -2, -3], "key")
    curves = curve_points(part, tallies)
    whole = targets.table
    for at in range(3):
        mine = without(part, at)
        targets.table = whole.iloc[[at]]
        alone = describe(mine, targets)
        assert [{**one, "target": at} for one in alone] == [facts[at]]
        drawn_alone = resample(mine, alone, undecided(2, 1), "digest", REPLICATES)
        values_alone, tallies_alone = points(mine, alone, undecided(2, 1))
        apart = table("test", values_alone, alone, [4, 5])
        add_intervals(apart, drawn_alone, values_alone, [0, -1, -2, -3], "key")
        pd.testing.assert_frame_equal(
            result[result["target"] == at].drop(columns="target").reset_index(drop=True),
            apart[apart["target"] == 0].drop(columns="target").reset_index(drop=True),
            check_exact=True,
        )
        for metric in DRAWN:
            assert np.array_equal(drawn.by_seed[metric][:, :, at], drawn_alone.by_seed[metric][:, :, 0])
        assert np.array_equal(
            curves.loc[curves["target"] == at, ["x", "y", "windows"]],
            curve_points(mine, tallies_alone)[["x", "y", "windows"]],
            equal_nan=True,
        )


def test_a_mask_of_known_labels_alone_changes_nothing(measured):
    part, targets = measured
    bare = Part(part.frame, part.labels, None, part.scores)
    masked = Part(part.frame, part.labels, np.ones_like(part.known), part.scores)
    facts, decided = describe(bare, targets), undecided(2, 4)
    assert describe(masked, targets) == facts
    (plain, tallies), (same, others) = points(bare, facts, decided), points(masked, facts, decided)
    assert all(np.array_equal(plain[metric], same[metric], equal_nan=True) for metric in plain) and np.array_equal(tallies, others)
    drawn, again = (resample(one, facts, decided, "d", 5) for one in (bare, masked))
    assert all(np.array_equal(drawn.by_seed[metric], again.by_seed[metric], equal_nan=True) for metric in DRAWN)
    pd.testing.assert_frame_equal(curve_points(bare, tallies), curve_points(masked, tallies), check_exact=True)


@pytest.mark.parametrize("exclusive", [False, True])
def test_probabilities_are_scaled_by_the_temperature_of_their_seed(exclusive):
    draw = np.random.default_rng(4)
    labels = np.arange(3) == draw.integers(0, 3, 400)[:, None]
    scores = [draw.dirichlet([1, 1, 1], 400).astype(np.float32) for _ in range(2)]
    start = np.arange(400) * 100
    frame = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 100, "block": start})
    part = Part(frame, labels, None, scores, exclusive)
    facts = [fact(target=at, n=400, positives=int(labels[:, at].sum()), prevalence=labels[:, at].mean()) for at in range(3)]
    values, _ = points(part, facts, Decided(np.full((2, 3), 0.5), [0.5, 3.0]))
    for seed, heat in enumerate((0.5, 3.0)):
        odds = np.log(scores[seed].astype(float)) if exclusive else np.log(scores[seed] / (1 - scores[seed].astype(float)))
        warm = np.exp(odds / heat) / np.exp(odds / heat).sum(1, keepdims=True) if exclusive else 1 / (1 + np.exp(-odds / heat))
        for at in range(3):
            assert values["brier_scaled"][seed, at] == pytest.approx(brier_score_loss(labels[:, at], warm[:, at]), abs=1e-5)
            assert values["brier"][seed, at] == pytest.approx(brier_score_loss(labels[:, at], scores[seed][:, at].astype(float)), abs=1e-9)


def test_the_skew_of_an_average_is_that_of_its_members_together(measured):
    part, targets = measured
    facts = describe(part, targets)
    drawn = resample(part, facts, undecided(2, 4), "digest", 5)
    block, names = pd.factorize(part.frame["block"])
    moved = np.zeros((3, len(names)))
    for at in range(3):
        rows = part.known[:, at]
        for one in part.scores:
            moved[at] += influence(part.labels[rows, at], one[rows, at], block[rows], len(names))[1] / 2
    weights = part.labels[:, :3].sum(0)
    assert drawn.skew["average_precision"][:3] == pytest.approx([acceleration(one) for one in moved])
    assert drawn.skew["average_precision"][4] == pytest.approx(acceleration(moved.mean(0)))
    assert drawn.skew["average_precision"][5] == pytest.approx(acceleration(weights @ moved))


def test_an_assay_may_be_called_all():
    found = averages([fact(group="all"), fact(target=1, group="x")])
    assert [one["members"] for one in found if one["average"] == "macro"] == [[0, 1], [0], [1]]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_without_a_threshold_mcc_is_undefined(measured):
    part, targets = measured
    decided = undecided(2, 4)
    decided.thresholds[:, 1] = np.nan
    facts = describe(part, targets)
    values, _ = points(part, facts, decided)
    result, drawn = table("test", values, facts, [1, 2]), resample(part, facts, decided, "digest", 100)
    add_intervals(result, drawn, values, [one["target"] for one in (*facts, *averages(facts))], "key")
    said = result[result["seed"] == MEAN].set_index(["metric", "target"])["verdict"]
    assert said["mcc", 1] == said["mcc", MEAN] == "undefined" and said["auroc", 1] != "undefined"


def test_a_resample_of_one_class_has_no_mcc(measured):
    part, targets = measured
    labels = part.labels.copy()
    labels[:, 0] = part.frame["block"] == part.frame["block"].iloc[0]
    part = dataclasses.replace(part, labels=labels, known=None)
    drawn = resample(part, describe(part, targets), undecided(2, 4), "digest", 100)
    lost = np.isnan(drawn.mean("auroc")[:, 0])
    assert 20 < lost.sum() < 60 and np.array_equal(np.isnan(drawn.mean("mcc")[:, 0]), lost)


def test_no_interval_passes_the_ends_of_its_scale(measured):
    part, targets = measured
    facts = describe(part, targets)
    values, _ = points(part, facts, undecided(2, 4))
    drawn = resample(part, facts, undecided(2, 4), "digest", 200)
    for metric in DRAWN:
        values[metric][:, :4] += np.array([[-0.2], [0.2]])  # two seeds far apart: Student's t with one degree of freedom
    result = table("test", values, facts, [4, 5])
    add_intervals(result, drawn, values, [0, 1, 2, 3, -1, -2, -3], "key")
    judged = result[result["low"].notna()]
    assert judged["high"].max() == 1.0 and judged.query("metric == 'mcc'")["low"].min() == -1.0
    assert judged.query("metric != 'mcc'")["low"].min() == 0.0 and judged["bca_high"].max() <= 1.0
