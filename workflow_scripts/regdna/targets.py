"""Targets: what each window is labelled with, packed eight to a byte."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.intervals import merge
from regdna.step import progress

PIECE = 1 << 16  # rows that are unpacked at once

CROWD = 8  # bins that are looked through one by one


class Bins:
    """Equally wide bins, prepared once so that the bins near any base are found without a search over all of them.

    Args:
        chrom: (n,) names; any order.
        start: int (n,), 0-based; repeats are allowed.
        width: of every bin in bp.
    """

    def __init__(self, chrom: Sequence[str], start: np.ndarray, width: int):
        code, names = pd.factorize(np.asarray(chrom))
        # int32: the bins' memory is what labelling waits for, and no chromosome here has 2**31 bases.
        self.start, self.width, self.rank = np.asarray(start).astype(np.int32), int(width), None
        if ((np.diff(code) < 0) | ((np.diff(code) == 0) & (np.diff(self.start) < 0))).any():
            order = np.lexsort((self.start, code))
            self.start = self.start[order]
            # int32 (n,): where each bin, in the order given, lies in sorted order; None: in the same place.
            self.rank = np.empty(len(order), np.int32)
            self.rank[order] = np.arange(len(order), dtype=np.int32)
        self.bounds = np.r_[0, np.cumsum(np.bincount(code, minlength=len(names)))].astype(np.int64)
        self._code = {name: at for at, name in enumerate(names)}
        self._index = (self.start, self.bounds, *_index(self.start, self.bounds))

    def __len__(self) -> int:
        return len(self.start)

    def mark(self, chrom: pd.Series, first: np.ndarray, last: np.ndarray, least: int, marks: np.ndarray, bit: np.uint8) -> None:
        """Set ``bit`` of the bins that share at least ``least`` bp with one single interval [first, last).

        Args:
            chrom: (m,) names; where no bin lies on one, nothing is set.
            first, last: int64 (m,).
            marks: uint8 (n,), one for each bin in sorted order; changed.
        """
        names = chrom.array if isinstance(chrom.dtype, pd.CategoricalDtype) else pd.Categorical(chrom)
        known = np.array([self._code.get(name, -1) for name in names.categories] + [-1], np.int64)
        _mark(names.codes.astype(np.int32), known, first, last, least, self.width, *self._index, marks, bit)

    def chromosomes(self) -> Iterator[tuple[str, slice]]:
        """Each chromosome's name, and where its bins lie in sorted order."""
        for name, at in self._code.items():
            yield name, slice(self.bounds[at], self.bounds[at + 1])


