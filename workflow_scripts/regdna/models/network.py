"""Networks of every family: running them in batches, and opening those that were trained."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from regdna import models
from regdna.models.precision import autocast, device, ran_out
from regdna.step import InputError

READ = 32  # batches that are encoded at once
NEEDED = ("architecture", "parameters", "targets", "labels", "length")  # of about.json, to build what was trained


@torch.inference_mode()
def run(network: nn.Module, codes: np.ndarray, batch_size: int, what: str = "logits", precision: str = "float32") -> np.ndarray:
    """Apply a network to codes in batches; float32 (n, ...) in order. Training mode is put back.

    Sequences of many lengths in tokens are put side by side by length, ``READ`` batches at a time, so that little is computed on
    padding. A batch that memory does not take is halved.

    Args:
        network: on the device where it shall run.
        codes: uint8 (n, L).
        batch_size: sequences at a time.
        what: ``logits``, or the name of a method that takes what ``encode`` gives, such as ``embed``.
        precision: ``bf16``, ``float32`` or ``auto``.
    """
    was_training, where = network.training, next(network.parameters()).device
    network.eval()
    out: np.ndarray | None = None
    for at in range(0, len(codes), READ * batch_size):
        inputs = network.encode(codes[at : at + READ * batch_size])
        count = len(next(iter(inputs.values())))
        lengths = inputs["attention_mask"].sum(1) if "attention_mask" in inputs else torch.ones(count)
        order = torch.argsort(lengths, stable=True)
        waiting = list(order.split(batch_size))
        while waiting:
            some = waiting.pop(0)
            batch = {name: value[some] for name, value in inputs.items()}
            if "attention_mask" in inputs:
                batch = {name: value[:, : int(lengths[some[-1]])] for name, value in batch.items()}
            try:
                with autocast(where, precision):
                    batch = {name: value.to(where) for name, value in batch.items()}
                    answer = network(**batch).logits if what == "logits" else getattr(network, what)(**batch)
            except RuntimeError as error:
                if not ran_out(error) or len(some) == 1:
                    raise
                waiting[:0] = some.tensor_split(2)
                continue
            if out is None:
                out = np.empty((len(codes), *answer.shape[1:]), np.float32)
            out[at + some.numpy()] = answer.float().cpu().numpy()
    network.train(was_training)
    return out if out is not None else np.empty((0, 0), np.float32)


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
    network, precision = load(folder).to(device()), about.get("training", {}).get("precision", "auto")

    def logits(codes: np.ndarray, position: np.ndarray) -> np.ndarray:
        return run(network, codes, about["batch_size"], precision=precision).astype(np.float64)

    return logits
