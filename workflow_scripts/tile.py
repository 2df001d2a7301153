"""List a dataset's windows in their final order: its sites, or the bins of its genome with their context."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.genome import Genome
from regdna.intervals import read_bed
from regdna.sources.sites import read_sites
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.windows import Sequences, describe, tile


def main(
    candidates: Path,
    block: int,
    windows: dict | None = None,
    sites: list[Path] | None = None,
    genome: list[Path] | None = None,
    tss: Path | None = None,
) -> None:
    """Write chrom, start, end and what is known of each window to ``candidates``; windows with too much N are left out.

    Args:
        block: size in bp of the stretches that the bootstrap draws.
        windows: for a genome: bin, context and max_n_fraction.
        sites: shards of packed sites; either these or ``genome``.
        genome: codes and index of a genome.
        tss: BED of transcription start sites.
    """
    if sites:
        table, sequences, _ = read_sites(sites)
        table, most = table[["chrom", "start", "end"]], 1.0
    else:
        table = bins(Genome(*genome), windows["bin"], windows["context"])
        sequences, most = Sequences(table, genome=genome), windows["max_n_fraction"]
    table = describe(table, sequences, read_bed(tss) if tss else None, block)
    table = table[table["n_fraction"] <= most].reset_index(drop=True)
    if table.empty:
        raise InputError("no window is left; widen the regions or raise windows.max_n_fraction")
    with atomic(candidates) as temporary:
        table.to_parquet(temporary, index=False)


def bins(genome: Genome, bin_size: int, context: int) -> pd.DataFrame:
    """Every window of ``context`` bp centred on a bin that lies within what the genome holds."""
    parts = []
    for chrom in genome.index.index:
        start = tile(*genome.bounds(chrom), bin_size, context)
        parts.append(pd.DataFrame({"chrom": np.full(len(start), chrom, object), "start": start, "end": start + context}))
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    run(main)
