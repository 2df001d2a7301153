"""The axis: the sequence under a dataset's windows, each base once."""

import hashlib
import mmap
from collections.abc import Iterator

import numba
import numpy as np
import pandas as pd

from regdna.alphabet import N
from regdna.genome import Genome
from regdna.step import InputError, progress

JOINED = 20  # bases that windows must share to be one stretch: with fewer, a 21-mer of the stretch could lie in no window
CHUNK = 1 << 22  # places of the axis that are read at a time
READ_ROWS = 8192
MASKED = 8  # added to the code of a base that is masked as a repeat
PRIME = np.uint64(2**61 - 1)  # modulus of fingerprints
_BASE, _ONE = np.uint64(0x0F58476D1CE4E5B9), np.uint64(1)
_BITS_30, _BITS_31 = np.uint64(30), np.uint64(31)
_LOW_30, _LOW_31, _BITS_61 = np.uint64(2**30 - 1), np.uint64(2**31 - 1), np.uint64(61)


class Axis:
    """The sequence under a dataset's windows on one axis, from 0: what windows share by their coordinates lies there once.

    Windows that overlap by at least 20 bases, and agree in them, form a stretch; between stretches lies one N.

    Args:
        windows: chrom, start, end (0-based, half-open), all equally long.
        rows: codes of every window, uint8 (n, length), for datasets that come as sequences; else None.
        genome: the assembly, with or without a mask of its repeats, for datasets that come as coordinates; else None.

    Attributes:
        length: of every window in bp.
        size: of the axis.
        order: windows along the axis, int64 (n,); what follows is in this order.
        chrom, start: number of each window's chromosome, int32 (n,), and its start on it (0-based, bp), int64 (n,).
        place: of each window's first base, int64 (n,).
        opens: whether a window is the first of a stretch, bool (n,).

    Raises:
        InputError: windows of several lengths, or a chromosome that the genome has not.
    """

    def __init__(self, windows: pd.DataFrame, rows: np.ndarray | None = None, genome: Genome | None = None):
        width = (windows["end"] - windows["start"]).to_numpy()
        self.length = int(width[0]) if rows is None else rows.shape[1]
        if (width != self.length).any():
            raise InputError(f"windows of {width.min()} to {width.max()} bp; all must be as long as their sequences")
        chrom, names = pd.factorize(windows["chrom"])
        start = windows["start"].to_numpy(np.int64)
        self.order = np.lexsort((start, chrom))
        self.chrom, self.start = chrom[self.order].astype(np.int32), start[self.order]
        self._rows, self._genome = rows, genome
        files = [rows] if genome is None else [genome.codes, getattr(genome, "mask", None)]
        self._files = [file.base for file in files if file is not None and isinstance(file.base, mmap.mmap)]
        step = np.diff(self.start)
        near = (np.diff(self.chrom) == 0) & (step <= self.length - JOINED)
        if rows is not None and near.any():
            near &= self._agree(np.where(near, step, self.length))
        self.opens = np.r_[True, ~near]
        first = np.flatnonzero(self.opens)
        base = self.start[first]
        long = self.start[np.r_[first[1:], len(start)] - 1] - base + self.length
        self._begin = np.cumsum(long + 1) - long - 1
        self._end = self._begin + long
        self.place = self.start + np.repeat(self._begin - base, np.diff(np.r_[first, len(start)]))
        self.size = int(self._end[-1])
        if genome is not None:
            self._find(genome, names[self.chrom[first]], base)

    def _agree(self, step: np.ndarray) -> np.ndarray:
        """Whether each row but the first has the bases of the row before where they overlap."""
        out = np.ones(len(step), bool)
        for first in range(0, len(step), READ_ROWS):
            batch = np.ascontiguousarray(self._rows[self.order[first : first + READ_ROWS + 1]])
            out[first : first + READ_ROWS] = _same(batch, step[first : first + READ_ROWS])
        self._let_go()
        return out

    def _let_go(self) -> None:
        """Give back the memory of what was read of mapped files: each is read once, in order, and may be larger than memory."""
        for file in self._files:
            file.madvise(mmap.MADV_DONTNEED)

    def _find(self, genome: Genome, chrom: pd.Index, start: np.ndarray) -> None:
        """Note where the sequence of each stretch lies in the genome's codes, and from where to where they hold its chromosome."""
        at = genome.index.index.get_indexer(chrom)
        if (at < 0).any():
            raise InputError(f"windows lie on {chrom[at < 0][0]}, which the genome lacks; make the windows again")
        held = genome.index[["start", "length", "offset"]].to_numpy(np.int64)[at]
        self._low, self._high = held[:, 2], held[:, 2] + held[:, 1]
        self._source = self._low + start - held[:, 0]
        self._codes = np.asarray(genome.codes)
        mask = getattr(genome, "mask", None)
        self._mask = np.empty(0, np.uint8) if mask is None else np.asarray(mask)

    def read(self, first: int, last: int) -> np.ndarray:
        """Codes of the places [first, last), uint8; ``MASKED`` is added where a base is masked as a repeat."""
        out = np.full(last - first, N, np.uint8)
        if self._genome is not None:
            some = slice(np.searchsorted(self._end, first, "right"), np.searchsorted(self._begin, last, "left"))
            where = [one[some] for one in (self._begin, self._end, self._source, self._low, self._high)]
            _copy(self._codes, self._mask, first, *where, out)
            return out
        begin = np.searchsorted(self.place, first - self.length, "right")
        end = np.searchsorted(self.place, last, "left")
        for row in range(begin, end, READ_ROWS):
            some = slice(row, min(row + READ_ROWS, end))
            _lay(np.ascontiguousarray(self._rows[self.order[some]]), self.place[some] - first, out)
        return out

    def chunks(self, beyond: int, what: str) -> Iterator[tuple[int, np.ndarray]]:
        """The axis in pieces of ``CHUNK`` places, each with its first place and ``beyond`` bases of the next; shows progress."""
        done = progress(self.size, what, "bases")
        for first in range(0, self.size, CHUNK):
            yield first, self.read(first, min(first + CHUNK + beyond, self.size))
            self._let_go()
            done(min(first + CHUNK, self.size))

    def fingerprints(self) -> tuple[np.ndarray, np.ndarray, str]:
        """What tells equal sequences: a fingerprint of each window and of its reverse complement, and a digest of all.

        Fingerprints are polynomials modulo 2^61 - 1 (Karp and Rabin 1987, IBM J Res Dev 31:249): two different windows of
        L bp have the same one by chance in at most L / 2^61 of the cases. A window of N has the fingerprint 0: it is like no other.

        Returns:
            uint64 (n,) twice, in the order of the windows, and the first 16 hex digits of a sha256.
        """
        forward, backward = np.empty(len(self.order), np.uint64), np.empty(len(self.order), np.uint64)
        sha = hashlib.sha256()
        for first, codes in self.chunks(self.length - 1, "fingerprints"):
            codes &= MASKED - 1
            sha.update(codes[:CHUNK])
            some = slice(*np.searchsorted(self.place, (first, first + CHUNK)))
            at = self.order[some]
            forward[at], backward[at] = _fingerprints(codes, self.place[some] - first, self.length)
        nothing = _fingerprints(np.full(self.length, N, np.uint8), np.zeros(1, np.int64), self.length)[0]
        forward[forward == nothing], backward[backward == nothing] = 0, 0
        return forward, backward, sha.hexdigest()[:16]


