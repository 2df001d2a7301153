import gzip

import numpy as np
import pytest

from regdna.intervals import UCSC_TABLES, count_separate, distance_to_nearest, merge, read_bed
from regdna.step import InputError


def random_intervals(draw, count, reach=300, longest=60):
    start = draw.integers(0, reach, count)
    return start, start + draw.integers(1, longest, count)


def write(path, text):
    """The text at a path, gzipped if its name says so."""
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def slow_read(text, columns, value=None, summit=None):
    """The obvious reader that read_bed must equal: text of a sound file to rows."""
    rows = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#") or line.split()[0] in ("track", "browser"):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        strand = fields[5] if columns == (0, 1, 2) and len(fields) > 5 and fields[5] in ("+", "-") else "."
        row = [fields[columns[0]], int(fields[columns[1]]), int(fields[columns[2]]), strand]
        rows.append(row + ([] if value is None else [fields[value]]) + ([] if summit is None else [row[1] + int(fields[summit])]))
    return rows


@pytest.mark.parametrize("suffix", [".bed", ".bed.gz"])
def test_read_bed_takes_comments_and_six_columns(tmp_path, suffix):
    text = "# made\ntrack name=x\nbrowser y\ntrack\n\n \t\nchr1\t1\t5\r\nchr2\t0\t9\tname\t0\t-\r\nchr2\t7\t8\tname\t0\t+\textra\n"
    found = read_bed(write(tmp_path / f"a{suffix}", text))
    assert found.to_numpy().tolist() == [["chr1", 1, 5, "."], ["chr2", 0, 9, "-"], ["chr2", 7, 8, "+"]]
    assert found.dtypes.astype(str).to_dict() == {"chrom": "category", "start": "int64", "end": "int64", "strand": "category"}


@pytest.mark.parametrize(
    "text",
    ["chr1\t1\t5\nchr2\t2\t6", "#x\nchr1\t1\t5\nchr2\t2\t6\t\n",
     "chr1 1 5\n  chr2   2  6  \n", "chr1\t1\t5\r\nchr2 2 6\r\n",
     "\ufeffchr1\t1\t5\nchr2\t2\t6\t\n", "\ufeff#x\nchr1\t1\t5\nchr2\t2\t6"],
)  # fmt: skip
def test_read_bed_takes_tabs_spaces_marks_and_line_ends(tmp_path, text):
    assert read_bed(write(tmp_path / "a.bed", text)).to_numpy().tolist() == [["chr1", 1, 5, "."], ["chr2", 2, 6, "."]]


