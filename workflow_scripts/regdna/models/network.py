"""Networks of every family: running them in batches, and opening those that were trained."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from regdna import models
from regdna.models.precision import autocast, device, ran_out
from regdna.step import InputError

READ = 32  # batches that are encoded at once
TOKENS = 1024  # of a batch for every GiB of a GPU; the widest published model takes some 150 kB for each
BASES = 4  # of a byte-pair token, at least, on average
NEEDED = ("architecture", "parameters", "targets", "labels", "length")  # of about.json, to build what was trained


def run(network: nn.Module, codes: np.ndarray, batch_size: int, what: str = "logits", precision: str = "float32") -> np.ndarray:
    """Apply a network to codes in batches; float32 (n, ...) in order. Training mode is put back.

    ``READ`` batches are encoded and put side by side by length at once.

    Args:
        network: on the device where it shall run.
        codes: uint8 (n, L).
        batch_size, what, precision: as of ``run_inputs``.
    """
    out: np.ndarray | None = None
    for at in range(0, len(codes), READ * batch_size):
        answers = run_inputs(network, network.encode(codes[at : at + READ * batch_size]), batch_size, what, precision)
        if out is None:
            out = np.empty((len(codes), *answers.shape[1:]), np.float32)
        out[at : at + len(answers)] = answers
    return out if out is not None else np.empty((0, 0), np.float32)


@torch.inference_mode()
def run_inputs(
    network: nn.Module, inputs: dict[str, torch.Tensor], batch_size: int, what: str = "logits", precision: str = "float32"
) -> np.ndarray:
    """Apply a network to what its ``encode`` gave, in batches; float32 (n, ...) in order. Training mode is put back.

    Sequences of many lengths in tokens are put side by side by length, so that little is computed on padding. A batch that memory
    does not take is halved, and so are those that follow: they are no shorter.

    Args:
        network: on the device where it shall run.
        inputs: tensors (n, ...).
        batch_size: sequences at a time.
        what: ``logits``, or the name of a method that takes what ``encode`` gives, such as ``embed``.
        precision: ``bf16``, ``float32`` or ``auto``.
    """
    was_training, where = network.training, next(network.parameters()).device
    network.eval()
    out: np.ndarray | None = None
    count = len(next(iter(inputs.values())))
    lengths = inputs["attention_mask"].sum(1) if "attention_mask" in inputs else torch.ones(count)
    left = torch.argsort(lengths, stable=True)
    while len(left):
        some = left[:batch_size]
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
            batch_size = (len(some) + 1) // 2
            continue
        if out is None:
            out = np.empty((count, *answer.shape[1:]), np.float32)
        out[some.numpy()] = answer.float().cpu().numpy()
        left = left[batch_size:]
    network.train(was_training)
    return out if out is not None else np.empty((0, 0), np.float32)


def at_once(network: nn.Module, length: int, least: int) -> int:
    """Sequences that a trained network is applied to at a time: ``least``, or of a transformer on a GPU as many more as ``TOKENS`` says.

    Args:
        network: on the device where it shall run.
        length: of the sequences, in bp.
        least: how many make an update in its training.
    """
    where = next(network.parameters()).device
    if where.type != "cuda" or not hasattr(network, "tokeniser"):
        return least
    memory = torch.cuda.get_device_properties(where).total_memory // 2**30
    return max(least, memory * TOKENS // (network.tokeniser.tokens(length) or max(1, length // BASES)))


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


@dataclass(frozen=True)
class Opened:
    """A trained network.

    Attributes:
        network: in evaluation mode, on the device where it runs.
        batch_size: sequences at a time.
        precision: ``bf16``, ``float32`` or ``auto``.
    """

    network: nn.Module
    batch_size: int
    precision: str

    def __call__(self, codes: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Logits, float64 (n, T), of codes, uint8 (n, L); positions are not used."""
        return run(self.network, codes, self.batch_size, precision=self.precision).astype(np.float64)


def opened(folder: Path, about: dict) -> Opened:
    """The network of a checkpoint of ours, ready to be called."""
    network = load(folder).to(device())
    batch_size = at_once(network, about["length"], about["batch_size"])
    return Opened(network, batch_size, about.get("training", {}).get("precision", "auto"))
