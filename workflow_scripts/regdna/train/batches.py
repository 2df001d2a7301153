"""Batches: which windows make an update, how they are changed, and how they are put side by side."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from regdna.alphabet import N, reverse_complement
from regdna.train.data import Data
from regdna.train.team import Team

TOKENS = 65536  # of a micro-batch, padding included, at most
LAUNCH = 256  # tokens that a further micro-batch costs as much as, in time


@dataclass
class Batch:
    """The windows of one update, as one process sees them.

    Attributes:
        number: of the batch in its epoch, from 0.
        size: windows of all processes.
        inputs: what the network takes of this process's windows, tensors (n, ...), on the CPU.
        labels, known: bool tensors (n, T); known is None where every label is.
        weight: of each label in the update's loss: one over the number of known labels (or windows, where targets exclude each
            other) of all processes.
        lengths: tokens of each window, int64 (n,), or None where all are equally long.
    """

    number: int
    size: int
    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor
    known: torch.Tensor | None
    weight: float
    lengths: np.ndarray | None

    def parts(self, most: int) -> list[tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor | None]]:
        """The batch in micro-batches of at most ``most`` windows: inputs, labels, known.

        Windows are put side by side by their length and padded no further than the longest among them, so that little is
        computed on padding; which windows make an update stays the same.
        """
        if self.lengths is None:
            cuts = [slice(at, at + most) for at in range(0, len(self.labels), most)]
            if len(cuts) == 1:
                return [(self.inputs, self.labels, self.known)]
            return [self._part(cut, {name: value[cut] for name, value in self.inputs.items()}) for cut in cuts]
        order = np.argsort(self.lengths, kind="stable")
        found = []
        for first, last in side_by_side(self.lengths[order], most):
            chosen = torch.from_numpy(order[first:last])
            longest = int(self.lengths[order[last - 1]])
            found.append(self._part(chosen, {name: value[chosen][:, :longest] for name, value in self.inputs.items()}))
        return found

    def _part(self, chosen, inputs: dict[str, torch.Tensor]):
        return inputs, self.labels[chosen], None if self.known is None else self.known[chosen]


def side_by_side(lengths: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Cuts [first, last) of windows sorted by length into micro-batches so that the fewest tokens, padding included, are computed.

    A micro-batch costs its windows times the longest, and ``LAUNCH`` tokens for itself. The best cuts are found by dynamic
    programming over where the last one begins.

    Args:
        lengths: int (n,), ascending.
        most: windows in a micro-batch; nor has it more than ``TOKENS`` tokens, unless one window alone has.
    """
    count = len(lengths)
    best = np.zeros(count + 1)
    came = np.zeros(count + 1, np.int64)
    for last in range(1, count + 1):
        longest = lengths[last - 1]
        first = np.arange(max(0, last - max(1, min(most, TOKENS // max(1, longest)))), last)
        costs = best[first] + (last - first) * longest + LAUNCH
        at = int(costs.argmin())
        best[last], came[last] = costs[at], first[at]
    cuts, last = [], count
    while last:
        cuts.append((int(came[last]), last))
        last = int(came[last])
    return cuts[::-1]


class Batches:
    """The batches of every epoch; each is a function of seed, epoch and number, so that training may begin anywhere.

    Args:
        data: the dataset.
        encode: of the network: codes, uint8 (n, L), to what it takes.
        settings: batch_size, reverse_complement, shift.
        seed: of the run.
        team: the processes that share each batch.
    """

    def __init__(self, data: Data, encode: Callable, settings: dict, seed: int, team: Team):
        self.data, self.encode, self.settings, self.seed, self.team = data, encode, settings, seed, team
        self.rows, self.width = data.rows("train"), len(data.targets.names)
        sizes = [min(settings["batch_size"], len(self.rows) - at) for at in range(0, len(self.rows), settings["batch_size"])]
        if len(sizes) > 1 and sizes[-1] < 2 * team.size:
            sizes.pop()  # normalisation has no variance on one window
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def epoch(self, epoch: int, begin: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number ``begin`` on; where a GPU computes, each is made while it does the one before."""
        order = np.random.default_rng((self.seed, epoch)).permutation(self.rows)
        if self.team.device.type == "cpu":
            yield from (self._make(order, epoch, number) for number in range(begin, len(self)))
            return
        with ThreadPoolExecutor(1) as ahead:
            made = ahead.submit(self._make, order, epoch, begin)
            for number in range(begin, len(self)):
                batch = made.result()
                if number + 1 < len(self):
                    made = ahead.submit(self._make, order, epoch, number + 1)
                yield batch

    def _make(self, order: np.ndarray, epoch: int, number: int) -> Batch:
        first = number * self.settings["batch_size"]
        rows = order[first : first + self.sizes[number]]
        # Drawn for the whole batch, so that a window is changed in the same way whichever process sees it.
        other, moved = draw_changes(np.random.default_rng((self.seed, epoch, number)), len(rows), self.settings)
        mine = self.team.share(np.arange(len(rows)))
        inputs = self.encode(augment(self.data.sequences[rows[mine]], other[mine], moved[mine]))
        known = self.data.targets.known(rows)
        weight = 1 / len(rows) if self.data.exclusive else 1 / max(1, len(rows) * self.width if known is None else known.sum())
        mask = inputs.get("attention_mask")
        lengths = None if mask is None else mask.sum(1).numpy()
        return Batch(
            number,
            len(rows),
            inputs,
            torch.from_numpy(self.data.targets[rows[mine]]),
            None if known is None else torch.from_numpy(known[mine]),
            float(weight),
            None if lengths is None or (lengths == lengths.max()).all() else lengths,
        )


def draw_changes(draw: np.random.Generator, count: int, settings: dict) -> tuple[np.ndarray, np.ndarray]:
    """Which windows are shown on the other strand, bool (count,), and by how many bp each is shifted, int64 (count,)."""
    other = draw.random(count) < 0.5 if settings["reverse_complement"] else np.zeros(count, bool)
    moved = draw.integers(-settings["shift"], settings["shift"] + 1, count) if settings["shift"] else np.zeros(count, np.int64)
    return other, moved


def augment(codes: np.ndarray, other: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Codes on the other strand where ``other``, shifted by ``moved`` bp, uint8 (n, L).

    A shift moves the window's content and fills the end with N.
    """
    if other.any():
        codes = np.where(other[:, None], reverse_complement(codes), codes)
    if moved.any():
        source = np.arange(codes.shape[1])[None] + moved[:, None]
        inside = (source >= 0) & (source < codes.shape[1])
        codes = np.where(inside, np.take_along_axis(codes, np.where(inside, source, 0), 1), N).astype(np.uint8)
    return codes
