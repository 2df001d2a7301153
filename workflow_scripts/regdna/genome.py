"""An assembly, or a part of it, as one memory-mapped array of codes and the bits of its repeats."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from isal import igzip, isal_zlib

from regdna.alphabet import N, encode
from regdna.arrays import read_array
from regdna.manifest import read_table
from regdna.step import InputError, log

IUPAC = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv-*."
SPACE = b"\n\r\t "
RECORD = re.compile(r"^(?P<chrom>[^\s:]+)(?::(?P<first>\d+)-(?P<last>\d+))?$")
CHUNK = 1 << 24
_LOWER = np.zeros(256, bool)
_LOWER[ord("a") : ord("z") + 1] = True


def read_lengths(assemblies: Path, assembly: str) -> dict[str, int]:
    """Length in bp of each chromosome of an assembly, from the table of assembly, chrom, length."""
    table = read_table(assemblies, {"assembly": str, "chrom": str, "length": int})
    return dict(table.loc[table["assembly"] == assembly, ["chrom", "length"]].itertuples(index=False))


class ArrayFile:
    """An .npy file of uint8 that grows: its length is written when it is closed.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self.length = 0
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._header = self._write_header()

    def _write_header(self) -> int:
        # numpy pads headers so that the first axis can grow in place.
        np.lib.format.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": (self.length,)})
        return self._file.tell()

    def append(self, values: np.ndarray) -> None:
        """Add uint8 values at the end."""
        self._file.write(np.ascontiguousarray(values, np.uint8).data)
        self.length += len(values)

    def close(self) -> None:
        """Write the length; the file is then an ordinary .npy file."""
        self._file.seek(0)
        if self._write_header() != self._header:
            raise OSError(f"{self._file.name}: the header has grown over the data")
        self._file.close()


@dataclass
class _Record:
    """A record that is being read: where it lies, and how much of it was seen."""

    name: str
    chrom: str
    start: int
    expected: int
    offset: int
    length: int = 0


def index_fasta(fasta: list[Path], assembly: str, lengths: dict[str, int], codes: Path, mask: Path) -> pd.DataFrame:
    """Read FASTA files (plain or gzipped) into codes and an index, a piece at a time.

    A record named ``chr22:20000001-21000000`` (1-based, inclusive, as samtools writes) is that part of the chromosome;
    other records are whole chromosomes. Records that the assembly does not list (chrM, patches) are left out.

    Args:
        fasta: the files.
        assembly: its name, for the index.
        lengths: length of each chromosome of the assembly in bp.
        codes: .npy to write: uint8 (total,), the kept records one after the other, each filled with N to a multiple of 8.
        mask: .npy to write: bits, uint8 (total / 8,), first base in the highest bit, 1 where a base is in lower case
            (a repeat, in assemblies from UCSC).

    Returns:
        a table with assembly, chrom, start (0-based coordinate of the record's first base), length, offset (where it begins
        in the codes) and masked (bases in lower case).

    Raises:
        InputError: no record is kept, a record repeats, its length does not fit the assembly, or a file is cut short.
    """
    rows: list[dict] = []
    seen: list[str] = []
    files = ArrayFile(codes), ArrayFile(mask)
    try:
        for path in fasta:
            for record, masked in _records(path, lengths, *files, seen):
                if any(row["chrom"] == record.chrom for row in rows):
                    raise InputError(f"{path}: two records of {record.chrom}; keep one")
                rows.append(
                    {
                        "assembly": assembly, "chrom": record.chrom, "start": record.start, "length": record.length,
                        "offset": record.offset, "masked": masked,
                    }
                )  # fmt: skip
    finally:
        for file in files:
            file.close()
    if not rows:
        raise InputError(
            f"{', '.join(map(str, fasta))}: no record is a chromosome of {assembly}, the first is {seen[0]!r}; names must look like "
            f"{next(iter(lengths))}, or {next(iter(lengths))}:1001-2000 (1-based) for a part"
        )
    held = {row["chrom"] for row in rows}
    if lacking := [chrom for chrom in lengths if chrom not in held]:
        shown = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
        log.info("%d of %d chromosomes of %s are held; no window will lie on %s", len(held), len(lengths), assembly, shown)
    return pd.DataFrame(rows)


def _records(path: Path, lengths: dict[str, int], codes: ArrayFile, mask: ArrayFile, seen: list[str]) -> Iterator[tuple[_Record, int]]:
    """Write the kept records of one file; gives each with its number of masked bases. Titles of all go to ``seen``."""
    record, masked, rest = None, 0, np.empty(0, bool)

    def finish() -> tuple[_Record, int]:
        if record.length != record.expected:
            raise InputError(
                f"{path}: record {record.name} holds {record.length:,} bases, but should hold {record.expected:,} in this assembly; "
                "is it another assembly, or cut short?"
            )
        fill = -codes.length % 8
        codes.append(np.full(fill, N, np.uint8))
        mask.append(np.packbits(np.r_[rest, np.zeros(fill, bool)]))
        return record, masked

    for title, letters in _pieces(path):
        if title is not None:
            if record is not None:
                yield finish()
            seen.append(title.decode(errors="replace").strip())
            record, masked, rest = _begin(path, title, lengths, codes.length), 0, np.empty(0, bool)
        if record is None or not letters:
            continue
        odd = letters.translate(None, IUPAC)
        if odd:
            raise InputError(
                f"{path}: record {record.name} holds {odd[:1].decode('latin-1')!r}, which is no base; give a FASTA file of DNA"
            )
        if record.length + len(letters) > record.expected:
            raise InputError(
                f"{path}: record {record.name} holds more than the {record.expected:,} bases that it should in this assembly; "
                "is it another assembly?"
            )
        codes.append(encode(letters))
        record.length += len(letters)
        lower = np.r_[rest, _LOWER[np.frombuffer(letters, np.uint8)]]
        masked += int(lower[len(rest) :].sum())
        whole = len(lower) // 8 * 8
        mask.append(np.packbits(lower[:whole]))
        rest = lower[whole:]
    if record is not None:
        yield finish()


