"""Windows: which pieces of the assembly a dataset holds, what is known of each, and their sequence."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.alphabet import N, gc_content
from regdna.arrays import read_array
from regdna.genome import Genome
from regdna.intervals import distance_to_nearest
from regdna.step import InputError

READ_ROWS = 8192


def tile(first: int, last: int, bin_size: int, context: int) -> np.ndarray:
    """Starts (0-based) of the windows of ``context`` bp centred on consecutive bins that lie within [first, last).

    Bins begin at multiples of ``bin_size`` in the chromosome's own coordinates, so that every dataset of an assembly
    has the same bins.
    """
    flank = (context - bin_size) // 2
    begin = -(-(first + flank) // bin_size) * bin_size
    return np.arange(begin, last - flank - bin_size + 1, bin_size, dtype=np.int64) - flank


def describe(table: pd.DataFrame, codes: "Sequences", tss: pd.DataFrame | None, block: int) -> pd.DataFrame:
    """Add what a result is broken down by: block, cluster, gc, n_fraction, tss_distance and repeat_fraction.

    Args:
        table: chrom, start, end (0-based, half-open); rows in order.
        codes: their sequences.
        tss: transcription start sites (chrom, start), or None if the dataset has none.
        block: size of the resampling unit in bp.
    """
    out = table.copy()
    middle = (out["start"] + out["end"]) // 2
    out["block"] = out["chrom"] + ":" + (middle // block).astype(str)
    # ASSUME: until homology is clustered, every window is its own homology group.
    out["cluster"] = np.arange(len(out), dtype=np.int64)
    gc, unknown = np.empty(len(out)), np.empty(len(out))
    for begin in range(0, len(out), READ_ROWS):
        rows = np.arange(begin, min(begin + READ_ROWS, len(out)))
        batch = codes[rows]
        gc[rows], unknown[rows] = gc_content(batch), (batch == N).mean(-1)
    out["gc"], out["n_fraction"] = gc, unknown
    distance = np.full(len(out), np.nan)
    if tss is not None:
        for chrom, rows in out.groupby("chrom", observed=True).indices.items():
            distance[rows] = distance_to_nearest(middle.to_numpy()[rows], tss.loc[tss["chrom"] == chrom, "start"].to_numpy())
    out["tss_distance"] = distance
    out["repeat_fraction"] = np.nan  # filled by datasets whose source masks repeats
    return out


class Sequences:
    """The sequences of a dataset's windows, from its own array or from its assembly; read when asked for.

    ``sequences[rows]`` gives codes, uint8 (len(rows), length), in the order of ``rows``.

    Args:
        windows: chrom, start, end of every window (0-based, half-open).
        sequences: .npy of codes, uint8 (n, L), for datasets that come as sequences; else None.
        genome: codes and index of the assembly, for datasets that come as coordinates; else None.
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
            return self._genome.windows(self._chrom[rows], self._start[rows], self.length)
        return np.asarray(self._array[rows, self._shift : self._shift + self.length])
