"""Annotation: intervals of any of the formats that studies name, chosen by what they are."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd

from regdna.intervals import read_bed
from regdna.manifest import nearest
from regdna.sources.tables import kind, opened
from regdna.step import InputError, log

GTF = (".gtf", ".gff", ".gff3")
CODING = re.compile(rb'(?:^|[ ;])gene_(?:bio)?type[ =]"?protein_coding["; \r\n]')


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
    if kind(path) in GTF:
        if column or summit:
            raise InputError(f"{path}: of a GTF file the start sites of coding genes are read; take out 'column' and rules about summits")
        return read_tss(path)
    table = read_bed(path, column, summit)
    if not column:
        return table
    held = {text: {text, *text.split(",")} for text in table["value"].cat.categories}
    for value in values or []:
        if not any(value in names for names in held.values()):
            shown = ", ".join([*held][:12]) or "nothing"
            raise InputError(f"{path}: column {column} never holds {value!r}{nearest(value, held)}; it holds {shown}")
    wanted = [text for text, names in held.items() if not names.isdisjoint(values or [])]
    return table[table["value"].isin(wanted)].drop(columns="value").reset_index(drop=True)


def read_tss(path: Path) -> pd.DataFrame:
    """Transcription start sites of a GTF file's transcripts, one base each.

    # ASSUME: transcription starts where transcripts of protein-coding genes begin in the annotation.

    Returns:
        chrom, start, end (0-based, half-open) and strand, each site once, sorted.

    Raises:
        InputError: the file is cut short, is no GTF or holds no such transcript.
    """
    sites = set()
    with opened(path) as handle:
        for number, line in enumerate(handle, start=1):
            if b"\ttranscript\t" not in line or line.startswith(b"#"):
                continue
            fields = line.split(b"\t", 8)
            if len(fields) < 9 or not (fields[3].isdigit() and fields[4].isdigit() and 1 <= int(fields[3]) <= int(fields[4])):
                raise InputError(
                    f"{path}: line {number} is not GTF (nine columns, the fourth and fifth a first and last base); fetch it again"
                )
            if fields[2] == b"transcript" and CODING.search(fields[8]):
                minus = fields[6] == b"-"
                sites.add((fields[0].decode(errors="backslashreplace"), int(fields[4] if minus else fields[3]) - 1, "-" if minus else "+"))
    if not sites:
        raise InputError(f"{path}: no transcript of a protein-coding gene; give a GTF file of GENCODE or Ensembl")
    found = pd.DataFrame(sorted(sites), columns=["chrom", "start", "strand"])
    found.insert(2, "end", found["start"] + 1)
    return found


def check_assembly(table: pd.DataFrame, lengths: dict[str, int], path: Path, assembly: str) -> None:
    """Refuse intervals that cannot be of this assembly.

    Args:
        table: chrom, start, end.
        lengths: length of each chromosome of the assembly in bp.

    Raises:
        InputError: an interval reaches beyond the end of its chromosome, none is on a chromosome that the assembly has, or some are on
            one that it has by another name.
    """
    reach = table.groupby("chrom", observed=True)["end"].max()
    beyond = [(chrom, end) for chrom, end in reach.items() if end > lengths.get(chrom, end)]
    if beyond:
        chrom, end = beyond[0]
        raise InputError(
            f"{path}: an interval ends at {chrom}:{end:,}, but {assembly} has {lengths[chrom]:,} bp there; is it another assembly?"
        )
    if len(reach) and not any(chrom in lengths for chrom in reach.index):
        raise InputError(
            f"{path}: no interval is on a chromosome of {assembly}; names must look like {next(iter(lengths))}, not {reach.index[0]}"
        )
    counts = table["chrom"].value_counts()
    unknown = [name for name in reach.index if name not in lengths]
    if unknown:
        misnamed(unknown, lengths, str(path), assembly)
        shown = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        log.info("%s: %d rows are on what %s does not list: %s", path, counts[unknown].sum(), assembly, shown)


def misnamed(unknown: Iterable[str], known: Collection[str], where: str, assembly: str) -> None:
    """Refuse names that are those of chromosomes but for a leading chr: what is on them would be lost, or trained on.

    Args:
        unknown: names that the assembly has not.
        known: names of its chromosomes.
        where: what to name in the message.

    Raises:
        InputError: the first of them.
    """
    for name in unknown:
        other = name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"
        if other in known:
            raise InputError(f"{where}: {name!r} is called {other!r} in {assembly}; give it that name")
