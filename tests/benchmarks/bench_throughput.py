"""Throughput of the published transformers' sizes on a GPU: forward and training, 1-kb windows, bfloat16.

Ours (SDPA, FlexAttention for ALiBi, batches of similar length) against eager attention on batches in random order, padded,
in one process, medians of alternations; and the share of the matrix peak that this GPU shows on a square product.
Without a GPU the same code runs at toy size, to be seen to run, and prints no figures. One JSON object a line.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import torch
from bench_tokenisers import windows

from regdna import models
from regdna.models.heads import EncoderClassifier
from regdna.train.measure import forward_flops

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
LENGTH, BATCH, BATCHES, ALTERNATIONS = (1000, 64, 8, 5) if GPU else (120, 4, 2, 1)
SIZES = {
    "dnabert2": ("dnabert2", {"hidden": 768, "layers": 12, "heads": 12, "intermediate": 3072, "dropout": 0.1, "vocabulary": 4096}),
    "nt-v2-500m": (
        "nucleotide-transformer",
        {"hidden": 1024, "layers": 29, "heads": 16, "intermediate": 4096, "dropout": 0.0, "version": 2, "k": 6},
    ),
}
TOY = {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 32, "vocabulary": 64}


def real_windows(count: int) -> np.ndarray:
    """Windows of the embedded megabase without N, uint8 (count, LENGTH)."""
    codes = windows()[:, :LENGTH]
    return codes[(codes < 4).all(1)][:count]


def network(name: str, attention: str, codes: np.ndarray) -> EncoderClassifier:
    """A classifier of published sizes with random weights."""
    architecture, sizes = SIZES[name]
    sizes = sizes if GPU else sizes | {key: value for key, value in TOY.items() if key in sizes}
    module = models.module(architecture)
    tokeniser = module.vocabulary(sizes, lambda: codes)
    config = module.fresh(sizes, tokeniser)
    config._attn_implementation = attention
    torch.manual_seed(0)
    return EncoderClassifier(module.classes(config)["encoder"](config), tokeniser, sizes["hidden"], 10).to(DEVICE)


def batches(net: EncoderClassifier, codes: np.ndarray, bucketed: bool) -> list[dict[str, torch.Tensor]]:
    """Batches on the device; bucketed ones hold sequences with about as many tokens."""
    lengths = net.tokeniser.encode(codes)[1].sum(1)
    order = np.argsort(lengths, kind="stable") if bucketed else np.random.default_rng(1).permutation(len(codes))
    parts = [net.encode(codes[order[at : at + BATCH]]) for at in range(0, len(order), BATCH)]
    return [{key: value.to(DEVICE) for key, value in part.items()} for part in parts]


def seconds(work: Callable[[], None]) -> float:
    """Wall time of one call, the GPU's work included."""
    if GPU:
        torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    if GPU:
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def forward(net: EncoderClassifier, parts: list[dict]) -> None:
    """All batches once, without gradients."""
    net.eval()
    with torch.inference_mode(), torch.autocast(DEVICE.type, torch.bfloat16):
        for part in parts:
            net(**part)


def training(net: EncoderClassifier, parts: list[dict]) -> None:
    """A step of AdamW on each batch."""
    net.train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=GPU)
    for part in parts:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            loss = net(**part).logits.float().square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def matrix_peak() -> float:
    """FLOP/s of a product of square bfloat16 matrices."""
    size = 8192 if GPU else 128
    one, two = (torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    one @ two
    return 2 * size**3 * 10 / seconds(lambda: [one @ two for _ in range(10)])


def main() -> None:
    """Print a line for each model, kind of work and way to compute attention."""
    peak, codes = matrix_peak(), real_windows(BATCH * BATCHES)
    for name in SIZES:
        ways = ["sdpa", "flex_attention"] if name == "dnabert2" else ["sdpa"]
        baseline = network(name, "eager", codes)
        padded = batches(baseline, codes, bucketed=False)
        for way in ways:
            ours = network(name, way, codes)
            bucketed = batches(ours, codes, bucketed=True)
            flops = forward_flops(baseline, codes[:8])
            for work, factor in ((forward, 1), (training, 3)):
                work(ours, bucketed), work(baseline, padded)  # compiles, warms
                pairs = [
                    (seconds(lambda: work(ours, bucketed)), seconds(lambda: work(baseline, padded)))  # noqa: B023 - called at once
                    for _ in range(ALTERNATIONS)
                ]
                mine, peers = (float(np.median([pair[at] for pair in pairs])) for at in (0, 1))
                figures = {
                    "sequences_per_second": len(codes) / mine,
                    "ratio": float(np.median([peer / own for own, peer in pairs])),
                    "eager_sequences_per_second": len(codes) / peers,
                    "share_of_matrix_peak": factor * flops * len(codes) / mine / peak,
                    "gpu": torch.cuda.get_device_name() if GPU else "",
                }
                skipped = {"skipped": "no GPU that this torch can use; ran at toy size"}
                print(json.dumps({"name": f"throughput-{work.__name__}", "model": name, "peer": "eager-padded", "attention": way,
                                  **(figures if GPU else skipped)}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
