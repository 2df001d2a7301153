"""Models and datasets so small that their answers are known by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from regdna.alphabet import encode
from regdna.genome import Genome, index_fasta
from regdna.models import linear, network
from regdna.targets import Targets, pack
from regdna.train import Data
from regdna.windows import Sequences

torch.set_num_threads(1)  # tensors this small lose time to threads, most of all where tests run side by side
MOTIF = "GATTACA"
SETTINGS = {
    "epochs": 4,
    "batch_size": 16,
    "learning_rate": 0.01,
    "weight_decay": 0.01,
    "warmup": 0.1,
    "clip": 1.0,
    "patience": 4,
    "reverse_complement": True,
    "shift": 2,
}
BASSET = {"filters": [6, 6], "widths": [5, 3], "pools": [3, 2], "hidden": 8, "dropout": 0.3}
NT = {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 16, "dropout": 0.1, "l2": 1.0}
DNABERT2 = {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 16, "dropout": 0.1, "vocabulary": 64, "l2": 1.0}


def about(architecture: str, parameters: dict, length: int, targets: int = 1, labels: str = "multilabel", **more) -> dict:
    """A checkpoint's ``config.json``."""
    names = [f"target {i}" for i in range(targets)]
    return {
        "architecture": architecture,
        "parameters": parameters,
        "regime": "full",
        "initialisation": "random",
        "model": "toy",
        "seed": 1,
        "length": length,
        "labels": labels,
        "targets": names,
        "split_digest": "0" * 16,
        "batch_size": 4,
        **more,
    }


def gc_checkpoint(folder: Path, length: int, slope: list[float], bias: list[float], labels: str = "multilabel") -> Path:
    """A 1-mer regression: the logit of target t is ``slope[t]`` times the share of G and C, plus ``bias[t]``."""
    folder.mkdir(parents=True)
    weight = np.stack([np.zeros(len(slope)), np.array(slope, float)], 1)  # columns: A with T, C with G
    linear.save(folder, about("kmer-logistic", {"k": 1, "l2": 1.0}, length, len(slope), labels), weight, np.array(bias, float))
    return folder


def motif_checkpoint(folder: Path, length: int, slope: list[float], bias: list[float], motif: str = MOTIF) -> Path:
    """A Basset whose logit of target t is ``bias[t]``, plus ``slope[t]`` if the motif is on the strand given."""
    folder.mkdir(parents=True)
    parameters = {"filters": [1], "widths": [len(motif)], "pools": [length - len(motif) + 1], "hidden": 1, "dropout": 0.5}
    entry = about("basset", parameters, length, len(slope))
    net = network.build(entry)
    with torch.no_grad():
        for layer in net.layers:
            if isinstance(layer, torch.nn.BatchNorm1d):
                layer.running_var.fill_(1 - layer.eps)
            elif isinstance(layer, torch.nn.Linear):
                layer.weight.fill_(1)
                layer.bias.zero_()
        net.layers[0].weight.copy_(torch.eye(4)[encode(motif).astype(int)].T[None])
        net.layers[0].bias.fill_(1 - len(motif))
        net.layers[-1].weight.copy_(torch.tensor(slope)[:, None])
        net.layers[-1].bias.copy_(torch.tensor(bias))
    network.save(folder, entry, net)
    return folder


def genome_files(folder: Path, records: dict[str, str], lengths: dict[str, int] | None = None) -> list[Path]:
    """Codes, index and mask of a made-up assembly; record names as in FASTA, sequences as text."""
    folder.mkdir(parents=True, exist_ok=True)
    fasta = folder / "genome.fa"
    fasta.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in records.items()))
    files = [folder / name for name in ("genome.npy", "genome.tsv", "genome.mask.npy")]
    index = index_fasta([fasta], "hg38", lengths or {name: len(sequence) for name, sequence in records.items()}, files[0], files[2])
    index.to_csv(files[1], sep="\t", index=False)
    return files


def genome(folder: Path, records: dict[str, str], lengths: dict[str, int] | None = None) -> Genome:
    """A made-up assembly, opened."""
    return Genome(*genome_files(folder, records, lengths))


def letters(draw: np.random.Generator, length: int) -> str:
    """Random A, C, G, T."""
    return "".join(draw.choice(list("ACGT"), length))


def data(folder: Path, rows: int = 90, length: int = 60, exclusive: bool = False, seed: int = 0) -> Data:
    """Random windows, the even ones with ``MOTIF`` in the middle; that is target 0, its opposite target 1, chance target 2."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 4, (rows, length)).astype(np.uint8)
    has = np.arange(rows) % 2 == 0
    codes[has, length // 2 : length // 2 + len(MOTIF)] = encode(MOTIF)
    labels = np.stack([has, ~has] if exclusive else [has, ~has, draw.random(rows) < 0.5], 1)
    frame = pd.DataFrame({"chrom": "chr1", "start": np.arange(rows) * 1000})
    frame["end"] = frame["start"] + length
    frame["split"] = np.array(["train", "train", "validation"])[np.arange(rows) // 2 % 3]
    np.save(folder / "sequences.npy", codes)
    np.save(folder / "targets.npy", pack(labels))
    table = pd.DataFrame({"cell_type": "", "assay": "toy", "target": [f"t{i}" for i in range(labels.shape[1])], "source": "toy"})
    table.assign(positives=labels.sum(0)).rename_axis("index").to_csv(folder / "targets.tsv", sep="\t")
    sequences = Sequences(frame, folder / "sequences.npy")
    return Data(sequences, Targets(folder / "targets.npy", folder / "targets.tsv"), frame, exclusive)
