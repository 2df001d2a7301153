"""What is put on an encoder: mask-aware mean pooling and one linear layer."""

from typing import Protocol

import numpy as np
import torch
from torch import nn


class Tokeniser(Protocol):
    """Codes to token ids and mask."""

    def encode(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ids, int64 (n, T), and mask, bool (n, T), of codes, uint8 (n, L)."""


class EncoderClassifier(nn.Module):
    """An encoder, the mean of its last hidden state over tokens that are not padding, dropout, a linear layer.

    Args:
        encoder: called with ``input_ids`` and ``attention_mask``, (n, T); gives float (n, T, width).
        tokeniser: makes those from codes.
        width: of the hidden state.
        outputs: number of targets.
    """

    def __init__(self, encoder: nn.Module, tokeniser: Tokeniser, width: int, outputs: int):
        super().__init__()
        self.encoder, self.tokeniser = encoder, tokeniser
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(width, outputs)

    def encode(self, codes: np.ndarray) -> dict[str, torch.Tensor]:
        """What ``forward`` takes, from codes, uint8 (n, L)."""
        ids, mask = self.tokeniser.encode(codes)
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """The pooled hidden state, float (n, width)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        weight = attention_mask[..., None].to(hidden.dtype)
        return (hidden * weight).sum(1) / weight.sum(1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits, float (n, outputs)."""
        return self.head(self.dropout(self.embed(input_ids, attention_mask)))
