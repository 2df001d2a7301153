"""The effect of every substitution at a locus, averaged over strands and seeds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.arrays import read_array
from regdna.genome import Genome
from regdna.models.classifier import Classifier
from regdna.mutagenesis import saturate
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.tracks import write_bigwig


def main(
    windows: Path,
    checkpoints: list[Path],
    effects: Path,
    track: Path,
    locus: str,
    place: dict,
    assembly: str,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
) -> None:
    """Write effects, their spread over seeds and what they mean to ``effects`` (npz), their size to ``track`` (bigWig).

    The arrays: ``effect`` and ``spread``, float32 (positions, 4, T), in log-odds, mutant minus reference, new base in the
    order A, C, G, T; ``reference``, float32 (T,), log-odds; ``codes``, uint8 (positions,); ``about``, JSON.

    Args:
        place: assembly, chrom, start and end of the locus (0-based, half-open).
        assembly: of the dataset.

    Raises:
        InputError: the locus is of another assembly, no site of the dataset, or longer than what the model sees.
    """
    row = pd.Series(place)
    if row.assembly != assembly:
        raise InputError(f"locus {locus} is on {row.assembly}, the dataset on {assembly}; never mix them")
    classifiers = [Classifier(path) for path in checkpoints]
    length = classifiers[0].about["length"]
    codes, start = around(row, length, windows, sequences, genome)
    first, last = int(row.start - start), int(row.end - start)
    if first < 0 or last > length:
        raise InputError(
            f"locus {locus} at {row.chrom}:{row.start}-{row.end} reaches beyond the {length} bp that the model sees; shorten it"
        )
    runs = [saturate(one, codes, first, last, start + length / 2) for one in classifiers]
    effect, reference = np.stack([one[0] for one in runs]), np.stack([one[1] for one in runs])
    spread = effect.std(0, ddof=1) if len(runs) > 1 else np.full(effect.shape[1:], np.nan)
    about = {
        "locus": locus,
        "assembly": row.assembly,
        "chrom": row.chrom,
        "start": int(start + first),
        "end": int(start + last),
        "part": part_of(row, windows),
        "score": "difference in log-odds of each target, mutant minus reference; each strand by itself, then averaged; shifts: none",
        "bases": "ACGT",
        **{name: classifiers[0].about[name] for name in ("architecture", "regime", "initialisation", "targets", "labels", "split_digest")},
        "seeds": [one.about["seed"] for one in classifiers],
    }
    with atomic(effects) as temporary:
        np.savez_compressed(
            temporary,
            effect=effect.mean(0).astype(np.float32),
            spread=spread.astype(np.float32),
            reference=reference.mean(0).astype(np.float32),
            codes=codes[first:last],
            about=json.dumps(about, sort_keys=True),
        )
    # One number a base for a genome browser: the mean size of its three substitutions' effects, over targets.
    size = np.abs(effect.mean(0)).sum(1).mean(1) / 3
    write_bigwig(track, row.chrom, about["start"], size)


def part_of(row: pd.Series, windows: Path) -> str:
    """The part of the window whose centre is nearest to a locus' centre; empty where no window reaches it."""
    frame = pd.read_parquet(windows, columns=["chrom", "start", "end", "split"])
    near = frame[(frame["chrom"] == row.chrom) & (frame["start"] < row.end) & (frame["end"] > row.start)]
    if near.empty:
        return ""
    return str(near["split"].iloc[np.abs(near["start"] + near["end"] - row.start - row.end).argmin()])


def around(row: pd.Series, length: int, windows: Path, sequences: Path | None, genome: list[Path] | None) -> tuple[np.ndarray, int]:
    """The window of ``length`` bp centred on a locus, uint8 (length,), and its start (0-based).

    Raises:
        InputError: the dataset does not hold it.
    """
    if genome:
        start = int((row.start + row.end) // 2 - length // 2)
        return Genome(*genome).windows(np.array([row.chrom]), np.array([start]), length)[0], start
    frame = pd.read_parquet(windows, columns=["chrom", "start", "end"])
    at = np.flatnonzero((frame["chrom"] == row.chrom) & (frame["start"] <= row.start) & (frame["end"] >= row.end))
    if not len(at):
        raise InputError(f"{row.chrom}:{row.start}-{row.end} is no site of this dataset; give one in resources/loci.tsv")
    codes = read_array(sequences, "r")[at[0]]
    cut = (len(codes) - length) // 2
    return np.array(codes[cut : cut + length]), int(frame["start"].iloc[at[0]]) + cut


if __name__ == "__main__":
    run(main)
