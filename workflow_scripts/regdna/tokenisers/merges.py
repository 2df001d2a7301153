"""Byte-pair merges of DNA: always the pair of the lowest rank, and of that the leftmost, until none is left.

Source: Sennrich, Haddow and Birch 2016 (ACL, arXiv:1508.07909); the order is that of the tokenizers library, whose heap holds
(rank, place). Here every rank has a chain of the places where its pair stands, and a set of bits says which chains hold any.
Chains are circles through a head: links 0 to m - 1 are the heads of the m ranks, m that of the pairs that do not merge, and
m + 1 + i is the pair whose left token begins at place i. So joining and leaving take no branch, and nothing in a chain is stale.

A sequence with one base replaced is merged again only around it, in a stretch of whole tokens of the reference. If it still begins
and ends with the tokens with which it did, neither of them holding the edit, the tokens outside stay, and nothing else is to be done.
Proof. (1) Cut what merging ends with at two of its boundaries: the part is what its letters, merged alone, end with, for no merge
crosses a boundary, and the lowest (rank, place) of all pairs is, when it lies in the part, the lowest of the part's. (2) If every two
neighbours of a line of tokens are what their letters, merged alone, end with, then so is the line. For look at the first merge across
a boundary, of tokens t and u: until then what merged in t and u was, as in (1), what merges in their letters alone, and this merge
would be the next; but theirs ends with t and u. (3) In the line of the reference's tokens, the stretch's and the reference's again,
any two neighbours are neighbours in the reference or in the stretch, since the tokens at its ends are of both. So (1) holds for each
two, and (2) for the line. At an end of the sequence the stretch needs no such token. Where it fails it grows on that side.
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
MARGIN = 1  # tokens of the reference on either side of the one that an edit hits, to begin with
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
        table = (self.slots, self.made, self.ordered)
        _merge_rows(np.ascontiguousarray(codes), letters, *table, prefix, suffix, *self._workplace(codes.shape[1]), flat, count)
        return flat, count

    def apply_edits(
        self, codes: np.ndarray, where: np.ndarray, bases: np.ndarray, letters: np.ndarray, prefix: np.ndarray, suffix: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What ``apply`` gives of the mutants of one sequence, merged again only around each edit.

        Args:
            codes: uint8 (L,).
            where: the base that each mutant changes, 0-based, within the sequence, int (m,).
            bases: code of its new base, int (m,).
            letters, prefix, suffix: as of ``apply``.
        """
        flat = np.empty(len(where) * (len(codes) + len(prefix) + len(suffix)), np.int32)
        count = np.empty(len(where), np.int64)
        table = (self.slots, self.made, self.ordered)
        # Of the reference: its tokens, the base that each begins with, and the token of each base.
        reference = np.empty((3, len(codes) + 1), np.int32)
        _merge_edits(codes.copy(), where, bases, letters, *table, prefix, suffix, *self._workplace(len(codes)), reference, flat, count)
        return flat, count

    def _workplace(self, length: int) -> tuple[np.ndarray, ...]:
        """Line, chains, bits and scratch for sequences up to a length. Arrays of a kernel's own are counted at every use, so made here."""
        none = len(self.made)
        line, scratch = np.empty((length + 2, 3), np.int32), np.empty(length, np.int32)
        chain, waiting = np.empty((none + 1 + len(line), 2), np.int32), np.zeros((none >> 6) + 1, np.uint64)
        chain[:] = np.arange(len(chain))[:, None]
        return line, chain, waiting, scratch


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
def _first_ranks(letters, slots, none):
    """Rank of each pair of codes."""
    first = np.empty((5, 5), np.int64)
    for left in range(5):
        for right in range(5):
            first[left, right] = _rank(letters[left], letters[right], slots, none)
    return first


@numba.njit(cache=True, nogil=True)
def _merge_rows(codes, letters, slots, made, ordered, prefix, suffix, line, chain, waiting, scratch, flat, count):
    """Merge row after row; every rank's chain is empty and ``waiting`` all 0, before and after."""
    length, out = codes.shape[1], 0
    first = _first_ranks(letters, slots, len(made))
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


@numba.njit(cache=True, nogil=True)
def _merge_edits(codes, where, bases, letters, slots, made, ordered, prefix, suffix, line, chain, waiting, scratch, reference, flat, count):
    """Merge one row, and of each mutant a stretch around its edit that is wide enough."""
    length, total, place, out = len(codes), 0, 1, 0
    first = _first_ranks(letters, slots, len(made))
    token, start, holder = reference[0], reference[1], reference[2]
    _merge_row(codes, letters, first, slots, made, ordered, line, chain, waiting, scratch)
    while place <= length:
        token[total], start[total] = line[place, TOKEN], place - 1
        holder[place - 1 : line[place, NEXT] - 1] = total
        total, place = total + 1, line[place, NEXT]
    start[total] = length
    for row in range(len(where)):
        at, more = where[row], MARGIN
        low, high, old = max(holder[at] - more, 0), min(holder[at] + more, total - 1), codes[at]
        codes[at] = bases[row]
        while True:
            begin, width = start[low], start[high + 1] - start[low]
            _merge_row(codes[begin : begin + width], letters, first, slots, made, ordered, line, chain, waiting, scratch)
            last = line[width + 1, LAST]
            left = low == 0 or line[1, NEXT] - 1 == start[low + 1] - begin  # the same bases, so the same token
            right = high == total - 1 or last - 1 == start[high] - begin
            if left and right:
                break
            more *= 2
            low = low if left else max(low - more, 0)
            high = high if right else min(high + more, total - 1)
        codes[at] = old
        kept, begin, place = total - 1 - high, out, 1
        flat[out : out + len(prefix)] = prefix
        out += len(prefix)
        flat[out : out + low] = token[:low]
        out += low
        while place <= width:
            flat[out] = line[place, TOKEN]
            out, place = out + 1, line[place, NEXT]
        flat[out : out + kept] = token[high + 1 : total]
        out += kept
        flat[out : out + len(suffix)] = suffix
        out += len(suffix)
        count[row] = out - begin
