"""Where a locus' sequence comes from: the assembly, or the dataset's own sequences."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.genome import Genome
from regdna.step import InputError


def around(row: pd.Series, length: int, windows: Path, sequences: Path | None, genome: list[Path] | None) -> tuple[np.ndarray, int]:
    """The window of ``length`` bp centred on a locus, uint8 (length,), and its start (0-based).

    Args:
        row: chrom, start, end (0-based, half-open).
        windows, sequences, genome: files of the dataset; sequences or genome.

    Raises:
        InputError: the dataset does not hold it.
    """
    if genome:
        start = int((row.start + row.end) // 2 - length // 2)
        return Genome(*genome).windows(np.array([row.chrom]), np.array([start]), length)[0], start
    frame = pd.read_parquet(windows, columns=["chrom", "start", "end"])
    at = np.flatnonzero((frame["chrom"] == row.chrom) & (frame["start"] <= row.start) & (frame["end"] >= row.end))
    if not len(at):
        raise InputError(f"{row.chrom}:{row.start}-{row.end} is no site of this dataset; give one in resources/loci.tsv")
    codes = read_array(sequences, "r")[at[0]]
    if len(codes) < length:
        raise InputError(
            f"{sequences}: {length} bp are needed around {row.chrom}:{row.start}-{row.end}, with shifts and deletions; it has {len(codes)}"
        )
    cut = (len(codes) - length) // 2
    return np.array(codes[cut : cut + length]), int(frame["start"].iloc[at[0]]) + cut
