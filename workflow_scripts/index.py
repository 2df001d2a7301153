"""Turn the FASTA of an assembly, or of a part of it, into one array of codes and an index."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.genome import index_fasta
from regdna.step import InputError, run
from regdna.store import atomic


def main(fasta: list[Path], assemblies: Path, genome: Path, index: Path, assembly: str) -> None:
    """Write codes (uint8, memory-mappable) to ``genome`` and chrom, start, length, offset to ``index``."""
    if len(fasta) != 1:
        raise InputError(f"{', '.join(map(str, fasta))}: a genome is one FASTA file; list one in resources/sources.yaml")
    table = pd.read_csv(assemblies, sep="\t")
    codes, rows = index_fasta(fasta[0], dict(table[table["assembly"] == assembly][["chrom", "length"]].itertuples(index=False)))
    with atomic(genome) as temporary:
        np.save(temporary, codes)
    with atomic(index) as temporary:
        rows.to_csv(temporary, sep="\t", index=False)


if __name__ == "__main__":
    run(main)
