"""CNNs of a study: building them, from published weights or fresh, saving and opening them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from regdna import models
from regdna.models import weights
from regdna.models.cnn import SequenceNetwork


def build(about: dict, sample: Callable[[], np.ndarray], start: Path | None = None) -> SequenceNetwork:
    """The network of a study's entry before training, on the CPU.

    Args:
        about: architecture, parameters, initialisation, length, labels, targets, seed.
        sample: not needed.
        start: folder of the published checkpoint that the entry names: all layers but the last are taken from there.

    Raises:
        ValueError: a context that the layers do not take.
    """
    outputs = len(about["targets"])
    torch.manual_seed(about["seed"])
    if start is None:
        return _labelled(models.module(about["architecture"]).build(about["parameters"], about["length"], outputs), about)
    net, _ = models.load(start, about["initialisation"], about["seed"])
    weights.expect(net, about, start)
    if net.length != about["length"]:
        raise ValueError(f"the published network takes {net.length} bp, not {about['length']}; set the model's context to {net.length}")
    torch.manual_seed(about["seed"])  # a random twin begins with the same last layer
    net.replace_last(outputs)
    return _labelled(net, about)


def _labelled(net: SequenceNetwork, about: dict) -> SequenceNetwork:
    net.exclusive = about["labels"] == "exclusive"
    net.average_strands = False  # every later step asks for each strand by itself
    return net


def save(folder: Path, about: dict, net: SequenceNetwork) -> None:
    """Write a checkpoint: ``about.json``, with the sizes of the layers, and ``model.safetensors``."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    about = {**about, "parameters": net.sizes}
    (folder / "about.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


def load(folder: Path, about: dict, attention: str) -> SequenceNetwork:
    """The network of a checkpoint of ours, on the CPU; it has no attention.

    Raises:
        InputError: weights that are not whole.
    """
    net = _labelled(models.module(about["architecture"]).build(about["parameters"], about["length"], len(about["targets"])), about)
    weights.fill(net, weights.read(folder), (), {}, str(folder / "model.safetensors"))
    return net
