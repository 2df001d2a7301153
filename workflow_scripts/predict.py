"""Probabilities of validation and test windows by one trained model, both strands averaged."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.certificate import certified
from regdna.controls import shown
from regdna.models.classifier import Classifier
from regdna.predict import Strands, predict
from regdna.step import run
from regdna.store import atomic, write_json
from regdna.windows import Places, Sequences


def main(
    windows: Path,
    splits: Path,
    checkpoint: Path,
    validation: Path,
    test: Path,
    about: Path,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
) -> None:
    """Write float32 (n, T) for the windows of each part, in the windows' order, and what they belong to.

    A control is shown what it was trained on. ``about`` says, by target, how well the strands of test windows agree.

    Raises:
        InputError: the checkpoint was trained on another split of the windows.
    """
    frame = pd.read_parquet(windows, columns=["chrom", "start", "end", "split"])
    classifier = Classifier(checkpoint)
    certified(splits, windows, frame, [(checkpoint, classifier.about["split_digest"])], "train on this split first")
    said = {"control": "", "centre": 0, **classifier.about}
    codes = shown(Sequences(frame, sequences, genome, said["length"]), said["control"], said["centre"], said["seed"])
    position, strands = Places.of(frame), Strands(len(said["targets"]))
    for part, path in {"validation": validation, "test": test}.items():
        rows = np.flatnonzero(frame["split"].to_numpy() == part)
        with atomic(path) as temporary:
            np.save(temporary, predict(classifier, codes, rows, position[rows], strands if part == "test" else None))
    kept = ("architecture", "regime", "initialisation", "control", "seed", "targets", "labels", "length", "split_digest")
    write_json(about, {name: said[name] for name in kept} | {"strands": strands.summary()})


if __name__ == "__main__":
    run(main)
