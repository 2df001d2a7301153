"""Intervals on chromosomes, 0-based and half-open: reading BED and UCSC tables, overlap, merging."""

from pathlib import Path

import numba
import numpy as np
import pandas as pd
from isal import igzip, isal_zlib

from regdna.step import InputError

# Tables of UCSC's database, known by their file name (also gzipped), and their columns, from 0, of chrom, start and end.
UCSC_TABLES = {"rmsk.txt": (5, 6, 7), "gap.txt": (1, 2, 3), "centromeres.txt": (1, 2, 3)}
STRANDS = [".", "+", "-"]
STRAND_COLUMN, SUMMIT_COLUMN = 5, 9  # of BED6 and narrowPeak, from 0
TRACK, BROWSER = np.frombuffer(b"track", np.uint8), np.frombuffer(b"browser", np.uint8)
FINE, NOT_BED, EMPTY, NO_VALUE, NO_SUMMIT = range(5)  # what a line can be


def read_bed(path: Path, value: int = 0, summit: bool = False) -> pd.DataFrame:
    """The intervals of a BED file (narrowPeak and the like too) or of one of ``UCSC_TABLES``, plain or gzipped.

    Columns are separated by tabs or, in a line without tabs, by spaces. Blank lines, comments and the lines ``track`` and
    ``browser`` are skipped. A file without intervals gives an empty table.

    Args:
        path: the file.
        value: number, from 1, of one more column to read; 0: none.
        summit: whether to read the summits of a narrowPeak file.

    Returns:
        chrom (category), start and end (int64, bp, 0-based, half-open), strand (category; '.' where absent); ``value``
        (category of texts) and ``summit`` (int64, position on the chromosome, 0-based) where asked for.

    Raises:
        InputError: the file is cut short, or a line is not BED or lacks what was asked for.
    """
    data = _read(path)
    place = UCSC_TABLES.get(path.name.removesuffix(".gz"))
    columns = np.array([*(place or range(3)), -1 if place else STRAND_COLUMN, value - 1, SUMMIT_COLUMN if summit else -1])
    rows = int(np.count_nonzero(data == ord("\n"))) + 1
    chrom, start, end, strand, values, peak, names, texts, problem, line, found = _parse(data, columns, rows)
    if problem != FINE:
        where = ", ".join(str(column + 1) for column in columns[:3])
        begin, last = int(start[found]), int(end[found])
        raise InputError(
            f"{path}: line {line} "
            + {
                NOT_BED: f"is not BED (chrom, start and end in columns {where}, with tabs); mend or remove it",
                EMPTY: f"has start {begin} and end {last}; 0 <= start < end is needed",
                NO_VALUE: f"has no column {value}; name a column that every line has",
                NO_SUMMIT: f"has no summit (column {SUMMIT_COLUMN + 1}) in its {last - begin} bp; choose another rule than the summit's",
            }[problem]
        )
    table = pd.DataFrame(
        {
            "chrom": _category(data, chrom[:found], names),
            "start": start[:found],
            "end": end[:found],
            "strand": pd.Categorical.from_codes(strand[:found], STRANDS),
        }
    )
    if value:
        table["value"] = _category(data, values[:found], texts)
    if summit:
        table["summit"] = peak[:found]
    return table


def _read(path: Path) -> np.ndarray:
    """The bytes of a plain or gzipped file, uint8 (size,), without a byte-order mark."""
    data = path.read_bytes()
    if path.suffix == ".gz" or data.startswith(b"\x1f\x8b"):
        try:
            if not data:
                raise EOFError
            data = igzip.decompress(data)
        except (OSError, EOFError, isal_zlib.error):
            raise InputError(f"{path}: cut short or no gzip file; fetch it again") from None
    return np.frombuffer(data, np.uint8)[3 if data.startswith(b"\xef\xbb\xbf") else 0 :]


def _category(data: np.ndarray, codes: np.ndarray, places: np.ndarray) -> pd.Categorical:
    """Codes of texts that lie at ``places`` of a file, as a categorical."""
    texts = [data[begin:end].tobytes().decode("utf-8", "backslashreplace") for begin, end in places]
    return pd.Categorical.from_codes(codes, pd.Index(texts, dtype="str"))


@numba.njit(cache=True, nogil=True)
def _parse(data, columns, rows):
    """Read the lines of a table.

    Args:
        data: the file, uint8 (size,).
        columns: from 0, of chrom, start, end, strand, value and summit, int64 (6,); -1: not wanted.
        rows: at least the number of lines.

    Returns:
        codes of chrom, start, end, code of strand, codes of value and summit of each interval, (rows,) each; where the
        texts that the codes of chrom and value mean lie in ``data``, (k, 2) each; what stopped the reading, the number of the last line
        read, from 1, and the number of intervals read.
    """
    chrom, strand, value = np.empty(rows, np.int32), np.empty(rows, np.int8), np.empty(rows, np.int32)
    start, end, summit = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    capacity = 64
    while capacity < 2 * rows:
        capacity *= 2
    names, name_slots, name_count = np.empty((rows, 2), np.int64), np.zeros(capacity, np.int32), 0
    texts, text_slots, text_count = np.empty((rows, 2), np.int64), np.zeros(capacity if columns[4] >= 0 else 1, np.int32), 0
    left, right = np.empty(6, np.int64), np.empty(6, np.int64)  # where each column wanted lies in the line
    at, line, row, problem = 0, 0, 0, FINE
    while at < len(data) and problem == FINE:
        line += 1
        begin = at
        while at < len(data) and data[at] != 10:
            at += 1
        stop = at
        at += 1
        if stop > begin and data[stop - 1] == 13:
            stop -= 1
        if _is_skipped(data, begin, stop):
            continue
        _split(data, begin, stop, columns, left, right)
        # A problem is told with these numbers, whatever they are.
        fine_start, start[row] = _number(data, left[1], right[1])
        fine_end, end[row] = _number(data, left[2], right[2])
        if left[0] < 0 or not fine_start or not fine_end:
            problem = NOT_BED
            break
        if not 0 <= start[row] < end[row]:
            problem = EMPTY
            break
        chrom[row] = _intern(data, left[0], right[0], name_slots, names, name_count)
        name_count = max(name_count, chrom[row] + 1)
        strand[row] = 0
        if left[3] >= 0 and right[3] - left[3] == 1:
            strand[row] = 1 if data[left[3]] == 43 else 2 if data[left[3]] == 45 else 0
        if columns[4] >= 0:
            if left[4] < 0:
                problem = NO_VALUE
                break
            value[row] = _intern(data, left[4], right[4], text_slots, texts, text_count)
            text_count = max(text_count, value[row] + 1)
        if columns[5] >= 0:
            fine, away = _number(data, left[5], right[5])
            if not fine or not 0 <= away < end[row] - start[row]:
                problem = NO_SUMMIT
                break
            summit[row] = start[row] + away
        row += 1
    return chrom, start, end, strand, value, summit, names[:name_count], texts[:text_count], problem, line, row


