"""Nucleotide Transformer v2's encoder: transformers' ESM with rotary positions and a bias-free SwiGLU.

Source: Dalla-Torre et al. 2024, Nature Methods 22:287. The published weights are CC BY-NC-SA 4.0 (non-commercial).
"""

import torch
from torch import nn
from torch.nn import functional
from transformers import EsmConfig
from transformers.models.esm.modeling_esm import EsmModel

from regdna.models.heads import EncoderClassifier
from regdna.tokenisers import SixMer


class SwiGLU(nn.Module):
    """Replaces ESM's GELU intermediate: SiLU of the first half times the second."""

    def __init__(self, config: EsmConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, T, I) from (n, T, H)."""
        gate, up = self.dense(hidden).chunk(2, dim=-1)
        return functional.silu(gate) * up


class NucleotideTransformer(EsmModel):
    """The v2 encoder. ``encode_tokens`` gives the last hidden state, float (n, T, H), from ids and mask, (n, T)."""

    def __init__(self, config: EsmConfig):
        super().__init__(config, add_pooling_layer=False)
        for layer in self.encoder.layer:
            layer.intermediate = SwiGLU(config)
            layer.output.dense = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.contact_head = None  # predicts protein contacts; a DNA encoder has no use for it
        self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """The last hidden state, float (n, T, H)."""
        return super().forward(input_ids=input_ids, attention_mask=attention_mask.long()).last_hidden_state


def build(parameters: dict, length: int, outputs: int) -> EncoderClassifier:
    """An encoder with fresh weights under a classification head."""
    if parameters["hidden"] % (2 * parameters["heads"]):
        raise ValueError(f"hidden ({parameters['hidden']}) is no even multiple of heads ({parameters['heads']}); rotary positions need one")
    config = EsmConfig(
        vocab_size=SixMer.vocabulary,
        hidden_size=parameters["hidden"],
        num_hidden_layers=parameters["layers"],
        num_attention_heads=parameters["heads"],
        intermediate_size=parameters["intermediate"],
        hidden_dropout_prob=parameters["dropout"],
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=2050,
        position_embedding_type="rotary",
        layer_norm_eps=1e-12,
        pad_token_id=SixMer.pad,
        mask_token_id=2,
        token_dropout=False,
        emb_layer_norm_before=False,
        tie_word_embeddings=False,
    )
    return EncoderClassifier(NucleotideTransformer(config), SixMer(), parameters["hidden"], outputs)
