import itertools
import json
import logging

import numpy as np
import pandas as pd
import pytest
import toy_models
import yaml
from workflow_tools import ROOT, step

from regdna import certificate
from regdna.alphabet import encode, reverse_complement
from regdna.certificate import certified, digest
from regdna.homology import Axis, Words, share_with
from regdna.splits import as_given, by_blocks, by_clusters, by_regions, join_identical, open_gap
from regdna.step import InputError

PRESETS = yaml.safe_load((ROOT / "resources/splits.yaml").read_text())


def frame(chrom, start, length=100, split=None):
    table = pd.DataFrame({"chrom": chrom, "start": np.asarray(start)})
    table["end"] = table["start"] + length
    return table if split is None else table.assign(split=split)


def random_windows(seed, count=300):
    draw = np.random.default_rng(seed)
    return frame(draw.choice(["chr1", "chr2"], count), draw.integers(0, 60_000, count), draw.integers(50, 400, count))


def closest(table):
    """Smallest distance of windows of different parts on one chromosome, negative if they overlap, by brute force."""
    used = table[table["split"].isin(["train", "validation", "test"])]
    pairs = itertools.combinations(used.itertuples(), 2)
    return min(max(a.start, b.start) - min(a.end, b.end) for a, b in pairs if a.chrom == b.chrom and a.split != b.split)


def test_by_regions_puts_each_chromosome_in_its_part():
    table = frame(["chr1", "chr2", "chr3", "chr1", "chr4"], [0, 0, 0, 500, 7])
    assert by_regions(table, ["chr1"], ["chr2"], ["chr4", "chrX"]).tolist() == ["test", "validation", "train", "test", "unused"]


@pytest.mark.parametrize(
    ("start", "part"), [(949, "train"), (950, "test"), (1949, "test"), (1950, "train"), (2950, "validation"), (2951, "train")]
)
def test_by_regions_goes_by_the_central_base(start, part):
    # Windows of 100: the central base of start 950 is base 1,000 from 0, which UCSC calls 1,001.
    table = frame(["chr7", "chr1"], [start, start])
    assert by_regions(table, ["chr7:1,001-2,000"], ["chr7:3001-3001"]).tolist() == [part, "train"]


@pytest.mark.parametrize(
    ("test", "validation", "unused", "said"),
    [
        (["chr1:100-99"], [], [], "split.test: chr1:100-99 does not run"),
        (["chr1:0-99"], [], [], "split.test: chr1:0-99 does not run"),
        ([], ["chr1:100"], [], "split.validation: 'chr1:100' is no region"),
        ([], [], ["chr9:1-100"], "split.unused: chr9:1-100: no window lies on chr9"),
        (["chr1:1-100"], ["chr1:100-200"], [], "split.validation: chr1:100-200 overlaps chr1:1-100 of test"),
        (["chr1"], ["chr1:100-200"], [], "overlaps chr1 of test"),
        (["chr1"], ["chr1"], [], "overlaps"),
        (["chr1"], [], ["chr1:5-6"], "split.unused: chr1:5-6 overlaps chr1 of test"),
    ],
)
def test_by_regions_refuses_what_cannot_be(test, validation, unused, said):
    with pytest.raises(InputError, match=said):
        by_regions(frame(["chr1", "chr2"], [0, 0]), test, validation, unused)


@pytest.mark.parametrize(("said", "called"), [("2", "chr2"), ("chrx", "chrX"), ("x", "chrX")])
def test_by_regions_refuses_a_chromosome_by_another_name(said, called):
    with pytest.raises(InputError, match=f"split.test: '{said}' is called '{called}' in the dataset; give it that name"):
        by_regions(frame(["chr1", "chr2", "chrX"], [0, 0, 0]), [said], ["chr1"])


