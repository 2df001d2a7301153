"""Embed windows: what every layer of a frozen network makes of them, for probes and the choice of a pooling."""

import json
from pathlib import Path

import pandas as pd

from regdna import controls, embed, models
from regdna.certificate import certified
from regdna.models import network
from regdna.step import InputError, run
from regdna.store import atomic_folder
from regdna.train.data import Data
from regdna.windows import Sequences


def main(
    windows: Path,
    splits: Path,
    embeddings: Path,
    entry: dict,
    model: str,
    seed: int,
    vault: Path | None = None,
    weights: list[Path] | None = None,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
    threads: int = 1,
) -> None:
    """Write a folder: ``rows.npy``, ``{pooling}.npy``, ``about.json``.

    Args:
        embeddings: the folder.
        entry: architecture, parameters (sizes, pooling), initialisation, context, control, centre, precision; weights where there are some.
        seed: of random weights, and of what a control shuffles.
        vault: of a model with published weights, what was verified of them.
        weights: their files, in one folder.
    """
    import torch

    torch.set_num_threads(threads)
    frame = pd.read_parquet(windows, columns=["chrom", "start", "end", "split"])
    digest = certified(splits, windows, frame)
    held = json.loads(vault.read_text()) if vault else {}
    try:
        seen = controls.shown(Sequences(frame, sequences, genome, entry["context"] or None), entry["control"], entry["centre"], seed)
        about = {name: entry[name] for name in ("architecture", "parameters", "initialisation")}
        about |= {
            "weights": entry.get("weights", ""),
            "weights_digest": held.get("parameter_digest", ""),
            "seed": seed,
            "targets": ["none"],
        }
        data = Data(seen, None, frame, False)
        start = Path(weights[0]).parent if weights else None
        net = models.family(entry["architecture"]).build(about, data.sample, start).to(network.device())
        poolings = getattr(net.pooling, "names", [entry["parameters"]["pooling"]])
        said = {key: about[key] for key in ("architecture", "initialisation", "weights", "weights_digest", "seed")}
        said |= {"split_digest": digest, "length": seen.length, "control": entry["control"], "centre": entry["centre"]}
        rows = embed.choose_rows(frame["split"].to_numpy(dtype=object))
        with atomic_folder(embeddings) as folder:
            embed.write(folder, net, poolings, seen, rows, said, entry["precision"])
    except (ValueError, InputError) as error:  # sizes or windows that do not fit each other
        raise InputError(f"models.{model}: {error}") from error


if __name__ == "__main__":
    run(main)
