"""DNABERT-2: BERT with ALiBi, gated MLP and post-normalisation, under the published names, from published or fresh weights.

Source: Zhou et al. 2024 (ICLR, arXiv:2306.15006); ALiBi: Press et al. 2022 (arXiv:2108.12409).
"""

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig, PreTrainedModel

from regdna.models.outputs import Output
from regdna.models.with_head import BertClassifier, BertMaskedLM
from regdna.step import InputError
from regdna.tokenisers import BytePair, Tokeniser

TIED = {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"}
# Of a config.json; nothing else in it decides what is computed.
SETTINGS = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "type_vocab_size", "layer_norm_eps",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "initializer_range", "tie_word_embeddings", "num_labels",
)  # fmt: skip


class DNABert2Config(BertConfig):
    """Sizes under BERT's names. A model type of its own, so that nothing opens these weights as a plain BERT without ALiBi."""

    model_type = "dnabert2"


def alibi_slopes(heads: int) -> torch.Tensor:
    """One slope a head, float32 (heads,): a geometric series, topped up from the next power of two."""

    def series(count: int) -> list[float]:
        first = 2 ** (-8 / count)
        return [first ** (i + 1) for i in range(count)]

    whole = 2 ** math.floor(math.log2(heads))
    return torch.tensor(series(whole) + series(2 * whole)[0::2][: heads - whole])


class Embeddings(nn.Module):
    """Word and token-type embeddings, normalised; no positions (ALiBi)."""

    def __init__(self, config: DNABert2Config):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """float (n, T, H) from int64 (n, T)."""
        return self.dropout(self.LayerNorm(self.word_embeddings(input_ids) + self.token_type_embeddings.weight[0]))


class Bias:
    """What ALiBi and padding add to the scores of a batch, in the form that each way to compute attention takes.

    Args:
        attention_mask: (n, T), not zero at tokens that count.
        heads: of the attention.
        like: a tensor of the wanted device and type.
    """

    def __init__(self, attention_mask: torch.Tensor, heads: int, like: torch.Tensor):
        self.keys = attention_mask.bool()
        self.slopes = alibi_slopes(heads).to(like.device)
        self.like = like
        self._added: torch.Tensor | None = None

    def added(self) -> torch.Tensor:
        """-slope * |i - j|, and the smallest number at padded keys; float (n or 1, heads, T, T)."""
        if self._added is None:
            at = torch.arange(self.keys.shape[1], device=self.like.device)
            distance = -(at[None] - at[:, None]).abs()
            added = (distance * self.slopes[:, None, None])[None].to(self.like.dtype)
            if not self.keys.all():
                added = added.masked_fill(~self.keys[:, None, None], torch.finfo(self.like.dtype).min)
            self._added = added
        return self._added

    def score(self, score: torch.Tensor, b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """The same as a function of one score, for FlexAttention."""
        biased = score - self.slopes[h] * (i - j).abs()
        return torch.where(self.keys[b, j], biased, torch.finfo(score.dtype).min)


class SelfAttention(nn.Module):
    """Queries, keys and values from one matrix; a bias on the scores."""

    def __init__(self, config: DNABert2Config):
        super().__init__()
        self.heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        self.way = config._attn_implementation
        self.Wqkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)

    def forward(self, hidden: torch.Tensor, bias: Bias) -> torch.Tensor:
        """float (n, T, H) from hidden (n, T, H)."""
        n, tokens, width = hidden.shape
        query, key, value = self.Wqkv(hidden).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        if self.way == "eager":
            scores = query @ key.transpose(2, 3) / math.sqrt(width // self.heads) + bias.added()
            mixed = functional.dropout(scores.softmax(-1), dropout) @ value
        elif self.way == "flex_attention" and not dropout and (query.is_cuda or not query.requires_grad):
            # FlexAttention has no dropout, and on a CPU no gradient.
            mixed = _flex(query.is_cuda)(query, key, value, score_mod=bias.score)
        else:
            added = bias.added().expand(n, -1, -1, -1)
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=added, dropout_p=dropout)
        return mixed.transpose(1, 2).reshape(n, tokens, width)


@functools.cache
def _flex(compiled: bool) -> Callable:
    """FlexAttention; compiled on CUDA, where only that is fast, and plain on a CPU, where compiled has no gradient."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True) if compiled else flex_attention


class SelfOutput(nn.Module):
    """Projection, dropout, and the normalised sum with the layer's input."""

    def __init__(self, config: DNABert2Config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, mixed: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, T, H) from two of the same shape."""
        return self.LayerNorm(self.dropout(self.dense(mixed)) + hidden)


class Attention(nn.Module):
    """Attention and its output, named as published (``self`` and ``output``)."""

    def __init__(self, config: DNABert2Config):
        super().__init__()
        self.self = SelfAttention(config)
        self.output = SelfOutput(config)

    def forward(self, hidden: torch.Tensor, bias: Bias) -> torch.Tensor:
        """float (n, T, H)."""
        return self.output(self.self(hidden, bias), hidden)


class GatedMLP(nn.Module):
    """GELU-gated linear unit; the first half of ``gated_layers`` is the gate."""

    def __init__(self, config: DNABert2Config):
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

    def __init__(self, config: DNABert2Config):
        super().__init__()
        self.attention = Attention(config)
        self.mlp = GatedMLP(config)

    def forward(self, hidden: torch.Tensor, bias: Bias) -> torch.Tensor:
        """float (n, T, H)."""
        return self.mlp(self.attention(hidden, bias))


class Encoder(nn.Module):
    """The layers in order."""

    def __init__(self, config: DNABert2Config):
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class DNABert2PreTrained(PreTrainedModel):
    """What the encoder and the models with heads share."""

    config_class = DNABert2Config
    base_model_prefix = "bert"
    _supports_sdpa = True
    _supports_flex_attn = True


class DNABert2Model(DNABert2PreTrained):
    """The encoder, of any length: the published one was trained on up to 128 tokens and has no limit."""

    def __init__(self, config: DNABert2Config):
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, output_hidden_states: bool = False, **_
    ) -> Output:
        """``last_hidden_state``, float (n, T, H), zero at padding, from int64 (n, T); also ``hidden_states`` if asked for."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        hidden = self.embeddings(input_ids)
        bias = Bias(mask, self.config.num_attention_heads, hidden)
        states = [hidden]
        for layer in self.encoder.layer:
            hidden = layer(hidden, bias)
            states.append(hidden)
        last = hidden * mask[..., None].to(hidden.dtype)
        return Output(last_hidden_state=last, hidden_states=(*states[:-1], last) if output_hidden_states else None)


