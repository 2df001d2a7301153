"""Labelled sequences of one's own: tables, FASTA files and BED files, checked row by row."""

import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip, isal_zlib

from regdna.alphabet import N, encode
from regdna.genome import IUPAC, Genome
from regdna.intervals import read_bed
from regdna.manifest import nearest
from regdna.shuffles import dinucleotide_shuffle
from regdna.sources.sites import read_sites
from regdna.step import InputError

log = logging.getLogger("regdna")

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
CLASS = "class"  # the label of files that are a class each
SHOWN = 5


@dataclass
class Labelled:
    """Sequences that come with their labels, row by row.

    Attributes:
        records: chrom, start, end (0-based, half-open), part ('' where the data gives none), file and row (as a person
            counts: lines of a table, records of a FASTA or BED file, from 1). A sequence without coordinates is its own
            chromosome, from 0.
        codes: one uint8 array a row, of any length.
        labels: text, one column a label. Files that are a class each have the one column ``class``; '' is no class.
    """

    records: pd.DataFrame
    codes: list[np.ndarray]
    labels: pd.DataFrame


def read(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    """Read one file, whatever its kind.

    Args:
        path: .csv, .tsv or .parquet with a column of sequences; .fa or .fasta; .bed (its sequence comes from ``genome``,
            ``length`` bp around each middle); .npz (packed sites). All but the last two may be gzipped.
        entry: ``part`` and ``class`` of the file, where it is one.
        columns: of a table: sequence, labels (list), and where there are some part, chrom and start.

    Raises:
        InputError: the first thing that is wrong, with file and row.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix not in READERS:
        raise InputError(f"{path}: a file of sequences ends in {', '.join(READERS)}; rename or convert it")
    found = READERS[suffix](path, entry, columns, genome, length)
    if not len(found.records):
        raise InputError(f"{path}: holds no sequence; remove it from the dataset's files")
    if "part" in entry:
        found.records["part"] = entry["part"]
    for row, part in zip(found.records["row"], found.records["part"], strict=True):
        if part and part.lower() not in PARTS:
            raise InputError(f"{path}: row {row}: part {part!r} is none of {', '.join(PARTS)}; rename it")
    found.records["part"] = [PARTS.get(part.lower(), "") for part in found.records["part"]]
    return found


def _from_table(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    table, first = (_parquet(path), 1) if path.suffix == ".parquet" else (_delimited(path), 2)
    named = [columns["sequence"], *(columns[name] for name in ("part", "chrom", "start") if name in columns)]
    for name in [*named, *([] if "class" in entry else columns["labels"])]:
        if name not in table:
            raise InputError(f"{path}: no column {name!r}{nearest(name, table.columns)}; name it in the dataset's sequences.columns")
    rows = np.arange(len(table)) + first
    codes = [_encode(text.encode(errors="replace"), path, f"row {row}") for text, row in zip(table[columns["sequence"]], rows, strict=True)]
    records = _records(path, rows, codes)
    if "part" in columns:
        records["part"] = table[columns["part"]].to_numpy()
    if "chrom" in columns:
        wrong = np.flatnonzero(~table[columns["start"]].str.fullmatch(r"\d+"))
        if len(wrong):
            raise InputError(f"{path}: row {rows[wrong[0]]}: start {table[columns['start']].iloc[wrong[0]]!r} is not a whole number; mend it")
        records["chrom"], records["start"] = table[columns["chrom"]].to_numpy(), table[columns["start"]].astype(np.int64).to_numpy()
        records["end"] += records["start"]
    labels = _class(entry, len(table)) if "class" in entry else table[columns["labels"]].reset_index(drop=True)
    return Labelled(records, codes, labels)


def _delimited(path: Path) -> pd.DataFrame:
    separator = "\t" if ".tsv" in path.suffixes else ","
    try:
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (EOFError, OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a whole table ({' '.join(str(error).split())}); mend it or fetch it again") from None


def _parquet(path: Path) -> pd.DataFrame:
    try:
        table = pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a whole Parquet file ({' '.join(str(error).split())[:200]}); fetch it again") from None
    return table.map(lambda value: "" if value is None or value != value else str(value))


def _from_fasta(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    opener = igzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as handle:
            text = handle.read()
    except (EOFError, isal_zlib.error, OSError) as error:
        raise InputError(f"{path}: cut short or no gzip file ({error}); fetch it again") from None
    if not text.startswith(b">"):
        raise InputError(f"{path}: does not begin with '>'; give a FASTA file")
    bodies = [record.partition(b"\n")[2].translate(None, b"\n\r\t ") for record in text[1:].split(b"\n>")]
    codes = [_encode(body, path, f"record {row}") for row, body in enumerate(bodies, start=1)]
    return Labelled(_records(path, np.arange(len(codes)) + 1, codes), codes, _class(entry, len(codes)))


def _from_bed(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    if genome is None or not length:
        raise InputError(f"{path}: intervals have no sequence; give the dataset 'genome' and 'sequences.length'")
    table = read_bed(path)
    start = ((table["start"] + table["end"]) // 2 - length // 2).to_numpy()
    chrom = table["chrom"].astype(str).to_numpy()
    for row, (name, at) in enumerate(zip(chrom, start, strict=True), start=1):
        if name not in genome or at < genome.bounds(name)[0] or at + length > genome.bounds(name)[1]:
            raise InputError(f"{path}: interval {row}: {length} bp around its middle are not all in {genome.assembly}; remove it")
    codes = list(genome.windows(chrom, start, length))
    records = _records(path, np.arange(len(table)) + 1, codes)
    records["chrom"], records["start"], records["end"] = chrom, start, start + length
    return Labelled(records, codes, _class(entry, len(table)))


def _from_sites(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    try:
        table, codes, names = read_sites([path])
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path}: not a shard of packed sites ({error}); fetch it again") from None
    records = _records(path, np.arange(len(table)) + 1, list(codes))
    records[["chrom", "start", "end"]] = table[["chrom", "start", "end"]]
    return Labelled(records, list(codes), pd.DataFrame({CLASS: pd.Categorical.from_codes(table["label"], names)}))


Reader = Callable[[Path, dict, dict, Genome | None, int | None], Labelled]
READERS: dict[str, Reader] = {
    **dict.fromkeys((".csv", ".tsv", ".parquet"), _from_table),
    **dict.fromkeys((".fa", ".fasta", ".fna"), _from_fasta),
    ".bed": _from_bed,
    ".npz": _from_sites,
}


def _encode(letters: bytes, path: Path, where: str) -> np.ndarray:
    odd = letters.translate(None, IUPAC)
    if odd:
        raise InputError(f"{path}: {where} holds {odd[:1].decode('latin-1')!r}, which is no base; mend or remove it")
    if not letters:
        raise InputError(f"{path}: {where} holds no sequence; remove it")
    return encode(letters)


def _records(path: Path, rows: np.ndarray, codes: list[np.ndarray]) -> pd.DataFrame:
    chrom = [f"{path.parent.name}/{path.name}:{row}" for row in rows]
    ends = np.array([len(one) for one in codes], np.int64)
    return pd.DataFrame({"chrom": chrom, "start": np.int64(0), "end": ends, "part": "", "file": str(path), "row": rows})


def _class(entry: dict, rows: int) -> pd.DataFrame:
    return pd.DataFrame({CLASS: np.full(rows, entry.get("class", ""), object)})


def join(parts: list[Labelled], length: int | None) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """All files as one: records, codes uint8 (n, L), labels.

    Args:
        length: bases of every row; longer ones keep their middle, shorter ones are filled with N on both sides. None: all
            rows must be equally long.

    Raises:
        InputError: rows of several lengths, or files with different labels; with the rows.
    """
    for one in parts[1:]:
        if list(one.labels) != list(parts[0].labels):
            raise InputError(
                f"{one.records['file'].iloc[0]}: labels {', '.join(one.labels)}, but {parts[0].records['file'].iloc[0]} has "
                f"{', '.join(parts[0].labels)}; give all files the same"
            )
    records = pd.concat([one.records for one in parts], ignore_index=True)
    codes = [row for one in parts for row in one.codes]
    lengths = np.array([len(row) for row in codes])
    if length is None and (lengths != lengths[0]).any():
        other = int(np.flatnonzero(lengths != lengths[0])[0])
        raise InputError(
            f"{_place(records, other)} has {lengths[other]} bp, but {_place(records, 0)} has {lengths[0]}; "
            "set the dataset's sequences.length: longer ones keep their middle, shorter ones are filled with N"
        )
    if any(isinstance(one.labels.iloc[:, 0].dtype, pd.CategoricalDtype) for one in parts):
        shown = [one.labels[CLASS].cat.categories for one in parts]
        if any(list(one) != list(shown[0]) for one in shown):
            raise InputError(f"{records['file'].iloc[0]}: the files name different classes; do not mix sources")
    labels = pd.concat([one.labels for one in parts], ignore_index=True)
    return _fit(records, lengths, length or int(lengths[0])), _stack(codes, length or int(lengths[0])), labels


def _fit(records: pd.DataFrame, lengths: np.ndarray, length: int) -> pd.DataFrame:
    # ASSUME: of sequences longer than the dataset's length the middle is what the label is about.
    records["start"] = np.maximum(records["start"] + (lengths - length) // 2, 0)
    records["end"] = records["start"] + length
    return records


def _stack(codes: list[np.ndarray], length: int) -> np.ndarray:
    out = np.full((len(codes), length), N, np.uint8)
    for row, one in zip(out, codes, strict=True):
        cut = (len(one) - length) // 2
        if cut >= 0:
            row[:] = one[cut : cut + length]
        else:
            row[-cut : -cut + len(one)] = one
    return out


def _place(records: pd.DataFrame, row: int) -> str:
    return f"{records['file'].iloc[row]}: row {records['row'].iloc[row]}"


def matrix(records: pd.DataFrame, labels: pd.DataFrame, exclusive: bool) -> tuple[np.ndarray, list[str]]:
    """Labels as bool (n, T) and the names of the T targets.

    Args:
        exclusive: one column, whose values are the classes; else one column a target, 0 or 1 (or the class of each file).

    Raises:
        InputError: a value that is no label, with its row.
    """
    if exclusive or list(labels) == [CLASS]:
        if len(labels.columns) > 1:
            raise InputError(f"labels: {', '.join(labels)} are {len(labels.columns)} columns, but exclusive classes stand in one; name one")
        column = labels.iloc[:, 0]
        known = isinstance(column.dtype, pd.CategoricalDtype)
        names = list(column.cat.categories) if known else sorted(set(column) - {""}, key=_numbers_first)
        return column.to_numpy(object)[:, None] == np.array(names, object), names
    out = np.zeros(labels.shape, bool)
    for at, name in enumerate(labels):
        truth = labels[name].str.lower().map({"1": True, "true": True, "1.0": True, "0": False, "false": False, "0.0": False})
        wrong = np.flatnonzero(truth.isna())
        if len(wrong):
            raise InputError(
                f"{_place(records, wrong[0])}: {name} is {labels[name].iloc[wrong[0]]!r}; 0 or 1 is needed (for classes say labels: exclusive)"
            )
        out[:, at] = truth.to_numpy(bool)
    return out, list(labels)


def _numbers_first(name: str) -> tuple[bool, int, str]:
    return (False, int(name), name) if name.isdigit() else (True, 0, name)


def warn_of_contradictions(records: pd.DataFrame, codes: np.ndarray, truth: np.ndarray) -> int:
    """Say in the log which rows hold the same sequence with different labels; gives how many rows do."""
    first: dict[bytes, int] = {}
    pairs = [
        (seen, row) for row, one in enumerate(codes) if (seen := first.setdefault(one.tobytes(), row)) != row and (truth[seen] != truth[row]).any()
    ]
    if pairs:
        shown = "; ".join(f"{_place(records, a)} and {_place(records, b)}" for a, b in pairs[:SHOWN])
        log.warning("%d rows repeat a sequence with another label: %s%s", len(pairs), shown, "; ..." if len(pairs) > SHOWN else "")
    return len(pairs)


def add_shuffled(records: pd.DataFrame, codes: np.ndarray, truth: np.ndarray, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Every row again, in the same place and part, with its sequence shuffled so that all dinucleotides are kept: a negative of all targets."""
    shuffled = dinucleotide_shuffle(codes, seed)
    return pd.concat([records, records], ignore_index=True), np.concatenate([codes, shuffled]), np.concatenate([truth, np.zeros_like(truth)])
