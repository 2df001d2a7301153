"""Targets: what each window is labelled with, packed eight to a byte."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.intervals import largest_overlap

# Least overlap with one interval, in bp, that makes a bin of `width` bp positive.
RULES = {
    # More than half of the bin (Zhou and Troyanskaya 2015): 101 of 200 bp.
    "bin_half_covered": lambda width: width // 2 + 1,
    "any_overlap": np.ones_like,
}


def label(bins: pd.DataFrame, intervals: pd.DataFrame, rule: str) -> np.ndarray:
    """Whether each bin is positive, bool (n,).

    Args:
        bins: chrom, start, end (0-based, half-open).
        intervals: the same columns.
        rule: a key of ``RULES``.

    Raises:
        KeyError: another rule.
    """
    out = np.zeros(len(bins), bool)
    start, end = bins["start"].to_numpy(), bins["end"].to_numpy()
    for chrom, rows in bins.groupby("chrom", observed=True).indices.items():
        part = intervals[intervals["chrom"] == chrom]
        shared = largest_overlap(start[rows], end[rows], part["start"].to_numpy(), part["end"].to_numpy())
        out[rows] = shared >= RULES[rule](end[rows] - start[rows])
    return out


def around(sites: pd.DataFrame, upstream: int, downstream: int) -> pd.DataFrame:
    """Intervals of the ``upstream`` bases before each site and the ``downstream`` bases from the site on, along its strand.

    Args:
        sites: chrom, start (0-based position of the site) and strand ('-' turns the interval round).
    """
    minus = (sites["strand"] == "-").to_numpy()
    site = sites["start"].to_numpy()
    start = np.where(minus, site - downstream + 1, site - upstream)
    end = np.where(minus, site + upstream + 1, site + downstream)
    return pd.DataFrame({"chrom": sites["chrom"].to_numpy(), "start": np.maximum(start, 0), "end": end})


def pack(labels: np.ndarray) -> np.ndarray:
    """Bits packed along targets: bool (n, T) to uint8 (n, ceil(T / 8)), the first target in the highest bit."""
    return np.packbits(labels, axis=1)


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
