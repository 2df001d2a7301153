"""Networks of every family: running them in batches, and opening those that were trained."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from regdna import models
from regdna.step import InputError

NEEDED = ("architecture", "parameters", "targets", "labels", "length")  # of about.json, to build what was trained


def device() -> torch.device:
    """CUDA if there is a GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@torch.inference_mode()
def run(network: nn.Module, codes: np.ndarray, batch_size: int, what: str = "logits") -> np.ndarray:
    """Apply a network to codes in batches; float32 (n, ...) in order. Training mode is put back.

    Args:
        network: on the device where it shall run.
        codes: uint8 (n, L).
        batch_size: sequences at a time.
        what: ``logits``, or ``embed`` for pooled hidden states.
    """
    was_training, where = network.training, next(network.parameters()).device
    network.eval()
    parts = []
    for at in range(0, len(codes), batch_size):
        batch = {name: value.to(where) for name, value in network.encode(codes[at : at + batch_size]).items()}
        answer = network(**batch).logits if what == "logits" else network.embed(**batch)
        parts.append(answer.float().cpu().numpy())
    network.train(was_training)
    return np.concatenate(parts)


def load(folder: Path, attention: str = "sdpa") -> nn.Module:
    """The network of a checkpoint of ours, in evaluation mode on the CPU.

    Args:
        attention: how a transformer computes it, as for ``regdna.models.door.load``.

    Raises:
        InputError: a folder that is not whole.
    """
    path = folder / "about.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        family = models.ARCHITECTURES[about["architecture"]].family
        missing = [key for key in NEEDED if key not in about]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path}: names no architecture that is known; train the model again, or take the file away") from None
    if missing:
        raise InputError(f"{path}: {missing[0]!r} is missing; train the model again")
    if family == "row zero":
        raise InputError(f"{folder}: a regression on features, not a network; open it with regdna.models.classifier.Classifier")
    return models.family(about["architecture"]).load(folder, about, attention).eval()


def opened(folder: Path, about: dict) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function from codes, uint8 (n, L), and positions (not used) to logits, float64 (n, T)."""
    network = load(folder).to(device())

    def logits(codes: np.ndarray, position: np.ndarray) -> np.ndarray:
        return run(network, codes, about["batch_size"]).astype(np.float64)

    return logits
