"""Saturation mutagenesis of CNNs against loops over mutants; rows mutagenesis-basset, -deepsea and those with -bf16 of the benchmarks.

Networks of published size with random weights, normalised as random sequence needs it; both strands of 1 kb, all 6,000 substitutions, all
targets, laying out the weights included. The peers compute part of the mutants, scaled to all; the plain loop is the faster of batches of
16 and 32, its convolutions two-dimensional and channels last. Errors are largest differences from the same network in float64, on
mutants spread over the window. Prints one JSON object a line.
"""

import copy
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from tangermeme.saturation_mutagenesis import saturation_mutagenesis
from torch import nn

from regdna import models
from regdna.models.network import run
from regdna.mutagenesis import differences, stack

LENGTH, TARGETS = 1000, {"basset": 164, "deepsea": 919}
ALTERNATIONS = 3
PART = 96  # mutants of the plain loop; the other peer has as many positions less a third
WINDOWS = 2  # strands


class Logits(nn.Module):
    """Logits from one-hot sequence, layer by layer."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.layers = net.layers

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        return self.layers(sequence)


def network(name: str) -> nn.Module:
    """Random weights by He et al. 2015, so that activations keep their size, and statistics of random sequence."""
    torch.manual_seed(0)
    net = models.module(name).build(models.ARCHITECTURES[name].sizes, LENGTH, TARGETS[name])
    for layer in net.layers:
        if isinstance(layer, nn.Conv1d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.normal_(layer.bias, std=0.1)
        if isinstance(layer, nn.BatchNorm1d):
            layer.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.randint(0, 4, (64, LENGTH)))
    return net.eval()


def ours(net: nn.Module, codes: np.ndarray, edits: tuple, half: bool) -> np.ndarray:
    """Change of the logits by each edit."""
    layers = stack.read(net)
    out = np.empty((len(edits[0]), net.last.out_features), np.float32)
    for some, change in differences.changes(layers, layers.refer(codes), codes, *edits, half):
        out[some] = change
    return out


def mutants(codes: np.ndarray, edits: tuple) -> np.ndarray:
    """Sequences with their edits."""
    window, where, base = edits
    out = codes[window]
    out[np.arange(len(out)), where] = base
    return out


def error(net: nn.Module, codes: np.ndarray, edits: tuple, found: np.ndarray, precision: str) -> tuple[float, float]:
    """Largest error of ours and of the plain loop."""
    exact = copy.deepcopy(net).double()
    with torch.inference_mode():
        expected = (exact(mutants(codes, edits)).logits - exact(codes).logits[edits[0]]).numpy()
    plain = run(net, mutants(codes, edits), 16, precision=precision) - run(net, codes, 16, precision=precision)[edits[0]]
    return float(np.abs(found - expected).max()), float(np.abs(plain - expected).max())


def clocks(function: Callable, *arguments: object) -> np.ndarray:
    """Seconds by the wall and of CPU time."""
    begun, used = time.perf_counter(), time.process_time()
    function(*arguments)
    return np.array([time.perf_counter() - begun, time.process_time() - used])


def bench(name: str, half: bool) -> list[dict]:
    """The rows of a network."""
    net, codes = network(name), np.random.default_rng(1).integers(0, 4, (1, LENGTH)).astype(np.uint8)
    codes = np.concatenate([codes, 3 - codes[:, ::-1]])[:WINDOWS]
    window, where, base = np.nonzero(codes[..., None] != np.arange(4))
    edits = (window, where, base.astype(np.uint8))
    spread = np.linspace(0, len(window) - 1, PART).astype(int)
    some = tuple(one[spread] for one in edits)
    part, wide, hot = mutants(codes, some), Logits(net).eval(), net.one_hot(torch.from_numpy(codes[:1]))
    middle, positions = LENGTH // 2, PART // 3
    peers = {
        "plain": lambda: np.min([clocks(run, net, part, size) for size in (16, 32)], axis=0) * len(window) / PART,
        "tangermeme": lambda: (
            clocks(lambda: saturation_mutagenesis(wide, hot, start=middle, end=middle + positions, raw_outputs=True, device="cpu"))
            * len(window) / (3 * positions)
        ),
    }  # fmt: skip
    peers = {"plain": peers["plain"]} if half else peers
    found = ours(net, codes, edits, half)
    run(net, part, 32)
    mine, seconds = [], {peer: [] for peer in peers}
    for _ in range(ALTERNATIONS):
        for peer, clock in peers.items():
            seconds[peer].append(clock())
        mine.append(clocks(ours, net, codes, edits, half))
    largest, plain = error(net, codes, some, found[spread], "bf16" if half else "float32")
    rows = []
    for peer, theirs in seconds.items():
        ratio, by_cpu = np.median(np.divide(theirs, mine), axis=0)
        note = (
            f"{np.median(mine, 0)[0]:.2f} s against {np.median(theirs, 0)[0]:.1f} for {len(window):,} substitutions on "
            f"{torch.get_num_threads()} threads; by CPU time the ratio is {by_cpu:.1f}; a plain loop{' in bf16' if half else ''} errs by "
            f"{plain:.1e}, {plain / largest:.1f} times as much"
        )
        rows.append(
            {
                "name": f"mutagenesis-{name}{'-bf16' if half else ''}",
                "peer": peer,
                "ratio": round(float(ratio), 1),
                "error": largest,
                "note": note,
            }
        )
    return rows


if __name__ == "__main__":
    for half in (False, True):
        for name in TARGETS:
            for row in bench(name, half):
                print(json.dumps(row), flush=True)
