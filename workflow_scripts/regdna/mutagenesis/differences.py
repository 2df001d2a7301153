"""Substitutions under a convolutional network as differences to the reference that are carried from layer to layer.

An edit changes a handful of positions of each layer. Each changed position is multiplied with all taps of the next convolution, the
products are added where they fall, and activation and pool are applied relative to the reference, so that a small difference is
computed as a small number; the first dense layer is a sum over the changed positions. What is computed is exact, what is saved is what
does not change (fastISM, Nair et al. 2022, Bioinformatics 38:2397, recomputes the changed stretch of each layer instead).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from regdna.mutagenesis import kernels
from regdna.mutagenesis.stack import Convolution, Reference, Stack

PARTS = 16  # positions of the first dense layer that are laid out at a time
EDITS = 768  # carried together: each position's part of the first dense layer is read once for them
HELD = 2**20  # numbers of the products that are held at once, less than what a processor's caches hold
# oneDNN uses the widest instructions of every processor, which torch's other library does not.
ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


@dataclass(frozen=True)
class Rows:
    """Which pooled positions of a layer each edit may change: ``count`` from ``at`` on, both int64 (n,)."""

    at: np.ndarray
    count: np.ndarray

    @property
    def bounds(self) -> np.ndarray:
        """Where the rows of each edit begin, int64 (n + 1,)."""
        return np.r_[0, np.cumsum(self.count)]

    def __getitem__(self, part: slice) -> "Rows":
        return Rows(self.at[part], self.count[part])

    def through(self, layer: Convolution, pooled: int) -> "Rows":
        """Those of the next layer, which has ``pooled`` positions."""
        low = np.maximum(self.at + layer.padding - layer.weight.shape[-1] + 1, 0)
        high = np.minimum(self.at + self.count - 1 + layer.padding, pooled * layer.pool - 1)
        at = low // layer.pool
        return Rows(at, np.where((self.count > 0) & (high >= low), high // layer.pool - at + 1, 0))

    def positions(self) -> np.ndarray:
        """The position of each row, int64 (rows,)."""
        return np.repeat(self.at - self.bounds[:-1], self.count) + np.arange(self.bounds[-1])


def changes(
    stack: Stack, reference: Reference, codes: np.ndarray, window: np.ndarray, where: np.ndarray, base: np.ndarray, half: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Change of the logits by each of n substitutions, in blocks: which edits, int64 (b,), and of the network's type (b, T).

    Args:
        stack: the network.
        reference: what ``stack.refer`` gives of the codes.
        codes: windows, uint8 (s, L).
        window, where, base: of each edit, its window, the index into it, and the code of its new base: int64, int64, uint8 (n,).
        half: whether differences are multiplied in bfloat16, but for the last layer; sums, activations and the rest stay as they are.
    """
    # Windows side by side: those that share a position of the network share its weights.
    order = np.argsort(where, kind="stable")
    blocks = [order[at : at + EDITS] for at in range(0, len(order), EDITS)]
    if not blocks:
        return
    if stack.device.type == "cpu":
        carry: Callable = _OnProcessor(stack, reference, codes, half, where).carry
    else:
        from regdna.mutagenesis.gathered import Gathered

        carry = Gathered(stack, reference, codes, half).carry
    threads = torch.get_num_threads()
    workers = min(threads, len(blocks)) if stack.device.type == "cpu" else 1
    if workers == 1:
        for block in blocks:
            yield block, carry(window[block], where[block], base[block])
        return
    # A block is a thread's from the first layer to the last: nothing waits for others, and each has its own caches.
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from zip(blocks, pool.map(lambda block: carry(window[block], where[block], base[block]), blocks), strict=True)
    finally:
        torch.set_num_threads(threads)


