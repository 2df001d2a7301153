"""One trial of a model's settings: trained with one seed on a share of the training windows, judged by validation AP, and discarded."""

import hashlib
import json
import logging
import shutil
from pathlib import Path

from regdna import tuning
from regdna.ledger import Ledger
from regdna.step import InputError, run
from regdna.store import write_json
from regdna.train import job
from regdna.train.data import Material

log = logging.getLogger("regdna")


def main(
    windows: Path,
    splits: Path,
    targets: Path,
    table: Path,
    known: Path,
    result: Path,
    entry: dict,
    drawn: dict,
    share: float,
    labels: str,
    model: str,
    trial: int,
    seed: int,
    store: Path,
    code: str = "",
    vault: Path | None = None,
    weights: list[Path] | None = None,
    embeddings: Path | None = None,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
    threads: int = 1,
    processes: int = 1,
    save_minutes: float = 10.0,
) -> None:
    """Write what the trial tried, how good it was and what it cost to ``result``; one whose loss diverged is a result too.

    Args:
        result: trial.json.
        entry: the model's entry in the study, as training takes it.
        drawn: what the trial sets otherwise: ``training``, ``parameters``.
        share: of the training windows that are used.
        labels: ``exclusive`` or ``multilabel``.
        store: folder of training states.
        code: digest of the code, from the rule.
        vault: of a model with published weights, what was verified of them.
        weights: their files, in one folder.
        embeddings: of the frozen network, for the choice of a pooling.
        processes: that share the work, one a GPU; 0 and 1 for one.
        save_minutes: between two saved states.
    """
    ledger = Ledger()
    entry = tuning.apply(entry, drawn)
    material = Material(windows, splits, targets, table, labels, entry["context"], known, sequences, genome, share=share, seed=seed)
    # A store of its own: it goes when the trial ends; of one that cannot go on it stays, to go on from once that is mended.
    mine = store / f"trial-{hashlib.sha256(str(result).encode()).hexdigest()[:16]}"
    folder = mine / "checkpoint"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    message = None
    try:
        cost = job.fit(
            material, entry, model, seed, folder, mine, code=code, threads=threads, processes=max(1, processes), vault=vault,
            weights=weights, embeddings=embeddings, save_minutes=save_minutes,
        )  # fmt: skip
        del cost["state"]
    except InputError as error:
        if not diverged(error):
            raise
        message, cost = str(error), {"validation_ap": None, "model": model, "seed": seed}
        log.warning("trial %d failed: %s", trial, message)
    ledger.entries.update(cost)
    ledger.write(mine / "compute.json")
    settings = {part: entry[part] for part in ("training", "parameters")}
    said = {
        "trial": trial,
        "share": share,
        "drawn": drawn,
        "settings": settings,
        "validation_ap": cost["validation_ap"],
        "message": message,
    }
    write_json(result, {**said, "compute": json.loads((mine / "compute.json").read_text())})
    shutil.rmtree(mine)


def diverged(error: InputError) -> bool:
    """Whether training ended because its loss was no number, here or in one of several processes."""
    return isinstance(error.__cause__, FloatingPointError) or "FloatingPointError" in str(error)


if __name__ == "__main__":
    run(main)
