"""Pairs of motifs planted into backgrounds, at several spacings and in every relative orientation."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.alphabet import reverse_complement
from regdna.shuffles import dinucleotide_shuffle
from regdna.step import InputError

# Codes that each letter stands for (IUPAC-IUB 1985, Eur J Biochem 150:1).
LETTERS = {"A": [0], "C": [1], "G": [2], "T": [3], "R": [0, 2], "Y": [1, 3], "S": [1, 2], "W": [0, 3], "K": [2, 3], "M": [0, 1],
           "B": [1, 2, 3], "D": [0, 2, 3], "H": [0, 1, 3], "V": [0, 1, 2], "N": [0, 1, 2, 3]}  # fmt: skip
STRANDS = "+-"


@dataclass(frozen=True)
class Arrangement:
    """How two motifs stand to each other, the first one on the left.

    Attributes:
        spacing: bases between them.
        orientation: strand of either, such as ``+-``.
    """

    spacing: int
    orientation: str


def spell(motif: str, count: int, draw: np.random.Generator) -> np.ndarray:
    """Sequences of a motif, uint8 (count, width); letters that stand for several bases are drawn."""
    return np.stack([draw.choice(np.array(LETTERS[letter], np.uint8), count) for letter in motif], 1)


def palindromic(motif: str) -> bool:
    """Whether a motif reads the same on both strands."""
    sets = [set(LETTERS[letter]) for letter in motif]
    return sets == [{3 - code for code in one} for one in reversed(sets)]


def arrangements(first: str, second: str, spacings: list[int], length: int) -> list[Arrangement]:
    """Every spacing that fits ``length`` bp, in every relative orientation; a motif that reads the same on both strands has one alone.

    The first motif is always on the left: with strands averaged, the four orientations are then all that there are.
    """
    strands = [STRANDS[:1] if palindromic(one) else STRANDS for one in (first, second)]
    fits = [spacing for spacing in spacings if len(first) + spacing + len(second) <= length]
    return [Arrangement(spacing, one + other) for spacing in fits for one in strands[0] for other in strands[1]]


def effects(
    answer: Callable[[np.ndarray], np.ndarray], backgrounds: np.ndarray, first: np.ndarray, second: np.ndarray, some: list[Arrangement]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Effects of the first motif, of the second and of both, each against the background alone, float64 (n, arrangements, T).

    The pair stands in the middle of the background; a motif alone stands where it does in the pair.

    Args:
        answer: logits, float64 (m n, T), of m times the backgrounds, one set of n behind the other.
        backgrounds: uint8 (n, L).
        first, second: motifs to put into each, uint8 (n, width).
        some: how.
    """
    sets, place = [backgrounds], {}

    def put(key: tuple, parts: list[tuple[int, np.ndarray]]) -> int:
        if key not in place:
            codes = backgrounds.copy()
            for at, motif in parts:
                codes[:, at : at + motif.shape[1]] = motif
            place[key] = len(sets)
            sets.append(codes)
        return place[key]

    at = []
    for one in some:
        begin = (backgrounds.shape[1] - first.shape[1] - one.spacing - second.shape[1]) // 2
        strands = [
            motif if strand == "+" else reverse_complement(motif) for motif, strand in zip((first, second), one.orientation, strict=True)
        ]
        left, right = (begin, strands[0]), (begin + first.shape[1] + one.spacing, strands[1])
        at.append([
            put(("first", one.spacing, one.orientation[0]), [left]),
            put(("second", one.spacing, one.orientation[1]), [right]),
            put(("both", one.spacing, one.orientation), [left, right]),
        ])  # fmt: skip
    found = answer(np.concatenate(sets)).reshape(len(sets), len(backgrounds), -1)
    against = (found - found[0]).swapaxes(0, 1)  # (n, sets, T)
    first_alone, second_alone, both = (against[:, list(column)] for column in zip(*at, strict=True))
    return first_alone, second_alone, both


def choose(windows: pd.DataFrame, count: int, seed: int, path: Path) -> np.ndarray:
    """Rows of test windows without N, drawn at random, int64 (n,), ascending; at most ``count``.

    Args:
        windows: split and n_fraction.
        path: of the windows, for messages.

    Raises:
        InputError: fewer than two are without N.
    """
    rows = np.flatnonzero((windows["split"] == "test").to_numpy() & (windows["n_fraction"] == 0).to_numpy())
    if len(rows) < 2:
        raise InputError(
            f"{path}: {len(rows)} test windows are without N, and motifs are planted into two or more; take out 'interactions'"
        )
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def shuffled(sequences: object, rows: np.ndarray, seed: int) -> np.ndarray:
    """Backgrounds: windows with their dinucleotides in another order, uint8 (n, L).

    Args:
        sequences: of every window: ``sequences[rows]`` gives uint8 (n, L).
        rows: of the windows, int64 (n,).
        seed: of the shuffles.
    """
    return dinucleotide_shuffle(sequences[rows], seed, rows)
