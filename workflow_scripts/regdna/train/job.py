"""One training job: a model of a study on a dataset with a seed, going on where a killed attempt stopped."""

import contextlib
import hashlib
import importlib
import json
import logging
import time
from pathlib import Path

from regdna import attempts, models
from regdna.step import InputError
from regdna.store import Lease
from regdna.train import module_of
from regdna.train.data import Material

log = logging.getLogger("regdna")
NEEDED = ("architecture", "parameters", "regime", "initialisation", "context", "training")
NEXT_SEED = 1000  # added for each further try, so that no try repeats another listed seed


def fit(
    material: Material,
    entry: dict,
    model: str,
    seed: int,
    folder: Path,
    store: Path,
    *,
    code: str = "",
    threads: int = 1,
    processes: int = 1,
    vault: Path | None = None,
    weights: list[Path] | None = None,
    embeddings: Path | None = None,
    save_minutes: float = 10.0,
) -> dict:
    """Train and write a checkpoint to ``folder``; gives what to add to the ledger.

    A lease in the store keeps a second copy of the job waiting, and what was trained before is gone on with if code, entry, data,
    seed and threads are the same. The store's entry, ``state``, is left
    for the caller to remove once everything is written.

    Args:
        material: the dataset.
        entry: the model's entry in the study: architecture, parameters, regime, initialisation, context, limits, training.
        model: its id.
        seed: of weights, order, augmentation and dropout.
        folder: exists and is empty.
        store: folder of training states.
        code: digest of the code, from the rule.
        threads: of this job; those of each process where there are several.
        processes: that share the work, one a GPU where there are GPUs.
        vault: of a model with published weights, what was verified of them.
        weights: their files, in one folder.
        embeddings: of the frozen network, for probes and for the choice of a pooling.
        save_minutes: between two saved states.

    Raises:
        InputError: anything that the user can mend, in one line.
    """
    missing = [name for name in NEEDED if name not in entry]
    if missing:
        raise InputError(f"entry: {', '.join(missing)} missing; give the entry as the rule does (`snakemake -n -p` shows it)")
    certificate = material.certificate()
    try:
        data = material.open()
    except InputError as error:
        raise InputError(f"models.{model}: {error}") from None
    check_length(data.sequences.length, entry.get("limits"), model)
    held = json.loads(vault.read_text()) if vault else {}
    about = {
        "architecture": entry["architecture"],
        "parameters": entry["parameters"],
        "regime": entry["regime"],
        "initialisation": entry["initialisation"],
        "weights": entry.get("weights", ""),
        "weights_digest": held.get("parameter_digest", ""),
        "control": material.control,
        "centre": material.centre,
        "model": model,
        "length": data.sequences.length,
        "labels": material.labels,
        "targets": data.targets.names,
        "split_digest": certificate["digest"],
        "batch_size": entry["training"]["batch_size"],
        "training": entry["training"],
    }
    identity = json.dumps(
        [code, held, about, seed, certificate["sequence_digest"], material.share, material.seed, material.held_out, threads, processes,
         *(hashlib.sha256(path.read_bytes()).hexdigest() for path in (material.targets, material.known) if path)],
        sort_keys=True,
    )  # fmt: skip
    state = store / hashlib.sha256(identity.encode()).hexdigest()[:16]
    start = Path(weights[0]).parent if weights else None
    with Lease(state / "lease"):
        diary = state / "attempts.jsonl"
        attempts.begin(diary)
        try:
            cost = _tries(entry, about, seed, data, material, folder, state, start, embeddings, threads, processes, save_minutes * 60)
        except (ValueError, FloatingPointError) as error:  # sizes that do not fit the windows, a rate that is too high
            attempts.finish(diary, "failed")
            raise InputError(f"models.{model}: {error}") from error
        except InputError:
            with contextlib.suppress(OSError):  # of a disk that is full
                attempts.finish(diary, "failed")
            raise
        except SystemExit:
            attempts.finish(diary, "stopped by a signal")
            raise
        attempts.finish(diary, "finished")
        log_of_attempts = attempts.all(diary)
    family = models.ARCHITECTURES[entry["architecture"]].family
    return {
        **cost,
        "model": model,
        "seed": seed,
        "family": family,
        "control": material.control,
        "threads": threads,
        "split_digest": certificate["digest"],
        "attempts": len(log_of_attempts),
        "attempt_log": log_of_attempts,
        "state": state,
    }


def _tries(
    entry: dict,
    about: dict,
    seed: int,
    data: object,
    material: Material,
    folder: Path,
    state: Path,
    start: Path | None,
    embeddings: Path | None,
    threads: int,
    processes: int,
    save_seconds: float,
) -> dict:
    """Train with the seed and, where a run collapses and the entry asks for it, with further ones; the last is kept, each is told."""
    kind = module_of(entry["architecture"], entry["regime"])
    trainer = importlib.import_module(kind)
    failures: list[dict] = []
    begun = time.perf_counter()
    while True:
        tried = seed + NEXT_SEED * len(failures)
        mine = {**about, "seed": tried}
        if kind == "regdna.train.features":
            cost = trainer.fit(mine, data, folder)
        elif kind == "regdna.train.probe":
            _set_threads(threads)
            cost = trainer.fit(mine, data, folder, embeddings, start)
        else:
            settings = entry["training"]
            path = state / f"seed{tried}.pt"
            more = {"start": start, "embeddings": embeddings, "save_seconds": save_seconds, "diary": state / "attempts.jsonl"}
            if processes > 1:
                from regdna.train import several

                cost = several.fit(processes, max(1, threads // processes), mine, material, folder, settings, path, **more)
            else:
                _set_threads(threads)
                cost = trainer.fit(mine, data, folder, settings, path, **more)
        cost.setdefault("seconds", round(time.perf_counter() - begun, 3))
        # Of a control nothing else may be expected.
        if not cost.get("collapsed") or material.control or len(failures) >= entry["training"].get("retries", 0):
            # Later steps know a run by the seed that the study lists, and draw for a control with it.
            path = folder / "about.json"
            said = {**json.loads(path.read_text()), "seed": seed, "trained_seed": tried}
            path.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
            return {"collapsed": False, **cost, "failures": failures, "trained_seed": tried}
        failures.append({"seed": tried, "validation_ap": cost["validation_ap"], "seconds": cost["seconds"]})
        log.warning("seed %d collapsed; trying seed %d", tried, seed + NEXT_SEED * len(failures))
        for file in folder.iterdir():
            file.unlink()


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


def _set_threads(threads: int) -> None:
    """Have torch use as many threads as the job was given; the order of sums, and so the last bit, depends on it."""
    import torch

    torch.set_num_threads(threads)
