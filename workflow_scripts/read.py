"""Read a set of variants: one row an allele that stands where it says it does, all others listed by line and reason."""

import logging
from collections import Counter
from pathlib import Path

from regdna.genome import Genome, read_lengths
from regdna.sources.alleles import NAMED, Placed, place
from regdna.sources.variant_files import BROKEN
from regdna.sources.variant_sets import read_set
from regdna.step import InputError, run
from regdna.store import write_text
from regdna.variants.table import write_variants

log = logging.getLogger("regdna")


def main(
    source: Path,
    genome: list[Path],
    assemblies: Path,
    variants: Path,
    left_out: Path,
    assembly: str,
    mismatch: str = "drop",
    broken: str = "fail",
    place_on: str = "dataset",
) -> None:
    """Write alleles that can be scored to ``variants`` (parquet), the others to ``left_out`` (TSV: line, reason, text).

    Columns: line (of the file, from 1; of a BCF or Parquet the record), chrom, contig (name in the genome), position (0-based), id,
    ref, alt (as in VCF, leftmost and shortest), kind, and what the file says besides (measured, p_value, barcodes, af, ...).

    Args:
        source: the file of variants.
        genome: codes, index and mask that REF is compared with.
        assembly: of the dataset.
        mismatch: what is done where REF is not what the genome holds: drop, fail or flip.
        broken: what is done with lines that cannot be read: fail or drop.
        place_on: what the genome holds: dataset (chromosomes) or elements (of the saturation MPRA, by their ids).

    Raises:
        InputError: the file cannot be read, is of another assembly, has broken lines (with fail), or no variant is left.
    """
    lengths = read_lengths(assemblies, assembly)
    lines, experiments = read_set(source, assembly, lengths)
    if place_on == "elements" and not experiments:
        raise InputError(f"{source}: genome: elements is for the saturation MPRA's elements.tsv.gz alone; leave it out for other files")
    for note in lines.notes:
        log.info("%s", note)
    refuse(source, [one for one in lines.out if one[1] in BROKEN], broken)
    if lines.kept.empty and not lines.out:
        raise InputError(f"{source}: holds no variants; give a file with some")
    placed = place(lines, Genome(*genome), lengths, mismatch, place_on == "elements")
    counts = Counter(reason for _, reason, _ in placed.out)
    summary = ", ".join(f"{reason}: {count:,}" for reason, count in counts.most_common())
    log.info(
        "%s: %d alleles can be scored, %d are left out%s", source, len(placed.table), len(placed.out), f" ({summary})" if summary else ""
    )
    if placed.table.empty:
        raise InputError(
            f"{source}: none of {len(placed.out):,} alleles can be scored ({summary}); is it the dataset's assembly and region?"
        )
    if placed.repeated:
        log.info("%d alleles repeat an earlier row's; they are kept", placed.repeated)
    write_variants(variants, placed.table, describe(placed, counts, assembly, mismatch))
    rows = (f"{line}\t{reason}\t{' '.join(text.split())}" for line, reason, text in placed.out)
    write_text(left_out, "".join(f"{row}\n" for row in ("line\treason\ttext", *rows)))


def refuse(source: Path, broken: list[tuple[int, str, str]], policy: str) -> None:
    """Log every line that cannot be read, and end the run if that is the policy."""
    broken = sorted(broken)
    for line, reason, text in broken:
        log.info("%s: line %d: %s: %r", source, line, reason, text)
    if broken and policy == "fail":
        named = ", ".join(f"line {line} ({reason})" for line, reason, _ in broken[:NAMED])
        more = f" and {len(broken) - NAMED:,} more, all in the log" if len(broken) > NAMED else ""
        raise InputError(f"{source}: {len(broken):,} lines cannot be read: {named}{more}; mend them, or set broken: drop to leave them out")


def describe(placed: Placed, counts: Counter, assembly: str, mismatch: str) -> dict:
    """What the table says of itself."""
    return {
        "left_out": dict(sorted(counts.items())),
        "assembly": assembly,
        "flipped": sum(placed.flipped.values()),
        **placed.flipped,
        "repeated": placed.repeated,
        "ref_mismatch_policy": mismatch,
    }


if __name__ == "__main__":
    run(main)
