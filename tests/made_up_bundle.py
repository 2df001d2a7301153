"""A made-up DeepSEA bundle: small, in the layout and the file formats of the published one."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import scipy.io

PREFIX = {"train": "train", "validation": "valid", "test": "test"}
CHANNELS = np.array([0, 2, 1, 3])  # A, G, C, T as codes
# Numbers that level 5 files give to MATLAB's classes and to what their values are stored as.
CLASSES = {"float64": 6, "float32": 7, "int8": 8, "uint8": 9, "bool": 9, "int16": 10, "uint16": 11, "int32": 12}
STORED = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "f4": 7, "f8": 9}
COMPLEMENT = np.array([3, 2, 1, 0, 4], np.uint8)


@dataclass
class Bundle:
    """Where the files are and what is in them; rows are the distinct ones: train, then validation, then test."""

    files: list[Path]
    positions: Path
    names: Path
    codes: np.ndarray  # uint8 (n, L)
    labels: np.ndarray  # bool (n, T)
    part: np.ndarray
    chrom: np.ndarray
    start: np.ndarray  # of the bin, not the window


def one_hot(codes: np.ndarray) -> np.ndarray:
    """Codes (n, L) as the bundle's channels, uint8 (n, 4, L); N is all zeros. That is MATLAB's order of axes."""
    return (codes[:, None, :] == CHANNELS[:, None]).astype(np.uint8)


def both_strands(codes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A set as it is published: first the rows, then their reverse complements with the same labels."""
    return np.concatenate([codes, COMPLEMENT[codes[:, ::-1]]]), np.concatenate([labels, labels])


def write_hdf5(path: Path, arrays: dict[str, np.ndarray], **options: object) -> None:
    """A MATLAB 7.3 file of arrays in MATLAB's order of axes; ``options`` go to h5py."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            data = file.create_dataset(name, data=np.ascontiguousarray(array.T), **options)
            kind = {"float64": "double", "float32": "single", "bool": "logical"}.get(array.dtype.name, array.dtype.name)
            data.attrs["MATLAB_class"] = np.bytes_(kind)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2015 HDF5 schema 1.00 .".ljust(116)
    with open(path, "r+b") as file:
        file.write((header + bytes(8) + b"\x00\x02IM").ljust(512, b"\0"))


def level5(arrays: dict[str, np.ndarray], order: str = "<", compress: int | None = None, stored: str | None = None) -> bytes:
    """A level 5 MATLAB file of arrays in MATLAB's order of axes, byte by byte.

    Args:
        order: < or >, the order of bytes.
        compress: level of zlib; None for plain elements.
        stored: dtype, such as u1, that numbers are stored in; by default their own. MATLAB takes the narrowest that holds them.
    """

    def element(kind: int, body: bytes) -> bytes:
        if 0 < len(body) <= 4:  # small ones stand in their tag
            return struct.pack(order + "I", len(body) << 16 | kind) + body.ljust(4, b"\0")
        return struct.pack(order + "II", kind, len(body)) + body + bytes(-len(body) % 8)

    out = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(order + "HH", 0x0100, 0x4D49)
    for name, array in arrays.items():
        numbers = array.astype(np.dtype(stored or array.dtype.str[1:].replace("b1", "u1")).newbyteorder(order))
        body = element(6, struct.pack(order + "II", CLASSES[array.dtype.name] | 0x0200 * (array.dtype == bool), 0))
        body += element(5, struct.pack(f"{order}{array.ndim}i", *array.shape)) + element(1, name.encode())
        body += element(STORED[numbers.dtype.str[1:]], numbers.tobytes(order="F"))
        matrix = struct.pack(order + "II", 14, len(body)) + body
        packed = matrix if compress is None else zlib.compress(matrix, compress)
        out += packed if compress is None else struct.pack(order + "II", 15, len(packed)) + packed
    return out


def write(
    folder: Path, train: int = 40, validation: int = 10, test: int = 20, length: int = 1000, targets: int = 12, seed: int = 0
) -> Bundle:
    """Write ``deepsea_train/{train,valid,test}.mat``, ``allTFs.pos.bed`` and ``predictor.names`` below ``folder``.

    Args:
        train, validation, test: distinct rows of each set; the files hold both strands.
        length: bp of a sequence; even, at least 200.
    """
    draw = np.random.default_rng(seed)
    (folder / "deepsea_train").mkdir(parents=True, exist_ok=True)
    sizes, files, codes, labels = {"train": train, "validation": validation, "test": test}, [], [], []
    for part, size in sizes.items():
        codes.append(draw.choice(5, (size, length), p=[0.3, 0.2, 0.2, 0.28, 0.02]).astype(np.uint8))
        labels.append(draw.random((size, targets)) < 0.3)
        labels[-1][np.arange(size), draw.integers(0, targets, size)] = True
        strands, truth = both_strands(codes[-1], labels[-1])
        prefix = PREFIX[part]
        files.append(folder / "deepsea_train" / f"{prefix}.mat")
        arrays = {f"{prefix}xdata": one_hot(strands), f"{prefix}data": truth.astype(np.uint8)}
        if part == "train":
            write_hdf5(files[-1], arrays, compression="gzip", compression_opts=3)
        else:
            scipy.io.savemat(files[-1], arrays, do_compression=True)
    # Chromosomes in the order of their names. What follows validation on chr7, and X and Y, is in no set.
    used = train + validation
    places = [("chr1", used // 2), ("chr10", used // 4), ("chr7", used - used // 2 - used // 4 + 3)]
    places += [("chr8", test // 2), ("chr9", test - test // 2), ("chrX", 2), ("chrY", 1)]
    chrom = np.repeat([name for name, _ in places], [size for _, size in places])
    start = np.concatenate([10_000 + 200 * np.sort(draw.choice(5 * size + 5, size, replace=False)) for _, size in places])
    positions, names = folder / "allTFs.pos.bed", folder / "predictor.names"
    positions.write_text("".join(f"{one}\t{at}\t{at + 200}\n" for one, at in zip(chrom, start, strict=True)))
    kinds = ["DNase|None", "CTCF|None", "Pol2|forskolin", "H3K27ac|None"]
    names.write_text("".join(f"{'HepG2' if i % 3 else 'K562'}|{kinds[i * len(kinds) // targets]}\n" for i in range(targets)))
    rows = np.r_[:used, np.flatnonzero(np.isin(chrom, ["chr8", "chr9"]))]
    part = np.repeat(list(sizes), list(sizes.values()))
    return Bundle(files, positions, names, np.concatenate(codes), np.concatenate(labels), part, chrom[rows], start[rows])
