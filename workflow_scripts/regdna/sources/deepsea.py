"""The DeepSEA bundle as rows of codes and packed labels, read in pieces: memory does not grow with the files.

Source: Zhou and Troyanskaya 2015, Nat Methods 12:931, and the readme of their training bundle.
"""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.alphabet import N, reverse_complement
from regdna.intervals import read_bed
from regdna.sources.matlab import Array, Span, open_array, variables
from regdna.step import InputError, progress
from regdna.targets import pack

VARIABLES = {"train": ("trainxdata", "traindata"), "validation": ("validxdata", "validdata"), "test": ("testxdata", "testdata")}
# While read, a byte has one bit for each channel that holds a 1, and this one if a value is neither 0 nor 1.
NOT_BINARY = 16
WRONG = 255
CODES, TRUTH = np.full((2, 256), WRONG, np.uint8)  # what such a byte means in sequences, and in labels
# ASSUME: the four channels of the DeepSEA bundle are A, G, C, T, in this order; a base without a 1 in any of them is an N.
CODES[[1, 2, 4, 8, 0]] = 0, 2, 1, 3, N
TRUTH[[0, 1]] = 0, 1
# ASSUME: DeepSEA's test bins are all those of chr8 and chr9; its training bins are the first of its list, its validation bins the next.
TEST_CHROMOSOMES = ("chr8", "chr9")
# A mark as the bundle names it: H2AZ, H3K4me1, H4K20me1, H2BK5ac; or as others do: H2A.Z.
HISTONE = re.compile(r"H2A\.?Z|H(2A|2B|3|4)K\d+\w+")
CHECKED, STRETCHES = 1000, 20  # pairs of rows; in stretches, because a file is packed by neighbours
BLOCK = 1 << 29  # bytes gathered before they are written
WRITE_ROWS = 8192
log = logging.getLogger("regdna")