def test_by_regions_says_that_a_chromosome_has_no_window(caplog):
    assert by_regions(frame(["chr1", "chr2"], [0, 0]), ["chr1", "chr8"], []).tolist() == ["test", "train"]
    assert "split.test: no window lies on chr8" in caplog.text


def test_by_regions_takes_regions_that_touch_and_names_with_colons():
    table = frame(["chr1", "chr1", "file.csv:17", "file.csv:18"], [0, 100, 0, 0])
    assert by_regions(table, ["chr1:1-100", "file.csv:17"], ["chr1:101-200"]).tolist() == ["test", "validation", "test", "train"]
    assert by_regions(table, ["chr1:1-100", "chr1:50-200"], []).tolist() == ["test", "test", "train", "train"]


def test_the_published_presets_are_rules_that_run():
    for name, preset in PRESETS.items():
        assert {"assembly", "rule", "test", "validation", "unused", "gap", "block", "known", "source"} >= set(preset), name
        assert preset["source"] and preset["rule"] in ("chromosomes", "homology")
        if preset["rule"] == "chromosomes":
            listed = pd.read_csv(ROOT / "resources/assemblies.tsv", sep="\t")
            lengths = listed[listed["assembly"] == preset["assembly"]].set_index("chrom")["length"]
            ends = frame(lengths.index, lengths.to_numpy() - 100)
            part = pd.Series(by_regions(ends, preset["test"], preset["validation"], preset["unused"]), lengths.index)
            assert set(part[part == "test"].index) == set(preset["test"])
    bins = 30_508_000 + np.arange(0, 5_000_000, 200)
    deepsea = PRESETS["deepsea"]
    table = frame(["chr7"] * len(bins), bins, 1000)
    part = by_regions(table, deepsea["test"], deepsea["validation"], deepsea["unused"])
    assert pd.unique(part).tolist() == ["train", "validation", "unused"]
    assert by_regions(frame(["chr7"], [159_138_562]), deepsea["test"], deepsea["validation"], deepsea["unused"]).tolist() == ["unused"]


def test_by_blocks_keeps_blocks_whole_and_draws_as_many_as_asked():
    table = random_windows(0)
    part = by_blocks(table, 5000, 4, 3, 7)
    block = table["chrom"] + ":" + ((table["start"] + table["end"]) // 2 // 5000).astype(str)
    drawn = pd.DataFrame({"block": block, "part": part}).groupby("block")["part"].agg(["nunique", "first"])
    assert (drawn["nunique"] == 1).all()
    assert drawn["first"].value_counts()[["test", "validation"]].tolist() == [4, 3]
    assert np.array_equal(part, by_blocks(table, 5000, 4, 3, 7))
    assert not np.array_equal(part, by_blocks(table, 5000, 4, 3, 8))


@pytest.mark.parametrize("seed", range(5))
def test_by_clusters_keeps_clusters_whole_and_has_at_most_one_too_many(seed):
    draw = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(60), draw.integers(1, 40, 60))
    draw.shuffle(cluster)
    part = by_clusters(cluster, 0.2, 0.1, seed)
    assert (pd.DataFrame({"cluster": cluster, "part": part}).groupby("cluster")["part"].nunique() == 1).all()
    size = np.bincount(cluster)
    for name, share in (("test", 0.2), ("validation", 0.1)):
        assert share * len(cluster) <= (part == name).sum() < share * len(cluster) + size.max()
    assert np.array_equal(part, by_clusters(cluster, 0.2, 0.1, seed))
    assert not np.array_equal(part, by_clusters(cluster, 0.2, 0.1, seed + 1))


@pytest.mark.parametrize("seed", range(10))
def test_by_clusters_trains_on_clusters_larger_than_a_part(seed, caplog):
    cluster = np.repeat([0, 1, 2, 3, 4], [50, 15, 10, 10, 15])
    part = by_clusters(cluster, 0.15, 0.1, seed)
    assert (part[:50] == "train").all()
    assert (part == "validation").sum() == 10
    assert (part == "test").sum() in (15, 20, 25)
    assert not caplog.messages


