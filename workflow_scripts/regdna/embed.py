"""Embeddings: what every layer of a frozen network makes of windows, computed once for all that is fitted on them."""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from regdna.arrays import read_array
from regdna.step import InputError, progress

# ASSUME: layer, pooling and penalty of a probe are chosen on at most 20,000 training and 10,000 validation windows, evenly spaced.
MOST = {"train": 20_000, "validation": 10_000}
BASES = 1 << 16  # that go through the network at once: all its hidden states are held
PIECE_BYTES = 1 << 28  # of embeddings that are held at once
# ASSUME: embeddings are kept in float16 where its rounding is at most 3 % of every feature's spread over windows, else in float32.
ROUNDING = 0.03
CONSTANT = 1e-5  # spread of what is the same in all windows but for a network's rounding, as a share of it


def choose_rows(parts: np.ndarray) -> np.ndarray:
    """Windows that are embedded, int64 (m,), ascending: evenly spaced ones of training and validation, at most ``MOST`` of each.

    Args:
        parts: the part of each window, (n,).
    """
    chosen = []
    for part, most in MOST.items():
        rows = np.flatnonzero(parts == part)
        chosen.append(rows[np.arange(min(most, len(rows))) * len(rows) // max(1, min(most, len(rows)))])
    return np.sort(np.concatenate(chosen))


def identity(net: object) -> str:
    """Digest of what decides an embedding: the encoder's weights and the tokeniser; 16 hex digits."""
    from regdna.models import weights

    said = [weights.digest(dict(net.encoder.named_parameters())), net.tokeniser.files()]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def write(
    folder: Path, net: object, poolings: list[str], sequences: object, rows: np.ndarray, about: dict, precision: str = "auto"
) -> None:
    """Write ``rows.npy``, ``{pooling}.npy`` and ``about.json`` to a folder that exists and is empty.

    Args:
        net: an ``EncoderClassifier`` on the device where it shall run.
        poolings: names of those that the network has, in their order.
        sequences: of every window: ``sequences[rows]`` gives codes, uint8 (n, L); ``length``.
        rows: of the windows to embed, int64 (m,).
        about: what else to say of them.
        precision: of the network, as for ``network.run``.
    """
    from regdna.models import network

    batch = max(1, BASES // sequences.length)
    held: dict[str, np.ndarray] = {}
    show, at, tokens = progress(len(rows), "embedding"), 0, 0
    step = batch  # until it is known how large the embedding of a window is
    while at < len(rows):
        codes = sequences[rows[at : at + step]]
        piece, tokens = network.run(net, codes, batch, "embed_layers", precision), tokens + count_tokens(net, codes)
        for place, name in enumerate(poolings):
            if name not in held:
                held[name] = open_memmap(folder / f"{name}.npy", "w+", np.float32, (len(rows), piece.shape[1], piece.shape[3]))
            held[name][at : at + len(piece)] = piece[:, :, place]
        at += len(piece)
        show(at)
        step = max(batch, PIECE_BYTES // piece[0].nbytes // batch * batch)
    for name, array in held.items():
        array.flush()
        _narrow(folder / f"{name}.npy")
    layers, width = held[poolings[0]].shape[1] - 1, held[poolings[0]].shape[2]
    np.save(folder / "rows.npy", rows)
    said = {**about, "poolings": poolings, "layers": layers, "width": width, "rows": len(rows), "tokens": tokens, "digest": identity(net)}
    (folder / "about.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")


def count_tokens(net: object, codes: np.ndarray) -> int:
    """Tokens, less padding, that a network sees of codes, uint8 (n, L)."""
    return int(net.encode(codes)["attention_mask"].sum())


def _narrow(path: Path) -> None:
    """Bring an array, float32 (m, layers + 1, width), to float16 where that loses nothing that matters.

    Raises:
        ValueError: it holds what is no number.
    """
    wide = np.load(path, mmap_mode="r")
    kept = True
    for layer in range(wide.shape[1]):
        values = np.asarray(wide[:, layer])
        if not np.isfinite(values).all():
            raise ValueError(
                f"layer {layer} gives numbers that are not finite; the weights, or their precision, do not do for these windows"
            )
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float16)
        lost = np.sqrt(((values - rounded.astype(np.float64)) ** 2).mean(0))
        # Of what is the same in all windows, such as the embedding of a first token, nothing can be lost.
        same = (rounded == rounded[0]).all(0) & (values.std(0, dtype=np.float64) <= CONSTANT * np.abs(values.mean(0)))
        kept = kept and bool((same | (lost <= ROUNDING * values.std(0, dtype=np.float64))).all())
    if kept:
        narrow = open_memmap(path.with_suffix(".part"), "w+", np.float16, wide.shape)
        step = max(1, PIECE_BYTES // wide[0].nbytes)
        for at in range(0, len(wide), step):
            narrow[at : at + step] = wide[at : at + step]
        narrow.flush()
        path.with_suffix(".part").replace(path)


class Embeddings:
    """A folder of embeddings, opened.

    Attributes:
        about: its ``about.json``: poolings, layers, width, digest of encoder and tokeniser, split_digest, length, tokens.
        rows: of the windows, int64 (m,), ascending.

    Raises:
        InputError: files that are not whole or do not belong together.
    """

    def __init__(self, folder: Path):
        try:
            self.about = json.loads((folder / "about.json").read_text())
        except (ValueError, FileNotFoundError):
            raise InputError(f"{folder}: not whole; delete it and run again") from None
        self.rows = read_array(folder / "rows.npy")
        self._arrays = {name: read_array(folder / f"{name}.npy", "r") for name in self.about["poolings"]}
        shape = (len(self.rows), self.about["layers"] + 1, self.about["width"])
        for name, array in self._arrays.items():
            if array.shape != shape:
                raise InputError(f"{folder / name}.npy is of shape {array.shape}, not {shape}; delete the folder and run again")

    @property
    def poolings(self) -> list[str]:
        """Those that there are, in their order."""
        return list(self._arrays)

    @property
    def layers(self) -> int:
        """The number of the last hidden state; 0 is the embedding."""
        return self.about["layers"]

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Which embeddings are of some windows, int64, ascending: places for ``read``. Windows that were not embedded have none."""
        return np.flatnonzero(np.isin(self.rows, rows))

    def read(self, pooling: str, layer: int, places: np.ndarray) -> np.ndarray:
        """Embeddings of a layer, float32 (len(places), width)."""
        return self._arrays[pooling][:, layer][places].astype(np.float32)
