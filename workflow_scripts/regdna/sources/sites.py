"""Labelled sites with their sequence, packed two bits a base in npz shards."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.alphabet import unpack_two_bits
from regdna.step import InputError

LENGTH = 200


def read_sites(shards: list[Path]) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Read the shards, in the order given.

    Returns:
        a table with chrom, start, end (0-based, half-open) and label (index into the targets, uint8); codes, uint8
        (n, 200); and the names of the targets.

    Raises:
        InputError: a shard is not one, or names other targets than the first.
    """
    tables, codes, targets = [], [], None
    for path in shards:
        try:
            with np.load(path, allow_pickle=False) as shard:
                names = [str(name) for name in shard["targets"]]
                chrom = shard["chromosomes"][shard["chrom"]]
                tables.append(pd.DataFrame({"chrom": chrom, "start": shard["start"].astype(np.int64), "label": shard["label"]}))
                codes.append(unpack_two_bits(shard["sequence"], LENGTH))
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a shard of packed sites ({error}); fetch it again") from None
        if targets not in (None, names):
            raise InputError(f"{path}: its targets are {names}, those of the first shard {targets}; do not mix sources")
        targets = names
    table = pd.concat(tables, ignore_index=True)
    table.insert(2, "end", table["start"] + LENGTH)
    return table, np.concatenate(codes), targets or []
