from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from regdna import bootstrap, strata
from regdna.assess import MEAN, Part
from regdna.metrics import auroc, average_precision
from regdna.paired import COMPARED, Judged
from regdna.targets import Targets, pack

BLOCKS, COUNT = 40, 200


def windows(n, seed=0):
    draw = np.random.default_rng(seed)
    start = np.arange(n) * 1000
    return pd.DataFrame({
        "chrom": "chr1", "start": start, "end": start + 200, "block": [f"chr1:{at * BLOCKS // n}" for at in range(n)], "gc": draw.random(n),
        "training_similarity": draw.choice([0, 0.05, 0.1, 0.2, 0.3, 0.9, np.nan], n), "repeat_fraction": np.nan,
        "tss_distance": draw.choice([0, 999.0, 1000, 9999, 1e4, 1e6], n),
    })  # fmt: skip


def part(n=1200, targets=3, seeds=2, seed=0, known=None, better=()):
    """Scores that say something of the labels, more on the rows ``better``."""
    draw = np.random.default_rng(seed)
    labels = draw.random((n, targets)) < 0.4
    skill = np.full(n, 1.0)
    skill[list(better)] = 3.0
    scores = [
        np.clip(0.5 + 0.1 * (skill[:, None] * labels + draw.normal(size=labels.shape)), 0, 1).astype(np.float32) for _ in range(seeds)
    ]
    return Part(windows(n, seed), labels if known is None else labels & known, known, scores)


@pytest.fixture
def targets(tmp_path):
    np.save(tmp_path / "targets.npy", pack(np.zeros((1200, 3), bool)))
    table = pd.DataFrame({"cell_type": "", "assay": "DNase", "target": [f"t{at}" for at in range(3)], "source": ""})
    table.to_csv(tmp_path / "targets.tsv", sep="\t", index_label="index")
    return Targets(tmp_path / "targets.npy", tmp_path / "targets.tsv")


def test_each_window_is_in_one_stratum_of_a_factor_and_what_is_not_known_in_none():
    frame = windows(900)
    found = strata.strata(frame)
    assert list(found) == ["similarity to training", "distance to TSS", "GC"]  # no repeats are known
    value = frame["training_similarity"].to_numpy()
    by_hand = {"none": value == 0, "under 10 %": value == 0.05, "10 to 30 %": np.isin(value, [0.1, 0.2]), "30 % or more": value >= 0.3}
    assert {name: rows.tolist() for name, rows in found["similarity to training"].items()} == {
        name: np.flatnonzero(rows).tolist() for name, rows in by_hand.items()
    }
    away = frame["tss_distance"].to_numpy()
    by_hand = {"under 1 kb": away < 1000, "1 to 10 kb": (away >= 1000) & (away < 1e4), "10 kb or more": away >= 1e4}
    assert {name: rows.tolist() for name, rows in found["distance to TSS"].items()} == {
        name: np.flatnonzero(rows).tolist() for name, rows in by_hand.items()
    }
    thirds = list(found["GC"].values())
    assert [len(rows) for rows in thirds] == [300, 300, 300]
    gc = frame["gc"].to_numpy()
    assert gc[thirds[0]].max() < gc[thirds[1]].min() and gc[thirds[1]].max() < gc[thirds[2]].min()


def test_repeats_have_strata_where_they_are_known():
    frame = windows(6).assign(repeat_fraction=[0, 0.001, 0.49, 0.5, 1, np.nan])
    assert {name: rows.tolist() for name, rows in strata.strata(frame)["repeats"].items()} == {
        "none": [0], "under 50 %": [1, 2], "50 % or more": [3, 4],
    }  # fmt: skip


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_a_stratum_is_judged_as_its_rows_alone_with_the_blocks_of_all(targets, unknown):
    mask = np.random.default_rng(1).random((1200, 3)) >= unknown if unknown else None
    whole = part(known=mask)
    table = strata.judge(whole, targets, "digest", "toy", COUNT)
    assert table.columns.tolist() == strata.COLUMNS and set(table["metric"]) == {"auroc", "average_precision"}
    rows = strata.strata(whole.frame)["similarity to training"]["10 to 30 %"]
    known = np.ones((1200, 3), bool) if mask is None else mask
    found = table.query("factor == 'similarity to training' and stratum == '10 to 30 %'").set_index("metric")
    block, _ = pd.factorize(whole.frame["block"])
    counts = bootstrap.draw_counts(BLOCKS, COUNT, "digest")
    for metric, function in (("auroc", auroc), ("average_precision", average_precision)):
        values, drawn = np.empty((2, 3)), np.empty((2, 3, COUNT))
        for seed in range(2):
            for target in range(3):
                at = rows[known[rows, target]]
                truth, score = whole.labels[at, target], whole.scores[seed][at, target]
                values[seed, target] = function(truth, score)
                for one in range(COUNT):
                    times = np.repeat(np.arange(len(at)), counts[block[at], one])
                    drawn[seed, target, one] = function(truth[times], score[times])
        blocks = len(set(block[rows]))
        expected = bootstrap.over_seeds(drawn.mean(1), values.mean(1), "digest toy", blocks)
        assert found.at[metric, "value"] == pytest.approx(values.mean(), abs=1e-12)
        assert [found.at[metric, "low"], found.at[metric, "high"]] == pytest.approx(np.quantile(expected, [0.025, 0.975]), abs=1e-12)
        assert found.at[metric, "n"] == len(rows) and found.at[metric, "blocks"] == len(set(block[rows]))
        assert found.at[metric, "prevalence"] == pytest.approx(np.mean([whole.labels[rows[known[rows, t]], t].mean() for t in range(3)]))


