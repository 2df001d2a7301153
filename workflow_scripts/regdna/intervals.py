"""Intervals on chromosomes, 0-based and half-open: reading BED and UCSC tables, overlap, merging."""

import logging
from pathlib import Path

import numba
import numpy as np
import pandas as pd
from isal import igzip, isal_zlib

from regdna.step import InputError

log = logging.getLogger("regdna")

# Tables of UCSC's database, known by their file name (also gzipped): their columns, from 0, of chrom, start and end.
UCSC_TABLES = {"rmsk.txt": (5, 6, 7), "gap.txt": (1, 2, 3), "centromeres.txt": (1, 2, 3)}
STRANDS = [".", "+", "-"]
STRAND, SUMMIT = 5, 9  # columns, from 0, of BED6 and narrowPeak
SLOTS = np.full(1024, -1, np.int32)
NO_NUMBER = np.iinfo(np.int64).min
# First bytes of lines that may hold no interval: blank, comments, track and browser.
ODD = np.isin(np.arange(256), list(b"#tb \t\r\n"))


def read_bed(path: Path, value: int = 0, summit: bool = False) -> pd.DataFrame:
    """The intervals of a BED file (narrowPeak and the like too) or of one of ``UCSC_TABLES``, plain or gzipped.

    Columns are separated by tabs or, in a line without tabs, by spaces. Blank lines, comments and lines that begin with the
    word track or browser are skipped. A file without intervals gives an empty table.

    Args:
        path: the file.
        value: number, from 1, of one more column to read; 0: none.
        summit: whether to read the summits of a narrowPeak file; intervals whose summit lies beyond their end are left out.

    Returns:
        chrom (category), start and end (int64, 0-based, half-open), strand (category; '.' where absent, and in tables of
        UCSC), ``value`` (category of texts) and ``summit`` (int64, 0-based position on the chromosome) where asked for.

    Raises:
        InputError: the file is cut short, or a line is not BED or lacks what was asked for.
    """
    data = _read(path)
    table = UCSC_TABLES.get(path.name.removesuffix(".gz"))
    plain = None if table or value or summit else _plain(data)
    if plain is not None:
        return plain
    chrom, begin, end = table or range(3)
    wanted = {"chrom": chrom, "start": begin, "end": end}
    wanted |= ({} if table else {"strand": STRAND}) | ({"value": value - 1} if value else {}) | ({"summit": SUMMIT} if summit else {})
    begins, ends, lines = _lines(data)
    columns = sorted(set(wanted.values()))
    places = _split(data, begins, ends, np.array(columns))
    place = {name: places[:, columns.index(column)] for name, column in wanted.items()}

    start, end = _numbers(data, *place["start"]), _numbers(data, *place["end"])
    found = {"chrom": _texts(data, *place["chrom"]), "start": start, "end": end, "strand": _strands(data, place.get("strand"), len(lines))}
    nameless = place["chrom"][1] <= place["chrom"][0]
    where = f"columns {wanted['chrom'] + 1} to {wanted['end'] + 1}"
    problems = [
        (
            nameless | (start == NO_NUMBER) | (end == NO_NUMBER),
            f"is not BED (chrom, start and end in {where}, with tabs); mend or remove it",
        ),
        ((start < 0) | (start >= end), "has start {start} and end {end}; 0 <= start < end is needed"),
    ]
    if value:
        found["value"] = _texts(data, *place["value"])
        problems.append((place["value"][0] < 0, f"has no column {value}; name a column that every line has"))
    if summit:
        away = _numbers(data, *place["summit"])
        found["summit"] = start + away
        problems.append((away < 0, f"has no summit (column {SUMMIT + 1}); choose a rule that needs no summits"))
    first = [np.argmax(bad) if bad.any() else len(bad) for bad, _ in problems]
    at = min(first)
    if at < len(lines):
        problem = problems[first.index(at)][1]
        raise InputError(f"{path}: line {lines[at]} {problem.format(start=start[at], end=end[at])}")
    return _with_summit(pd.DataFrame(found), path) if summit else pd.DataFrame(found)


