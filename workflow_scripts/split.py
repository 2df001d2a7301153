"""Give every window its part (train, validation, test, gap, unused) and certify what the parts share."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna import splits as rules
from regdna.step import InputError, run
from regdna.store import atomic, write_json
from regdna.windows import Sequences


def main(
    candidates: Path,
    windows: Path,
    splits: Path,
    rule: dict,
    training_sites: int = 0,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
) -> None:
    """Write the windows with their part to ``windows`` and the certificate to ``splits``.

    Args:
        rule: the split as the study says it: rule, test, validation, gap, seed, block.
        training_sites: training windows to keep, drawn at random; 0 keeps all.

    Raises:
        InputError: a part is empty, or windows of different parts overlap or are closer than the gap.
    """
    table = pd.read_parquet(candidates)
    if rule["rule"] == "chromosomes":
        part = rules.by_chromosomes(table, rule["test"], rule["validation"])
    else:
        part = rules.by_blocks(table, rule["block"], rule["test"], rule["validation"], rule.get("seed", 0))
    part = rules.open_gap(table, part, rule.get("gap", 0))
    table.insert(3, "split", leave_out(part, training_sites, rule.get("seed", 0)))
    for name in rules.PARTS:
        if not (table["split"] == name).any():
            raise InputError(f"split: no window is in {name}; choose other chromosomes, more blocks or a smaller gap")
    codes = Sequences(table, sequences, genome)[np.arange(len(table))]
    report = rules.certificate(table, codes, rule)
    if report["verdict"] == "leak":
        raise InputError(
            f"split: {report['overlapping_windows']} windows overlap another part and parts come within "
            f"{report['smallest_distance_bp']} bp; widen the gap"
        )
    with atomic(windows) as temporary:
        table.to_parquet(temporary, index=False)
    write_json(splits, report)


def leave_out(part: np.ndarray, training_sites: int, seed: int) -> np.ndarray:
    """Parts with all but ``training_sites`` training windows, drawn at random, set to ``unused``; 0 keeps all."""
    train = np.flatnonzero(part == "train")
    if training_sites > len(train):
        raise InputError(f"training_sites: {training_sites:,} were asked for, but {len(train):,} are in the training part; lower it")
    if training_sites:
        part[np.random.default_rng(seed).permutation(train)[training_sites:]] = "unused"
    return part


if __name__ == "__main__":
    run(main)
