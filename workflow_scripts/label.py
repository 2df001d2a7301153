"""Label every window - by the labels that came with its sequence, or by what its bin lies in - and keep those that are wanted."""

import json
import logging
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from regdna import negatives as matching
from regdna.arrays import read_array
from regdna.genome import read_lengths
from regdna.sources.annotation import check_assembly, read_intervals
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.targets import Bins, all_known, around, count, count_known, join_columns, label, number_of_targets

log = logging.getLogger("regdna")


def main(
    candidates: Path,
    targets: Path,
    table: Path,
    labelled: Path,
    known: Path,
    kind: str = "multilabel",
    windows: dict | None = None,
    definitions: dict | None = None,
    negatives: dict | None = None,
    labels: Path | None = None,
    names: Path | None = None,
    labels_known: Path | None = None,
    intervals: list[Path] | None = None,
    signals: Path | None = None,
    assemblies: Path | None = None,
    assembly: str = "",
    threads: int = 1,
) -> None:
    """Write labels, bits packed along targets, to ``targets``, what they mean to ``table`` and the windows to ``labelled``.

    Args:
        known: which labels are known, packed as they are; no row where all are, as those of a genome's windows.
        kind: ``exclusive`` if every window has one target and no more, else ``multilabel``.
        windows: for a genome: bin and context.
        definitions: for a genome: each target's intervals and rule, or signal and threshold.
        negatives: for a genome: which windows without a target are kept; None keeps all.
        labels: for sequences: the labels that they came with; either these or ``definitions``.
        names: for sequences: what the labels mean.
        labels_known: for sequences: which of the labels are known.
        intervals: the files of the targets with intervals, in the order of ``definitions``.
        signals: .npy with the mean signal of each bin, one column a target with a signal.
        assemblies: table of assembly, chrom, length, to check that the intervals are of ``assembly``.

    Raises:
        InputError: a target has no positive window, or nothing but; targets that should exclude each other do not; or
            negatives cannot be matched.
    """
    frame = pd.read_parquet(candidates)
    if definitions:
        flank = (windows["context"] - windows["bin"]) // 2
        bins = Bins(frame["chrom"], frame["start"].to_numpy() + flank, windows["bin"])
        lengths = read_lengths(assemblies, assembly)
        packed = by_definition(bins, definitions, intervals or [], signals, lengths, assembly, threads)
        rows = pd.DataFrame([explain(name, one) for name, one in definitions.items()])
    else:
        packed, rows = read_array(labels), pd.read_csv(names, sep="\t", index_col="index", dtype=str, keep_default_na=False)
    mask = read_array(labels_known) if labels_known else all_known(len(rows))
    if negatives is not None:
        keep, frame.attrs["negatives"] = choose(frame, packed.any(1), negatives)
        frame, packed = frame[keep].reset_index(drop=True), packed[keep]
    rows["known"] = count_known(mask, len(rows), len(packed))
    rows["positives"] = check(packed, rows, kind, strict=definitions is not None)
    for path, bits in ((targets, packed), (known, mask)):
        with atomic(path) as temporary:
            np.save(temporary, bits)
    with atomic(table) as temporary:
        rows.rename_axis("index").to_csv(temporary, sep="\t")
    with atomic(labelled) as temporary:
        frame.to_parquet(temporary, index=False)


def by_definition(
    bins: Bins, definitions: dict, files: list[Path], signals: Path | None, lengths: dict[str, int], assembly: str, threads: int
) -> np.ndarray:
    """Labels of bins, packed, in the order of ``definitions``."""
    named = {name: one for name, one in definitions.items() if "intervals" in one}
    tables = [partial(read, path, one, lengths, assembly) for path, one in zip(files, named.values(), strict=True)]
    packed = label(bins, tables, [one["rule"] for one in named.values()], threads)
    measured = [one["threshold"] for one in definitions.values() if "signal" in one]
    if not measured:
        return packed
    high = read_array(signals) >= np.array(measured, np.float32)
    order = np.argsort(
        [*np.flatnonzero([name in named for name in definitions]), *np.flatnonzero([name not in named for name in definitions])]
    )
    return join_columns(packed, len(named), high, order)


def read(path: Path, target: dict, lengths: dict[str, int], assembly: str) -> pd.DataFrame:
    """The intervals of one target: those of the values it asks for, or around each site."""
    found = read_intervals(path, target.get("column", 0), target.get("values"), target["rule"] == "summit_in_bin")
    check_assembly(found, lengths, path, assembly)
    return around(found, target["upstream"], target["downstream"]) if "upstream" in target else found


def explain(name: str, target: dict) -> dict:
    """A target's row in the table of targets."""
    return {
        "cell_type": target["cell_type"],
        "assay": target["assay"],
        "target": name,
        "source": target.get("intervals") or target["signal"],
    }


def choose(frame: pd.DataFrame, positive: np.ndarray, wanted: dict) -> tuple[np.ndarray, dict]:
    """Which windows are kept - positive ones and matched negatives, bool (n,) - and how well they match."""
    if not wanted["per_positive"]:
        return positive, {}
    chosen = matching.choose(frame, positive, wanted["match"], wanted["per_positive"], wanted["seed"])
    balance = matching.balance(frame, positive, chosen, wanted["match"])
    log.info("negatives: %d for %d positive windows; %s", chosen.sum(), positive.sum(), json.dumps(balance))
    matching.gate(balance)
    return positive | chosen, balance


def check(packed: np.ndarray, rows: pd.DataFrame, kind: str, strict: bool) -> list[int]:
    """Positive windows of each target, after a look at whether the labels can be learnt from.

    A target of one class is refused where the study defines it (``strict``), and said where the data bring it with others.
    """
    per_window = number_of_targets(packed)
    if kind == "exclusive" and (per_window != 1).any():
        raise InputError(
            f"labels: {(per_window == 0).sum()} windows have no target and {(per_window > 1).sum()} have several, "
            "so they exclude nothing; say labels: multilabel"
        )
    positives = count(packed, len(rows))
    one_class = [one for one in zip(rows["target"], positives, rows["known"], strict=True) if one[1] in (0, one[2])]
    if one_class and (strict or len(one_class) == len(rows)):
        raise InputError("target {}: {} of {} windows are positive; choose another rule or target".format(*one_class[0]))
    for one in one_class:
        log.warning("target %s: %d of %d windows are positive; its metrics will be undefined", *one)
    return positives.tolist()


if __name__ == "__main__":
    run(main)
