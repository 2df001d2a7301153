"""Files of variants as lines that are read one by one: VCF, BCF and tables. What cannot be read is listed with its line, none is lost."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from regdna.sources.bgzip import check_end
from regdna.sources.tables import opened
from regdna.step import InputError

# What makes a line one that cannot be read, by column; what can be read but not scored is said where that is found out.
COLUMNS, TEXT, POSITION = "too few or too many columns", "bytes that are no text", "POS is no whole number"
EMPTY, MEASURED = "REF or ALT is empty", "what was measured is no number"
LABEL = "label is neither 0 nor 1"
BROKEN = (COLUMNS, TEXT, POSITION, EMPTY, MEASURED, LABEL)
SHOWN = 200  # characters of a line that are kept
KEYS = ("chrom", "pos", "ref", "alt")
ALIASES = {"#chrom": "chrom", "chr": "chrom", "chromosome": "chrom", "name": "id", "rsid": "id"}
# Columns that regdna makes itself, here and in tables of scores: a file's own of that name gets another one.
RESERVED = {
    "line", "text", "contig", "position", "kind", "target", "name", "below_views", "diff", "logit", "log2_odds", "deepsea_effect",
    "logit_seeds", "logit_views", "evalue_2015", "evalue_diff", "percentile",
}  # fmt: skip
EACH = ("af", "measured", "label")  # columns that may have a value for each allele
NOTHING = ("", ".", "NA", "NaN", "nan")
# Names of assemblies in headers, as regular expressions.
ASSEMBLIES = {
    "hg19": (
        "hg19",
        "grch37",
        "hs37",
        "b37",
        "assembly19",
        "g1k_v37",
        r"gca_000001405\.(?:[1-9]|1[0-4])(?!\d)",
        r"gcf_000001405\.(?:1[3-9]|2[0-5])(?!\d)",
    ),
    "hg38": (
        "hg38",
        "grch38",
        "hs38",
        "b38",
        "assembly38",
        r"gca_000001405\.(?:1[5-9]|2\d)(?!\d)",
        r"gcf_000001405\.(?:2[6-9]|[34]\d)(?!\d)",
    ),
    "another": ("hg18", "ncbi36", "t2t", "chm13", "mm10", "mm39"),
}
FIELD = re.compile(r'(?P<key>\w+)=(?P<value>"(?:[^"\\]|\\.)*"|[^,>]*)')
GZIP = b"\x1f\x8b"


@dataclass
class Lines:
    """The lines of a file of variants.

    Attributes:
        path: the file.
        kept: a row a line: line (1-based number), text (its first characters), and its columns as text, named in small letters.
        out: lines that are left out: line, reason, text.
        notes: what else is to be said.
    """

    path: Path
    kept: pd.DataFrame
    out: list[tuple[int, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_lines(path: Path, assembly: str, lengths: dict[str, int]) -> Lines:
    """Read a file of variants; what it is, its content says: VCF, BCF, Parquet, or a table with tabs or commas, plain or gzipped.

    A table has a header within its first ten lines that names chrom (or chr, chromosome), pos (from 1), ref and alt. Of a VCF's INFO
    only AF (column af) and LABEL (column label) are read, each allele's own where there is one a allele. A column by a name that regdna
    makes itself is kept as NAME_given.

    Args:
        assembly: of the dataset; a VCF that names another is refused.
        lengths: bp of the assembly's chromosomes; a VCF whose header says otherwise is refused.

    Raises:
        InputError: the file is none of these, cut short, of another assembly, or names a column twice.
    """
    with open(path, "rb") as file:
        start = file.read(65536)
    if start.startswith(b"PAR1"):
        return _parquet(path)
    if start.startswith(GZIP):
        check_end(path, str(path))
        start = next(_blocks(path), b"")[:65536]
    if start.startswith(b"BCF"):
        return _vcf(path, _bcf(path), assembly, lengths)
    if start.startswith((b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04")):
        kind = "a zip archive or a spreadsheet" if start.startswith(b"PK") else "UTF-16 text"
        raise InputError(f"{path}: is {kind}; save it as VCF, or as a table in UTF-8 text")
    head = start.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace").splitlines()[:10]
    at = next((at for at, line in enumerate(head) if _separator(line)), None)
    if at is None and _like_bed(head):
        raise InputError(
            f"{path}: has no header, and its columns look like BED (chrom, start, end, ref, alt), which is not read; "
            f"name the columns {', '.join(KEYS)} in a header (pos from 1: start + 1)"
        )
    if any(line.startswith(("##fileformat=VCF", "#CHROM\tPOS\tID")) for line in head) or (at is None and _like_vcf(path, head)):
        return _vcf(path, _text_lines(path), assembly, lengths)
    if at is None:
        raise InputError(f"{path}: is no VCF, and none of its first ten lines names the columns {', '.join(KEYS)}; name them in a header")
    return _table(path, at)


def _blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked where it is gzipped."""
    with opened(path) as handle:
        while block := handle.read(1 << 22):
            yield block