@dataclass
class _Samples:
    """One array as rows: ``axis`` counts its samples; channels, if it has any, are the axis in the middle."""

    array: Array
    axis: int
    meaning: np.ndarray  # of a byte: CODES or TRUTH

    @property
    def count(self) -> int:
        return self.array.shape[self.axis]

    @property
    def width(self) -> int:
        """Positions, or targets."""
        return self.array.shape[0 if self.axis else -1]

    def rows(self, spans: list[Span], show: Callable[[float], None] = lambda share: None) -> Iterator[np.ndarray]:
        """Codes or labels of stretches of samples, uint8 (at most ``WRITE_ROWS``, width), in order.

        Args:
            spans: [first, last); sorted and disjoint.
            show: called with the share of them that has been read.

        Raises:
            InputError: a value that is neither 0 nor 1, or several channels with a 1, with the sample and place.
        """
        most = max(1, BLOCK // self.width)
        total, before = sum(last - first for first, last in spans), 0
        groups = [spans] if total <= most else [[(at, min(at + most, last))] for first, last in spans for at in range(first, last, most)]
        for group in groups:
            size = sum(last - first for first, last in group)
            gathered = self._gather(group, lambda share, done=before, size=size: show((done + share * size) / total))
            yield from self._meant(gathered, group)
            del gathered  # before the next is filled
            before += size

    def _meant(self, gathered: np.ndarray, spans: list[Span]) -> Iterator[np.ndarray]:
        """Codes or labels of what was gathered from these spans."""
        for begin in range(0, len(gathered), WRITE_ROWS):
            part = gathered[begin : begin + WRITE_ROWS]
            found = self.meaning[part]
            if found.max() == WRONG:
                row, at = np.argwhere(found == WRONG)[0]
                sample = np.concatenate([np.arange(*span) for span in spans])[begin + row]
                what = "a value that is neither 0 nor 1" if part[row, at] & NOT_BINARY else "more than one 1 over the channels"
                where = f"sample {sample + 1}, {'position' if self.meaning is CODES else 'target'} {at + 1}"
                raise InputError(f"{self.array.path}: {self.array.name}: {where} (counted from 1) has {what}; fetch the bundle again")
            yield found

    def _gather(self, spans: list[Span], show: Callable[[float], None]) -> np.ndarray:
        """Samples as bytes of bits, uint8 (rows, width), in the memory order of the file; the caller turns them, tile by tile."""
        shape = [self.array.shape[0], self.array.shape[-1]]
        shape[min(self.axis, 1)] = sum(last - first for first, last in spans)
        out = np.zeros(shape, np.uint8, order="F")
        done, total = 0, out.size * (self.array.shape[1] if len(self.array.shape) == 3 else 1)
        for place, block in self.array.pieces(self.axis, spans):
            layers, first = (block, place[1].start) if block.ndim == 3 else (block[:, None, :], 0)
            into = out[place[0], place[-1]]
            for at in range(layers.shape[1]):
                layer = layers[:, at, :]
                one = layer == 1
                into |= one.view(np.uint8) * np.uint8(1 << first + at)
                if np.count_nonzero(layer) != np.count_nonzero(one):
                    into[(layer != 0) & ~one] |= NOT_BINARY
            done += block.size
            show(done / total)
        return out.T if self.axis else out


@dataclass
class _Part:
    """One file: train, validation or test."""

    path: Path
    name: str
    sequences: _Samples
    labels: _Samples
    kept: int = 0


def convert(
    files: list[Path], positions: Path | None, names: Path | None, sequences: Path, labels: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Convert a bundle of .mat files of either kind.

    Rows are those of the files, one file after the other. The second half of each set holds the reverse complements of
    the first, in the same order. That is verified on up to 1,000 pairs spread over the set, and the first half kept:
    models here average both strands when they predict, so nothing is lost, and the two strands of a bin cannot come to lie
    in different parts. If no pair agrees, or the number of samples is odd, all are kept.

    Args:
        files: each with one of the pairs trainxdata and traindata, validxdata and validdata, testxdata and testdata.
        positions: BED (plain or .gz; 0-based, half-open) of the bins that the rows are centred on, or None.
        names: text of one ``cell|target|treatment`` a line, in the order of the targets; a header is passed over. Or None.
        sequences: where codes go, .npy of uint8 (n, L).
        labels: where bits go, packed along targets, .npy of uint8 (n, ceil(T / 8)).

    Returns:
        records, a row each: chrom, start, end (int64, 0-based, half-open; the bin and equal flanks, so that a start may be
        negative), part (train, validation or test), file, and row (int64, the sample in that file, from 1). Without
        positions every sequence is a chromosome of its own, from 0 to L.
        And targets: cell_type, assay, target, source. They are known by their index: names repeat.

    Raises:
        InputError: the files are no bundle, or positions or names do not fit them.
    """
    parts = [_open(path) for path in files]
    for number, one in enumerate(parts):
        for what, mine, theirs in (
            ("positions", one.sequences.width, parts[0].sequences.width),
            ("targets", one.labels.width, parts[0].labels.width),
        ):
            if mine != theirs:
                raise InputError(f"{one.path}: {mine} {what}, but {parts[0].path} has {theirs}; do not mix bundles")
        if one.name in [other.name for other in parts[:number]]:
            raise InputError(f"{one.path}: holds the {one.name} set, as another file does; give one of the two")
    targets = read_names(names, parts[0].labels.width, files[0].parent.name)
    bins = None if positions is None else _read_bins(positions, parts[0].sequences.width)
    for one in parts:
        one.kept = _kept(one)
    records = _records(parts, bins, positions)
    _write(sequences, "sequences", [(one.sequences, one.kept) for one in parts], lambda codes: codes)
    _write(labels, "labels", [(one.labels, one.kept) for one in parts], pack)
    return records, targets


def _open(path: Path) -> _Part:
    """The pair of arrays that a file holds, and which of their axes counts samples."""
    there = variables(path)
    found = [name for name, pair in VARIABLES.items() if set(pair) <= set(there)]
    if len(found) != 1:
        pairs = ", ".join(" and ".join(pair) for pair in VARIABLES.values())
        raise InputError(f"{path}: holds {', '.join(there) or 'no variables'}; exactly one of the pairs {pairs} is needed")
    x, y = (open_array(path, name) for name in VARIABLES[found[0]])
    sizes = [f"{array.name} is {' x '.join(map(str, array.shape))}" for array in (x, y)]
    if len(x.shape) != 3 or x.shape[1] != 4:
        raise InputError(f"{path}: {sizes[0]}; three axes, the four channels in the middle, are needed")
    if len(y.shape) != 2:
        raise InputError(f"{path}: {sizes[1]}; two axes, samples and targets, are needed")
    # In MATLAB's order of axes samples come first in all published files; where several readings fit, it is that.
    for axis, label_axis in ((0, 0), (2, 1), (0, 1), (2, 0)):
        if x.shape[axis] == y.shape[label_axis]:
            return _Part(path, found[0], _Samples(x, axis, CODES), _Samples(y, label_axis, TRUTH))
    raise InputError(f"{path}: {sizes[0]}, {sizes[1]}; no axis of samples is common to both")


def _kept(one: _Part) -> int:
    """How many samples to keep: the first half if the second is its reverse complements, else all."""
    count = one.sequences.count
    if count % 2:
        log.info("%s: %d samples, an odd number, so no two halves; all are kept", one.path, count)
        return count
    half, stretch = count // 2, CHECKED // STRETCHES
    starts = np.linspace(0, half - stretch, STRETCHES).astype(int).tolist()
    spans = [(0, half)] if half <= CHECKED else [(first, first + stretch) for first in starts]
    checked = np.concatenate([np.arange(*span) for span in spans])
    spans = [*spans, *((first + half, last + half) for first, last in spans)]
    codes, truth = (np.concatenate(list(samples.rows(spans))) for samples in (one.sequences, one.labels))
    there, back = slice(len(checked)), slice(len(checked), None)
    agree = (reverse_complement(codes[there]) == codes[back]).all(1) & (truth[there] == truth[back]).all(1)
    if agree.all() or not agree.any():
        found, kept = ("is", "half is kept") if agree.all() else ("is not", "all are kept")
        log.info("%s: the second half %s the other strand of the first (%d samples checked); %s", one.path, found, len(agree), kept)
        return half if agree.all() else count
    odd = checked[~agree][0] + 1
    raise InputError(
        f"{one.path}: {agree.sum()} of {len(agree)} samples checked have their other strand, labelled alike, half the set later; "
        f"sample {odd} does not have it at {odd + half}; fetch the bundle again"
    )


def _write(path: Path, what: str, sets: list[tuple[_Samples, int]], finish: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write the kept rows of all sets as one .npy; ``finish`` turns rows into what is stored."""
    total, before = sum(kept for _, kept in sets), 0
    width = finish(np.zeros((1, sets[0][0].width), np.uint8)).shape[1]
    bar = progress(total, f"converting {what}")
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (total, width)})
        for samples, kept in sets:
            for rows in samples.rows([(0, kept)], lambda share, done=before, kept=kept: bar(done + round(share * kept))):
                file.write(finish(rows).tobytes())
            before += kept


