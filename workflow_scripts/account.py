"""Collect what every training run cost into one table."""

import json
from pathlib import Path

import pandas as pd

from regdna.step import run
from regdna.store import atomic

COLUMNS = (
    "family",
    "device",
    "wall_seconds",
    "cpu_seconds",
    "gpu_seconds",
    "peak_host_bytes",
    "peak_gpu_bytes",
    "parameters",
    "trained_parameters",
    "sequences",
    "steps",
    "epochs",
    "flops",
    "attempts",
    "resumed_from",
    "job",
)


def main(compute: list[Path], ledger: Path) -> None:
    """Write a row a run to ``ledger``: dataset, model, seed and the columns of ``compute.json``."""
    rows = []
    for path in compute:
        dataset, model, seed = path.parts[-4:-1]
        content = json.loads(path.read_text())
        rows.append(
            {"dataset": dataset, "model": model, "seed": int(seed.removeprefix("seed"))} | {name: content.get(name) for name in COLUMNS}
        )
    with atomic(ledger) as temporary:
        pd.DataFrame(rows).to_csv(temporary, sep="\t", index=False)


if __name__ == "__main__":
    run(main)
