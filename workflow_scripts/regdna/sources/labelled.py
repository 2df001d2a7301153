"""Labelled sequences of one's own: tables, FASTA files, BED files and packed sites, checked row by row."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.alphabet import N, encode
from regdna.genome import IUPAC, SPACE, Genome
from regdna.intervals import read_bed
from regdna.shuffles import dinucleotide_shuffle
from regdna.sources.sites import read_sites
from regdna.sources.tables import kind, opened, read_rows
from regdna.step import InputError

log = logging.getLogger("regdna")

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
    "unused": "unused",
}
TRUTH = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
UNKNOWN = ("", "na", "nan")  # an empty cell, and as R and pandas write one: not measured
CLASS = "the class of the file"  # the one label of files that are a class each
MOST_CLASSES = 1000
SHOWN = 5
RNA = bytes.maketrans(b"Uu", b"Tt")  # U is T


@dataclass
class Labelled:
    """Sequences that come with their labels, row by row.

    Attributes:
        records: chrom, start, end (0-based, half-open), part ('' where the data give none), file and row (as a person
            counts: lines of a delimited table, else records from 1). A sequence without coordinates is its own
            chromosome, from 0.
        codes: the sequences' codes one after the other, uint8 (total,).
        lengths: bases of each, int64 (n,).
        labels: text, one column a label. Files that are a class each have the one column ``CLASS``; '' is no class.
    """

    records: pd.DataFrame
    codes: np.ndarray
    lengths: np.ndarray
    labels: pd.DataFrame


def read(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    """Read one file, whatever its kind.

    Args:
        path: .csv, .tsv or .parquet with a column of sequences; .fa, .fasta or .fna; .bed (its sequence is the forward
            strand of ``genome``, ``length`` bp around each middle); .npz (packed sites). Tables of text, FASTA and BED
            files may be gzipped. Case is ignored, in names and in sequences; U is read as T.
        entry: ``part`` and ``class`` of the file, where it is one.
        columns: of a table: sequence, labels (list), and where there are some part, chrom and start.

    Raises:
        InputError: the first thing that is wrong, with file and row.
    """
    if kind(path) not in READERS:
        raise InputError(f"{path}: a file of sequences ends in {', '.join(READERS)}; rename or convert it")
    found = READERS[kind(path)](path, entry, columns, genome, length)
    if not len(found.records):
        raise InputError(f"{path}: holds no sequence; remove it from the dataset's files")
    if "part" in entry:
        found.records["part"] = entry["part"]
    which, names = pd.factorize(found.records["part"])
    for at, name in enumerate(names):
        if name and name.lower() not in PARTS:
            row = found.records["row"].iloc[np.argmax(which == at)]
            raise InputError(f"{path}: row {row}: part {name!r} is none of {', '.join(PARTS)}; rename it")
    found.records["part"] = np.array([PARTS.get(name.lower(), "") for name in names], object)[which]
    return found


def _from_table(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    labels = [] if "class" in entry else columns["labels"]
    places = [name for name in ("part", "chrom", "start") if name in columns]
    names = [columns["sequence"], *labels, *(columns[name] for name in places)]
    letters, lengths, rows, others = bytearray(), [], [], []
    for row, (sequence, *cells) in read_rows(path, names):
        bases = sequence.encode(errors="surrogateescape").translate(RNA, SPACE)
        letters += bases
        lengths.append(len(bases))
        rows.append(row)
        others.append(cells)
    codes = _encode(letters, lengths, path, rows, "row")
    table = pd.DataFrame(others, columns=range(len(names) - 1), dtype=object)
    records = _records(path, rows, lengths)
    for name, cells in zip(places, (table[at] for at in range(len(labels), len(names) - 1)), strict=True):
        if name != "part":
            form, said = (r"\d{1,18}", "is not a whole number") if name == "start" else (".+", "names no chromosome")
            wrong = np.flatnonzero(~cells.str.fullmatch(form).astype(bool))
            if len(wrong):
                raise InputError(f"{path}: row {rows[wrong[0]]}: {columns[name]} {cells[wrong[0]]!r} {said}; mend it")
        records[name] = cells.astype(np.int64) if name == "start" else cells
    records["end"] = records["start"] + np.array(lengths, np.int64)
    found = _class(entry, len(rows)) if "class" in entry else table[range(len(labels))].set_axis(labels, axis=1)
    return Labelled(records, codes, np.array(lengths, np.int64), found)


def _from_fasta(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    letters, lengths = bytearray(), []
    with opened(path) as handle:
        for at, line in enumerate(handle):
            line = line.removeprefix(b"\xef\xbb\xbf") if at == 0 else line  # the mark of UTF-8 that some editors write
            if line.startswith(b">"):
                if b"\r" in line.rstrip(b"\r\n"):
                    raise InputError(f"{path}: its lines end with CR alone, as on old Macs; save it with line feeds")
                lengths.append(0)
            elif bases := line.translate(RNA, SPACE):
                if not lengths:
                    raise InputError(f"{path}: does not begin with '>'; give a FASTA file")
                letters += bases
                lengths[-1] += len(bases)
    rows = list(range(1, len(lengths) + 1))
    codes = _encode(letters, lengths, path, rows, "record")
    return Labelled(_records(path, rows, lengths), codes, np.array(lengths, np.int64), _class(entry, len(rows)))


def _from_bed(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    if genome is None or not length:
        raise InputError(f"{path}: intervals have no sequence; give the dataset 'genome' and 'sequences.length'")
    table = read_bed(path)
    chrom = table["chrom"].astype("str")
    start = (table["start"] + table["end"]) // 2 - length // 2
    held = genome.index.reindex(chrom)
    first, size = held["start"].to_numpy(), held["length"].to_numpy()  # NaN where the genome lacks the chromosome
    wrong = np.flatnonzero(~((start >= first) & (start + length <= first + size)))
    if len(wrong):
        at, name = wrong[0] + 1, chrom[wrong[0]]
        more = f" ({len(wrong):,} such intervals)" if len(wrong) > 1 else ""
        if name not in genome:
            like = genome.index.index[0]
            raise InputError(
                f"{path}: interval {at}: {name!r} is not held of {genome.assembly}; names must look like {like}, mend or remove it{more}"
            )
        raise InputError(f"{path}: interval {at}: {length} bp around its middle are not all in {genome.assembly}; remove it{more}")
    lengths = np.full(len(table), length, np.int64)
    records = _records(path, np.arange(len(table)) + 1, lengths)
    records["chrom"], records["start"], records["end"] = chrom, start, start + length
    codes = genome.windows(chrom.to_numpy(object), start.to_numpy(), length)
    return Labelled(records, codes.ravel(), lengths, _class(entry, len(table)))


def _from_sites(path: Path, entry: dict, columns: dict, genome: Genome | None, length: int | None) -> Labelled:
    table, codes, names = read_sites([path])
    beyond = np.flatnonzero(table["label"] >= len(names))
    if len(beyond):
        raise InputError(
            f"{path}: row {beyond[0] + 1}: label {table['label'][beyond[0]]}, but it names {len(names)} targets; fetch it again"
        )
    lengths = np.full(len(table), codes.shape[1], np.int64)
    records = _records(path, np.arange(len(table)) + 1, lengths)
    records[["chrom", "start", "end"]] = table[["chrom", "start", "end"]]
    own = pd.DataFrame({CLASS: pd.Categorical.from_codes(table["label"], names)})
    return Labelled(records, codes.ravel(), lengths, _class(entry, len(table)) if "class" in entry else own)


Reader = Callable[[Path, dict, dict, Genome | None, int | None], Labelled]
READERS: dict[str, Reader] = {
    **dict.fromkeys((".csv", ".tsv", ".parquet"), _from_table),
    **dict.fromkeys((".fa", ".fasta", ".fna"), _from_fasta),
    ".bed": _from_bed,
    ".npz": _from_sites,
}


def _encode(letters: bytearray, lengths: list[int], path: Path, rows: list[int], what: str) -> np.ndarray:
    """Codes of sequences that stand one after the other."""
    if 0 in lengths:
        raise InputError(f"{path}: {what} {rows[lengths.index(0)]} holds no sequence; give it one or remove it")
    odd = letters.translate(None, IUPAC)
    if odd:
        at = letters.index(odd[:1])
        row = rows[np.searchsorted(np.cumsum(lengths), at, side="right")]
        shown = letters[at : at + 4].decode(errors="replace")[0]
        raise InputError(f"{path}: {what} {row} holds {shown!r}, which is no base; mend or remove it")
    return encode(letters)


def _records(path: Path, rows: list[int] | np.ndarray, lengths: list[int] | np.ndarray) -> pd.DataFrame:
    place = f"{path.parent.name}/{path.name}"
    out = pd.DataFrame({"chrom": [f"{place}:{row}" for row in rows], "start": np.int64(0), "end": np.array(lengths, np.int64)})
    return out.assign(part="", file=str(path), row=np.array(rows, np.int64))


def _class(entry: dict, rows: int) -> pd.DataFrame:
    return pd.DataFrame({CLASS: np.full(rows, entry.get("class", ""), object)})


def join(parts: list[Labelled], length: int | None) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """All files as one: records, codes uint8 (n, L), labels.

    Args:
        length: bases of every row; longer ones keep their middle, shorter ones are filled with N on both sides, and their
            coordinates follow. None: all rows must be equally long.

    Raises:
        InputError: rows of several lengths, or files with different labels; with the rows.
    """
    first = parts[0]
    for one in parts[1:]:
        if _means(one.labels) != _means(first.labels):
            raise InputError(
                f"{one.records['file'].iloc[0]}: labelled by {_means(one.labels)}, but {first.records['file'].iloc[0]} by "
                f"{_means(first.labels)}; label all files in one way"
            )
    records = pd.concat([one.records for one in parts], ignore_index=True)
    lengths = np.concatenate([one.lengths for one in parts])
    other = int(np.argmax(lengths != lengths[0]))
    if length is None and other:
        raise InputError(
            f"{_place(records, other)} has {lengths[other]} bp, but {_place(records, 0)} has {lengths[0]}; "
            "set the dataset's sequences.length: longer ones keep their middle, shorter ones are filled with N"
        )
    length = length or int(lengths[0])
    short, long = int((lengths < length).sum()), int((lengths > length).sum())
    if short or long:
        log.warning(
            "of %d sequences %d are shorter than %d bp and filled with N, %d are longer and lose their ends",
            len(lengths), short, length, long,
        )  # fmt: skip
    # ASSUME: of sequences longer than the dataset's length the middle is what the label is about.
    records["start"] += (lengths - length) // 2
    records["end"] = records["start"] + length
    labels = pd.concat([one.labels for one in parts], ignore_index=True)
    return records, np.concatenate([_fit(one, length) for one in parts]), labels


def _means(labels: pd.DataFrame) -> str:
    """What labels are in: columns of a table, classes of files, or the classes that a file of sites names."""
    column = labels.iloc[:, 0]
    sites = isinstance(column.dtype, pd.CategoricalDtype)
    return f"the sites' own classes {', '.join(column.cat.categories)}" if sites else ", ".join(labels)


def _fit(found: Labelled, length: int) -> np.ndarray:
    """Codes uint8 (n, length): the middle of each sequence, with N where it is shorter."""
    if (found.lengths == length).all():
        return found.codes.reshape(-1, length)
    out = np.full((len(found.lengths), length), N, np.uint8)
    for row, one in zip(out, np.split(found.codes, np.cumsum(found.lengths)[:-1]), strict=True):
        cut = (len(one) - length) // 2
        if cut >= 0:
            row[:] = one[cut : cut + length]
        else:
            row[-cut : -cut + len(one)] = one
    return out


def _place(records: pd.DataFrame, row: int) -> str:
    return f"{records['file'].iloc[row]}: row {records['row'].iloc[row]}"


def matrix(records: pd.DataFrame, labels: pd.DataFrame, exclusive: bool) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Labels as bool (n, T), which of them are known (the same; None where all are), and the names of the T targets.

    Args:
        exclusive: one column, whose values are the classes; else one column a target, 0, 1 or not known (or the class of
            each file, where a file of none is negative of all).

    Raises:
        InputError: a value that is no label, or a row of which no label is known; with its row.
    """
    if exclusive or list(labels) == [CLASS]:
        truth, names = _classes(records, labels, exclusive)
        return truth, None, names
    out, known = np.zeros(labels.shape, bool), np.ones(labels.shape, bool)
    for at, name in enumerate(labels):
        code, values = pd.factorize(labels[name])
        given = np.array([value.lower() not in UNKNOWN for value in values], bool)
        truth = [TRUTH.get(value.lower()) if one else False for value, one in zip(values, given, strict=True)]
        if None in truth:
            row = int(np.argmax(code == truth.index(None)))
            raise InputError(
                f"{_place(records, row)}: {name} is {labels[name].iloc[row]!r}; 0 or 1 is needed, or nothing where it is not known"
                " (for classes say labels: exclusive)"
            )
        out[:, at], known[:, at] = np.array(truth, bool)[code], given[code]
    if known.all():
        return out, None, list(labels)
    blank = np.flatnonzero(~known.any(1))
    if len(blank):
        raise InputError(f"{_place(records, blank[0])}: nothing is given for {', '.join(labels)}; label it or remove it")
    row, at = np.argwhere(~known)[0]
    log.info("%d of %d labels are not known, first %s of %s", (~known).sum(), known.size, labels.columns[at], _place(records, row))
    return out, known, list(labels)


