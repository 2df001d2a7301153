"""Scores against measurement: correlations, ceilings and enrichment, each against a slow and obvious reference."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from regdna import measured
from regdna.bootstrap import draw_counts, interval, replicate
from regdna.metrics import auroc, average_precision
from regdna.sources import variant_sets
from regdna.step import InputError

ELEMENTS = pd.DataFrame(
    {"element": ["LDLR", "LDLR", "PKLR", "HBB"], "cell_type": ["HepG2", "HepG2", "K562", "HEL 92.1.7"]},
    index=["LDLR", "LDLR.2", "PKLR-24h", "HBB"],
)
ABOUT = {"targets": ["Hep-G2 open", "K562 open", "Hep-G2 bound"], "cell_types": ["Hep-G2", "K562", "hepg2"], "variants": "satmut"}


def twice_centred(values):
    """Twice the middle rank of each value less the number of values and 1, counted one by one."""
    return [sum(one < value for one in values) - sum(one > value for one in values) for value in values]


def slow_spearman(one, other):
    """Spearman's coefficient from whole numbers."""
    x, y = twice_centred(one), twice_centred(other)
    both, own, others = (sum(a * b for a, b in zip(p, q, strict=True)) for p, q in ((x, y), (x, x), (y, y)))
    return both / (math.sqrt(own) * math.sqrt(others)) if own and others else math.nan


def made(seed, n=40, blocks=9, values=6):
    """Two columns with ties, blocks, and counts of draws."""
    draw = np.random.default_rng(seed)
    one, other = draw.integers(values, size=(2, n)).astype(float)
    return one, other, draw.integers(blocks, size=n), draw_counts(blocks, 12, str(seed))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("values", [2, 6, 10_000])
