"""Agreement of two models' scores, against slow references and hand-made tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from regdna import agreement as module
from regdna.agreement import compare, correlations, gather, join, match, overlap, pearson, quantiles, spearman
from regdna.bootstrap import draw_counts
from regdna.step import InputError
from regdna.variants import write_scores

PUBLISHED = [("K562", "DNase", "DNase"), ("H1-hESC", "DNase", "DNase"), ("K562", "TF", "CTCF"), ("K562", "TF", "CTCF"),
             ("K562", "TF", "CTCF (IFNa30)"), ("NHEK", "histone", "H3K4me3"), ("NA", "TF", "NA")]  # fmt: skip


def described(rows):
    return pd.DataFrame(rows, columns=["cell_type", "assay", "target"])


class TestMatch:
    def found(self, *rows):
        return match(described(rows), described(PUBLISHED))

    def test_names_are_compared_by_letters_and_digits(self):
        found = self.found(("k-562", "DNase-seq", "open sites"), ("h1 HESC", "DNase", "DHS"), ("Nhek", "ChIP", "H3K4Me3"))
        assert found["published"].tolist() == [0, 1, 5]
        assert found["group"].tolist() == ["DNase", "DNase", "histone"]
        assert not found["reason"].any()

    def test_a_treatment_is_another_target(self):
        assert self.found(("K562", "TF", "CTCF (IFNa30)"), ("K562", "TF", "CTCF (IFNg30)"))["published"].tolist() == [4, -1]

    def test_of_several_of_one_name_each_is_taken_once_in_order(self):
        found = self.found(*[("K562", "TF", "CTCF")] * 3)
        assert found["published"].tolist() == [2, 3, -1]
        assert found["reason"].iloc[2] == "there are fewer published targets of that name"

    def test_why_one_is_not_matched_is_said(self):
        found = self.found(("", "promoter", "promoter"), ("hESC", "DNase", "DHS"), ("K562", "TF", "GATA1"), ("NHEK", "ATAC", ""))
        assert found["published"].tolist() == [-1] * 4 and not found["group"].any()
        assert found["reason"].tolist() == [
            "its cell type is not stated",
            "no published target is of hESC",
            "no published target of K562 is GATA1",
            "no published target of NHEK is ATAC",
        ]

    def test_the_published_targets_are_those_of_themselves(self):
        assert self.found(*PUBLISHED)["published"].tolist() == list(range(7))


def places(count, seed=0):
    """Distinct SNVs."""
    draw = np.random.default_rng(seed)
    position = np.sort(draw.choice(50_000_000, count, replace=False))
    return pd.DataFrame({"chrom": "chr1", "position": position, "ref": "A", "alt": draw.choice(list("CGT"), count)})


class TestJoin:
    def test_rows_are_of_the_same_variant_whatever_their_order(self):
        one = places(40)
        other = one.sample(frac=1, random_state=1).iloc[:30].reset_index(drop=True)
        rows, others, counts = join(one, other)
        assert len(rows) == 30
        assert (one.iloc[rows][module.KEY].to_numpy() == other.iloc[others][module.KEY].to_numpy()).all()
        assert counts == {"scored": 40, "scored_published": 30, "scored_by_both": 30, "compared": 30}

    def test_another_allele_is_another_variant_and_one_twice_counts_once(self):
        one = places(10)
        other = one.assign(alt=np.where(np.arange(10) < 4, "ACGT", one["alt"]))
        assert len(join(one, other)[0]) == 6
        assert len(join(pd.concat([one, one], ignore_index=True), one)[0]) == 10

    def test_of_too_many_evenly_spaced_ones_are_kept(self):
        rows, others, counts = join(places(1000), places(1000), most=11)
        assert rows.tolist() == others.tolist() == [0, 99, 199, 299, 399, 499, 599, 699, 799, 899, 999]
        assert counts["scored_by_both"] == 1000 and counts["compared"] == 11

    def test_none_in_common_is_no_row(self):
        assert len(join(places(5), places(5).assign(chrom="chr2"))[0]) == 0


def resampled(block, counts, replicate):
    """Rows of a resample, each as often as its block is drawn."""
    return np.repeat(np.arange(len(block)), counts[block, replicate])


@pytest.mark.parametrize(("method", "reference"), [(spearman, stats.spearmanr), (pearson, stats.pearsonr)])
@pytest.mark.parametrize("rounded", [False, True])
def test_resamples_are_what_scipy_says_of_the_rows_written_out(method, reference, rounded):
    draw = np.random.default_rng(4)
    block = draw.integers(0, 25, 300)
    x = draw.normal(size=300) + 5
    y = x + draw.normal(size=300)
    if rounded:  # many ties
        x, y = x.round(), y.round()
    counts = draw_counts(25, 12, "test")
    found = method(x, y, block, counts)
    for replicate in range(12):
        rows = resampled(block, counts, replicate)
        assert found[replicate] == pytest.approx(reference(x[rows], y[rows]).statistic, abs=1e-12)


@pytest.mark.parametrize("method", [spearman, pearson])
def test_a_resample_in_which_one_side_is_constant_is_not_a_number(method):
    draw = np.random.default_rng(2)
    block = np.repeat([0, 1], 50)
    x, y = draw.normal(size=100), np.where(block == 0, 0.1, draw.normal(size=100))
    found = method(x, y, block, np.array([[1, 3, 1], [0, 0, 1]], np.uint16))
    assert np.isnan(found[:2]).all() and np.isfinite(found[2])


class TestCorrelations:
    def make(self, blocks, constant=False):
        draw = np.random.default_rng(1)
        x = draw.normal(size=600)
        y = np.full(600, 0.1) if constant else x + draw.normal(size=600)
        return correlations(x, y, np.arange(600) % blocks, draw_counts(blocks, 300, "k")), x, y

    def test_intervals_hold_the_value(self):
        found, x, y = self.make(30)
        assert [one["statistic"] for one in found] == ["spearman", "pearson"]
        assert found[0]["value"] == pytest.approx(stats.spearmanr(x, y).statistic)
        assert found[1]["value"] == pytest.approx(stats.pearsonr(x, y).statistic)
        for one in found:
            assert one["low"] < one["value"] < one["high"] < one["low"] + 0.2 and one["verdict"] == ""

    def test_few_blocks_give_no_interval(self):
        for one in self.make(19)[0]:
            assert one["verdict"] == "too small to judge" and np.isnan(one["low"]) and np.isfinite(one["value"])

    def test_a_constant_side_is_undefined(self):
        for one in self.make(30, constant=True)[0]:
            assert one["verdict"] == "undefined" and np.isnan(one["value"]) and np.isnan(one["low"])


def test_overlap_is_of_the_tops():
    x = np.arange(200.0)
    assert overlap(x, x, 0.05) == 1 and overlap(x, -x, 0.05) == 0
    y = x.copy()
    y[[199, 198]] = 100.5  # of the ten largest, two are gone; the smallest are as they were
    assert overlap(x, y, 0.05) == 0.8
    assert overlap(x[:3], x[:3], 0.01) == 1
    assert overlap(np.zeros(200), np.zeros(200), 0.05) == 1


def test_quantiles_are_of_sizes_over_a_groups_targets():
    mine = {"logit": np.array([[-2.0, 1, 50], [3, -4, 50]]), "diff": np.array([[-0.2, 0.1, 50], [0.3, -0.4, 50]])}
    theirs = {name: 2 * values for name, values in mine.items()}
    found = pd.DataFrame(quantiles(mine, theirs, np.array(["TF", "TF", "DNase"])))
    assert list(dict.fromkeys(found["group"])) == ["TF", "DNase"]
    tf = found[(found["group"] == "TF") & (found["score"] == "log2_odds")]
    assert tf["share"].iloc[0] == 0 and tf["share"].iloc[-1] == 0.75
    assert tf["value"].iloc[0] == pytest.approx(1 / np.log(2))
    assert np.allclose(tf["value"], np.quantile(np.array([1, 2, 3, 4]) / np.log(2), tf["share"]))
    assert np.allclose(tf["against"], 2 * tf["value"])
    diff = found[(found["group"] == "TF") & (found["score"] == "diff")]
    assert diff["value"].iloc[0] == pytest.approx(0.1)


TARGETS = described([("K562", "DNase", "DHS"), ("hESC", "DNase", "DHS"), ("NHEK", "histone", "H3K4me3")])


def scores(path, table, logit, targets, rows=70):
    """A table of scores whose diff is a tenth of its logit."""
    blocks = [{"logit": logit[at : at + rows], "diff": logit[at : at + rows] / 10} for at in range(0, len(table), rows)]
    names = [f"{row.cell_type} {row.target}" for row in targets.itertuples()]
    write_scores(path, table, blocks, {"targets": names})
    return path


@pytest.fixture
def made(tmp_path):
    """Scores of 400 variants, and published ones of 390 of them in another order, equal but for noise."""
    draw = np.random.default_rng(0)
    table = places(400)
    logit = draw.normal(size=(400, 3))
    order = draw.permutation(400)[:390]
    other = draw.normal(size=(390, 7))
    other[:, 0] = logit[order, 0] + draw.normal(size=390)
    other[:, 5] = logit[order, 2] * 3
    one = scores(tmp_path / "one.parquet", table, logit, TARGETS)
    two = scores(tmp_path / "two.parquet", table.iloc[order].reset_index(drop=True), other, described(PUBLISHED))
    return one, two, logit[order], other


def test_gathered_scores_are_those_of_the_rows_asked_for(made):
    rows = np.array([389, 3, 70, 69])
    found = gather(made[1], rows, np.array([5, 0]))
    assert np.array_equal(found["logit"], made[3][rows][:, [5, 0]].astype(np.float32))


class TestCompare:
    @pytest.fixture
    def table(self, made):
        return compare(made[0], made[1], TARGETS, described(PUBLISHED), 200)

    def test_each_matched_target_is_correlated_with_its_own(self, made, table):
        rows = table[(table["what"] == "correlation") & (table["statistic"] == "spearman")].set_index(["target", "score"])
        for (target, score), row in rows.iterrows():
            published = {0: 0, 2: 5}[target]
            assert row["published"] == published and row["verdict"] == ""
            expected = stats.spearmanr(made[2][:, target].astype(np.float32), made[3][:, published].astype(np.float32)).statistic
            assert row["value"] == pytest.approx(expected, abs=1e-9), (target, score)
            assert row["low"] <= row["value"] <= row["high"]
        assert len(rows) == 4 and rows.loc[(2, "logit"), "value"] == pytest.approx(1)
        assert rows["published_name"].tolist() == ["K562 DNase"] * 2 + ["NHEK H3K4me3"] * 2
        assert rows["group"].tolist() == ["DNase"] * 2 + ["histone"] * 2

    def test_tops_stand_beside_chance(self, table):
        tops = table[(table["what"] == "overlap") & (table["target"] == 2)]
        assert tops["share"].tolist() == [0.01, 0.05] and tops["against"].tolist() == [0.01, 0.05] and tops["value"].tolist() == [1, 1]
        assert 0 < table[(table["what"] == "overlap") & (table["target"] == 0)]["value"].iloc[1] < 1

    def test_what_has_no_counterpart_is_listed_with_the_reason(self, table):
        rows = table[table["what"] == "unmatched"]
        assert rows[["target", "published", "name", "verdict"]].to_numpy().tolist() == [
            [1, -1, "hESC DHS", "no published target is of hESC"]
        ]

    def test_quantiles_of_a_group_are_of_its_targets_alone(self, table):
        some = table[(table["what"] == "quantile") & (table["group"] == "histone")]
        assert np.allclose(some["against"], 3 * some["value"], rtol=1e-5) and set(some["score"]) == {"diff", "log2_odds"}

    def test_counts_are_kept(self, table):
        assert table.attrs["scored_by_both"] == table.attrs["compared"] == 390 and table.attrs["scored"] == 400
        assert 20 <= table.attrs["blocks"] <= 50 and table.attrs["replicates"] == 200
        assert table.columns.tolist() == list(module.BLANK)

    def test_it_is_said_when_nothing_is_matched(self, made):
        table = compare(made[0], made[1], TARGETS.assign(cell_type=""), described(PUBLISHED), 50)
        assert table["what"].tolist() == ["unmatched"] * 3

    def test_other_variants_and_other_targets_are_refused(self, made, tmp_path):
        with pytest.raises(InputError, match=r"two.parquet: 7 targets, but 6 are described"):
            compare(made[0], made[1], TARGETS, described(PUBLISHED[:6]), 50)
        elsewhere = scores(tmp_path / "three.parquet", places(9).assign(chrom="chr9"), np.ones((9, 7)), described(PUBLISHED))
        with pytest.raises(InputError, match=r"three.parquet: has no variant in common with"):
            compare(made[0], elsewhere, TARGETS, described(PUBLISHED), 50)
