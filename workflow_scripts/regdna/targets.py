"""Targets: what each window is labelled with, packed eight to a byte."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.intervals import merge
from regdna.step import progress

PIECE = 1 << 16  # rows that are unpacked at once

NOWHERE = np.iinfo(np.int64).min


class Bins:
    """Equally wide bins, prepared once so that the bins near any base are found without a search over all of them.

    Args:
        chrom: (n,) names; any order.
        start: int (n,), 0-based; repeats are allowed.
        width: of every bin in bp.
    """

    def __init__(self, chrom: Sequence[str], start: np.ndarray, width: int):
        start = np.asarray(start, np.int64)
        code, names = pd.factorize(np.asarray(chrom))
        self.width = int(width)
        self.code = {name: at for at, name in enumerate(names)}
        self.rank, self.start = None, start
        ahead, further = np.diff(code), np.diff(start)
        if ((ahead < 0) | ((ahead == 0) & (further < 0))).any():
            order = np.lexsort((start, code))
            self.start = start[order]
            # int32 (n,): where each bin, in the order given, lies in sorted order; None: in the same place.
            self.rank = np.empty(len(order), np.int32)
            self.rank[order] = np.arange(len(order), dtype=np.int32)
        self.bounds = np.r_[0, np.cumsum(np.bincount(code, minlength=len(names)))].astype(np.int64)
        self._index = _index(self.start, self.bounds)

    def __len__(self) -> int:
        return len(self.start)

    def between(self, chrom: pd.Series, lowest: np.ndarray, highest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which bins start at ``lowest`` to ``highest``, for each of m pairs: the first in sorted order, and one past the last.

        Both int64 (m,); equal where no bin does, or none lies on the chromosome.
        """
        names = chrom.array if isinstance(chrom.dtype, pd.CategoricalDtype) else pd.Categorical(chrom)
        known = np.array([self.code.get(name, -1) for name in names.categories] + [-1], np.int64)
        return _between(names.codes.astype(np.int64), known, lowest, highest, self.start, self.bounds, *self._index)


