"""Words: a dataset's 21-mers by place, which of them say something, and what share of a window's occurs in a part.

Where words are too many for memory, a fixed share of all is kept, the same on every sequence: those whose hash is divisible
by a number (FracMinHash: Irber et al. 2022, bioRxiv 2022.01.11.475838; the share of one set's words in another from such
sketches: Ondov et al. 2016, Genome Biol 17:132). What a window shares is then an estimate from its sample.
"""

import numba
import numpy as np

from regdna.alphabet import N
from regdna.homology.axis import CHUNK, Axis

K = 21
WORD_BITS = 2 * K
MOST_WORDS = 1 << 26  # held in memory, at 20 to 24 bytes each
SHORT = 2**32 - 1  # places from which an axis needs 8 bytes a place
# ASSUME: a 21-mer found in more than 10 pieces of sequence is a repeat and says nothing of common descent.
FREQUENT = 10
# ASSUME: a sequence most of whose 21-mers are found in more than 10 pieces is one of many near-copies and judged by all its words.
FEW = 0.5

_MASK = np.uint64((1 << WORD_BITS) - 1)
_ONE, _TWO, _THREE, _TOP, _HALF = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(WORD_BITS - 2), np.uint64(K)
_PAIR = np.uint64(32)
_FIRST_FACTOR, _SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Words:
    """The words of a dataset's sequence by place, and which of them are informative.

    A word is a 21-mer, the smaller of both strands, without N or a masked base, as a hash of 42 bits that no other has.
    Informative are words found in at most ``FREQUENT`` tiles, which are pieces of about one window's length.

    Args:
        axis: the sequence.
        block: windows are one unit by stretches of so many bp, where their centre lies; None: where they overlap.
        most: words to hold at most; beyond that a share is kept.

    Attributes:
        one_in: a word in so many is kept, a power of two; 1: all.
        hash, place: of each word, uint64 and uint32 or int64 (w,), by place.
        informative: bool (w,).
        low, high: the words of window i are low[i] to high[i] - 1, uint32 (n,) each.
        unit: which windows are together in any case, int32 (n,).
        tile_unit: the unit of each tile, int32 (tiles,).
        every, good: distinct words, and informative ones, of each tile, int64 (tiles,).
        keys: each word with its tile in the lowest ``bits`` bits, sorted, uint64 (w,).
    """

    def __init__(self, axis: Axis, block: int | None = None, most: int = MOST_WORDS):
        self.block = block
        unit, begin, length, owner = _pieces(axis, block)
        self.unit = np.empty_like(unit)
        self.unit[axis.order] = unit
        count = np.maximum(np.rint(length / axis.length), 1).astype(np.int64)
        first = np.cumsum(count) - count
        self.tile_unit = np.repeat(owner, count)
        bits = len(self.tile_unit).bit_length()
        # A word and its tile must fit into 64 bits; the hash of a word that is kept ends in zeros, which are left out.
        self.one_in = 1 << max(bits + WORD_BITS - 64, 0)
        self._sample(axis, most)
        self.bits, shift = np.uint64(bits), np.uint64(self.one_in.bit_length() - 1)
        window = np.empty(len(axis.order), self.place.dtype)
        window[axis.order] = axis.place
        self.low = np.searchsorted(self.place, window).astype(np.uint32)
        window += max(axis.length - K + 1, 0)
        self.high = np.searchsorted(self.place, window).astype(np.uint32)
        self.keys = _keys(self.hash, self.place, begin, length, first, count, shift, self.bits)
        self.keys.sort()
        self.every, self.good, frequent = _summarise(self.keys, self.bits, len(self.tile_unit))
        self.informative = ~_contained(frequent << shift, self.hash, np.ones(len(self.hash), bool))

    def _sample(self, axis: Axis, most: int) -> None:
        """List the words, halving the share that is kept whenever they are too many."""
        dtype = np.uint32 if axis.size < SHORT else np.int64
        held = (np.empty(min(most, axis.size), np.uint64), np.empty(min(most, axis.size), dtype))
        piece = (np.empty(CHUNK, np.uint64), np.empty(CHUNK, dtype))
        filled = 0
        for first, codes in axis.chunks(K - 1, "words"):
            found = _words(codes, first, np.uint64(self.one_in), *piece)
            while filled + found > most:
                self.one_in *= 2
                filled, found = _thin(*held, filled, np.uint64(self.one_in)), _thin(*piece, found, np.uint64(self.one_in))
            for whole, part in zip(held, piece, strict=True):
                whole[filled : filled + found] = part[:found]
            filled += found
        self.hash, self.place = held[0][:filled], held[1][:filled]

    def about(self) -> dict:
        """What a certificate says of the words: k, sampled_one_in, frequent_more_than (tiles) and median_per_window."""
        middle = float(np.median(self.high - self.low))
        return {"k": K, "sampled_one_in": self.one_in, "frequent_more_than": FREQUENT, "median_per_window": middle}


