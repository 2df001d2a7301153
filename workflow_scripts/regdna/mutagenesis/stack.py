"""Convolutional networks as a list of numbers: convolutions with their normalisation folded in, then dense layers."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from regdna.models.cnn import SequenceNetwork

FIT = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Cut:
    """What an activation does: x stays where it is above ``threshold``, else it becomes ``value``; a ReLU has 0 and 0."""

    threshold: float
    value: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Of the shape of ``x``."""
        return torch.where(x > self.threshold, x, self.value)

    @property
    def gap(self) -> float:
        """From the threshold to what is put below it."""
        return self.value - self.threshold


@dataclass(frozen=True)
class Convolution:
    """A convolution, its activation and its pool.

    Attributes:
        weight, bias: normalisation folded in, float64 (filters, channels, width) and (filters,).
        padding: zeros at each end.
        cut: the activation.
        pool: positions of which the highest is kept; 1 for no pool.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    padding: int
    cut: Cut
    pool: int


@dataclass(frozen=True)
class Dense:
    """A dense layer and its activation.

    Attributes:
        weight, bias: normalisation folded in, of the network's type (units, inputs), and float64 (units,).
        cut: the activation; None for the last layer.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    cut: Cut | None


@dataclass
class Layer:
    """What a layer does to a reference, in the terms that differences need; s windows.

    Attributes:
        relative: what comes before the activation less what comes out of its pool, (s, pooled positions * pool, filters) or (s, units).
            Of the highest of a pool that the activation passes, it is 0.
        low: the activation's threshold less what comes out, (s, pooled positions, filters) or (s, units).
    """

    relative: torch.Tensor
    low: torch.Tensor


@dataclass
class Reference:
    """A network's layers on s windows, of the network's type, computed in float64; and its logits, float64 (s, T)."""

    convolutions: list[Layer] = field(default_factory=list)
    dense: list[Layer] = field(default_factory=list)
    logits: torch.Tensor | None = None