def _classes(records: pd.DataFrame, labels: pd.DataFrame, exclusive: bool) -> tuple[np.ndarray, list[str]]:
    file = records["file"].iloc[0]
    if len(labels.columns) > 1:
        raise InputError(f"{file}: {', '.join(labels)} are several columns, but exclusive classes stand in one; name that one")
    column = labels.iloc[:, 0]
    if not isinstance(column.dtype, pd.CategoricalDtype):
        # Programs write whole numbers with a point where another row had none.
        column = column.str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)
        column = column.where(~column.str.lower().isin(UNKNOWN) | (column.name == CLASS) & (column != ""))
        column = pd.Series(pd.Categorical(column, sorted(set(column.dropna()), key=_numbers_first)))
    names, code = list(column.cat.categories), column.cat.codes.to_numpy()
    alike: dict[str, str] = {}
    for name in names:
        if (other := alike.setdefault(name.lower(), name)) != name:
            raise InputError(f"{file}: {labels.columns[0]} has the classes {other!r} and {name!r}, one but for capitals; write them alike")
    if len(names) > MOST_CLASSES:
        raise InputError(f"{file}: {labels.columns[0]} has {len(names):,} values, too many to be classes; name another column")
    if exclusive and (code < 0).any():
        at = _place(records, int(np.argmax(code < 0)))
        raise InputError(f"{at} has no class; give it one or remove it (for a background of no class say labels: multilabel)")
    return code[:, None] == np.arange(len(names)), names


