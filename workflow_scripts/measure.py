"""Average signals over every bin of a dataset."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.genome import read_lengths
from regdna.signals import check_assembly, mean_per_bin
from regdna.step import progress, run
from regdna.store import atomic


def main(candidates: Path, files: list[Path], assemblies: Path, signals: Path, windows: dict, assembly: str) -> None:
    """Write the mean of each bigWig over each bin, float32 (n, S), to ``signals``.

    Args:
        candidates: the windows.
        files: bigWig files, one a target with a signal.
        assemblies: table of assembly, chrom, length.
        windows: bin and context.
        assembly: which the files must be of.
    """
    frame = pd.read_parquet(candidates, columns=["chrom", "start", "end"])
    lengths = read_lengths(assemblies, assembly)
    start = frame["start"].to_numpy() + (windows["context"] - windows["bin"]) // 2
    means, tell = np.empty((len(frame), len(files)), np.float32), progress(len(files), "signals", "files")
    for at, path in enumerate(files):
        check_assembly(path, lengths)
        means[:, at] = mean_per_bin(path, frame["chrom"].to_numpy(), start, windows["bin"])
        tell(at + 1)
    with atomic(signals) as temporary:
        np.save(temporary, means)


if __name__ == "__main__":
    run(main)
