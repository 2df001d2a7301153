"""How well what a model learnt of some cell types holds in others, beside what measured labels alone would say of them."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.bootstrap import draw_counts
from regdna.cell_types import EXCLUSIVE, check_groups, groups
from regdna.certificate import certified
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.targets import Targets
from regdna.transfer import average, gather, judge, table, unfit

log = logging.getLogger("regdna")


def main(
    windows: Path,
    splits: Path,
    targets: Path,
    names: Path,
    predictions: list[Path],
    about: list[Path],
    transfer: Path,
    model: str,
    labels: str = "multilabel",
    held_out: list[str] | None = None,
    replicate_count: int = 1000,
    known: Path | None = None,
    threads: int = 1,
) -> None:
    """Write a row a kind of prediction, pair of cell types and metric to ``transfer``.

    Args:
        windows: windows.parquet of the dataset.
        splits: its certificate, splits.json.
        targets: its labels, targets.npy.
        names: its table of targets, targets.tsv.
        predictions, about: of the test windows and of every seed, in the same order.
        transfer: what is written.
        model: id of the model.
        labels: ``exclusive`` or ``multilabel``.
        held_out: cell types that the dataset holds out; judged alone where the model is the control that was not trained on them.
        replicate_count: bootstrap replicates.
        known: which of its labels are known, targets.known.npy; None: all.

    Raises:
        InputError: labels that exclude each other, no cell types that share a target, or predictions of another split or shape.
    """
    if labels == "exclusive":
        raise InputError(f"{names}: labels are exclusive: {EXCLUSIVE}")
    frame = pd.read_parquet(windows)
    runs = [json.loads(path.read_text()) for path in about]
    belong = ((path, one["split_digest"]) for path, one in zip(about, runs, strict=True))
    digest = certified(splits, windows, frame, belong, "predict on this split first")
    held = Targets(targets, names, known)
    found = groups(held.table[["cell_type", "assay", "target"]].itertuples(index=False, name=None))
    check_groups(found, held_out or [], f"{names}: transfer")
    part = frame[frame["split"] == "test"]
    scores = [read_array(path, "r") for path in predictions]
    for path, one in zip(predictions, scores, strict=True):
        if one.shape != (len(part), len(held.table)):
            raise InputError(f"{path}: shape {one.shape}, but the windows need {(len(part), len(held.table))}; predict again")
    unseen = set(held_out or []) if runs[0]["control"] == "held-out-cells" else set()
    block, blocks = pd.factorize(part["block"])
    # Drawn as for metrics: models are compared on the same resamples.
    counts = draw_counts(len(blocks), replicate_count, digest)
    judged, used, facts, left_out = [], [], [], {}
    for group in found:
        cells = gather(held, frame, block, scores, group)
        if why := unfit(cells, unseen):
            left_out[group.label] = why
            log.warning("transfer: %s is left out: %s", group.label, why)
            continue
        judged += judge(cells, unseen, counts, threads)
        used.append(group)
        facts.append({"assay": group.assay, "target": group.target, "label": group.label, "cells": cells.names,
                      "windows": len(cells.labels), "varying": len(cells.varying)})  # fmt: skip
    if not judged:
        raise InputError(f"{names}: transfer: {'; '.join(f'{label}: {why}' for label, why in left_out.items())}; take 'transfer' out")
    means = [one for group in (*used, None) for one in average(judged, group)]
    result = table([*judged, *means], f"{digest} {model}")
    result.attrs = {"model": model, "control": runs[0]["control"], "split_digest": digest, "replicates": replicate_count,
                    "held_out": sorted(unseen), "groups": facts, "left_out": left_out,
                    "windows": int(np.sum([one["windows"] for one in facts])),
                    "varying": int(np.sum([one["varying"] for one in facts]))}  # fmt: skip
    with atomic(transfer) as temporary:
        result.to_parquet(temporary, index=False)


if __name__ == "__main__":
    run(main)
