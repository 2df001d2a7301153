"""The certificate of a split: what its parts share, and the digest that everything made of them carries."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.step import InputError, log

PARTS = ("train", "validation", "test")
SIMILAR = 0.30  # share of a window's informative 21-mers found in training from which it counts as homologous
EXAMPLES = 5
BATCH = 1 << 20


def read(splits: Path) -> dict:
    """Content of ``splits.json``.

    Raises:
        InputError: it is no certificate.
    """
    try:
        content = json.loads(splits.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{splits}: cannot be read ({error}); delete it, and the split is made again") from None
    if not isinstance(content, dict) or not isinstance(content.get("digest"), str):
        raise InputError(f"{splits}: holds no digest of a split; delete it, and the split is made again")
    return content


def certified(splits: Path, windows: Path, frame: pd.DataFrame, others: Iterable[tuple[Path, str]] = (), again: str = "") -> str:
    """The digest of a certificate, once it is sure that windows and what was made of them carry the same.

    Args:
        splits: splits.json.
        windows, frame: windows.parquet and its chrom, start, end and split.
        others: what was made of them, and the digest that each carries.
        again: what to do with one that carries another, for the message.

    Raises:
        InputError: the certificate cannot be read, or one of them belongs to another split.
    """
    wanted, mine = read(splits)["digest"], digest(frame)
    if mine != wanted:
        raise InputError(f"{windows}: belongs to split {mine}, {splits} certifies {wanted}; delete both, and the split is made again")
    for path, other in others:
        if other != wanted:
            raise InputError(f"{path}: belongs to split {other}, {splits} certifies {wanted}; {again}")
    return wanted


def digest(windows: pd.DataFrame) -> str:
    """sha256 (16 hex digits) of every window's place and part; results that carry different ones are not comparable."""
    sha = hashlib.sha256(str(len(windows)).encode())
    for name in ("chrom", "split"):
        code, texts = pd.factorize(windows[name])
        sha.update(code.astype("<i4").data)
        for first in range(0, len(texts), BATCH):
            sha.update("\n".join([*map(str, texts[first : first + BATCH]), ""]).encode())
    for name in ("start", "end"):
        sha.update(np.ascontiguousarray(windows[name], "<i8").data)
    return sha.hexdigest()[:16]


def certify(windows: pd.DataFrame, rule: dict, shares: dict[str, np.ndarray], prints: tuple[np.ndarray, np.ndarray], about: dict) -> dict:
    """What the parts share, with a verdict and a digest.

    Args:
        windows: chrom, start, end, split, in order; file and row where they have them.
        rule: how the split was made, as the study says it.
        shares: for validation and test, the share of each of its windows' informative words that occur in training; NaN
            for a window without words.
        prints: fingerprint of every window's sequence, and of its reverse complement, uint64 (n,) each.
        about: what else it shall say: informative_words, clusters, sequence_digest.

    Returns:
        ``about``; rule; counts; overlapping windows of different parts; for validation and test, windows with a sequence
        of training (either strand) and examples of them, windows that share at least 30 % of their informative 21-mers
        with training, the curve over that share, and windows without any; test windows with a sequence of validation; a
        verdict: ``leak`` (windows of different parts overlap or are closer than the gap), ``known``
        (the same, in a published split that says so), ``similar`` (identical or homologous sequence, or any of that in parts
        that came with the data; reported but not failed) or ``clean``.
    """
    parts, places = {}, pd.Index(PARTS).get_indexer(windows["split"])
    train = np.flatnonzero(places == 0)
    train = train[np.argsort(prints[0][train], kind="stable")]
    known = prints[0][train]
    for number, part in enumerate(PARTS[1:], start=1):
        rows = np.flatnonzero(places == number)
        (identical, examples), (reverse, reverse_examples) = (_alike(windows, rows, one[rows], train, known) for one in prints)
        if identical or reverse:
            such = "; ".join(" = ".join(pair) for pair in examples + reverse_examples)
            log.warning("split: %d windows of %s are training sequences, %d their reverse complements: %s", identical, part, reverse, such)
        share = shares[part]  # NaN, of a window without words, reaches no threshold
        parts[part] = {
            "identical": identical,
            "reverse_complement": reverse,
            "similar": int((share >= SIMILAR).sum()),
            "similar_by_share": {f"{tenth / 10}": int((share >= tenth / 10).sum()) for tenth in range(1, 11)},
            "without_words": int(np.isnan(share).sum()),
            "examples": {"identical": examples, "reverse_complement": reverse_examples},
        }
    test, validation = (np.flatnonzero(places == PARTS.index(part)) for part in ("test", "validation"))
    validation = validation[np.argsort(prints[0][validation], kind="stable")]
    chosen_by = [_alike(windows, test, one[test], validation, prints[0][validation]) for one in prints]
    between = {"identical": chosen_by[0][0], "reverse_complement": chosen_by[1][0], "examples": chosen_by[0][1] + chosen_by[1][1]}
    if between["examples"]:
        such = "; ".join(" = ".join(pair) for pair in between["examples"])
        log.warning(
            "split: %d windows of test are validation sequences, %d their reverse complements: %s", *list(between.values())[:2], such
        )
    apart, overlaps = _separation(windows, places)
    apart = 0 if overlaps else apart
    touching = overlaps > 0 or (apart is not None and apart < int(rule.get("gap", 0)))
    shared = touching or any(one.get(key) for one in (*parts.values(), between) for key in ("identical", "reverse_complement", "similar"))
    verdict = "similar" if shared else "clean"
    if touching and rule["rule"] != "given":
        verdict = "known" if rule.get("known") else "leak"
    return {
        **about,
        "rule": rule,
        "counts": {name: int(count) for name, count in sorted(windows["split"].value_counts().items())},
        "smallest_distance_bp": apart,
        "overlapping_windows": overlaps,
        "shared_with_training": parts,
        "shared_by_validation_and_test": between,
        "similar_means": f"at least {SIMILAR:.0%} of a window's informative 21-mers, on either strand, occur in training windows",
        "verdict": verdict,
        "known": rule.get("known") if verdict == "known" else None,
        "digest": digest(windows),
    }


