"""Tables that come from anywhere, row by row: delimited text and Parquet, read strictly."""

import contextlib
import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip, isal_zlib

from regdna.manifest import nearest
from regdna.step import InputError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
LONGEST = 40  # letters of a name that is worth proposing; a longer one is a sequence
csv.field_size_limit(1 << 30)  # a sequence may be longer than the 131,072 letters that the module allows


def kind(path: Path) -> str:
    """What a file is by its name: its suffix in small letters, less ``.gz``."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, plain or gzipped, whatever its name says.

    Raises:
        InputError: it is cut short, or no gzip file although its name says so.
    """
    try:
        with open(path, "rb") as handle:
            gzipped = path.suffix.lower() == ".gz" or handle.read(2) == b"\x1f\x8b"
        with igzip.open(path, "rb") if gzipped else open(path, "rb") as handle:
            yield handle
    except (EOFError, gzip.BadGzipFile, isal_zlib.error) as error:
        raise InputError(f"{path}: cut short or no gzip file ({error}); fetch it again") from None


def read_rows(path: Path, names: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Rows that hold anything: each one's number as a person counts, and its cells in the columns ``names`` as text.

    Spaces around names and cells are dropped; '' is a missing value.

    Args:
        path: .csv or .tsv, also gzipped, with names in the first line; a row's number is that of its first line. Or
            .parquet; its rows count from 1.

    Raises:
        InputError: a column is absent or there twice, or the first row that is wrong.
    """
    rows = _parquet(path, names) if kind(path) == ".parquet" else _delimited(path, names)
    return ((row, [cell.strip() for cell in cells]) for row, cells in rows)


def _delimited(path: Path, names: list[str]) -> Iterator[tuple[int, list[str]]]:
    begin = 1
    try:
        with opened(path) as handle:
            # Bytes that are not UTF-8 become letters that cannot be printed: they are refused where they matter, with their row.
            text = io.TextIOWrapper(handle, "utf-8-sig", errors="surrogateescape", newline="")
            lines = csv.reader(text, delimiter=SEPARATORS[kind(path)], strict=True)
            header = [name.strip() for name in next(lines, [])]
            places = _places(path, header, names)
            begin = 2
            for cells in lines:
                if "".join(cells).strip():
                    if len(cells) != len(header):
                        raise InputError(f"{path}: row {begin} has {len(cells)} cells, but the first line names {len(header)}; mend it")
                    chosen = [cells[place] for place in places]
                    if not "".join(chosen).isprintable():
                        raise InputError(
                            f"{path}: row {begin} holds a control character or is not in UTF-8; mend it, or save the table in UTF-8"
                        )
                    yield begin, chosen
                begin = lines.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: row {begin}: {error}; close its quotes, or double those within a cell") from None


def _places(path: Path, header: list[str], names: list[str]) -> list[int]:
    other = [one for one in ";\t,| " if len(header) == 1 and one in header[0]]
    if other and header[0] not in names:
        raise InputError(f"{path}: its first line is separated by {other[0]!r}; use commas in a .csv file, tabs in a .tsv file")
    if not header:
        raise InputError(f"{path}: its first line names no columns; write their names there, or fetch it again")
    if not "".join(header).isprintable():
        raise InputError(f"{path}: its first line is not text in UTF-8; save it as a plain table in UTF-8")
    return [_place(path, header, names, name) for name in names]


def _place(path: Path, known: list[str], names: list[str], name: str) -> int:
    if name not in known:
        near = nearest(name, [one for one in known if len(one) <= LONGEST])
        raise InputError(f"{path}: no column {name!r}{near}; name the right one in the dataset's sequences.columns")
    if known.count(name) > 1:
        raise InputError(f"{path}: two columns are called {name!r}; rename one")
    if names.count(name) > 1:
        raise InputError(f"{path}: column {name!r} is asked for twice; name it once in the dataset's sequences.columns")
    return known.index(name)


def _parquet(path: Path, names: list[str]) -> Iterator[tuple[int, list[str]]]:
    row = 0
    try:
        with pq.ParquetFile(path) as file:
            places = [_place(path, file.schema_arrow.names, names, name) for name in names]
            for name, at in zip(names, places, strict=True):
                if pa.types.is_nested(file.schema_arrow.field(at).type):
                    raise InputError(f"{path}: column {name!r} holds {file.schema_arrow.field(at).type}, not text or numbers; convert it")
            for batch in file.iter_batches(columns=names):
                columns = [batch.column(name).cast(pa.string()).fill_null("").to_pylist() for name in names]
                for cells in zip(*columns, strict=True):
                    row += 1
                    yield row, list(cells)
    except (pa.ArrowInvalid, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: after row {row}: not a whole Parquet file, or not text in UTF-8 ({said}); make it again") from None
