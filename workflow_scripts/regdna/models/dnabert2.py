"""DNABERT-2's encoder: BERT with ALiBi, gated MLP and post-normalisation, under the published parameter names.

Source: Zhou et al. 2024 (ICLR, arXiv:2306.15006); ALiBi: Press et al. 2022 (arXiv:2108.12409).
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig, PreTrainedModel

from regdna.models.heads import EncoderClassifier
from regdna.tokenisers import BytePair


def alibi_slopes(heads: int) -> torch.Tensor:
    """One slope a head, float32 (heads,): a geometric series, topped up from the next power of two."""

    def series(count: int) -> list[float]:
        first = 2 ** (-8 / count)
        return [first ** (i + 1) for i in range(count)]

    whole = 2 ** math.floor(math.log2(heads))
    return torch.tensor(series(whole) + series(2 * whole)[0::2][: heads - whole])


class Embeddings(nn.Module):
    """Word and token-type embeddings, normalised; no positions (ALiBi)."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """float (n, T, H) from int64 (n, T)."""
        return self.dropout(self.LayerNorm(self.word_embeddings(input_ids) + self.token_type_embeddings.weight[0]))


class SelfAttention(nn.Module):
    """Queries, keys and values from one matrix; an additive bias on the scores."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        self.Wqkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """float (n, T, H) from hidden (n, T, H) and bias (n, heads, T, T)."""
        n, tokens, width = hidden.shape
        query, key, value = self.Wqkv(hidden).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
        return mixed.transpose(1, 2).reshape(n, tokens, width)


class SelfOutput(nn.Module):
    """Projection, dropout, and the normalised sum with the layer's input."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, mixed: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, T, H) from two of the same shape."""
        return self.LayerNorm(self.dropout(self.dense(mixed)) + hidden)


class Attention(nn.Module):
    """Attention and its output, named as published (``self`` and ``output``)."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.self = SelfAttention(config)
        self.output = SelfOutput(config)

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """float (n, T, H)."""
        return self.output(self.self(hidden, bias), hidden)


class GatedMLP(nn.Module):
    """GELU-gated linear unit; the first half of ``gated_layers`` is the gate."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.gated_layers = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.wo = nn.Linear(config.intermediate_size, config.hidden_size)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, T, H)."""
        gate, up = self.gated_layers(hidden).chunk(2, dim=-1)
        return self.layernorm(self.wo(self.dropout(functional.gelu(gate) * up)) + hidden)


class Layer(nn.Module):
    """One transformer layer."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.attention = Attention(config)
        self.mlp = GatedMLP(config)

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """float (n, T, H)."""
        return self.mlp(self.attention(hidden, bias))


class Encoder(nn.Module):
    """The layers in order."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class DNABert2(PreTrainedModel):
    """The encoder: ``input_ids`` and ``attention_mask``, (n, T), to the last hidden state, float (n, T, H)."""

    config_class = BertConfig
    base_model_prefix = "bert"

    def __init__(self, config: BertConfig):
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """The last hidden state; zero at padding."""
        hidden = self.embeddings(input_ids)
        at = torch.arange(input_ids.shape[1], device=hidden.device)
        slopes = alibi_slopes(self.config.num_attention_heads).to(hidden)
        bias = -(at[None] - at[:, None]).abs() * slopes[:, None, None]
        bias = bias[None] + (1 - attention_mask[:, None, None].to(hidden.dtype)) * torch.finfo(hidden.dtype).min
        for layer in self.encoder.layer:
            hidden = layer(hidden, bias)
        return hidden * attention_mask[..., None].to(hidden.dtype)


def prepare(about: dict, sample: np.ndarray) -> dict:
    """A byte-pair vocabulary learned from training windows, uint8 (n, L), added to ``about`` as ``tokenizer``."""
    return {**about, "tokenizer": BytePair.learn(sample, about["parameters"]["vocabulary"]).definition}


def build(parameters: dict, length: int, outputs: int, tokenizer: str) -> EncoderClassifier:
    """An encoder with fresh weights under a classification head; any length.

    Args:
        tokenizer: the text of a ``tokenizer.json``.
    """
    if parameters["hidden"] % parameters["heads"]:
        raise ValueError(f"hidden ({parameters['hidden']}) is no multiple of heads ({parameters['heads']}); change one")
    tokeniser = BytePair(tokenizer)
    config = BertConfig(
        vocab_size=tokeniser.vocabulary,
        hidden_size=parameters["hidden"],
        num_hidden_layers=parameters["layers"],
        num_attention_heads=parameters["heads"],
        intermediate_size=parameters["intermediate"],
        hidden_dropout_prob=parameters["dropout"],
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-12,
        pad_token_id=tokeniser.pad,
    )
    return EncoderClassifier(DNABert2(config), tokeniser, parameters["hidden"], outputs)
