"""Nucleotide Transformer, versions 1 and 2: transformers' ESM, version 2 with a bias-free SwiGLU and rotary positions.

Source: Dalla-Torre et al. 2024, Nature Methods 22:287. The published weights are CC BY-NC-SA 4.0 (non-commercial).
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import EsmConfig
from transformers.models.esm.modeling_esm import EsmClassificationHead, EsmLMHead, EsmModel, EsmPreTrainedModel

from regdna.models import weights
from regdna.models.outputs import Output
from regdna.models.with_head import WithHead
from regdna.step import InputError
from regdna.tokenisers import KmerBlocks, Tokeniser

TIED = {"lm_head.decoder.weight": "esm.embeddings.word_embeddings.weight"}
FREQUENCIES = re.compile(r"esm\.encoder\.layer\.\d+\.attention\.self\.rotary_embeddings\.inv_freq")
ONCE = "esm.rotary_embeddings.inv_freq"
SAVED_AGAIN = "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq"  # by transformers 5, with this very star
# Of a config.json; nothing else in it decides what is computed.
SETTINGS = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings",
    "layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "position_embedding_type",
    "emb_layer_norm_before", "token_dropout", "tie_word_embeddings", "num_labels",
)  # fmt: skip


class GatedConfig(EsmConfig):
    """Version 2's sizes under ESM's names. A model type of its own, so that nothing opens these weights as a plain ESM."""

    model_type = "nucleotide-transformer-v2"
    add_bias_fnn: bool = False


class SwiGLU(nn.Module):
    """Replaces ESM's GELU intermediate: SiLU of the first half times the second."""

    def __init__(self, config: GatedConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=config.add_bias_fnn)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, T, I) from (n, T, H)."""
        gate, up = self.dense(hidden).chunk(2, dim=-1)
        return functional.silu(gate) * up


class NucleotideTransformerModel(EsmModel):
    """The encoder; version 2 where the configuration is a ``GatedConfig``."""

    def __init__(self, config: EsmConfig):
        super().__init__(config, add_pooling_layer=False)
        if isinstance(config, GatedConfig):
            for layer in self.encoder.layer:
                layer.intermediate = SwiGLU(config)
                layer.output.dense = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.add_bias_fnn)
            self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **more) -> Output:
        """``last_hidden_state``, float (n, T, H), from int64 (n, T); also ``hidden_states`` if ``output_hidden_states`` asks for them.

        Raises:
            ValueError: more tokens than there are positions.
        """
        limit = longest_tokens(self.config)
        if input_ids.shape[1] > limit:
            raise ValueError(
                f"a sequence of {input_ids.shape[1]} tokens, but this Nucleotide Transformer takes {limit}; "
                "shorten the context, or leave out windows with many N (each is a token of its own)"
            )
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        out = super().forward(input_ids=input_ids, attention_mask=mask, **more)
        return Output(last_hidden_state=out.last_hidden_state, hidden_states=out.hidden_states)


class NucleotideTransformerForMaskedLM(WithHead, EsmPreTrainedModel):
    """The encoder and its masked-language-model head: the published checkpoint."""

    _tied_weights_keys = TIED

    def __init__(self, config: EsmConfig):
        super().__init__(config)
        self.esm = NucleotideTransformerModel(config)
        self.lm_head = EsmLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """The matrix over the vocabulary."""
        return self.lm_head.decoder

    def read(self, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, T, vocabulary) from (n, T, H)."""
        return self.lm_head(hidden)


