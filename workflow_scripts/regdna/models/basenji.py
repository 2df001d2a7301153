"""Basenji: pooled convolutions, then a tower of dilated residual blocks, on one-hot sequence.

Source: Kelley et al. 2018, Genome Research 28:739; blocks in the order of Kelley 2020, PLoS Comput Biol 16:e1008050; the
registry's defaults are the sizes of the authors' small tutorial network. That network predicts coverage of 128-bp bins of 131 kb;
here one window has one label a target, so its last layer is flattened into one linear layer.
"""

import torch
from torch import nn
from torch.nn import functional

from regdna.models import geometry, wide
from regdna.models.cnn import SequenceNetwork

EPSILON = 1e-3  # of Keras' batch normalisation


class SigmoidGELU(nn.Module):
    """x * sigmoid(1.702 x), the approximation of GELU that Basenji was published with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the shape of ``x``."""
        return x * torch.sigmoid(1.702 * x)


class SamePool(nn.Module):
    """Max-pooling with TensorFlow's "same" padding: what is short of whole windows is padded, half of it, rounded down, in front."""

    def __init__(self, pool: int):
        super().__init__()
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float (n, C, ceil(L / pool)) from (n, C, L)."""
        short = -x.shape[-1] % self.pool
        return functional.max_pool1d(functional.pad(x, (short // 2, short - short // 2), value=-torch.inf), self.pool)

    def wide(self, x: torch.Tensor) -> torch.Tensor:
        """The same of (n, C, 1, L)."""
        short = -x.shape[-1] % self.pool
        return functional.max_pool2d(functional.pad(x, (short // 2, short - short // 2), value=-torch.inf), (1, self.pool))


class Dilated(nn.Module):
    """The input plus a dilated convolution and one of width 1 on it; at first the sum is the input, for the last scale is 0."""

    def __init__(self, channels: int, filters: int, dilation: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(*convolution(channels, filters, 3, dilation), *convolution(filters, channels, dropout=dropout))
        nn.init.zeros_(self.layers[-2].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float (n, C, L) from the same shape."""
        return x + self.layers(x)

    def wide(self, x: torch.Tensor) -> torch.Tensor:
        """The same of (n, C, 1, L)."""
        return x + wide.forward(self.layers, x)


def convolution(channels: int, filters: int, width: int = 1, dilation: int = 1, dropout: float = 0.0) -> list[nn.Module]:
    """Activation, convolution that keeps the length, normalisation, dropout. An even width has its odd zero behind, as in TensorFlow."""
    conv = nn.Conv1d(channels, filters, width, padding="same", dilation=dilation, bias=False)
    return [SigmoidGELU(), conv, nn.BatchNorm1d(filters, eps=EPSILON), nn.Dropout(dropout)]


class Basenji(SequenceNetwork):
    """Activation first, also of the one-hot sequence, as published; any length fits.

    Args:
        length: context in bp.
        outputs: number of targets.
        filters, widths, pools: of the pooled convolutions, first to last.
        dilated: filters of the dilated convolutions, of width 3.
        blocks: number of residual blocks.
        rate: by which the dilation grows from block to block; from 1, rounded.
        dropout: in each residual block.
        hidden, hidden_dropout: filters of the last convolution, of width 1, and dropout after it.

    Raises:
        ValueError: the length is below 1, the convolutions' lists are not as long, or the rate is below 1.
    """

    def __init__(
        self, length: int, outputs: int, filters: list[int], widths: list[int], pools: list[int], dilated: int, blocks: int, rate: float,
        dropout: float, hidden: int, hidden_dropout: float,
    ):  # fmt: skip
        sizes = {
            "filters": filters, "widths": widths, "pools": pools, "dilated": dilated, "blocks": blocks, "rate": rate, "dropout": dropout,
            "hidden": hidden, "hidden_dropout": hidden_dropout,
        }  # fmt: skip
        super().__init__(length, sizes)
        geometry.one_each(filters=filters, widths=widths, pools=pools)
        if rate < 1:
            raise ValueError(f"rate is {rate}; dilations grow from 1, give 1 or more")
        if length < 1:
            raise ValueError(f"{length} bp are too short for Basenji, which needs 1")
        layers: list[nn.Module] = []
        channels = 4
        for count, width, pool in zip(filters, widths, pools, strict=True):
            layers += [*convolution(channels, count, width), SamePool(pool)]
            channels = count
        layers += [Dilated(channels, dilated, round(rate**block), dropout) for block in range(blocks)]
        layers += [*convolution(channels, hidden, dropout=hidden_dropout), SigmoidGELU(), nn.Flatten()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden * geometry.padded(length, pools), outputs))


def build(parameters: dict, length: int, outputs: int) -> Basenji:
    """A Basenji with fresh weights, drawn from torch's generator."""
    return Basenji(length, outputs, **parameters)