@numba.njit(cache=True, nogil=True, inline="always")
def _is_skipped(data, begin, stop):
    """Whether a line holds no interval: blank, a comment, or the words track or browser first."""
    first = begin
    while first < stop and (data[first] == 32 or data[first] == 9):
        first += 1
    return first == stop or data[begin] == 35 or _begins_with(data, begin, stop, TRACK) or _begins_with(data, begin, stop, BROWSER)


@numba.njit(cache=True, nogil=True, inline="always")
def _begins_with(data, begin, stop, word):
    """Whether the first word of a line is ``word``."""
    after = begin + len(word)
    if after > stop or (after < stop and data[after] != 32 and data[after] != 9):
        return False
    for i in range(len(word)):
        if data[begin + i] != word[i]:
            return False
    return True


@numba.njit(cache=True, nogil=True, inline="always")
def _split(data, begin, stop, columns, left, right):
    """Write where each column of ``columns`` begins and ends in a line; -1 where the line has no such column."""
    left[:] = -1
    right[:] = -1
    separator = 32
    for i in range(begin, stop):
        if data[i] == 9:
            separator = 9
            break
    last = columns.max()
    column, at = 0, begin
    while column <= last:
        if separator == 32:
            while at < stop and data[at] == 32:
                at += 1
            if at == stop:
                break
        first = at
        while at < stop and data[at] != separator:
            at += 1
        for one in range(len(columns)):
            if columns[one] == column:
                left[one], right[one] = first, at
        if at == stop:
            break
        at += 1
        column += 1


@numba.njit(cache=True, nogil=True, inline="always")
def _number(data, begin, end):
    """Whether a text is a whole number of at most 18 digits, and the number."""
    negative = begin < end and data[begin] == 45
    first = begin + 1 if negative else begin
    number = 0
    for i in range(first, end):
        if not 48 <= data[i] <= 57:
            return False, 0
        number = 10 * number + data[i] - 48
    return 1 <= end - first <= 18, -number if negative else number


@numba.njit(cache=True, nogil=True, inline="always")
def _intern(data, begin, end, slots, places, count):
    """Number of a text among those seen, which lie at ``places``; a new one gets the number ``count``.

    ``slots`` is a hash table (its size a power of two) of numbers + 1; 0: free.
    """
    key = np.uint64(14695981039346656037)  # FNV-1a
    for i in range(begin, end):
        key = (key ^ np.uint64(data[i])) * np.uint64(1099511628211)
    slot = np.int64(key & np.uint64(len(slots) - 1))
    while slots[slot]:
        seen = slots[slot] - 1
        if places[seen, 1] - places[seen, 0] == end - begin:
            same = True
            for i in range(end - begin):
                same &= data[places[seen, 0] + i] == data[begin + i]
            if same:
                return seen
        slot = (slot + 1) & (len(slots) - 1)
    slots[slot] = count + 1
    places[count, 0], places[count, 1] = begin, end
    return count


def merge(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Union of intervals on one chromosome as sorted, disjoint int64 starts and ends; those that touch are joined."""
    order = np.argsort(start, kind="stable")
    start, end = np.asarray(start, np.int64)[order], np.asarray(end, np.int64)[order]
    if not len(start):
        return start, end
    reach = np.maximum.accumulate(end)
    first = np.r_[True, start[1:] > reach[:-1]]
    return start[first], reach[np.r_[np.flatnonzero(first)[1:] - 1, len(start) - 1]]


def distance_to_nearest(point: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """Distance in bp from each point to the nearest site on the chromosome, float64 (n,); NaN without sites."""
    sites = np.sort(np.asarray(sites, np.int64))
    if not len(sites):
        return np.full(len(point), np.nan)
    right = np.clip(np.searchsorted(sites, point), 0, len(sites) - 1)
    left = np.maximum(right - 1, 0)
    return np.minimum(np.abs(point - sites[left]), np.abs(point - sites[right])).astype(float)


def count_separate(chrom: np.ndarray, start: np.ndarray, end: np.ndarray) -> int:
    """How many disjoint stretches the intervals form once overlapping ones are joined.

    Overlapping positive windows mostly see the same element, so this is the number of independent positives.
    """
    table = pd.DataFrame({"chrom": np.asarray(chrom), "start": np.asarray(start), "end": np.asarray(end)})
    return sum(len(merge(part["start"].to_numpy(), part["end"].to_numpy())[0]) for _, part in table.groupby("chrom", observed=True))
