"""The training loop against bare PyTorch; rows training-20ms, training-5ms, training-basset-bf16 and bucketing-mixed.

Each pair runs in one process, alternating, on all threads but for the first two rows, which have one; ratios are medians over
alternations. The bare loop has the codes in memory, changes nothing about them, and does no more than forward, loss, backward,
clipping and AdamW; ours reads the windows, draws strand and shift, and looks for signals between updates. Prints one JSON object
a line.
"""

import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from bench_tokenisers import DEMO, PUBLISHED, VOCABULARY, windows
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from regdna import models
from regdna.alphabet import N, encode
from regdna.models.heads import EncoderClassifier
from regdna.targets import Targets, pack
from regdna.tokenisers import BytePair
from regdna.train.batches import Batch
from regdna.train.data import Data
from regdna.train.descent import Run
from regdna.train.team import Team
from regdna.windows import Sequences

ALTERNATIONS, STEPS = 7, 20
SETTINGS = {
    "epochs": 50,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "warmup": 0.1,
    "schedule": "cosine",
    "layer_decay": 1.0,
    "clip": 1.0,
    "patience": 50,
    "reverse_complement": True,
    "shift": 4,
    "precision": "float32",
    "micro_batch": 0,
    "balance": False,
}
BASSET = {"filters": [300, 200, 200], "widths": [19, 11, 7], "pools": [3, 4, 4], "hidden": 1000, "dropout": 0.3}
SMALL = {"filters": [64, 64, 64], "widths": [15, 7, 5], "pools": [4, 4, 2], "hidden": 64, "dropout": 0.3}
MOTIF = encode("TGACTCATTGACTCA")


def dataset(folder: Path, rows: int, length: int, targets: int) -> Data:
    """Random windows; a planted motif decides the first target."""
    draw = np.random.default_rng(0)
    codes = draw.integers(0, 4, (rows, length)).astype(np.uint8)
    labels = draw.random((rows, targets)) < 0.5
    at = draw.integers(0, length - len(MOTIF), rows)
    for row in np.flatnonzero(labels[:, 0]):
        codes[row, at[row] : at[row] + len(MOTIF)] = np.where(draw.random(len(MOTIF)) < 0.15, draw.integers(0, 4, len(MOTIF)), MOTIF)
    np.save(folder / "sequences.npy", codes)
    np.save(folder / "targets.npy", pack(labels))
    table = pd.DataFrame({"cell_type": "", "assay": "toy", "target": [f"t{at}" for at in range(targets)], "source": "toy", "positives": 1})
    table.rename_axis("index").to_csv(folder / "targets.tsv", sep="\t")
    frame = pd.DataFrame({"chrom": "chr1", "start": np.arange(rows) * length})
    frame["end"], frame["split"] = frame["start"] + length, np.where(np.arange(rows) % 4 == 0, "validation", "train")
    return Data(Sequences(frame, folder / "sequences.npy"), Targets(folder / "targets.npy", folder / "targets.tsv"), frame, False)


def network(sizes: dict, length: int, targets: int) -> nn.Module:
    """A Basset with random weights, the same each time."""
    torch.manual_seed(0)
    return models.module("basset").build(sizes, length, targets).train()


class Eager(nn.Module):
    """A network's layers as they are written, one-dimensional."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, codes: torch.Tensor):
        return self.net.layers(self.net.one_hot(codes))


def bare(net: nn.Module, data: Data, batch: int) -> Callable[[], None]:
    """An update of a loop of nothing but PyTorch."""
    rows = data.rows("train")
    codes, labels = torch.from_numpy(data.sequences[rows]), torch.from_numpy(data.targets[rows])
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    order = iter(np.random.default_rng(0).integers(0, len(rows), (100_000, batch)))

    def step() -> None:
        chosen = torch.from_numpy(next(order))
        answer = net(codes[chosen])
        loss = functional.binary_cross_entropy_with_logits(answer if torch.is_tensor(answer) else answer.logits, labels[chosen].float())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()

    return step


def ours(net: nn.Module, data: Data, settings: dict) -> Callable[[], None]:
    """An update of the workflow's loop."""
    run = Run(net, data, settings, 0, Team(settings["precision"]))

    def stream() -> Iterator[tuple[int, Batch]]:
        epoch = 1
        while True:
            yield from ((epoch, batch) for batch in run.batches.epoch(epoch))
            epoch += 1

    batches = stream()

    def step() -> None:
        epoch, batch = next(batches)
        run.update(batch, epoch)
        run.team.highest(0, 0)

    return step


def ratio(peer: Callable[[], None], own: Callable[[], None], steps: int = STEPS) -> tuple[float, float, float]:
    """Peer's time over ours, and the seconds of a step of each, medians over alternations."""
    times: dict[Callable, list[float]] = {peer: [], own: []}
    for work in times:
        work()
    for _ in range(ALTERNATIONS):
        for work, seconds in times.items():
            begun = time.perf_counter()
            for _ in range(steps):
                work()
            seconds.append((time.perf_counter() - begun) / steps)
    found = [one / other for one, other in zip(times[peer], times[own], strict=True)]
    return statistics.median(found), statistics.median(times[peer]), statistics.median(times[own])


