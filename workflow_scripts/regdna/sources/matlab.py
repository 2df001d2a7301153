"""Arrays in MATLAB files of both kinds, level 5 and 7.3 (HDF5), read in pieces that fit in memory.

Axes are MATLAB's everywhere: h5py shows those of a 7.3 file in reverse, scipy shows those of a level 5 file as they are.
Source: MathWorks, MAT-File Format (level 5); 7.3 is HDF5 behind a 512-byte header.
"""

import itertools
import math
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from isal import isal_zlib

from regdna.step import InputError

PIECE = 1 << 25  # bytes of a piece, unless one chunk of an HDF5 file is larger
CACHE = 3 * PIECE  # HDF5 chunks held open: several spans of one tile lie in the same chunks
SLOTS = 100_003
READ = 1 << 18
HEADER = 128
MATRIX, COMPRESSED = 14, 15
COMPLEX = 0x0800
CLASSES = {1: "a cell array", 2: "a structure", 3: "an object", 4: "text", 5: "a sparse array", 16: "a function", 17: "an object"}
NUMBERS = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
Place = tuple[slice, ...]
Span = tuple[int, int]


@dataclass(frozen=True)
class Array:
    """A real, dense array of numbers in a file.

    ``shape`` is in MATLAB's order. ``dtype`` is what the file stores: MATLAB writes whole numbers of any class in as few
    bytes as hold them, so values are those of the variable but their dtype may be narrower.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[["Array", int, list[Span]], Iterator[tuple[Place, np.ndarray]]] = field(repr=False)

    def pieces(self, axis: int, spans: list[Span]) -> Iterator[tuple[Place, np.ndarray]]:
        """Read the stretches ``spans`` of one axis, and all of the others, in the order that suits the file.

        Args:
            axis: the axis that is restricted.
            spans: [first, last) along it; sorted and disjoint. The result lays them end to end.

        Yields:
            where a block lies in the result, and the block itself; valid until the next is asked for. Blocks have all
            axes, cover the result exactly once and take about ``PIECE`` bytes.

        Raises:
            InputError: the file is damaged.
        """
        return self.read(self, axis, spans)


def variables(path: Path) -> list[str]:
    """Names of the variables in a file, of either kind, in its order.

    Raises:
        InputError: it is no such file, or cut short.
    """
    return list(_scan(path))


def open_array(path: Path, name: str) -> Array:
    """The array that a variable holds; nothing of its content is read yet.

    Raises:
        InputError: it is no MATLAB file, or cut short; or the variable is not there, or no real, dense array of numbers.
    """
    found = _scan(path)
    if name not in found:
        raise InputError(f"{path}: no variable {name}; it holds {', '.join(found) or 'none'}")
    if isinstance(found[name], str):
        raise InputError(f"{path}: variable {name} is {found[name]}; a full array of real numbers is needed")
    return found[name]


def _scan(path: Path) -> dict[str, Array | str]:
    """Every variable: the array, or in words what else it is."""
    with open(path, "rb") as file:
        head = file.read(HEADER)
    if h5py.is_hdf5(path):
        return _scan_hdf5(path)
    order = {b"IM": "<", b"MI": ">"}.get(head[126:])
    if order and struct.unpack(order + "H", head[124:126])[0] >> 8 == 1:
        return _scan_level5(path, order)
    if head.startswith(b"MATLAB"):
        raise _cut(path)
    raise InputError(f"{path}: neither a level 5 nor a 7.3 MATLAB file; fetch it again, or save it with -v7 or -v7.3")


def _cut(path: Path) -> InputError:
    return InputError(f"{path}: the MATLAB file is cut short; fetch it again")


def _damaged(path: Path, why: object) -> InputError:
    return InputError(f"{path}: the MATLAB file is damaged ({' '.join(str(why).split())}); fetch it again")


def _inside(place: slice, spans: list[Span]) -> Iterator[tuple[slice, slice]]:
    """Where a stretch of the axis meets the spans: in the result, and within the stretch."""
    before = 0
    for first, last in spans:
        start, stop = max(first, place.start), min(last, place.stop)
        if start < stop:
            yield slice(before + start - first, before + stop - first), slice(start - place.start, stop - place.start)
        before += last - first


# Level 5: elements of a tag (type, bytes) and a body, one after the other. A variable is one MATRIX element, or a zlib
# stream that holds one; its numbers come last, the first axis fastest.


class _Stream:
    """The bytes of one element's body, inflated if need be."""

    def __init__(self, path: Path, start: int, size: int, inflate: bool):
        self.path, self._left = path, size
        self._file = open(path, "rb")  # noqa: SIM115 - closed by __exit__
        self._file.seek(start)
        self._inflate = isal_zlib.decompressobj() if inflate else None

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fill(self, out: memoryview) -> None:
        """Read as many bytes as ``out`` has."""
        at = 0
        while at < len(out):
            part = self._next(min(len(out) - at, READ))
            if not part:
                raise _cut(self.path)
            out[at : at + len(part)] = part
            at += len(part)

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        out = bytearray(size)
        self.fill(memoryview(out))
        return bytes(out)

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes."""
        if self._inflate is None:
            self._file.seek(size, os.SEEK_CUR)
            self._left -= size
            return
        while size:
            size -= len(self.take(min(size, READ)))

    def finish(self) -> None:
        """Read what follows the numbers, so that the checksum of a zlib stream is compared."""
        while self._inflate is not None and not self._inflate.eof:
            if not self._next(READ) and not self._inflate.eof:
                raise _cut(self.path)

    def _next(self, most: int) -> bytes:
        if self._inflate is None:
            data = self._file.read(min(most, self._left))
            self._left -= len(data)
            return data
        while True:
            data = self._inflate.unconsumed_tail
            if not data and not self._inflate.eof:
                data = self._file.read(min(READ, self._left))
                self._left -= len(data)
            try:
                part = self._inflate.decompress(data, most)
            except isal_zlib.error as error:
                raise _damaged(self.path, error) from None
            if part or not data:
                return part


def _scan_level5(path: Path, order: str) -> dict[str, Array | str]:
    found: dict[str, Array | str] = {}
    end, at = path.stat().st_size, HEADER
    with open(path, "rb") as file:
        while at < end:
            file.seek(at)
            tag = file.read(8)
            if len(tag) < 8:
                raise _cut(path)
            kind, size = struct.unpack(order + "II", tag)
            if at + 8 + size > end:
                raise _cut(path)
            if kind in (MATRIX, COMPRESSED):
                compressed = kind == COMPRESSED
                with _Stream(path, at + 8, size, compressed) as stream:
                    name, array = _matrix(stream, order, at + 8, size, compressed)
                if name:  # MATLAB keeps data of its own without a name
                    found[name] = array
            elif kind not in STORED:
                raise _damaged(path, f"an element of unknown type {kind}")
            at += 8 + size
    return found


def _matrix(stream: _Stream, order: str, start: int, size: int, compressed: bool) -> tuple[str, Array | str]:
    """The variable that an element holds: its name, and the array or in words what else it is."""
    used = 0

    def tag() -> tuple[int, int, bytes | None]:
        """Type and bytes of the next element, and its body if that is small enough to stand in the tag."""
        nonlocal used
        used += 8
        data = stream.take(8)
        kind, length = struct.unpack(order + "II", data)
        if kind < 1 << 16:
            return kind, length, None
        if kind >> 16 > 4:
            raise _damaged(stream.path, "an element larger than its tag")
        return kind & 0xFFFF, kind >> 16, data[4 : 4 + (kind >> 16)]

    def body() -> bytes:
        """The body of the next element."""
        nonlocal used
        _, length, small = tag()
        if small is not None:
            return small
        if length > READ:
            raise _damaged(stream.path, f"a header of {length} bytes")
        padded = -(-length // 8) * 8
        used += padded
        return stream.take(padded)[:length]

    if compressed and tag()[0] != MATRIX:
        raise _damaged(stream.path, "a compressed element without a variable")
    flags = body()
    if len(flags) != 8:
        raise _damaged(stream.path, "a variable without flags")
    flags = struct.unpack(order + "I", flags[:4])[0]
    if flags & 0xFF == 17:  # an object has no dimensions here
        return body().decode("utf-8", "replace"), CLASSES[17]
    dimensions = body()
    if len(dimensions) < 8 or len(dimensions) % 4:
        raise _damaged(stream.path, f"dimensions of {len(dimensions)} bytes")
    shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
    name = body().decode("utf-8", "replace")
    if flags & 0xFF in CLASSES:
        return name, CLASSES[flags & 0xFF]
    if flags & COMPLEX:
        return name, "an array of complex numbers"
    if 0 in shape:
        return name, "empty"
    kind, length, small = tag()
    if kind not in STORED:
        raise _damaged(stream.path, f"variable {name} holds numbers of unknown type {kind}")
    dtype = np.dtype(order + STORED[kind])
    if min(shape) < 0 or math.prod(shape) * dtype.itemsize != length or (not compressed and used + (small is None) * length > size):
        raise _damaged(stream.path, f"variable {name} has {length} bytes for {' x '.join(map(str, shape))} numbers")
    begin = used if small is None else used - 4

    def read(array: Array, axis: int, spans: list[Span]) -> Iterator[tuple[Place, np.ndarray]]:
        with _Stream(stream.path, start, size, compressed) as body:
            body.skip(begin)
            yield from _read_level5(array, body, axis, spans)

    return name, Array(stream.path, name, shape, dtype, read)


def _read_level5(array: Array, stream: _Stream, axis: int, spans: list[Span]) -> Iterator[tuple[Place, np.ndarray]]:
    """The wanted parts of a stream of numbers, the first axis fastest; what is behind the last of them is not read."""
    shape, itemsize = array.shape, array.dtype.itemsize
    inner, cut = 1, 0  # numbers in the axes that a piece holds whole; the axis that pieces divide
    while cut < len(shape) - 1 and inner * shape[cut] * itemsize <= PIECE:
        inner *= shape[cut]
        cut += 1
    step = max(1, PIECE // max(1, inner * itemsize))
    buffer = np.empty(inner * min(step, shape[cut]), array.dtype)
    pending = 0
    for outer in itertools.product(*(range(extent) for extent in reversed(shape[cut + 1 :]))):
        for first in range(0, shape[cut], step):
            middle = slice(first, min(first + step, shape[cut]))
            place = (*(slice(0, extent) for extent in shape[:cut]), middle, *(slice(one, one + 1) for one in reversed(outer)))
            block = buffer[: inner * (middle.stop - middle.start)]
            wanted = list(_inside(place[axis], spans))
            if not wanted:
                pending += block.nbytes
                continue
            stream.skip(pending)
            pending = 0
            stream.fill(memoryview(block.view(np.uint8)))
            cube = block.reshape([one.stop - one.start for one in place], order="F")
            for there, here in wanted:
                yield (*place[:axis], there, *place[axis + 1 :]), cube[(*(slice(None),) * axis, here)]
    if not pending:
        stream.finish()


# 7.3

BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError)  # what h5py raises over damaged files


def _scan_hdf5(path: Path) -> dict[str, Array | str]:
    try:
        with _hdf5(path) as file:
            named = {str(name): one for name, one in file.items()}  # one that is no text comes as bytes
            return {name: _dataset(path, name, one) for name, one in named.items() if not name.startswith("#")}
    except BROKEN as error:
        raise _cut(path) if "truncated" in str(error) else _damaged(path, error) from None


def _hdf5(path: Path) -> h5py.File:
    # Some parallel file systems refuse the lock, and nobody writes the file.
    return h5py.File(path, "r", locking=False, rdcc_nbytes=CACHE, rdcc_nslots=SLOTS)


def _dataset(path: Path, name: str, one: h5py.HLObject | None) -> Array | str:
    """The array that an HDF5 object holds, or in words what else it is."""
    if one is None:
        return "a link to nothing"
    if isinstance(one, h5py.Group):
        return "a sparse array" if "MATLAB_sparse" in one.attrs else "a structure"
    if not isinstance(one, h5py.Dataset):
        return CLASSES[3]
    kind = one.attrs.get("MATLAB_class", "double")  # HDF5 that is not MATLAB's has no classes
    kind = kind.decode("latin-1") if isinstance(kind, bytes) else kind
    if one.shape is None or 0 in one.shape or "MATLAB_empty" in one.attrs:
        return "empty"
    if kind not in NUMBERS or one.dtype.kind == "O":
        return {"char": CLASSES[4], "cell": CLASSES[1]}.get(kind, CLASSES[3])
    if one.dtype.kind not in "biuf":
        return "an array of complex numbers"
    return Array(path, name, one.shape[::-1], one.dtype, _read_hdf5)


def _read_hdf5(array: Array, axis: int, spans: list[Span]) -> Iterator[tuple[Place, np.ndarray]]:
    """Tiles of whole chunks, grown along the axis that lies closest together in the file.

    All spans of a tile are read before the next tile, while its chunks are at hand: each chunk is unpacked once.
    """
    shape, mine = array.shape[::-1], len(array.shape) - 1 - axis  # in the order of HDF5
    try:
        with _hdf5(array.path) as file:
            dataset = file[array.name]
            step = [max(1, min(one, extent)) for one, extent in zip(dataset.chunks or (1,) * len(shape), shape, strict=True)]
            for at in reversed(range(len(shape))):
                step[at] = min(shape[at], step[at] * max(1, PIECE // (math.prod(step) * array.dtype.itemsize)))
            tiles = [[slice(a, min(a + by, extent)) for a in range(0, extent, by)] for extent, by in zip(shape, step, strict=True)]
            for others in itertools.product(*tiles[:mine], *tiles[mine + 1 :]):
                for along in tiles[mine]:
                    for there, here in _inside(along, spans):
                        wanted = slice(along.start + here.start, along.start + here.stop)
                        block = dataset[(*others[:mine], wanted, *others[mine:])]
                        yield (*others[:mine], there, *others[mine:])[::-1], block.T
    except BROKEN as error:
        raise _damaged(array.path, error) from None
