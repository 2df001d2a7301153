import gzip

import numpy as np
import pytest

from regdna.intervals import count_separate, distance_to_nearest, largest_overlap, merge, read_bed
from regdna.step import InputError


def random_intervals(draw, count, reach=300, longest=60):
    start = draw.integers(0, reach, count)
    return start, start + draw.integers(1, longest, count)


@pytest.mark.parametrize("suffix", [".bed", ".bed.gz"])
def test_read_bed_takes_comments_and_six_columns(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    text = b"# made\ntrack name=x\nbrowser y\n\nchr1\t1\t5\r\nchr2\t0\t9\tname\t0\t-\r\nchr2\t7\t8\tname\t0\t+\textra\n"
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    assert read_bed(path).to_numpy().tolist() == [["chr1", 1, 5, "."], ["chr2", 0, 9, "-"], ["chr2", 7, 8, "+"]]


@pytest.mark.parametrize("line", ["chr1 1 5", "chr1\t1", "chr1\tx\t5", "chr1\t5\t5", "chr1\t6\t5", "chr1\t-1\t5"])
def test_read_bed_names_the_broken_line(tmp_path, line):
    path = tmp_path / "a.bed"
    path.write_text(f"chr1\t1\t2\n{line}\n")
    with pytest.raises(InputError, match="line 2") as error:
        read_bed(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("seed", range(5))
def test_merge_covers_the_same_bases_with_the_fewest_intervals(seed):
    start, end = random_intervals(np.random.default_rng(seed), 40, 600, 30)
    covered = np.zeros(1000, bool)
    for one, two in zip(start, end, strict=True):
        covered[one:two] = True
    edges = np.flatnonzero(np.diff(np.r_[0, covered, 0]))
    first, last = merge(start, end)
    assert np.array_equal(first, edges[::2]) and np.array_equal(last, edges[1::2])


def test_merge_joins_touching_and_takes_none():
    assert [part.tolist() for part in merge(np.array([5, 0]), np.array([9, 5]))] == [[0], [9]]
    assert [len(part) for part in merge(np.array([]), np.array([]))] == [0, 0]


@pytest.mark.parametrize("seed", range(10))
def test_largest_overlap_equals_brute_force(seed):
    draw = np.random.default_rng(seed)
    window = random_intervals(draw, 50)
    # one long interval among short ones: the search must not lose it
    start, end = (np.r_[part, extra] for part, extra in zip(random_intervals(draw, 30), (0, 250), strict=True))
    expected = [max(0, max(min(b, d) - max(a, c) for c, d in zip(start, end, strict=True))) for a, b in zip(*window, strict=True)]
    assert largest_overlap(*window, start, end).tolist() == expected


def test_largest_overlap_takes_intervals_singly():
    assert largest_overlap(np.array([0]), np.array([90]), np.array([0, 60]), np.array([30, 90])).tolist() == [30]
    assert largest_overlap(np.array([0]), np.array([90]), np.array([]), np.array([])).tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_distance_to_nearest_equals_brute_force(seed):
    draw = np.random.default_rng(seed)
    point, sites = draw.integers(0, 1000, 60), draw.integers(0, 1000, seed + 1)
    assert distance_to_nearest(point, sites).tolist() == np.abs(point[:, None] - sites).min(1).tolist()


def test_distance_to_nearest_without_sites_is_nan():
    assert np.isnan(distance_to_nearest(np.array([1, 2]), np.array([]))).all()


def test_count_separate_joins_within_a_chromosome_only():
    chrom = np.array(["a", "a", "b", "a", "b"])
    assert count_separate(chrom, np.array([0, 5, 0, 50, 9]), np.array([10, 15, 10, 60, 12])) == 3
    assert count_separate(np.array([]), np.array([]), np.array([])) == 0
