"""Low-rank and scaling adapters on a frozen encoder, by peft: put on before training, folded into the weights after it.

Sources: LoRA: Hu et al. 2022 (ICLR, arXiv:2106.09685); IA3: Liu et al. 2022 (NeurIPS, arXiv:2205.05638).
"""

import re

import torch
from peft import IA3Config, LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

# Matrices by what they do, as named within a layer of DNABERT-2, or of ESM (Nucleotide Transformer) and BERT (DNABERT).
KEYS_AND_VALUES = ("attention.self.Wqkv", "attention.self.key", "attention.self.value")
INPUTS = ("attention.self.query", *KEYS_AND_VALUES)
PROJECTION = ("attention.output.dense",)
FIRST = ("mlp.gated_layers", "intermediate.dense")
SECOND = ("mlp.wo", "output.dense")

# ASSUME: LoRA has rank 8, alpha 16, dropout 0.05 (DNABERT-2's recipe for Nucleotide Transformer), on query, key and value alone by default.
LORA = {"rank": 8, "alpha": 16, "dropout": 0.05, "targets": "attention"}
LORA_TARGETS = {"attention": (INPUTS,), "all": (INPUTS, PROJECTION, FIRST, SECOND)}
# Where one matrix makes queries, keys and values, IA3's vector scales the queries too. That can express nothing new, since a
# score sums products of query and key: a factor on one is a factor on the other. The gradient of that factor is counted twice.
# ASSUME: IA3 scales keys, values and the input of the second feed-forward matrix; in DNABERT-2, whose Wqkv is one matrix, queries too.
SETTINGS = {"lora": LORA, "ia3": {}}
# Smallest and largest share of an encoder's parameters that adapters may be: beyond, targets were missed or nothing is low-rank.
BANDS = {"lora": (1e-4, 0.2), "ia3": (1e-5, 0.05)}


def attach(net: nn.Module, kind: str, settings: dict, band: tuple[float, float] | None = None) -> nn.Module:
    """Put fresh adapters on the encoder in ``net.encoder``, which is frozen; what is outside it stays trainable.

    A fresh adapter changes no output: LoRA's second factor is zero, IA3's vectors are one. LoRA's first factor is drawn
    from torch's generator. A LoRA on the fused matrix of DNABERT-2 shares its first factor among query, key and value.
    Training or evaluation mode is kept.

    Args:
        net: changed in place; its encoder's layers are called ``layer.0``, ``layer.1``, ...
        kind: ``lora`` or ``ia3``.
        settings: for ``lora`` any of ``rank``, ``alpha`` (the update is scaled by alpha / rank), ``dropout`` (before the
            first factor) and ``targets`` (``attention``, or ``all`` matrices of a layer); ``LORA`` has the defaults. None for ``ia3``.
        band: smallest and largest share of adapter parameters among the encoder's own; ``BANDS`` has the defaults.

    Returns:
        ``net``.

    Raises:
        ValueError: an unknown kind or setting, adapters are there already, no matrix of the names known, a layer without
            one, or a share outside the band (the network is changed then).
    """
    if kind not in SETTINGS:
        raise ValueError(f"no adapter is called {kind!r}; there are {', '.join(SETTINGS)}")
    unknown = sorted(set(settings) - set(SETTINGS[kind]))
    if unknown:
        raise ValueError(f"{kind} has no setting {unknown[0]!r}; it has {', '.join(SETTINGS[kind]) or 'none'}")
    encoder = net.encoder
    if adapted(encoder):
        raise ValueError("the encoder has adapters already; merge them first")
    own = sum(one.numel() for one in encoder.parameters())
    inject_adapter_in_model(_lora(encoder, {**LORA, **settings}) if kind == "lora" else _ia3(encoder), encoder)
    encoder.train(encoder.training)  # new modules come in training mode: LoRA's dropout would be on in an encoder that is not
    share = sum(one.numel() for one in encoder.parameters() if one.requires_grad) / own
    low, high = band or BANDS[kind]
    if not low <= share <= high:
        raise ValueError(
            f"{kind} trains {share:.4%} of the encoder's {own} parameters, not {low:.4%} to {high:.4%}; change rank or targets"
        )
    return net


def adapted(encoder: nn.Module) -> dict[str, BaseTunerLayer]:
    """The matrices with adapters, by name."""
    return {name: module for name, module in encoder.named_modules() if isinstance(module, BaseTunerLayer)}


@torch.no_grad()
def merge(net: nn.Module) -> nn.Module:
    """Fold the adapters of ``net.encoder`` into its weights: the modules and keys are those from before ``attach``, all trainable.

    Args:
        net: changed in place.

    Returns:
        ``net``.

    Raises:
        ValueError: there are no adapters, or a merged weight is not finite.
    """
    found = adapted(net.encoder)
    if not found:
        raise ValueError("the encoder has no adapters to merge")
    for name, module in found.items():
        module.merge(safe_merge=True)
        net.encoder.set_submodule(name, module.get_base_layer())
    del net.encoder.peft_config
    net.encoder.requires_grad_(True)
    return net


def _lora(encoder: nn.Module, settings: dict) -> LoraConfig:
    if settings["targets"] not in LORA_TARGETS:
        raise ValueError(f"lora's targets are {settings['targets']!r}; choose {' or '.join(LORA_TARGETS)}")
    return LoraConfig(
        r=settings["rank"],
        lora_alpha=settings["alpha"],
        lora_dropout=settings["dropout"],
        target_modules=_exactly(_matrices(encoder, *LORA_TARGETS[settings["targets"]])),
    )


def _ia3(encoder: nn.Module) -> IA3Config:
    second = _matrices(encoder, SECOND)
    return IA3Config(target_modules=_exactly(_matrices(encoder, KEYS_AND_VALUES) + second), feedforward_modules=_exactly(second))


def _exactly(names: list[str]) -> str:
    # An expression for whole names: a list would be matched by ending.
    return "|".join(map(re.escape, names))


def _matrices(encoder: nn.Module, *roles: tuple[str, ...]) -> list[str]:
    """Names of the matrices of each role in the encoder's layers.

    Raises:
        ValueError: there is none of a role, at all or in one of the layers.
    """
    inside = [(name, match[1], match[2]) for name, _ in encoder.named_modules() if (match := re.search(r"\blayer\.(\d+)\.(.+)", name))]
    linear = {name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)}
    found = []
    for role in roles:
        here = {name: layer for name, layer, inner in inside if inner in role and name in linear}
        missing = sorted({layer for _, layer, _ in inside} - set(here.values()), key=int)
        if not here or missing:
            there = dict.fromkeys(re.sub(r"\.\d+(?=\.|$)", ".{i}", name) for name in linear)
            where = f"layer {missing[0]}" if here else "the encoder"
            raise ValueError(f"no matrix in {where} is called {' or '.join(role)}; its matrices are {', '.join(sorted(there)) or 'none'}")
        found += here
    return found
