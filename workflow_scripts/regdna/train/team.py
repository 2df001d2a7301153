"""The processes of one training job, one a GPU: what they tell each other. One process is a team too."""

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from regdna.models.precision import resolve


class Team:
    """This process among those of its job, over accelerate.

    Gradients are summed here, after the last micro-batch, and not by DistributedDataParallel while they are computed: a process
    that runs out of memory would leave the others waiting in a sum that it never joins.

    Args:
        precision: ``auto``, ``bf16`` or ``float32``.

    Attributes:
        device: where this process computes.
        size, rank: number of processes, and this one's, from 0.
        precision: ``bf16`` or ``float32``.
    """

    def __init__(self, precision: str):
        self.precision = resolve(precision)
        AcceleratorState._reset_state(reset_partial_state=False)  # the precision of an earlier training in this process
        self._accelerator = Accelerator(mixed_precision="bf16" if self.precision == "bf16" else "no", cpu=not torch.cuda.is_available())
        # Of several processes on CPUs each has one by number, which torch.load knows nothing of.
        self.device = self._accelerator.device if torch.cuda.is_available() else torch.device("cpu")
        self.size, self.rank = self._accelerator.num_processes, self._accelerator.process_index
        self.autocast = self._accelerator.autocast

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def seed(self, *key: int) -> None:
        """Have this process's generators begin anew, at a place that is a function of the key and of its rank."""
        # Not torch.manual_seed: it writes down a stack trace for each kind of device that is not there.
        state = int(np.random.SeedSequence((*key, self.rank)).generate_state(1, np.uint64)[0] >> 1)
        torch.default_generator.manual_seed(state)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(state)

    def share(self, rows: np.ndarray) -> np.ndarray:
        """This process's part of rows: every ``size``-th."""
        return rows[self.rank :: self.size]

    def highest(self, *numbers: int) -> list[int]:
        """The highest of each number that any process holds."""
        if self.size == 1:
            return list(numbers)
        told = torch.tensor(numbers, device=self.device)
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
        return told.tolist()

    def sum_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Replace every gradient by its sum over the processes."""
        if self.size == 1:
            return
        for one in parameters:
            if one.grad is None:  # no window of this process's part reached it
                one.grad = torch.zeros_like(one)
        for some in _bundles([one.grad for one in parameters]):
            flat = torch._utils._flatten_dense_tensors(some)
            torch.distributed.all_reduce(flat)
            for gradient, summed in zip(some, torch._utils._unflatten_dense_tensors(flat, some), strict=True):
                gradient.copy_(summed)

    def sum(self, number: torch.Tensor) -> torch.Tensor:
        """The sum of a tensor over the processes."""
        return self._accelerator.reduce(number, "sum") if self.size > 1 else number

    def average_buffers(self, net: nn.Module) -> None:
        """Give every process the mean of what normalisation layers have seen; counts are equal anyway."""
        if self.size > 1:
            for buffer in net.buffers():
                if buffer.is_floating_point():
                    torch.distributed.all_reduce(buffer)
                    buffer /= self.size

    def whole(self, part: np.ndarray, count: int) -> np.ndarray:
        """Rows of all processes in order, (count, ...), from each one's ``share`` of them."""
        if self.size == 1:
            return part
        parts: list = [None] * self.size
        torch.distributed.all_gather_object(parts, part)
        out = np.empty((count, *parts[0].shape[1:]), parts[0].dtype)
        for rank, rows in enumerate(parts):
            if len(rows):  # fewer rows than processes leave some without
                out[rank :: self.size] = rows
        return out


def _bundles(tensors: list[torch.Tensor], most: int = 1 << 28) -> list[list[torch.Tensor]]:
    """Tensors in bundles of about ``most`` bytes and one type each, so that they travel together."""
    bundles: list[list[torch.Tensor]] = []
    size = 0
    for one in sorted(tensors, key=lambda tensor: str(tensor.dtype)):
        if not bundles or size + one.nbytes > most or bundles[-1][0].dtype != one.dtype:
            bundles.append([])
            size = 0
        bundles[-1].append(one)
        size += one.nbytes
    return bundles
