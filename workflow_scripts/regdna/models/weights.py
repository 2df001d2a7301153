"""The tensors of a checkpoint folder: read without running anything that the files may hold, and checked key by key."""

import hashlib
import json
import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch

from regdna.step import InputError

SINGLE = ("model.safetensors", "pytorch_model.bin")
# Names of a norm's tensors in checkpoints of TensorFlow's time, which transformers 5 gives ESM's again when it saves them.
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def weight_files(folder: Path) -> list[Path]:
    """The files of a folder that hold its weights: one, or the shards that an index lists; safetensors are preferred.

    Raises:
        InputError: there are none, an index names what is not there, or several ``.pth`` files lie side by side.
    """
    for name in SINGLE:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _shards(index)
    several = sorted(folder.glob("*.pth"))
    if len(several) == 1:
        return several
    if several:
        raise InputError(f"{folder}: {several[0].name} and {several[1].name} are two checkpoints; keep each in a folder of its own")
    if (folder / "adapter_model.safetensors").is_file() or (folder / "adapter_model.bin").is_file():
        raise InputError(f"{folder}: holds adapters alone; fold them into their model (peft: merge_and_unload()) and give the whole")
    raise InputError(f"{folder}: no weights (model.safetensors, pytorch_model.bin or one .pth file); fetch the checkpoint again")


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        names = []
    if not names:
        raise InputError(f"{index}: no index of shards ('weight_map' is missing or cut short); fetch it again")
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise InputError(f"{index}: shard {name!r} is not in its folder; fetch the checkpoint again")
    return [index.parent / name for name in names]


def read(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a folder by key, on the CPU; large files are mapped, not read.

    Raises:
        InputError: no weights, a damaged file, a key in two shards, or a pickle that holds more than tensors.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
        for key, value in found.items():
            key = next((key.removesuffix(old) + new for old, new in OLD_NAMES.items() if key.endswith(old)), key)
            if key in tensors:
                raise InputError(f"{path}: key {key!r} is there twice, in another shard or under an older name; fetch the checkpoint again")
            tensors[key] = value
    return tensors


def called(folder: Path) -> str:
    """What to name in messages about a folder's tensors: the file of weights, or the folder of several."""
    files = weight_files(folder)
    return str(files[0] if len(files) == 1 else folder)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # a damaged header makes the library fail in any way
        raise InputError(f"{path}: cut short or no .safetensors file ({_short(error)}); fetch it again") from None


def _read_pickle(path: Path) -> dict[str, torch.Tensor]:
    try:
        # weights_only: an unpickler that knows tensors and plain containers; anything else that the file asks for is refused.
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UnpicklingError:
        raise InputError(
            f"{path}: not opened: it is damaged, or holds more than tensors, and what it holds would be run; "
            "fetch it again, or take the checkpoint as safetensors"
        ) from None
    except Exception as error:  # a damaged pickle is a program of chance: it fails in any way
        raise InputError(f"{path}: cut short or no file of weights ({_short(error)}); fetch it again") from None
    if not isinstance(found, dict) or not found:
        raise InputError(f"{path}: holds {type(found).__name__}, not tensors by key; save the model's state_dict")
    for key, value in found.items():
        if not (isinstance(key, str) and isinstance(value, torch.Tensor)):
            raise InputError(f"{path}: {str(key)[:80]!r} is no tensor; save the model's state_dict alone")
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            raise InputError(f"{path}: key {key!r} is sparse, quantised or without values; save the state_dict as plain tensors")
    return dict(found)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by key."""
    return {key: tuple(value.shape) for key, value in tensors.items()}


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors have one shape and the same values, of whatever types."""
    return one.shape == other.shape and torch.equal(one.double(), other.double())


def match(
    expected: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], unused: tuple[str, ...], tied: Mapping[str, str], name: str
) -> dict[str, torch.Tensor]:
    """The tensors for a model whose keys they must be, one for one.

    Args:
        expected: of the model, by key; only shapes and types matter, and may be all there is.
        tensors: by key.
        unused: patterns (whole key) of published tensors that the model has no use for.
        tied: pairs of names for one tensor; one may be left out, both must be equal.
        name: file to name in messages.

    Raises:
        InputError: a key is missing, unknown, of another shape or kind of number, or differs from what it is tied to.
    """
    kept = {key: value for key, value in tensors.items() if not any(re.fullmatch(pattern, key) for pattern in unused)}
    for second, first in tied.items():  # either name may be the one that was kept
        if first in kept and second in kept and not same(kept[first], kept[second]):
            raise InputError(f"{name}: {second} and {first} are one tensor in this architecture but differ here; fetch the file again")
        if first in kept or second in kept:
            kept[first] = kept[second] = kept.get(first, kept.get(second))
    for said, keys, do in (
        ("is missing", sorted(set(expected) - set(kept)), "the checkpoint is not whole: fetch it again"),
        ("is unknown", sorted(set(kept) - set(expected)), "this is no checkpoint of this architecture, or config.json is another's"),
    ):
        if keys:
            more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
            raise InputError(f"{name}: key {keys[0]!r} {said}{more}; {do}")
    for key, value in kept.items():
        if value.shape != expected[key].shape:
            raise InputError(
                f"{name}: key {key!r} is {tuple(value.shape)}, the configuration asks for {tuple(expected[key].shape)}; "
                "they do not belong together"
            )
        if value.is_floating_point() != expected[key].is_floating_point():
            raise InputError(f"{name}: key {key!r} holds {value.dtype}, which is no weight; fetch the file again")
    return kept