def label(bins: Bins, tables: Sequence[Callable[[], pd.DataFrame]], rules: Sequence[str], threads: int = 1) -> np.ndarray:
    """Which bins each table's intervals make positive, uint8 (n, ceil(T / 8)) packed as ``pack`` does, bins in the order given.

    Intervals on chromosomes without bins count for nothing.

    Args:
        bins: the bins.
        tables: T functions that each give intervals as ``intervals.read_bed`` does (chrom, start, end, and summit for
            ``summit_in_bin``); called in the worker threads, so that at most ``threads`` tables are held at once.
        rules: a key of ``RULES`` for each table.
        threads: how many tables are read and looked up at once.

    Raises:
        KeyError: another rule.
        ValueError: not one rule for each table.
    """
    if len(tables) != len(rules):
        raise ValueError(f"{len(tables)} tables and {len(rules)} rules; one rule for each table is needed")
    marks = [RULES[rule] for rule in rules]
    packed = np.zeros((len(bins), -(-len(tables) // 8)), np.uint8)
    # Eight targets share a byte, and two threads must not change one byte at the same time.
    locks = [threading.Lock() for _ in range(packed.shape[1])]

    def one(target: int) -> None:
        table = tables[target]()
        with locks[target // 8]:
            marks[target](bins, table, packed[:, target // 8], np.uint8(128 >> target % 8))

    tell = progress(len(tables), "labels", "targets")
    with ThreadPoolExecutor(threads) as pool:
        for done, _ in enumerate(pool.map(one, range(len(tables))), start=1):
            tell(done)
    return packed if bins.rank is None else np.take(packed, bins.rank, axis=0)


def _bin_half_covered(bins: Bins, table: pd.DataFrame, byte: np.ndarray, bit: np.uint8) -> None:
    """More than half of the bin lies in one single interval (Zhou and Troyanskaya 2015): at least 101 of 200 bp."""
    _overlap(bins, table, byte, bit, bins.width // 2 + 1)


def _any_overlap(bins: Bins, table: pd.DataFrame, byte: np.ndarray, bit: np.uint8) -> None:
    """At least one base of the bin lies in an interval."""
    _overlap(bins, table, byte, bit, 1)


def _overlap(bins: Bins, table: pd.DataFrame, byte: np.ndarray, bit: np.uint8, least: int) -> None:
    """Set ``bit`` of the bins that share at least ``least`` bp with one single interval [s, e).

    The bin [b, b + width) does so where s + least - width <= b <= e - least, and none does if the interval is shorter than that.
    """
    start, end = table["start"].to_numpy(), table["end"].to_numpy()
    highest = np.where(end - start >= least, end - least, NOWHERE)
    _set(*bins.between(table["chrom"], start + (least - bins.width), highest), byte, bit)


def _summit_in_bin(bins: Bins, table: pd.DataFrame, byte: np.ndarray, bit: np.uint8) -> None:
    """The summit of an interval is a base of the bin."""
    summit = table["summit"].to_numpy(copy=True)
    _set(*bins.between(table["chrom"], summit - bins.width + 1, summit), byte, bit)


def _union_half_covered(bins: Bins, table: pd.DataFrame, byte: np.ndarray, bit: np.uint8) -> None:
    """More than half of the bin lies in the union of the intervals."""
    covered = np.zeros(len(bins), np.int32)
    for name, part in table.groupby("chrom", observed=True):
        start, end = merge(part["start"].to_numpy(), part["end"].to_numpy())
        chrom = pd.Series(pd.Categorical.from_codes(np.zeros(len(start), np.int8), [name]))
        _cover(*bins.between(chrom, start - bins.width + 1, end - 1), start, end, bins.start, bins.width, covered)
    byte[covered > bins.width // 2] |= bit


RULES: dict[str, Callable[[Bins, pd.DataFrame, np.ndarray, np.uint8], None]] = {
    "bin_half_covered": _bin_half_covered,
    "any_overlap": _any_overlap,
    "summit_in_bin": _summit_in_bin,
    "union_half_covered": _union_half_covered,
}


def _index(start: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How the bins of each chromosome are found: by arithmetic on a regular grid, else through a table of about one entry a bin.

    Returns, for each chromosome, the grid's step (0: no grid); the power of two that a bucket of bases spans; where its part
    of the table begins; and the table: the first bin (in sorted order) of each bucket and of all after it.
    """
    chroms = len(bounds) - 1
    step, shift, lookup_at = (np.zeros(chroms, np.int64) for _ in range(3))
    tables, size = [np.zeros(0, np.int32)], 0
    for chrom in range(chroms):
        mine = start[bounds[chrom] : bounds[chrom + 1]]
        gaps = np.diff(mine)
        if len(gaps) and gaps[0] > 0 and (gaps == gaps[0]).all():
            step[chrom] = gaps[0]
            continue
        span = int(mine[-1] - mine[0])
        shift[chrom] = (span // len(mine)).bit_length()
        bucket = (mine - mine[0]) >> shift[chrom]
        lookup_at[chrom] = size
        tables.append((bounds[chrom] + np.searchsorted(bucket, np.arange(bucket[-1] + 2))).astype(np.int32))
        size += len(tables[-1])
    return step, shift, lookup_at, np.concatenate(tables)


@numba.njit(cache=True, nogil=True)
def _between(code, known, lowest, highest, start, bounds, step, shift, lookup_at, lookup):
    """As ``Bins.between``; ``known`` turns the codes of the names into the numbers of the bins' chromosomes."""
    at, stop = np.zeros(len(code), np.int64), np.zeros(len(code), np.int64)
    for one in range(len(code)):
        chrom, low = known[code[one]], lowest[one]
        if chrom < 0:
            continue
        begin, end = bounds[chrom], bounds[chrom + 1]
        away = low - start[begin]
        if low > start[end - 1] or highest[one] < max(low, start[begin]):
            continue
        first = begin
        if step[chrom]:
            if away > 0:
                first += (away + step[chrom] - 1) // step[chrom]
            last = min(begin + (highest[one] - start[begin]) // step[chrom] + 1, end)
        else:
            if away > 0:
                bucket = lookup_at[chrom] + (away >> shift[chrom])
                first, last = np.int64(lookup[bucket]), np.int64(lookup[bucket + 1])
                while first < last:
                    middle = (first + last) >> 1
                    if start[middle] < low:
                        first = middle + 1
                    else:
                        last = middle
            last = first
            while last < end and start[last] <= highest[one]:
                last += 1
        at[one], stop[one] = first, last
    return at, stop


@numba.njit(cache=True, nogil=True)
def _set(at, stop, byte, bit):
    """Set ``bit`` of the bins of each range."""
    for one in range(len(at)):
        for place in range(at[one], stop[one]):
            byte[place] |= bit


@numba.njit(cache=True, nogil=True)
def _cover(at, stop, first, last, start, width, covered):
    """Add to each bin of a range the bases that its interval [first, last) covers."""
    for one in range(len(at)):
        for place in range(at[one], stop[one]):
            covered[place] += min(last[one], start[place] + width) - max(first[one], start[place])


def around(sites: pd.DataFrame, upstream: int, downstream: int) -> pd.DataFrame:
    """Intervals of the ``upstream`` bases before each site and the ``downstream`` bases from the site on, along its strand.

    The site of an interval is its 5' end: its first base, or its last where the strand is '-'.

    Args:
        sites: chrom, start, end (0-based, half-open) and strand ('-' turns the interval round).
    """
    minus = (sites["strand"] == "-").to_numpy()
    site = np.where(minus, sites["end"].to_numpy() - 1, sites["start"].to_numpy())
    start = np.where(minus, site - downstream + 1, site - upstream)
    end = np.where(minus, site + upstream + 1, site + downstream)
    return pd.DataFrame({"chrom": sites["chrom"].array, "start": np.maximum(start, 0), "end": end})


def pack(labels: np.ndarray) -> np.ndarray:
    """Bits packed along targets: bool (n, T) to uint8 (n, ceil(T / 8)), the first target in the highest bit."""
    return np.packbits(labels, axis=1)


def join_columns(packed: np.ndarray, targets: int, more: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Further targets beside packed ones, packed again.

    Args:
        packed: uint8 (n, ceil(targets / 8)).
        targets: how many targets they hold.
        more: bool (n, m), the others.
        order: int (targets + m,), which column of both comes where.
    """
    out = np.empty((len(packed), -(-len(order) // 8)), np.uint8)
    for begin in range(0, len(packed), PIECE):
        rows = slice(begin, begin + PIECE)
        held = np.unpackbits(packed[rows], axis=1, count=targets).astype(bool)
        out[rows] = pack(np.concatenate([held, more[rows]], 1)[:, order])
    return out


def count(packed: np.ndarray, targets: int) -> np.ndarray:
    """Positive windows of each target, int64 (targets,)."""
    out = np.zeros(targets, np.int64)
    for begin in range(0, len(packed), PIECE):
        out += np.unpackbits(packed[begin : begin + PIECE], axis=1, count=targets).sum(0, dtype=np.int64)
    return out


def number_of_targets(packed: np.ndarray) -> np.ndarray:
    """How many targets each window has, int64 (n,)."""
    return np.bitwise_count(packed).sum(1, dtype=np.int64)


class Targets:
    """A dataset's labels and what they mean.

    ``targets[rows]`` gives bool (len(rows), T). Targets are known by their index: names may repeat.

    Args:
        packed: .npy written from ``pack``; memory-mapped.
        table: .tsv with index, cell_type, assay, target, source, positives.
    """

    def __init__(self, packed: Path, table: Path):
        self.packed = read_array(packed, "r")
        self.table = pd.read_csv(table, sep="\t", dtype={"cell_type": str, "assay": str, "target": str}, keep_default_na=False)
        if self.packed.shape[1] != -(-len(self.table) // 8):
            raise ValueError(f"{packed} holds {self.packed.shape[1]} bytes a row, but {table} lists {len(self.table)} targets")

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.unpackbits(self.packed[rows], axis=1, count=len(self.table)).astype(bool)

    @property
    def names(self) -> list[str]:
        """A readable name per target; not a key."""
        return [" ".join(part for part in (row.cell_type, row.target) if part) for row in self.table.itertuples()]
