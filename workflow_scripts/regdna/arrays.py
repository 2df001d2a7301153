"""Arrays and tensors from files, with one line where a file is not what it should be."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from regdna.staging import near
from regdna.step import InputError


def read_array(path: Path, mmap_mode: str | None = None) -> np.ndarray:
    """The array of an .npy file; memory-mapped if ``mmap_mode`` says so, from the node's own disk where the site has one.

    Raises:
        InputError: the file is cut short or no .npy file.
    """
    try:
        return np.load(near(path) if mmap_mode == "r" else path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: cut short or no .npy file ({error}); delete it and run again") from None


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Raises:
        InputError: the file is cut short or no .npz file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: cut short or no .npz file ({error}); delete it and run again") from None


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a .safetensors file by name.

    Raises:
        InputError: the file is cut short or no .safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: cut short or no .safetensors file ({error}); delete its folder and run again") from None
