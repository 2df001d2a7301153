"""Rebuild the sequences of an MPRA's elements from its reference alleles, in the form of a genome."""

import logging
from pathlib import Path

import numpy as np

from regdna.elements import gaps, lay_out, rebuild
from regdna.step import run
from regdna.store import atomic

log = logging.getLogger("regdna")


def main(variants: Path, genome: Path, index: Path, mask: Path, assembly: str) -> None:
    """Write codes to ``genome``, where each element lies to ``index`` and (unset) bits of repeats to ``mask``.

    Args:
        variants: the file of the saturation MPRA.
        genome: .npy of codes, uint8, memory-mappable.
        index: .tsv with a line an experiment, its name as chrom.
        mask: .npy of bits.
        assembly: whose coordinates are used.
    """
    elements = rebuild(variants, assembly)
    codes, rows, bits = lay_out(elements, assembly)
    with atomic(genome) as one, atomic(mask) as other, atomic(index) as third:
        np.save(one, codes)
        np.save(other, bits)
        rows.to_csv(third, sep="\t", index=False)
    missing = ", ".join(f"{name} ({count})" for name, count in gaps(elements).items()) or "none"
    log.info("%d experiments rebuilt; bases that no line tells of: %s", len(elements), missing)


if __name__ == "__main__":
    run(main)