def _text_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their number from 1, without what ends them."""
    rest, number = b"", 0
    for block in _blocks(path):
        if not number:
            block = block.removeprefix(b"\xef\xbb\xbf")
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            number += 1
            yield number, line.removesuffix(b"\r")
    if rest:
        yield number + 1, rest.removesuffix(b"\r")


def _ended(path: Path) -> bool:
    """Whether a text ends with the end of a line."""
    last = b""
    for block in _blocks(path):
        last = block or last
    return last.endswith(b"\n")


def _bcf(path: Path) -> Iterator[tuple[int, bytes]]:
    """The header and records of a BCF as lines of VCF; the number of a record is its own, the header's lines have 0."""
    import pysam

    try:
        with pysam.VariantFile(str(path), drop_samples=True) as file:
            for line in str(file.header).splitlines():
                yield 0, line.encode()
            for number, record in enumerate(file, start=1):
                yield number, str(record).rstrip("\n").encode()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cut short or no BCF file ({error}); fetch it again") from None


def _like_vcf(path: Path, head: list[str]) -> bool:
    """Whether a file without any header is VCF all the same: by its name, or by the columns of its first line."""
    fields = head[0].split("\t") if head else []
    return ".vcf" in path.name or (len(fields) >= 5 and fields[1].isdecimal() and set(fields[3].upper()) <= set("ACGTN"))


def _like_bed(head: list[str]) -> bool:
    """Whether lines have a start, an end no further from it than REF is long, and alleles, where VCF has POS, ID, REF and ALT."""
    rows = [line.split("\t") for line in head if line.strip()]
    return bool(rows) and all(
        len(row) >= 5
        and row[1].isdecimal()
        and row[2].isdecimal()
        and 0 <= int(row[2]) - int(row[1]) <= len(row[3])
        and set(row[3].upper()) <= set("ACGTN-")
        for row in rows
    )


def _vcf(path: Path, lines: Iterator[tuple[int, bytes]], assembly: str, lengths: dict[str, int]) -> Lines:
    kept, out, titled, width = [], [], 0, 0
    for number, raw in lines:
        if raw.startswith(b"#"):
            titled = min(raw.count(b"\t") + 1, 8) if raw.startswith(b"#CHROM") else titled
            _check_header(path, number, raw.decode("utf-8", errors="replace"), assembly, lengths)
            continue
        if not raw.strip():
            continue
        text = _decoded(raw)
        if text is None:
            out.append((number, TEXT, raw[:SHOWN].decode("utf-8", errors="backslashreplace")))
            continue
        fields = text.split("\t", 8)
        if len(fields) < 5:
            out.append((number, COLUMNS, text[:SHOWN]))
            continue
        width = len(fields)
        info = fields[7] if len(fields) > 7 else ""
        kept.append(
            (
                number,
                text[:SHOWN],
                *fields[:5],
                _value(info, "AF") if "AF=" in info else "",
                _value(info, "LABEL") if "LABEL=" in info else "",
            )
        )
    if kept and width < titled and not _ended(path):  # the file was cut within its last line: what is left of an allele is another allele
        number, text, *_ = kept.pop()
        out.append((number, COLUMNS, text))
    table = pd.DataFrame(kept, columns=["line", "text", "chrom", "pos", "id", "ref", "alt", "af", "label"], dtype=object)
    for name in ("af", "label"):
        if not table[name].astype(bool).any():
            del table[name]
    notes = [] if titled else [f"{path}: has no line #CHROM; its columns are taken for CHROM, POS, ID, REF, ALT"]
    return Lines(path, table, out, notes)


