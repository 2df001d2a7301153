"""Splits: which windows train, choose and test, and a certificate that says what the parts share."""

import hashlib
import re

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from regdna.step import InputError, log

PARTS = ("train", "validation", "test")
SIMILAR = 0.30  # share of a window's informative 21-mers found in training from which it counts as homologous
EXAMPLES = 5
REGION = re.compile(r"^(?P<chrom>[^\s:]+):(?P<first>[\d,]+)-(?P<last>[\d,]+)$")
BATCH = 1 << 20


def by_regions(windows: pd.DataFrame, test: list[str], validation: list[str], unused: list[str] = ()) -> np.ndarray:
    """Split by chromosomes and regions, object (n,) of part names; what is not listed trains.

    A window belongs where its central base lies, (start + end) // 2 with start and end 0-based and half-open, which of a window
    centred on a bin is the bin's central base.

    Args:
        windows: chrom, start, end.
        test, validation: chromosomes ('chr8') or regions as UCSC writes them, 1-based and inclusive, with or without commas
            ('chr7:30,508,751-35,296,850').
        unused: the same, for windows of no part.

    Raises:
        InputError: a region that cannot be read, is reversed or lies on a chromosome without windows; regions of two parts that overlap.
    """
    chrom, names = pd.factorize(windows["chrom"])
    listed = [
        (part, *_place(text, part, names))
        for part, texts in zip(("test", "validation", "unused"), (test, validation, unused), strict=True)
        for text in texts
    ]
    for i, (part, text, name, first, last) in enumerate(listed):
        for other, other_text, other_name, other_first, other_last in listed[:i]:
            if part != other and name == other_name and first < other_last and other_first < last:
                raise InputError(f"split.{part}: {text} overlaps {other_text} of {other}; keep each place in one part")
    middle = ((windows["start"] + windows["end"]) // 2).to_numpy()
    out = np.full(len(windows), "train", object)
    for part, _, name, first, last in listed:
        out[(chrom == names.get_indexer([name])[0]) & (middle >= first) & (middle < last)] = part
    return out


def _place(text: str, part: str, names: pd.Index) -> tuple[str, str, float, float]:
    """A chromosome or region as text, chromosome, first and past-the-last base (0-based)."""
    if text in names or ":" not in text:
        return text, text, -np.inf, np.inf
    match = REGION.match(text)
    if match is None:
        raise InputError(f"split.{part}: {text!r} is no region; write it as chr7:30,508,751-35,296,850")
    first, last = int(match["first"].replace(",", "")), int(match["last"].replace(",", ""))
    if not 1 <= first <= last:
        raise InputError(f"split.{part}: {text} does not run from a first base, from 1, to a last; turn it round")
    if match["chrom"] not in names:
        raise InputError(f"split.{part}: {text}: no window lies on {match['chrom']}; name a chromosome of the dataset")
    return text, match["chrom"], first - 1, last


def by_blocks(windows: pd.DataFrame, block: int, test: int, validation: int, seed: int) -> np.ndarray:
    """Split by stretches of ``block`` bp, drawn at random, object (n,) of part names; a window belongs where its centre lies.

    Args:
        windows: chrom, start, end (0-based, half-open).
        block: length of a stretch in bp.
        test, validation: how many of the occupied stretches go to each.
        seed: of the draw.

    Raises:
        InputError: fewer stretches than asked for, or none left to train.
    """
    chrom, _ = pd.factorize(windows["chrom"])
    middle = ((windows["start"] + windows["end"]) // 2).to_numpy()
    number = middle // block
    name, blocks = pd.factorize(chrom * (np.ptp(number) + 1) + number)
    if len(blocks) <= test + validation:
        raise InputError(
            f"split: {len(blocks)} blocks of {block:,} bp hold windows, {test} + {validation} are set aside; none is left to train"
        )
    drawn = np.random.default_rng(seed).permutation(len(blocks))
    part = np.full(len(blocks), "train", object)
    part[drawn[:test]], part[drawn[test : test + validation]] = "test", "validation"
    return part[name]


def by_clusters(cluster: np.ndarray, test: float, validation: float, seed: int) -> np.ndarray:
    """Split by whole clusters, drawn at random, object (n,) of part names.

    A part takes clusters until it holds its share of the windows, so it has at most one cluster too many; a cluster
    larger than that share is passed over and trains.

    Args:
        cluster: cluster of every window, int64 (n,), from 0.
        test, validation: share of the windows in each part, 0 to 1.
        seed: of the draw.

    Raises:
        InputError: the shares leave nothing to train, or no cluster is small enough for a part.
    """
    if min(test, validation) <= 0 or test + validation >= 1:
        raise InputError(f"split: shares of {test} for test and {validation} for validation; both above 0, and less than 1 together")
    size = np.bincount(cluster)
    part = np.full(len(size), "train", object)
    drawn = np.random.default_rng(seed).permutation(len(size))
    for name, share in (("test", test), ("validation", validation)):
        wanted = share * len(cluster)
        fits = drawn[(part[drawn] == "train") & (size[drawn] <= wanted)]
        part[fits[np.cumsum(size[fits]) - size[fits] < wanted]] = name
        got = int(size[part == name].sum())
        if not got:
            raise InputError(
                f"split.{name}: every homology cluster holds more than {share:.0%} of the windows; raise the threshold or the share"
            )
        if got < wanted:
            log.warning(
                "split: %s got %.1f %% of the windows, not %.1f %%: the other clusters are too large",
                name,
                100 * got / len(cluster),
                100 * share,
            )
    return part[cluster]


def join_identical(cluster: np.ndarray, prints: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Clusters joined where they hold the same sequence on either strand: those shorter than a word have nothing else to show it.

    Args:
        cluster: of every window, int64 (n,), from 0.
        prints: fingerprint of every window's sequence, and of its reverse complement, uint64 (n,) each; 0 is like no other.

    Returns:
        int64 (n,), from 0 by first appearance.
    """
    rows = np.flatnonzero(prints[0])
    _, sequence = np.unique(np.minimum(prints[0][rows], prints[1][rows]), return_inverse=True)
    groups = int(cluster.max()) + 1
    size = groups + int(sequence.max(initial=-1)) + 1
    edges = coo_array((np.ones(len(rows), bool), (cluster[rows], groups + sequence)), shape=(size, size))
    return pd.factorize(connected_components(edges, directed=False)[1][cluster])[0].astype(np.int64)


def as_given(candidates: pd.DataFrame) -> np.ndarray:
    """The parts that come with the data (column ``part``), object (n,).

    Raises:
        InputError: there is no such column, or a row names no part.
    """
    if "part" not in candidates:
        raise InputError("split.rule: given, but the data say no part; name its column in sequences.columns.part, or choose another rule")
    part = candidates["part"].to_numpy(object)
    wrong = np.flatnonzero(~np.isin(part.astype(str), (*PARTS, "unused")))
    if len(wrong):
        raise InputError(f"{place_of(candidates, wrong[0])}: part {part[wrong[0]]!r}; one of {', '.join(PARTS)} or unused is needed")
    return part


def open_gap(windows: pd.DataFrame, split: np.ndarray, gap: int) -> np.ndarray:
    """Set windows aside (part ``gap``) that lie closer than ``gap`` bp to a window of another part.

    Test windows are kept before validation windows, and those before training windows.
    """
    out = split.copy()
    start, end, _ = line_up(windows, gap)
    for at, part in enumerate(("validation", "train")):
        kept = np.flatnonzero(np.isin(out, ("test", "validation")[: at + 1]))
        mine = np.flatnonzero(out == part)
        _, reach, _ = _before(start, end, mine, kept, gap)
        out[mine[reach + gap > start[mine]]] = "gap"
    return out


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


def _before(
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
        some, reach, one = _before(start, end, mine, others)
        distance = start[mine] - reach
        overlaps += int((some & (distance < 0)).sum())
        distance = distance[some & (distance >= 0) & (chrom[one] == chrom[mine])]
        if len(distance):
            smallest = int(min(distance.min(), smallest if smallest is not None else distance.min()))
    return smallest, overlaps


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


def place_of(windows: pd.DataFrame, row: int) -> str:
    """A window in words: file and row where it came from one, else chrom:start-end, 1-based and inclusive as UCSC writes it."""
    one = windows.iloc[row]
    if "file" in windows and "row" in windows:
        return f"{one['file']}:{one['row']}"
    return f"{one['chrom']}:{one['start'] + 1}-{one['end']}"


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


def certificate(
    windows: pd.DataFrame, rule: dict, shares: dict[str, np.ndarray], prints: tuple[np.ndarray, np.ndarray], about: dict
) -> dict:
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