def test_by_clusters_says_so_when_a_part_comes_out_small_and_fails_when_it_is_empty(caplog):
    cluster = np.repeat([0, 1, 2], [65, 15, 20])
    with caplog.at_level(logging.WARNING, "regdna"):
        part = by_clusters(cluster, 0.16, 0.2, 0)
    assert ((part == "test").sum(), (part == "validation").sum()) == (15, 20)
    assert "test got 15.0 % of the windows, not 16.0 %" in caplog.text and "validation" not in caplog.text
    with pytest.raises(InputError, match=r"split.test: every homology cluster holds more than 4%"):
        by_clusters(cluster, 0.04, 0.2, 0)
    for test, validation in [(0, 0.1), (0.1, 0), (0.5, 0.5)]:
        with pytest.raises(InputError, match="less than 1 together"):
            by_clusters(cluster, test, validation, 0)


def test_given_parts_are_taken_and_checked():
    table = frame("chr1", [0, 200]).assign(part=["train", "test"])
    assert as_given(table).tolist() == ["train", "test"]
    with pytest.raises(InputError, match="the data say no part"):
        as_given(table.drop(columns="part"))
    with pytest.raises(InputError, match="a.csv:18: part 'dev'"):
        as_given(table.assign(part=["train", "dev"], file="a.csv", row=[17, 18]))
    with pytest.raises(InputError, match="chr1:1-100: part nan"):
        as_given(table.assign(part=[np.nan, "train"]))