@numba.njit(cache=True, nogil=True)
def _same(rows, step):
    """Whether each row but the first has the bases of the row before, ``step`` further on, where they overlap."""
    out = np.ones(len(step), np.bool_)
    for i in range(len(rows) - 1):
        for j in range(rows.shape[1] - step[i]):
            if rows[i, step[i] + j] != rows[i + 1, j]:
                out[i] = False
                break
    return out


@numba.njit(cache=True, nogil=True)
def _lay(rows, at, out):
    """Write each row at its place of ``out``, less what lies beyond."""
    for i in range(len(rows)):
        for j in range(max(-at[i], 0), min(rows.shape[1], len(out) - at[i])):
            out[at[i] + j] = rows[i, j]


@numba.njit(cache=True, nogil=True)
def _copy(codes, mask, first, begin, end, source, low, high, out):
    """Write the genome's codes, with ``MASKED``, at the places of each stretch; N where the genome holds nothing."""
    for i in range(len(begin)):
        for place in range(max(begin[i], first), min(end[i], first + len(out))):
            at = source[i] + place - begin[i]
            if low[i] <= at < high[i]:
                out[place - first] = codes[at]
                if len(mask) and (mask[at >> 3] >> (7 - (at & 7))) & 1:
                    out[place - first] += MASKED


@numba.njit(cache=True, nogil=True)
def _times(one, other):
    """The product modulo 2^61 - 1 of two numbers below it; halves are multiplied so that nothing exceeds 64 bits."""
    high, low, other_high, other_low = one >> _BITS_31, one & _LOW_31, other >> _BITS_31, other & _LOW_31
    middle = low * other_high + high * other_low
    total = ((high * other_high) << _ONE) + (middle >> _BITS_30) + ((middle & _LOW_30) << _BITS_31) + low * other_low
    total = (total & PRIME) + (total >> _BITS_61)
    return total - PRIME if total >= PRIME else total


@numba.njit(cache=True, nogil=True)
def _plus(one, other):
    """The sum modulo 2^61 - 1 of two numbers below it."""
    total = one + other
    return total - PRIME if total >= PRIME else total


@numba.njit(cache=True, nogil=True)
def _fingerprints(codes, at, length):
    """Fingerprints of the windows that begin at ``at``, from those of all beginnings and of all ends of the codes."""
    ahead, behind = np.zeros(len(codes) + 1, np.uint64), np.zeros(len(codes) + 1, np.uint64)
    for i in range(len(codes)):  # two chains that do not wait for each other
        j = len(codes) - 1 - i
        ahead[i + 1] = _plus(_times(ahead[i], _BASE), np.uint64(codes[i] + 1))
        behind[j] = _plus(_times(behind[j + 1], _BASE), np.uint64(4 - codes[j] if codes[j] < N else N + 1))
    power = _ONE
    for _ in range(length):
        power = _times(power, _BASE)
    forward, backward = np.empty(len(at), np.uint64), np.empty(len(at), np.uint64)
    for i in range(len(at)):
        first, last = at[i], at[i] + length
        forward[i] = _plus(ahead[last], PRIME - _times(ahead[first], power))
        backward[i] = _plus(behind[first], PRIME - _times(behind[last], power))
    return forward, backward
