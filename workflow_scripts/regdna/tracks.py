"""Results in the formats of genome browsers and variant tools."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.step import InputError
from regdna.store import atomic


def write_bigwig(path: Path, chrom: str, start: int, values: np.ndarray) -> None:
    """One value a base from ``start`` (0-based), float (n,), as bigWig; bases without a value are left out."""
    import pyBigWig

    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        raise InputError(f"{path}: no base has a value; is the locus all N?")
    with atomic(path) as temporary:
        track = pyBigWig.open(str(temporary), "w")
        track.addHeader([(chrom, int(start + len(values)))])
        begin = (start + known).tolist()
        track.addEntries([chrom] * len(begin), begin, ends=[at + 1 for at in begin], values=values[known].astype(float).tolist())
        track.close()


def write_vcf(path: Path, table: pd.DataFrame, scores: dict[str, np.ndarray], targets: list[str], assembly: str) -> None:
    """Variants with their scores as bgzipped VCF, sorted by chromosome and position.

    Args:
        table: chrom, position (0-based), id, ref, alt.
        scores: name to float (n, T); one INFO field each, one value a target.
    """
    import pysam

    header = pysam.VariantHeader()
    header.add_line(f"##reference={assembly}")
    for chrom in pd.unique(table["chrom"]):
        header.contigs.add(chrom)
    for name in scores:
        header.add_line(f'##INFO=<ID={name},Number={len(targets)},Type=Float,Description="{name} of {"; ".join(targets)}">')
    with atomic(path) as temporary, pysam.VariantFile(str(temporary), "wz", header=header) as out:
        for row in table.reset_index(drop=True).sort_values(["chrom", "position"], kind="stable").itertuples():
            record = out.new_record(contig=row.chrom, start=row.position, alleles=(row.ref, row.alt), id=None if row.id == "." else row.id)
            for name, values in scores.items():
                record.info[name] = tuple(float(value) for value in values[row.Index])
            out.write(record)