@dataclass(frozen=True)
class Stack:
    """A network that is nothing but convolutions and then dense layers.

    Attributes:
        network: it.
        convolutions, dense: its layers, each one at least.
    """

    network: SequenceNetwork
    convolutions: list[Convolution]
    dense: list[Dense]

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.network.last.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.last.weight.device

    def substitutions(self) -> torch.Tensor:
        """By how much the first convolution's product changes, (width, 4, 4, filters): by tap, reference base and new base."""
        first = self.convolutions[0].weight
        by_base = first[:, [self.network.order.index(letter) for letter in "ACGT"]].permute(2, 1, 0)
        return (by_base[:, None] - by_base[:, :, None]).to(self.dtype).contiguous()

    def refer(self, codes: np.ndarray) -> Reference:
        """The layers on windows of codes, uint8 (s, L)."""
        out = Reference()
        x = self.network.one_hot(torch.from_numpy(np.ascontiguousarray(codes)).to(self.device)).double()
        for one in self.convolutions:
            before = functional.conv1d(x, one.weight, one.bias, padding=one.padding)
            before = before[..., : before.shape[-1] // one.pool * one.pool]
            x = one.cut(before).unflatten(-1, (-1, one.pool)).amax(-1)
            relative = before - x.repeat_interleave(one.pool, -1)
            out.convolutions.append(Layer(self._kept(relative), self._kept(one.cut.threshold - x)))
        x = x.flatten(1)
        for one in self.dense:
            before = one.bias + _wide_product(x, one.weight)
            x = before if one.cut is None else one.cut(before)
            if one.cut is not None:
                out.dense.append(Layer((before - x).to(self.dtype), (one.cut.threshold - x).to(self.dtype)))
        out.logits = x
        return out

    def _kept(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2).to(self.dtype).contiguous()


def _wide_product(x: torch.Tensor, weight: torch.Tensor, rows: int = 8) -> torch.Tensor:
    """x weight^T in float64, (s, units), without a copy of all of the weight."""
    return torch.cat([x @ some.double().T for some in weight.split(rows)], 1)


def read(network: nn.Module) -> Stack | None:
    """The layers of a network in evaluation mode, or None where it has any that are not known here.

    A convolution is plain (stride and dilation 1, no groups, zeros at its ends if any), perhaps normalised, cut off below by a ReLU
    or a threshold, perhaps pooled; a dense layer is perhaps normalised, and cut off unless it is the last.
    """
    if not isinstance(network, SequenceNetwork) or network.last.weight.dtype not in FIT or network.training:
        return None
    layers = [one for one in network.layers if type(one) is not nn.Dropout]
    convolutions, dense = [], []
    while layers and _plain(layers[0]):
        conv = layers.pop(0)
        weight, bias = _normalised(conv.weight, conv.bias, layers)
        cut, pool = _activation(layers)
        if cut is None:
            return None
        convolutions.append(Convolution(weight, bias, conv.padding[0], cut, pool))
    if not convolutions or not layers or type(layers[0]) is not nn.Flatten:
        return None
    layers.pop(0)
    while layers and type(layers[0]) is nn.Linear:
        linear = layers.pop(0)
        weight, bias = _normalised(linear.weight, linear.bias, layers)
        cut = _cut(layers.pop(0)) if layers else None
        dense.append(Dense(weight.to(linear.weight.dtype), bias, cut))
        if cut is None:
            # The one without is the last, and has nothing behind it.
            return Stack(network, convolutions, dense) if linear is network.last and not layers else None
    return None


def _plain(layer: nn.Module) -> bool:
    return (
        type(layer) is nn.Conv1d
        and (layer.stride, layer.dilation, layer.groups, layer.padding_mode) == ((1,), (1,), 1, "zeros")
        and not isinstance(layer.padding, str)
    )


def _normalised(weight: torch.Tensor, bias: torch.Tensor | None, layers: list[nn.Module]) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias, float64, with the normalisation that begins ``layers`` folded in and taken off, where one does."""
    weight = weight.detach()
    bias = weight.new_zeros(len(weight), dtype=torch.float64) if bias is None else bias.detach().double()
    if not layers or type(layers[0]) is not nn.BatchNorm1d or layers[0].running_mean is None:
        # A dense layer may hold most of the network: no copy of it in double precision.
        return weight.double() if weight.ndim == 3 else weight, bias
    norm = layers.pop(0)
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        scale, shift = scale * norm.weight.detach().double(), shift * norm.weight.detach().double() + norm.bias.detach().double()
    return weight.double() * scale.reshape(-1, *[1] * (weight.ndim - 1)), bias * scale + shift


def _activation(layers: list[nn.Module]) -> tuple[Cut | None, int]:
    """The activation and the pool that begin ``layers``, taken off; the activation is None where they are of another kind."""
    pooled_first = bool(layers) and type(layers[0]) is nn.MaxPool1d
    pool = _pool(layers.pop(0)) if pooled_first else 1
    cut = _cut(layers.pop(0)) if layers else None
    # The highest of what is cut off is what is cut off of the highest, if what is put below the threshold is not above it.
    if cut is None or pool == 0 or (pooled_first and cut.gap > 0):
        return None, 1
    if not pooled_first and layers and type(layers[0]) is nn.MaxPool1d:
        pool = _pool(layers.pop(0))
    return (None if pool == 0 else cut), pool


def _cut(layer: nn.Module) -> Cut | None:
    if type(layer) is nn.ReLU:
        return Cut(0.0, 0.0)
    return Cut(layer.threshold, layer.value) if type(layer) is nn.Threshold else None


def _pool(layer: nn.MaxPool1d) -> int:
    """How many positions a pool takes; 0 where its windows overlap, leave gaps or reach beyond the ends."""
    size, *more = [one[0] if isinstance(one, tuple) else one for one in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)]
    return size if more == [size, 0, 1] and not layer.ceil_mode else 0
