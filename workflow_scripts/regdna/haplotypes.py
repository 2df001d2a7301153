"""Variants put into sequence: every alternate window is a true substring of the edited chromosome.

Nothing is padded and nothing repeated: what a deletion takes out of a window is filled from the chromosome, what an insertion adds
pushes the flank out. Where a window of the edited chromosome begins decides which flank moves; a *frame* says which:

- ``left``: the first changed base is at index ``length // 2 + shift`` of both windows, the left flank is the same in both;
- ``right``: the last changed base is there, the right flank is the same in both;
- ``centre``: the middle of the changed bases is there in both, and half of the difference goes out of, or comes in at, each end.

For variants that keep the length (SNVs, MNVs) there is one frame, ``left``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from regdna.alphabet import encode
from regdna.genome import Genome

FRAMES = {"ends": ("left", "right"), "centre": ("centre",)}


@dataclass(frozen=True)
class Edits:
    """Variants as what they change.

    Attributes:
        contig: name in the genome, (n,).
        first: 0-based coordinate of the first base that is taken out, or that bases are put before, int64 (n,).
        removed: bases taken out from there, int64 (n,).
        added: codes of the bases put in, of all variants one after the other, uint8.
        bounds: where each variant's begin in ``added``, int64 (n + 1,).
    """

    contig: np.ndarray
    first: np.ndarray
    removed: np.ndarray
    added: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: np.ndarray) -> "Edits":
        """Those of some rows, int (m,), in that order."""
        sizes = self.sizes[rows]
        bounds = np.r_[0, np.cumsum(sizes)]
        taken = np.repeat(self.bounds[rows] - bounds[:-1], sizes) + np.arange(bounds[-1])
        return Edits(self.contig[rows], self.first[rows], self.removed[rows], self.added[taken], bounds)

    @property
    def sizes(self) -> np.ndarray:
        """Bases put in, int64 (n,)."""
        return np.diff(self.bounds)


def spelled(alleles: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Codes of alleles one after the other, uint8, and where each begins, int64 (n + 1,)."""
    sizes = alleles.str.len().to_numpy(np.int64)
    return encode("".join(alleles)), np.r_[0, np.cumsum(sizes)]


def edits(table: pd.DataFrame) -> Edits:
    """What variants change: equal bases at the two ends of REF and ALT, the right end first, are left out.

    Args:
        table: contig, position (0-based, of the first base of ref), ref, alt (upper-case A, C, G, T).
    """
    ref, alt = spelled(table["ref"]), spelled(table["alt"])
    before, behind = common_ends(*ref, *alt)
    sizes = np.diff(alt[1]) - before - behind
    bounds = np.r_[0, np.cumsum(sizes)]
    taken = np.repeat(alt[1][:-1] + before - bounds[:-1], sizes) + np.arange(bounds[-1])
    return Edits(
        table["contig"].to_numpy(object),
        table["position"].to_numpy(np.int64) + before,
        np.diff(ref[1]) - before - behind,
        alt[0][taken],
        bounds,
    )


@numba.njit(cache=True, nogil=True)
def common_ends(ref, ref_bounds, alt, alt_bounds):
    """Numbers of equal bases at the beginning, and at the end, of alleles; counted at the end first and each base once, int64 (n,) each."""
    count = len(ref_bounds) - 1
    before, behind = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for row in range(count):
        left, right = ref_bounds[row], ref_bounds[row + 1]
        other, last = alt_bounds[row], alt_bounds[row + 1]
        while right > left and last > other and ref[right - 1] == alt[last - 1]:
            right, last, behind[row] = right - 1, last - 1, behind[row] + 1
        while right > left and last > other and ref[left] == alt[other]:
            left, other, before[row] = left + 1, other + 1, before[row] + 1
    return before, behind


