"""List a dataset's windows in their order: its sequences, or bins of its genome with their context; and what is known of each."""

import logging
from pathlib import Path

import pandas as pd

from regdna.genome import Genome, read_lengths
from regdna.sources.annotation import check_assembly, check_records, read_intervals
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.windows import Sequences, centred, count_bases, count_covered, describe, tile

log = logging.getLogger("regdna")


def main(
    candidates: Path,
    block: int,
    windows: dict | None = None,
    records: Path | None = None,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
    centres: Path | None = None,
    exclude: list[Path] | None = None,
    tss: Path | None = None,
    repeats: Path | None = None,
    assemblies: Path | None = None,
    assembly: str = "",
) -> None:
    """Write chrom, start, end and what is known of each window to ``candidates``.

    Args:
        block: size in bp of the stretches that the bootstrap draws.
        windows: for a genome: bin, stride, context, edges and max_n_fraction.
        records: for sequences: where each came from; either these or ``windows``.
        sequences: for sequences: their codes.
        genome: codes, index and mask of a genome.
        centres: intervals that bins are put on the middle of, instead of all along the genome.
        exclude: intervals; windows whose bin shares a base with one are left out.
        tss: transcription start sites.
        repeats: intervals of repeats; else what the genome has in lower case.
        assemblies: table of assembly, chrom, length, to check that all intervals are of ``assembly``.
    """

    def intervals(path: Path) -> pd.DataFrame:
        found = read_intervals(path)
        check_assembly(found, read_lengths(assemblies, assembly), path, assembly)
        return found

    if records:
        table = pd.read_parquet(records)
        if assembly:
            check_records(table, read_lengths(assemblies, assembly), assembly)
        counts, masked = count_bases(Sequences(table, sequences)), None
    else:
        held = Genome(*genome)
        table = bins(held, windows, intervals(centres) if centres else None)
        flank = (windows["context"] - windows["bin"]) // 2
        for path in exclude or []:
            out = count_covered(table, intervals(path), flank) > 0
            log.info("%s: %d windows left out", path, out.sum())
            table = table[~out].reset_index(drop=True)
        refuse_empty(table)
        counts = count_bases(Sequences(table, genome=genome))
        keep = counts["n_fraction"].to_numpy() <= windows["max_n_fraction"]
        log.info("%d windows left out for their share of N", (~keep).sum())
        table, counts = table[keep].reset_index(drop=True), counts[keep].reset_index(drop=True)
        masked = held if held.mask is not None else None
    refuse_empty(table)
    covered = count_covered(table, intervals(repeats) if repeats else masked)
    with atomic(candidates) as temporary:
        describe(table, counts, covered, intervals(tss) if tss else None, block).to_parquet(temporary, index=False)


def refuse_empty(table: pd.DataFrame) -> None:
    """Refuse a dataset without a window."""
    if table.empty:
        raise InputError("no window is left; widen the regions, exclude less or raise windows.max_n_fraction")


def bins(genome: Genome, windows: dict, centres: pd.DataFrame | None) -> pd.DataFrame:
    """Every window of ``context`` bp around a bin: along what the genome holds, or on the middle of each of ``centres``."""
    pad = windows["edges"] == "pad"
    if centres is not None:
        return centred(centres, genome, windows["bin"], windows["context"], pad)
    flank = (windows["context"] - windows["bin"]) // 2 if pad else 0
    parts = []
    for chrom in genome.index.index:
        first, last = genome.bounds(chrom)
        start = tile(first - flank, last + flank, windows["bin"], windows["context"], windows["stride"] or windows["bin"])
        parts.append(pd.DataFrame({"chrom": chrom, "start": start, "end": start + windows["context"]}))
    return pd.concat(parts, ignore_index=True).astype({"chrom": "str"})


if __name__ == "__main__":
    run(main)
