"""Windows: which pieces of the assembly a dataset holds, what is known of each, and their sequence."""

from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import pandas as pd

from regdna.alphabet import N, gc_content
from regdna.arrays import read_array
from regdna.genome import Genome
from regdna.intervals import distance_to_nearest, merge
from regdna.step import InputError

READ_ROWS = 8192


def tile(first: int, last: int, bin_size: int, context: int, stride: int) -> np.ndarray:
    """Starts (0-based) of the windows of ``context`` bp centred on every ``stride``-th bp's bin that lie within [first, last).

    Bins begin at multiples of ``stride`` in the chromosome's own coordinates, so that every dataset of an assembly
    has the same bins.
    """
    flank = (context - bin_size) // 2
    begin = -(-(first + flank) // stride) * stride
    return np.arange(begin, last - flank - bin_size + 1, stride, dtype=np.int64) - flank


def centred(intervals: pd.DataFrame, genome: Genome, bin_size: int, context: int, pad: bool) -> pd.DataFrame:
    """Windows of ``context`` bp around bins on the middle of each interval, as chrom, start, end; each once, sorted.

    Args:
        intervals: chrom, start, end (0-based, half-open); those on chromosomes that the genome lacks are left out.
        pad: whether a window, though not its bin, may reach beyond what the genome holds.
    """
    chrom = intervals["chrom"].astype("str")
    held = genome.index.reindex(chrom)
    first, size = held["start"].to_numpy(), held["length"].to_numpy()  # NaN where the genome lacks the chromosome
    middle = ((intervals["start"] + intervals["end"]) // 2).to_numpy()
    reach = bin_size if pad else context
    low = middle - bin_size // 2 - (reach - bin_size) // 2
    fits = (low >= first) & (low + reach <= first + size)
    table = pd.DataFrame({"chrom": chrom.array, "start": middle - bin_size // 2 - (context - bin_size) // 2})[fits]
    table["end"] = table["start"] + context
    return table.drop_duplicates().sort_values(["chrom", "start"], ignore_index=True)


def count_bases(sequences: "Sequences") -> pd.DataFrame:
    """Share of G and C among known bases (``gc``) and of N among all (``n_fraction``) of each window, float64."""
    gc, unknown = np.empty(len(sequences)), np.empty(len(sequences))
    for begin in range(0, len(sequences), READ_ROWS):
        rows = np.arange(begin, min(begin + READ_ROWS, len(sequences)))
        batch = sequences[rows]
        gc[rows], unknown[rows] = gc_content(batch), (batch == N).mean(-1)
    return pd.DataFrame({"gc": gc, "n_fraction": unknown})


def count_covered(table: pd.DataFrame, repeats: pd.DataFrame | Genome | None, flank: int = 0) -> np.ndarray:
    """Share of each window that is covered, float64 (n,); NaN where nothing is known.

    Args:
        table: chrom, start, end (0-based, half-open).
        repeats: intervals, or a genome with its mask, or None.
        flank: bases on both sides of a window that are not looked at.
    """
    out = np.full(len(table), np.nan)
    if repeats is None:
        return out
    for chrom, rows in table.groupby("chrom", observed=True).indices.items():
        start, end = table["start"].to_numpy()[rows] + flank, table["end"].to_numpy()[rows] - flank
        if isinstance(repeats, Genome):
            first, last = repeats.bounds(chrom)
            shift = int(repeats.index.loc[chrom].offset) - first
            out[rows] = _count_bits(repeats.mask, np.maximum(start, first) + shift, np.minimum(end, last) + shift) / (end - start)
        else:
            part = repeats[repeats["chrom"] == chrom]
            low, high = merge(part["start"].to_numpy(), part["end"].to_numpy())
            out[rows] = (_covered_before(end, low, high) - _covered_before(start, low, high)) / (end - start)
    return out


@numba.njit(cache=True, nogil=True)
def _count_bits(packed, start, end):
    """Set bits at the positions [start, end) of packed bits, first position in the highest bit."""
    out = np.zeros(len(start), np.int64)
    for row in range(len(start)):
        for at in range(start[row] // 8, (end[row] + 7) // 8):
            byte = np.int64(packed[at])
            if at == start[row] // 8:
                byte &= 0xFF >> (start[row] % 8)
            if at == end[row] // 8:
                byte &= 0xFF00 >> (end[row] % 8)
            while byte:
                byte &= byte - 1
                out[row] += 1
    return out


def _covered_before(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Bases left of each point that disjoint, sorted intervals cover."""
    if not len(start):
        return np.zeros(len(point), np.int64)
    before = np.searchsorted(start, point)
    sizes = np.r_[0, np.cumsum(end - start)]
    last = np.maximum(before - 1, 0)
    return np.where(before > 0, sizes[last] + np.minimum(point, end[last]) - start[last], 0)


def describe(table: pd.DataFrame, bases: pd.DataFrame, repeat_fraction: np.ndarray, tss: pd.DataFrame | None, block: int) -> pd.DataFrame:
    """Add what a result is broken down by: block, cluster, gc, n_fraction, tss_distance and repeat_fraction.

    Args:
        table: chrom, start, end (0-based, half-open); rows in order.
        bases: gc and n_fraction of each, as ``count_bases`` gives.
        repeat_fraction: share of each that is a repeat, NaN if not known.
        tss: transcription start sites (chrom, start, end, strand; the 5' end of each), or None if the dataset has none.
        block: size of the resampling unit in bp.
    """
    out = table.copy()
    middle = (out["start"] + out["end"]) // 2
    out["block"] = out["chrom"] + ":" + (middle // block).astype("str")
    # Until homology is clustered (splits), every window is its own homology group.
    out["cluster"] = np.arange(len(out), dtype=np.int64)
    out["gc"], out["n_fraction"] = bases["gc"].to_numpy(), bases["n_fraction"].to_numpy()
    distance = np.full(len(out), np.nan)
    if tss is not None:
        site = np.where((tss["strand"] == "-").to_numpy(), tss["end"].to_numpy() - 1, tss["start"].to_numpy())
        for chrom, rows in out.groupby("chrom", observed=True).indices.items():
            distance[rows] = distance_to_nearest(middle.to_numpy()[rows], site[(tss["chrom"] == chrom).to_numpy()])
    out["tss_distance"] = distance
    out["repeat_fraction"] = repeat_fraction
    return out


@dataclass(frozen=True)
class Places:
    """Where windows lie; ``places[rows]`` are those of some. As an array, the middles alone: most models ask for no more.

    Attributes:
        chrom: names, object (n,).
        middle: centre of each window on its chromosome in bp, float64 (n,).
    """

    chrom: np.ndarray
    middle: np.ndarray

    @classmethod
    def of(cls, windows: pd.DataFrame) -> "Places":
        """Those of windows: chrom, start, end (0-based, half-open)."""
        return cls(windows["chrom"].to_numpy(object), ((windows["start"] + windows["end"]) / 2).to_numpy(float))

    def __len__(self) -> int:
        return len(self.middle)

    def __getitem__(self, rows: object) -> "Places":
        return Places(self.chrom[rows], self.middle[rows])

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.middle, dtype=dtype, copy=copy)


class Sequences:
    """The sequences of a dataset's windows, from its own array or from its assembly; read when asked for.

    ``sequences[rows]`` gives codes, uint8 (len(rows), length), in the order of ``rows``.

    Args:
        windows: chrom, start, end of every window (0-based, half-open).
        sequences: .npy of codes, uint8 (n, L), for datasets that come as sequences; else None.
        genome: codes, index and mask of the assembly, for datasets that come as coordinates; else None.
        length: bases wanted; the centre of longer windows is taken. None: all.

    Raises:
        InputError: the files do not fit the windows.
    """

    def __init__(self, windows: pd.DataFrame, sequences: Path | None = None, genome: list[Path] | None = None, length: int | None = None):
        if (sequences is None) == (not genome):
            raise InputError("a dataset has either sequences of its own or an assembly; give one of the two")
        widths = (windows["end"] - windows["start"]).unique()
        if len(widths) != 1:
            raise InputError(f"windows of {len(widths)} lengths; all must be equally long")
        self.length = int(length or widths[0])
        if self.length > widths[0]:
            raise InputError(f"a context of {self.length} bp was asked for, but the windows have {widths[0]}")
        self._shift = (int(widths[0]) - self.length) // 2
        self._chrom = windows["chrom"].to_numpy()
        self._start = windows["start"].to_numpy() + self._shift
        self._genome = Genome(*genome) if genome else None
        self._array = None if sequences is None else read_array(sequences, "r")
        if self._array is not None and len(self._array) != len(windows):
            raise InputError(f"{sequences}: {len(self._array)} rows, but {len(windows)} windows; make both again")

    def __len__(self) -> int:
        return len(self._start)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        if self._genome is not None:
            return self._genome.windows(self._chrom[rows], self._start[rows], self.length, pad=True)
        return np.asarray(self._array[rows, self._shift : self._shift + self.length])
