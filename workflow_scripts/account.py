"""Collect what every training run and every trial cost into one table."""

import json
from pathlib import Path

import pandas as pd

from regdna.slurm.jobs import USED, used
from regdna.step import run
from regdna.store import atomic

COLUMNS = (
    "family",
    "control",
    "device",
    "precision",
    "processes",
    "wall_seconds",
    "cpu_seconds",
    "gpu_seconds",
    "joules",
    "peak_host_bytes",
    "peak_gpu_bytes",
    "parameters",
    "trained_parameters",
    "sequences",
    "sequences_per_second",
    "tokens",
    "tokens_per_second",
    "steps",
    "epochs",
    "flops",
    "utilisation",
    "attempts",
    "resumed_from",
    "validation_ap",
    "collapsed",
    "failures",
    "job",
)


def main(compute: list[Path], ledger: Path, trials: list[Path] | None = None) -> None:
    """Write a row a run and a row a trial to ``ledger``.

    Args:
        compute: ``{dataset}/{model}/seed{seed}/compute.json`` of every run.
        trials: ``{dataset}/{model}/trials/{trial}/trial.json`` of every trial; its ``compute`` is what a ``compute.json`` holds.
        ledger: dataset, model, kind (``run`` or ``trial``), seed, trial (empty for a run), what was measured, and what Slurm's accounts
            say of the job where it ran as one and they can be asked.
    """
    rows = []
    for path in compute:
        dataset, model, seed = path.parts[-4:-1]
        rows.append(row(dataset, model, "run", int(seed.removeprefix("seed")), None, json.loads(path.read_text())))
    for path in trials or []:
        dataset, model = path.parts[-5:-3]
        content = json.loads(path.read_text())
        cost = content.get("compute") or {}  # of a trial that failed there may be none
        rows.append(row(dataset, model, "trial", cost.get("seed"), content["trial"], cost))
    spent = used([one["job"] for one in rows if one["job"]])
    rows = [one | (spent.get(one["job"]) or dict.fromkeys(USED)) for one in rows]
    with atomic(ledger) as temporary:
        pd.DataFrame(rows).astype({"seed": "Int64", "trial": "Int64"}).to_csv(temporary, sep="\t", index=False)


def row(dataset: str, model: str, kind: str, seed: int | None, trial: int | None, content: dict) -> dict:
    """One line of the ledger; ``failures`` is how many seeds were given up."""
    found = {name: content.get(name) for name in COLUMNS} | {"failures": len(content.get("failures") or [])}
    return {"dataset": dataset, "model": model, "kind": kind, "seed": seed, "trial": trial, **found}


if __name__ == "__main__":
    run(main)
