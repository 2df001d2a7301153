"""Differences in operations that every device has: as many positions for every edit, what an edit does not change gathered beside it."""

import numpy as np
import torch

from regdna.mutagenesis.stack import Convolution, Layer, Reference, Stack


class Gathered:
    """The same as on the CPU, on the device of the weights."""

    def __init__(self, stack: Stack, reference: Reference, codes: np.ndarray, half: bool):
        self.stack, self.reference, self.half = stack, reference, half
        self.codes = torch.from_numpy(np.ascontiguousarray(codes)).to(stack.device)
        self.table = stack.substitutions()
        # (channels, taps and filters): all taps of a position are one product.
        self.weights = [one.weight.permute(1, 2, 0).flatten(1).to(stack.dtype) for one in stack.convolutions[1:]]
        first = stack.dense[0].weight
        # (positions, channels, units)
        self.parts = first.unflatten(1, (stack.convolutions[-1].weight.shape[0], -1)).permute(2, 1, 0).contiguous()

    @torch.inference_mode()
    def carry(self, window: np.ndarray, where: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Change of the logits by some edits, (n, T)."""
        device = self.stack.device
        row, at, new = (torch.from_numpy(np.ascontiguousarray(one)).to(device) for one in (window, where, base))
        layer, width = self.stack.convolutions[0], len(self.table)
        old = self.codes[row, at].long()
        # The last tap falls on the first position that changes.
        change = self.table.flip(0)[:, old, new.long()].transpose(0, 1)
        change, at = self._pooled(change, at + layer.padding - width + 1, row, layer, self.reference.convolutions[0])
        for layer, weight, reference in zip(self.stack.convolutions[1:], self.weights, self.reference.convolutions[1:], strict=True):
            width, count = layer.weight.shape[-1], change.shape[1]
            products = self._product(change, weight).unflatten(-1, (width, -1))
            change = products.new_zeros(len(row), count + width - 1, products.shape[-1])
            for tap in range(width):
                change[:, width - 1 - tap : width - 1 - tap + count] += products[:, :, tap]
            change, at = self._pooled(change, at + layer.padding - width + 1, row, layer, reference)
        return self._dense(change, at, row).cpu().numpy()

    def _product(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return (x.bfloat16() @ weight.bfloat16()).to(x.dtype) if self.half else x @ weight

    @staticmethod
    def _pooled(
        change: torch.Tensor, first: torch.Tensor, row: torch.Tensor, layer: Convolution, reference: Layer
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Differences through activation and pool: (n, places, filters), 0 beyond the layer's ends, and the first place of each, (n,).

        Args:
            change: of the product, from position ``first`` (n,) on, which may be beyond an end; (n, positions, filters).
            row: window of each edit, (n,).
        """
        count, pool, pooled = change.shape[1], layer.pool, reference.low.shape[1]
        at = first.div(pool, rounding_mode="floor")
        places = at[:, None] + torch.arange((count + pool - 2) // pool + 1, device=change.device)
        aligned = change.new_zeros(len(change), places.shape[1] * pool, change.shape[2])
        index = (first - at * pool)[:, None] + torch.arange(count, device=change.device)
        aligned.scatter_(1, index[..., None].expand_as(change), change)
        held = places.clamp(0, pooled - 1)
        inner = (held[..., None] * pool + torch.arange(pool, device=change.device)).flatten(1)
        x = (reference.relative[row[:, None], inner] + aligned).unflatten(1, (-1, pool))
        low = reference.low[row[:, None], held][:, :, None]
        best = torch.where(x > low, x, low + layer.cut.gap).amax(2)
        return torch.where((places == held)[..., None], best, 0), at

    def _dense(self, change: torch.Tensor, at: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        units = change.new_zeros(len(row), self.parts.shape[2])
        for place in at.unique().tolist():
            begin, end = max(place, 0), min(place + change.shape[1], len(self.parts))
            if begin < end:
                some = torch.nonzero(at == place)[:, 0]
                units[some] = self._product(change[some, begin - place : end - place].flatten(1), self.parts[begin:end].flatten(0, 1))
        for layer, after, reference in zip(self.stack.dense[:-1], self.stack.dense[1:], self.reference.dense, strict=True):
            x, low = reference.relative[row] + units, reference.low[row]
            x = torch.where(x > low, x, low + layer.cut.gap)
            units = self._product(x, after.weight.T) if after.cut is not None else x @ after.weight.T
        return units