class NucleotideTransformerForSequenceClassification(WithHead, EsmPreTrainedModel):
    """The encoder and ESM's classification head on the first token."""

    def __init__(self, config: EsmConfig):
        super().__init__(config)
        self.esm = NucleotideTransformerModel(config)
        self.classifier = EsmClassificationHead(config)
        self.post_init()

    def read(self, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, labels) from (n, T, H)."""
        return self.classifier(hidden)


class GatedModel(NucleotideTransformerModel):
    """The encoder of version 2, for ``from_pretrained``."""

    config_class = GatedConfig


class GatedForMaskedLM(NucleotideTransformerForMaskedLM):
    """Version 2 with its masked-language-model head, for ``from_pretrained``."""

    config_class = GatedConfig


class GatedForSequenceClassification(NucleotideTransformerForSequenceClassification):
    """Version 2 with a classification head, for ``from_pretrained``."""

    config_class = GatedConfig


def classes(config: EsmConfig) -> dict[str, type]:
    """The class of each kind of model: the encoder alone, and with each head."""
    if isinstance(config, GatedConfig):
        return {"encoder": GatedModel, "masked_lm": GatedForMaskedLM, "classifier": GatedForSequenceClassification}
    return {
        "encoder": NucleotideTransformerModel,
        "masked_lm": NucleotideTransformerForMaskedLM,
        "classifier": NucleotideTransformerForSequenceClassification,
    }


def config_of(content: dict, shapes: dict[str, tuple[int, ...]]) -> EsmConfig:
    """The configuration of a published or saved ``config.json``; version 2 says ``add_bias_fnn``, or its weights do.

    What the file leaves out is as the weights show it, or as published.

    Raises:
        InputError: an ESM of another kind.
    """
    first = [key for key in shapes if ".intermediate.dense." in key]
    doubled = any(key.endswith("weight") and shapes[key][:1] == (2 * content["intermediate_size"],) for key in first)
    gated = doubled or "add_bias_fnn" in content
    act = content.get("hidden_act", "gelu")
    if act not in ("gelu", "silu") or (act == "silu" and not gated):
        raise InputError(f"config.json: hidden_act is {act!r}; Nucleotide Transformer has gelu (v1) or SwiGLU (v2)")
    rotary = gated or any(key.endswith("rotary_embeddings.inv_freq") for key in shapes)
    table = next((shape[0] for key, shape in shapes.items() if key.endswith("embeddings.position_embeddings.weight") and shape), None)
    known = {
        "position_embedding_type": "rotary" if rotary else "absolute",
        "max_position_embeddings": table or (2050 if gated else 1002),
        "tie_word_embeddings": not any(key.endswith("lm_head.decoder.weight") for key in shapes),
        **{name: content[name] for name in SETTINGS if name in content},
    }
    if known["position_embedding_type"] not in ("absolute", "rotary"):
        raise InputError(f"config.json: position_embedding_type is {known['position_embedding_type']!r}, neither 'absolute' nor 'rotary'")
    if known["position_embedding_type"] == "rotary" and not rotary:
        raise InputError("config.json: position_embedding_type is 'rotary', but these are weights of version 1, which has a table")
    if known["position_embedding_type"] == "rotary" and known["hidden_size"] // known["num_attention_heads"] % 2:
        raise InputError("config.json: hidden_size / num_attention_heads is odd, but rotary positions turn pairs; fetch the file again")
    if table not in (None, known["max_position_embeddings"]):
        raise InputError(
            f"config.json: max_position_embeddings is {known['max_position_embeddings']}, the weights have {table} positions; "
            "they do not belong together"
        )
    for name, token in (("pad_token_id", KmerBlocks.pad), ("mask_token_id", KmerBlocks.mask)):
        if content.get(name, token) != token:
            raise InputError(f"config.json: {name} is {content[name]!r}, in the vocabulary of Nucleotide Transformer it is {token}")
        known[name] = token
    if not gated:
        return EsmConfig(**known)
    return GatedConfig(**known, add_bias_fnn=content.get("add_bias_fnn", any(key.endswith("bias") for key in first)))


def renamed(tensors: dict[str, torch.Tensor], config: EsmConfig, name: str) -> dict[str, torch.Tensor]:
    """The published tensors under the keys of today's ESM, which holds the rotary frequencies once.

    Raises:
        InputError: layers with frequencies of their own.
    """
    held = [key for key in tensors if FREQUENCIES.fullmatch(key)]
    kept = {key: value for key, value in tensors.items() if key not in held}
    if config.position_embedding_type != "rotary":
        return tensors
    if SAVED_AGAIN in kept:
        kept[ONCE] = kept.pop(SAVED_AGAIN)
    for key in held:
        if not weights.same(tensors[key], tensors[held[0]]):
            raise InputError(f"{name}: key {key!r} differs from that of layer 0; all layers share their rotary frequencies")
    if held and len(held) != config.num_hidden_layers:
        raise InputError(f"{name}: rotary frequencies of {len(held)} layers, config.json has {config.num_hidden_layers}; fetch it again")
    width = config.hidden_size // config.num_attention_heads
    expected = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float) / width)
    if ONCE not in kept:
        kept[ONCE] = tensors[held[0]] if held else expected
    # They are no weights but a function of the width: 1 % leaves room for bfloat16.
    if kept[ONCE].shape == expected.shape and not torch.allclose(kept[ONCE].float(), expected, rtol=0.01, atol=0):
        raise InputError(f"{name}: its rotary frequencies are not those of {config.num_attention_heads} heads; fetch the file again")
    return kept


def unused(config: EsmConfig, kind: str) -> tuple[str, ...]:
    """Patterns of keys that a model has no use for: no head of ours reads a pooler, nor rotary positions a table."""
    table = (r"esm\.embeddings\.position_embeddings\.weight",) if config.position_embedding_type == "rotary" else ()
    return (r"esm\.embeddings\.position_ids", r"esm\.pooler\.dense\.(weight|bias)", *table)


def tokeniser_of(folder: Path, config: EsmConfig) -> Tokeniser:
    """Blocks of k bases, k and version as the number of tokens says.

    Raises:
        InputError: a vocabulary of another kind, in the configuration or in the folder's files.
    """
    for k in range(2, 7):
        for version, specials in ((1, 4), (2, 6)):
            if config.vocab_size == specials + 4**k + 5:
                tokeniser = KmerBlocks(k, version)
                tokeniser.check(folder)
                return tokeniser
    raise InputError(
        f"{folder / 'config.json'}: vocab_size {config.vocab_size} is no vocabulary of k-mers (4105 in version 1, 4107 in 2); "
        "this ESM is no Nucleotide Transformer"
    )


def longest_tokens(config: EsmConfig) -> int:
    """Tokens that fit, <cls> included: positions begin after the padding's number."""
    return config.max_position_embeddings - config.pad_token_id - 1


