"""Scores of variants by definition: one difference a view, views averaged.

A view is a shift of the windows and a strand; variants that change the length are seen in the frames of ``regdna.haplotypes`` besides,
whose differences are averaged within a view.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from regdna.genome import Genome
from regdna.haplotypes import Edits, alternates, begins, framed, references
from regdna.models.classifier import probability


class Strands(Protocol):
    """What variants are scored by: ``regdna.models.classifier.Classifier``, or what looks like one."""

    about: dict

    def strands(self, codes: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Log-odds of windows, uint8 (n, L), on the strand given and on the other, float64 (2, n, T)."""


def score(
    classifiers: Sequence[Strands], genome: Genome, some: Edits, shifts: Sequence[int] = (0,), align: str = "ends"
) -> dict[str, np.ndarray]:
    """Scores of variants by name, float64 (n, T) each, as ``regdna.variants.SCORES`` defines them (less those against a background).

    Log-odds come from logits and are differenced in float64, on each strand, in each shift and frame by itself; then they are averaged
    over all, and over classifiers. ``deepsea_effect`` multiplies the averages.

    Args:
        classifiers: one a seed, of the same targets and ``about["length"]``.
        some: what the variants change, each ``regdna.haplotypes.held`` with these shifts and frames; a block of a few thousand.
        shifts: bp by which the variant is moved to the right from the middle of the window, index ``length // 2``.
        align: ``ends`` or ``centre``.

    Raises:
        IndexError: a window reaches beyond what the genome holds.
    """
    shape, length = (len(some), len(classifiers[0].about["targets"])), classifiers[0].about["length"]
    # Sums, not all views at once: many shifts and seeds of many targets would fill the memory.
    diff, seeds, views = np.zeros(shape), np.zeros((len(classifiers), *shape)), np.zeros((len(shifts), 2, *shape))
    for step, shift in enumerate(shifts):
        for frame, rows, share in framed(some, align):
            if not len(rows):
                continue
            reference, alternate, position, back = _windows(genome, some[rows], frame, length, shift)
            for seed, one in enumerate(classifiers):
                ref, alt = one.strands(reference, position[0])[:, back], one.strands(alternate, position[1])
                diff[rows] += share * (probability(alt) - probability(ref)).sum(0)
                seeds[seed, rows] += share * (alt - ref).sum(0)
                views[step][:, rows] += share * (alt - ref)
    diff /= 2 * len(shifts) * len(classifiers)
    seeds, views = seeds / (2 * len(shifts)), views.reshape(-1, *shape) / len(classifiers)
    logit = seeds.mean(0)
    return {
        "diff": diff,
        "logit": logit,
        "log2_odds": logit / np.log(2),
        "deepsea_effect": np.abs(logit) * np.abs(diff),
        "logit_seeds": seeds.std(0, ddof=1) if len(seeds) > 1 else np.full(logit.shape, np.nan),
        "logit_views": views.std(0, ddof=1),
    }


def _windows(
    genome: Genome, some: Edits, frame: str, length: int, shift: int
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Reference windows, once a site; alternate windows; positions of both; and which reference window is each variant's."""
    before, after = begins(some, frame, length, shift)
    sites = np.stack([pd.factorize(some.contig)[0], before], 1)
    _, first, back = np.unique(sites, axis=0, return_index=True, return_inverse=True)
    # The position that a model may know is that of the reference window in both: the edit alone shall make the difference.
    position = before + length / 2
    reference = references(genome, some[first], before[first], length)
    return reference, alternates(genome, some, after, length), (position[first], position), back.ravel()