class _OnProcessor:
    """Differences on the CPU: matrix products by oneDNN, what is between them compiled."""

    def __init__(self, stack: Stack, reference: Reference, codes: np.ndarray, half: bool, where: np.ndarray):
        self.stack, self.codes, self.half = stack, codes, half
        self.type = np.dtype(str(stack.dtype).removeprefix("torch."))
        self.table = stack.substitutions().numpy()
        self.layers = [(one.relative.numpy(), one.low.numpy()) for one in reference.convolutions]
        self.dense = [(one.relative.numpy(), one.low.numpy()) for one in reference.dense]
        # (taps and filters, channels): all taps of a position are one product.
        self.multiply = [multiplier(one.weight.permute(2, 0, 1).flatten(0, 1).to(stack.dtype), half) for one in stack.convolutions[1:]]
        places = np.unique(self._through(np.sort(where))[-1].positions())
        self.first = int(places[0]) if len(places) else 0
        self.parts = self._parts(self.first, int(places[-1]) + 1 if len(places) else 0, half)

    def _parts(self, first: int, last: int, half: bool) -> list[Callable]:
        """What multiplies with the first dense layer's weights of each position from ``first`` to ``last``."""
        weight = self.stack.dense[0].weight
        channels = self.stack.convolutions[-1].weight.shape[0]
        parts = []
        for at in range(first, last, PARTS):
            held = np.empty((min(PARTS, last - at), len(weight), channels), self.type)
            kernels.split(weight.numpy(), at, held)
            parts += [multiplier(torch.from_numpy(one), half) for one in held]
        return parts

    def _through(self, where: np.ndarray) -> list[Rows]:
        """The rows of every layer, the sequence before the first."""
        rows = [Rows(where, np.ones_like(where))]
        for layer, (_, low) in zip(self.stack.convolutions, self.layers, strict=True):
            rows.append(rows[-1].through(layer, low.shape[1]))
        return rows

    @torch.inference_mode()
    def carry(self, window: np.ndarray, where: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Change of the logits by some edits, (n, T); ``where`` ascends."""
        rows = self._through(where)
        change = np.empty(0, self.type)
        for depth, layer in enumerate(self.stack.convolutions):
            after = rows[depth + 1]
            places = after.positions()
            target = np.arange(len(places))
            if depth + 1 == len(self.layers):
                # The rows of a position side by side, for the dense layer; edits in their order.
                order = np.argsort(places, kind="stable")
                target = np.empty_like(order)
                target[order] = np.arange(len(order))
            held, change = change, np.empty((len(places), layer.weight.shape[0]), self.type)
            relative, low = self.layers[depth]
            about = (layer.padding, relative, low, self.type.type(layer.cut.gap), layer.pool)
            if depth == 0:
                kernels.begin(self.codes, window, where, base, self.table, *about, after.at, after.count, target, change)
                continue
            begin, end = rows[depth].bounds, after.bounds
            step = max(1, HELD * len(where) // max(1, int(begin[-1]) * layer.weight[..., 0].shape[0] * layer.weight.shape[-1]))
            for start in range(0, len(where), step):
                some = slice(start, start + step)
                stop = min(start + step, len(where))
                products = self.multiply[depth - 1](held[begin[start] : begin[stop]])
                products = products.reshape(len(products), layer.weight.shape[-1], layer.weight.shape[0])
                before, here = rows[depth][some], after[some]
                kernels.carry(
                    window[some], before.at, before.count, products, *about, here.at, here.count, target[end[start] : end[stop]], change
                )
        return self._carry_dense(change, rows[-1], window)

    def _carry_dense(self, change: np.ndarray, rows: Rows, window: np.ndarray) -> np.ndarray:
        places = rows.positions()
        order = np.argsort(places, kind="stable")
        bounds = np.flatnonzero(np.diff(places[order], prepend=-1, append=-1))
        edit = np.repeat(np.arange(len(window)), rows.count)[order]
        units = np.zeros((len(window), self.stack.dense[0].weight.shape[0]), self.type)
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
            # Edits in the order of the sequence that change one position follow each other.
            some = slice(edit[begin], edit[begin] + end - begin)
            units[some] += self.parts[places[order[begin]] - self.first](change[begin:end])
        for layer, after, (relative, low) in zip(self.stack.dense[:-1], self.stack.dense[1:], self.dense, strict=True):
            # Units that are off in every window and stay so, often half of them, are left out of the product.
            alive = np.flatnonzero(kernels.cut(units, window, relative, low, self.type.type(layer.cut.gap)))
            units = multiplier(after.weight[:, alive], self.half and after.cut is not None)(np.ascontiguousarray(units[:, alive]))
        return units


def multiplier(weight: torch.Tensor, half: bool) -> Callable[[np.ndarray], np.ndarray]:
    """A function from x, (n, inputs), to x weight^T, (n, units), in bfloat16 where ``half`` asks for it; ``weight`` is (units, inputs)."""
    if half:
        narrow = weight.bfloat16()
        return lambda x: functional.linear(torch.from_numpy(x).bfloat16(), narrow).float().numpy()
    if weight.dtype == torch.float32 and weight.numel() and ONEDNN is not None:
        laid = weight.to_mkldnn()
        return lambda x: ONEDNN(torch.from_numpy(x), laid, None, "none", [], "").numpy()
    return lambda x: (torch.from_numpy(x) @ weight.T).numpy()