def vocabulary(sizes: dict, sample: Callable[[], np.ndarray]) -> Tokeniser:
    """The tokeniser of an encoder with random weights.

    Args:
        sizes: ``k`` and ``version``.
        sample: gives training windows, uint8 (n, L); not needed.
    """
    return KmerBlocks(sizes["k"], sizes["version"])


def fresh(sizes: dict, tokeniser: Tokeniser) -> EsmConfig:
    """The configuration of an encoder with random weights.

    Args:
        sizes: hidden, layers, heads, intermediate, dropout, version.

    Raises:
        ValueError: the heads do not divide the width, or rotary positions do not divide a head.
    """
    rotary = sizes["version"] == 2
    if sizes["hidden"] % (2 * sizes["heads"] if rotary else sizes["heads"]):
        raise ValueError(
            f"hidden ({sizes['hidden']}) is no {'even ' if rotary else ''}multiple of heads ({sizes['heads']})"
            f"{'; rotary positions need one' if rotary else ''}; change one"
        )
    return (GatedConfig if rotary else EsmConfig)(
        vocab_size=tokeniser.vocabulary,
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["intermediate"],
        hidden_dropout_prob=sizes["dropout"],
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=2050 if rotary else 1002,
        position_embedding_type="rotary" if rotary else "absolute",
        layer_norm_eps=1e-12,
        pad_token_id=tokeniser.pad,
        mask_token_id=2,
        token_dropout=not rotary,
        emb_layer_norm_before=False,
        tie_word_embeddings=False,
    )