def place_of(windows: pd.DataFrame, row: int) -> str:
    """A window in words: file and row where it came from one, else chrom:start-end, 1-based and inclusive as UCSC writes it."""
    one = windows.iloc[row]
    if "file" in windows and "row" in windows:
        return f"{one['file']}:{one['row']}"
    return f"{one['chrom']}:{one['start'] + 1}-{one['end']}"


def line_up(windows: pd.DataFrame, apart: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start and end of every window on one axis, and the number of its chromosome, int64 (n,) each.

    Args:
        windows: chrom, start, end (0-based, half-open).
        apart: bp from the last window of a chromosome to the first of the next.
    """
    chrom, names = pd.factorize(windows["chrom"])
    start, end = windows["start"].to_numpy(np.int64), windows["end"].to_numpy(np.int64)
    low, high = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), np.iinfo(np.int64).min)
    np.minimum.at(low, chrom, start)
    np.maximum.at(high, chrom, end)
    shift = (np.r_[0, np.cumsum(high - low + apart)[:-1]] - low)[chrom]
    return start + shift, end + shift, chrom


def before(
    start: np.ndarray, end: np.ndarray, mine: np.ndarray, others: np.ndarray, gap: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of ``others`` that begin less than ``gap`` bp after the end of each of ``mine``: are there any, their farthest end, and the last."""
    order = others[np.argsort(start[others], kind="stable")]
    if not len(order):
        return np.zeros(len(mine), bool), np.full(len(mine), np.iinfo(np.int64).min // 2), np.zeros(len(mine), np.int64)
    reach = np.maximum.accumulate(end[order])
    last = np.searchsorted(start[order], end[mine] + gap, side="left") - 1
    some = last >= 0
    last = np.maximum(last, 0)
    return some, np.where(some, reach[last], np.iinfo(np.int64).min // 2), order[last]


def _separation(windows: pd.DataFrame, part: np.ndarray) -> tuple[int | None, int]:
    """Smallest distance in bp between windows of different parts (None: never on one chromosome); windows that overlap one."""
    start, end, chrom = line_up(windows)
    smallest, overlaps = None, 0
    for number in range(len(PARTS)):
        mine, others = np.flatnonzero(part == number), np.flatnonzero((part >= 0) & (part != number))
        some, reach, one = before(start, end, mine, others)
        distance = start[mine] - reach
        overlaps += int((some & (distance < 0)).sum())
        distance = distance[some & (distance >= 0) & (chrom[one] == chrom[mine])]
        if len(distance):
            smallest = int(min(distance.min(), smallest if smallest is not None else distance.min()))
    return smallest, overlaps


def _alike(windows: pd.DataFrame, rows: np.ndarray, wanted: np.ndarray, train: np.ndarray, own: np.ndarray) -> tuple[int, list[list[str]]]:
    """How many windows have the sequence of a training window, and up to five examples: the window and that one.

    Args:
        rows: the windows, int64 (m,).
        wanted: the fingerprint that each looks for, uint64 (m,); 0 is like no other.
        train: training windows by fingerprint, int64 (t,).
        own: their fingerprints, uint64 (t,).
    """
    at = np.minimum(np.searchsorted(own, wanted), len(own) - 1)
    same = (own[at] == wanted) & (wanted != 0)
    pairs = zip(rows[same][:EXAMPLES], train[at[same]][:EXAMPLES], strict=True)
    return int(same.sum()), [[place_of(windows, mine), place_of(windows, theirs)] for mine, theirs in pairs]