def label(bins: Bins, tables: Sequence[Callable[[], pd.DataFrame]], rules: Sequence[str], threads: int = 1) -> np.ndarray:
    """Which bins each table's intervals make positive, uint8 (n, ceil(T / 8)) packed as ``pack`` does, bins in the order given.

    Intervals on chromosomes without bins count for nothing.

    Args:
        bins: the bins.
        tables: T functions that each give intervals as ``intervals.read_bed`` does (chrom, start, end, and summit for
            ``summit_in_bin``); called in the worker threads, so that at most ``threads`` tables are held at once.
        rules: a key of ``RULES`` for each table.
        threads: how many tables are read and looked up at once; each takes eight, those that share a byte.

    Raises:
        KeyError: another rule.
        ValueError: not one rule for each table.
    """
    if len(tables) != len(rules):
        raise ValueError(f"{len(tables)} tables and {len(rules)} rules; one rule for each table is needed")
    marking = [RULES[rule] for rule in rules]
    packed = np.zeros((len(bins), -(-len(tables) // 8)), np.uint8)

    def eight(byte: int) -> int:
        marks, last = np.zeros(len(bins), np.uint8), min(8 * byte + 8, len(tables))
        for target in range(8 * byte, last):
            marking[target](bins, tables[target](), marks, np.uint8(128 >> target % 8))
        packed[:, byte] = marks if bins.rank is None else marks[bins.rank]
        return last

    tell = progress(len(tables), "labels", "targets")
    with ThreadPoolExecutor(threads) as pool:
        for done in pool.map(eight, range(packed.shape[1])):
            tell(done)
    return packed


def _bin_half_covered(bins: Bins, table: pd.DataFrame, marks: np.ndarray, bit: np.uint8) -> None:
    """More than half of the bin lies in one single interval (Zhou and Troyanskaya 2015): at least 101 of 200 bp."""
    _overlap(bins, table, marks, bit, bins.width // 2 + 1)


def _any_overlap(bins: Bins, table: pd.DataFrame, marks: np.ndarray, bit: np.uint8) -> None:
    """At least one base of the bin lies in an interval."""
    _overlap(bins, table, marks, bit, 1)


def _overlap(bins: Bins, table: pd.DataFrame, marks: np.ndarray, bit: np.uint8, least: int) -> None:
    """Mark the bins that share at least ``least`` bp with one single interval."""
    bins.mark(table["chrom"], table["start"].to_numpy(), table["end"].to_numpy(), least, marks, bit)


def _summit_in_bin(bins: Bins, table: pd.DataFrame, marks: np.ndarray, bit: np.uint8) -> None:
    """The summit of an interval is a base of the bin."""
    bins.mark(table["chrom"], table["summit"].to_numpy(), (table["summit"] + 1).to_numpy(), 1, marks, bit)


def _union_half_covered(bins: Bins, table: pd.DataFrame, marks: np.ndarray, bit: np.uint8) -> None:
    """More than half of the bin lies in the union of the intervals."""
    for name, rows in bins.chromosomes():
        mine = table[table["chrom"] == name]
        start, end = merge(mine["start"].to_numpy(), mine["end"].to_numpy())
        marks[rows] |= bit * (_covered(bins.start[rows], bins.width, start, end) > bins.width // 2)


RULES: dict[str, Callable[[Bins, pd.DataFrame, np.ndarray, np.uint8], None]] = {
    "bin_half_covered": _bin_half_covered,
    "any_overlap": _any_overlap,
    "summit_in_bin": _summit_in_bin,
    "union_half_covered": _union_half_covered,
}


def _index(start: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How the bins of each chromosome are found: by arithmetic on a regular grid, else through a table of about one entry a bin.

    Returns, for each chromosome, the grid's step (0: no grid); the power of two of bases that a bucket spans; where its part
    of the table begins; and the table: for each bucket the first bin (in sorted order) that lies in it or behind it.
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
        shift[chrom] = int((mine[-1] - mine[0]) // len(mine)).bit_length()
        bucket = (mine - mine[0]) >> shift[chrom]
        lookup_at[chrom] = size
        tables.append((bounds[chrom] + np.searchsorted(bucket, np.arange(bucket[-1] + 2))).astype(np.int32))
        size += len(tables[-1])
    return step, shift, lookup_at, np.concatenate(tables)


@numba.njit(cache=True, nogil=True)
def _mark(code, known, first, last, least, width, start, bounds, step, shift, lookup_at, lookup, marks, bit):
    """As ``Bins.mark``; ``known`` turns the codes of the names into the numbers of the bins' chromosomes.

    The bin [b, b + width) shares that much with [s, e) where s + least - width <= b <= e - least and e - s >= least.
    """
    seen, begin, end, grid, power, table, lowest, highest = -2, 0, 0, 0, 0, 0, 0, -1
    for one in range(len(code)):
        if code[one] != seen:  # rarely: most tables are sorted
            seen = code[one]
            chrom = known[seen]
            lowest, highest = 0, -1
            if chrom >= 0:
                begin, end = bounds[chrom], bounds[chrom + 1]
                grid, power, table = step[chrom], shift[chrom], lookup_at[chrom]
                lowest, highest = np.int64(start[begin]), np.int64(start[end - 1])
        low, high = max(first[one] + least - width, lowest), min(last[one] - least, highest)
        if low > high or last[one] - first[one] < least:
            continue
        if grid:
            at, stop = begin + (low - lowest) // grid, begin + (high - lowest) // grid + 1
        else:
            near, far = table + ((low - lowest) >> power), table + ((high - lowest) >> power)
            # The first bin to mark lies within [at, most], the one past the last within [fewest, stop].
            at, most, fewest, stop = np.int64(lookup[near]), np.int64(lookup[near + 1]), np.int64(lookup[far]), np.int64(lookup[far + 1])
            while most - at > CROWD:
                middle = (at + most) >> 1
                if start[middle] < low:
                    at = middle + 1
                else:
                    most = middle
            while stop - fewest > CROWD:
                middle = (fewest + stop) >> 1
                if start[middle] <= high:
                    fewest = middle + 1
                else:
                    stop = middle
        # Few bins lie in an interval: four without a branch that cannot be foretold, the rest if there are more.
        for ahead in range(4):
            place = min(at + ahead, end - 1)
            marks[place] |= bit if low <= start[place] <= high else np.uint8(0)
        for place in range(at + 4, stop):
            marks[place] |= bit if low <= start[place] <= high else np.uint8(0)


@numba.njit(cache=True, nogil=True)
def _covered(start, width, first, last):
    """Bases of each bin (sorted) that lie in the intervals [first, last) (sorted and disjoint), int64 (n,); one chromosome."""
    covered = np.zeros(len(start), np.int64)
    near = 0
    for one in range(len(start)):
        while near < len(first) and last[near] <= start[one]:
            near += 1
        at = near
        while at < len(first) and first[at] < start[one] + width:
            covered[one] += min(last[at], start[one] + width) - max(first[at], start[one])
            at += 1
    return covered


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


def all_known(targets: int) -> np.ndarray:
    """What is stored where every label is known: packed as labels are, without a row, uint8 (0, ceil(targets / 8))."""
    return np.zeros((0, -(-targets // 8)), np.uint8)


def count_known(known: np.ndarray, targets: int, windows: int) -> np.ndarray:
    """Windows whose label is known, of each target, int64 (targets,).

    Args:
        known: packed, uint8 (windows, ceil(targets / 8)); or of no row: all are.
    """
    return count(known, targets) if len(known) else np.full(targets, windows, np.int64)


def number_of_targets(packed: np.ndarray) -> np.ndarray:
    """How many targets each window has, int64 (n,)."""
    return np.bitwise_count(packed).sum(1, dtype=np.int64)


class Targets:
    """A dataset's labels and what they mean.

    ``targets[rows]`` gives bool (len(rows), T), False where the label is not known: ask ``known`` before counting a negative.
    Targets are known by their index: names may repeat.

    Args:
        packed: .npy written from ``pack``; memory-mapped.
        table: .tsv with index, cell_type, assay, target, source, positives, known.
        known: .npy of which labels are known, packed in the same way; of no row, or None: all are.

    Attributes:
        mask: which labels are known, packed, uint8 (n, ceil(T / 8)), or None: all are.

    Raises:
        ValueError: the files do not fit each other.
    """

    def __init__(self, packed: Path, table: Path, known: Path | None = None):
        self.packed = read_array(packed, "r")
        self.table = pd.read_csv(table, sep="\t", dtype={"cell_type": str, "assay": str, "target": str}, keep_default_na=False)
        if self.packed.shape[1] != -(-len(self.table) // 8):
            raise ValueError(f"{packed} holds {self.packed.shape[1]} bytes a row, but {table} lists {len(self.table)} targets")
        mask = all_known(len(self.table)) if known is None else read_array(known, "r")
        if mask.shape not in ((0, self.packed.shape[1]), self.packed.shape):
            raise ValueError(f"{known} has shape {mask.shape}, but {packed} has {self.packed.shape}")
        self.mask = mask if len(mask) else None

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.unpackbits(self.packed[rows], axis=1, count=len(self.table)).astype(bool)

    def known(self, rows: np.ndarray) -> np.ndarray | None:
        """Which labels of some rows are known, bool (len(rows), T); None where every label of the dataset is."""
        return None if self.mask is None else np.unpackbits(self.mask[rows], axis=1, count=len(self.table)).astype(bool)

    @property
    def names(self) -> list[str]:
        """A readable name per target; not a key."""
        return [" ".join(part for part in (row.cell_type, row.target) if part) for row in self.table.itertuples()]
