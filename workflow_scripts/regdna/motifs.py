"""Motifs of transcription factors: reading count matrices, and which of them a change of sequence makes or breaks."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regdna.alphabet import reverse_complement
from regdna.step import InputError

P_VALUE = 1e-4
STEPS = 100  # of a bit, to which scores are rounded when their distribution is counted
PSEUDOCOUNT = 0.1  # of each base, beside a column's counts
ROW = re.compile(r"^(?:([ACGTU])\s*)?\[?\s*((?:[-+.\deE]+\s*)+)\]?$", re.IGNORECASE)


@dataclass(frozen=True)
class Motif:
    """A motif as log-odds.

    Attributes:
        name: what its file calls it.
        weights: log2 of a base's probability over 1/4, in steps of 1/100 bit, float64 (5, width): A, C, G, T, and N, which is 0.
        threshold: score in bits that random sequence of equal bases reaches at one place of one strand with ``P_VALUE``.
    """

    name: str
    weights: np.ndarray
    threshold: float


def read_motifs(path: Path) -> list[Motif]:
    """Motifs of a file in JASPAR's formats: ``>name`` and four rows of counts (A, C, G, T), or one row of four counts a position.

    # ASSUME: a motif is there where its log-odds score (0.1 pseudocounts a base, equal bases elsewhere) is one that random
    # sequence reaches at one place with a probability of at most 1e-4.

    Raises:
        InputError: the file is another, or a matrix is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as motifs ({error}); give count matrices as JASPAR writes them") from None
    found: list[Motif] = []
    title, begins, rows = "", 0, []
    for number, line in enumerate([*lines, ">"], start=1):
        text = line.strip()
        if text.startswith(">"):
            if title:
                found.append(_motif(title, rows, f"{path}: line {begins}"))
            title, begins, rows = " ".join(text[1:].split()), number, []
        elif text and not text.startswith("#"):
            match = ROW.match(text)
            if not match or not title:
                raise InputError(f"{path}: line {number} is no row of counts below a >name; give count matrices as JASPAR writes them")
            rows.append(match[2].split())
    if not found:
        raise InputError(f"{path}: holds no motif; give count matrices as JASPAR writes them")
    return found


def _motif(name: str, rows: list[list[str]], where: str) -> Motif:
    try:
        counts = np.array(rows, float)
    except ValueError:
        counts = np.empty(0)
    # Four rows of four could be either: JASPAR's own four rows come first.
    counts = counts if counts.ndim == 2 and len(counts) == 4 else counts.T
    if counts.ndim != 2 or len(counts) != 4 or not counts.shape[1]:
        raise InputError(f"{where}: motif {name} has neither four rows nor rows of four counts; mend or remove it")
    if not np.isfinite(counts).all() or (counts < 0).any() or not counts.sum(0).all():
        raise InputError(f"{where}: motif {name} has a negative count or a position without any; mend or remove it")
    share = (counts + PSEUDOCOUNT) / (counts + PSEUDOCOUNT).sum(0)
    # Rounded here, once: what a score is compared with is counted in the same steps.
    weights = np.round(np.vstack([np.log2(4 * share), np.zeros(share.shape[1])]) * STEPS) / STEPS
    return Motif(name, weights, threshold(weights[:4]))


def threshold(weights: np.ndarray) -> float:
    """Lowest score that random sequence of equal bases reaches with at most ``P_VALUE``, counted exactly.

    Args:
        weights: float (4, width), in steps of 1/100 bit.
    """
    steps = np.round(weights * STEPS).astype(np.int64)
    low = steps.min(0)
    chance = np.ones(1)
    for column, lowest in zip(steps.T, low, strict=True):
        wider = np.zeros(len(chance) + int((column - lowest).max()))
        for step in column - lowest:
            wider[step : step + len(chance)] += chance / 4
        chance = wider
    tail = chance[::-1].cumsum()[::-1]  # of a score at least as high
    reached = np.flatnonzero(tail <= P_VALUE)
    # A short motif may be no rarer than that even where it fits best: it is then never there.
    return float(reached[0] + low.sum()) / STEPS if len(reached) else float("inf")


def best(motif: Motif, codes: np.ndarray) -> float:
    """Highest score of a motif in codes, uint8 (L,), on either strand; -inf where it is longer than they are."""
    width = motif.weights.shape[1]
    if len(codes) < width:
        return float("-inf")
    both = np.concatenate([np.lib.stride_tricks.sliding_window_view(one, width) for one in (codes, reverse_complement(codes[None])[0])])
    return float(motif.weights[both, np.arange(width)].sum(1).max())


def changed(motifs: list[Motif], reference: np.ndarray, alternate: np.ndarray, first: int, last: int) -> list[tuple[str, float, float]]:
    """Motifs that an edit makes or breaks: name, best score of the reference and of the alternate in bits, largest change first.

    Places that touch the edit count, and a motif is made or broken where its best score crosses its threshold.

    Args:
        reference, alternate: codes, uint8 (L,) and (L',), that are the same up to ``first`` and, from the end, behind the edit.
        first, last: of the edit in the reference, 0-based, half-open.
    """
    grown = last + len(alternate) - len(reference)
    found = []
    for motif in motifs:
        flank = motif.weights.shape[1] - 1
        before = best(motif, reference[max(first - flank, 0) : last + flank])
        after = best(motif, alternate[max(first - flank, 0) : grown + flank])
        there = motif.threshold - 0.5 / STEPS  # sums of steps are not exact
        if (before >= there) != (after >= there):
            found.append((motif.name, before, after))
    return sorted(found, key=lambda one: -abs(one[2] - one[1]))
