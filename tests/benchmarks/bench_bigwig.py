"""Means of a bigWig against pyBigWig; row bigwig of the benchmarks.

10,000 random windows of 1 kb on two made-up chromosomes of 50 Mb with a value for every 25 bp or so, one gap in ten. The peer
asks ``stats(type="mean", exact=True)`` once a window. Prints one JSON object a line.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyBigWig

from regdna.signals import mean_per_bin

LENGTH, CHROMS, WINDOWS, WIDTH = 50_000_000, ["chr1", "chr2"], 10_000, 1000
ALTERNATIONS = 5


def write_signal(path: Path) -> None:
    """A bigWig of values as an experiment gives them: short runs, mostly small."""
    draw = np.random.default_rng(0)
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(name, LENGTH) for name in CHROMS])
        for name in CHROMS:
            edges = np.cumsum(draw.integers(1, 50, LENGTH // 25))
            edges = edges[edges < LENGTH]
            kept = np.flatnonzero(draw.random(len(edges) - 1) < 0.9)
            values = np.round(draw.gamma(1.0, 1.0, len(kept)), 3)
            file.addEntries([name] * len(kept), edges[kept].tolist(), ends=edges[kept + 1].tolist(), values=values.tolist())


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


def bench(path: Path) -> dict:
    """The row: the median ratio over alternations, against the faster of the peer's two calls."""
    draw = np.random.default_rng(1)
    chrom, start = np.array(CHROMS)[draw.integers(len(CHROMS), size=WINDOWS)], draw.integers(LENGTH - WIDTH, size=WINDOWS)
    arguments = chrom.tolist(), start.tolist()
    mean_per_bin(path, chrom[:10], start[:10], WIDTH)
    seconds = {"ours": [], "exact": [], "inexact": []}
    for _ in range(ALTERNATIONS):
        begun = time.perf_counter()
        found = mean_per_bin(path, chrom, start, WIDTH)
        seconds["ours"].append(time.perf_counter() - begun)
        for kind in ("exact", "inexact"):
            begun = time.perf_counter()
            expected = peer(path, *arguments, kind == "exact")
            seconds[kind].append(time.perf_counter() - begun)
            if kind == "exact":
                error = float(np.abs(found - expected * covered(path, *arguments)).max())
    ratios = {kind: float(np.median(np.divide(seconds[kind], seconds["ours"]))) for kind in ("exact", "inexact")}
    begun = time.perf_counter()
    tiles = np.arange(0, LENGTH - 200, 200)
    mean_per_bin(path, np.full(len(tiles), "chr1", object), tiles, 200)
    tiling = time.perf_counter() - begun
    note = (
        f"{np.median(seconds['ours']) * 1e3:.0f} ms; against exact stats {ratios['exact']:.1f}, against inexact {ratios['inexact']:.1f}, "
        f"the ratio is the smaller; {len(tiles):,} tiles of 200 bp on 50 Mb in {tiling:.2f} s"
    )
    return {"name": "bigwig", "peer": "pybigwig", "ratio": round(min(ratios.values()), 1), "error": error, "note": note}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signal.bw"
        write_signal(path)
        print(json.dumps(bench(path)), flush=True)
