import shutil
import subprocess
import threading

import numpy as np
import pandas as pd
import pytest

from regdna.intervals import read_bed
from regdna.step import InputError
from regdna.targets import RULES, Bins, Targets, all_known, around, count_known, label, pack

SINGLE = ["bin_half_covered", "any_overlap", "summit_in_bin"]


def table(rows):
    """Intervals as read_bed gives them, their summit in the middle."""
    found = pd.DataFrame(rows, columns=["chrom", "start", "end"]).astype({"chrom": "category", "start": "int64", "end": "int64"})
    return found.assign(summit=(found["start"] + found["end"]) // 2)


def random_intervals(draw, count, widths, reach=40_000):
    start = draw.integers(0, reach, count)
    found = pd.DataFrame(
        {"chrom": draw.choice(["chr1", "chr2", "chr3"], count), "start": start, "end": start + draw.integers(*widths, count)}
    )
    return found.assign(summit=draw.integers(found["start"], found["end"])).astype({"chrom": "category"})


def marked(chrom, start, width, tables, rules, threads=1):
    """Labels, bool (n, T)."""
    packed = label(Bins(chrom, start, width), [lambda one=one: one for one in tables], rules, threads)
    assert packed.dtype == np.uint8 and packed.shape == (len(start), -(-len(tables) // 8))
    return np.unpackbits(packed, axis=1, count=len(tables)).astype(bool)


def slow_label(chrom, start, width, intervals, rule):
    """What the rules mean, bin by bin and base by base."""
    out = np.zeros(len(start), bool)
    for name in np.unique(chrom):
        mine = intervals[intervals["chrom"] == name]
        first, last, summit = (mine[column].to_numpy() for column in ("start", "end", "summit"))
        covered = np.zeros(100_000, bool)
        for begin, end in zip(first, last, strict=True):
            covered[begin:end] = True
        for at in np.flatnonzero(chrom == name):
            begin, end = start[at], start[at] + width
            shared = np.minimum(end, last) - np.maximum(begin, first)
            out[at] = {
                "bin_half_covered": (2 * shared > width).any(),
                "any_overlap": (shared > 0).any(),
                "summit_in_bin": ((summit >= begin) & (summit < end)).any(),
                "union_half_covered": 2 * covered[begin:end].sum() > width,
            }[rule]
    return out


def layouts(draw, width):
    """Bins of every kind: a grid, a grid with holes, anywhere, crowded in one place, on chromosomes of their own; all shuffled but one."""
    step = {"abutting": width, "overlapping": max(width // 3, 1), "apart": 2 * width + 1}
    for name, size in step.items():
        grid = np.arange(min(3000 // size + 1, 150)) * size + 77
        yield name, np.repeat(["chr1", "chr2"], len(grid)), np.tile(grid, 2)
    chrom = draw.choice(["chr1", "chr2", "chr9"], 300)
    yield "holes", chrom, draw.integers(0, 3000 // width + 1, 300) * width
    yield "anywhere", chrom, draw.integers(0, 3000, 300)
    yield "crowded", chrom, np.where(draw.random(300) < 0.9, draw.integers(1000, 1040, 300), draw.integers(0, 90_000, 300))
    yield "one chromosome", np.full(200, "chr2"), draw.permutation(200) * 15
    yield "one", np.array(["chr2"]), np.array([1500])


@pytest.mark.parametrize("width", [1, 2, 7, 200, 201])
@pytest.mark.parametrize("rule", RULES)
def test_labels_equal_the_slow_rule_on_every_layout(rule, width):
    draw = np.random.default_rng(width)
    sizes = [(1, 2 * width + 2), (max(width // 2 - 1, 1), width // 2 + 3), (1, 10 * width + 2)]
    tables = [random_intervals(draw, count, size, 3200) for count, size in zip((60, 120, 15), sizes, strict=True)]
    for name, chrom, start in layouts(draw, width):
        expected = np.stack([slow_label(chrom, start, width, one, rule) for one in tables], 1)
        for order in (np.arange(len(start)), draw.permutation(len(start))):
            assert np.array_equal(marked(chrom[order], start[order], width, tables, [rule] * 3), expected[order]), name


@pytest.mark.parametrize("threads", [1, 3])
def test_targets_of_several_rules_keep_their_order_and_bits(threads):
    draw = np.random.default_rng(5)
    chrom, start = draw.choice(["chr1", "chr2"], 400), draw.integers(0, 5000, 400)
    tables = [random_intervals(draw, 40, (1, 400), 5000) for _ in range(19)]
    rules = (list(RULES) * 5)[:19]
    expected = np.stack([slow_label(chrom, start, 50, one, rule) for one, rule in zip(tables, rules, strict=True)], 1)
    packed = label(Bins(chrom, start, 50), [lambda one=one: one for one in tables], rules, threads)
    assert np.array_equal(packed, pack(expected)) and 0 < expected.mean() < 1


def regions():
    """Two tiled stretches that real sequence lies beside, and bins out of order on several chromosomes."""
    draw = np.random.default_rng(7)
    yield np.full(5000, "chr20"), np.arange(1_000_000, 2_000_000, 200)
    yield np.full(5000, "chr22"), np.arange(20_000_000, 21_000_000, 200)
    chrom = draw.choice(["chr22", "chr1", "chr10", "chrX"], 20_000)
    yield chrom, draw.integers(16_000_000, 50_000_000, 20_000)


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_labels_equal_bedtools_on_every_real_peak_file(shared, tmp_path):
    def bedtools(*command):
        return subprocess.run(["bedtools", *map(str, command)], stdout=subprocess.PIPE, check=True, text=True).stdout

    def column(text, number):
        return [float(line.split("\t")[number]) for line in text.splitlines()]

    files = sorted((shared / "data/annotation/encode_hg19").glob("*.gz"))
    assert len(files) == 34
    chrom, start = (np.concatenate(parts) for parts in zip(*regions(), strict=True))
    bins, near, merged = tmp_path / "bins.bed", tmp_path / "near.bed", tmp_path / "merged.bed"
    pd.DataFrame({0: chrom, 1: start, 2: start + 200, 3: np.arange(len(start))}).to_csv(bins, sep="\t", header=False, index=False)
    rules = ["bin_half_covered", "any_overlap", "union_half_covered"]
    expected = []
    for path in files:
        near.write_text(bedtools("intersect", "-u", "-a", path, "-b", bins))  # those that no bin touches make none positive
        near.write_text(bedtools("sort", "-i", near))
        merged.write_text(bedtools("merge", "-i", near))
        touched = np.zeros(len(start), bool)
        touched[np.array(column(bedtools("intersect", "-u", "-a", bins, "-b", near), 3), int)] = True
        expected += [np.array(column(bedtools("intersect", "-f", "0.505", "-c", "-a", bins, "-b", near), 4)) > 0, touched]
        expected += [np.array(column(bedtools("coverage", "-a", bins, "-b", merged), 5)) > 100]
    expected = np.stack(expected, 1)
    packed = label(
        Bins(chrom, start, 200), [lambda path=path: read_bed(path) for path in files for _ in rules], rules * len(files), threads=2
    )
    assert expected[:, ::3].any(0).all() and (expected[:, 0::3] != expected[:, 2::3]).any()
    assert np.array_equal(packed, pack(expected))


@pytest.mark.parametrize(
    ("width", "covered", "expected"), [(200, 100, False), (200, 101, True), (201, 100, False), (201, 101, True), (1, 1, True)]
)
@pytest.mark.parametrize("rule", ["bin_half_covered", "union_half_covered"])
def test_half_covered_means_more_than_half(rule, width, covered, expected):
    assert marked(["chr1"], [1000], width, [table([("chr1", 1000, 1000 + covered)])], [rule]).item() == expected
    assert marked(["chr1"], [1000], width, [table([("chr1", 1000 + width - covered, 1000 + width)])], [rule]).item() == expected


def test_half_covered_takes_peaks_singly_and_the_union_once():
    peaks = table([("chr1", 0, 90), ("chr1", 90, 180), ("chr1", 200, 290), ("chr1", 200, 290)])
    found = marked(["chr1"] * 2, [0, 200], 200, [peaks] * 3, ["bin_half_covered", "any_overlap", "union_half_covered"])
    assert found.tolist() == [[False, True, True], [False, True, False]]


@pytest.mark.parametrize(("summit", "expected"), [(999, False), (1000, True), (1199, True), (1200, False)])
def test_a_summit_is_one_base(summit, expected):
    peaks = table([("chr1", 900, 1300)]).assign(summit=summit)
    assert marked(["chr1"], [1000], 200, [peaks], ["summit_in_bin"]).item() == expected


@pytest.mark.parametrize("rule", RULES)
def test_other_chromosomes_touching_and_no_intervals_are_negative(rule):
    touching = table([("chr1", 0, 200), ("chr1", 400, 900), ("chr3", 0, 900)])
    assert marked(["chr1", "chr2"], [200, 200], 200, [touching, table([])], [rule] * 2).tolist() == [[False] * 2] * 2
    assert marked([], [], 200, [touching], [rule]).shape == (0, 1)


@pytest.mark.parametrize("rule", RULES)
def test_bins_at_the_same_place_of_the_next_chromosome_stay_apart(rule):
    found = marked(["chr1", "chr2", "chr3"], [1000] * 3, 200, [table([(name, 900, 1300)]) for name in ("chr1", "chr2", "chr3")], [rule] * 3)
    assert found.tolist() == np.eye(3, dtype=bool).tolist()


def test_names_may_be_plain_text_and_categories_in_any_order():
    peaks = table([("chr2", 0, 200), ("chr1", 400, 600)])
    turned = peaks.assign(chrom=peaks["chrom"].cat.set_categories(["chr9", "chr2", "chr1"]))
    found = marked(pd.Categorical(["chr1", "chr2"]), [400, 0], 200, [peaks, turned, peaks.astype({"chrom": str})], ["any_overlap"] * 3)
    assert found.all()


def test_no_more_tables_are_held_than_threads():
    lock, now, most = threading.Lock(), [0], [0]

    class Held:
        def __init__(self):
            self.table = table([("chr1", 0, 200)])
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])

        def __getitem__(self, name):
            return self.table[name]

        def __del__(self):
            with lock:
                now[0] -= 1

    packed = label(Bins(["chr1"], [0], 200), [Held] * 40, ["any_overlap"] * 40, threads=2)
    assert most[0] <= 2 and (packed == 255).all()


def test_a_broken_table_stops_the_labelling():
    def broken():
        raise InputError("a.bed: line 3 is not BED")

    with pytest.raises(InputError, match="a.bed: line 3"):
        label(Bins(["chr1"], [0], 200), [lambda: table([])] * 9 + [broken], ["any_overlap"] * 10, threads=2)


def test_unknown_rules_and_missing_ones_are_refused():
    with pytest.raises(KeyError, match="half"):
        label(Bins(["chr1"], [0], 200), [lambda: table([])], ["half"])
    with pytest.raises(ValueError, match="2 tables and 1 rules"):
        label(Bins(["chr1"], [0], 200), [lambda: table([])] * 2, ["any_overlap"])


@pytest.mark.parametrize(("upstream", "downstream"), [(500, 500), (1, 0), (0, 1), (30, 10)])
@pytest.mark.parametrize("length", [1, 2, 90])
def test_around_is_the_same_on_the_mirrored_chromosome(upstream, downstream, length):
    size = 10_000
    site = np.array([2000, 4321, 7000])
    plus = around(pd.DataFrame({"chrom": "chr1", "start": site, "end": site + length, "strand": "+"}), upstream, downstream)
    mirrored = pd.DataFrame({"chrom": "chr1", "start": size - site - length, "end": size - site, "strand": "-"})
    minus = around(mirrored, upstream, downstream)
    assert (size - minus["end"]).tolist() == plus["start"].tolist()
    assert (size - minus["start"]).tolist() == plus["end"].tolist()


def test_around_goes_upstream_from_the_five_prime_end_and_stops_at_zero():
    sites = pd.DataFrame({"chrom": list("abc"), "start": [1000, 400, 10], "end": [5000, 1001, 11], "strand": ["+", "-", "."]})
    found = around(sites.astype({"chrom": "category", "strand": "category"}), 300, 100)
    assert found.to_numpy().tolist() == [["a", 700, 1100], ["b", 901, 1301], ["c", 0, 110]]


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


def written(folder, labels, known):
    """Files of targets in ``folder``."""
    np.save(folder / "t.npy", pack(labels))
    np.save(folder / "known.npy", known)
    rows = {"cell_type": "", "assay": "a", "target": [f"t{at}" for at in range(labels.shape[1])], "source": "s"}
    pd.DataFrame(rows).rename_axis("index").to_csv(folder / "t.tsv", sep="\t")
    return folder / "t.npy", folder / "t.tsv", folder / "known.npy"


@pytest.mark.parametrize("targets", [1, 8, 11])
def test_targets_tell_which_labels_are_known(tmp_path, targets):
    draw = np.random.default_rng(targets)
    known = draw.random((20, targets)) < 0.6
    labels = (draw.random((20, targets)) < 0.5) & known
    found, order = Targets(*written(tmp_path, labels, pack(known))), np.array([7, 0, 7, 19])
    assert np.array_equal(found.known(order), known[order]) and found.known(order).dtype == bool
    assert np.array_equal(found[order], labels[order])
    assert count_known(pack(known), targets, 20).tolist() == known.sum(0).tolist()


def test_where_all_labels_are_known_there_is_no_mask(tmp_path):
    labels = np.eye(5, 9, dtype=bool)
    assert all_known(9).shape == (0, 2) and all_known(9).dtype == np.uint8 and all_known(8).shape == (0, 1)
    paths = written(tmp_path, labels, all_known(9))
    for found in (Targets(*paths), Targets(*paths[:2])):
        assert found.mask is None and found.known(np.arange(5)) is None
    assert count_known(all_known(9), 9, 5).tolist() == [5] * 9


@pytest.mark.parametrize("shape", [(4, 2), (0, 1), (5, 1)])
def test_a_mask_of_another_shape_is_refused(tmp_path, shape):
    with pytest.raises(ValueError, match=r"known.npy has shape .*, but .*t.npy has \(5, 2\)"):
        Targets(*written(tmp_path, np.eye(5, 9, dtype=bool), np.zeros(shape, np.uint8)))


def test_targets_refuse_a_table_of_another_width(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros((3, 2), np.uint8))
    pd.DataFrame({"cell_type": ["a"] * 8, "assay": "a", "target": "b"}).rename_axis("index").to_csv(tmp_path / "t.tsv", sep="\t")
    with pytest.raises(ValueError, match="8 targets"):
        Targets(tmp_path / "t.npy", tmp_path / "t.tsv")
