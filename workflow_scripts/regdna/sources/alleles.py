"""Alleles held against the genome: chromosome found, REF compared, written in the one shortest and leftmost way.

Source: Tan, Abecasis and Kang 2015, Bioinformatics 31:2202.
"""

from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from regdna.alphabet import N, decode, encode, reverse_complement
from regdna.genome import Genome
from regdna.haplotypes import common_ends, places, spelled
from regdna.sources.variant_files import Lines
from regdna.step import InputError

SYMBOLIC, BREAKEND, STAR = "symbolic allele", "breakend", "ALT is *: another variant deletes the base"
LETTERS, SAME, NONE = "REF or ALT is not of A, C, G, T", "ALT is REF", "no alternate allele"
INSERTED = "REF is -: before or behind which base is not said; write the base before in both"
CHROMOSOME, ZERO, BEYOND, OUTSIDE = "chromosome not held", "POS is 0", "POS beyond the end of the chromosome", "beyond what is held"
MISMATCH, ANCHOR, BOTH = "REF is not what the assembly holds", "no base before it is held", "negative that is also a positive"
KEY = ["contig", "position", "ref", "alt"]
FIRST = ["line", "chrom", "contig", "position", "id", "ref", "alt", "kind"]
NAMED = 10  # lines that a message names
FEWEST = 100  # single-base alleles from which on it is told whether a file is of another assembly


@dataclass(frozen=True)
class Placed:
    """Variants that stand where they say they do.

    Attributes:
        table: line, chrom, contig, position (0-based), id, ref, alt, kind and what the file says besides.
        out: alleles left out: line, reason, text.
        flipped: alleles by how they were made to fit: ``swapped`` or ``complemented``.
        repeated: rows with the alleles of an earlier row; they are kept.
    """

    table: pd.DataFrame
    out: list[tuple[int, str, str]]
    flipped: dict[str, int]
    repeated: int


def place(lines: Lines, genome: Genome, lengths: dict[str, int], mismatch: str = "drop", elements: bool = False) -> Placed:
    """Check and normalise alleles; one row each, in the order of the file.

    A variant that is written twice, in one way or two, is two rows: what was measured of them may differ. In a set of labels, a
    negative that is also a positive is left out.

    Args:
        lines: from ``regdna.sources.variant_files.typed``; alt '-' is a deletion of all of ref.
        lengths: bp of the assembly's chromosomes.
        mismatch: what is done where REF is not what the genome holds: ``drop``, ``fail`` or ``flip``.
        elements: whether the genome holds elements, by the variants' id, rather than chromosomes.

    Raises:
        InputError: ``fail``, and a REF is not what the genome holds; or that is so of more than half of at least 100 single-base alleles,
            whatever ``mismatch`` is, unless with ``flip`` nearly all are of the other order, or nearly all of the other strand.
    """
    table, out = lines.kept, list(lines.out)

    def drop(which: np.ndarray, reason: str | np.ndarray) -> None:
        nonlocal table
        which = np.asarray(which, bool)
        said = np.broadcast_to(np.asarray(reason, object), len(table))[which]
        out.extend(zip(table["line"][which].tolist(), said, table["text"][which], strict=True))
        table = table[~which].reset_index(drop=True)

    reasons = _unusable(table["ref"], table["alt"])
    drop(reasons != "", reasons)
    if elements:
        table = table.assign(chrom=_found(table["chrom"], lengths), contig=table["id"])
    else:
        table["chrom"] = table["contig"] = _found(table["chrom"], genome)
    drop(table["position"] < 0, ZERO)
    drop(table["position"] >= table["chrom"].map(lengths).astype(np.float64).fillna(np.inf), BEYOND)
    drop(~table["contig"].isin(genome.index.index), CHROMOSOME)
    table["alt"] = table["alt"].where(table["alt"] != "-", "")
    drop(~_inside(table, genome), OUTSIDE)
    table, fits, flipped = _compared(lines, table, genome, mismatch)
    drop(~fits, MISMATCH)
    table, anchored = normalised(table, genome)
    drop(~anchored, ANCHOR)
    drop(_also_positive(table), BOTH)
    repeated = int(table.duplicated(KEY).sum())
    table = table.assign(kind=kinds(table["ref"], table["alt"]))
    rest = [name for name in table if name not in (*FIRST, "text")]
    return Placed(table[[*FIRST, *rest]], sorted(out), flipped, repeated)


def _unusable(ref: pd.Series, alt: pd.Series) -> np.ndarray:
    """Why alleles cannot be spelled, (n,) of str; empty where they can."""
    out = np.full(len(ref), "", object)
    out[(ref == alt).to_numpy(bool)] = SAME
    for column, reference in ((alt, False), (ref, True)):
        code, names = pd.factorize(column)
        reasons = np.array([_reason(name, reference) for name in names], object)[code] if len(names) else out
        out = np.where(reasons != "", reasons, out)
    return out


