"""Score a set of variants with DeepSEA's published weights, as a model's are scored, for comparison."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from regdna import models
from regdna.alphabet import reverse_complement
from regdna.genome import Genome
from regdna.haplotypes import edits, fits, held
from regdna.models.network import run as apply
from regdna.models.precision import device
from regdna.sources.deepsea import read_names
from regdna.step import InputError, progress, run
from regdna.variants import SCORES, block_rows, read_variants, score, write_scores

log = logging.getLogger("regdna")
BATCH = 128
LONG, NEAR = "inserts more than the model sees", "too close to the end of what is held"
OWN = ("diff", "logit", "log2_odds", "deepsea_effect", "logit_seeds", "logit_views")  # those that need no background
# ASSUME: the published DeepSEA has a variant's first changed base at index 499 of its 1,000 bp (from 0), where its authors' program puts it
# (499 bases before, 500 behind). Others put it at 500, which is the same place seen from the other strand.
SHIFT = -1  # from the middle, index length // 2


class Published:
    """DeepSEA as published, seen as ``regdna.variants.score`` sees a trained model; float32 on every device.

    Attributes:
        about: targets (names), length.
        described: cell_type, assay (DNase, TF or histone), target of each target in order.
    """

    def __init__(self, folder: Path, names: Path):
        """Open the weights.

        Args:
            folder: of a source whose checkpoint is DeepSEA in Kipoi's layout.
            names: predictor.names, ``cell|target|treatment`` of each target in order.

        Raises:
            InputError: broken weights, or names of other targets.
        """
        network, _ = models.load(folder)
        self._network = network.to(device())
        self.described = read_names(names, network.last.out_features, "DeepSEA")
        spoken = [" ".join(part for part in (row.cell_type, row.target) if part) for row in self.described.itertuples()]
        self.about = {"targets": spoken, "length": network.length}

    def strands(self, codes: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Log-odds on the strand given and on the other, float64 (2, n, T), of windows, uint8 (n, length)."""
        both = (codes, reverse_complement(codes))
        return np.stack([apply(self._network, one, BATCH, precision="float32").astype(np.float64) for one in both])


def main(variants: Path, weights: list[Path], vault: Path, names: Path, genome: list[Path], scores: Path, threads: int = 1) -> None:
    """Write ``scores`` (parquet), a table of scores as of a model, with what each target is in its metadata (``described``).

    Args:
        variants: table of the set's variants.
        weights: the source's files, in one folder.
        vault: what was found in them.
        names: names of the published targets.
        genome: that windows are cut from.
    """
    torch.set_num_threads(threads)
    table, about = read_variants(variants)
    opened, sequence = Published(weights[0].parent, names), Genome(*genome)
    length, targets = opened.about["length"], opened.about["targets"]
    shifts, align = (SHIFT,), "ends"
    some = edits(table)
    short = fits(some, length)
    inside = held(sequence, some, length, shifts, align)
    rows = np.flatnonzero(short & inside)
    if not len(rows):
        raise InputError(f"{variants}: no variant has {length} bp around it in what is held; published weights cannot score this set")

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        show, size = progress(len(rows), "scoring with published weights", "variants"), block_rows(len(targets))
        for at in range(0, len(rows), size):
            yield score([opened], sequence, some[rows[at : at + size]], shifts, align)
            show(min(at + size, len(rows)))

    found = json.loads(vault.read_text())
    said = {
        "variants": variants.stem,
        "targets": targets,
        "cell_types": opened.described["cell_type"].tolist(),
        "described": opened.described[["cell_type", "assay", "target"]].to_dict("list"),
        "definitions": {name: SCORES[name] for name in OWN},
        "index": length // 2 + SHIFT,
        "shifts": list(shifts),
        "align": align,
        "strands": "each by itself, then averaged; deepsea_effect multiplies the averaged parts",
        "seeds": [],
        "initialisation": f"published weights, {found['source']}",
        "source": {name: found[name] for name in ("source", "origin", "licence", "citation", "parameter_digest")},
        "architecture": found["architecture"],
        "left_out": about["left_out"] | {LONG: int((~short).sum()), NEAR: int((short & ~inside).sum())},
    }
    write_scores(scores, table.iloc[rows].reset_index(drop=True), blocks(), said)
    log.info("%d of %d variants scored by %s", len(rows), len(table), found["source"])


if __name__ == "__main__":
    run(main)
