"""Byte-pair merges of DNA: always the pair of the lowest rank, and of that the leftmost, until none is left.

Source: Sennrich, Haddow and Birch 2016 (ACL, arXiv:1508.07909); the order is that of the tokenizers library, whose heap holds
(rank, place). Here every rank has a chain of the places where its pair stands, and a set of bits says which chains hold any.
Chains are circles through a head: links 0 to m - 1 are the heads of the m ranks, m that of the pairs that do not merge, and
m + 1 + i is the pair whose left token begins at place i. So joining and leaving take no branch, and nothing in a chain is stale.
"""

from dataclasses import dataclass

import numba
import numpy as np

ID_BITS, RANK_BITS = 20, np.uint64(24)  # in a slot of the table: two ids, then a rank
MOST = np.uint64(2**24 - 1)  # the bits of a rank
NOTHING = 2**ID_BITS - 1  # stands before and behind a sequence; the table holds no pair with it
EMPTY = np.uint64(2**64 - 1)
# The number of the only bit set in a word: the word's product with this constant has a top of six bits that no other's has.
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
BIT = np.argsort([(int(DE_BRUIJN) << number) % 2**64 >> 58 for number in range(64)])

# Columns of a place of the line of tokens: the token that begins here, the places of the next one and of the last.
TOKEN, NEXT, LAST = range(3)
# Columns of a link of a chain: its neighbours.
AHEAD, BEHIND = range(2)


