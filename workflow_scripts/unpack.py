"""Unpack the sequences of a dataset of sites into one row of codes a window."""

from pathlib import Path

import numpy as np

from regdna.sources.sites import read_sites
from regdna.step import run
from regdna.store import atomic


def main(sites: list[Path], sequences: Path) -> None:
    """Write codes, uint8 (n, L), in the order of the sites."""
    _, codes, _ = read_sites(sites)
    with atomic(sequences) as temporary:
        np.save(temporary, codes)


if __name__ == "__main__":
    run(main)
