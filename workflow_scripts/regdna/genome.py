"""An assembly, or a part of it, as one memory-mapped array of codes."""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.alphabet import N, encode
from regdna.arrays import read_array
from regdna.step import InputError

IUPAC = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv-*."
RECORD = re.compile(r"^(?P<chrom>[^\s:]+)(?::(?P<first>\d+)-(?P<last>\d+))?$")


def index_fasta(fasta: Path, lengths: dict[str, int]) -> tuple[np.ndarray, pd.DataFrame]:
    """Read a FASTA file (plain or gzipped) into codes and an index.

    A record named ``chr22:20000001-21000000`` (1-based, inclusive, as samtools writes) is that part of the chromosome;
    other records are whole chromosomes. Records that the assembly does not list (chrM, patches) are left out.

    Args:
        fasta: the file.
        lengths: length of each chromosome of the assembly in bp.

    Returns:
        codes, uint8 (total,), the kept records one after the other; and a table with chrom, start (0-based coordinate
        of the record's first base), length and offset (where it begins in the codes).

    Raises:
        InputError: no record is kept, a record repeats, or its length does not fit the assembly.
    """
    opener = gzip.open if fasta.suffix == ".gz" else open
    parts: list[np.ndarray] = []
    rows: list[dict] = []
    with opener(fasta, "rb") as handle:
        text = handle.read()
    if not text.startswith(b">"):
        raise InputError(f"{fasta}: does not begin with '>'; give a FASTA file")
    offset = 0
    for record in text[1:].split(b"\n>"):
        title, _, body = record.partition(b"\n")
        name = title.decode().split()[0] if title.strip() else ""
        match = RECORD.match(name)
        if match is None or match["chrom"] not in lengths:
            continue
        letters = body.translate(None, b"\n\r\t ")
        odd = letters.translate(None, IUPAC)
        if odd:
            raise InputError(f"{fasta}: record {name} holds {odd[:1].decode('latin-1')!r}, which is no base; give a FASTA file of DNA")
        codes = encode(letters)
        start = int(match["first"]) - 1 if match["first"] else 0
        if start < 0:
            raise InputError(f"{fasta}: record {name} begins at 0; name it as samtools does, from 1")
        last = int(match["last"]) if match["last"] else lengths[match["chrom"]]
        if len(codes) != last - start or last > lengths[match["chrom"]]:
            raise InputError(
                f"{fasta}: record {name} holds {len(codes):,} bases, but {match['chrom']} of this assembly has "
                f"{lengths[match['chrom']]:,} and the record should hold {last - start:,}; is it another assembly?"
            )
        if any(row["chrom"] == match["chrom"] for row in rows):
            raise InputError(f"{fasta}: two records of {match['chrom']}; keep one")
        rows.append({"chrom": match["chrom"], "start": start, "length": len(codes), "offset": offset})
        parts.append(codes)
        offset += len(codes)
    if not rows:
        raise InputError(f"{fasta}: no record is a chromosome of this assembly; names must look like chr1")
    return np.concatenate(parts), pd.DataFrame(rows)


class Genome:
    """Sequence by coordinate from the files that ``index_fasta``'s results were saved to.

    Args:
        codes: .npy of uint8 codes; memory-mapped.
        index: .tsv with chrom, start, length, offset.
    """

    def __init__(self, codes: Path, index: Path):
        self.codes = read_array(codes, "r")
        self.index = pd.read_csv(index, sep="\t").set_index("chrom")

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

    def windows(self, chrom: np.ndarray, start: np.ndarray, length: int) -> np.ndarray:
        """Codes of equally long windows, uint8 (n, length); start is 0-based; all must lie within what is held.

        Raises:
            IndexError: a window reaches beyond what is held.
        """
        out = np.empty((len(start), length), np.uint8)
        view = np.lib.stride_tricks.sliding_window_view(self.codes, length)
        for name in pd.unique(np.asarray(chrom)):
            rows = np.flatnonzero(np.asarray(chrom) == name)
            first, last = self.bounds(name)
            starts = np.asarray(start)[rows]
            if starts.min() < first or starts.max() + length > last:
                raise IndexError(f"{name}: a window lies outside {first}-{last}")
            out[rows] = view[starts - first + int(self.index.loc[name].offset)]
        return out