def _with_summit(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Intervals without those whose summit lies beyond their end, as published files have some (clipped peaks).

    Raises:
        InputError: most of them do: the column is no summit.
    """
    beyond = (table["summit"] >= table["end"]).to_numpy()
    if beyond.sum() > len(table) / 2:
        raise InputError(
            f"{path}: {beyond.sum()} of {len(table)} summits (column {SUMMIT + 1}) lie beyond their interval; choose another rule"
        )
    if beyond.any():
        log.info("%s: %d of %d intervals left out, whose summit lies beyond their end", path, beyond.sum(), len(table))
    return table[~beyond].reset_index(drop=True)


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


def _plain(data: np.ndarray) -> pd.DataFrame | None:
    """The intervals of a sound file with nothing but tabs and short names, as most are, in one go; None of any other.

    What it gives is what the other functions would give together; what it refuses, they read or explain.
    """
    keys, code, start, end, strand = _parse_plain(data)
    if not len(keys):
        return None
    names = [int(key).to_bytes(8, "big").lstrip(b"\0").decode("ascii") for key in keys]
    chrom = pd.Categorical.from_codes(code, pd.Index(names, dtype="str"))
    return pd.DataFrame({"chrom": chrom, "start": start, "end": end, "strand": pd.Categorical.from_codes(strand, STRANDS)})


def _lines(data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the lines that hold intervals begin and end in ``data``, and their numbers from 1; int64 (n,) each."""
    ends = np.flatnonzero(data == ord("\n"))
    begins = np.append(0, ends + 1)
    ends = np.append(ends, len(data))
    if begins[-1] == len(data):
        begins, ends = begins[:-1], ends[:-1]
    held = np.ones(len(begins), bool)
    for line in np.flatnonzero(ODD[data[begins]]):
        text = data[begins[line] : ends[line]].tobytes()
        held[line] = text.strip() and not text.startswith(b"#") and text.split()[0] not in (b"track", b"browser")
    return begins[held], ends[held], np.flatnonzero(held) + 1


def _texts(data: np.ndarray, left: np.ndarray, right: np.ndarray) -> pd.Categorical:
    """The texts that begin at ``left`` and end before ``right``."""
    codes, known = _intern(data, left, right)
    texts = [data[left[one] : right[one]].tobytes().decode("utf-8", "backslashreplace") for one in known]
    return pd.Categorical.from_codes(codes, pd.Index(texts, dtype="str"))


def _strands(data: np.ndarray, place: np.ndarray | None, rows: int) -> pd.Categorical:
    """Strands from where their column lies; '.' where it is absent or says anything else."""
    codes = np.zeros(rows, np.int8)
    if place is not None:
        left, right = place
        single = right - left == 1
        sign = data[left[single]]
        codes[single] = (sign == ord("+")) + 2 * (sign == ord("-"))
    return pd.Categorical.from_codes(codes, STRANDS)


# Arrays are handed to no function inside a loop of these kernels: counting who holds them costs more than the work.


@numba.njit(cache=True, nogil=True)
def _parse_plain(data):
    """As ``_plain``: the names' bytes as numbers, and for each interval the number of its name, start, end and number of its strand.

    Without any name where a line is not plain: a name of 1 to 8 letters that cannot begin a header, a start, a larger end,
    and a strand of one letter in the sixth column if there are so many.
    """
    rows = 0
    for at in range(len(data)):
        rows += data[at] == 10
    code, start, end, strand = np.empty(rows, np.int32), np.empty(rows, np.int64), np.empty(rows, np.int64), np.zeros(rows, np.int8)
    keys, slots, count = np.empty(len(SLOTS) // 2, np.uint64), SLOTS.copy(), 0
    if not rows or data[-1] != 10:
        return keys[:0], code, start, end, strand
    at = 0
    for row in range(rows):
        first, key, byte = at, np.uint64(0), data[at]
        sound = byte != 35 and byte != 98 and byte != 116  # no line begins with #, b(rowser) or t(rack)
        while 32 < byte < 128:
            key = key << np.uint64(8) | np.uint64(byte)
            at += 1
            byte = data[at]
        sound &= byte == 9 and 1 <= at - first <= 8
        for column in range(2):
            at += byte == 9
            first, number, byte = at, np.int64(0), data[at]
            while 48 <= byte <= 57:
                number = 10 * number + np.int64(byte) - 48
                at += 1
                byte = data[at]
            sound &= 1 <= at - first <= 18 and (byte == 9 or (byte == 10 and column == 1))
            if column:
                end[row] = number
            else:
                start[row] = number
        sound &= start[row] < end[row]
        columns = 3
        while byte == 9 and columns < 6:
            first = at + 1
            at += 1
            byte = data[at]
            while byte != 9 and byte != 10:
                at += 1
                byte = data[at]
            columns += 1
        if columns == 6 and at - first == 1:
            strand[row] = 1 if data[first] == 43 else 2 if data[first] == 45 else 0
        sound &= data[at - 1] != 13
        slot = np.int64(key * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(54))
        while slots[slot] >= 0 and keys[slots[slot]] != key:
            slot = (slot + 1) % len(slots)
        if slots[slot] < 0:
            if count == len(keys):
                sound = False
            else:
                keys[count], slots[slot] = key, count
                count += 1
        code[row] = slots[slot]
        if not sound:
            return keys[:0], code, start, end, strand
        while data[at] != 10:
            at += 1
        at += 1
    return keys[:count], code, start, end, strand


@numba.njit(cache=True, nogil=True)
def _split(data, begins, ends, columns):
    """Where ``columns`` (from 0, ascending) of each line begin and end in ``data``, int64 (2, columns, lines); -1 where absent."""
    places = np.full((2, len(columns), len(begins)), -1)
    for line in range(len(begins)):
        at, stop = begins[line], ends[line]
        if data[stop - 1] == 13:
            stop -= 1
        separator = 32
        for place in range(at, stop):
            if data[place] == 9:
                separator = 9
                break
        column, one = 0, 0
        while one < len(columns):
            if separator == 32:
                while at < stop and data[at] == 32:
                    at += 1
                if at == stop:
                    break
            first = at
            while at < stop and data[at] != separator:
                at += 1
            if column == columns[one]:
                places[0, one, line], places[1, one, line] = first, at
                one += 1
            if at == stop:
                break
            at += 1
            column += 1
    return places


@numba.njit(cache=True, nogil=True)
def _numbers(data, left, right):
    """The whole numbers of at most 18 digits that begin at ``left`` and end before ``right``, int64 (n,); NO_NUMBER for other texts."""
    numbers = np.empty(len(left), np.int64)
    for one in range(len(left)):
        first, stop = left[one], right[one]
        negative = first < stop and data[first] == 45
        first += negative
        number = np.int64(0)
        fine = 1 <= stop - first <= 18
        for at in range(first, stop):
            digit = np.int64(data[at]) - 48
            fine &= 0 <= digit <= 9
            number = 10 * number + digit
        numbers[one] = (-number if negative else number) if fine else NO_NUMBER
    return numbers


@numba.njit(cache=True, nogil=True)
def _intern(data, left, right):
    """A code for each different text, int32 (n,), and for each code one of the texts that have it."""
    codes, known, count = np.empty(len(left), np.int32), np.empty(len(left), np.int64), 0
    capacity = 64
    while capacity < 2 * len(left):
        capacity *= 2
    slots = np.full(capacity, -1, np.int32)
    for one in range(len(left)):
        size = right[one] - left[one]
        same = one > 0 and right[one - 1] - left[one - 1] == size  # as most are
        for at in range(size if same else 0):
            same &= data[left[one - 1] + at] == data[left[one] + at]
        if same:
            codes[one] = codes[one - 1]
            continue
        key = np.uint64(14695981039346656037)  # FNV-1a
        for at in range(left[one], right[one]):
            key = (key ^ np.uint64(data[at])) * np.uint64(1099511628211)
        slot = np.int64(key & np.uint64(capacity - 1))
        while slots[slot] >= 0:
            seen = known[slots[slot]]
            same = right[seen] - left[seen] == size
            for at in range(size if same else 0):
                same &= data[left[seen] + at] == data[left[one] + at]
            if same:
                break
            slot = (slot + 1) & (capacity - 1)
        if slots[slot] < 0:
            slots[slot] = count
            known[count] = one
            count += 1
        codes[one] = slots[slot]
    return codes, known[:count]


def by_other_name(chrom: str) -> str:
    """The name of a chromosome as those write it who call chr1 1, or 1 chr1."""
    return chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"


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
    # All on one axis, chromosome after chromosome with a base between: sequences without coordinates are a chromosome each.
    start, end = np.asarray(start, np.int64), np.asarray(end, np.int64)
    code, _ = pd.factorize(np.asarray(chrom))
    low = start.min(initial=0)
    shift = code * (end.max(initial=0) - low + 1)
    return len(merge(start - low + shift, end - low + shift)[0])