def _reason(allele: str, reference: bool) -> str:
    if allele == ".":
        return LETTERS if reference else NONE
    if allele == "-":
        return INSERTED if reference else ""
    if allele == "*":
        return STAR
    if "[" in allele or "]" in allele or allele.startswith(".") or allele.endswith("."):
        return BREAKEND
    if allele.startswith("<"):
        return SYMBOLIC
    return "" if set(allele) <= set("ACGT") else LETTERS


def _found(names: pd.Series, known: Genome | dict) -> pd.Series:
    """Names as they are known: with or without chr, M or MT; unknown ones stay as they are."""
    said = {}
    for name in names.unique():
        bare = name[3:] if name[:3].lower() == "chr" else name
        bare = {"M": "MT", "MT": "M"}.get(bare, bare), bare
        said[name] = next((one for one in (name, *(f"{chr}{one}" for one in bare[::-1] for chr in ("chr", ""))) if one in known), name)
    return names.map(said)


def _inside(table: pd.DataFrame, genome: Genome) -> np.ndarray:
    """Whether all of REF lies in what is held, bool (n,)."""
    first, last, _ = places(genome, table["contig"].to_numpy(object))
    position = table["position"].to_numpy(np.int64)
    return (position >= first) & (position + table["ref"].str.len().to_numpy(np.int64) <= last)


def _agrees(table: pd.DataFrame, genome: Genome, alleles: pd.Series) -> np.ndarray:
    """Whether alleles are what the genome holds at their position, bool (n,); not where it does not hold so much."""
    first, last, shift = places(genome, table["contig"].to_numpy(object))
    position = table["position"].to_numpy(np.int64)
    codes, bounds = spelled(alleles)
    inside = (position >= first) & (position + np.diff(bounds) <= last)
    return _equal(genome.codes.view(np.ndarray), np.where(inside, position + shift, -1), codes, bounds)


@numba.njit(cache=True, nogil=True)
def _equal(held, at, codes, bounds):
    out = np.zeros(len(at), np.bool_)
    for row in range(len(at)):
        same = at[row] >= 0 and bounds[row + 1] > bounds[row]
        for column in range(bounds[row + 1] - bounds[row]):
            same = same and held[at[row] + column] == codes[bounds[row] + column]
        out[row] = same
    return out


def _compared(lines: Lines, table: pd.DataFrame, genome: Genome, mismatch: str) -> tuple[pd.DataFrame, np.ndarray, dict[str, int]]:
    """The table with alleles flipped where that is asked for, which rows fit then, and how many were flipped how."""
    fits = _agrees(table, genome, table["ref"])
    _check_most(lines, table, genome, mismatch, fits)
    if mismatch == "fail" and not fits.all():
        wrong = table[~fits]
        named = ", ".join(f"{row.line} ({row.chrom}:{row.position + 1} {row.ref})" for row in wrong.head(NAMED).itertuples())
        raise InputError(
            f"{lines.path}: REF of {len(wrong):,} of {len(table):,} alleles is not what the assembly holds: line {named}"
            f"{' and others' if len(wrong) > NAMED else ''}; is it the dataset's assembly? mismatch: drop leaves them out"
        )
    flipped = {"swapped": 0, "complemented": 0}
    if mismatch != "flip" or fits.all():
        return table, fits, flipped
    # ASSUME: where REF is not what the assembly holds and ALT is, the alleles changed places; only where it is not are they taken to be
    # of the other strand. Of A>T and C>G both say the same variant, but not the same sign of what was measured: the first is taken.
    swapped = ~fits & _agrees(table, genome, table["alt"])
    other = {name: table[name].map({one: _other_strand(one) for one in table.loc[~fits, name].unique()}) for name in ("ref", "alt")}
    other = {name: column.where(pd.Series(~fits & ~swapped), table[name]) for name, column in other.items()}
    complemented = ~fits & ~swapped & _agrees(table, genome, other["ref"])
    ref, alt = table["ref"].to_numpy(object), table["alt"].to_numpy(object)
    table = table.assign(
        ref=np.where(swapped, alt, np.where(complemented, other["ref"], ref)),
        alt=np.where(swapped, ref, np.where(complemented, other["alt"], alt)),
    )
    if "af" in table:
        table["af"] = np.where(swapped, 1 - table["af"], table["af"])
    if "measured" in table and not labelled(table["measured"]):
        table["measured"] = np.where(swapped, -table["measured"], table["measured"])
    return table, fits | swapped | complemented, {"swapped": int(swapped.sum()), "complemented": int(complemented.sum())}