def _decoded(raw: bytes) -> str | None:
    """A line as text; None if it is none."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _value(info: str, key: str) -> str:
    """The value of a key of INFO; empty if there is none."""
    return next((one[len(key) + 1 :] for one in info.split(";") if one.startswith(f"{key}=")), "")


def _split(table: pd.DataFrame) -> pd.DataFrame:
    """One row an alternate allele, with its own AF and LABEL where there are as many as alleles."""
    several = table["alt"].str.contains(",", regex=False).to_numpy(bool)
    if not several.any():
        return table
    some = table[several].copy()
    some["alt"] = some["alt"].str.split(",")
    count = some["alt"].str.len().to_numpy()
    for name in set(EACH) & set(some):
        each = some[name].str.split(",")
        own = each.str.len().to_numpy() == count
        shared = np.where(each.str.len() == 1, some[name], "")
        some[name] = [values if mine else [one] * n for values, mine, one, n in zip(each, own, shared, count, strict=True)]
    lists = [name for name in ("alt", *EACH) if name in some]
    whole = pd.concat([table[~several], some.explode(lists)])
    return whole.sort_index(kind="stable").reset_index(drop=True)


def _check_header(path: Path, number: int, line: str, assembly: str, lengths: dict[str, int]) -> None:
    """Refuse what is of another assembly by the name of its reference, or by the length of a chromosome."""
    give = f"but the dataset is {assembly}; give that assembly's variants"
    if line.lower().startswith("##reference="):
        if _another(line, assembly):
            raise InputError(f"{path}: line {number} says {line.strip()[2:]}, {give}")
    elif line.lower().startswith("##contig=<"):
        said = {match["key"].lower(): match["value"].strip('" ') for match in FIELD.finditer(line[len("##contig=<") :])}
        name, length = said.get("id", ""), said.get("length", "")
        chrom = name if name in lengths else f"chr{name}"
        if chrom in lengths and length.isdecimal() and int(length) != lengths[chrom]:
            raise InputError(f"{path}: line {number} says that {name} has {int(length):,} bp, not {lengths[chrom]:,}, {give}")
        # Decoys and viruses may come from anywhere.
        if chrom in lengths and _another(said.get("assembly", ""), assembly):
            raise InputError(f"{path}: line {number} says that {name} is of {said['assembly']}, {give}")


def _another(text: str, assembly: str) -> bool:
    """Whether a text names assemblies that are known, and none of them is this one."""
    named = {name for name, aliases in ASSEMBLIES.items() if re.search(rf"(?<![a-z0-9])(?:{'|'.join(aliases)})", text.lower())}
    return bool(named) and assembly in ASSEMBLIES and assembly not in named


def _separator(line: str) -> str:
    """What separates the columns that a line names: a tab, a comma, a semicolon (some spreadsheets); nothing if it names none."""
    return next((one for one in "\t,;" if set(KEYS) <= set(_names(_fields(line, one)))), "")


def _names(fields: list[str]) -> list[str]:
    """Names of columns in small letters, those with another name by the usual one, unless that is there too."""
    names = [name.strip().lower() for name in fields]
    return [ALIASES[name] if name in ALIASES and ALIASES[name] not in names else name for name in names]


def _renamed(path: Path, where: str, names: list[str]) -> tuple[list[str], list[str]]:
    """Names of columns that do not get into each other's way or into regdna's, and what is to be said of it.

    Raises:
        InputError: two columns have one name.
    """
    names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    if len(set(names)) < len(names):
        raise InputError(f"{path}: {where}column {max(names, key=names.count)!r} is named twice; rename one")
    taken, out = {*names, *RESERVED}, []
    for name in names:
        new = name
        while new in RESERVED or (new != name and new in taken):
            new += "_given"
        taken.add(new)
        out.append(new)
    moved = [f"{name} is kept as {new}" for name, new in zip(names, out, strict=True) if name != new]
    return out, [f"{path}: columns by names of regdna's own: {', '.join(moved)}"] if moved else []


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator)) if '"' in line else line.split(separator)


def _table(path: Path, header: int) -> Lines:
    kept, out, notes, names, separator = [], [], [], [], ""
    for number, raw in _text_lines(path):
        text = _decoded(raw)
        if number <= header or not raw.strip(b"\t;, ") or (names and raw.startswith(b"#")):
            continue
        if text is None and not names:
            raise InputError(f"{path}: line {number}: the header is no UTF-8 text; save the table as UTF-8")
        if text is None:
            out.append((number, TEXT, raw[:SHOWN].decode("utf-8", errors="backslashreplace")))
        elif not names:
            separator = _separator(text)
            given = _names(_fields(text, separator))
            names, notes = _renamed(path, f"line {number}: ", given)
        else:
            fields = _fields(text, separator)
            fields = fields if len(fields) == len(names) else text.split(separator)  # a quote may be a letter as any other
            if len(fields) == len(names):
                kept.append((number, text[:SHOWN], *fields))
            else:
                out.append((number, COLUMNS, text[:SHOWN]))
    table = pd.DataFrame(kept, columns=["line", "text", *names], dtype=object)
    bare = [name for name, said in zip(names, given, strict=True) if not said and not table[name].str.strip().astype(bool).any()]
    return Lines(path, table.drop(columns=bare), out, notes)


def _parquet(path: Path) -> Lines:
    """Rows of a Parquet file, each by its number from 1."""
    try:
        table = pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cut short or no Parquet file ({' '.join(str(error).split())}); fetch it again") from None
    table.columns, notes = _renamed(path, "", _names([str(name) for name in table.columns]))
    missing = [name for name in KEYS if name not in table]
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing; it needs {', '.join(KEYS)} (pos from 1)")
    table = table.astype(object).where(table.notna(), "").astype(str)
    text = table[list(KEYS)].agg("\t".join, axis=1).str[:SHOWN] if len(table) else pd.Series([], dtype=object)
    return Lines(path, table.assign(text=text, line=np.arange(1, len(table) + 1)), notes=notes)


def typed(lines: Lines) -> Lines:
    """Lines with numbers for what is one: position (0-based) for pos, measured, p_value, barcodes, af; ref and alt in capitals.

    A column label becomes measured, where there is no such column: 1, 0 or nothing. A line of several alternate alleles becomes a row
    each. Lines where one of these cannot be read go to ``out``; an af that is no number from 0 to 1 is taken as unknown, and said.
    """
    table = _split(lines.kept.reset_index(drop=True))
    text = {name: table[name].astype(str).str.strip() for name in table if name not in ("line", "text")}
    reasons = np.full(len(table), "", object)
    reasons[~text["pos"].str.fullmatch(r"[0-9]{1,12}").to_numpy(bool)] = POSITION
    reasons[((text["ref"] == "") | (text["alt"] == "")).to_numpy(bool)] = EMPTY
    if "measured" in text:
        reasons[~np.isfinite(_numbers(text["measured"])) & ~text["measured"].isin(NOTHING).to_numpy(bool)] = MEASURED
    elif "label" in text:
        labels = text.pop("label")
        numbers = _numbers(labels.str.lower().replace({"true": "1", "false": "0"}))
        reasons[~(np.isin(numbers, [0, 1]) | labels.isin(NOTHING).to_numpy(bool))] = LABEL
        text["measured"] = pd.Series(numbers, labels.index)
    bad = reasons != ""
    out = list(zip(table["line"][bad], reasons[bad], table["text"][bad], strict=True))
    good = {name: column[~bad] for name, column in text.items()}
    made = pd.DataFrame(
        {
            "line": table["line"][~bad].astype(np.int64),
            "chrom": good.pop("chrom"),
            "position": good.pop("pos").astype(np.int64) - 1,
            "id": good.pop("id") if "id" in good else ".",
            "ref": good.pop("ref").str.upper(),
            "alt": good.pop("alt").str.upper(),
            "text": table["text"][~bad],
        }
    )
    for name in ("measured", "p_value", "barcodes", "af"):
        if name in good:
            made[name] = _numbers(good.pop(name))
    notes = list(lines.notes)
    if "af" in made:
        share = made["af"].between(0, 1).to_numpy()
        wrong = int((~share & ~text["af"][~bad].isin(NOTHING).to_numpy(bool)).sum())
        made["af"] = made["af"].where(share)
        if wrong:
            notes.append(f"{lines.path}: af of {wrong:,} alleles is no number from 0 to 1; it is taken as unknown")
    made = made.assign(**good)
    return Lines(lines.path, made.reset_index(drop=True), [*lines.out, *out], notes)


def _numbers(column: pd.Series) -> np.ndarray:
    """Numbers of a column, float64 (n,); NaN for what is none."""
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
