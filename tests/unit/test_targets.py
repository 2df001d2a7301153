import shutil

import numpy as np
import pandas as pd
import pybedtools
import pytest

from regdna.targets import RULES, Targets, around, label, pack

needs_bedtools = pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")


def table(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def random_intervals(draw, count, widths):
    start = draw.integers(0, 40_000, count)
    chrom = draw.choice(["chr1", "chr2", "chr3"], count)
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + draw.integers(*widths, count)})


@needs_bedtools
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("rule", "options"), [("bin_half_covered", {"f": 0.505}), ("any_overlap", {})])
def test_labels_equal_bedtools_intersect(seed, rule, options):
    draw = np.random.default_rng(seed)
    bins = pd.concat([table([(chrom, at, at + 200) for at in range(0, 40_000, 200)]) for chrom in ("chr1", "chr2")], ignore_index=True)
    bins = bins.sample(frac=1, random_state=seed).reset_index(drop=True)
    peaks = random_intervals(draw, 250, ((1, 250), (90, 112), (1, 3000), (100, 102))[seed])
    counted = pybedtools.BedTool.from_dataframe(bins).intersect(pybedtools.BedTool.from_dataframe(peaks), c=True, **options)
    expected = counted.to_dataframe(names=["chrom", "start", "end", "count"])["count"].to_numpy() > 0
    found = label(bins, peaks, rule)
    assert 0 < expected.sum() < len(bins)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("width", "covered", "expected"), [(200, 100, False), (200, 101, True), (201, 100, False), (201, 101, True), (1, 1, True)]
)
def test_half_covered_means_more_than_half(width, covered, expected):
    assert label(table([("chr1", 1000, 1000 + width)]), table([("chr1", 1000, 1000 + covered)]), "bin_half_covered")[0] == expected


def test_half_covered_takes_peaks_singly_not_their_union():
    peaks = table([("chr1", 0, 90), ("chr1", 90, 180)])
    assert not label(table([("chr1", 0, 200)]), peaks, "bin_half_covered").any()
    assert label(table([("chr1", 0, 200)]), peaks, "any_overlap").all()


@pytest.mark.parametrize("rule", RULES)
def test_other_chromosomes_touching_and_no_intervals_are_negative(rule):
    bins = table([("chr1", 200, 400), ("chr2", 200, 400)])
    assert label(bins, table([("chr1", 0, 200), ("chr1", 400, 900), ("chr3", 0, 900)]), rule).tolist() == [False, False]
    assert label(bins, table([]), rule).tolist() == [False, False]


@pytest.mark.parametrize(("upstream", "downstream"), [(500, 500), (1, 0), (0, 1), (30, 10)])
def test_around_is_the_same_on_the_mirrored_chromosome(upstream, downstream):
    size = 10_000
    site = np.array([2000, 4321, 7000])
    plus = around(pd.DataFrame({"chrom": "chr1", "start": site, "strand": "+"}), upstream, downstream)
    minus = around(pd.DataFrame({"chrom": "chr1", "start": size - 1 - site, "strand": "-"}), upstream, downstream)
    assert (size - minus["end"]).tolist() == plus["start"].tolist()
    assert (size - minus["start"]).tolist() == plus["end"].tolist()


def test_around_goes_upstream_along_the_strand_and_stops_at_zero():
    sites = pd.DataFrame({"chrom": "chr1", "start": [1000, 1000, 10], "strand": ["+", "-", "."]})
    found = around(sites, 300, 100)
    assert found["start"].iloc[0] == 700 and found["end"].iloc[0] == 1100
    assert abs(found["start"].iloc[1] - 900) <= 1 and abs(found["end"].iloc[1] - 1300) <= 1
    assert found["start"].iloc[2] == 0 and found["end"].iloc[2] == 110


@pytest.mark.parametrize("targets", [1, 7, 8, 9, 30])
def test_targets_read_back_what_was_packed(tmp_path, targets):
    labels = np.random.default_rng(targets).random((20, targets)) < 0.3
    assert pack(labels).shape == (20, -(-targets // 8)) and pack(labels).dtype == np.uint8
    assert pack(labels)[0, 0] >> 7 == labels[0, 0]
    np.save(tmp_path / "t.npy", pack(labels))
    rows = {"cell_type": ["", "NA"] * targets, "assay": "a", "target": [f"t{i // 2}" for i in range(2 * targets)], "source": "s"}
    pd.DataFrame(rows).iloc[:targets].rename_axis("index").to_csv(tmp_path / "t.tsv", sep="\t")
    found = Targets(tmp_path / "t.npy", tmp_path / "t.tsv")
    order = np.array([3, 19, 0])
    assert len(found) == 20
    assert np.array_equal(found[order], labels[order]) and found[order].dtype == bool
    assert found.names[:2] == ["t0", "NA t0"][:targets]


def test_targets_refuse_a_table_of_another_width(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros((3, 2), np.uint8))
    pd.DataFrame({"cell_type": ["a"] * 8, "assay": "a", "target": "b"}).rename_axis("index").to_csv(tmp_path / "t.tsv", sep="\t")
    with pytest.raises(ValueError, match="8 targets"):
        Targets(tmp_path / "t.npy", tmp_path / "t.tsv")
