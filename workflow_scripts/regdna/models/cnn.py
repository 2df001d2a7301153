"""Networks on one-hot sequence: what Basset, DeepSEA and Basenji have in common."""

import numpy as np
import torch
from torch import nn

from regdna.models import wide
from regdna.models.outputs import Output
from regdna.models.precision import full

INTEGERS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
WIDE = {torch.uint16, torch.uint32, torch.uint64}  # torch stores these, but computes little with them


class SequenceNetwork(nn.Module):
    """Codes to one-hot, on the device of the weights, to logits; a subclass makes ``layers``.

    Attributes:
        layers: from one-hot, float (n, 4, length), to logits, float (n, targets); the last is an ``nn.Linear``.
        length: context in bp.
        sizes: what ``build`` of the subclass's module makes the same layers from.
        order: the letter of each one-hot channel.
        average_strands: probabilities are the mean over both strands; logits stay those of the strand given.
        exclusive: targets exclude each other, so that probabilities are a softmax; else each is a sigmoid.
    """

    layers: nn.Sequential

    def __init__(self, length: int, sizes: dict, order: str = "ACGT"):
        super().__init__()
        self.length, self.sizes, self.order = length, sizes, order
        self.average_strands = self.exclusive = False

    @property
    def last(self) -> nn.Linear:
        """The layer that makes the logits; to have another, call ``replace_last``."""
        return self.layers[-1]

    def replace_last(self, outputs: int) -> None:
        """Put a fresh last layer for ``outputs`` targets in the place of the old, of its type and on its device."""
        old = self.last
        self.layers[-1] = nn.Linear(old.in_features, outputs, device=old.weight.device, dtype=old.weight.dtype)

    def encode(self, codes: np.ndarray) -> dict[str, torch.Tensor]:
        """What ``forward`` takes, from codes, uint8 (n, length)."""
        return {"codes": torch.from_numpy(np.ascontiguousarray(codes))}

    def one_hot(self, codes: torch.Tensor) -> torch.Tensor:
        """One-hot of codes, (n, L) of any signed integer type or uint8; (n, 4, L) of the weights' type, zeros where code > 3."""
        return torch.stack([codes == "ACGT".index(letter) for letter in self.order], 1).to(self.last.weight.dtype)

    def forward(self, codes: torch.Tensor | np.ndarray) -> Output:
        """Logits and probabilities, float (n, targets).

        Args:
            codes: of any integer type, (n, length); A 0, C 1, G 2, T 3, anything else is N.

        Raises:
            ValueError: codes of another shape.
            TypeError: codes that are no integers.
        """
        if isinstance(codes, np.ndarray):
            codes = self.encode(codes)["codes"]
        codes = self._checked(codes.to(self.last.weight.device))
        logits = self._logits(self.one_hot(codes))
        probabilities = self._activate(logits)
        if self.average_strands:
            # 3 - code is the complement; of N (4) it is -1 or 255, N again.
            other = self._logits(self.one_hot((3 - codes).flip(1)))
            probabilities = (probabilities + self._activate(other)) / 2
        return Output(probabilities=probabilities, logits=logits)

    def _logits(self, sequence: torch.Tensor) -> torch.Tensor:
        units = wide.run(self.layers[:-1], sequence)
        with full(units.device):
            return self.last(units.to(self.last.weight.dtype))

    def _checked(self, codes: torch.Tensor) -> torch.Tensor:
        if codes.dtype not in INTEGERS | WIDE:
            raise TypeError(f"codes are integers, not {codes.dtype}")
        if codes.ndim != 2 or codes.shape[1] != self.length:
            raise ValueError(f"this network takes codes of {self.length} bp, (n, {self.length}); these are {tuple(codes.shape)}")
        return codes.long() if codes.dtype in WIDE else codes

    def _activate(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.softmax(1) if self.exclusive else logits.sigmoid()
