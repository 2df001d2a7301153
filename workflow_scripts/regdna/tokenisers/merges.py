"""Byte-pair merges of DNA: always the pair of the lowest rank, and of that the leftmost, until none is left.

Source: Sennrich, Haddow and Birch 2016 (ACL, arXiv:1508.07909); the order is that of the tokenizers library, whose heap holds
(rank, place). Here every rank has a list of the places where its pair stands, and a set of bits says which lists hold any.
"""

from dataclasses import dataclass

import numba
import numpy as np

ID_BITS = 20  # of an id in a slot of the table; a rank has 24, which leaves room for ids below 2**20 and 2**24 merges
EMPTY = np.uint64(2**64 - 1)
# The number of the only bit set in a word: the word's product with this constant has a top of six bits that no other's has.
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
BIT = np.argsort([(int(DE_BRUIJN) << number) % 2**64 >> 58 for number in range(64)])

# Columns of a place: its token, the places of the next and the last token, the rank of the pair that begins here (-1: none), and
# the places before and after it in that rank's list (-1: none). Places inside a token are not looked at.
TOKEN, NEXT, LAST, RANK, AHEAD, BEHIND = range(6)


@dataclass(frozen=True)
class Merges:
    """A table of merges.

    Attributes:
        slots: hash table with open addressing, uint64 (a power of two): id of the left token, of the right one, rank.
        made: id that each rank makes, int32 (m,).
        ordered: whether the places of a rank must be taken from the left, bool (m,). Elsewhere they do not touch each other.
    """

    slots: np.ndarray
    made: np.ndarray
    ordered: np.ndarray

    @classmethod
    def of(cls, left: np.ndarray, right: np.ndarray, made: np.ndarray) -> "Merges":
        """The table of merges in the order of their ranks: ids of both tokens and of the one they make, int (m,)."""
        left, right, made = (np.asarray(one, np.int64) for one in (left, right, made))
        slots = np.full(1 << max(int(4 * len(made)).bit_length(), 4), EMPTY, np.uint64)
        _fill(slots, left, right)
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
        links, scratch = np.empty((codes.shape[1], 8), np.int32), np.empty(codes.shape[1], np.int32)
        head, waiting = np.full(len(self.made), -1, np.int32), np.zeros((len(self.made) >> 6) + 1, np.uint64)
        table = (self.slots, self.made, self.ordered)
        _merge_rows(np.ascontiguousarray(codes), letters, *table, prefix, suffix, links, head, waiting, scratch, flat, count)
        return flat, count


@numba.njit(cache=True, nogil=True)
def _slot(pair, slots):
    """Where the search for a pair begins (Fibonacci hashing)."""
    mixed = np.uint64(pair) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64(mixed >> np.uint64(32)) & (len(slots) - 1)


@numba.njit(cache=True, nogil=True)
def _fill(slots, left, right):
    """Put every pair with its rank into the table; of a pair that is there twice, the later rank holds."""
    for rank in range(len(left)):
        pair = left[rank] << ID_BITS | right[rank]
        at = _slot(pair, slots)
        while slots[at] != EMPTY and np.int64(slots[at] >> np.uint64(24)) != pair:
            at = (at + 1) & (len(slots) - 1)
        slots[at] = np.uint64(pair << 24 | rank)


@numba.njit(cache=True, nogil=True)
def _rank(left, right, slots):
    """Rank of a pair, -1 if it does not merge."""
    pair = np.int64(left) << ID_BITS | np.int64(right)
    at = _slot(pair, slots)
    while slots[at] != EMPTY:
        if np.int64(slots[at] >> np.uint64(24)) == pair:
            return np.int64(slots[at] & np.uint64(0xFFFFFF))
        at = (at + 1) & (len(slots) - 1)
    return np.int64(-1)


@numba.njit(cache=True, nogil=True)
def _list(place, rank, links, head, waiting):
    """Put a place at the head of its rank's list, if it has one."""
    links[place, RANK] = rank
    if rank >= 0:
        first = head[rank]
        links[place, AHEAD], links[place, BEHIND] = first, -1
        if first >= 0:
            links[first, BEHIND] = place
        head[rank] = place
        waiting[rank >> 6] |= np.uint64(1) << np.uint64(rank & 63)


