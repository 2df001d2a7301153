"""Networks: building them from a study's entry, running them in batches, saving and loading them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from regdna import models
from regdna.arrays import read_tensors


def device() -> torch.device:
    """CUDA if there is a GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build(about: dict) -> nn.Module:
    """The network of a checkpoint's ``config.json``, on the CPU with fresh weights drawn by its seed."""
    torch.manual_seed(about["seed"])
    extra = {"tokenizer": about["tokenizer"]} if "tokenizer" in about else {}
    shape = {name: value for name, value in about["parameters"].items() if name not in ("l2", "vocabulary")}
    return models.module(about["architecture"]).build(shape, about["length"], len(about["targets"]), **extra)


def prepare(about: dict, sample: Callable[[], np.ndarray]) -> dict:
    """What the architecture must learn before its network can be built, such as a vocabulary, added to ``about``.

    Args:
        sample: gives training windows, uint8 (n, L).
    """
    learn = getattr(models.module(about["architecture"]), "prepare", None)
    return learn(about, sample()) if learn else about


@torch.inference_mode()
def run(network: nn.Module, codes: np.ndarray, batch_size: int, what: str = "forward") -> np.ndarray:
    """Apply a method of the network to codes in batches; float32 (n, ...) in order. Training mode is put back.

    Args:
        network: on the device where it shall run.
        codes: uint8 (n, L).
        batch_size: sequences at a time.
        what: ``forward`` for logits, ``embed`` for pooled hidden states.
    """
    was_training, where = network.training, next(network.parameters()).device
    network.eval()
    parts = []
    for at in range(0, len(codes), batch_size):
        batch = {name: value.to(where) for name, value in network.encode(codes[at : at + batch_size]).items()}
        parts.append(getattr(network, what)(**batch).float().cpu().numpy())
    network.train(was_training)
    return np.concatenate(parts)


def save(folder: Path, about: dict, network: nn.Module) -> None:
    """Write a checkpoint: ``config.json`` and ``model.safetensors``."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


def load(folder: Path, about: dict) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function from codes, uint8 (n, L), and positions (not used) to logits, float64 (n, T)."""
    network = build(about)
    tensors = {name: torch.from_numpy(value) for name, value in read_tensors(folder / "model.safetensors").items()}
    network.load_state_dict(tensors, strict=True)
    network.to(device())

    def logits(codes: np.ndarray, position: np.ndarray) -> np.ndarray:
        return run(network, codes, about["batch_size"]).astype(np.float64)

    return logits
