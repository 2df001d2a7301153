"""Intervals on chromosomes, 0-based and half-open: reading BED, overlap, merging."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.step import InputError


def read_bed(path: Path) -> pd.DataFrame:
    """A BED file (plain or gzipped; narrowPeak and the like too) as chrom, start, end and strand ('.' where absent).

    Raises:
        InputError: a line is not BED, with the file and line number.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    rows = []
    with opener(path, "rt", encoding="utf-8-sig", errors="replace") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip() or line.startswith(("#", "track", "browser")):
                continue
            fields = line.rstrip("\n").split("\t")
            try:
                row = (fields[0], int(fields[1]), int(fields[2]), fields[5] if len(fields) > 5 else ".")
            except (IndexError, ValueError):
                raise InputError(f"{path}: line {number} is not BED (chrom, start, end with tabs); mend or remove it") from None
            if not 0 <= row[1] < row[2]:
                raise InputError(f"{path}: line {number} has start {row[1]} and end {row[2]}; 0 <= start < end is needed")
            rows.append(row)
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "strand"])


def merge(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Union of intervals on one chromosome as sorted, disjoint int64 starts and ends; those that touch are joined."""
    order = np.argsort(start, kind="stable")
    start, end = np.asarray(start, np.int64)[order], np.asarray(end, np.int64)[order]
    if not len(start):
        return start, end
    reach = np.maximum.accumulate(end)
    first = np.r_[True, start[1:] > reach[:-1]]
    return start[first], reach[np.r_[np.flatnonzero(first)[1:] - 1, len(start) - 1]]


def largest_overlap(window_start: np.ndarray, window_end: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Bases that each window shares with the one interval that covers it best, int64 (n,); all on one chromosome.

    Intervals are taken singly: two that each cover a third of a window give a third, not two.
    """
    best = np.zeros(len(window_start), np.int64)
    order = np.argsort(start, kind="stable")
    start, end = np.asarray(start, np.int64)[order], np.asarray(end, np.int64)[order]
    if not len(start):
        return best
    # Intervals that can reach a window begin before its end and, at most, the longest interval before its start.
    first = np.searchsorted(start, np.asarray(window_start) - (end - start).max(), side="left")
    last = np.searchsorted(start, window_end, side="left")
    for step in range(int((last - first).max(initial=0))):
        at = first + step
        inside = at < last
        one = np.where(inside, at, 0)
        shared = np.minimum(window_end, end[one]) - np.maximum(window_start, start[one])
        np.maximum(best, np.where(inside, shared, 0), out=best)
    return best


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
