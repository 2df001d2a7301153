"""AdamW with warm-up, a schedule, and learning rates by layer."""

import bisect
import math
import re
from collections.abc import Callable

import torch
from torch import nn

LAYER = re.compile(r"\blayers?\.(\d+)\.")


def optimiser(net: nn.Module, settings: dict) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, ICLR) on the parameters that are trained.

    Args:
        settings: learning_rate, weight_decay, layer_decay.
    """
    return torch.optim.AdamW(groups(net, settings), lr=settings["learning_rate"], fused=True)


def groups(net: nn.Module, settings: dict) -> list[dict]:
    """Trained parameters in groups: matrices with weight decay, biases and normalisation without; each depth with its learning rate.

    A layer's rate is that of the head times ``layer_decay`` for every layer from the top down to it; embeddings are one below
    the first (Howard and Ruder 2018, ACL; Clark et al. 2020, ICLR).
    """
    depths = depth(net)
    found: dict[tuple[float, bool], list] = {}
    for name, one in net.named_parameters():
        if one.requires_grad:
            rate = settings["learning_rate"] * settings["layer_decay"] ** depths[name]
            found.setdefault((rate, one.ndim > 1), []).append(one)
    return [
        {"params": members, "lr": rate, "weight_decay": settings["weight_decay"] if wide else 0.0}
        for (rate, wide), members in sorted(found.items(), key=lambda item: item[0], reverse=True)
    ]


def depth(net: nn.Module) -> dict[str, int]:
    """How many layers each parameter lies below the head: 0 for the head and whatever is after the last layer.

    In a stack of plain layers, as of the CNNs, every convolution and dense layer is one, with the normalisation after it; in an
    encoder, every block.
    """
    sizes = {name: one.ndim for name, one in net.named_parameters()}
    names = list(sizes)
    inside = {name: int(match[1]) for name in names if (match := LAYER.search(name))}
    wide = sorted({layer for name, layer in inside.items() if sizes[name] > 1})
    steps = {layer: max(0, bisect.bisect_right(wide, layer) - 1) for layer in set(inside.values())}
    first_seen = min((names.index(name) for name in inside), default=0)
    # What is in no layer and comes before the first is an embedding; what comes after is normalisation, pooling or head.
    head = 0 if any(name not in inside and names.index(name) > first_seen for name in names) else 1
    below = {}
    for at, name in enumerate(names):
        if name in inside:
            below[name] = len(wide) - steps[inside[name]] - head
        else:
            below[name] = len(wide) + 1 - head if at < first_seen else 0
    return below


def schedule(kind: str, warmup: float, steps: int) -> Callable[[int], float]:
    """Learning-rate factor by step: linear from 0 over the first share ``warmup``, then as ``kind`` says.

    Args:
        kind: ``cosine`` (half a cosine to zero), ``linear`` (to zero) or ``constant``.
        steps: updates in all.
    """
    warm = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        if kind == "constant":
            return 1.0
        gone = min(1.0, (step - warm) / max(1, steps - warm))
        return 1 - gone if kind == "linear" else 0.5 * (1 + math.cos(math.pi * gone))

    return factor
