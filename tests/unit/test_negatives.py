import json

import numpy as np
import pandas as pd
import pytest
from pyfaidx import Fasta
from scipy.stats import chisquare, ks_2samp

from regdna import negatives
from regdna.alphabet import encode, gc_content
from regdna.intervals import read_bed
from regdna.negatives import balance, choose, gate
from regdna.step import InputError


def apart(gc, chrom="chr1", **columns):
    """Windows of 100 bp that do not touch, in the given columns; those not given are unknown."""
    start = np.arange(len(gc)) * 200
    table = pd.DataFrame({"chrom": chrom, "start": start, "end": start + 100, "gc": np.asarray(gc, float)})
    return table.assign(**{"n_fraction": np.nan, "repeat_fraction": np.nan, "tss_distance": np.nan, **columns})


def genome(draw, count=20_000, share=0.02):
    """Windows on three chromosomes, the positives of which are rich in GC, poor in repeats and near a TSS."""
    chrom = np.repeat(["chr1", "chr2", "chrX"], [count // 2, count // 4, count - count // 2 - count // 4])
    gc = np.round(draw.beta(8, 11, count) * 100) / 100
    repeat = np.where(draw.random(count) < 0.3, 0, draw.beta(0.8, 0.8, count))
    tss = np.floor(10 ** draw.normal(4.5, 0.8, count))
    windows = apart(gc, chrom, repeat_fraction=repeat, tss_distance=tss, n_fraction=0.0)
    score = 8 * gc - repeat - np.log10(tss + 1) + draw.gumbel(size=count)
    return windows, score > np.quantile(score, 1 - share)


def rows(count, *which):
    out = np.zeros(count, bool)
    out[list(which)] = True
    return out


def test_matching_brings_skewed_columns_into_balance():
    windows, positive = genome(np.random.default_rng(1))
    match = ["gc", "repeat_fraction", "tss_distance"]
    chosen = choose(windows, positive, match, 1.0, seed=1)
    assert chosen.dtype == bool and chosen.sum() == positive.sum() and not (chosen & positive).any()
    report = balance(windows, positive, chosen, match)
    for column in match:
        assert abs(report[column]["difference_before"]) > 0.2 and report[column]["distance_before"] > 0.1
        assert abs(report[column]["difference"]) < 0.05 and report[column]["distance"] < 0.05
    gate(report)
    counts = windows["chrom"][chosen].value_counts() / windows["chrom"][positive].value_counts()
    assert counts.between(0.8, 1.2).all()


@pytest.mark.parametrize("seed", range(4))
def test_no_negative_shares_a_base_with_a_positive(seed):
    draw = np.random.default_rng(seed)
    start = draw.integers(0, 3000, 150)
    windows = apart(np.full(150, 0.5), draw.choice(["b", "a"], 150)).assign(start=start, end=start + draw.integers(1, 60, 150))
    windows.loc[0, ["chrom", "start", "end"]] = ["a", 500, 520]
    windows.loc[1, ["chrom", "start", "end"]] = ["a", 520, 530]  # touches, shares none
    positive = rows(150, 0, *draw.integers(2, 150, 12))
    positive[(windows["chrom"] == "a") & (windows["start"] < 530) & (windows["end"] > 520)] = False
    taken = windows[positive]
    free = [
        not ((taken["chrom"] == one.chrom) & (taken["start"] < one.end) & (taken["end"] > one.start)).any() for one in windows.itertuples()
    ]
    assert free[1] and not all(np.array(free) | positive)
    chosen = choose(windows, positive, ["gc"], sum(free) / positive.sum(), seed)
    assert np.array_equal(chosen, free)  # all that may be chosen are


def test_a_positive_at_a_chromosomes_end_says_nothing_of_the_next_chromosome():
    windows = apart([0.5, 0.5, 0.5, 0.5], ["chr1", "chr1", "chr2", "chr2"]).assign(start=[0, 100, 0, 100], end=[100, 200, 100, 200])
    assert choose(windows, rows(4, 1), [], 3.0, 0).tolist() == [True, False, True, True]


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_each_chromosome_gives_as_many_of_each_kind_as_it_has_positives(ratio):
    draw = np.random.default_rng(2)
    count = 6000
    windows = apart(draw.choice([0.31, 0.33, 0.55], count), draw.choice(["a", "b"], count), tss_distance=draw.choice([0, 90, 9e4], count))
    positive = draw.random(count) < np.where(windows["gc"] > 0.5, 0.2, 0.05)
    chosen = choose(windows, positive, ["gc", "tss_distance"], ratio, seed=3)
    kinds = ["chrom", "gc", "tss_distance"]
    assert (windows[chosen].groupby(kinds).size() == windows[positive].groupby(kinds).size() * ratio).all()


def test_shares_of_a_negative_are_evened_out_within_chromosomes():
    draw = np.random.default_rng(3)
    windows = apart(draw.random(9000), np.repeat(["a", "b", "c"], 3000))
    positive = draw.random(9000) < np.repeat([0.01, 0.05, 0.1], 3000)
    chosen = choose(windows, positive, ["gc"], 0.3, seed=1)
    by = windows["chrom"]
    assert chosen.sum() == np.floor(positive.sum() * 0.3 + 0.5)
    assert (by[chosen].value_counts() - by[positive].value_counts() * 0.3).abs().max() < 2  # a step without candidates goes elsewhere


def test_what_a_chromosome_lacks_comes_from_the_same_step_elsewhere():
    windows = apart([0.5, 0.5, 0.45, 0.45, 0.5, 0.5, 0.9], ["a", "a", "a", "a", "b", "b", "b"])
    assert np.flatnonzero(choose(windows, rows(7, 0, 1), ["gc"], 1.0, 0)).tolist() == [4, 5]


def test_what_all_lack_comes_from_the_nearest_step():
    windows = apart([0.5, 0.5, 0.5, 0.1, 0.4, 0.58, 0.62, 0.9], ["a", "a", "a", "a", "b", "a", "b", "b"])
    assert np.flatnonzero(choose(windows, rows(8, 0, 1, 2), ["gc"], 1.0, 0)).tolist() == [4, 5, 6]


def test_near_is_measured_in_standard_deviations():
    # GC hardly varies, repeats do: 0.06 in GC is further than 0.2 in repeats.
    gc = [0.5, 0.56, 0.5, *[0.5] * 20]
    repeat = [0.5, 0.5, 0.7, *[0.0, 1.0] * 10]
    windows = apart(gc, repeat_fraction=repeat)
    assert np.flatnonzero(choose(windows, rows(23, 0), ["gc", "repeat_fraction"], 1.0, 0)).tolist() == [2]


def test_tss_distance_is_near_by_its_logarithm():
    windows = apart([0.5] * 4, tss_distance=[10_000.0, 10.0, 30_000.0, 100.0])
    assert np.flatnonzero(choose(windows, rows(4, 0), ["tss_distance"], 1.0, 0)).tolist() == [2]


def test_windows_without_repeats_are_apart_from_those_with_few():
    windows = apart([0.5] * 40, repeat_fraction=[0.0, *[0.01] * 38, 0.0])
    assert np.flatnonzero(choose(windows, rows(40, 0), ["repeat_fraction"], 1.0, 0)).tolist() == [39]


def test_unknown_values_match_unknown_ones():
    tss = np.r_[np.nan, 5.0, np.nan, np.full(5, 1000.0)]
    windows = apart([0.5, 0.5, 0.1, *[0.5] * 5], tss_distance=tss)
    assert np.flatnonzero(choose(windows, rows(8, 0), ["tss_distance", "gc"], 1.0, 0)).tolist() == [2]
    assert 2 not in np.flatnonzero(choose(windows, rows(8, 1), ["tss_distance", "gc"], 5.0, 0))


def test_every_candidate_of_a_kind_is_as_likely():
    windows = apart([0.5] * 5 + [0.2] * 3 + [0.5] * 20)
    positive = rows(28, *range(5))
    counts = sum(choose(windows, positive, ["gc"], 1.0, seed).astype(int) for seed in range(2000))
    assert counts[:8].sum() == 0 and counts.sum() == 10_000
    # Draws without replacement spread less than the test supposes, so that both ends are looked at.
    assert chisquare(counts[8:]).pvalue > 0.01 and counts[8:].std() > 5


def test_the_seed_alone_decides():
    windows, positive = genome(np.random.default_rng(5), 4000)
    first, again, other = (choose(windows, positive, ["gc"], 1.0, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(first, choose(windows.astype({"chrom": "category"}), positive, ["gc"], 1.0, 1))


def test_without_columns_only_chromosomes_are_balanced():
    windows, positive = genome(np.random.default_rng(6), 8000)
    chosen = choose(windows, positive, [], 2.0, seed=1)
    assert (windows["chrom"][chosen].value_counts() == windows["chrom"][positive].value_counts() * 2).all()


@pytest.mark.parametrize("seed", range(5))
def test_closest_pairs_are_settled_first(seed):
    draw = np.random.default_rng(seed)
    places = draw.random((60, 3))
    need, stock = draw.integers(0, 4, 60), draw.integers(0, 5, 60)
    stock[need > 0] = 0
    need[np.flatnonzero(need)[np.cumsum(need[need > 0]) > stock.sum()]] = 0
    left, lacking, taken = stock.copy(), need.copy(), np.zeros(60, int)
    pairs = [(np.linalg.norm(places[i] - places[j]), i, j) for i in range(60) for j in range(60) if need[i] and stock[j]]
    for _, i, j in sorted(pairs):
        moved = min(lacking[i], left[j])
        lacking[i], left[j], taken[j] = lacking[i] - moved, left[j] - moved, taken[j] + moved
    assert need.sum() >= 20 and np.array_equal(negatives._nearest(places, need, stock, draw), taken)


def test_few_neighbours_at_a_time_still_meet_every_need(monkeypatch):
    monkeypatch.setattr(negatives, "PAIRS", 1)
    draw = np.random.default_rng(7)
    need, stock = np.r_[np.full(50, 6), np.zeros(100, int)], np.r_[np.zeros(50, int), np.full(100, 3)]
    taken = negatives._nearest(draw.random((150, 2)), need, stock, draw)
    assert np.array_equal(taken, stock)


def test_an_unknown_column_is_named():
    windows = apart([0.5, 0.4, 0.3])
    with pytest.raises(InputError, match=r"^negatives\.match: repeat_fraction is not known for this dataset; .*known: gc\)"):
        choose(windows, rows(3, 0), ["gc", "repeat_fraction"], 1.0, 0)
    with pytest.raises(InputError, match=r"^negatives\.match: length cannot be matched"):
        choose(windows, rows(3, 0), ["length"], 1.0, 0)


def test_too_few_candidates_are_counted():
    with pytest.raises(InputError, match=r"4 are wanted \(2.0 for each of 2 positive windows\), but only 3 windows"):
        choose(apart([0.5] * 5), rows(5, 0, 1), ["gc"], 2.0, 0)
    assert choose(apart([0.5] * 6), rows(6, 0, 1), ["gc"], 2.0, 0).sum() == 4


def test_nothing_to_match_is_said():
    with pytest.raises(InputError, match="0 positive windows"):
        choose(apart([0.5] * 5), rows(5), ["gc"], 1.0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_balance_is_what_the_textbook_says(seed):
    draw = np.random.default_rng(seed)
    gc = np.round(draw.random(300), draw.integers(1, 4))
    windows = apart(gc, tss_distance=draw.integers(0, 10**5, 300))
    positive = draw.random(300) < 0.3
    negative = ~positive & (draw.random(300) < 0.5)
    report = json.loads(json.dumps(balance(windows, positive, negative, ["gc", "tss_distance"]), allow_nan=False))
    for column, values in (("gc", gc), ("tss_distance", np.log10(windows["tss_distance"].to_numpy() + 1))):
        one = report[column]
        for group, suffix, name in ((negative, "", "negative"), (~positive, "_before", "candidates")):
            a, b = values[positive], values[group]
            assert np.isclose(one["difference" + suffix], (a.mean() - b.mean()) / np.sqrt((a.std() ** 2 + b.std() ** 2) / 2))
            assert np.isclose(one["distance" + suffix], ks_2samp(a, b).statistic)
            assert np.isclose(one["mean_" + name], b.mean())
        assert np.isclose(one["mean_positive"], values[positive].mean())
    assert report["gc"]["scale"] == "share" and report["tss_distance"]["scale"] == "log10(bp + 1)"


def test_candidates_of_the_balance_leave_out_what_overlaps_a_positive():
    windows = apart([0.5, 0.9, 0.3]).assign(start=[0, 50, 100], end=[100, 150, 200])
    assert balance(windows, rows(3, 0), rows(3, 2), ["gc"])["gc"]["mean_candidates"] == 0.3


def test_unknown_values_count_in_the_distance_not_in_the_mean():
    windows = apart([0.5, 0.6, np.nan, 0.5, 0.6, 0.5, 0.6])
    one = balance(windows, rows(7, 0, 1, 2), rows(7, 3, 4), ["gc"])["gc"]
    assert np.isclose(one["distance"], 1 / 3) and np.isclose(one["difference"], 0)
    lost = balance(windows, rows(7, 0, 1), rows(7, 2), ["gc"])
    assert lost["gc"]["difference"] is None and lost["gc"]["mean_negative"] is None and lost["gc"]["distance"] == 1
    with pytest.raises(InputError, match=r"mean 0\.55 of positive windows, undefined of negatives"):
        gate(lost)


def test_columns_that_never_vary():
    same = balance(apart([0.3] * 2000), np.arange(2000) < 700, np.arange(2000) > 1000, ["gc"])
    assert same["gc"]["difference"] == 0 and same["gc"]["distance"] == 0
    gate(same)
    other = balance(apart([0.3] * 700 + [0.4] * 700), np.arange(1400) < 700, np.arange(1400) >= 700, ["gc"])
    assert other["gc"]["difference"] is None
    json.dumps(other, allow_nan=False)
    with pytest.raises(InputError, match="gc is not matched"):
        gate(other)


def test_the_gate_closes_when_no_candidate_has_the_gc():
    draw = np.random.default_rng(8)
    windows = apart(np.r_[draw.beta(20, 20, 300), np.zeros(900)], repeat_fraction=0.0)
    positive = np.arange(1200) < 300
    chosen = choose(windows, positive, ["repeat_fraction", "gc"], 1.0, 0)
    assert chosen.sum() == 300
    with pytest.raises(InputError, match=r"^negatives\.match: gc is not matched: mean 0\.\d+ of positive windows, 0 of negatives") as error:
        gate(balance(windows, positive, chosen, ["repeat_fraction", "gc"]))
    assert "\n" not in str(error.value) and "lower negatives.per_positive" in str(error.value)


@pytest.mark.parametrize(
    ("difference", "distance", "opens"), [(0.1, 0.1, 1), (-0.1, 0, 1), (0.11, 0, 0), (-0.11, 0, 0), (0, 0.11, 0), (None, 0, 0)]
)
def test_the_gate_looks_at_both_figures_and_both_sides(difference, distance, opens):
    good = {"difference": 0.0, "distance": 0.0, "mean_positive": 0.5, "mean_negative": 0.5}
    report = {"gc": good, "n_fraction": {**good, "difference": difference, "distance": distance}}
    if opens:
        gate(report)
        return
    with pytest.raises(InputError, match="n_fraction is not matched"):
        gate(report)


def test_real_open_chromatin_is_matched_in_gc(shared):
    sequence = str(Fasta(str(shared / "data/genome/hg19_chr20_1000001-2000000.fa"), as_raw=True)[0][:])
    codes = encode(sequence)[: len(sequence) // 200 * 200].reshape(-1, 200)
    start = 1_000_000 + np.arange(len(codes)) * 200
    windows = apart(gc_content(codes), "chr20").assign(start=start, end=start + 200)
    peaks = read_bed(shared / "data/annotation/encode_hg19/dnase_gm12878_ENCFF097LEF.bed.gz")
    peaks = peaks[peaks["chrom"] == "chr20"]
    at = np.searchsorted(np.sort(peaks["start"]), start + 200)
    positive = (at > 0) & (np.sort(peaks["end"])[at - 1] > start)
    assert positive.sum() > 50
    chosen = choose(windows, positive, ["gc"], 1.0, seed=1)
    report = balance(windows, positive, chosen, ["gc"])
    assert report["gc"]["difference_before"] > 0.3
    gate(report)
