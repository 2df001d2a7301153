"""Train one model on one dataset with one seed, resuming where a killed attempt stopped."""

import json
import shutil
from pathlib import Path

from regdna import tuning as tuned
from regdna.ledger import Ledger
from regdna.step import run
from regdna.store import atomic_folder
from regdna.train import job
from regdna.train.data import Material


def main(
    windows: Path,
    splits: Path,
    targets: Path,
    table: Path,
    known: Path,
    checkpoint: Path,
    compute: Path,
    entry: dict,
    labels: str,
    model: str,
    seed: int,
    store: Path,
    code: str = "",
    vault: Path | None = None,
    weights: list[Path] | None = None,
    embeddings: Path | None = None,
    tuning: Path | None = None,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
    threads: int = 1,
    processes: int = 1,
    save_minutes: float = 10.0,
) -> None:
    """Write a checkpoint folder and what it cost.

    Args:
        entry: the model's entry in the study: architecture, parameters, regime, context, limits, training, control, centre, held_out.
        labels: ``exclusive`` or ``multilabel``.
        store: folder of training states; one that fits code, entry, data and seed is continued.
        code: digest of the code, from the rule.
        vault: of a model with published weights, what was verified of them.
        weights: their files, in one folder.
        embeddings: of the frozen network, for probes and for the choice of a pooling.
        tuning: settings that were chosen for the model by trials.
        processes: that share the work, one a GPU; 0 and 1 for one.
        save_minutes: between two saved states.
    """
    ledger = Ledger()
    entry = tuned.apply(entry, json.loads(tuning.read_text())) if tuning else entry
    material = Material(windows, splits, targets, table, labels, entry.get("context", 0), known, sequences, genome,
                        entry.get("control", ""), entry.get("centre", 0), tuple(entry.get("held_out", ())), seed=seed)  # fmt: skip
    with atomic_folder(checkpoint) as folder:
        cost = job.fit(
            material, entry, model, seed, folder, store, code=code, threads=threads, processes=max(1, processes), vault=vault,
            weights=weights, embeddings=embeddings, save_minutes=save_minutes,
        )  # fmt: skip
    state = cost.pop("state")
    ledger.entries.update(cost)
    ledger.write(compute)
    shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    run(main)
