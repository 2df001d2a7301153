"""Turn the FASTA of an assembly, or of a part of it, into one array of codes, the bits of its repeats, and an index."""

from pathlib import Path

from regdna.genome import index_fasta, read_lengths
from regdna.step import run
from regdna.store import atomic


def main(fasta: list[Path], assemblies: Path, genome: Path, index: Path, mask: Path, assembly: str) -> None:
    """Write codes to ``genome``, repeats to ``mask`` and where each chromosome lies to ``index``.

    Args:
        fasta: the assembly's files; chrM and whatever the table does not list are left out.
        assemblies: table of assembly, chrom, length.
        genome: .npy of codes, uint8, memory-mappable.
        mask: .npy of bits, 1 where a base is in lower case.
        assembly: whose chromosomes are kept.
    """
    lengths = read_lengths(assemblies, assembly)
    with atomic(genome) as codes, atomic(mask) as bits, atomic(index) as rows:
        index_fasta(fasta, assembly, lengths, codes, bits).to_csv(rows, sep="\t", index=False)


if __name__ == "__main__":
    run(main)