def test_a_name_that_begins_like_a_header_is_a_chromosome(tmp_path):
    found = read_bed(write(tmp_path / "a.bed", "tracks\t1\t5\nbrowser2\t1\t5\ntig\t1\t5\nb\t1\t5\ntrack\t1\t5\n"))
    assert found["chrom"].tolist() == ["tracks", "browser2", "tig", "b"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "track x", "\ufeff"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_without_intervals_is_an_empty_table(tmp_path, text, suffix):
    found = read_bed(write(tmp_path / f"a.bed{suffix}", text), value=4, summit=True)
    assert len(found) == 0 and found["start"].dtype == np.int64
    assert list(found.columns) == ["chrom", "start", "end", "strand", "value", "summit"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("seed", range(3))
def test_read_bed_equals_the_slow_reader(tmp_path, seed, suffix):
    draw = np.random.default_rng(seed)
    names = [f"chr{at}" for at in range(1, 23)] + ["chrX", "GL000192.1", "c", "chr1_gl000191_random", "chrÄ"]
    lines = []
    for _ in range(3000):
        start, size = int(draw.integers(0, 10 ** int(draw.integers(1, 10)))), int(draw.integers(1, 5000))
        fields = [draw.choice(names), start, start + size, draw.choice(["x", "", "peak 1", "x"]), 0, draw.choice(list("+-."))]
        fields += [round(draw.random(), 4), -1, -1, draw.integers(size)]
        end = draw.choice(["\n", "\r\n", "\n\n", "\n#\n"])
        lines.append("\t".join(map(str, fields)) + end)
    text = "".join(lines)
    found = read_bed(write(tmp_path / f"a.narrowPeak{suffix}", text), value=4, summit=True)
    assert found.to_numpy().tolist() == slow_read(text, (0, 1, 2), 3, 9)


def outcome(path, **asked):
    """What read_bed gives, or says."""
    try:
        return read_bed(path, **asked)[["chrom", "start", "end", "strand"]].to_numpy().tolist()
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(6))
def test_plain_files_are_read_as_all_others(tmp_path, seed):
    """Plain files have a parser of their own, which one more column asked for leaves out."""
    draw = np.random.default_rng(seed)
    names = [f"{letter}{at}" for letter in ("c", "chr", "contig") for at in (*range(120), 10**6)] + ["x", "chr1_longer", "b", "track", "#c"]
    path, problems = tmp_path / "a.bed", 0
    for turn in range(150):
        columns, lines = int(draw.integers(3, 9)), []
        for _ in range(int(draw.choice([1, 5, 200]))):
            start = int(draw.integers(0, 10 ** int(draw.integers(1, 9))))
            fields = [
                draw.choice(names[: 300 if turn % 2 else None]),
                start,
                start + int(draw.integers(1, 500)),
                "name",
                draw.choice(["0", "+"]),
            ]
            fields += [draw.choice(["+", "-", ".", "++", ""], p=[0.3, 0.3, 0.3, 0.05, 0.05]), 7.5, "x\r"]
            lines.append("\t".join(map(str, fields[:columns])))
        text = ("\r\n" if turn % 7 == 0 else "\n").join(lines).encode() + b"\n"
        for _ in range(turn % 3):
            at = int(draw.integers(len(text)))
            text = (
                text[:at] + draw.choice([b"\t", b"\n", b"\r", b" ", b"#", b"9", b"x", b"-", b"+", b"\xff", b"", b"\n\n"]) + text[at + 1 :]
            )
        path.write_bytes(text)
        found = outcome(path)
        assert found == outcome(path, value=1)
        problems += isinstance(found, str)
        if turn % 3 == 0 and columns < 8:
            assert found == slow_read(text.decode(), (0, 1, 2))
    assert 20 < problems < 100


def test_value_may_be_any_column_also_one_that_is_read_anyway(tmp_path):
    path = write(tmp_path / "a.bed", "chr1\t1\t5\tα\t7\t-\nchr1\t2\t5\t\t7\t-\nchr2\t2\t6\tα\t8\t+\n")
    assert read_bed(path, value=4)["value"].tolist() == ["α", "", "α"]
    assert [read_bed(path, value=at)["value"].tolist() for at in (1, 3, 6)] == [["chr1", "chr1", "chr2"], ["5", "5", "6"], ["-", "-", "+"]]


@pytest.mark.parametrize("name", UCSC_TABLES)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_tables_of_ucsc_are_known_by_name(tmp_path, name, suffix):
    columns = UCSC_TABLES[name]
    row = [str(90 + at) for at in range(12)]
    for column, text in zip(columns, ("chr7", "11", "22"), strict=True):
        row[column] = text
    text = "\t".join(row) + "\n"
    found = read_bed(write(tmp_path / f"{name}{suffix}", text), value=12)
    assert found.to_numpy().tolist() == [["chr7", 11, 22, ".", "101"]]
    with pytest.raises(InputError, match=f"line 2 .*columns {columns[0] + 1} to {columns[2] + 1}"):
        read_bed(write(tmp_path / f"{name}{suffix}", text + "chr1\t1\t5\n"))


@pytest.mark.parametrize(
    "line",
    ["chr1 1 5\tx", "chr1\t1", "chr1", "chr1\tx\t5", "chr1\t5\t5", "chr1\t6\t5", "chr1\t-1\t5", "chr1\t1e3\t2000",
     "chr1\t1.0\t5", "chr1\t1\t", "\t1\t5",
     "chr1\t1\t1234567890123456789", "chr1\t--1\t5", "chr1\t1\t5x", "chr1\t 1\t5", "chr1\t-\t5", "start\tend\tchrom", "<html>"],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", "\n", "\r\nchr9\tx\n"])
@pytest.mark.parametrize("head", ["# one", "chr1\t1\t2"])
def test_read_bed_names_the_first_broken_line(tmp_path, head, line, end):
    path = write(tmp_path / "a.bed", f"{head}\nchr1\t1\t2\n{line}{end}")
    with pytest.raises(InputError, match="line 3 ") as error:
        read_bed(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_the_message_says_what_is_wrong_with_the_line(tmp_path):
    for line, message in (("chr1\t1e3\t2000", "is not BED"), ("chr1\t-1\t5", "start -1 and end 5"), ("chr1\t7\t5", "start 7 and end 5")):
        with pytest.raises(InputError, match=message):
            read_bed(write(tmp_path / "a.bed", line))


def test_a_missing_column_is_named(tmp_path):
    path = write(tmp_path / "a.bed", "chr1\t1\t5\tx\nchr1\t1\t5\n")
    with pytest.raises(InputError, match="line 2 has no column 4"):
        read_bed(path, value=4)


def test_intervals_whose_summit_lies_beyond_their_end_are_left_out_and_most_may_not_be(tmp_path, caplog):
    lines = [f"chr1\t{at}\t{at + 4}\t.\t0\t.\t1\t1\t1\t{away}" for at, away in ((100, 0), (200, 4), (300, 3), (400, 75), (500, 1))]
    with caplog.at_level("INFO"):
        found = read_bed(write(tmp_path / "a.narrowPeak", "\n".join(lines)), summit=True)
    assert found["summit"].tolist() == [100, 303, 501] and found.index.tolist() == [0, 1, 2]
    assert "2 of 5 intervals left out" in caplog.text
    with pytest.raises(InputError, match="2 of 3 summits .* lie beyond their interval; choose another rule"):
        read_bed(write(tmp_path / "b.narrowPeak", "\n".join(lines[1:4])), summit=True)


@pytest.mark.parametrize("peak", ["-1", "x", "", None])
def test_an_interval_without_a_summit_asks_for_another_rule(tmp_path, peak):
    good = "chr1\t100\t104\t.\t0\t.\t1\t1\t1\t"
    path = write(tmp_path / "a.narrowPeak", f"{good}0\n{good}3\n" + (good[:-1] if peak is None else good + peak))
    with pytest.raises(InputError, match="line 3 has no summit .*choose a rule") as error:
        read_bed(path, summit=True)
    assert str(path) in str(error.value)
    assert len(read_bed(path)) == 3


def test_a_cut_or_false_gzip_file_is_one_line(tmp_path):
    whole = gzip.compress("".join(f"chr1\t{at}\t{at + 9}\n" for at in range(5000)).encode())
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for broken in (whole[:-1], whole[:-8], whole[:50], whole[:5], bytes(flipped), whole + b"more", b"chr1\t1\t5\n", b""):
        path = tmp_path / "a.bed.gz"
        path.write_bytes(broken)
        with pytest.raises(InputError, match="cut short or no gzip file; fetch it again") as error:
            read_bed(path)
        assert str(path) in str(error.value)


def test_gzip_is_known_by_its_bytes_and_may_come_in_parts(tmp_path):
    path = tmp_path / "a.bed"
    path.write_bytes(gzip.compress(b"chr1\t1\t5\nchr1") + gzip.compress(b"\t2\t6\n"))
    assert read_bed(path)["start"].tolist() == [1, 2]


def test_many_names_keep_their_rows_apart(tmp_path):
    names = [f"{letter}{at}" for letter in ("c", "contig") for at in range(10_000)] * 2
    found = read_bed(write(tmp_path / "a.bed", "".join(f"{name}\t{at}\t{at + 1}\n" for at, name in enumerate(names))))
    assert found["chrom"].tolist() == names and len(found["chrom"].cat.categories) == 20_000


def test_read_bed_reads_every_real_peak_file(shared):
    for path in sorted((shared / "data/annotation/encode_hg19").glob("*.gz"))[::8]:
        found = read_bed(path, value=10)
        expected = slow_read(gzip.decompress(path.read_bytes()).decode(), (0, 1, 2), 9)
        assert len(found) > 1000 and found.to_numpy().tolist() == expected


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