@numba.njit(cache=True, nogil=True)
def _unlist(place, links, head):
    """Take a place out of the list in which it is, if any."""
    rank = links[place, RANK]
    if rank >= 0:
        ahead, behind = links[place, AHEAD], links[place, BEHIND]
        if behind >= 0:
            links[behind, AHEAD] = ahead
        else:
            head[rank] = ahead
        if ahead >= 0:
            links[ahead, BEHIND] = behind
        links[place, RANK] = -1


@numba.njit(cache=True, nogil=True)
def _sort(rank, links, head, scratch):
    """Bring a rank's list into ascending order."""
    count, place, ascending = 0, head[rank], True
    while place >= 0:
        scratch[count] = place
        ascending &= count == 0 or scratch[count - 1] < place
        count += 1
        place = links[place, AHEAD]
    if not ascending:
        scratch[:count].sort()
        head[rank] = scratch[0]
        for i in range(count):
            links[scratch[i], BEHIND] = scratch[i - 1] if i else -1
            links[scratch[i], AHEAD] = scratch[i + 1] if i + 1 < count else -1


@numba.njit(cache=True, nogil=True)
def _merge(place, rank, length, slots, made, links, head, waiting):
    """Merge the pair at a place; gives the lowest rank of the pairs that come about, or the number of ranks if none merges."""
    token, right, before, lowest = made[rank], links[place, NEXT], links[place, LAST], len(made)
    after = links[right, NEXT]
    _unlist(place, links, head)
    _unlist(right, links, head)
    links[place, TOKEN], links[place, NEXT] = token, after
    if after < length:
        links[after, LAST] = place
        new = _rank(token, links[after, TOKEN], slots)
        _list(place, new, links, head, waiting)
        if new >= 0:
            lowest = new
    if before >= 0:
        _unlist(before, links, head)
        new = _rank(links[before, TOKEN], token, slots)
        _list(before, new, links, head, waiting)
        if new >= 0:
            lowest = min(lowest, new)
    return lowest


@numba.njit(cache=True, nogil=True)
def _merge_row(codes, letters, first, slots, made, ordered, links, head, waiting, scratch):
    """Merge one row until no pair has a rank; a pair is known by the place of its left token's first base."""
    length = len(codes)
    for place in range(length - 1, -1, -1):  # from the right, so that every list ascends
        links[place, TOKEN], links[place, NEXT], links[place, LAST] = letters[codes[place]], place + 1, place - 1
        _list(place, first[codes[place], codes[place + 1]] if place + 1 < length else -1, links, head, waiting)
    word = 0
    while word < len(waiting):
        if waiting[word] == 0:
            word += 1
            continue
        lowest = waiting[word] & (~waiting[word] + np.uint64(1))
        rank = word << 6 | BIT[(lowest * DE_BRUIJN) >> np.uint64(58)]
        if ordered[rank] and head[rank] >= 0:
            _sort(rank, links, head, scratch)
        back = len(made)
        while head[rank] >= 0 and back > rank:
            back = _merge(head[rank], rank, length, slots, made, links, head, waiting)
        if head[rank] < 0:
            waiting[word] &= ~lowest
        word = min(word, back >> 6)  # a pair of a lower rank goes first


@numba.njit(cache=True, nogil=True)
def _merge_rows(codes, letters, slots, made, ordered, prefix, suffix, links, head, waiting, scratch, flat, count):
    """Merge row after row; ``head`` is all -1 and ``waiting`` all 0, before and after."""
    length, out = codes.shape[1], 0
    first = np.empty((5, 5), np.int64)
    for left in range(5):
        for right in range(5):
            first[left, right] = _rank(letters[left], letters[right], slots)
    for row in range(len(codes)):
        _merge_row(codes[row], letters, first, slots, made, ordered, links, head, waiting, scratch)
        begin, place = out, 0
        for one in prefix:
            flat[out] = one
            out += 1
        while place < length:
            flat[out] = links[place, TOKEN]
            out += 1
            place = links[place, NEXT]
        for one in suffix:
            flat[out] = one
            out += 1
        count[row] = out - begin
