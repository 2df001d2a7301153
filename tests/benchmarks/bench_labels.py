"""Labels against bedtools; rows labels-arbitrary, labels-grid and labels-parsed of the benchmarks, and labels-deepsea-scale.

1,000,000 windows of 200 bp, anywhere and out of order or on a grid, and 50 made-up files of 50,000 peaks on 200 Mb; the rule is
bin_half_covered, for bedtools ``intersect -sorted -f 0.505 -c``. bedtools gets sorted files and is timed on a few of the 50,
scaled to all; ours prepares the windows once, which is told apart, as sorting is for bedtools. Prints one JSON object a line.
"""

import gzip
import json
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.intervals import read_bed
from regdna.targets import Bins, label

CHROMS, LENGTH, WIDTH = [*(f"chr{at}" for at in range(1, 10)), "chrX"], 20_000_000, 200
WINDOWS, FILES, PEAKS = 1_000_000, 50, 50_000
PEER_FILES = 2
ALTERNATIONS = 5
RULE = "bin_half_covered"
DEEPSEA = {"bins": 2_608_181, "files": 919, "length": 3_000_000_000 // len(CHROMS)}


def made_up_peaks(seed: int, length: int) -> pd.DataFrame:
    """Sorted peaks of 100 to 600 bp as ``read_bed`` gives them, summit included."""
    draw = np.random.default_rng(seed)
    code = np.sort(draw.integers(len(CHROMS), size=PEAKS)).astype(np.int8)
    start, size = draw.integers(length - 600, size=PEAKS), draw.integers(100, 601, size=PEAKS)
    start = start[np.lexsort((start, code))]
    chrom = pd.Categorical.from_codes(code, CHROMS)
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + size, "strand": ".", "summit": start + size // 2})


def made_up_windows(grid: bool) -> tuple[np.ndarray, np.ndarray]:
    """Chromosomes and starts of the windows: a grid, or anywhere and out of order."""
    draw = np.random.default_rng(0)
    if grid:
        code, start = np.divmod(np.arange(WINDOWS), WINDOWS // len(CHROMS))
        return np.array(CHROMS, object)[code], start * WIDTH
    return np.array(CHROMS, object)[draw.integers(len(CHROMS), size=WINDOWS)], draw.integers(LENGTH - WIDTH, size=WINDOWS)


def write_windows(path: Path, chrom: np.ndarray, start: np.ndarray) -> None:
    """The windows as a sorted BED file."""
    table = pd.DataFrame({"chrom": chrom, "start": start, "end": start + WIDTH}).sort_values(["chrom", "start"])
    table.to_csv(path, sep="\t", header=False, index=False)


def write_peaks(path: Path, peaks: pd.DataFrame) -> None:
    """The peaks as a narrowPeak file, gzipped if its name says so."""
    away = peaks["summit"] - peaks["start"]
    table = peaks[["chrom", "start", "end"]].assign(
        name=".", score=away, strand=".", signal=away * 0.137, p=-1.0, q=away * 0.00271, peak=away
    )
    text = table.to_csv(sep="\t", header=False, index=False, float_format="%.5f").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def clocks() -> np.ndarray:
    """Seconds by the wall, and of CPU time of this process and of those that it ran."""
    run = resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([time.perf_counter(), time.process_time() + run.ru_utime + run.ru_stime])


def bedtools(windows: Path, peaks: list[Path]) -> np.ndarray:
    """Seconds (by both clocks) of bedtools for some of the files, scaled to all."""
    begun = clocks()
    for path in peaks:
        command = ["bedtools", "intersect", "-sorted", "-f", "0.505", "-c", "-a", windows, "-b", path]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (clocks() - begun) * FILES / len(peaks)


def wrong(windows: Path, peaks: Path, chrom: np.ndarray, start: np.ndarray) -> int:
    """How many windows bedtools and we label differently for one file."""
    command = ["bedtools", "intersect", "-sorted", "-f", "0.505", "-c", "-a", windows, "-b", peaks]
    counted = subprocess.run(command, capture_output=True, check=True).stdout.split()
    expected = np.array(counted[3::4], np.int64) > 0
    order = np.lexsort((start, chrom.astype(str)))
    found = label(Bins(chrom, start, WIDTH), [lambda: read_bed(peaks)], [RULE])[order, 0] >> 7
    return int((found != expected).sum())


def bench(folder: Path, grid: bool, parsed: bool) -> dict:
    """One row: the median ratio over alternations."""
    chrom, start = made_up_windows(grid)
    windows = folder / "windows.bed"
    write_windows(windows, chrom, start)
    files = []
    for seed in range(FILES if parsed else PEER_FILES):
        files.append(folder / f"{seed}.narrowPeak{'.gz' if parsed else ''}")
        write_peaks(files[-1], made_up_peaks(seed, LENGTH))
    if parsed:
        tables, threads = [lambda path=path: read_bed(path) for path in files], 2
    else:
        held = [made_up_peaks(seed, LENGTH) for seed in range(FILES)]
        tables, threads = [lambda table=table: table for table in held], 1
    rules = [RULE] * FILES
    differ = wrong(windows, files[0], chrom, start)
    ours, theirs, prepared = [], [], []
    for _ in range(ALTERNATIONS):
        theirs.append(bedtools(windows, files[:PEER_FILES]))
        begun = clocks()
        bins = Bins(chrom, start, WIDTH)
        prepared.append(clocks() - begun)
        begun = clocks()
        label(bins, tables, rules, threads)
        ours.append(clocks() - begun)
    (wall, cpu), (seconds, _), (preparing, _) = (np.median(one, axis=0) for one in (np.divide(theirs, ours), ours, prepared))
    note = (
        f"{seconds * 1e3:.0f} ms with {threads} thread(s), and {preparing * 1e3:.0f} ms to prepare the windows; bedtools "
        f"{np.median(theirs, axis=0)[0]:.1f} s, timed on {PEER_FILES} of {FILES} files; by CPU time the ratio is {cpu:.0f}; "
        f"error: labels that differ in one file"
    )
    name = "labels-parsed" if parsed else "labels-grid" if grid else "labels-arbitrary"
    return {"name": name, "peer": "bedtools", "ratio": round(float(wall), 1), "error": differ, "note": note}


def deepsea_scale() -> dict:
    """Seconds and memory for as many bins and files as DeepSEA has, the peaks made up while labelling."""
    length = DEEPSEA["length"]
    draw = np.random.default_rng(0)
    bins = np.sort(draw.choice(length * len(CHROMS) // WIDTH, DEEPSEA["bins"], replace=False))
    code, start = np.divmod(bins, length // WIDTH)
    begun = time.perf_counter()
    tables = [lambda seed=seed: made_up_peaks(seed, length) for seed in range(DEEPSEA["files"])]
    packed = label(Bins(np.array(CHROMS, object)[code], start * WIDTH, WIDTH), tables, [RULE] * len(tables), threads=2)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    note = (
        f"{seconds:.0f} s, most of them to make up the peaks, and at most {peak:.2f} GB for {len(packed):,} bins x {len(tables)} files "
        f"of {PEAKS:,} peaks with 2 threads; peaks are made up in the callables, not read"
    )
    return {"name": "labels-deepsea-scale", "peer": "none", "ratio": None, "error": None, "note": note}


if __name__ == "__main__":
    print(json.dumps(deepsea_scale()), flush=True)  # first: the memory is the whole process's, at its highest
    with tempfile.TemporaryDirectory() as folder:
        for grid, parsed in ((False, False), (True, False), (False, True)):
            print(json.dumps(bench(Path(folder), grid, parsed)), flush=True)
