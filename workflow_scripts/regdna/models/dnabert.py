"""DNABERT: a plain BERT on overlapping k-mers, of at most 512 tokens.

Source: Ji et al. 2021, Bioinformatics 37:2112.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertModel, BertOnlyMLMHead, BertPreTrainedModel

from regdna.models.outputs import Output
from regdna.models.with_head import BertClassifier, BertMaskedLM
from regdna.step import InputError
from regdna.tokenisers import OverlappingKmers, Tokeniser

TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
# Of a config.json; nothing else in it decides what is computed.
SETTINGS = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings",
    "type_vocab_size", "layer_norm_eps", "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",
    "initializer_range", "tie_word_embeddings", "num_labels",
)  # fmt: skip


class DNABertModel(BertModel):
    """The encoder."""

    def __init__(self, config: BertConfig):
        super().__init__(config, add_pooling_layer=False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **more) -> Output:
        """``last_hidden_state``, float (n, T, H), from int64 (n, T).

        Raises:
            ValueError: more tokens than there are positions.
        """
        limit = longest_tokens(self.config)
        if input_ids.shape[1] > limit:
            raise ValueError(f"a sequence of {input_ids.shape[1]} tokens, but this DNABERT takes {limit}; shorten the context")
        out = super().forward(input_ids=input_ids, attention_mask=attention_mask, **more)
        return Output(last_hidden_state=out.last_hidden_state, hidden_states=out.hidden_states)


class DNABertForMaskedLM(BertMaskedLM, BertPreTrainedModel):
    """The encoder and its masked-language-model head: the published checkpoint."""

    _tied_weights_keys = TIED

    def __init__(self, config: BertConfig):
        super().__init__(config)
        self.bert = DNABertModel(config)
        self.cls = BertOnlyMLMHead(config)
        self.post_init()


class DNABertForSequenceClassification(BertClassifier, BertPreTrainedModel):
    """The encoder, its pooler and a linear classifier, as fine-tuned by the published recipe."""

    def __init__(self, config: BertConfig):
        super().__init__(config)
        self.bert = DNABertModel(config)
        self.add_head(config)
        self.post_init()


def classes(config: BertConfig) -> dict[str, type]:
    """The class of each kind of model: the encoder alone, and with each head."""
    return {"encoder": DNABertModel, "masked_lm": DNABertForMaskedLM, "classifier": DNABertForSequenceClassification}


def config_of(content: dict, shapes: dict[str, tuple[int, ...]]) -> BertConfig:
    """The configuration of a published or saved ``config.json``.

    Raises:
        InputError: positions of a kind that DNABERT has not.
    """
    if content.get("position_embedding_type", "absolute") != "absolute":
        raise InputError(f"config.json: position_embedding_type is {content['position_embedding_type']!r}; DNABERT has 'absolute'")
    return BertConfig(**{name: content[name] for name in SETTINGS if name in content}, pad_token_id=OverlappingKmers.pad)


def renamed(tensors: dict[str, torch.Tensor], config: BertConfig, name: str) -> dict[str, torch.Tensor]:
    """The published tensors: their keys are transformers'."""
    return tensors


def unused(config: BertConfig, kind: str) -> tuple[str, ...]:
    """Patterns of keys that a model has no use for: published beside the language model are a pooler and a next-sentence head."""
    pooler = () if kind == "classifier" else (r"bert\.pooler\.dense\.(weight|bias)",)
    return (r"bert\.embeddings\.position_ids", r"cls\.seq_relationship\.(weight|bias)", *pooler)


def tokeniser_of(folder: Path, config: BertConfig) -> Tokeniser:
    """Overlapping k-mers, k as the number of tokens says.

    Raises:
        InputError: a vocabulary of another kind, in the configuration or in the folder's files.
    """
    for k in range(3, 7):
        if config.vocab_size == 4**k + 5:
            tokeniser = OverlappingKmers(k)
            tokeniser.check(folder)
            return tokeniser
    raise InputError(
        f"{folder / 'config.json'}: vocab_size {config.vocab_size} is no vocabulary of 3- to 6-mers (69, 261, 1029, 4101); "
        "this BERT is no DNABERT"
    )


def longest_tokens(config: BertConfig) -> int:
    """Tokens that fit, [CLS] and [SEP] included."""
    return config.max_position_embeddings


def vocabulary(sizes: dict, sample: Callable[[], np.ndarray]) -> Tokeniser:
    """The tokeniser of an encoder with random weights.

    Args:
        sizes: ``k``.
        sample: gives training windows, uint8 (n, L); not needed.
    """
    return OverlappingKmers(sizes["k"])


def fresh(sizes: dict, tokeniser: Tokeniser) -> BertConfig:
    """The configuration of an encoder with random weights.

    Args:
        sizes: hidden, layers, heads, intermediate, dropout.

    Raises:
        ValueError: the heads do not divide the width.
    """
    if sizes["hidden"] % sizes["heads"]:
        raise ValueError(f"hidden ({sizes['hidden']}) is no multiple of heads ({sizes['heads']}); change one")
    return BertConfig(
        vocab_size=tokeniser.vocabulary,
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["intermediate"],
        hidden_dropout_prob=sizes["dropout"],
        attention_probs_dropout_prob=sizes["dropout"],
        layer_norm_eps=1e-12,
        pad_token_id=tokeniser.pad,
    )
