"""Shuffles: random sequences that keep every dinucleotide count of the ones they come from."""

import itertools

import numba
import numpy as np

from regdna.alphabet import N


def dinucleotide_shuffle(codes: np.ndarray, seed: int, first: int | np.ndarray = 0) -> np.ndarray:
    """Every row drawn uniformly among all sequences with its dinucleotide counts, uint8 (n, L).

    First and last base and composition are kept too. N (4) stays where it is and cuts a row into stretches that are
    shuffled each for itself. A sequence is a path that walks every dinucleotide once as an edge between letters; the edge
    by which each letter is left for the last time is drawn first, as one of the trees that lead to the last letter, the
    order of all other edges is free. A letter has at most three others to go to, so that the trees (16 for each last
    letter) are weighed in full rather than found by rejection.

    Args:
        codes: uint8 (n, L); is not changed.
        seed: of the draw, 0 to 2**64 - 1.
        first: number of the first row among all rows, or the number of each, int64 (n,). A row's draw depends on the seed
            and its number alone, so that batches may come in any order and of any size.

    Source: Altschul and Erickson 1985, Mol Biol Evol 2:526; Kandel, Matias, Unger and Winkler 1996, Discrete Appl Math 71:171.
    """
    out = np.array(codes, np.uint8, order="C")
    numbers = np.asarray(first, np.uint64)
    _shuffle_rows(out, np.uint64(seed), numbers if numbers.ndim else numbers + np.arange(len(out), dtype=np.uint64))
    return out


def _trees() -> np.ndarray:
    """For each root, the 16 ways to lead every other letter to it: int64 (4, 16, 4), the letter that each goes to."""
    trees = np.empty((4, 16, 4), np.int64)
    for root in range(4):
        found = 0
        for parents in itertools.product(range(4), repeat=3):
            to = np.insert(parents, root, root)
            if (to[to[to]] == root).all():
                trees[root, found] = to
                found += 1
    return trees


TREES = _trees()


@numba.njit(cache=True, nogil=True, inline="always")
def _mix(state):
    """64 well-mixed bits of a counter (SplitMix64; Steele, Lea and Flood 2014, OOPSLA)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def _shuffle_rows(out, seed, numbers):
    """Shuffle each row in place, from a stream of random bits that its number gives it."""
    key = _mix(seed + np.uint64(0x9E3779B97F4A7C15))
    length = out.shape[1]
    for row in range(len(out)):
        state = _mix(key + numbers[row])
        begin = 0
        while begin < length:
            end = begin
            while end < length and out[row, end] < N:
                end += 1
            if end - begin > 3:  # shorter ones have only themselves
                state = _shuffle_stretch(out[row, begin:end], state)
            begin = end + 1


@numba.njit(cache=True, nogil=True)
def _shuffle_stretch(codes, state):
    """Shuffle a stretch without N in place; gives the state of the random stream after it."""
    step, mask = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFFFFFFFF)
    counts = np.zeros((4, 4), np.int64)
    for i in range(len(codes) - 1):
        counts[codes[i], codes[i + 1]] += 1
    state += step
    last = _draw_tree(counts, codes[-1], float(_mix(state) >> np.uint64(11)) * 2.0**-53)
    left = np.zeros(4, np.uint64)  # edges of each letter that are free to go in any order
    below = np.zeros((4, 4), np.uint64)  # how many of them lead to a letter smaller than this one
    for letter in range(4):
        if letter != codes[-1] and counts[letter].sum():
            counts[letter, last[letter]] -= 1
        for to in range(4):
            below[letter, to] = left[letter]
            left[letter] += np.uint64(counts[letter, to])
    at = np.int64(codes[0])
    for i in range(1, len(codes)):
        free = left[at]
        if free == 0:
            at = last[at]
        else:
            # A whole number below ``free``, each equally likely (Lemire 2019, ACM Trans Model Comput Simul 29:3).
            state += step
            product = (_mix(state) & mask) * free
            if product & mask < free:
                threshold = (np.uint64(2**32) - free) % free
                while product & mask < threshold:
                    state += step
                    product = (_mix(state) & mask) * free
            pick = product >> np.uint64(32)
            row = below[at]
            to = np.int64(pick >= row[1]) + np.int64(pick >= row[2]) + np.int64(pick >= row[3])
            left[at] = free - np.uint64(1)
            row[1] -= np.uint64(to < 1)
            row[2] -= np.uint64(to < 2)
            row[3] -= np.uint64(to < 3)
            at = to
        codes[i] = at
    return state


@numba.njit(cache=True, nogil=True)
def _draw_tree(counts, root, chance):
    """The tree at ``chance`` (0 to 1) of all that lead to ``root``, each as likely as there are edges to make it of."""
    total = 0.0
    summed = np.empty(16)
    for tree in range(16):
        weight = 1.0
        for letter in range(4):
            # Letters that do not occur are led to the root, so that they choose nothing.
            if letter != root and (counts[letter].sum() or TREES[root, tree, letter] != root):
                weight *= counts[letter, TREES[root, tree, letter]]
        total += weight
        summed[tree] = total
    at = 0
    while summed[at] <= chance * total:
        at += 1
    return TREES[root, at]
