"""Annotation: intervals of any of the formats that studies name, chosen by what they are."""

from pathlib import Path

import pandas as pd
from isal import isal_zlib

from regdna.intervals import read_bed
from regdna.step import InputError

GTF = ["chrom", "feature", "start", "end", "strand", "attributes"]


def read_intervals(path: Path, column: int = 0, values: list[str] | None = None, summit: bool = False) -> pd.DataFrame:
    """Intervals of a BED-like file, or transcription start sites of a GTF file, plain or gzipped.

    Args:
        path: the file.
        column: of the file, from 1, that says what each interval is; 0: all intervals are taken.
        values: which of these are taken; where the column holds several with commas, any of them.
        summit: whether to read the summits of a narrowPeak file.

    Returns:
        chrom, start, end (0-based, half-open), strand, and summit where asked for.

    Raises:
        InputError: the file is not what its name says, or no interval has one of the values.
    """
    if path.name.removesuffix(".gz").endswith((".gtf", ".gff3", ".gff")):
        return read_tss(path)
    table = read_bed(path, column, summit)
    if not column:
        return table
    kinds = table["value"].cat.categories
    wanted = [kind for kind in kinds if not set(str(kind).split(",")).isdisjoint(values or [])]
    if not wanted:
        shown = ", ".join(map(str, kinds[:12])) + (", ..." if len(kinds) > 12 else "")
        raise InputError(f"{path}: column {column} holds none of {', '.join(values or [])}; it holds {shown}")
    return table[table["value"].isin(wanted)].drop(columns="value").reset_index(drop=True)


def read_tss(path: Path) -> pd.DataFrame:
    """Transcription start sites of a GTF file's transcripts, one base each.

    # ASSUME: transcription starts where transcripts of protein-coding genes begin in the annotation.

    Returns:
        chrom, start, end (0-based, half-open) and strand, each site once, sorted.

    Raises:
        InputError: the file is no GTF or holds no such transcript.
    """
    try:
        table = pd.read_csv(
            path, sep="\t", comment="#", header=None, usecols=[0, 2, 3, 4, 6, 8], names=[*"abcdefghi"], dtype=str, quoting=3
        ).set_axis(GTF, axis=1)
    except (EOFError, OSError, isal_zlib.error, ValueError) as error:
        raise InputError(f"{path}: not a whole GTF file ({' '.join(str(error).split())}); fetch it again") from None
    coding = table["attributes"].str.contains(r'gene_type[ =]"?protein_coding|gene_biotype[ =]"?protein_coding', na=False)
    table = table[(table["feature"] == "transcript") & coding]
    if table.empty:
        raise InputError(f"{path}: no transcript of a protein-coding gene; give a GTF file of GENCODE or Ensembl")
    site = table["start"].where(table["strand"] != "-", table["end"]).astype("int64") - 1
    found = pd.DataFrame({"chrom": table["chrom"], "start": site, "end": site + 1, "strand": table["strand"]})
    return found.drop_duplicates().sort_values(["chrom", "start", "strand"], ignore_index=True)


def check_assembly(table: pd.DataFrame, lengths: dict[str, int], path: Path, assembly: str) -> None:
    """Refuse intervals that cannot be of this assembly.

    Args:
        table: chrom, start, end.
        lengths: length of each chromosome of the assembly in bp.

    Raises:
        InputError: an interval reaches beyond the end of its chromosome, or none is on a chromosome that the assembly has.
    """
    reach = table.groupby("chrom", observed=True)["end"].max()
    beyond = [(chrom, end) for chrom, end in reach.items() if end > lengths.get(chrom, end)]
    if beyond:
        chrom, end = beyond[0]
        raise InputError(f"{path}: an interval ends at {chrom}:{end:,}, but {assembly} has {lengths[chrom]:,} bp there; is it another assembly?")
    if len(reach) and not any(chrom in lengths for chrom in reach.index):
        raise InputError(f"{path}: no interval is on a chromosome of {assembly}; names must look like {next(iter(lengths))}, not {reach.index[0]}")
