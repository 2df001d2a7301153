"""The sequences of regulatory elements, rebuilt from the reference alleles of the saturation MPRA that mutated them."""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.alphabet import N, encode
from regdna.manifest import read_table
from regdna.sources.variant_sets import RELEASES
from regdna.step import InputError

COLUMNS = ["Chrom", "Pos", "Ref", "Element", "Release"]
FARTHEST = 10_000  # bp between neighbouring places of one experiment


def rebuild(path: Path, assembly: str) -> dict[str, tuple[int, np.ndarray]]:
    """The wild type of each experiment, base by base from the column Ref.

    Source: Kircher et al. 2019, Nat Commun 10:3583. Experiments on one element are rebuilt each by itself.

    Args:
        path: the file of the saturation MPRA; its Pos is 1-based.

    Returns:
        experiment to (0-based coordinate of the first base, codes uint8 (L,)), in the order of the file. A base that no line
        tells of is N.

    Raises:
        InputError: the file is cut short, holds nothing of this assembly, a Ref that is no base, an experiment without a name, on two
            chromosomes or with a gap of more than 10,000 bp, or two bases of one experiment at one place.
    """
    # ASSUME: the construct of an MPRA carries the reference alleles that its file names; where that is in doubt (SORT1,
    # chr1:109,817,590 of hg19) windows around other variants hold the base that the file names.
    try:
        table = read_table(path, dict.fromkeys(COLUMNS, str))
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: cut short or no gzip file ({error}); fetch it again") from None
    table["line"] = np.arange(2, len(table) + 2)
    table = table[(table["Release"] == RELEASES.get(assembly)) & table["Pos"].ne("NA")]
    if table.empty:
        raise InputError(f"{path}: holds no variant of {assembly or 'no assembly'}; it may have {', '.join(RELEASES)}")
    for name, good, what in (
        ("Element", table["Element"].str.strip() != "", "name"),
        ("Pos", table["Pos"].str.fullmatch(r"[1-9]\d{0,9}"), "place"),
        ("Ref", table["Ref"].isin([*"ACGT"]), "base"),
    ):
        if not good.all():
            at = table[~good].iloc[0]
            raise InputError(f"{path}: line {at['line']}: {name} is {at[name]!r}, which is no {what}; fetch the file again")
    table = table.assign(Pos=table["Pos"].astype(np.int64))
    _check_places(path, table)
    bases = table.drop_duplicates(["Element", "Pos", "Ref"])
    twice = bases[bases.duplicated(["Element", "Pos"])]
    if len(twice):
        at = twice.iloc[0]
        raise InputError(
            f"{path}: line {at['line']}: Ref of {at['Element']} at {at['Pos']} is {at['Ref']}, but another on a line before; mend one"
        )
    return {experiment: _spell(some) for experiment, some in bases.groupby("Element", sort=False)}


def _check_places(path: Path, table: pd.DataFrame) -> None:
    """Refuse an experiment on two chromosomes, or with a place far from its others."""
    elsewhere = table[table["Chrom"] != table.groupby("Element")["Chrom"].transform("first")]
    if len(elsewhere):
        at = elsewhere.iloc[0]
        raise InputError(
            f"{path}: line {at['line']}: {at['Element']} is on chromosome {at['Chrom']}, but on another on a line before; mend one"
        )
    ordered = table.sort_values(["Element", "Pos"])
    gap = ordered.groupby("Element")["Pos"].diff()
    if (gap > FARTHEST).any():
        at = ordered.loc[gap.idxmax()]
        raise InputError(
            f"{path}: line {at['line']}: Pos {at['Pos']} of {at['Element']} is {int(gap.max()):,} bp from the one before it; mend one"
        )


def _spell(bases: pd.DataFrame) -> tuple[int, np.ndarray]:
    """First coordinate (0-based) and codes of one experiment."""
    start = int(bases["Pos"].min()) - 1
    codes = np.full(bases["Pos"].max() - start, N, np.uint8)
    codes[bases["Pos"] - 1 - start] = encode("".join(bases["Ref"]))
    return start, codes


def lay_out(elements: dict[str, tuple[int, np.ndarray]], assembly: str) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Elements as ``regdna.genome.Genome`` reads them: each is a sequence by its own name that begins at its true coordinate.

    Returns:
        codes uint8 (total,), each element filled with N to a multiple of 8; the index (assembly, chrom, start, length, offset,
        masked); and the bits of repeats, uint8 (total / 8,), none of which is set: what is repeated is not known.
    """
    parts, rows, offset = [], [], 0
    for name, (start, codes) in elements.items():
        filled = np.full(-(-len(codes) // 8) * 8, N, np.uint8)
        filled[: len(codes)] = codes
        rows.append({"assembly": assembly, "chrom": name, "start": start, "length": len(codes), "offset": offset, "masked": 0})
        parts.append(filled)
        offset += len(filled)
    return np.concatenate(parts), pd.DataFrame(rows), np.zeros(offset // 8, np.uint8)


def gaps(elements: dict[str, tuple[int, np.ndarray]]) -> dict[str, int]:
    """Number of bases that no line tells of, by experiment; those without any are left out."""
    return {name: count for name, (_, codes) in elements.items() if (count := int((codes == N).sum()))}
