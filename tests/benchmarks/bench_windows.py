"""Random windows of a genome as codes against pyfaidx and tangermeme; rows windows of the benchmarks.

100,000 random windows of 1 kb of a made-up sequence of 100 Mb, asked of us 8,192 at a time as the library does. pyfaidx
fetches each window and a look-up table turns its letters into codes; tangermeme's ``extract_loci`` gives them one-hot.
Prints one JSON object a line.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyfaidx
from tangermeme.io import extract_loci

from regdna.alphabet import LETTERS
from regdna.genome import Genome, index_fasta
from regdna.windows import READ_ROWS

LENGTH, WINDOWS, WIDTH, LINE = 100_000_000, 100_000, 1000, 50
BATCH = READ_ROWS
ALTERNATIONS, REPEATS = 5, 5  # ours is so short that one run alone says little
CODE = np.full(256, 4, np.uint8)
CODE[np.frombuffer(b"ACGTacgt", np.uint8)] = [0, 1, 2, 3] * 2


def write_genome(folder: Path) -> tuple[Path, Genome]:
    """A FASTA file of one chromosome in lines of 50 bases, as UCSC writes them, and the genome that is indexed from it."""
    letters = np.frombuffer(LETTERS.encode(), np.uint8)[np.random.default_rng(0).integers(4, size=LENGTH, dtype=np.uint8)]
    lines = np.full((LENGTH // LINE, LINE + 1), ord("\n"), np.uint8)
    lines[:, :LINE] = letters.reshape(-1, LINE)
    fasta = folder / "genome.fa"
    fasta.write_bytes(b">chr1\n" + lines.tobytes())
    index = index_fasta([fasta], "made up", {"chr1": LENGTH}, folder / "codes.npy", folder / "mask.npy")
    index.to_csv(folder / "index.tsv", sep="\t", index=False)
    return fasta, Genome(folder / "codes.npy", folder / "index.tsv")


def by_pyfaidx(fasta: pyfaidx.Fasta, start: np.ndarray) -> np.ndarray:
    """Codes, window by window."""
    out = np.empty((len(start), WIDTH), np.uint8)
    for row, at in enumerate(start.tolist()):
        out[row] = CODE[np.frombuffer(fasta["chr1"][at : at + WIDTH].seq.encode(), np.uint8)]
    return out


def by_tangermeme(fasta: pyfaidx.Fasta, start: np.ndarray) -> np.ndarray:
    """One-hot bases as a tensor (n, 4, length)."""
    return extract_loci(pd.DataFrame({"chrom": "chr1", "start": start, "end": start + WIDTH}), fasta, in_window=WIDTH)


def by_us(genome: Genome, chrom: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Codes of all windows; the first batch is kept to compare."""
    first = genome.windows(chrom[:BATCH], start[:BATCH], WIDTH)
    for begin in range(BATCH, len(start), BATCH):
        genome.windows(chrom[begin : begin + BATCH], start[begin : begin + BATCH], WIDTH)
    return first


def timed(function: Callable, *arguments: object) -> tuple[float, object]:
    """Seconds, and what the function gives."""
    begun = time.perf_counter()
    found = function(*arguments)
    return time.perf_counter() - begun, found


def bench(folder: Path) -> list[dict]:
    """Both rows: the median ratio over alternations."""
    path, genome = write_genome(folder)
    fasta = pyfaidx.Fasta(str(path))
    start = np.random.default_rng(1).integers(LENGTH - WIDTH, size=WINDOWS)
    chrom, some = np.full(WINDOWS, "chr1", object), start[:BATCH]
    ours, ratios, wrong = [], {"pyfaidx": [], "tangermeme": []}, {}
    for _ in range(ALTERNATIONS):
        runs = [timed(by_us, genome, chrom, start) for _ in range(REPEATS)]
        seconds, found = float(np.median([seconds for seconds, _ in runs])), runs[0][1]
        ours.append(seconds)
        for name, peer in (("pyfaidx", by_pyfaidx), ("tangermeme", by_tangermeme)):
            theirs, expected = timed(peer, fasta, some)
            ratios[name].append(theirs * WINDOWS / BATCH / seconds)
            codes = expected if name == "pyfaidx" else expected.argmax(1).numpy()
            wrong[name] = int((codes != found).sum())
    note = f"{np.median(ours) * 1e3:.0f} ms; the peer timed on {BATCH:,} of {WINDOWS:,} windows; error: bases that differ"
    return [
        {"name": "windows", "peer": name, "ratio": round(float(np.median(ratios[name])), 1), "error": wrong[name], "note": note}
        for name in ratios
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for row in bench(Path(folder)):
            print(json.dumps(row), flush=True)