def refuse_wrapped(keys: Collection[str], name: str) -> None:
    """Refuse keys of a wrapper around a model, and say how to take it off.

    Args:
        keys: of the tensors.
        name: file to name in messages.

    Raises:
        InputError: adapters stand beside the weights, or all keys have a wrapper's prefix.
    """
    if any(".lora_" in key or ".ia3_" in key for key in keys):
        raise InputError(f"{name}: holds adapters beside the weights; fold them in (peft: merge_and_unload()) and save the model again")
    for prefix in ("module.", "_orig_mod."):
        if keys and all(key.startswith(prefix) for key in keys):
            raise InputError(f"{name}: keys begin with {prefix!r}, which a wrapper adds; save the state_dict of the model within it")


def finite(tensors: Mapping[str, torch.Tensor], name: str) -> None:
    """Look at every value.

    Raises:
        InputError: one is NaN or infinity, or a variance is negative.
    """
    for key, value in tensors.items():
        # Types of 8 bits and less do not know how to be asked.
        if not torch.isfinite(value if value.element_size() > 1 else value.float()).all():
            raise InputError(f"{name}: key {key!r} holds what is no weight (NaN or infinity); fetch the file again")
        if key.endswith("running_var") and (value < 0).any():
            raise InputError(f"{name}: key {key!r} holds a negative variance; fetch the file again")


def fill(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], unused: tuple[str, ...], tied: Mapping[str, str], name: str) -> None:
    """Copy tensors into a model, on the CPU, whose keys they must be, one for one.

    Args:
        tensors, unused, tied, name: as for ``match``.

    Raises:
        InputError: as ``match`` and ``finite``.
    """
    kept = match(model.state_dict(), tensors, unused, tied, name)
    finite(kept, name)
    model.load_state_dict(kept, strict=True)


def expect(model: torch.nn.Module, about: dict, folder: Path) -> None:
    """Check that published weights are those that were verified.

    Args:
        about: initialisation, and weights_digest as the vault gave it; an empty one is not checked.
        folder: that they were read from.

    Raises:
        InputError: they are others.
    """
    stated = about["weights_digest"]
    if about["initialisation"] == "published" and stated and digest(model.state_dict()) != stated:
        raise InputError(f"{folder}: its weights are not those that vault.json there describes; ask for the target vault again")


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """sha256 (16 hex digits) of names, types, shapes and values; equal where all of them are."""
    total = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].detach().cpu().contiguous()
        total.update(f"{key} {value.dtype} {tuple(value.shape)}\0".encode())
        total.update(value.view(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return total.hexdigest()[:16]