def _records(parts: list[_Part], bins: pd.DataFrame | None, positions: Path | None) -> pd.DataFrame:
    """Where each kept row lies, its part, and the sample that it was."""
    tables = []
    for one in parts:
        row = np.arange(1, one.kept + 1, dtype=np.int64)
        if bins is None:
            names = f"{one.path.parent.name}/{one.path.name}:" + pd.Series(row).astype(str)
            table = pd.DataFrame({"chrom": names, "start": np.int64(0), "end": np.int64(one.sequences.width)})
        else:
            table = _bins_of(one, {other.name: other.kept for other in parts}, bins, positions)
        tables.append(table.assign(part=one.name, file=one.path.name, row=row))
    return pd.concat(tables, ignore_index=True).astype({"part": "category", "file": "category"})


def _read_bins(path: Path, length: int) -> pd.DataFrame:
    """Windows of ``length`` bp centred on the bins of a BED file: chrom, start, end."""
    bins = read_bed(path)[["chrom", "start", "end"]].astype({"chrom": str})
    widths = np.unique(bins["end"] - bins["start"])
    if len(widths) != 1:
        some = ", ".join(map(str, widths[:3])) or "none"
        raise InputError(f"{path}: widths of its bins in bp: {some}; one width is needed for all")
    flank, rest = divmod(length - int(widths[0]), 2)
    if flank < 0 or rest:
        raise InputError(f"{path}: bins of {widths[0]} bp cannot be in the middle of sequences of {length} bp; give their own bins")
    return bins.assign(start=bins["start"] - flank, end=bins["end"] + flank)


def _bins_of(one: _Part, kept: dict[str, int], bins: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The windows of a part, in its order."""
    test = bins["chrom"].isin(TEST_CHROMOSOMES).to_numpy()
    if one.name == "test":
        if test.sum() != one.kept:
            raise InputError(
                f"{path}: {test.sum()} bins on {' and '.join(TEST_CHROMOSOMES)}, but {one.kept} test rows in {one.path}; give its own"
            )
        return bins[test]
    if one.name == "validation" and "train" not in kept:
        raise InputError(f"{one.path}: its bins follow those of the training set in {path}; give the file of that too, or no positions")
    first = 0 if one.name == "train" else kept["train"]
    if first + one.kept > len(bins):
        raise InputError(
            f"{path}: {len(bins)} bins, but {one.name} rows of {one.path} are bins {first + 1} to {first + one.kept}; give its own bins"
        )
    if test[first : first + one.kept].any():
        line = first + int(np.argmax(test[first:])) + 1
        raise InputError(
            f"{path}: bin {line} is on {bins['chrom'].iloc[line - 1]}, which is test, but is among the {one.name} rows; restore its order"
        )
    return bins[first : first + one.kept]


def read_names(path: Path | None, count: int, source: str) -> pd.DataFrame:
    """What the targets of DeepSEA's bundle, or of its published weights, are.

    Args:
        path: lines of ``cell|target|treatment``, with or without a heading; None: they are numbered.
        count: how many there must be.
        source: where they come from.

    Returns:
        cell_type, assay (DNase, TF or histone), target (with its treatment, if any) and source, one row a target in order.

    Raises:
        InputError: a line is of another form, or there are more or fewer.
    """
    if path is None:
        return pd.DataFrame({"cell_type": "", "assay": "", "target": [f"target-{i + 1}" for i in range(count)], "source": source})
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [(number, line.split("|")) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) == count + 1 and (len(lines[0][1]) == 1 or lines[0][1][-1].strip().casefold() == "treatment"):
        lines = lines[1:]
    if len(lines) != count:
        raise InputError(f"{path}: {len(lines)} names, but the labels have {count} targets; give the names of this bundle")
    rows = []
    for number, fields in lines:
        if len(fields) != 3:
            raise InputError(f"{path}: line {number} is {'|'.join(fields)!r}, not cell|target|treatment; mend it")
        cell, target, treatment = (text.strip() for text in fields)
        assay = "DNase" if target == "DNase" else "histone" if HISTONE.fullmatch(target) else "TF"
        rows.append((cell, assay, target if treatment in ("None", "NA", "") else f"{target} ({treatment})", source))
    return pd.DataFrame(rows, columns=["cell_type", "assay", "target", "source"])
