"""Means of a bigWig against pyBigWig; row bigwig of the benchmarks.

10,000 random windows of 1 kb on two made-up chromosomes of 50 Mb with a value for every 25 bp or so, one gap in ten. The peer
asks ``stats(type="mean")`` once a window, exact or not. Prints one JSON object a line.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig

from regdna.signals import mean_per_bin

LENGTH, CHROMS, WINDOWS, WIDTH = 50_000_000, ["chr1", "chr2"], 10_000, 1000
ALTERNATIONS = 5


def runs() -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Each chromosome's runs as an experiment gives them, short and mostly of small values: name, start, end, value."""
    draw = np.random.default_rng(0)
    for name in CHROMS:
        edges = np.cumsum(draw.integers(1, 50, LENGTH // 25))
        edges = edges[edges < LENGTH]
        kept = np.flatnonzero(draw.random(len(edges) - 1) < 0.9)
        yield name, edges[kept], edges[kept + 1], np.round(draw.gamma(1.0, 1.0, len(kept)), 3)


def write_signal(path: Path) -> None:
    """The signal in pyBigWig's blocks of 2,730 values."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(name, LENGTH) for name in CHROMS])
        for name, start, end, value in runs():
            file.addEntries([name] * len(start), start.tolist(), ends=end.tolist(), values=value.tolist())


def write_in_small_blocks(path: Path) -> None:
    """The signal in blocks of 1,024 values, as the tools of UCSC write."""
    rows = (row for name, *columns in runs() for row in zip([name] * len(columns[0]), *(one.tolist() for one in columns), strict=True))
    pybigtools.open(str(path), "w").write(dict.fromkeys(CHROMS, LENGTH), rows)


def peer(path: Path, chrom: list[str], start: list[int], exact: bool) -> np.ndarray:
    """pyBigWig's mean of the covered bases, window by window, turned into the mean of all."""
    with pyBigWig.open(str(path)) as file:
        found = [file.stats(name, at, at + WIDTH, type="mean", exact=exact)[0] for name, at in zip(chrom, start, strict=True)]
    return np.nan_to_num(np.array(found, float))


def covered(path: Path, chrom: list[str], start: list[int]) -> np.ndarray:
    """Share of each window that has a value."""
    with pyBigWig.open(str(path)) as file:
        found = [file.stats(name, at, at + WIDTH, type="coverage", exact=True)[0] for name, at in zip(chrom, start, strict=True)]
    return np.nan_to_num(np.array(found, float))


def ratios(path: Path, kinds: list[str]) -> tuple[dict[str, float], float, float]:
    """The median ratio over alternations against each kind of the peer's call, our median seconds, and the largest difference."""
    draw = np.random.default_rng(1)
    chrom, start = np.array(CHROMS)[draw.integers(len(CHROMS), size=WINDOWS)], draw.integers(LENGTH - WIDTH, size=WINDOWS)
    arguments = chrom.tolist(), start.tolist()
    mean_per_bin(path, chrom[:10], start[:10], WIDTH)
    ours, theirs = [], {kind: [] for kind in kinds}
    for _ in range(ALTERNATIONS):
        begun = time.perf_counter()
        found = mean_per_bin(path, chrom, start, WIDTH)
        ours.append(time.perf_counter() - begun)
        for kind in kinds:
            begun = time.perf_counter()
            expected = peer(path, *arguments, kind == "exact")
            theirs[kind].append(time.perf_counter() - begun)
            if kind == "exact":
                error = float(np.abs(found - expected * covered(path, *arguments)).max())
    return {kind: float(np.median(np.divide(theirs[kind], ours))) for kind in kinds}, float(np.median(ours)), error


def bench(folder: Path) -> dict:
    """The row: against the faster of the peer's two calls on its own file; the other file in the note."""
    large, small = folder / "large.bw", folder / "small.bw"
    write_signal(large)
    write_in_small_blocks(small)
    ratio, seconds, error = ratios(large, ["exact", "inexact"])
    others = ratios(small, ["exact"])[0]["exact"]
    tiles = np.arange(0, LENGTH - 200, 200)
    begun = time.perf_counter()
    mean_per_bin(large, np.full(len(tiles), "chr1", object), tiles, 200)
    tiling = time.perf_counter() - begun
    note = (
        f"{seconds * 1e3:.0f} ms; against exact stats {ratio['exact']:.1f}, against inexact {ratio['inexact']:.1f}, the smaller counts; "
        f"exact on a file with smaller blocks, as UCSC's tools write, {others:.1f}: there unpacking is most of either's work; "
        f"{len(tiles):,} tiles of 200 bp on 50 Mb in {tiling:.2f} s"
    )
    return {"name": "bigwig", "peer": "pybigwig", "ratio": round(min(ratio.values()), 1), "error": error, "note": note}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(bench(Path(folder))), flush=True)
