"""Signals: the mean of a bigWig over many bins at once.

The format is that of Kent et al. 2010 (Bioinformatics 26:2204): a tree of chromosomes, a tree of blocks, and blocks of up to some
thousand values that are compressed one by one. Each block that touches a bin is unpacked once, however many bins it touches. The libraries
that read bigWig ask bin by bin: tests/benchmarks/bench_bigwig.py says what that costs.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import pandas as pd
from isal import isal_zlib

from regdna.intervals import by_other_name
from regdna.step import InputError, log

MAGIC = 0x888FFC26  # of little-endian files, as all tools write them
HEADER = struct.Struct("<I4xQ8xQ20xI8x")  # magic; where the trees of chromosomes and blocks are; size of an unpacked block, 0: not packed
NODE = struct.Struct("<BxH")  # of either tree: whether it is a leaf, and how many items follow
PLACE = [("chrom", "<u4"), ("start", "<u4"), ("end_chrom", "<u4"), ("end", "<u4"), ("at", "<u8")]
BLOCK = np.dtype([*PLACE, ("size", "<u8")])
AT_ONCE = 64  # blocks unpacked at once, about 1 MB


@dataclass
class BigWig:
    """The bytes of a bigWig file, its chromosomes (name: number and length in bp), and where its blocks of values are."""

    data: np.ndarray
    chroms: dict[str, tuple[int, int]]
    blocks: np.ndarray
    unpacked_size: int


def mean_per_bin(path: Path, chrom: np.ndarray, start: np.ndarray, width: int) -> np.ndarray:
    """Mean of a bigWig over each bin, float32 (n,), in the order given.

    # ASSUME: bases without a value in a bigWig, those beyond the chromosome's ends too, have the signal 0.

    Args:
        path: the file.
        chrom: (n,) names.
        start: int (n,), 0-based; any order, bins may overlap.
        width: of every bin in bp.

    Raises:
        InputError: no bigWig, cut short, or without one of the chromosomes.
    """
    file = _read(path)
    code, names = pd.factorize(np.asarray(chrom))
    missing = [name for name in names if name not in file.chroms]
    if missing and (len(missing) == len(names) or any(by_other_name(name) in file.chroms for name in missing)):
        raise InputError(
            f"{path}: has no chromosome {missing[0]}, but {', '.join([*file.chroms][:3]) or 'none'}; "
            "give a bigWig of this assembly with such names"
        )
    if missing:
        log.warning("%s: has no chromosome %s; its signal is 0 there", path, ", ".join(missing))
    order = np.lexsort((np.asarray(start), code))
    start, sums = np.asarray(start, np.int64)[order], np.zeros(len(order))
    bounds = np.r_[0, np.cumsum(np.bincount(code, minlength=len(names)))]
    for name, begin, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        if name not in missing:
            _add_chromosome(path, file, file.chroms[name][0], start[begin:end], width, sums[begin:end])
    out = np.empty(len(order), np.float32)
    out[order] = sums / width
    return out


def check_assembly(path: Path, lengths: dict[str, int]) -> None:
    """Compare a bigWig's chromosomes with an assembly's; those that only one of the two has are let pass.

    Args:
        path: the file.
        lengths: length of each chromosome of the assembly in bp.

    Raises:
        InputError: no bigWig, no chromosome in common, or one of another length.
    """
    found = {name: length for name, (_, length) in _read(path).chroms.items()}
    shared = [name for name in lengths if name in found]
    if not shared:
        raise InputError(
            f"{path}: its chromosomes are named {', '.join([*found][:3]) or 'nothing'}, those of the assembly {', '.join([*lengths][:3])}; "
            f"give a bigWig with such names"
        )
    for name in shared:
        if found[name] != lengths[name]:
            raise InputError(
                f"{path}: {name} has {found[name]:,} bp, but {lengths[name]:,} in the assembly; give a bigWig of this assembly"
            )


def _read(path: Path) -> BigWig:
    """A bigWig file with both its trees; memory-mapped."""
    try:
        data = np.memmap(path, np.uint8, "r").view(np.ndarray)
        magic, chroms_at, index_at, unpacked_size = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise ValueError("another magic number")
        (key,) = struct.unpack_from("<I", data, chroms_at + 8)
        leaf, inner = ([("name", f"S{key}"), *rest] for rest in ([("number", "<u4"), ("length", "<u4")], [("at", "<u8")]))
        chroms = _leaves(data, chroms_at + 32, np.dtype(leaf), np.dtype(inner))
        blocks = _leaves(data, index_at + 48, BLOCK, np.dtype(PLACE))
    except (ValueError, struct.error):
        raise _broken(path) from None
    named = {name.decode("utf-8", "backslashreplace"): (number, length) for name, number, length in chroms.tolist()}
    return BigWig(data, named, blocks, unpacked_size)


def _leaves(data: np.ndarray, root: int, leaf: np.dtype, inner: np.dtype) -> np.ndarray:
    """The items of all leaves of a tree.

    Raises:
        ValueError, struct.error: it reaches beyond the file or comes back to itself.
    """
    found, ahead, seen = [], [root], set()
    while ahead:
        at = ahead.pop()
        if at in seen:
            raise ValueError("a tree with a circle")
        seen.add(at)
        is_leaf, count = NODE.unpack_from(data, at)
        items = np.frombuffer(data, leaf if is_leaf else inner, count, at + NODE.size)
        if is_leaf:
            found.append(items)
        else:
            ahead.extend(items["at"].tolist())
    return np.concatenate(found)


def _add_chromosome(path: Path, file: BigWig, number: int, start: np.ndarray, width: int, sums: np.ndarray) -> None:
    """Add to ``sums`` what the bins of one chromosome (sorted) hold: each value times the bases it covers of the bin."""
    blocks = file.blocks[file.blocks["chrom"] == number]
    first = np.searchsorted(start, blocks["start"].astype(np.int64) - width, side="right")
    last = np.searchsorted(start, blocks["end"].astype(np.int64), side="left")
    touched = np.flatnonzero(first < last)
    for held in np.split(touched, range(AT_ONCE, len(touched), AT_ONCE)):
        parts = [file.data[at : at + size] for at, size in zip(blocks["at"][held].tolist(), blocks["size"][held].tolist(), strict=True)]
        try:
            if file.unpacked_size:
                parts = [isal_zlib.decompress(part, bufsize=file.unpacked_size) for part in parts]
            words = np.frombuffer(b"".join(parts), np.uint32)
        except (ValueError, isal_zlib.error):
            raise _broken(path) from None
        edges = np.cumsum([0, *(len(part) // 4 for part in parts)])
        if not _add(words, words.view(np.float32), edges, number, first[held], last[held], start, width, sums):
            raise _broken(path)


@numba.njit(cache=True, nogil=True)
def _add(words, values, edges, number, first, last, start, width, sums):
    """As ``_add_chromosome`` for unpacked blocks, whether they are sound.

    Args:
        words, values: the blocks one after the other, as uint32 and as float32.
        edges: where each block begins, and the end of the last.
        number: of the chromosome.
        first, last: the bins that each block can touch.
    """
    for block in range(len(first)):
        at, stop = edges[block], edges[block + 1]
        if stop - at < 6:
            return False
        begin, step, span = np.int64(words[at + 1]), np.int64(words[at + 3]), np.int64(words[at + 4])
        kind, count = words[at + 5] & 255, np.int64(words[at + 5] >> 16)
        size = 4 - np.int64(kind)  # words an item: start, end and value; start and value; value
        if words[at] != number or not 1 <= kind <= 3 or at + 6 + count * size > stop:
            return False
        near = first[block]
        for item in range(count):
            place = at + 6 + item * size
            left = begin + item * step if kind == 3 else np.int64(words[place])
            right = np.int64(words[place + 1]) if kind == 1 else left + span
            value = np.float64(values[place + size - 1])
            while near < last[block] and start[near] + width <= left:
                near += 1
            if near == last[block]:
                break
            one = near
            while one < last[block] and start[one] < right and value == value:
                sums[one] += value * (min(right, start[one] + width) - max(left, start[one]))
                one += 1
    return True


def _broken(path: Path) -> InputError:
    return InputError(f"{path}: cut short or no bigWig file; fetch it again")