def overhead(name: str, folder: Path, milliseconds: float) -> dict:
    """The row of a step that takes about so long: as many windows a batch as that takes."""
    data = dataset(folder, 8000, 200, 4)
    probe = bare(network(SMALL, 200, 4), data, 64)
    probe()
    begun = time.perf_counter()
    for _ in range(10):
        probe()
    batch = max(4, round(64 * milliseconds / ((time.perf_counter() - begun) * 100)))
    settings = SETTINGS | {"batch_size": batch}
    found, theirs, mine = ratio(bare(network(SMALL, 200, 4), data, batch), ours(network(SMALL, 200, 4), data, settings))
    note = f"a step of {theirs * 1e3:.1f} ms bare, {mine * 1e3:.1f} ms ours, {batch} windows of 200 bp"
    return {"name": name, "peer": "bare", "ratio": round(found, 3), "note": note}


def auroc(data: Data, precision: str) -> float:
    """Validation AUROC of the planted motif after six epochs."""
    net, settings = network(SMALL, data.sequences.length, 1), SETTINGS | {"precision": precision, "epochs": 6}
    run = Run(net, data, settings, 0, Team(precision))
    for epoch in range(1, settings["epochs"] + 1):
        net.train()
        for batch in run.batches.epoch(epoch):
            run.update(batch, epoch)
    rows = data.rows("validation")
    return float(roc_auc_score(data.targets[rows][:, 0], run.logits(rows)[:, 0]))


def half_precision(folder: Path) -> dict:
    """Basset in bf16 against the same layers, eager, in float32."""
    data = dataset(folder, 1000, 600, 164)
    peer = bare(Eager(network(BASSET, 600, 164)), data, 64)
    found, theirs, mine = ratio(peer, ours(network(BASSET, 600, 164), data, SETTINGS | {"precision": "bf16"}), 3)
    whole, _, wide = ratio(peer, ours(network(BASSET, 600, 164), data, SETTINGS), 3)
    (folder / "small").mkdir()
    small = dataset(folder / "small", 6000, 200, 1)
    scores = {precision: auroc(small, precision) for precision in ("float32", "bf16")}
    note = (
        f"{theirs * 1e3:.0f} ms a step against {mine * 1e3:.0f}; ours in float32 {wide * 1e3:.0f} ({whole:.2f} times as fast); validation "
        f"AUROC of a planted motif {scores['float32']:.4f} in float32, {scores['bf16']:.4f} in bf16; error: their difference"
    )
    return {"name": "training-basset-bf16", "peer": "eager", "ratio": round(found, 2), "error": abs(scores["float32"] - scores["bf16"]),
            "note": note}  # fmt: skip


def mixed(shortest: int, longest: int, rows: int = 96) -> np.ndarray:
    """Real sequences of uniform length in the middle of N, uint8 (rows, longest)."""
    genome = encode("".join(gzip.decompress(DEMO.read_bytes()).decode().split("\n")[1:]))
    genome, draw = genome[genome < N], np.random.default_rng(0)
    out = np.full((rows, longest), N, np.uint8)
    for row, length in enumerate(draw.integers(shortest, longest + 1, rows)):
        begin, at = (longest - length) // 2, draw.integers(0, len(genome) - length)
        out[row, begin : begin + length] = genome[at : at + length]
    return out


def encoder() -> EncoderClassifier:
    """A small DNABERT-2 on the benchmark's byte pairs."""
    module = models.module("dnabert2")
    pairs = BytePair(PUBLISHED.read_text()) if PUBLISHED.is_file() else BytePair.learn(windows(), VOCABULARY)
    sizes = {"hidden": 128, "layers": 3, "heads": 4, "intermediate": 512, "dropout": 0.1, "vocabulary": pairs.vocabulary}
    torch.manual_seed(0)
    config = module.fresh(sizes, pairs)
    return EncoderClassifier(module.classes(config)["encoder"](config), pairs, sizes["hidden"], 1).train()


def bucketing(codes: np.ndarray) -> tuple[float, float, float]:
    """Padded to the longest of each batch against put side by side: forward and backward of the same batches of 32."""
    net = encoder()
    batches = [net.encode(codes[at : at + 32]) for at in range(0, len(codes), 32)]
    labels, turn = torch.zeros(32, 1, dtype=torch.bool), {"padded": 0, "ours": 0}

    def backward(inputs: dict[str, torch.Tensor]) -> None:
        net(**inputs).logits.square().sum().backward()

    def padded() -> None:
        backward(batches[turn["padded"] % len(batches)])
        turn["padded"] += 1

    def side_by_side() -> None:
        inputs = batches[turn["ours"] % len(batches)]
        lengths = inputs["attention_mask"].sum(1).numpy()
        for part, _, _ in Batch(0, 32, inputs, labels, None, 1.0, lengths).parts(32):
            backward(part)
        turn["ours"] += 1

    return ratio(padded, side_by_side, len(batches))


def main() -> None:
    """Print the rows."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # steps this short lose time to threads; jobs have one unless they are given more
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in "abc"]
        for place in places:
            place.mkdir()
        print(json.dumps(overhead("training-20ms", places[0], 20)), flush=True)
        print(json.dumps(overhead("training-5ms", places[1], 5)), flush=True)
        torch.set_num_threads(threads)
        print(json.dumps(half_precision(places[2])), flush=True)
    found, theirs, mine = bucketing(mixed(200, 2000))
    same, *_ = bucketing(mixed(1000, 1000))
    note = f"{theirs * 1e3:.0f} ms a batch of 32 padded, {mine * 1e3:.0f} side by side; all of 1,000 bp: {same:.2f}"
    print(json.dumps({"name": "bucketing-mixed", "peer": "padded", "ratio": round(found, 2), "note": note}), flush=True)


if __name__ == "__main__":
    main()