@dataclass(frozen=True)
class Merges:
    """A table of merges.

    Attributes:
        slots: hash table, uint64 (a power of two): id of the left token, of the right one, rank.
        made: id that each rank makes, int32 (m,).
        ordered: whether the places of a rank must be taken from the left, bool (m,). Elsewhere they do not touch each other.
    """

    slots: np.ndarray
    made: np.ndarray
    ordered: np.ndarray

    @classmethod
    def of(cls, left: np.ndarray, right: np.ndarray, made: np.ndarray) -> "Merges":
        """The table of distinct merges in the order of their ranks: ids of both tokens and of the one they make, int (m,)."""
        left, right, made = (np.asarray(one, np.int64) for one in (left, right, made))
        slots = np.full(1 << max((3 * len(made)).bit_length(), 4), EMPTY, np.uint64)
        while not _fill(slots, left, right):
            slots = np.full(2 * len(slots), EMPTY, np.uint64)
        # A token that has a part in a merge of a lower rank than the one that makes it: that merge comes first, and
        # which place made the token decides what it finds there.
        lowest = np.full(int(max(left.max(initial=0), right.max(initial=0), made.max(initial=0))) + 1, len(made))
        np.minimum.at(lowest, left, np.arange(len(made)))
        np.minimum.at(lowest, right, np.arange(len(made)))
        ordered = (left == right) | (lowest[made] < np.arange(len(made)))
        return cls(slots, made.astype(np.int32), ordered)

    def equals(self, other: "Merges") -> bool:
        """Whether both hold the same merges in the same order."""
        return np.array_equal(self.slots, other.slots) and np.array_equal(self.made, other.made)

    def apply(self, codes: np.ndarray, letters: np.ndarray, prefix: np.ndarray, suffix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all rows one after the other, int32, and how many each has, int64 (n,).

        Args:
            codes: uint8 (n, L).
            letters: id of each code, int32 (5,).
            prefix, suffix: ids before and after every row, int32.
        """
        flat = np.empty(len(codes) * (codes.shape[1] + len(prefix) + len(suffix)), np.int32)
        count = np.empty(len(codes), np.int64)
        # What the kernel works on is made here: arrays of its own would have their references counted at every use.
        none = len(self.made)
        line, scratch = np.empty((codes.shape[1] + 2, 3), np.int32), np.empty(codes.shape[1], np.int32)
        chain, waiting = np.empty((none + 1 + len(line), 2), np.int32), np.zeros((none >> 6) + 1, np.uint64)
        chain[:] = np.arange(len(chain))[:, None]
        table = (self.slots, self.made, self.ordered)
        _merge_rows(np.ascontiguousarray(codes), letters, *table, prefix, suffix, line, chain, waiting, scratch, flat, count)
        return flat, count


@numba.njit(cache=True, nogil=True)
def _slots(pair, size):
    """The two slots of which one holds a pair if the table has it (cuckoo hashing; Pagh and Rodler 2004, J Algorithms 51:122)."""
    mixed = np.uint64(pair) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64(mixed >> np.uint64(42)) & (size - 1), np.int64(mixed >> np.uint64(20)) & (size - 1)


@numba.njit(cache=True, nogil=True)
def _fill(slots, left, right):
    """Put every pair with its rank into an empty table; False if the table is too small for them."""
    for rank in range(len(left)):
        value = np.uint64(left[rank] << ID_BITS | right[rank]) << RANK_BITS | np.uint64(rank)
        at = _slots(value >> RANK_BITS, len(slots))[0]
        for _ in range(len(slots)):
            value, slots[at] = slots[at], value  # and what was there goes to its other slot
            if value == EMPTY:
                break
            one, other = _slots(value >> RANK_BITS, len(slots))
            at = other if at == one else one
        if value != EMPTY:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _rank(left, right, slots, none):
    """Rank of a pair, ``none`` if it does not merge. Written to compile without a branch: which pairs merge cannot be foretold."""
    pair = np.uint64(np.int64(left) << ID_BITS | np.int64(right))
    one, other = _slots(pair, len(slots))
    one, other = slots[one], slots[other]
    first = np.int64(one & MOST) if one >> RANK_BITS == pair else np.int64(none)
    second = np.int64(other & MOST) if other >> RANK_BITS == pair else np.int64(none)
    return min(first, second)


@numba.njit(cache=True, nogil=True)
def _join(link, rank, chain, waiting):
    """Put a link at the head of its rank's chain."""
    first = chain[rank, AHEAD]
    chain[link, AHEAD], chain[link, BEHIND] = first, rank
    chain[first, BEHIND] = link
    chain[rank, AHEAD] = link
    waiting[rank >> 6] |= np.uint64(1) << np.uint64(rank & 63)


@numba.njit(cache=True, nogil=True)
def _leave(link, chain):
    """Take a link out of its chain."""
    ahead, behind = chain[link, AHEAD], chain[link, BEHIND]
    chain[behind, AHEAD] = ahead
    chain[ahead, BEHIND] = behind


@numba.njit(cache=True, nogil=True)
def _sort(rank, chain, scratch):
    """Bring a rank's chain into ascending order."""
    count, link, ascending = 0, chain[rank, AHEAD], True
    while link != rank:
        scratch[count] = link
        ascending &= count == 0 or scratch[count - 1] < link
        count += 1
        link = chain[link, AHEAD]
    if not ascending:
        scratch[:count].sort()
        behind = np.int32(rank)
        for i in range(count):
            chain[behind, AHEAD], chain[scratch[i], BEHIND] = scratch[i], behind
            behind = scratch[i]
        chain[behind, AHEAD], chain[rank, BEHIND] = rank, behind


@numba.njit(cache=True, nogil=True)
def _merge(place, token, slots, none, line, chain, waiting):
    """Make the pair at a place one token; gives the lowest rank of the two pairs that come about."""
    right, before = line[place, NEXT], line[place, LAST]
    after = line[right, NEXT]
    line[place, TOKEN], line[place, NEXT], line[after, LAST] = token, after, place
    new = _rank(token, line[after, TOKEN], slots, none)
    old = _rank(line[before, TOKEN], token, slots, none)
    _leave(none + 1 + right, chain)
    _leave(none + 1 + place, chain)
    _join(none + 1 + place, new, chain, waiting)
    _leave(none + 1 + before, chain)
    _join(none + 1 + before, old, chain, waiting)
    return min(new, old)


@numba.njit(cache=True, nogil=True)
def _merge_row(codes, letters, first, slots, made, ordered, line, chain, waiting, scratch):
    """Merge one row until no pair has a rank. Bases stand at the places 1 to L, and ``NOTHING`` before and behind them."""
    length, none = len(codes), len(made)
    for place in range(length + 1, -1, -1):  # from the right, so that every chain ascends
        line[place, NEXT], line[place, LAST] = place + 1, place - 1
        line[place, TOKEN] = letters[codes[place - 1]] if 1 <= place <= length else NOTHING
        rank = first[codes[place - 1], codes[place]] if 1 <= place < length else np.int64(none)
        _join(none + 1 + place, rank, chain, waiting)
    word = 0
    while True:
        while waiting[word] == 0:
            word += 1
        bit = waiting[word] & (~waiting[word] + np.uint64(1))
        rank = word << 6 | BIT[(bit * DE_BRUIJN) >> np.uint64(58)]
        waiting[word] ^= bit
        if rank == none:
            break
        if ordered[rank]:
            _sort(rank, chain, scratch)
        lowest = none
        while chain[rank, AHEAD] != rank and lowest > rank:
            lowest = _merge(chain[rank, AHEAD] - none - 1, made[rank], slots, none, line, chain, waiting)
        if lowest < rank:  # that pair goes first
            waiting[word] |= bit
            word = lowest >> 6
    chain[none, AHEAD] = chain[none, BEHIND] = none


@numba.njit(cache=True, nogil=True)
def _merge_rows(codes, letters, slots, made, ordered, prefix, suffix, line, chain, waiting, scratch, flat, count):
    """Merge row after row; every rank's chain is empty and ``waiting`` all 0, before and after."""
    length, out = codes.shape[1], 0
    first = np.empty((5, 5), np.int64)
    for left in range(5):
        for right in range(5):
            first[left, right] = _rank(letters[left], letters[right], slots, len(made))
    for row in range(len(codes)):
        _merge_row(codes[row], letters, first, slots, made, ordered, line, chain, waiting, scratch)
        begin, place = out, 1
        for one in prefix:
            flat[out] = one
            out += 1
        while place <= length:
            flat[out] = line[place, TOKEN]
            out += 1
            place = line[place, NEXT]
        for one in suffix:
            flat[out] = one
            out += 1
        count[row] = out - begin
