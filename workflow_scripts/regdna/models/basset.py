"""Basset: three convolutions and two dense layers on one-hot sequence.

Source: Kelley, Snoek and Rinn 2016, Genome Research 26:990; layer sizes of the published model are the defaults.
"""

import numpy as np
import torch
from torch import nn


class Basset(nn.Module):
    """Logits of every target from codes, uint8 (n, L); unpadded convolutions, as published.

    Args:
        length: L in bp.
        outputs: number of targets.
        filters, widths, pools: of the convolutions, first to last.
        hidden: units of both dense layers.
        dropout: after each dense layer.

    Raises:
        ValueError: L is too short for the layers.
    """

    def __init__(self, length: int, outputs: int, filters: list[int], widths: list[int], pools: list[int], hidden: int, dropout: float):
        super().__init__()
        if not len(filters) == len(widths) == len(pools):
            raise ValueError(
                f"filters, widths and pools have {len(filters)}, {len(widths)} and {len(pools)} entries; give one a convolution"
            )
        layers: list[nn.Module] = []
        channels, left = 4, length
        for count, width, pool in zip(filters, widths, pools, strict=True):
            layers += [nn.Conv1d(channels, count, width), nn.BatchNorm1d(count), nn.ReLU(), nn.MaxPool1d(pool)]
            channels, left = count, (left - width + 1) // pool
            if left < 1:
                raise ValueError(f"{length} bp are too short for Basset with widths {widths} and pools {pools}; pool less")
        layers.append(nn.Flatten())
        units = channels * left
        for _ in range(2):
            layers += [nn.Linear(units, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout)]
            units = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(units, outputs))
        self.register_buffer("one_hot", torch.eye(5, 4), persistent=False)  # N is all zeros

    def encode(self, codes: np.ndarray) -> dict[str, torch.Tensor]:
        """What ``forward`` takes, from codes, uint8 (n, L)."""
        return {"codes": torch.from_numpy(np.ascontiguousarray(codes))}

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Logits, float (n, outputs)."""
        return self.layers(self.one_hot[codes.long()].transpose(1, 2))


def build(parameters: dict, length: int, outputs: int) -> Basset:
    """A Basset with fresh weights, drawn from torch's generator."""
    return Basset(length, outputs, **parameters)
