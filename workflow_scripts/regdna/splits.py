"""Splits: which windows train, choose and test, and a certificate that says what the parts share."""

import hashlib

import numpy as np
import pandas as pd

from regdna.alphabet import N, reverse_complement
from regdna.step import InputError

PARTS = ("train", "validation", "test")
K = 21
SIMILAR = 0.30  # share of a window's 21-mers found in training from which it counts as homologous


def by_chromosomes(windows: pd.DataFrame, test: list[str], validation: list[str]) -> np.ndarray:
    """Split by whole chromosomes, object (n,) of part names; chromosomes not listed train."""
    chrom = windows["chrom"].to_numpy()
    return np.select([np.isin(chrom, test), np.isin(chrom, validation)], ["test", "validation"], "train").astype(object)


def by_blocks(windows: pd.DataFrame, block: int, test: int, validation: int, seed: int) -> np.ndarray:
    """Split by stretches of ``block`` bp, drawn at random; a window belongs where its centre lies.

    Args:
        windows: chrom, start, end (0-based, half-open).
        block: length of a stretch in bp.
        test, validation: how many of the occupied stretches go to each.
        seed: of the draw.

    Raises:
        InputError: fewer stretches than asked for, or none left to train.
    """
    middle = (windows["start"] + windows["end"]) // 2
    name = (windows["chrom"] + ":" + (middle // block).astype(str)).to_numpy()
    blocks = pd.unique(name)
    if len(blocks) <= test + validation:
        raise InputError(
            f"split: {len(blocks)} blocks of {block:,} bp hold windows, {test} + {validation} are set aside; none is left to train"
        )
    drawn = np.random.default_rng(seed).permutation(len(blocks))
    part = dict.fromkeys(blocks, "train")
    part.update({blocks[i]: "test" for i in drawn[:test]})
    part.update({blocks[i]: "validation" for i in drawn[test : test + validation]})
    return np.array([part[one] for one in name], object)


def open_gap(windows: pd.DataFrame, split: np.ndarray, gap: int) -> np.ndarray:
    """Set windows aside (part ``gap``) that lie closer than ``gap`` bp to a window of another part.

    Test windows are kept before validation windows, and those before training windows.
    """
    out = split.copy()
    start, end = windows["start"].to_numpy(), windows["end"].to_numpy()
    for rows in windows.groupby("chrom", observed=True).indices.values():
        for at, part in enumerate(("validation", "train")):
            kept = rows[np.isin(out[rows], ("test", "validation")[: at + 1])]
            mine = rows[out[rows] == part]
            out[mine[_near(start, end, mine, kept, gap)]] = "gap"
    return out


def _near(start: np.ndarray, end: np.ndarray, mine: np.ndarray, others: np.ndarray, gap: int) -> np.ndarray:
    """Whether each of ``mine`` overlaps or lies within ``gap`` bp of one of ``others`` (all on one chromosome)."""
    if not len(others) or not len(mine):
        return np.zeros(len(mine), bool)
    order = others[np.argsort(start[others], kind="stable")]
    reach = np.maximum.accumulate(end[order])
    before = np.searchsorted(start[order], end[mine] + gap, side="left")
    return (before > 0) & (reach[np.maximum(before - 1, 0)] + gap > start[mine])


def digest(windows: pd.DataFrame) -> str:
    """sha256 (16 hex digits) of every window's place and part; results that carry different ones are not comparable."""
    columns = [windows[name].astype(str) for name in ("chrom", "start", "end", "split")]
    text = "\n".join("\t".join(row) for row in zip(*columns, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def kmers(codes: np.ndarray, k: int = K) -> np.ndarray:
    """Canonical k-mers (the smaller of both strands) as int64 (n, L - k + 1); -1 where one holds N. k is at most 31."""

    def words(sequence: np.ndarray) -> np.ndarray:
        out = np.zeros((len(sequence), sequence.shape[1] - k + 1), np.int64)
        for i in range(k):
            out = out * 4 + np.minimum(sequence[:, i : i + out.shape[1]], 3)
        return out

    forward, backward = words(codes), words(reverse_complement(codes))[:, ::-1]
    unknown = np.lib.stride_tricks.sliding_window_view(codes == N, k, axis=1).any(-1)
    return np.where(unknown, -1, np.minimum(forward, backward))


def certificate(windows: pd.DataFrame, sequences: np.ndarray, rule: dict) -> dict:
    """What the parts share, with a verdict and a digest.

    Args:
        windows: chrom, start, end, split, in order.
        sequences: their codes, uint8 (n, L).
        rule: how the split was made, as the study says it.

    Returns:
        counts; overlapping windows of different parts; identical sequences (either strand) between training and the
        rest; windows that share at least 30 % of their 21-mers with training, and the curve over that share; a verdict:
        ``leak`` (windows of different parts overlap or are closer than the gap), ``similar`` (identical or homologous
        sequence, reported but not failed) or ``clean``.
    """
    split = windows["split"].to_numpy()
    train = np.flatnonzero(split == "train")
    known = np.unique(kmers(sequences[train]))
    known = known[known >= 0]
    forward = {row.tobytes() for row in sequences[train]}
    backward = {row.tobytes() for row in reverse_complement(sequences[train])}
    parts = {}
    for part in PARTS[1:]:
        rows = np.flatnonzero(split == part)
        words = kmers(sequences[rows])
        share = np.isin(words, known).sum(1) / np.maximum((words >= 0).sum(1), 1)
        parts[part] = {
            "identical": sum(row.tobytes() in forward for row in sequences[rows]),
            "reverse_complement": sum(row.tobytes() in backward for row in sequences[rows]),
            "similar": int((share >= SIMILAR).sum()),
            "similar_by_share": {f"{tenth / 10}": int((share >= tenth / 10).sum()) for tenth in range(1, 11)},
        }
    apart, overlaps = _separation(windows)
    gap = int(rule.get("gap", 0))
    leak = overlaps > 0 or (apart is not None and apart < gap)
    alike = any(one["identical"] or one["reverse_complement"] or one["similar"] for one in parts.values())
    return {
        "rule": rule,
        "counts": {name: int(count) for name, count in sorted(windows["split"].value_counts().items())},
        "smallest_distance_bp": apart,
        "overlapping_windows": overlaps,
        "shared_with_training": parts,
        "similar_means": f"at least {SIMILAR:.0%} of a window's {K}-mers, on either strand, occur in training windows",
        "verdict": "leak" if leak else "similar" if alike else "clean",
        "digest": digest(windows),
        "sequence_digest": hashlib.sha256(sequences.tobytes()).hexdigest()[:16],
    }


def _separation(windows: pd.DataFrame) -> tuple[int | None, int]:
    """Smallest distance in bp between windows of different parts (None: never on one chromosome); windows that overlap one."""
    used = windows[windows["split"].isin(PARTS)].sort_values(["chrom", "start"], kind="stable")
    smallest, overlaps = None, 0
    for _, rows in used.groupby("chrom", observed=True):
        for part in PARTS:
            mine, others = rows[rows["split"] == part], rows[rows["split"] != part]
            if not len(mine) or not len(others):
                continue
            reach = np.maximum.accumulate(others["end"].to_numpy())
            before = np.searchsorted(others["start"].to_numpy(), mine["end"].to_numpy(), side="left")
            overlaps += int(((before > 0) & (reach[np.maximum(before - 1, 0)] > mine["start"].to_numpy())).sum())
            previous = mine["start"].to_numpy() - reach[np.maximum(before - 1, 0)]
            distance = previous[(before > 0) & (previous >= 0)]
            if len(distance):
                smallest = int(min(distance.min(), smallest if smallest is not None else distance.min()))
    return smallest, overlaps
