"""Annotation: intervals of any of the formats that studies name, chosen by what they are."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd

from regdna.intervals import by_other_name, read_bed
from regdna.manifest import nearest
from regdna.sources.tables import kind, opened
from regdna.step import InputError, log

GTF = (".gtf", ".gff", ".gff3")
FEW = 0.01  # share of rows on what an assembly does not list, such as scaffolds, that nobody needs to be told of
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
    unknown = [name for name in reach.index if name not in lengths]
    misnamed(unknown, lengths, str(path), assembly)
    lost = int(table["chrom"].isin(unknown).sum())
    if lost > FEW * len(table):
        shown = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        log.info("%s: %d of %d rows are on what %s does not list: %s", path, lost, len(table), assembly, shown)


def check_records(records: pd.DataFrame, lengths: dict[str, int], assembly: str) -> None:
    """Refuse sequences whose coordinates, where they have some, cannot be of this assembly; their windows may reach beyond its ends.

    Args:
        records: chrom, start, end, file of each; one without coordinates is its own chromosome, called by its file and row.
        lengths: length of each chromosome of the assembly in bp.

    Raises:
        InputError: as ``check_assembly``, by file.
    """
    placed = records[~records["chrom"].str.contains("/", regex=False)]
    placed = placed.assign(end=(placed["start"] + placed["end"]) // 2)
    some = placed["chrom"].isin(lengths)
    for path, rows in (placed[some] if some.any() else placed).groupby("file", observed=True):
        check_assembly(rows, lengths, Path(path), assembly)
    for path, rows in placed[~some].groupby("file", observed=True):
        misnamed(rows["chrom"].unique(), lengths, str(path), assembly)


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
        if (other := by_other_name(name)) in known:
            raise InputError(f"{where}: {name!r} is called {other!r} in {assembly}; give it that name, or remove what lies on it")
