"""Convolutions on sequence computed as those on pictures one pixel high, channels last: the layout that processors are fastest in."""

import torch
from torch import nn
from torch.nn import functional

FAST = (torch.float32, torch.bfloat16, torch.float16)


def run(layers: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """What ``layers(x)`` gives, up to rounding.

    A layer that is neither known here nor the same for any shape has a method ``wide``, from (n, C, 1, L) to (n, C', 1, L').

    Args:
        layers: one-dimensional, flattened at the end.
        x: float (n, C, L).
    """
    if x.dtype not in FAST:
        return layers(x)
    return forward(layers, x.unsqueeze(2).contiguous(memory_format=torch.channels_last))


def forward(layers: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """The same of x, float (n, C, 1, L); (n, C', 1, L') where nothing flattens it."""
    waiting = list(layers)
    while waiting:
        layer = waiting.pop(0)
        # The highest of what is cut off at 0 is what is cut off of the highest, and there is less of it to cut.
        if isinstance(layer, nn.ReLU) and waiting and isinstance(waiting[0], nn.MaxPool1d):
            layer, waiting[0] = waiting[0], layer
        x = layer(x) if x.ndim != 4 else _one(layer, x)
    return x


def _one(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    if isinstance(layer, nn.Conv1d):
        padding = layer.padding if isinstance(layer.padding, str) else (0, layer.padding[0])
        return functional.conv2d(
            x, layer.weight.unsqueeze(2), layer.bias, (1, layer.stride[0]), padding, (1, layer.dilation[0]), layer.groups
        )
    if isinstance(layer, nn.BatchNorm1d):
        if layer.training:
            layer.num_batches_tracked.add_(1)
        return functional.batch_norm(
            x, layer.running_mean, layer.running_var, layer.weight, layer.bias, layer.training, layer.momentum, layer.eps
        )
    if isinstance(layer, nn.MaxPool1d):
        return functional.max_pool2d(x, (1, layer.kernel_size), (1, layer.stride), (0, layer.padding), ceil_mode=layer.ceil_mode)
    if isinstance(layer, nn.Flatten):
        return x.squeeze(2).flatten(1)
    return layer.wide(x) if hasattr(layer, "wide") else layer(x)
