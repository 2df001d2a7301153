"""Two finished studies side by side: paired differences of the models that both have, and of the best of each."""

from pathlib import Path

import pandas as pd

from regdna.contrast import Finished, common, contrast
from regdna.page.contrast import render
from regdna.step import run
from regdna.store import atomic, write_text


def main(old: Path, new: Path, comparison: Path, page: Path, margin: float = 0.01) -> None:
    """Write a row a dataset, pair, metric and target or average to ``comparison``, and a page of them to ``page`` (HTML).

    Args:
        old, new: folders of results, ``results/{study}``; differences are new minus old.
        margin: differences no larger than this are of no practical matter.

    Raises:
        InputError: one is not finished, they have no dataset in common, or one of those has another split or other labels.
    """
    before, after = Finished.read(old), Finished.read(new)
    results = {}
    for dataset in common(before, after):
        both = before.judged(dataset), after.judged(dataset)
        results[dataset] = (*both, contrast(dataset, *both, margin))
    text = render(before, after, results, margin)
    with atomic(comparison) as temporary:
        pd.concat([found for *_, found in results.values()], ignore_index=True).to_parquet(temporary, index=False)
    write_text(page, text)


if __name__ == "__main__":
    run(main)