def test_the_difference_is_that_to_the_first_stratum_on_the_same_resamples(targets):
    frame = windows(1200)
    whole = part(better=np.flatnonzero(frame["training_similarity"] >= 0.3))
    table = strata.judge(whole, targets, "digest", "toy", COUNT).query("metric == 'auroc'").set_index(["factor", "stratum"])
    most, none = table.loc[("similarity to training", "30 % or more")], table.loc[("similarity to training", "none")]
    assert none["against"] == "" and np.isnan(none["difference"]) and most["against"] == "none"
    assert most["difference"] == pytest.approx(most["value"] - none["value"]) and most["difference_low"] > 0
    block, _ = pd.factorize(whole.frame["block"])
    counts = bootstrap.draw_counts(BLOCKS, COUNT, "digest")
    some = strata.strata(frame)["similarity to training"]
    drawn, seeds = np.zeros((2, COUNT)), np.zeros(2)
    for sign, name in ((1, "30 % or more"), (-1, "none")):
        at = some[name]
        for seed, score in enumerate(whole.scores):
            for target in range(3):
                drawn[seed] += sign / 3 * bootstrap.replicate(whole.labels[at, target], score[at, target], block[at], counts)[0]
                seeds[seed] += sign / 3 * auroc(whole.labels[at, target], score[at, target])
    bounds = np.quantile(bootstrap.over_seeds(drawn, seeds, "digest toy", BLOCKS), [0.025, 0.975])
    assert [most["difference_low"], most["difference_high"]] == pytest.approx(bounds, abs=1e-12)
    gc = table.loc["GC"]
    assert (gc["difference_low"].iloc[1:] < 0).all() and (gc["difference_high"].iloc[1:] > 0).all()
    assert np.isnan(strata.judge(whole, targets, "digest", "toy", 50).query("metric == 'average_precision'")["difference"]).all()


def test_targets_of_one_class_in_a_stratum_are_left_out_and_counted(targets):
    whole = part()
    none = strata.strata(whole.frame)["similarity to training"]["none"]
    whole.labels[none, 1] = True
    table = strata.judge(whole, targets, "digest", "toy", COUNT).query("metric == 'auroc'").set_index(["factor", "stratum"])
    one, most = table.loc[("similarity to training", "none")], table.loc[("similarity to training", "30 % or more")]
    assert one["targets"] == 2 and most["targets"] == 3
    rows = strata.strata(whole.frame)["similarity to training"]["30 % or more"]
    both = [
        np.mean([auroc(whole.labels[at, target], score[at, target]) for score in whole.scores for target in (0, 2)]) for at in (rows, none)
    ]
    assert most["difference"] == pytest.approx(both[0] - both[1])  # over the targets that both define
    whole.labels[none] = True
    one = strata.judge(whole, targets, "digest", "toy", COUNT).query("stratum == 'none'").iloc[0]
    assert one["verdict"] == "undefined" and np.isnan(one["value"]) and one["targets"] == 0


def test_strata_that_share_no_target_are_named_and_have_no_difference(targets):
    whole = part()
    whole.frame["repeat_fraction"] = np.repeat([0.0, 0.8], 600)
    whole.labels[:600, 1:] = True
    whole.labels[600:, 0] = True
    table = strata.judge(whole, targets, "digest", "toy", COUNT).query("factor == 'repeats' and metric == 'auroc'").set_index("stratum")
    assert table["targets"].tolist() == [1, 2] and table["against"].tolist() == ["", "none"]
    assert table["difference"].isna().all() and table["low"].notna().all()


