"""Files of variants as lines that are read one by one: VCF, BCF and tables. What cannot be read is listed with its line, none is lost."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from isal import igzip, isal_zlib

from regdna.step import InputError

# What makes a line one that cannot be read, by column; what can be read but not scored is said where that is found out.
COLUMNS, TEXT, POSITION = "too few or too many columns", "bytes that are no text", "POS is no whole number"
EMPTY, MEASURED = "REF or ALT is empty", "what was measured is no number"
BROKEN = (COLUMNS, TEXT, POSITION, EMPTY, MEASURED)
SHOWN = 200  # characters of a line that are kept
KEYS = ("chrom", "pos", "ref", "alt")
ALIASES = {"#chrom": "chrom", "chr": "chrom", "chromosome": "chrom", "name": "id", "rsid": "id", "label": "measured"}
NOTHING = ("", ".", "NA", "NaN", "nan")
ASSEMBLIES = {
    "hg19": ("hg19", "grch37", "hs37", "b37"),
    "hg38": ("hg38", "grch38", "hs38"),
    "another": ("hg18", "ncbi36", "t2t", "chm13", "mm10", "mm39"),
}
CONTIG = re.compile(r"^##contig=<ID=(?P<name>[^,>]+).*?[,<]length=(?P<length>\d+)")
GZIP, END = b"\x1f\x8b", bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


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
    only AF (column af) and LABEL (column measured) are read, each allele's own where there is one a allele.

    Args:
        assembly: of the dataset; a VCF that names another is refused.
        lengths: bp of the assembly's chromosomes; a VCF whose header says otherwise is refused.

    Raises:
        InputError: the file is none of these, cut short, or of another assembly.
    """
    with open(path, "rb") as file:
        start = file.read(65536)
    if start.startswith(b"PAR1"):
        return _parquet(path)
    if start.startswith(GZIP):
        _check_end(path, start)
        start = next(_blocks(path), b"")[:65536]
    if start.startswith(b"BCF"):
        return _vcf(path, _bcf(path), assembly, lengths)
    if start.startswith((b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04")):
        kind = "a zip archive or a spreadsheet" if start.startswith(b"PK") else "UTF-16 text"
        raise InputError(f"{path}: is {kind}; save it as VCF, or as a table in UTF-8 text")
    head = start.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace").splitlines()[:10]
    at = next((at for at, line in enumerate(head) if _names_columns(line)), None)
    if any(line.startswith(("##fileformat=VCF", "#CHROM\tPOS\tID")) for line in head) or (at is None and _like_vcf(path, head)):
        return _vcf(path, _text_lines(path), assembly, lengths)
    if at is None:
        raise InputError(f"{path}: is no VCF, and none of its first ten lines names the columns {', '.join(KEYS)}; name them in a header")
    return _table(path, at)


def _check_end(path: Path, start: bytes) -> None:
    """Refuse a bgzipped file without its last, empty block: it may have been cut between two others, where gzip sees no fault."""
    if start[3] & 4 and b"BC\x02\x00" in start[10:32]:
        with open(path, "rb") as file:
            file.seek(max(path.stat().st_size - len(END), 0))
            if file.read() != END:
                raise InputError(f"{path}: cut short: the last block of bgzip is missing; fetch it again, or bgzip it again")


def _blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked where it is gzipped."""
    with open(path, "rb") as file:
        opener = igzip.open if file.read(2) == GZIP else open
    try:
        handle: BinaryIO
        with opener(path, "rb") as handle:
            while block := handle.read(1 << 22):
                yield block
    except (EOFError, isal_zlib.error, igzip.BadGzipFile) as error:
        raise InputError(f"{path}: cut short or no gzip file ({error}); fetch it again") from None


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


def _vcf(path: Path, lines: Iterator[tuple[int, bytes]], assembly: str, lengths: dict[str, int]) -> Lines:
    kept, out, titled = [], [], False
    for number, raw in lines:
        if raw.startswith(b"#"):
            titled |= raw.startswith(b"#CHROM")
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
    table = pd.DataFrame(kept, columns=["line", "text", "chrom", "pos", "id", "ref", "alt", "af", "measured"], dtype=object)
    for name in ("af", "measured"):
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
    for name in {"af", "measured"} & set(some):
        each = some[name].str.split(",")
        own = each.str.len().to_numpy() == count
        shared = np.where(each.str.len() == 1, some[name], "")
        some[name] = [values if mine else [one] * n for values, mine, one, n in zip(each, own, shared, count, strict=True)]
    lists = [name for name in ("alt", "af", "measured") if name in some]
    whole = pd.concat([table[~several], some.explode(lists)])
    return whole.sort_index(kind="stable").reset_index(drop=True)


def _check_header(path: Path, number: int, line: str, assembly: str, lengths: dict[str, int]) -> None:
    """Refuse what is of another assembly by the name of its reference, or by the length of a chromosome."""
    give = f"but the dataset is {assembly}; give that assembly's variants"
    if line.startswith("##reference="):
        named = {name for name, aliases in ASSEMBLIES.items() if re.search(rf"(?<![a-z0-9])({'|'.join(aliases)})", line.lower())}
        if named and assembly in ASSEMBLIES and assembly not in named:
            raise InputError(f"{path}: line {number} says {line.strip()[2:]}, {give}")
    match = CONTIG.match(line)
    if match:
        chrom = match["name"] if match["name"] in lengths else f"chr{match['name']}"
        if lengths.get(chrom, int(match["length"])) != int(match["length"]):
            said = f"{match['name']} has {int(match['length']):,} bp, not {lengths[chrom]:,}"
            raise InputError(f"{path}: line {number} says that {said}, {give}")


def _names_columns(line: str) -> bool:
    return set(KEYS) <= set(_names(_fields(line, "\t" if "\t" in line else ",")))


def _names(fields: list[str]) -> list[str]:
    """Names of columns in small letters, those with another name by the usual one, unless that is there too."""
    names = [name.strip().lower() for name in fields]
    return [ALIASES[name] if name in ALIASES and ALIASES[name] not in names else name for name in names]


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader([line])) if separator == "," and '"' in line else line.split(separator)


def _table(path: Path, header: int) -> Lines:
    kept, out, names, separator = [], [], [], ""
    for number, raw in _text_lines(path):
        text = _decoded(raw)
        if number <= header or not raw.strip() or (names and raw.startswith(b"#")):
            continue
        if text is None:
            out.append((number, TEXT, raw[:SHOWN].decode("utf-8", errors="backslashreplace")))
        elif not names:
            separator = "\t" if "\t" in text else ","
            names = _names(_fields(text, separator))
            if len(set(names)) < len(names):
                raise InputError(f"{path}: line {number}: column {max(names, key=names.count)!r} is named twice; rename one")
        else:
            fields = _fields(text, separator)
            if len(fields) == len(names):
                kept.append((number, text[:SHOWN], *fields))
            else:
                out.append((number, COLUMNS, text[:SHOWN]))
    return Lines(path, pd.DataFrame(kept, columns=["line", "text", *names], dtype=object), out)


def _parquet(path: Path) -> Lines:
    """Rows of a Parquet file, each by its number from 1."""
    table = pd.read_parquet(path)
    table.columns = _names([str(name) for name in table.columns])
    missing = [name for name in KEYS if name not in table]
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing; it needs {', '.join(KEYS)} (pos from 1)")
    table = table.astype(object).where(table.notna(), "").astype(str)
    text = table[list(KEYS)].agg("\t".join, axis=1).str[:SHOWN] if len(table) else pd.Series([], dtype=object)
    return Lines(path, table.assign(text=text, line=np.arange(1, len(table) + 1)))


def typed(lines: Lines) -> Lines:
    """Lines with numbers for what is one: position (0-based) for pos, measured, p_value, barcodes, af; ref and alt in capitals.

    A line of several alternate alleles becomes a row each. Lines where one of these cannot be read go to ``out``.
    """
    table = _split(lines.kept.reset_index(drop=True))
    text = {name: table[name].astype(str).str.strip() for name in table if name not in ("line", "text")}
    reasons = np.full(len(table), "", object)
    reasons[~text["pos"].str.fullmatch(r"[0-9]{1,12}").to_numpy(bool)] = POSITION
    reasons[((text["ref"] == "") | (text["alt"] == "")).to_numpy(bool)] = EMPTY
    if "measured" in text:
        numbers = pd.to_numeric(text["measured"], errors="coerce")
        reasons[(numbers.isna() & ~text["measured"].isin(NOTHING)).to_numpy(bool)] = MEASURED
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
            made[name] = pd.to_numeric(good.pop(name), errors="coerce").astype(np.float64)
    taken = {*made.columns, "contig", "kind"}
    for name, column in good.items():
        made[f"{name}_given" if name in taken else name] = column
    return Lines(lines.path, made.reset_index(drop=True), [*lines.out, *out], lines.notes)
