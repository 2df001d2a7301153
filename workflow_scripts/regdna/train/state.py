"""The state of a training: what a killed job goes on from, and the signals on which it is saved."""

import signal
from pathlib import Path

import torch
from torch import nn

from regdna.step import InputError
from regdna.store import atomic

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def kept(net: nn.Module) -> dict[str, torch.Tensor]:
    """What training changes of a network, by name: trained parameters and buffers. The rest is what it began with."""
    trained = {name: one.detach() for name, one in net.named_parameters() if one.requires_grad}
    return trained | {name: one.detach() for name, one in net.named_buffers()}


def put(net: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what ``kept`` gave.

    Raises:
        KeyError: tensors of another network.
    """
    own = kept(net)
    if own.keys() != tensors.keys():
        raise KeyError(f"{sorted(own.keys() ^ tensors.keys())[0]}: in one of network and state only")
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)


def save(path: Path, content: dict) -> None:
    """Write a state whole, or leave the one that is there as it is.

    Raises:
        InputError: it cannot be written, such as for want of space.
    """
    try:
        with atomic(path) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError where the disk is full
        reason = getattr(error, "strerror", None) or "no space, or a quota reached"
        raise InputError(
            f"{path}: the training state could not be saved ({reason}); free some space and run again: what was saved last is whole"
        ) from error


def load(path: Path, where: torch.device) -> dict:
    """A state that ``save`` wrote.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return torch.load(path, map_location=where, weights_only=True)
    except Exception as error:  # zip, unpickling and end-of-file errors of several libraries
        raise InputError(f"{path}: a damaged training state ({type(error).__name__}); remove it to begin anew") from error


class Stop:
    """While it is entered, signals that ask the job to end are noted, not obeyed: the loop ends where its state can be saved.

    A scheduler sends SIGTERM before it kills, or SIGUSR1 some minutes before the time limit if it is asked to; Ctrl-C sends SIGINT.

    Attributes:
        signal: the number of the signal that came; 0 for none.
    """

    signal = 0

    def __enter__(self) -> "Stop":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def _note(self, number: int, frame: object) -> None:
        self.signal = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