def share_with(words: Words, part: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Share of each window's informative words that occur in windows of a part, on either strand; NaN for a window without words.

    A window of which less than half the words are informative is judged by all its words.

    Args:
        part: which windows are the part, bool (n,).
        rows: windows to judge, int (m,).

    Returns:
        float64 (m,).
    """
    known = words.hash[_cover(words.low, words.high, np.flatnonzero(part), len(words.hash))]
    known.sort()
    known = known[np.r_[True, known[1:] != known[:-1]]] if len(known) else known
    found = _contained(known, words.hash, _cover(words.low, words.high, rows, len(words.hash)))
    return _shares(words.low, words.high, rows, found, words.informative)


def _pieces(axis: Axis, block: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Unit of every window along the axis, int32 (n,); and first place, length and unit of every piece of a stretch in one unit."""
    turn, begin = np.r_[True, np.diff(axis.chrom) != 0], axis.place.copy()
    if block is None:
        turn[1:] |= np.diff(axis.start) >= axis.length
    else:
        name = (axis.start + axis.length // 2) // block
        turn[1:] |= np.diff(name) != 0
        inner = turn & ~axis.opens  # within a stretch a piece begins where the block does, amid a window
        begin[inner] += name[inner] * block - axis.start[inner]
    rows = np.flatnonzero(axis.opens | turn)
    unit, begin = np.cumsum(turn, dtype=np.int32) - np.int32(1), begin[rows]
    # After a stretch lies its N, which is no piece of it.
    return unit, begin, np.diff(np.r_[begin, axis.size + 1]) - np.r_[axis.opens[rows[1:]], True], unit[rows]


@numba.njit(cache=True, nogil=True)
def _mix(word):
    """A hash of a word: xor-shifts and odd factors modulo 2^42 can be undone, so that no two words have one hash."""
    word ^= word >> _HALF
    word = (word * _FIRST_FACTOR) & _MASK
    word ^= word >> _HALF
    word = (word * _SECOND_FACTOR) & _MASK
    return word ^ (word >> _HALF)


@numba.njit(cache=True, nogil=True)
def _words(codes, first, one_in, hashes, places):
    """Write the words of consecutive codes whose hash ``one_in`` divides, and their places; gives their number."""
    forward = backward = np.uint64(0)
    known = found = 0
    for i in range(len(codes)):
        if codes[i] >= N:
            known = 0
            continue
        base = np.uint64(codes[i])
        forward = ((forward << _TWO) | base) & _MASK
        backward = (backward >> _TWO) | ((_THREE - base) << _TOP)
        known += 1
        if known >= K:
            mixed = _mix(min(forward, backward))
            if mixed & (one_in - _ONE) == 0:
                hashes[found], places[found] = mixed, first + i - K + 1
                found += 1
    return found


@numba.njit(cache=True, nogil=True)
def _thin(hashes, places, count, one_in):
    """Keep, of the first ``count`` words, those whose hash ``one_in`` divides; gives their number."""
    kept = 0
    for i in range(count):
        if hashes[i] & (one_in - _ONE) == 0:
            hashes[kept], places[kept] = hashes[i], places[i]
            kept += 1
    return kept


@numba.njit(cache=True, nogil=True)
def _keys(hashes, places, begin, length, first, count, shift, bits):
    """Each word with its tile, as one number; piece i has ``count[i]`` tiles, numbered from ``first[i]``."""
    out = np.empty(len(hashes), np.uint64)
    piece = 0
    for i in range(len(hashes)):
        while piece + 1 < len(begin) and begin[piece + 1] <= places[i]:
            piece += 1
        tile = first[piece] + (np.int64(places[i]) - begin[piece]) * count[piece] // length[piece]
        out[i] = ((hashes[i] >> shift) << bits) | np.uint64(tile)
    return out


@numba.njit(cache=True, nogil=True)
def _end_of_word(keys, begin, bits):
    """Where the keys of the word at ``begin`` end, and in how many tiles it is found."""
    end, tiles = begin, 0
    while end < len(keys) and keys[end] >> bits == keys[begin] >> bits:
        tiles += end == begin or keys[end] != keys[end - 1]
        end += 1
    return end, tiles


@numba.njit(cache=True, nogil=True)
def _summarise(keys, bits, tiles):
    """Distinct words of each tile, all and informative, int64 (tiles,) each; and the frequent words."""
    every, good = np.zeros(tiles, np.int64), np.zeros(tiles, np.int64)
    frequent, found, begin = np.empty(len(keys) // (FREQUENT + 1) + 1, np.uint64), 0, 0
    while begin < len(keys):
        end, number = _end_of_word(keys, begin, bits)
        for i in range(begin, end):
            if i == begin or keys[i] != keys[i - 1]:
                tile = np.int64(keys[i] & ((_ONE << bits) - _ONE))
                every[tile] += 1
                good[tile] += number <= FREQUENT
        if number > FREQUENT:
            frequent[found] = keys[begin] >> bits
            found += 1
        begin = end
    return every, good, frequent[:found]


@numba.njit(cache=True, nogil=True)
def list_pairs(keys, bits, unit, poor, turn, turns, out):
    """Pairs of tiles of two units that share a word, once a word, the first tile being ``turn`` modulo ``turns``.

    Written to ``out`` if it has room at all; gives their number.
    """
    tiles, found, begin = np.empty(FREQUENT + 1, np.int64), 0, 0
    while begin < len(keys):
        end, number = _end_of_word(keys, begin, bits)
        held = 0
        for i in range(begin, end):
            tile = np.int64(keys[i] & ((_ONE << bits) - _ONE))
            if (i > begin and keys[i] == keys[i - 1]) or (number > FREQUENT and not poor[tile]):
                continue
            for j in range(held):
                if unit[tiles[j]] != unit[tile] and tiles[j] % turns == turn:
                    if len(out):
                        out[found] = (np.uint64(tiles[j]) << _PAIR) | np.uint64(tile)
                    found += 1
            if number > FREQUENT:
                held = 0
            tiles[held] = tile
            held += 1
        begin = end
    return found


@numba.njit(cache=True, nogil=True)
def _contained(known, hashes, asked):
    """Which of ``hashes`` that are ``asked`` for are among ``known``, which is sorted, each hash once."""
    out = np.zeros(len(hashes), np.bool_)
    bits = 0
    while bits < WORD_BITS and 1 << bits < len(known):
        bits += 1
    shift = np.uint64(WORD_BITS - bits)
    first = np.zeros((1 << bits) + 1, np.uint32)  # hashes are spread evenly: their leading bits tell nearly where they lie
    for i in range(len(known)):
        first[np.int64(known[i] >> shift) + 1] += 1
    for i in range(1, len(first)):
        first[i] += first[i - 1]
    for i in range(len(hashes)):
        if asked[i]:
            slot = np.int64(hashes[i] >> shift)
            for j in range(first[slot], first[slot + 1]):
                out[i] |= known[j] == hashes[i]
    return out


@numba.njit(cache=True, nogil=True)
def _cover(low, high, rows, words):
    """Which words lie in one of the windows ``rows``."""
    out = np.zeros(words, np.bool_)
    for row in rows:
        out[low[row] : high[row]] = True
    return out


@numba.njit(cache=True, nogil=True)
def _shares(low, high, rows, found, informative):
    """Share of each window's words, of the informative ones if they are enough, that are ``found``."""
    out = np.full(len(rows), np.nan)
    for i in range(len(rows)):
        good = found_every = found_good = 0
        for word in range(low[rows[i]], high[rows[i]]):
            found_every += found[word]
            good += informative[word]
            found_good += found[word] and informative[word]
        every = high[rows[i]] - low[rows[i]]
        if good < FEW * every:
            out[i] = found_every / every
        elif good:
            out[i] = found_good / good
    return out
