"""Pairs of substitutions at a locus: those of its most important positions, each alone and all in pairs."""

from collections.abc import Callable
from itertools import combinations

import numpy as np


def strongest(effect: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The most important positions of a locus, in order along it, each with its strongest substitution's new base.

    Args:
        effect: of every substitution, float (positions, 4, T), as ``mutagenise`` writes it; NaN where the reference is N.
        count: positions at most.

    Returns:
        index of the position and code of the base; strongest by the mean size of the effect over targets.
    """
    size = np.nan_to_num(np.abs(effect)).mean(2)
    best = size.max(1)
    places = np.sort(np.argsort(-best, kind="stable")[:count])
    return [(int(place), int(size[place].argmax())) for place in places if best[place] > 0]


def effects(answer: Callable[[np.ndarray], np.ndarray], codes: np.ndarray, edits: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Effects of substitutions alone, float64 (m, T), and in pairs, float64 (m (m - 1) / 2, T), in the order of ``combinations``.

    Args:
        answer: logits, float64 (n, T), of sequences, uint8 (n, L).
        codes: the reference, uint8 (L,).
        edits: index into it and new base of each.
    """
    some = [(), *((one,) for one in edits), *combinations(edits, 2)]
    mutants = np.repeat(codes[None], len(some), 0)
    for mutant, changes in zip(mutants, some, strict=True):
        for where, base in changes:
            mutant[where] = base
    found = answer(mutants)
    against = found[1:] - found[0]
    return against[: len(edits)], against[len(edits) :]
