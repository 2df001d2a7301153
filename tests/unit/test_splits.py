import itertools

import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna.alphabet import decode, encode, reverse_complement
from regdna.splits import by_blocks, by_chromosomes, certificate, digest, kmers, open_gap
from regdna.step import InputError


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


def test_by_chromosomes_puts_each_chromosome_in_its_part():
    table = frame(["chr1", "chr2", "chr3", "chr1"], [0, 0, 0, 500])
    assert by_chromosomes(table, ["chr1"], ["chr2"]).tolist() == ["test", "validation", "train", "test"]


def test_by_blocks_keeps_blocks_whole_and_draws_as_many_as_asked():
    table = random_windows(0)
    part = by_blocks(table, 5000, 4, 3, 7)
    block = table["chrom"] + ":" + ((table["start"] + table["end"]) // 2 // 5000).astype(str)
    drawn = pd.DataFrame({"block": block, "part": part}).groupby("block")["part"].agg(["nunique", "first"])
    assert (drawn["nunique"] == 1).all()
    assert drawn["first"].value_counts()[["test", "validation"]].tolist() == [4, 3]
    assert np.array_equal(part, by_blocks(table, 5000, 4, 3, 7))
    assert not np.array_equal(part, by_blocks(table, 5000, 4, 3, 8))


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


@pytest.mark.parametrize("k", [1, 3, 21, 31])
def test_kmers_are_the_smaller_strand_and_minus_one_at_n(k):
    codes = np.random.default_rng(k).integers(0, 4, (5, 60)).astype(np.uint8)
    codes[1, 30] = 4
    found = kmers(codes, k)
    assert found.shape == (5, 61 - k)
    for row, at in itertools.product(range(5), range(0, 61 - k)):
        word = decode(codes[row, at : at + k])
        other = decode(reverse_complement(codes[row, at : at + k]))
        expected = -1 if "N" in word else int(min(word, other).translate(str.maketrans("ACGT", "0123")), 4)
        assert found[row, at] == expected
    assert np.array_equal(kmers(reverse_complement(codes), k), found[:, ::-1])


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
        found = certificate(windows, codes, {"rule": "blocks", "gap": 9900})
        assert found["verdict"] == "clean"
        assert found["counts"] == {"test": 2, "train": 8, "validation": 2}
        assert found["smallest_distance_bp"] == 9900 and found["overlapping_windows"] == 0
        assert found["digest"] == digest(windows)
        assert found["shared_with_training"]["test"]["similar_by_share"]["0.1"] == 0

    def test_a_planted_duplicate_is_found(self, windows, codes):
        codes[11] = codes[3]
        found = certificate(windows, codes, {})
        assert found["verdict"] == "similar"
        assert found["shared_with_training"]["test"]["identical"] == 1
        assert found["shared_with_training"]["test"]["reverse_complement"] == 0
        assert found["shared_with_training"]["validation"]["identical"] == 0

    def test_a_planted_reverse_complement_is_found(self, windows, codes):
        codes[8] = reverse_complement(codes[2])
        shared = certificate(windows, codes, {})["shared_with_training"]["validation"]
        assert (shared["identical"], shared["reverse_complement"], shared["similar"]) == (0, 1, 1)

    @pytest.mark.parametrize(("copied", "similar"), [(43, 0), (44, 1), (100, 1)])
    @pytest.mark.parametrize("strand", [False, True])
    def test_a_planted_stretch_counts_from_thirty_percent_of_21mers(self, windows, codes, copied, similar, strand):
        # 80 21-mers a window; a stretch of n bases holds n - 20 of them; 24 are 30 %
        piece = codes[0, :copied]
        codes[10, :copied] = reverse_complement(piece) if strand else piece
        shared = certificate(windows, codes, {})["shared_with_training"]["test"]
        assert shared["similar"] == similar
        assert shared["similar_by_share"]["0.2"] == 1

    def test_unknown_bases_alike_are_no_similarity(self, windows, codes):
        codes[0], codes[10, :90] = 4, 4
        assert certificate(windows, codes, {})["shared_with_training"]["test"]["similar"] == 0

    def test_overlapping_windows_of_two_parts_are_a_leak(self, windows, codes):
        windows.loc[11, ["start", "end"]] = [99, 199]
        found = certificate(windows, codes, {})
        assert found["verdict"] == "leak" and found["overlapping_windows"] == 2

    def test_overlap_inside_a_part_or_with_a_window_set_aside_is_none(self, windows, codes):
        windows.loc[1, ["start", "end"]] = [50, 150]
        windows.loc[2, ["start", "end", "split"]] = [110_050, 110_150, "gap"]
        found = certificate(windows, codes, {})
        assert found["verdict"] == "clean" and found["overlapping_windows"] == 0

    @pytest.mark.parametrize(("gap", "verdict"), [(9900, "clean"), (9901, "leak")])
    def test_parts_closer_than_the_gap_are_a_leak(self, windows, codes, gap, verdict):
        assert certificate(windows, codes, {"gap": gap})["verdict"] == verdict

    @pytest.mark.parametrize("seed", range(5))
    def test_the_smallest_distance_equals_brute_force(self, seed):
        table = random_windows(seed, 60)
        table["split"] = open_gap(table, by_blocks(table, 5000, 3, 3, seed), 17)
        codes = np.random.default_rng(seed).integers(0, 4, (60, 30)).astype(np.uint8)
        assert certificate(table, codes, {})["smallest_distance_bp"] == closest(table)

    def test_parts_on_different_chromosomes_have_no_distance(self, windows, codes):
        windows["chrom"] = windows["split"]
        found = certificate(windows, codes, {"gap": 10**9})
        assert found["smallest_distance_bp"] is None and found["verdict"] == "clean"