def begins(some: Edits, frame: str, length: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the windows of a frame begin, int64 (n,) each: on the chromosome, and on the edited one.

    Coordinates of the edited chromosome are those of the chromosome up to the variant.

    Args:
        length: of the windows in bp.
        shift: bp by which the variant is moved to the right within them.
    """
    start = some.first - length // 2 - shift
    if frame == "right":
        return start + some.removed - 1, start + some.sizes - 1
    if frame == "centre":
        return start + some.removed // 2, start + some.sizes // 2
    return start, start


def keeps_length(some: Edits) -> np.ndarray:
    """Whether as much is put in as is taken out, bool (n,): then one frame says it all."""
    return some.removed == some.sizes


def framed(some: Edits, align: str) -> list[tuple[str, np.ndarray, float]]:
    """The frames of variants: name, rows, int (m,), and share of each in the mean over a variant's frames.

    Args:
        align: ``ends`` or ``centre``: the frames of what changes the length.
    """
    same, frames = keeps_length(some), FRAMES[align]
    return [("left", np.flatnonzero(same), 1.0), *((frame, np.flatnonzero(~same), 1 / len(frames)) for frame in frames)]


def held(genome: Genome, some: Edits, length: int, shifts: Sequence[int], align: str) -> np.ndarray:
    """Whether every window of a variant lies in what the genome holds, bool (n,).

    Args:
        shifts: each in bp.
        align: as for ``framed``.

    Raises:
        KeyError: a contig that is not held.
    """
    first, last, _ = places(genome, some.contig)
    out = np.ones(len(some), bool)
    for frame, rows, _ in framed(some, align):
        for shift in shifts:
            reference, alternate = (one[rows] for one in begins(some, frame, length, shift))
            left, right = _reach(some[rows], alternate, length)
            out[rows] &= (np.minimum(reference, left) >= first[rows]) & (np.maximum(reference + length, right) <= last[rows])
    return out


def fits(some: Edits, length: int) -> np.ndarray:
    """Whether what is put in is no longer than a window, bool (n,)."""
    return some.sizes <= length


def references(genome: Genome, some: Edits, start: np.ndarray, length: int) -> np.ndarray:
    """Windows of the chromosome, uint8 (n, length); ``start`` from ``begins``."""
    return genome.windows(some.contig, start, length)


def alternates(genome: Genome, some: Edits, start: np.ndarray, length: int) -> np.ndarray:
    """Windows of the edited chromosome, uint8 (n, length).

    Args:
        start: coordinate of the edited chromosome, from ``begins``.

    Raises:
        KeyError: a contig that is not held.
        IndexError: a window reaches beyond what is held.
    """
    first, last, shift = places(genome, some.contig)
    left, right = _reach(some, start, length)
    outside = (left < first) | (right > last)
    if outside.any():
        row = int(outside.argmax())
        raise IndexError(f"{some.contig[row]}:{some.first[row] + 1} is too close to the end of what is held")
    codes = genome.codes.view(np.ndarray)
    return _splice(codes, shift, some.first, some.removed, some.added, some.bounds, start, length)


def _reach(some: Edits, start: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """What windows of the edited chromosome need of the chromosome: from and to, int64 (n,) each."""
    end = start + length - some.sizes + some.removed
    return np.minimum(start, some.first), np.maximum(end, some.first + some.removed)


def places(genome: Genome, contig: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and past-the-last coordinate that is held of each contig, and what turns a coordinate into a place in ``genome.codes``.

    Args:
        contig: names, (n,).

    Returns:
        three arrays, int64 (n,) each.

    Raises:
        KeyError: a contig that is not held.
    """
    code, names = pd.factorize(contig)
    at = genome.index.index.get_indexer(names)
    if (at < 0).any():
        raise KeyError(names[at.argmin()])
    start, size, offset = (genome.index[column].to_numpy(np.int64)[at][code] for column in ("start", "length", "offset"))
    return start, start + size, offset - start


@numba.njit(cache=True, nogil=True)
def _splice(codes, shift, first, removed, added, bounds, start, length):
    out = np.empty((len(start), length), np.uint8)
    for row in range(len(start)):
        size = bounds[row + 1] - bounds[row]
        behind = shift[row] + removed[row] - size
        for column in range(length):
            at = start[row] + column - first[row]
            if at < 0:
                out[row, column] = codes[start[row] + column + shift[row]]
            elif at < size:
                out[row, column] = added[bounds[row] + at]
            else:
                out[row, column] = codes[start[row] + column + behind]
    return out