def test_rank_correlations_of_resamples_are_those_of_rows_written_out(seed, values):
    one, other, block, counts = made(seed, values=values)
    found = measured.spearman(one, other, block, counts)
    for at, value in enumerate(found):
        rows = np.repeat(np.arange(len(one)), counts[block, at])
        assert value == slow_spearman(one[rows].tolist(), other[rows].tolist())
        assert value == pytest.approx(stats.spearmanr(one[rows], other[rows]).statistic, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_correlations_of_resamples_are_those_of_rows_written_out(seed):
    one, other, block, counts = made(seed, values=10_000)
    found = measured.pearson(one + 1e6, 1e-3 * other, block, counts)
    for at, value in enumerate(found):
        rows = np.repeat(np.arange(len(one)), counts[block, at])
        assert value == pytest.approx(np.corrcoef(one[rows], other[rows])[0, 1], abs=1e-9)


@pytest.mark.parametrize("function", measured.CORRELATIONS.values())
def test_what_does_not_vary_correlates_with_nothing(function):
    one, _, block, counts = made(0)
    for constant in (np.full(len(one), 0.1), np.zeros(len(one))):
        assert np.isnan(function(constant, one, block, counts)).all() and np.isnan(function(one, constant, block, counts)).all()
    assert np.isnan(function(np.zeros(0), np.zeros(0), np.zeros(0, int), counts)).all()
    only = function(np.arange(4.0), np.arange(4.0), np.array([0, 0, 1, 1]), np.array([[0, 2], [1, 0]], np.uint16))
    assert only == pytest.approx([1, 1]), "blocks that are not drawn say nothing"


def test_the_ceiling_is_what_the_true_effects_reach():
    draw = np.random.default_rng(1)
    truth, error = draw.normal(0, 0.5, 200_000), draw.uniform(0.1, 0.5, 200_000)
    seen = truth + error * draw.normal(size=len(truth))
    p_value = 2 * stats.norm.sf(np.abs(seen) / error)
    share, known = measured.reliability(seen, p_value)
    assert known == len(seen)
    assert share == pytest.approx(1 - (error**2).mean() / seen.var(ddof=1), abs=1e-9)
    assert np.sqrt(share) == pytest.approx(np.corrcoef(seen, truth)[0, 1], abs=0.005)


def test_a_standard_error_that_p_does_not_tell_is_left_out_of_the_mean():
    seen, p_value = np.array([1.0, -2.0, 0.5, 3.0, 0.1]), np.array([0.05, 0.01, 0.3, 0.0, 1.0])
    errors = [abs(value) / stats.norm.isf(p / 2) for value, p in zip(seen[:3], p_value[:3], strict=True)]
    share, known = measured.reliability(seen, p_value)
    assert known == 3 and share == pytest.approx(1 - np.mean(np.square(errors)) / seen.var(ddof=1))
    for bad in ((seen, np.zeros(5)), (np.ones(5), p_value), (seen[:1], p_value[:1]), (seen, np.full(5, np.nan))):
        assert np.isnan(measured.reliability(*bad)[0])


@pytest.mark.parametrize(
    ("experiment", "against", "targets", "why"),
    [
        ("LDLR", {}, [0, 2], measured.SAME),
        ("PKLR-24h", {}, [1], measured.SAME),
        ("HBB", {}, [0, 1, 2], measured.NO_MATCH),
        ("others", {}, [0, 1, 2], measured.NO_MATCH),
        ("LDLR", {"LDLR": "K562 open"}, [1], measured.NAMED),
        ("others", {"others": "Hep-G2 bound"}, [2], measured.NAMED),
    ],
)
def test_an_experiment_is_held_against_its_cell_type_or_what_the_study_names(experiment, against, targets, why):
    assert measured.choose(experiment, ABOUT, ELEMENTS, against) == (targets, why)


def test_targets_without_a_cell_type_are_of_none():
    about = ABOUT | {"cell_types": ["", "-", "K562"]}
    nameless = ELEMENTS.assign(cell_type=["", "HepG2", "K562", "-"])
    assert measured.choose("LDLR", about, nameless, {})[1] == measured.choose("HBB", about, nameless, {})[1] == measured.NO_MATCH


@pytest.mark.parametrize(
    ("against", "said"),
    [
        ({"LDRL": "K562 open"}, "no variant's id is 'LDRL'; did you mean 'LDLR'"),
        ({"LDLR": "K562 opn"}, "no target is called 'K562 opn'; did"),
    ],
)
def test_what_the_study_names_must_be_there(against, said):
    with pytest.raises(InputError, match=said):
        measured.check_against(against, pd.Series(["LDLR", "PKLR-24h"]), ABOUT, "variants satmut")
    measured.check_against({"anything": "K562 open"}, None, ABOUT, "variants satmut")
    measured.check_against({"others": "K562 open"}, pd.Series(["rs1"]), ABOUT, "variants satmut")


def variants(experiment, length, draw, start=1000):
    """All substitutions of A and all deletions of an element, with what was measured and p."""
    rows = []
    for position in range(start, start + length):
        rows += [(position, "A", alt, "snv") for alt in "CGT"] + [(position - 1, "CA", "C", "deletion")]
    out = pd.DataFrame(rows, columns=["position", "ref", "alt", "kind"]).assign(chrom="chr1", id=experiment)
    out["measured"] = draw.normal(size=len(out))
    out["p_value"] = np.where(draw.random(len(out)) < 0.2, 1e-6, 0.5)
    return out


@pytest.fixture(scope="module")
def judged():
    """Four experiments: two of one element and cell type, one without a target of its cells, one too short."""
    draw = np.random.default_rng(3)
    table = pd.concat(
        [
            variants("LDLR", 230, draw),
            variants("LDLR.2", 230, draw),
            variants("PKLR-24h", 60, draw, 5000),
            variants("HBB", 230, draw, 9000),
        ],
        ignore_index=True,
    )
    logit = (draw.normal(size=(len(table), 3)) + 0.5 * table["measured"].to_numpy()[:, None]).astype(np.float32)
    return table, logit, measured.judge_effects(table, logit, ABOUT, ELEMENTS, {}, 200)


def test_the_result_is_the_mean_of_the_cell_types_targets_and_its_interval_that_of_blocks(judged):
    table, logit, result = judged
    mine = result.query("experiment == 'LDLR' and headline and edits == 'substitution'").set_index("statistic")
    at = np.flatnonzero((table["id"] == "LDLR") & (table["kind"] == "snv"))
    score = logit[at][:, [0, 2]].astype(np.float64).mean(1)
    assert mine["name"].unique() == ["mean of 2 targets"] and set(mine["target"]) == {measured.TOGETHER}
    assert mine.loc["spearman", "value"] == pytest.approx(stats.spearmanr(score, table["measured"].iloc[at]).statistic, abs=1e-12)
    assert mine.loc["pearson", "value"] == pytest.approx(np.corrcoef(score, table["measured"].iloc[at])[0, 1], abs=1e-9)
    whole = table[table["id"] == "LDLR"]
    block = (whole["position"] - whole["position"].min()).to_numpy() // 10
    counts = draw_counts(24, 200, "satmut LDLR")
    inside = (whole["kind"] == "snv").to_numpy()
    drawn = measured.spearman(score, whole["measured"].to_numpy()[inside], block[inside], counts)
    assert tuple(mine.loc["spearman", ["low", "high"]]) == interval(drawn)
    assert (mine["n"] == len(at)).all() and (mine["blocks"] == 24).all() and (mine["verdict"] == "").all()


def test_a_score_of_the_other_sign_correlates_the_other_way(judged):
    table, logit, result = judged
    turned = measured.judge_effects(table, -logit, ABOUT, ELEMENTS, {}, 20).query("statistic in ('spearman', 'pearson')")
    same = result.query("statistic in ('spearman', 'pearson')")
    assert np.allclose(turned["value"], -same["value"], atol=1e-12) and (same.query("headline")["value"] > 0).all()


def test_significant_variants_are_ranked_by_size_whatever_the_sign(judged):
    table, logit, result = judged
    rows = result.query("experiment == 'LDLR' and headline and score == '|logit|'").set_index("statistic")
    at = np.flatnonzero(table["id"] == "LDLR")
    found = (table["p_value"].iloc[at] < 1e-5).to_numpy()
    size = np.abs(logit[at][:, [0, 2]].astype(np.float64).mean(1))
    assert rows.loc["auroc", "value"] == auroc(found, size) and rows.loc["average_precision", "value"] == average_precision(found, size)
    assert rows.loc["auroc", "prevalence"] == found.mean() and rows.loc["auroc", "positives"] == found.sum()
    assert np.isfinite(rows["low"]).all()


def test_short_elements_and_proxies_carry_no_interval(judged):
    _, _, result = judged
    numbers = result.query("statistic in ('spearman', 'pearson', 'auroc', 'average_precision')")
    short, proxy = numbers.query("experiment == 'PKLR-24h'"), numbers.query("experiment == 'HBB'")
    assert set(short["verdict"]) == {"too small to judge"} and short["headline"].all()
    assert (
        set(proxy["verdict"]) == {measured.NO_MATCH} == set(proxy["match"])
        and not proxy["headline"].any()
        and set(proxy["target"]) == {0, 1, 2}
    )
    for some in (short, proxy):
        assert some["low"].isna().all() and some["value"].notna().all()


def test_ceilings_and_replicates_stand_beside(judged):
    table, _, result = judged
    at = result.set_index(["experiment", "edits", "statistic"])
    some = table[(table["id"] == "HBB") & (table["kind"] == "deletion")]
    share, known = measured.reliability(some["measured"].to_numpy(), some["p_value"].to_numpy())
    assert at.loc[("HBB", "deletion", "reliability"), "value"].item() == share
    assert at.loc[("HBB", "deletion", "reliability"), "n"].item() == known
    bound = at.loc[("HBB", "deletion", "ceiling"), "value"].item()
    assert np.isnan(bound) if share <= 0 else bound == np.sqrt(share)
    pair = result[result["statistic"].str.startswith("replicate_")].set_index("statistic")
    assert set(pair["experiment"]) == {"LDLR"} and set(pair["name"]) == {"LDLR.2"} and set(pair["match"]) == {"same cells"}
    one, other = (table[(table["id"] == name) & (table["kind"] == "snv")]["measured"].to_numpy() for name in ("LDLR", "LDLR.2"))
    assert pair.loc["replicate_pearson", "value"] == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-9)
    assert pair.loc["replicate_spearman", "value"] == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
    assert (pair["n"] == len(one)).all()