def test_by_blocks_refuses_to_leave_nothing_to_train():
    with pytest.raises(InputError, match="2 blocks"):
        by_blocks(frame("chr1", [0, 1000]), 1000, 1, 1, 0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gap", [0, 1, 250, 2000])
def test_open_gap_keeps_parts_apart_and_sets_no_more_aside_than_it_must(seed, gap):
    table = random_windows(seed)
    before = by_blocks(table, 5000, 5, 4, seed)
    after = open_gap(table, before, gap)
    assert closest(table.assign(split=after)) >= gap
    assert np.array_equal(after[before == "test"], before[before == "test"])
    kept_before = {"validation": ["test"], "train": ["test", "validation"]}
    for row in np.flatnonzero(after == "gap"):
        others = table[np.isin(after, kept_before[before[row]]) & (table["chrom"] == table["chrom"][row])]
        distance = np.maximum(others["start"], table["start"][row]) - np.minimum(others["end"], table["end"][row])
        assert (distance < gap).any()


@pytest.mark.parametrize(("distance", "kept"), [(999, False), (1000, True)])
@pytest.mark.parametrize("side", [-1, 1])
def test_open_gap_allows_exactly_the_gap(distance, kept, side):
    table = frame("chr1", [50_000, 50_000 + side * (distance + 100)])
    assert (open_gap(table, np.array(["test", "train"], object), 1000)[1] == "train") == kept


def test_digest_changes_with_one_moved_window_one_part_or_the_order():
    table = frame("chr1", [0, 1000, 2000], split=["train", "test", "validation"])
    first = digest(table)
    assert first == digest(table.copy()) and len(first) == 16
    moved, other = table.copy(), table.copy()
    moved.loc[1, "start"] += 1
    other.loc[0, "split"] = "gap"
    assert len({first, digest(moved), digest(other), digest(table.iloc[::-1]), digest(table.assign(chrom="chr2"))}) == 5


@pytest.mark.parametrize("kind", ["object", "str", "category"])
def test_the_digest_does_not_depend_on_how_words_are_held(kind):
    table = frame(["chr2", "chr1", "chr2"], [0, 1000, 2000], split=["train", "test", "train"])
    assert digest(table.astype({"chrom": kind, "split": kind, "start": "int32"})) == digest(table)


def test_open_gap_takes_many_chromosomes_at_once():
    count = 200_000
    table = frame([f"s{i}" for i in range(count)], np.zeros(count, int))
    part = np.where(np.arange(count) % 2, "train", "test").astype(object)
    assert np.array_equal(open_gap(table, part, 10_000), part)


def certify(windows, codes, rule):
    """The certificate of windows with their sequences, as the step makes it."""
    axis = Axis(windows, codes)
    words, split = Words(axis), windows["split"].to_numpy(object)
    shares = {part: share_with(words, split == "train", np.flatnonzero(split == part)) for part in ("validation", "test")}
    return certificate.certify(windows, {"rule": "blocks"} | rule, shares, axis.fingerprints()[:2], {"sequence_digest": "x"})


class TestCertificate:
    """Twelve random windows far apart: clean until something is planted."""

    @pytest.fixture
    def windows(self):
        parts = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
        return frame("chr1", np.arange(12) * 10_000, split=parts)

    @pytest.fixture
    def codes(self):
        draw = np.random.default_rng(0)
        return np.stack([encode(toy_models.letters(draw, 100)) for _ in range(12)])

    def test_clean_windows_are_clean(self, windows, codes):
        found = certify(windows, codes, {"rule": "blocks", "gap": 9900})
        assert found["verdict"] == "clean"
        assert found["counts"] == {"test": 2, "train": 8, "validation": 2}
        assert found["smallest_distance_bp"] == 9900 and found["overlapping_windows"] == 0
        assert found["digest"] == digest(windows)
        assert found["shared_with_training"]["test"]["similar_by_share"]["0.1"] == 0

    def test_a_planted_duplicate_is_found(self, windows, codes):
        codes[11] = codes[3]
        found = certify(windows, codes, {})
        assert found["verdict"] == "similar"
        assert found["shared_with_training"]["test"]["identical"] == 1
        assert found["shared_with_training"]["test"]["reverse_complement"] == 0
        assert found["shared_with_training"]["validation"]["identical"] == 0

    def test_a_planted_reverse_complement_is_found(self, windows, codes):
        codes[8] = reverse_complement(codes[2])
        shared = certify(windows, codes, {})["shared_with_training"]["validation"]
        assert (shared["identical"], shared["reverse_complement"], shared["similar"]) == (0, 1, 1)

    @pytest.mark.parametrize(("copied", "similar"), [(43, 0), (44, 1), (100, 1)])
    @pytest.mark.parametrize("strand", [False, True])
    def test_a_planted_stretch_counts_from_thirty_percent_of_21mers(self, windows, codes, copied, similar, strand):
        # 80 21-mers a window; a stretch of n bases holds n - 20 of them; 24 are 30 %
        piece = codes[0, :copied]
        codes[10, :copied] = reverse_complement(piece) if strand else piece
        shared = certify(windows, codes, {})["shared_with_training"]["test"]
        assert shared["similar"] == similar
        assert shared["similar_by_share"]["0.2"] == 1

    def test_unknown_bases_alike_are_no_similarity(self, windows, codes):
        codes[0], codes[10, :90] = 4, 4
        assert certify(windows, codes, {})["shared_with_training"]["test"]["similar"] == 0

    def test_overlapping_windows_of_two_parts_are_a_leak(self, windows, codes):
        windows.loc[11, ["start", "end"]] = [99, 199]
        found = certify(windows, codes, {})
        assert found["verdict"] == "leak" and found["overlapping_windows"] == 2

    def test_overlap_inside_a_part_or_with_a_window_set_aside_is_none(self, windows, codes):
        windows.loc[1, ["start", "end"]] = [50, 150]
        windows.loc[2, ["start", "end", "split"]] = [110_050, 110_150, "gap"]
        found = certify(windows, codes, {})
        assert found["verdict"] == "clean" and found["overlapping_windows"] == 0

    @pytest.mark.parametrize(("gap", "verdict"), [(9900, "clean"), (9901, "leak")])
    def test_parts_closer_than_the_gap_are_a_leak(self, windows, codes, gap, verdict):
        assert certify(windows, codes, {"gap": gap})["verdict"] == verdict

    @pytest.mark.parametrize("seed", range(5))
    def test_the_smallest_distance_equals_brute_force(self, seed):
        table = random_windows(seed, 60)
        table["split"] = open_gap(table, by_blocks(table, 5000, 3, 3, seed), 17)
        shares = dict.fromkeys(("validation", "test"), np.zeros(1))
        prints = (np.arange(60, dtype=np.uint64), np.arange(100, 160, dtype=np.uint64))
        assert certificate.certify(table, {"rule": "blocks"}, shares, prints, {})["smallest_distance_bp"] == closest(table)

    def test_parts_of_a_published_split_that_touch_are_known(self, windows, codes):
        windows.loc[11, ["start", "end"]] = [99, 199]
        found = certify(windows, codes, {"known": "published so"})
        assert (found["verdict"], found["known"], found["overlapping_windows"]) == ("known", "published so", 2)
        assert certify(windows, codes, {"known": ""})["verdict"] == "leak"
        windows.loc[11, ["start", "end"]] = [500_000, 500_100]
        found = certify(windows, codes, {"known": "published so"})
        assert (found["verdict"], found["known"]) == ("clean", None)

    def test_parts_that_came_with_the_data_are_reported_and_never_fail(self, windows, codes, caplog):
        windows["file"], windows["row"] = "a.csv", np.arange(2, 14)
        assert certify(windows, codes, {"rule": "given"})["verdict"] == "clean"
        codes[11], codes[8], codes[9] = codes[3], reverse_complement(codes[2]), codes[0]
        windows.loc[10, ["start", "end"]] = [99, 199]
        with caplog.at_level(logging.WARNING, "regdna"):
            found = certify(windows, codes, {"rule": "given"})
        assert found["verdict"] == "similar" and found["overlapping_windows"] == 2
        shared = found["shared_with_training"]
        assert shared["test"]["examples"] == {"identical": [["a.csv:13", "a.csv:5"]], "reverse_complement": []}
        assert shared["validation"]["examples"] == {"identical": [["a.csv:11", "a.csv:2"]], "reverse_complement": [["a.csv:10", "a.csv:4"]]}
        assert "1 windows of test are training sequences" in caplog.text and "a.csv:13 = a.csv:5" in caplog.text

    def test_at_most_five_examples_are_given_by_their_place(self, windows, codes):
        windows["split"] = ["train"] * 4 + ["test"] * 7 + ["validation"]
        codes[4:11] = codes[1]
        found = certify(windows, codes, {})["shared_with_training"]["test"]
        assert found["identical"] == 7
        assert found["examples"]["identical"] == [[f"chr1:{at * 10_000 + 1}-{at * 10_000 + 100}", "chr1:10001-10100"] for at in range(4, 9)]

    def test_windows_without_words_are_counted_and_like_nothing(self, windows, codes):
        codes[[0, 10]] = 4
        shared = certify(windows, codes, {})["shared_with_training"]["test"]
        assert (shared["without_words"], shared["identical"], shared["similar"]) == (1, 0, 0)

    def test_parts_on_different_chromosomes_have_no_distance(self, windows, codes):
        windows["chrom"] = windows["split"]
        found = certify(windows, codes, {"gap": 10**9})
        assert found["smallest_distance_bp"] is None and found["verdict"] == "clean"


class TestStep:
    """The step on 60 sequences of their own: rows 50 to 59 are copies of rows 0 to 9, every other one turned round."""

    @pytest.fixture
    def files(self, tmp_path):
        draw = np.random.default_rng(0)
        codes = draw.integers(0, 4, (60, 120)).astype(np.uint8)
        codes[50:, 40:] = codes[:10, 40:]
        codes[50::2] = reverse_complement(codes[50::2])
        table = frame([f"a.csv:{row}" for row in range(60)], 0, 120).assign(
            part=["train", "test", "validation"] * 20, file="a.csv", row=np.arange(60), gc=draw.random(60), cluster=7
        )
        table.to_parquet(tmp_path / "candidates.parquet")
        np.save(tmp_path / "sequences.npy", codes)
        return tmp_path

    def split(self, files, rule, **more):
        step("split").main(
            files / "candidates.parquet", files / "windows.parquet", files / "splits.json", rule, sequences=files / "sequences.npy", **more
        )
        return pd.read_parquet(files / "windows.parquet"), json.loads((files / "splits.json").read_text())

    @pytest.mark.parametrize("seed", range(6))
    def test_homologs_never_straddle(self, files, seed):
        windows, report = self.split(files, {"rule": "homology", "test": 0.2, "validation": 0.2, "seed": seed})
        assert windows["cluster"].tolist() == [*range(50), *range(10)]
        assert (windows.groupby("cluster")["split"].nunique() == 1).all()
        assert report["verdict"] == "clean"
        assert report["clusters"]["count"] == 50 and report["clusters"]["curve"]["0.9"]["clusters"] == 60
        assert report["informative_words"] == {"k": 21, "sampled_one_in": 1, "frequent_more_than": 10, "median_per_window": 100}

    def test_a_threshold_above_what_they_share_lets_them_part(self, files):
        windows, report = self.split(files, {"rule": "homology", "test": 0.3, "validation": 0.3, "threshold": 0.7})
        assert windows["cluster"].tolist() == list(range(60)) and report["verdict"] == "similar"

    def test_given_parts_are_kept_and_where_they_came_from_is_not(self, files):
        windows, report = self.split(files, {"rule": "given", "gap": 0})
        assert windows["split"].tolist() == ["train", "test", "validation"] * 20
        assert windows.columns.tolist() == ["chrom", "start", "end", "split", "gc", "cluster", "training_similarity"]
        assert (windows["cluster"] == 7).all()
        assert report["verdict"] == "similar" and report["clusters"] is None
        assert report["digest"] == digest(windows)

    def test_training_windows_like_test_or_validation_are_set_aside_if_asked(self, files):
        part = np.array((["train", "test", "validation"] * 20), object)
        rows = np.arange(60)
        twin = np.where(rows < 10, rows + 50, np.where(rows >= 50, rows - 50, rows))
        windows, report = self.split(files, {"rule": "given", "gap": 0, "drop_similar": True})
        expected = np.where((part == "train") & (part[twin] != "train"), "similar", part)
        assert windows["split"].tolist() == expected.tolist() and (expected == "similar").sum() > 3
        assert report["verdict"] == "clean" and report["counts"]["similar"] == (expected == "similar").sum()

    @pytest.mark.parametrize(("gap", "known", "kept"), [(0, "so", True), (0, "", False), (300, "so", False)])
    def test_a_published_split_keeps_windows_that_touch_unless_a_gap_is_asked_for(self, tmp_path, gap, known, kept):
        frame("chr1", np.arange(40) * 50).to_parquet(tmp_path / "candidates.parquet")
        text = np.random.default_rng(0).integers(0, 4, 2100).astype(np.uint8)
        np.save(tmp_path / "sequences.npy", np.lib.stride_tricks.sliding_window_view(text, 100)[: 40 * 50 : 50])
        rule = {"rule": "chromosomes", "test": ["chr1:1-500"], "validation": ["chr1:1001-1500"], "gap": gap, "known": known}
        windows, report = self.split(tmp_path, rule)
        assert ("gap" not in set(windows["split"])) == kept
        assert report["verdict"] == ("known" if kept else "clean")

    @pytest.mark.parametrize(
        ("rule", "rows", "said"),
        [
            ({"rule": "chromosomes", "test": ["chr1"], "validation": ["a.csv:1"]}, 60, "no window is in test"),
            ({"rule": "chromosomes", "test": ["a.csv:2"], "validation": ["a.csv:1"]}, 59, "59 rows, but 60 windows"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, files, rule, rows, said):
        np.save(files / "sequences.npy", np.load(files / "sequences.npy")[:rows])
        with pytest.raises(InputError, match=said):
            self.split(files, rule)
        assert not (files / "windows.parquet").exists()

    def test_masked_bases_of_a_genome_are_no_similarity(self, tmp_path):
        draw = np.random.default_rng(0)
        own = [toy_models.letters(draw, 60) for _ in range(3)]
        repeat = toy_models.letters(draw, 60)
        names = ["chr1", "chr2", "chr3"]
        frame(names, 0, 120).to_parquet(tmp_path / "candidates.parquet")
        for text, verdict in [(repeat, "similar"), (repeat.lower(), "clean")]:
            genome = toy_models.genome_files(tmp_path / verdict, {name: one + text for name, one in zip(names, own, strict=True)})
            rule = {"rule": "chromosomes", "test": ["chr1"], "validation": ["chr2"], "gap": 0}
            step("split").main(tmp_path / "candidates.parquet", tmp_path / "w", tmp_path / "splits.json", rule, genome=genome)
            assert json.loads((tmp_path / "splits.json").read_text())["verdict"] == verdict


def test_clusters_are_joined_where_they_hold_one_sequence_on_either_strand():
    forward = np.array([5, 7, 9, 7, 0, 0, 4], np.uint64)
    backward = np.array([8, 5, 9, 6, 0, 0, 3], np.uint64)
    joined = join_identical(np.array([0, 1, 2, 3, 4, 5, 2]), (forward, backward))
    # Row 1 is row 0's reverse complement, since the smaller of both strands is one; rows of N are like no other.
    assert joined.tolist() == [0, 0, 1, 2, 3, 4, 1]


def test_test_windows_that_are_validation_windows_are_counted(caplog):
    windows = frame(["a", "b", "c", "d"], [0, 0, 0, 0], split=["train", "validation", "test", "test"])
    prints = (np.array([1, 2, 2, 9], np.uint64), np.array([5, 9, 9, 2], np.uint64))
    found = certificate.certify(windows, {"rule": "given"}, {"validation": np.array([0.0]), "test": np.array([0.0, 0.0])}, prints, {})
    shared = found["shared_by_validation_and_test"]
    assert (shared["identical"], shared["reverse_complement"]) == (1, 1)
    assert shared["examples"] == [["c:1-100", "b:1-100"], ["d:1-100", "b:1-100"]]
    assert found["verdict"] == "similar"
    assert "1 windows of test are validation sequences, 1 their reverse complements" in caplog.text


def test_what_belongs_to_another_split_or_has_no_certificate_is_refused_by_name(tmp_path):
    windows, splits = frame(["a", "b"], [0, 0], split=["train", "test"]), tmp_path / "splits.json"
    splits.write_text(json.dumps({"digest": digest(windows)}))
    known = tmp_path / "windows.parquet", windows
    assert certified(splits, *known, [(tmp_path / "about.json", digest(windows))], "predict again") == digest(windows)
    with pytest.raises(InputError, match=r"about.json: belongs to split 0123, .*splits.json certifies .*; predict again"):
        certified(splits, *known, [(tmp_path / "about.json", "0123")], "predict again")
    with pytest.raises(InputError, match="windows.parquet: belongs to split"):
        certified(splits, known[0], windows.assign(split="test"), [], "predict again")
    for broken, said in {'{"digest": ': "cannot be read", "[]": "holds no digest", '{"digest": null}': "holds no digest"}.items():
        splits.write_text(broken)
        with pytest.raises(InputError, match=f"splits.json: {said}"):
            certified(splits, *known, [], "predict again")
