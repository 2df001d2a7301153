"""Alleles held against the genome: chromosome found, REF compared, written in the one shortest and leftmost way.

Source: Tan, Abecasis and Kang 2015, Bioinformatics 31:2202.
"""

from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from regdna.alphabet import decode, reverse_complement
from regdna.genome import Genome
from regdna.haplotypes import common_ends, spelled
from regdna.sources.variant_files import Lines
from regdna.step import InputError

SYMBOLIC, BREAKEND, STAR = "symbolic allele", "breakend", "ALT is *: another variant deletes the base"
LETTERS, SAME, NONE = "REF or ALT is not of A, C, G, T", "ALT is REF", "no alternate allele"
INSERTED = "REF is -: before or behind which base is not said; write the base before in both"
CHROMOSOME, ZERO, BEYOND, OUTSIDE = "chromosome not held", "POS is 0", "POS beyond the end of the chromosome", "beyond what is held"
MISMATCH, ANCHOR, BOTH = "REF is not what the assembly holds", "no base before it is held", "negative that is also a positive"
POLICIES = ("drop", "fail", "flip")
NAMED = 10  # lines that a message names


@dataclass(frozen=True)
class Placed:
    """Variants that stand where they say they do.

    Attributes:
        table: line, chrom, contig, position (0-based), id, ref, alt, kind and what the file says besides.
        out: alleles left out: line, reason, text.
        flipped: alleles by how they were made to fit: ``swapped`` or ``complemented``.
        repeated: rows with the alleles of an earlier row; they are kept.
    """

    table: pd.DataFrame
    out: list[tuple[int, str, str]]
    flipped: dict[str, int]
    repeated: int


def place(lines: Lines, genome: Genome, lengths: dict[str, int], mismatch: str = "drop", elements: bool = False) -> Placed:
    """Check and normalise alleles; one row each, in the order of the file.

    A variant that is written twice, in one way or two, is two rows: what was measured of them may differ. In a set of labels, a
    negative that is also a positive is left out.

    Args:
        lines: from ``regdna.sources.variant_files.typed``; alt '-' is a deletion of all of ref.
        lengths: bp of the assembly's chromosomes.
        mismatch: what is done where REF is not what the genome holds: ``drop``, ``fail`` or ``flip``.
        elements: whether the genome holds elements, by the variants' id, rather than chromosomes.

    Raises:
        InputError: ``fail``, and a REF is not what the genome holds.
    """
    table, out = lines.kept, list(lines.out)

    def drop(which: np.ndarray, reason: str) -> None:
        nonlocal table
        which = np.asarray(which, bool)
        out.extend((int(line), reason, text) for line, text in zip(table["line"][which], table["text"][which], strict=True))
        table = table[~which].reset_index(drop=True)

    for column in ("alt", "ref"):
        for reason in (NONE, STAR, BREAKEND, SYMBOLIC, INSERTED, LETTERS):
            drop(_reasons(table[column], column).eq(reason), reason)
    drop(table["ref"] == table["alt"], SAME)
    chrom, contig = _found(table["chrom"], genome), table["id"] if elements else None
    table = table.assign(chrom=_prefixed(table["chrom"]) if elements else chrom, contig=contig if elements else chrom)
    drop(table["position"] < 0, ZERO)
    drop(table["position"] >= table["chrom"].map(lengths).fillna(np.inf), BEYOND)
    drop(~table["contig"].isin(genome.index.index), CHROMOSOME)
    table["alt"] = table["alt"].where(table["alt"] != "-", "")
    drop(~_inside(table, genome), OUTSIDE)
    table, fits, flipped = _compared(table, genome, mismatch)
    drop(~fits, MISMATCH)
    table, anchored = normalised(table, genome)
    drop(~anchored, ANCHOR)
    drop(_also_positive(table), BOTH)
    repeated = int(table.duplicated(["contig", "position", "ref", "alt"]).sum())
    first = ["line", "chrom", "contig", "position", "id", "ref", "alt", "kind"]
    table = table.assign(kind=kinds(table["ref"], table["alt"]))
    rest = [name for name in table if name not in (*first, "text")]
    return Placed(table[[*first, *rest]].reset_index(drop=True), sorted(out), flipped, repeated)
