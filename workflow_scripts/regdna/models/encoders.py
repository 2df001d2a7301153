"""Transformers of a study: encoders from published weights or fresh under a classification head; saving and opening them.

A checkpoint is a folder in the published layout: ``config.json``, ``model.safetensors`` under the published keys, the
tokeniser's files; beside them ``about.json`` and the head's tensors are ours.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from regdna import models
from regdna.models import door, weights
from regdna.models.heads import EncoderClassifier
from regdna.models.pooling import Several, pooling


def build(about: dict, sample: Callable[[], np.ndarray], start: Path | None = None) -> EncoderClassifier:
    """The network of a study's entry before training, on the CPU.

    Args:
        about: architecture, parameters, initialisation, targets, seed.
        sample: gives training windows, uint8 (n, L), for a tokeniser that has to be learned.
        start: folder of the published checkpoint that the entry names; its sizes and tokeniser hold, and its weights where
            ``initialisation`` is ``published``.

    Raises:
        ValueError: sizes that do not fit together.
    """
    module = models.module(about["architecture"])
    torch.manual_seed(about["seed"])
    if start is None:
        tokeniser = module.vocabulary(about["parameters"], sample)
        config = module.fresh(about["parameters"], tokeniser)
        encoder = module.classes(config)["encoder"](config)
    else:
        model, tokeniser = models.load(start, about["initialisation"], about["seed"])
        weights.expect(model, about, start)
        encoder = model.encoder if isinstance(model, EncoderClassifier) else model.base_model
        encoder.pooler = None  # of a classifier that was trained before; the head here is another
    torch.manual_seed(about["seed"])  # a random twin begins with the same head
    name = about["parameters"]["pooling"]
    net = EncoderClassifier(encoder, tokeniser, encoder.config.hidden_size, len(about["targets"]), "mean" if name == "best" else name)
    if name == "best":
        net.pooling = Several(encoder.config.hidden_size)
    return net


def set_pooling(net: EncoderClassifier, name: str, layer: int | None = None) -> None:
    """Have a network read one of its hidden states in one way.

    Args:
        name: a name in ``regdna.models.pooling.POOLINGS``.
        layer: as of ``EncoderClassifier``.
    """
    net.pooling, net.layer = pooling(name, net.head.in_features).to(net.head.weight.device), layer


def adapt(net: EncoderClassifier, about: dict) -> None:
    """Put the adapters of the regime on the encoder; ``save`` folds them in."""
    from regdna.models import adapters

    given = about["parameters"]
    settings = {"rank": given["rank"], "alpha": given["alpha"], "dropout": given["adapter_dropout"]} if about["regime"] == "lora" else {}
    torch.manual_seed(about["seed"])
    adapters.attach(net, about["regime"], settings)


def save(folder: Path, about: dict, net: EncoderClassifier) -> None:
    """Write a checkpoint; adapters are folded into the weights first, so that it is whole and opens anywhere."""
    if about["regime"] in ("lora", "ia3"):
        from regdna.models import adapters

        adapters.merge(net)
    prefix = f"{net.encoder.base_model_prefix}."
    tensors = {
        prefix + key.removeprefix("encoder.") if key.startswith("encoder.") else key: value.detach().cpu().contiguous()
        for key, value in net.state_dict().items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    net.encoder.config.save_pretrained(folder)
    for name, text in net.tokeniser.files().items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "about.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


def load(folder: Path, about: dict, attention: str) -> EncoderClassifier:
    """The network of a checkpoint of ours, on the CPU.

    Raises:
        InputError: a folder that is not whole.
    """
    module, tensors = models.module(about["architecture"]), weights.read(folder)
    config = module.config_of(door.read_config(folder), weights.shapes(tensors))
    config._attn_implementation = attention
    encoder = door.empty(module.classes(config)["encoder"], config)
    prefix = f"{encoder.base_model_prefix}."
    own = {f"encoder.{key.removeprefix(prefix)}" if key.startswith(prefix) else key: value for key, value in tensors.items()}
    tokeniser = module.tokeniser_of(folder, config)
    given = about["parameters"]
    net = EncoderClassifier(encoder, tokeniser, config.hidden_size, len(about["targets"]), given["pooling"], given.get("layer"))
    weights.fill(net, own, (), {}, str(folder / "model.safetensors"))
    return net