def test_variants_of_no_experiment_are_held_together():
    table = variants("rs", 30, np.random.default_rng(0)).assign(id=[f"rs{at}" for at in range(120)]).drop(columns="p_value")
    result = measured.judge_effects(table, np.ones((120, 3), np.float32), ABOUT, ELEMENTS, {"others": "K562 open"}, 10)
    assert set(result["experiment"]) == {"others"} and set(result["statistic"]) == {"spearman", "pearson"}
    assert set(result["verdict"]) == {"undefined"} and set(result["name"]) == {"K562 open"}


def test_too_few_barcodes_and_nothing_measured_are_counted_out():
    table = pd.DataFrame({"measured": [1.0, np.nan, 2.0, 3.0], "barcodes": [10, 9, 9, np.nan]})
    kept, counts = measured.usable(table)
    assert kept.tolist() == [True, False, False, False]
    assert counts == {"nothing measured": 1, "fewer than 10 barcodes": 1, "number of barcodes not known": 1}
    assert measured.usable(table[["measured"]])[0].tolist() == [True, False, True, True]


@pytest.mark.parametrize(("values", "kind"), [([0, 1, np.nan], "labels"), ([1.0], "labels"), ([0.5, 1], "effects"), ([np.nan], "nothing")])
def test_what_was_measured_is_seen_in_the_numbers(values, kind):
    assert variant_sets.kind_of(pd.Series(values, dtype=float)) == kind