def _check_most(lines: Lines, table: pd.DataFrame, genome: Genome, mismatch: str, fits: np.ndarray) -> None:
    """End the run where most single-base alleles do not stand where they say they do: what fits then fits by chance."""
    single = ((table["ref"].str.len() == 1) & (table["alt"].str.len() == 1)).to_numpy(bool)
    some, good = table[single], fits[single]
    if len(some) < FEWEST or 2 * good.sum() >= len(some):
        return
    if mismatch == "flip":
        # By chance half of all bases are REF or ALT, and half are their complements: 0.9 is far from both.
        swapped = _agrees(some, genome, some["alt"])
        complemented = _agrees(some, genome, some["ref"].map(_other_strand))
        if max((good | swapped).mean(), (good | complemented).mean()) >= 0.9:
            return
    further = int(_agrees(some.assign(position=some["position"] + 1), genome, some["ref"]).sum())
    shifted = f" ({further:,} fit one base further on: is POS counted from 0?)" if 10 * further >= 9 * len(some) else ""
    wrong = len(some) - int(good.sum())
    raise InputError(
        f"{lines.path}: REF of {wrong:,} of {len(some):,} single-base alleles is not what the assembly holds{shifted}; "
        "give variants of the dataset's assembly, with POS from 1"
    )


def _other_strand(allele: str) -> str:
    return decode(reverse_complement(encode(allele)))


def labelled(measured: pd.Series) -> bool:
    """Whether what was measured is labels, 1 and 0, rather than effects."""
    return bool(measured.notna().any() and measured.dropna().isin([0, 1]).all())


def normalised(table: pd.DataFrame, genome: Genome) -> tuple[pd.DataFrame, np.ndarray]:
    """Alleles without equal ends, insertions and deletions as far to the left as what is held allows, with one base before.

    Args:
        table: contig, position (0-based), ref (what the genome holds there), alt (empty for a deletion without a base before).

    Returns:
        the table, and whether there is a base before, bool (n,); rows without are as they were.
    """
    # ASSUME: an insertion or deletion that lies among equal bases or words is the leftmost of those that make the same sequence; windows
    # are laid around that one.
    known = np.ones(len(table), bool)
    rows = np.flatnonzero(((table["ref"].str.len() > 1) | (table["alt"].str.len() != 1)).to_numpy(bool))
    some = table.iloc[rows]
    (ref, ref_bounds), (alt, alt_bounds) = spelled(some["ref"]), spelled(some["alt"])
    before, behind = common_ends(ref, ref_bounds, alt, alt_bounds)
    first, _, shift = places(genome, some["contig"].to_numpy(object))
    held, at = genome.codes.view(np.ndarray), some["position"].to_numpy(np.int64) + before + shift
    put = alt_bounds[:-1] + before, alt_bounds[1:] - behind
    left = _slide(held, first + shift, at, np.diff(ref_bounds) - before - behind, alt, *put)
    made = {name: table[name].to_numpy(object, copy=True) for name in ("ref", "alt")}
    position = table["position"].to_numpy(np.int64, copy=True)
    for row, one in enumerate(rows):
        gone = made["ref"][one][before[row] : len(made["ref"][one]) - behind[row]]
        added = made["alt"][one][before[row] : len(made["alt"][one]) - behind[row]]
        begin = at[row] - left[row]
        if not (gone and added):
            if begin == first[row] + shift[row] or held[begin - 1] == N:
                known[one] = False
                continue
            passed = decode(held[begin - 1 : at[row]])
            gone = (passed + gone)[: 1 + len(gone)]
            added = (passed + added)[: 1 + len(added)]
            begin -= 1
        made["ref"][one], made["alt"][one], position[one] = gone, added, begin - shift[row]
    return table.assign(position=position, **made), known


@numba.njit(cache=True, nogil=True)
def _slide(held, lowest, at, removed, added, begin, end):
    """How many bases an insertion or a deletion can move to the left without another result; 0 for what is neither, int64 (n,)."""
    out = np.zeros(len(at), np.int64)
    for row in range(len(at)):
        size = end[row] - begin[row]
        if removed[row] and size:
            continue
        moved = 0
        while at[row] - moved > lowest[row]:
            before = held[at[row] - moved - 1]
            if removed[row]:
                last = held[at[row] - moved - 1 + removed[row]]
            elif moved < size:
                last = added[end[row] - 1 - moved]
            else:
                last = held[at[row] - moved - 1 + size]
            if before != last or before >= N:
                break
            moved += 1
        out[row] = moved
    return out


def _also_positive(table: pd.DataFrame) -> np.ndarray:
    """Negatives of a set of labels whose alleles are also a positive's, bool (n,)."""
    if "measured" not in table or not labelled(table["measured"]):
        return np.zeros(len(table), bool)
    positive, negative = (table["measured"].eq(label).to_numpy(bool) for label in (1, 0))
    alleles = pd.MultiIndex.from_frame(table[KEY])
    return negative & alleles.isin(alleles[positive])


def kinds(ref: pd.Series, alt: pd.Series) -> np.ndarray:
    """snv, insertion, deletion, mnv or complex, (n,) of str, of normalised alleles."""
    before, after = (one.str.len().to_numpy(np.int64) for one in (ref, alt))
    anchored = ref.str[:1].to_numpy(object) == alt.str[:1].to_numpy(object)
    cases = [(before == 1) & (after == 1), before == after, anchored & (before == 1), anchored & (after == 1)]
    return np.select(cases, ["snv", "mnv", "insertion", "deletion"], "complex").astype(object)
