"""The effect of every substitution at a locus, averaged over strands and seeds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.models.classifier import Classifier
from regdna.mutagenesis import Window, saturate
from regdna.mutagenesis.deletions import delete
from regdna.mutagenesis.place import around
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
    shifts: list[int] | None = None,
    deletions: bool = False,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
) -> None:
    """Write effects, their spreads and what they mean to ``effects`` (npz), their size to ``track`` (bigWig).

    The arrays: ``effect``, float32 (positions, 4, T), in log-odds, mutant minus reference, new base in the order A, C, G, T; ``spread``,
    the same, over seeds (sd, NaN with one); ``views``, the same, over shifts and strands (sd of the seeds' mean); ``reference``, float32
    (T,), log-odds; ``codes``, uint8 (positions,); ``about``, JSON; and with ``deletions`` ``deletion``, float32 (positions, T).

    Args:
        place: assembly, chrom, start and end of the locus (0-based, half-open).
        assembly: of the dataset.
        shifts: bp by which the locus is moved to the right from the middle of the window; [0] where it is left out.
        deletions: whether each base is also deleted, the flanks moving up from the right and from the left in turn.

    Raises:
        InputError: the locus is of another assembly, no site of the dataset, or longer than what the model sees.
    """
    row, shifts = pd.Series(place), shifts or [0]
    if row.assembly != assembly:
        raise InputError(f"locus {locus} is on {row.assembly}, the dataset on {assembly}; never mix them")
    classifiers = [Classifier(path) for path in checkpoints]
    length = classifiers[0].about["length"]
    flank = max(map(abs, shifts)) + deletions
    codes, start = around(row, length + 2 * flank, windows, sequences, genome)
    first, last = int(row.start - start) - flank, int(row.end - start) - flank
    if first + min(shifts) < 0 or last + max(shifts) > length:
        raise InputError(
            f"locus {locus} at {row.chrom}:{row.start}-{row.end} reaches beyond the {length} bp that the model sees; shorten it"
        )
    begins = [flank - shift for shift in shifts]
    views = [
        Window(codes[begin : begin + length], first + flank - begin, last + flank - begin, start + begin + length / 2) for begin in begins
    ]
    effect, reference = (np.stack(one) for one in zip(*(saturate(one, views) for one in classifiers), strict=True))
    inside = slice(first + flank, last + flank)
    about = {
        "locus": locus,
        "assembly": row.assembly,
        "chrom": row.chrom,
        "start": int(row.start),
        "end": int(row.end),
        "part": part_of(row, windows),
        "score": "difference in log-odds of each target, mutant minus reference; of each strand and shift by itself, then averaged",
        "shifts": shifts,
        "bases": "ACGT",
        **{name: classifiers[0].about[name] for name in ("architecture", "regime", "initialisation", "targets", "labels", "split_digest")},
        "seeds": [one.about["seed"] for one in classifiers],
    }
    mean = effect.mean((0, 1))
    arrays = {
        "effect": mean,
        "spread": sd(effect.mean(1)),
        "views": sd(effect.mean(0)),
        "reference": reference.mean((0, 1)),
    }
    if deletions:
        arrays["deletion"] = np.mean([delete(one, codes, begins, length, inside.start, inside.stop, start) for one in classifiers], 0)
    with atomic(effects) as temporary:
        np.savez_compressed(
            temporary,
            **{name: values.astype(np.float32) for name, values in arrays.items()},
            codes=codes[inside],
            about=json.dumps(about, sort_keys=True),
        )
    # One number a base for a genome browser: the mean size of its three substitutions' effects, over targets.
    write_bigwig(track, row.chrom, about["start"], np.abs(mean).sum(1).mean(1) / 3)


def sd(values: np.ndarray) -> np.ndarray:
    """Standard deviation along the first axis; NaN where it has one entry."""
    return values.std(0, ddof=1) if len(values) > 1 else np.full(values.shape[1:], np.nan)


def part_of(row: pd.Series, windows: Path) -> str:
    """The part of the window whose centre is nearest to a locus' centre; empty where no window reaches it."""
    frame = pd.read_parquet(windows, columns=["chrom", "start", "end", "split"])
    near = frame[(frame["chrom"] == row.chrom) & (frame["start"] < row.end) & (frame["end"] > row.start)]
    if near.empty:
        return ""
    return str(near["split"].iloc[np.abs(near["start"] + near["end"] - row.start - row.end).argmin()])


if __name__ == "__main__":
    run(main)