def test_blocks_begin_at_the_first_position_of_each_chromosome():
    table = pd.DataFrame({"chrom": ["chr1"] * 4 + ["chr2"] * 2, "position": [7, 16, 17, 27, 3, 12]})
    assert measured.blocks(table, 10).tolist() == [0, 0, 1, 2, 3, 3]


def labelled(n=3000, seed=0):
    """Positives with larger scores than negatives, of two groups, on two chromosomes."""
    draw = np.random.default_rng(seed)
    positive = draw.random(n) < 0.2
    table = pd.DataFrame(
        {"chrom": draw.choice(["chr1", "chr2"], n), "position": draw.integers(40_000_000, size=n), "measured": positive * 1.0}
    )
    table["group"] = np.where(positive, "", draw.choice(["near", "far"], n))
    return table, positive, {"logit": np.abs(draw.normal(size=n) + positive), "diff": draw.integers(4, size=n) + 0.0}


def test_labels_are_ranked_against_every_group_of_negatives():
    table, positive, sizes = labelled()
    result = measured.judge_labels(table, sizes, measured.EVERY, "3 targets", "eqtl", 100)
    assert set(result["group"]) == {"all", "near", "far"} and set(result["score"]) == {"logit", "diff"}
    for group in ("all", "near", "far"):
        inside = positive | (group == "all") | (table["group"] == group).to_numpy()
        rows = result[(result["group"] == group) & (result["score"] == "diff")].set_index("statistic")
        truth, size = positive[inside], sizes["diff"][inside]
        assert rows.loc["auroc", "value"] == auroc(truth, size) and rows.loc["average_precision", "value"] == average_precision(truth, size)
        some = table[inside]
        block, names = pd.factorize(some["chrom"] + ":" + (some["position"] // 1_000_000).astype(str))
        drawn = replicate(truth, size, block, draw_counts(len(names), 100, f"eqtl {group}"))
        for name, resamples in zip(("auroc", "average_precision"), drawn, strict=True):
            assert tuple(rows.loc[name, ["low", "high"]]) == interval(resamples)
            assert rows.loc[name, "prevalence"] == truth.mean() and rows.loc[name, "blocks"] == len(names)


def test_enrichment_is_that_of_the_two_by_two_table():
    table, positive, sizes = labelled()
    size = sizes["logit"]
    for share in measured.SHARES:
        found = measured.enriched(positive, size, share)
        top = np.zeros(len(size), bool)
        top[np.argsort(-size)[: round(share * len(size))]] = True
        cells = [[(top & positive).sum(), (top & ~positive).sum()], [(~top & positive).sum(), (~top & ~positive).sum()]]
        expected = stats.contingency.odds_ratio(cells, kind="sample")
        assert found["value"] == pytest.approx(expected.statistic) and found["n"] == top.sum() and found["positives"] == cells[0][0]
        assert (found["low"], found["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    result = measured.judge_labels(table, sizes, measured.EVERY, "3 targets", "eqtl", 20)
    odds = result.query("statistic == 'odds_ratio' and group == 'all' and score == 'logit'")
    assert odds["share"].tolist() == list(measured.SHARES) and (odds["low"] > 1).all() and odds["n"].tolist() == [30, 150, 300, 750]


def test_ties_at_the_end_of_the_top_are_in_it_and_an_empty_cell_has_a_half_added():
    positive, size = np.array([True, True, False, False, False, True]), np.array([3.0, 2, 2, 1, 0, 0])
    found = measured.enriched(positive, size, 0.25)
    assert found["n"] == 3 and found["positives"] == 2 and found["value"] == pytest.approx((2 * 2) / (1 * 1))
    found = measured.enriched(positive, np.array([3.0, 2, 1, 1, 0, 0]), 0.34)
    assert found["n"] == 2 and found["value"] == pytest.approx((2.5 * 3.5) / (0.5 * 1.5))
    for labels, scores in ((positive, np.zeros(6)), (np.ones(6, bool), size), (np.zeros(6, bool), size)):
        assert (
            np.isnan(measured.enriched(labels, scores, 0.25)["value"]) and measured.enriched(labels, scores, 0.25)["verdict"] == "undefined"
        )


def test_few_or_one_sided_labels_carry_no_interval():
    table, positive, sizes = labelled(60)
    result = measured.judge_labels(table.assign(position=5), sizes, measured.EVERY, "t", "k", 20)
    assert set(result["verdict"]) == {"too small to judge"} and result["low"].isna().all() and result["value"].notna().all()
    alone = {name: size[positive] for name, size in sizes.items()}
    result = measured.judge_labels(table[positive], alone, measured.EVERY, "t", "k", 20)
    assert set(result["verdict"]) == {"undefined"} and result["value"].isna().all()


def test_strength_is_the_largest_over_targets_and_the_mean_of_minus_log_e():
    draw = np.random.default_rng(0)
    values = {name: draw.normal(size=(5, 4)).astype(np.float32) for name in ("logit", "diff")}
    values |= {"deepsea_effect": np.abs(values["diff"]), "evalue_2015": draw.random((5, 4)).astype(np.float32)}
    found = measured.strength(values, [0, 2])
    assert list(found) == ["logit", "diff", "deepsea_effect", "evalue_2015"]
    for row in range(5):
        assert found["logit"][row] == max(abs(values["logit"][row, 0]), abs(values["logit"][row, 2]))
        assert found["evalue_2015"][row] == pytest.approx(
            -(math.log(values["evalue_2015"][row, 0]) + math.log(values["evalue_2015"][row, 2])) / 2
        )


def test_the_ceiling_is_the_root_of_the_reliability():
    table = pd.DataFrame({"measured": [-1.0, 2.0, 0.5, 1.5], "p_value": [1e-9, 1e-12, 1e-3, 1e-8]})
    share, known = measured.reliability(table["measured"].to_numpy(), table["p_value"].to_numpy())
    assert 0.5 < share < 1
    found = {row["statistic"]: row for row in measured.ceiling(table, {"n": 9})}
    assert found["reliability"]["value"] == share and found["ceiling"]["value"] == math.sqrt(share)
    assert found["reliability"]["n"] == found["ceiling"]["n"] == known == 4


def test_positives_at_few_places_are_too_few_however_many_rows_they_fill():
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"chrom": "chr1", "position": np.r_[np.repeat(np.arange(5) * 2_000_000 + 7, 6), np.arange(40) * 1_000_000]})
    table["measured"] = np.repeat([1.0, 0.0], [30, 40])
    sizes = {"logit": draw.random(70)}
    assert set(measured.judge_labels(table, sizes, measured.EVERY, "t", "k", 20)["verdict"]) == {"too small to judge"}
    table["position"] += np.arange(70)
    assert set(measured.judge_labels(table, sizes, measured.EVERY, "t", "k", 20)["verdict"]) == {""}
