"""Finished studies of a few hundred made-up windows, evaluated and compared by the real steps."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from workflow_tools import step

from regdna.certificate import digest

WINDOWS, TARGETS = 900, ("open", "bound")


def finished(
    root: Path, models: dict[str, float], dataset: str = "own", noise: int = 0, replicates: int = 100, at: int = 0, labels: int = 0,
    controls: tuple[str, ...] = (), seeds: tuple[int, ...] = (1, 2),
) -> Path:  # fmt: skip
    """Write a study of one dataset to ``root``; gives ``root``.

    Args:
        models: id to how far its outputs follow the labels.
        noise: seed of the outputs' noise; a model of the same name, strength and noise is the same in two studies.
        at: where windows lie, so that another number is another split.
        labels: seed of the labels.
        controls: models that are some.
    """
    folder = root / dataset
    folder.mkdir(parents=True)
    draw = np.random.default_rng(labels)
    start = at + 1000 * np.arange(WINDOWS)
    part = np.resize(["train", "validation", "test"], WINDOWS)
    windows = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 200, "split": part, "block": start // 10_000})
    windows.to_parquet(folder / "windows.parquet")
    (folder / "splits.json").write_text(json.dumps({"digest": digest(windows)}))
    truth = draw.random((WINDOWS, len(TARGETS))) < 0.3
    np.save(folder / "targets.npy", np.packbits(truth, axis=1))
    named = [{"index": one, "cell_type": "", "assay": "made up", "target": name, "source": "", "known": WINDOWS,
              "positives": int(truth[:, one].sum())} for one, name in enumerate(TARGETS)]  # fmt: skip
    pd.DataFrame(named).to_csv(folder / "targets.tsv", sep="\t", index=False)
    for order, (model, strength) in enumerate(models.items()):
        predictions, validation, about = [], [], []
        for seed in seeds:
            run = folder / model / f"seed{seed}" / "predictions"
            run.mkdir(parents=True)
            random = np.random.default_rng([noise, order, seed])
            odds = (1 / (1 + np.exp(-random.normal(size=truth.shape) - strength * truth))).astype(np.float32)
            for name, paths in (("test", predictions), ("validation", validation)):
                paths.append(run / f"{name}.npy")
                np.save(paths[-1], odds[part == name])
            about.append(run / "about.json")
            said = {
                "split_digest": digest(windows),
                "seed": seed,
                "initialisation": "random",
                "control": "made up" if model in controls else "",
            }
            about[-1].write_text(json.dumps(said))
        out = [folder / model / name for name in ("metrics.parquet", "replicates.npz", "curves.parquet")]
        step("evaluate").main(
            folder / "windows.parquet", folder / "splits.json", folder / "targets.npy", folder / "targets.tsv", predictions, validation,
            about, *out, model, replicate_count=replicates,
        )  # fmt: skip
    held = [[folder / model / name for model in models] for name in ("metrics.parquet", "replicates.npz")]
    step("compare").main(*held, root / "comparison.parquet")
    return root
