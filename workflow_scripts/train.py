"""Train one model on one dataset with one seed, resuming where a killed attempt stopped."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd

from regdna import models, train
from regdna.ledger import Ledger
from regdna.step import InputError, run
from regdna.store import Lease, atomic_folder, write_text
from regdna.targets import Targets
from regdna.windows import Sequences


def main(
    windows: Path,
    splits: Path,
    targets: Path,
    table: Path,
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
    sequences: Path | None = None,
    genome: list[Path] | None = None,
    threads: int = 1,
) -> None:
    """Write a checkpoint folder and what it cost.

    Args:
        entry: the model's entry in the study: architecture, parameters, regime, context, limits, training.
        labels: ``exclusive`` or ``multilabel``.
        store: folder of training states; one that fits code, entry, data and seed is continued.
        code: digest of the code, from the rule.
        vault: of a model with published weights, what was verified of them.
        weights: their files, in one folder.
    """
    missing = [name for name in ("architecture", "parameters", "regime", "initialisation", "context", "training") if name not in entry]
    if missing:
        raise InputError(f"entry: {', '.join(missing)} missing; give the entry as the rule does (`snakemake -n -p` shows it)")
    ledger = Ledger()
    frame = pd.read_parquet(windows, columns=["chrom", "start", "end", "split"])
    certificate = json.loads(splits.read_text())
    digest = certificate["digest"]
    try:
        seen = Sequences(frame, sequences, genome, entry["context"] or None)
    except InputError as error:
        raise InputError(f"models.{model}: {error}") from None
    check_length(seen.length, entry.get("limits"), model)
    data = train.Data(seen, Targets(targets, table), frame, labels == "exclusive")
    held = json.loads(vault.read_text()) if vault else {}
    about = {
        "architecture": entry["architecture"],
        "parameters": entry["parameters"],
        "regime": entry["regime"],
        "initialisation": entry["initialisation"],
        "weights": entry.get("weights", ""),
        "weights_digest": held.get("parameter_digest", ""),
        "model": model,
        "seed": seed,
        "length": data.sequences.length,
        "labels": labels,
        "targets": data.targets.names,
        "split_digest": digest,
        "batch_size": entry["training"]["batch_size"],
    }
    family = models.ARCHITECTURES[entry["architecture"]].family
    start = Path(weights[0]).parent if weights else None
    identity = json.dumps(
        [code, held, about, certificate["sequence_digest"], entry["training"], hashlib.sha256(targets.read_bytes()).hexdigest(), threads],
        sort_keys=True,
    )
    state = store / hashlib.sha256(identity.encode()).hexdigest()[:16]
    with Lease(state / "lease"), atomic_folder(checkpoint) as folder:
        attempts = count_attempt(state / "attempts")
        try:
            if family == "row zero":
                cost = train.fit_features(about, data, folder)
            elif entry["regime"] == "probe":
                set_threads(threads)
                cost = train.fit_probe(about, data, folder, start)
            else:
                set_threads(threads)
                cost = train.fit_network(about, data, folder, entry["training"], state / "state.pt", start)
        except (ValueError, FloatingPointError) as error:  # sizes that do not fit the windows, a rate that is too high
            raise InputError(f"models.{model}: {error}") from error
    ledger.entries.update(cost, attempts=attempts, threads=threads, model=model, seed=seed, family=family, split_digest=digest)
    ledger.write(compute)
    shutil.rmtree(state, ignore_errors=True)


def check_length(length: int, limits: list[int | None] | None, model: str) -> None:
    """Refuse windows that a model does not take, where their length was not known before any job.

    Args:
        limits: shortest and longest in bp; None for no limit.

    Raises:
        InputError: with the length and the limit.
    """
    shortest, longest = limits or (1, None)
    if length < shortest:
        raise InputError(f"models.{model}: it sees {length} bp, but takes at least {shortest}; widen the windows, or choose another model")
    if longest and length > longest:
        raise InputError(f"models.{model}: it sees {length} bp, but takes at most {longest}; set its context to {longest} or less")


def count_attempt(path: Path) -> int:
    """The number of this attempt, written down before anything can kill it."""
    attempts = int(path.read_text()) + 1 if path.is_file() else 1
    write_text(path, str(attempts))
    return attempts


def set_threads(threads: int) -> None:
    """Have torch use as many threads as the job was given; the order of sums, and so the last bit, depends on it."""
    import torch

    torch.set_num_threads(threads)


if __name__ == "__main__":
    run(main)