class Transform(nn.Module):
    """Dense, GELU and normalisation before the vocabulary."""

    def __init__(self, config: DNABert2Config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=1e-12)  # fixed in the published code, whatever config.json says

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, T, H)."""
        return self.LayerNorm(functional.gelu(self.dense(hidden)))


class Predictions(nn.Module):
    """Logits over the vocabulary; the matrix is the word embedding's."""

    def __init__(self, config: DNABert2Config):
        super().__init__()
        self.transform = Transform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)


class MaskedLMHead(nn.Module):
    """Named as published (``cls.predictions``)."""

    def __init__(self, config: DNABert2Config):
        super().__init__()
        self.predictions = Predictions(config)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, T, vocabulary)."""
        return self.predictions.decoder(self.predictions.transform(hidden))


class DNABert2ForMaskedLM(BertMaskedLM, DNABert2PreTrained):
    """The encoder and its masked-language-model head: the published checkpoint."""

    _tied_weights_keys = TIED

    def __init__(self, config: DNABert2Config):
        super().__init__(config)
        self.bert = DNABert2Model(config)
        self.cls = MaskedLMHead(config)
        self.post_init()


class DNABert2ForSequenceClassification(BertClassifier, DNABert2PreTrained):
    """The encoder, its pooler and a linear classifier, as fine-tuned by the published recipe."""

    def __init__(self, config: DNABert2Config):
        super().__init__(config)
        self.bert = DNABert2Model(config)
        self.add_head(config)
        self.post_init()


def classes(config: DNABert2Config) -> dict[str, type]:
    """The class of each kind of model: the encoder alone, and with each head."""
    return {"encoder": DNABert2Model, "masked_lm": DNABert2ForMaskedLM, "classifier": DNABert2ForSequenceClassification}


def config_of(content: dict, shapes: dict[str, tuple[int, ...]]) -> DNABert2Config:
    """The configuration of a published or saved ``config.json``; what it says of positions and padding is ignored, as published.

    Raises:
        InputError: an activation that DNABERT-2 has not.
    """
    if content.get("hidden_act", "gelu") != "gelu":
        raise InputError(f"config.json: hidden_act is {content['hidden_act']!r}; DNABERT-2 has gelu")
    return DNABert2Config(**{name: content[name] for name in SETTINGS if name in content})


def renamed(tensors: dict[str, torch.Tensor], config: DNABert2Config, name: str) -> dict[str, torch.Tensor]:
    """The published tensors: their keys are ours."""
    return tensors


def unused(config: DNABert2Config, kind: str) -> tuple[str, ...]:
    """Patterns of keys that a model has no use for: a pooler is trained with a classifier alone."""
    return () if kind == "classifier" else (r"bert\.pooler\.dense\.(weight|bias)",)


def tokeniser_of(folder: Path, config: DNABert2Config) -> Tokeniser:
    """The byte-pair tokeniser of a folder's ``tokenizer.json``.

    Raises:
        InputError: it is absent, not one of byte pairs over DNA, or of another vocabulary than the model.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"{path}: not found; DNABERT-2 needs its byte-pair vocabulary: fetch it with the weights")
    try:
        tokeniser = BytePair(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text (byte {error.start}); fetch it again") from None
    if tokeniser.vocabulary != config.vocab_size:
        raise InputError(f"{path}: {tokeniser.vocabulary} tokens, but the model has {config.vocab_size}; it is another model's tokeniser")
    return tokeniser


def longest_tokens(config: DNABert2Config) -> None:
    """No limit."""
    return None


def vocabulary(sizes: dict, sample: Callable[[], np.ndarray]) -> Tokeniser:
    """The tokeniser of an encoder with random weights.

    Args:
        sizes: ``vocabulary``, how many byte pairs to learn.
        sample: gives training windows, uint8 (n, L).
    """
    return BytePair.learn(sample(), sizes["vocabulary"])


def fresh(sizes: dict, tokeniser: Tokeniser) -> DNABert2Config:
    """The configuration of an encoder with random weights.

    Args:
        sizes: hidden, layers, heads, intermediate, dropout.

    Raises:
        ValueError: the heads do not divide the width.
    """
    if sizes["hidden"] % sizes["heads"]:
        raise ValueError(f"hidden ({sizes['hidden']}) is no multiple of heads ({sizes['heads']}); change one")
    return DNABert2Config(
        vocab_size=tokeniser.vocabulary,
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["intermediate"],
        hidden_dropout_prob=sizes["dropout"],
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-12,
    )
