"""Hold a model's scores of variants against those of DeepSEA's published weights, target by target."""

import logging
from pathlib import Path

import pandas as pd

from regdna.agreement import compare
from regdna.step import run
from regdna.store import atomic
from regdna.variants import read_scores

log = logging.getLogger("regdna")


def main(scores: Path, published: Path, targets: Path, agreement: Path, replicate_count: int = 1000) -> None:
    """Write ``agreement`` (parquet), one row a number, as ``regdna.agreement.compare`` describes it.

    Args:
        scores: the model's table of scores.
        published: the table of scores by the published weights, of the same variants.
        targets: the dataset's targets (tsv): cell_type, assay, target.
        replicate_count: resamples of blocks for an interval.
    """
    own = pd.read_csv(targets, sep="\t", dtype=str, keep_default_na=False)
    about = read_scores(published, ()).about
    table = compare(scores, published, own, pd.DataFrame(about["described"]), replicate_count)
    table.attrs |= {name: about[name] for name in ("source", "initialisation", "index")}
    with atomic(agreement) as temporary:
        table.to_parquet(temporary, index=False)
    matched = table[table["what"] == "overlap"]["target"].nunique()
    log.info(
        "%d of %d targets have a published one; %d variants compared of %d that both have scored",
        matched, len(own), table.attrs["compared"], table.attrs["scored_by_both"],
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
