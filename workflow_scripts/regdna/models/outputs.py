"""What every network answers with."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class Output(ModelOutput):
    """The answer of a network to a batch of n sequences; what a network does not have is None.

    Attributes:
        probabilities: of each target, float (n, targets); of networks on codes.
        logits: of each target, float (n, targets), or of each token of a masked language model, float (n, T, vocabulary).
        last_hidden_state: of each token, float (n, T, width).
        hidden_states: the embedding and every layer's output, each float (n, T, width); where they were asked for.
    """

    probabilities: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
