"""Published DeepSEA and Basset weights as the Kipoi model zoo keeps them: state dicts of 2-d convolutions with a dummy axis.

Source: Avsec et al. 2019, Nature Biotechnology 37:592; kipoi.org/models/DeepSEA and kipoi.org/models/Basset.
"""

from dataclasses import dataclass

import torch

from regdna import models
from regdna.models import geometry
from regdna.models.cnn import SequenceNetwork
from regdna.step import InputError

Shapes = dict[str, tuple[int, ...]]
LINEAR = ".1"  # a published linear layer stands second in a pair; the first only reshapes
COUNTER = "num_batches_tracked"  # decides nothing here; PyTorch before 0.4.1 did not write it


@dataclass(frozen=True)
class Layout:
    """Where a file has its layers; the numbers are those of ``SequenceNetwork.layers`` too.

    Attributes:
        architecture: name in the registry.
        prefix: before each number.
        norms: numbers of the batch normalisations.
        dense: numbers of the linear layers.
        dummy: the axis of size 1 of a convolution's weight.
        unseen: sizes that the weights do not show: pools and dropout.
        average_strands: probabilities are the mean over both strands.
    """

    architecture: str
    prefix: str
    norms: tuple[int, ...]
    dense: tuple[int, ...]
    dummy: int
    unseen: dict
    average_strands: bool = False

    convolutions = (0, 4, 8)

    def key(self, number: int, name: str) -> str:
        """The file's key of a tensor of a layer."""
        return f"{self.prefix}{number}{LINEAR if number in self.dense else ''}.{name}"

    def keys(self) -> dict[str, str]:
        """Every key of the file, with the key of ``SequenceNetwork`` that it stands for."""
        names = {number: ["weight", "bias"] for number in (*self.convolutions, *self.dense)}
        names |= {number: ["weight", "bias", "running_mean", "running_var", COUNTER] for number in self.norms}
        return {self.key(number, name): f"layers.{number}.{name}" for number, some in names.items() for name in some}


DEEPSEA = {"pools": [4, 4, 1], "dropouts": [0.2, 0.2, 0.5]}
BASSET = {"pools": [3, 4, 4], "dropout": 0.3}
LAYOUTS = {
    "deepsea-predict": Layout("deepsea", "2.", (), (12, 14), 2, DEEPSEA, average_strands=True),
    "deepsea-variant-effects": Layout("deepsea", "1.", (), (12, 14), 2, DEEPSEA),
    "basset": Layout("basset", "", (1, 5, 9, 14, 18), (13, 17, 21), 3, BASSET),
}


def recognise(shapes: Shapes) -> str | None:
    """The layout of a file: "deepsea-predict", "deepsea-variant-effects", "basset", or None.

    The convolutions and one linear layer decide, whatever their sizes: a file that lacks one tensor of a layout is of that layout,
    and ``open`` says what it lacks.

    Args:
        shapes: of every tensor, by its key.
    """
    for name, layout in LAYOUTS.items():
        found = [shapes.get(layout.key(number, "weight"), ()) for number in layout.convolutions]
        flat = all(len(shape) == 4 and shape[layout.dummy] == 1 for shape in found)
        dense = any(len(shapes.get(layout.key(number, "weight"), ())) == 2 for number in layout.dense)
        if flat and dense and found[0][1] == 4:
            return name
    return None


def open(tensors: dict[str, torch.Tensor], layout: str, name: str) -> SequenceNetwork:
    """The network of a file, in evaluation mode; float32, on the tensors' device, of whose memory it makes use.

    Sizes are read off the weights. Of the lengths that fit the first linear layer (pools drop a part, so there are some) it is the
    roundest: 1000 bp for DeepSEA, 600 bp for Basset.

    Args:
        tensors: the state dict.
        layout: as ``recognise`` gives it.
        name: what messages start with.

    Raises:
        InputError: a tensor is missing, is of a wrong shape, holds what is no weight, or is none of the layout's.
    """
    keys = LAYOUTS[layout].keys()
    missing = [key for key in keys if key not in tensors and not key.endswith(COUNTER)]
    if missing:
        raise InputError(f"{name}: {missing[0]} is missing{_more(missing)}; the layout {layout} needs it; fetch the file again")
    extra = [key for key in tensors if key not in keys]
    if extra:
        raise InputError(f"{name}: {extra[0]} is unknown{_more(extra)}; the layout {layout} has no such tensor; give the published file")
    for key, tensor in tensors.items():
        if not key.endswith(COUNTER) and not tensor.is_floating_point():
            raise InputError(f"{name}: {key} holds {tensor.dtype}, which is no weight; give the published file")
    with torch.device("meta"):  # no weights are drawn that the file's replace at once
        net = _sized({key: tuple(tensor.shape) for key, tensor in tensors.items()}, layout, name)
    loaded = {}
    for (key, own), wanted in zip(keys.items(), map(net.state_dict().get, keys.values()), strict=True):
        tensor = tensors.get(key, torch.tensor(0))
        shape = tuple(wanted.shape)
        if len(shape) == 3:
            shape = (*shape[: LAYOUTS[layout].dummy], 1, *shape[LAYOUTS[layout].dummy :])
        if tuple(tensor.shape) != shape:
            raise InputError(f"{name}: {key} is {tuple(tensor.shape)}, where the other layers need {shape}; give the published file")
        loaded[own] = tensor.reshape(wanted.shape).to(wanted.dtype)
    net.load_state_dict(loaded, strict=True, assign=True)
    return net.eval()


def _more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""


def _sized(shapes: Shapes, name: str, file: str) -> SequenceNetwork:
    """A network of the sizes that the weights show."""
    layout = LAYOUTS[name]
    for number in (*layout.convolutions, *layout.dense):
        key = layout.key(number, "weight")
        shape, axes = shapes[key], 2 if number in layout.dense else 4
        if len(shape) != axes or (axes == 4 and shape[layout.dummy] != 1) or min(shape) < 1:
            raise InputError(f"{file}: {key} is {shape}, no weight of the layout {name}; give the published file")
    convolutions = [shapes[layout.key(number, "weight")] for number in layout.convolutions]
    dense = [shapes[layout.key(number, "weight")] for number in layout.dense]
    filters = [shape[0] for shape in convolutions]
    widths = [shape[5 - layout.dummy] for shape in convolutions]
    left, rest = divmod(dense[0][1], filters[-1])
    if rest or not left:
        key = layout.key(layout.dense[0], "weight")
        raise InputError(f"{file}: {key} takes {dense[0][1]} numbers, no multiple of the {filters[-1]} filters; give the published file")
    pools = layout.unseen["pools"]
    length = _roundest(geometry.least(left, widths, pools), geometry.least(left + 1, widths, pools) - 1)
    hidden = [shape[0] for shape in dense[:-1]]
    sizes = {**layout.unseen, "filters": filters, "widths": widths, "hidden": hidden if len(hidden) > 1 else hidden[0]}
    # By name, so that the code of one architecture is no matter of the other's.
    net = models.module(layout.architecture).build(sizes, length, dense[-1][0])
    net.average_strands = layout.average_strands
    return net


def _roundest(first: int, last: int) -> int:
    """The number in [first, last] with the most zeros at its end; the smallest of several."""
    step = 10 ** len(str(last))
    while first <= last < -(-first // step) * step:
        step //= 10
    return -(-first // step) * step