def _numbers_first(name: str) -> tuple[bool, int, str]:
    return (False, int(name), name) if re.fullmatch(r"-?\d+", name) else (True, 0, name)


def check_bases(records: pd.DataFrame, codes: np.ndarray) -> None:
    """Say in the log how many sequences have no base that is known; from them nothing can be learnt.

    Raises:
        InputError: none has.
    """
    bare = np.flatnonzero((codes == N).all(1))
    if len(bare) == len(codes):
        raise InputError(
            f"{_place(records, 0)}: this and all other sequences are without a base A, C, G or T; name the column of sequences"
        )
    if len(bare):
        log.warning("%d of %d sequences have no base A, C, G or T, first %s", len(bare), len(codes), _place(records, bare[0]))


def warn_of_contradictions(records: pd.DataFrame, codes: np.ndarray, truth: np.ndarray, known: np.ndarray | None = None) -> int:
    """Say in the log which rows hold the sequence of an earlier row with other labels, both known; gives how many rows do."""
    keys = np.fromiter((hash(row.tobytes()) for row in codes), np.int64, len(codes))
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    seen = first[group] if known is None else _first_to_differ(group, truth, known)
    repeated = len(codes) - len(first)
    if repeated:
        log.info("%d of %d sequences repeat an earlier one", repeated, len(codes))
    pairs = [(seen[row], row) for row in np.flatnonzero((truth[seen] != truth).any(1)) if (codes[seen[row]] == codes[row]).all()]
    if pairs:
        shown = "; ".join(f"{_place(records, a)} and {_place(records, b)}" for a, b in pairs[:SHOWN])
        log.warning("%d rows repeat a sequence with another label: %s%s", len(pairs), shown, "; ..." if len(pairs) > SHOWN else "")
    return len(pairs)


def _first_to_differ(group: np.ndarray, truth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """For each row the first of its group that is known to be labelled otherwise, in any column; itself where none is."""
    out = np.arange(len(group))
    for labels, given in zip(truth.T, known.T, strict=True):
        rows = np.flatnonzero(given)
        _, first, which = np.unique(group[rows], return_index=True, return_inverse=True)
        others = rows[first[which]]
        differ = labels[others] != labels[rows]
        out[rows[differ]] = np.minimum(out[rows[differ]], others[differ])
    return out


def add_shuffled(
    records: pd.DataFrame, codes: np.ndarray, truth: np.ndarray, known: np.ndarray | None, seed: int
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray | None]:
    """Every row again, in the same place and part, its sequence shuffled with all dinucleotides kept: a negative of all targets.

    Of a target that is not known of the row nothing is said of its shuffle either: each target keeps one shuffle a row.
    """
    shuffled = dinucleotide_shuffle(codes, seed)
    return (
        pd.concat([records, records], ignore_index=True),
        np.concatenate([codes, shuffled]),
        np.concatenate([truth, np.zeros_like(truth)]),
        None if known is None else np.concatenate([known, known]),
    )
