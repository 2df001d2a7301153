"""What one model's predictions on one dataset are worth when it sees no more than the middle of each test window."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.assess import Part, describe
from regdna.bootstrap import draw_counts
from regdna.certificate import certified
from regdna.contexts import Narrowed, skill, table
from regdna.models.classifier import Classifier
from regdna.predict import predict
from regdna.step import InputError, log, run
from regdna.store import atomic
from regdna.targets import Targets
from regdna.windows import Places, Sequences


def main(
    windows: Path,
    splits: Path,
    targets: Path,
    names: Path,
    known: Path,
    checkpoints: list[Path],
    predictions: list[Path],
    table_of_contexts: Path,
    contexts: list[int],
    model: str,
    replicate_count: int = 1000,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
    threads: int = 1,
) -> None:
    """Write a row a context, metric and target to ``table_of_contexts``; the last context is the whole window.

    Args:
        windows, splits, targets, names, known: of the dataset.
        checkpoints, predictions: of every seed, in the same order; predictions of the test windows as they are.
        contexts: bases in the middle that are left as they are; those that are no fewer than the model sees are left out.
        model: id of the model, for the table.
        replicate_count: bootstrap replicates.

    Raises:
        InputError: a checkpoint belongs to another split, or predictions have other rows than the windows.
    """
    frame = pd.read_parquet(windows)
    classifiers = [Classifier(path) for path in checkpoints]
    belong = zip(checkpoints, (one.about["split_digest"] for one in classifiers), strict=True)
    digest = certified(splits, windows, frame, belong, "train on this split first")
    length = classifiers[0].about["length"]
    codes, places = Sequences(frame, sequences, genome, length), Places.of(frame)
    rows = np.flatnonzero(frame["split"].to_numpy() == "test")
    held = Targets(targets, names, known)
    scores = [read_array(path, "r") for path in predictions]
    for path, one in zip(predictions, scores, strict=True):
        if one.shape != (len(rows), len(held.table)):
            raise InputError(f"{path}: shape {one.shape}, but the windows need {(len(rows), len(held.table))}; predict again")
    labels, mask = held[rows], held.known(rows)

    def part(scores: list[np.ndarray]) -> Part:
        return Part(frame.iloc[rows], labels, mask, scores)

    facts = describe(part(scores), held)
    counts = draw_counts(frame["block"].iloc[rows].nunique(), replicate_count, digest)
    whole = skill(part(scores), facts, counts, threads)
    tables = []
    for context in sorted(one for one in set(contexts) if one < length):
        log.info("%d of %d bp", context, length)
        some = [predict(one, Narrowed(codes, context, one.about["seed"]), rows, places[rows]) for one in classifiers]
        tables.append(table(model, context, skill(part(some), facts, counts, threads), whole, facts, digest))
    out = pd.concat([*tables, table(model, length, whole, whole, facts, digest)], ignore_index=True)
    about = classifiers[0].about
    out.attrs = {"split_digest": digest, "replicates": replicate_count, "length": length, "initialisation": about["initialisation"],
                 "architecture": about["architecture"], "seeds": [one.about["seed"] for one in classifiers]}  # fmt: skip
    with atomic(table_of_contexts) as temporary:
        out.to_parquet(temporary, index=False)


if __name__ == "__main__":
    run(main)
