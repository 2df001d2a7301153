"""In-silico saturation mutagenesis: the effect of every substitution at a locus."""

import numpy as np

from regdna.alphabet import N
from regdna.models.classifier import Classifier
from regdna.step import progress

ROWS = 1024


def saturate(classifier: Classifier, codes: np.ndarray, first: int, last: int, position: float) -> tuple[np.ndarray, np.ndarray]:
    """Effects of all substitutions in part of a window, averaged over both strands.

    Args:
        codes: the window, uint8 (L,).
        first, last: indices into it (half-open) of the bases to substitute.
        position: its centre on the chromosome in bp.

    Returns:
        Effects, float64 (last - first, 4, T): the difference in log-odds of each target, mutant minus reference, by
        position and new base (A, C, G, T). The reference base's own entry is 0 and is not computed; a position whose
        reference base is N is NaN. And the reference's log-odds, float64 (T,).
    """
    where = np.arange(first, last)
    edits = [(at, base) for at in where for base in range(4) if codes[at] not in (base, N)]
    reference = classifier.strands(codes[None], np.array([position]))[:, 0]
    effect = np.zeros((len(where), 4, reference.shape[1]))
    effect[codes[where] == N] = np.nan
    show = progress(len(edits), "mutating", "substitutions")
    for at in range(0, len(edits), ROWS):
        batch = edits[at : at + ROWS]
        mutants = np.repeat(codes[None], len(batch), 0)
        mutants[np.arange(len(batch)), [one[0] for one in batch]] = [one[1] for one in batch]
        odds = classifier.strands(mutants, np.full(len(batch), position))
        delta = (odds - reference[:, None]).mean(0)
        for (place, base), row in zip(batch, delta, strict=True):
            effect[place - first, base] = row
        show(at + len(batch))
    return effect, reference.mean(0)
