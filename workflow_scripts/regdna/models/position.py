"""What can be told from where a window lies, not its sequence: labels of training windows near by, and of its stretch of chromosomes."""

import numba
import numpy as np
import pandas as pd

from regdna.models import lookup
from regdna.step import InputError
from regdna.windows import Places

BINS = 20  # stretches that every chromosome is cut into, from its first window to its last
# ASSUME: of the positional baseline, what a twentieth of all chromosomes has in common counts as much as two neighbours do, and what all
# windows have in common as much as twenty windows of that twentieth.
STRENGTH, OF_ALL = 2.0, 20.0


def learn(codes: np.ndarray, places: Places, labels: np.ndarray, known: np.ndarray | None, parameters: dict, everywhere: Places) -> dict:
    """Tensors of a checkpoint, training windows in the order of chromosomes and places.

    Args:
        codes: not used.
        places: of the training windows.
        labels, known: of them, bool (n, T); ``known`` is None where all are.
        parameters: not used.
        everywhere: of all windows: the first and last of a chromosome are its ends.

    Raises:
        InputError: every window lies on a chromosome of its own, as sequences without coordinates do.
    """
    ends = pd.Series(everywhere.middle).groupby(everywhere.chrom).agg(["min", "max", "size"])
    if (ends["size"] == 1).all():
        raise InputError(
            "the windows have no coordinates, so there is no position to tell anything from; take the dataset out of 'datasets'"
        )
    chrom = ends.index.get_indexer(places.chrom)
    order = np.lexsort((places.middle, chrom))
    held = lookup.packed(labels[order], None if known is None else known[order])
    tensors = {
        "names": np.frombuffer("\n".join(ends.index).encode(), np.uint8).copy(),
        "ends": ends[["min", "max"]].to_numpy(float),
        "first": np.searchsorted(chrom[order], np.arange(len(ends) + 1)),
        "middle": places.middle[order],
        "stretches": np.empty((BINS, labels.shape[1])),
    }
    stretch = _stretch(tensors["ends"], chrom[order], tensors["middle"])
    for one in range(BINS):
        rows = order[stretch == one]
        seen = np.full(labels.shape[1], len(rows)) if known is None else known[rows].sum(0)
        positives = labels[rows].sum(0) if known is None else (labels[rows] & known[rows]).sum(0)
        tensors["stretches"][one] = (positives + OF_ALL * held["rate"]) / (seen + OF_ALL)
    return held | tensors


def opened(tensors: dict, about: dict) -> object:
    """As ``regdna.models.lookup.opened``."""
    return lookup.opened(near, tensors, about, STRENGTH)


def near(tensors: dict, codes: np.ndarray, places: Places, parameters: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest training windows on the same chromosome, weighted from 1 at no distance to 0 at the farthest that counts.

    Args:
        codes: not used.
        parameters: ``neighbours``, at most, within ``distance`` in bp.

    Returns:
        As ``lookup.opened`` wants it.
    """
    places = lookup.on_chromosomes(places)
    chrom = pd.Index(tensors["names"].tobytes().decode().split("\n")).get_indexer(places.chrom)
    prior = np.where((chrom >= 0)[:, None], tensors["stretches"][_stretch(tensors["ends"], chrom, places.middle)], tensors["rate"])
    row, apart = _nearest(
        tensors["middle"], tensors["first"], chrom, places.middle, parameters["neighbours"], float(parameters["distance"])
    )
    return row, 1 - apart / parameters["distance"], prior


def _stretch(ends: np.ndarray, chrom: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Which stretch of its chromosome each place is in, int64 (n,)."""
    low, high = ends[chrom].T
    return np.clip((middle - low) / np.maximum(high - low, 1) * BINS, 0, BINS - 1).astype(np.int64)


@numba.njit(cache=True, nogil=True)
def _nearest(middle, first, chrom, at, count, distance):
    """Up to ``count`` rows of ``middle`` on each window's chromosome, the nearest first, and how far they are in bp; -1 for none."""
    row, apart = np.full((len(at), count), -1), np.zeros((len(at), count))
    for i in range(len(at)):
        if chrom[i] < 0:
            continue
        begin, end = first[chrom[i]], first[chrom[i] + 1]
        right = begin + np.searchsorted(middle[begin:end], at[i])
        left = right - 1
        for one in range(count):
            before = at[i] - middle[left] if left >= begin else np.inf
            after = middle[right] - at[i] if right < end else np.inf
            if min(before, after) >= distance:
                break
            if before <= after:
                row[i, one], apart[i, one] = left, before
                left -= 1
            else:
                row[i, one], apart[i, one] = right, after
                right += 1
    return row, apart
