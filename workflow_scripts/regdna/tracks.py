"""Results in the formats of genome browsers."""

from pathlib import Path

import numpy as np

from regdna.step import InputError
from regdna.store import atomic


def write_bigwig(path: Path, chrom: str, start: int, values: np.ndarray) -> None:
    """One value a base from ``start`` (0-based), float (n,), as bigWig; bases without a value are left out."""
    import pyBigWig

    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        raise InputError(f"{path}: no base has a value; is the locus all N?")
    with atomic(path) as temporary:
        track = pyBigWig.open(str(temporary), "w")
        track.addHeader([(chrom, int(start + len(values)))])
        begin = (start + known).tolist()
        track.addEntries([chrom] * len(begin), begin, ends=[at + 1 for at in begin], values=values[known].astype(float).tolist())
        track.close()