def _begin(path: Path, title: bytes, lengths: dict[str, int], offset: int) -> _Record | None:
    """The record that a title line opens; None if the assembly does not list it."""
    name = title.decode(errors="replace").split()[0] if title.strip() else ""
    match = RECORD.match(name)
    if match is None or match["chrom"] not in lengths:
        return None
    start = int(match["first"]) - 1 if match["first"] else 0
    last = int(match["last"]) if match["last"] else lengths[match["chrom"]]
    if start < 0:
        raise InputError(f"{path}: record {name} begins at 0; name it as samtools does, from 1")
    if not start < last <= lengths[match["chrom"]]:
        raise InputError(
            f"{path}: record {name} lies outside {match['chrom']} of this assembly ({lengths[match['chrom']]:,} bp); "
            "is it another assembly?"
        )
    return _Record(name, match["chrom"], start, last - start, offset)


def _pieces(path: Path) -> Iterator[tuple[bytes | None, bytes]]:
    """A FASTA file as (title or None, letters): a title opens a record, letters that follow belong to the last one."""
    with open(path, "rb") as plain:
        opener: Callable[..., BinaryIO] = igzip.open if path.suffix == ".gz" or plain.read(2) == b"\x1f\x8b" else open
    pending = b""
    with opener(path, "rb") as handle:
        try:
            first = handle.read(1)
            if first == b"\xef":  # the mark of UTF-8 that some editors write
                first = handle.read(3)[2:]
            if first != b">":
                raise InputError(f"{path}: does not begin with '>'; give a FASTA file")
            pending = b"\n>"
            while block := handle.read(CHUNK):
                pending += block
                # What follows the last line break may be half a line, or half a title.
                cut = pending.rfind(b"\n")
                yield from _split(pending[:cut])
                pending = pending[cut:]
        except (EOFError, isal_zlib.error, OSError) as error:
            raise InputError(f"{path}: cut short or no gzip file ({error}); fetch it again") from None
    yield from _split(pending)


def _split(text: bytes) -> Iterator[tuple[bytes | None, bytes]]:
    """Whole lines as titles and letters; ``text`` begins with a line break or within a record."""
    first, *others = text.split(b"\n>")
    if first:
        yield None, first.translate(None, SPACE)
    for one in others:
        title, _, body = one.partition(b"\n")
        yield title, body.translate(None, SPACE)


class Genome:
    """Sequence by coordinate from the files that ``index_fasta``'s results were saved to.

    Args:
        codes: .npy of uint8 codes; memory-mapped.
        index: .tsv with assembly, chrom, start, length, offset, masked.
        mask: .npy of bits, 1 where a base is masked as a repeat; memory-mapped. None, or a sequence without a lower-case
            base: what is repeated is not known, and ``mask`` is None.
    """

    def __init__(self, codes: Path, index: Path, mask: Path | None = None):
        self.codes = read_array(codes, "r")
        self.index = pd.read_csv(index, sep="\t", dtype={"assembly": str, "chrom": str}, keep_default_na=False).set_index("chrom")
        self.assembly = str(self.index["assembly"].iloc[0])
        self.mask = read_array(mask, "r") if mask is not None and self.index["masked"].any() else None

    def __contains__(self, chrom: str) -> bool:
        return chrom in self.index.index

    def bounds(self, chrom: str) -> tuple[int, int]:
        """First and past-the-last coordinate (0-based, half-open) that is held of a chromosome."""
        row = self.index.loc[chrom]
        return int(row.start), int(row.start + row.length)

    def fetch(self, chrom: str, start: int, end: int) -> np.ndarray:
        """Codes of ``chrom:start-end`` (0-based, half-open), uint8 (end - start,); N beyond what is held."""
        first, last = self.bounds(chrom)
        shift = int(self.index.loc[chrom].offset) - first
        inner = self.codes[max(start, first) + shift : max(min(end, last), first) + shift]
        if len(inner) == end - start:
            return np.array(inner)
        out = np.full(end - start, N, np.uint8)
        at = max(first - start, 0)
        out[at : at + len(inner)] = inner
        return out

    def windows(self, chrom: np.ndarray, start: np.ndarray, length: int, pad: bool = False) -> np.ndarray:
        """Codes of equally long windows, uint8 (n, length); start is 0-based.

        Args:
            pad: whether bases beyond what is held are N.

        Raises:
            KeyError: a chromosome that is not held.
            IndexError: a window reaches beyond what is held, and ``pad`` is False.
        """
        code, names = pd.factorize(np.asarray(chrom))
        at = self.index.index.get_indexer(names)
        if (at < 0).any():
            raise KeyError(names[at.argmin()])
        first, held, offset = (self.index[column].to_numpy()[at] for column in ("start", "length", "offset"))
        start, last = np.asarray(start, np.int64), first + held
        outside = (start < first[code]) | (start + length > last[code])
        if outside.any() and not pad:
            chosen = code[outside.argmax()]
            raise IndexError(f"{names[chosen]}: a window lies outside {first[chosen]}-{last[chosen]}")
        if outside.all():
            out = np.empty((len(start), length), np.uint8)
        else:  # one look-up for all: the sequence is copied once
            place = start + (offset - first)[code]
            out = np.lib.stride_tricks.sliding_window_view(self.codes.view(np.ndarray), length)[np.where(outside, 0, place)]
        for row in np.flatnonzero(outside):
            out[row] = self.fetch(names[code[row]], int(start[row]), int(start[row]) + length)
        return out
