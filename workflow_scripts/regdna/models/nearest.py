"""A look-up of the training windows that share most k-mers with a window: what a model scores that remembers and understands nothing."""

import numba
import numpy as np

from regdna.alphabet import N
from regdna.models import lookup
from regdna.windows import Places

SKETCH = 64  # k-mers that stand for a window: those with the lowest hashes (MinHash: Broder 1997)
# ASSUME: a k-mer in the sketches of more than 1,000 training windows is a repeat and says nothing of which of them is nearest.
FREQUENT = 1000
# ASSUME: the prevalence counts as much as a training window that has a tenth of the k-mers.
STRENGTH = 0.1


def learn(codes: np.ndarray, places: Places, labels: np.ndarray, known: np.ndarray | None, parameters: dict, everywhere: Places) -> dict:
    """Tensors of a checkpoint: labels, and every k-mer of the sketches with the training windows that have it.

    Args:
        codes: of the training windows, uint8 (n, L).
        labels, known: of them, bool (n, T); ``known`` is None where all are.
        parameters: ``word``, the length of k-mers.
        places, everywhere: not used.
    """
    words = sketches(codes, parameters["word"])
    row, _ = np.nonzero(words >= 0)
    words = words[words >= 0]
    order = np.argsort(words, kind="stable")
    small = np.int32 if parameters["word"] <= 15 else np.int64
    return lookup.packed(labels, known) | {"words": words[order].astype(small), "row": row[order].astype(np.int32)}


def opened(tensors: dict, about: dict) -> object:
    """As ``regdna.models.lookup.opened``."""
    return lookup.opened(near, tensors, about, STRENGTH)


def near(tensors: dict, codes: np.ndarray, places: Places, parameters: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The training windows with most k-mers of each window's sketch, weighted by the share of it that they have.

    Args:
        places: not used.
        parameters: ``word``, the length of k-mers, and ``neighbours`` at most.

    Returns:
        As ``lookup.opened`` wants it.
    """
    words = sketches(codes, parameters["word"])
    row, shared = _most_shared(tensors["words"], tensors["row"], len(tensors["labels"]), words, parameters["neighbours"])
    prior = np.broadcast_to(tensors["rate"], (len(codes), len(tensors["rate"])))
    return row, shared / np.maximum((words >= 0).sum(1, keepdims=True), 1), prior


def sketches(codes: np.ndarray, k: int) -> np.ndarray:
    """The lowest hashes of each window's k-mers, int64 (n, ``SKETCH``), ascending, -1 where there are fewer.

    A k-mer and its reverse complement are one; k-mers with N are none. No two k-mers have one hash.

    Args:
        codes: uint8 (n, L).
        k: at most 31.
    """
    return _sketches(np.ascontiguousarray(codes), k, SKETCH)


@numba.njit(cache=True, nogil=True)
def _mixed(word, k):
    """A hash of a k-mer, of 2 k bits: xor-shifts and odd factors can be undone."""
    mask, half = (np.uint64(1) << np.uint64(2 * k)) - np.uint64(1), np.uint64(k)
    word ^= word >> half
    word = (word * np.uint64(0xBF58476D1CE4E5B9)) & mask
    word ^= word >> half
    word = (word * np.uint64(0x94D049BB133111EB)) & mask
    return word ^ (word >> half)


@numba.njit(cache=True, nogil=True)
def _sketches(codes, k, size):
    """As ``sketches``."""
    out = np.full((len(codes), size), np.int64(-1))
    found = np.empty(max(codes.shape[1], 1), np.int64)
    mask, top = (np.uint64(1) << np.uint64(2 * k)) - np.uint64(1), np.uint64(2 * k - 2)
    for window in range(len(codes)):
        forward = backward = np.uint64(0)
        known = count = 0
        for i in range(codes.shape[1]):
            if codes[window, i] >= N:
                known = 0
                continue
            base = np.uint64(codes[window, i])
            forward = ((forward << np.uint64(2)) | base) & mask
            backward = (backward >> np.uint64(2)) | ((np.uint64(3) - base) << top)
            known += 1
            if known >= k:
                found[count] = np.int64(_mixed(min(forward, backward), k))
                count += 1
        some = np.unique(found[:count])[:size]
        out[window, : len(some)] = some
    return out


@numba.njit(cache=True, nogil=True)
def _most_shared(words, row, windows, sketch, most):
    """Up to ``most`` training windows that share most words with each sketch, of equal ones the first, and how many; -1 for none."""
    best, shared = np.full((len(sketch), most), -1), np.zeros((len(sketch), most))
    count, touched = np.zeros(windows, np.int32), np.empty(windows, np.int64)
    for i in range(len(sketch)):
        seen = 0
        for word in sketch[i]:
            if word < 0:
                break
            low = np.searchsorted(words, word)
            high = low + np.searchsorted(words[low : low + FREQUENT + 1], word, side="right")
            if high - low > FREQUENT:
                continue
            for at in range(low, high):
                if count[row[at]] == 0:
                    touched[seen] = row[at]
                    seen += 1
                count[row[at]] += 1
        for one in touched[:seen]:
            place = most
            while place > 0 and (count[one] > shared[i, place - 1] or (count[one] == shared[i, place - 1] and one < best[i, place - 1])):
                place -= 1
            if place < most:
                for later in range(most - 1, place, -1):
                    best[i, later], shared[i, later] = best[i, later - 1], shared[i, later - 1]
                best[i, place], shared[i, place] = one, count[one]
            count[one] = 0
    return best, shared
