"""Variants put into sequence: every alternate window is a true substring of the edited chromosome."""

import numpy as np

from regdna.alphabet import N, encode
from regdna.genome import Genome


def window(genome: Genome, chrom: str, position: int, ref: str, alt: str, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Reference and alternate window around a variant, uint8 (length,) each.

    The reference window is ``[start, start + length)`` with the variant's first base at index ``length // 2``. The
    alternate window begins at the same base; what a deletion takes out is filled from the genome to the right, what an
    insertion adds pushes the right flank out. Nothing is padded or shifted.

    Args:
        position: 0-based coordinate of the first base of ``ref``.
        ref, alt: alleles as in VCF.

    Raises:
        ValueError: ``ref`` is not what the genome holds.
        IndexError: a window would reach beyond what the genome holds.
    """
    start = position - length // 2
    before = position - start
    first, last = genome.bounds(chrom)
    need = length - before + max(len(ref) - len(alt), 0)
    if start < first or position + max(need, len(ref)) > last:
        raise IndexError(f"{chrom}:{position + 1} is too close to the end of what is held")
    if not np.array_equal(genome.fetch(chrom, position, position + len(ref)), encode(ref)) or N in encode(ref):
        raise ValueError(f"{chrom}:{position + 1}: REF {ref} is not what the genome holds")
    reference = genome.fetch(chrom, start, start + length)
    after = genome.fetch(chrom, position + len(ref), position + len(ref) + length)
    alternate = np.concatenate([reference[:before], encode(alt), after])[:length]
    return reference, alternate