def test_a_small_stratum_says_so_and_is_compared_with_nothing(targets):
    whole = part()
    similarity = np.full(1200, 0.5)
    similarity[:30] = 0  # of one block
    whole.frame["training_similarity"] = similarity
    table = strata.judge(whole, targets, "digest", "toy", COUNT).query("factor == 'similarity to training' and metric == 'auroc'")
    one, other = table.itertuples()
    assert one.verdict == "too small to judge" and np.isfinite(one.value) and np.isnan(one.low)
    assert other.verdict == "" and other.against == "" and np.isnan(other.difference)


def test_threads_change_nothing(targets):
    one, two = (strata.judge(part(), targets, "digest", "toy", 50, threads) for threads in (1, 3))
    pd.testing.assert_frame_equal(one, two)


def judged(model, value, half=0.01, chance=0.3, verdict="", seed=0):
    """A model with a mean AUROC, and an AP half way to it."""
    draw = np.random.default_rng(seed)
    ap = chance + (value - 0.5) / 2
    rows = [
        {
            "metric": metric,
            "target": MEAN,
            "value": one,
            "low": one - 2 * half,
            "high": one + 2 * half,
            "verdict": verdict,
            "prevalence": chance,
            "blocks": 10**6,
        }
        for metric, one in (("auroc", value), ("average_precision", ap), ("mcc", 0.1))
    ]
    noise = half * draw.normal(size=2000)
    drawn = {metric: np.stack([np.full(2000, np.nan), one + noise], 1) for metric, one in (("auroc", value), ("average_precision", ap))}
    own = {f"{metric}_{kind}": np.zeros(2) for metric in drawn for kind in ("error", "shared")}
    return Judged(model, pd.DataFrame(rows), drawn | own | {"targets": np.array([0, MEAN]), "split_digest": "d", "seeds": 1}, None, "")


def spread(model, value):
    """The same model with four seeds whose mean has an error of 0.05."""
    found = judged(model, value)
    return replace(found, drawn=found.drawn | {"seeds": 4, "auroc_error": np.full(2, 0.05**2)})


def test_the_explained_share_is_that_of_what_lies_above_chance():
    assert "auroc" in COMPARED
    model = judged("net", 0.9)
    found = strata.explain(model, [judged("gc", 0.7), judged("best", 0.95), model], "best").set_index(["row_zero", "metric"])
    assert len(found) == 4  # a model is not explained by itself
    assert found.loc[("gc", "auroc"), "share"] == pytest.approx(0.5) and found.loc[("gc", "average_precision"), "share"] == pytest.approx(
        0.5
    )
    assert found.loc[("best", "auroc"), "share"] == 1 and found.loc[("best", "auroc"), "best"] and not found.loc[("gc", "auroc"), "best"]
    # The same resamples: noise that both share moves (0.2 + e) / (0.4 + e).
    noise = 0.01 * np.random.default_rng(0).normal(size=2000)
    noise -= noise.mean()
    bounds = np.quantile((0.2 + noise) / (0.4 + noise), [0.025, 0.975])
    assert found.loc[("gc", "auroc"), ["low", "high"]].tolist() == pytest.approx(bounds.tolist(), abs=1e-4)
    # Of resamples of its own each would lie about twice as far off.
    other = strata.explain(model, [judged("gc", 0.7, seed=1)], "gc").set_index("metric")
    assert np.ptp(other.loc["auroc", ["low", "high"]]) > 1.7 * np.ptp(bounds)


def test_seeds_that_differ_widen_the_share():
    one, other = (strata.explain(judged("net", 0.9), [zero], "gc").set_index("metric") for zero in (judged("gc", 0.7), spread("gc", 0.7)))
    width = [np.ptp(found.loc["auroc", ["low", "high"]].to_numpy(float)) for found in (one, other)]
    assert width[1] > 3 * width[0] and one.at["auroc", "share"] == other.at["auroc", "share"]


def test_a_model_at_chance_or_too_small_has_no_share():
    found = strata.explain(judged("net", 0.51), [judged("gc", 0.7)], "gc")
    assert (found["verdict"] == "not above chance").all() and found[["share", "low", "high"]].isna().all(axis=None)
    found = strata.explain(judged("net", 0.9, verdict="too small to judge"), [judged("gc", 0.7)], "gc")
    assert (found["verdict"] == "too small to judge").all() and found["share"].isna().all()
    assert strata.explain(judged("net", 0.9), [judged("gc", 0.4)], "gc")["share"].eq(0).all()


def test_the_best_of_row_zero_is_so_on_validation_windows():
    def table(value):
        rows = [("validation", "auroc", -1, MEAN, value), ("test", "auroc", -1, MEAN, 1 - value), ("validation", "auroc", 1, MEAN, 1.0)]
        return pd.DataFrame(rows, columns=["part", "metric", "seed", "target", "value"])

    assert strata.best_on_validation({"a": table(0.6), "b": table(0.8), "c": table(np.nan)}) == "b"
    assert strata.best_on_validation({}) == ""
