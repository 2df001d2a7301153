"""Count a model's scores of a background set, target by target, for E-values of other variants."""

import logging
from pathlib import Path

from regdna import background as backgrounds
from regdna.genome import Genome
from regdna.step import run

log = logging.getLogger("regdna")


def main(scores: Path, background: Path, genome: list[Path] | None = None) -> None:
    """Write ``background`` (npz), which ``regdna.background.Background`` opens.

    Args:
        scores: the model's table of scores of the background set (parquet).
        genome: that the variants' contigs are of, for the context that they are matched on; without one they are not matched.
    """
    found = backgrounds.tally(scores, Genome(*genome) if genome else None)
    backgrounds.save(background, found)
    about = backgrounds.Background(found).about
    errors = ", ".join(f"{name} {value:.2g}" for name, value in about["error"].items())
    log.info(
        "%d background variants of %s, the %d largest of each target kept as they are; %s; below them E-values err by at most: %s",
        about["offered"], about["variants"], about["retained"], about["matched"], errors,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
