"""Label every window: by the class of its site, or by the intervals that its bin lies in."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.intervals import read_bed
from regdna.sources.sites import read_sites
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.targets import around, label, pack


def main(
    candidates: Path,
    targets: Path,
    table: Path,
    kind: str = "multilabel",
    windows: dict | None = None,
    definitions: dict | None = None,
    sites: list[Path] | None = None,
    intervals: list[Path] | None = None,
) -> None:
    """Write labels, bits packed along targets, to ``targets`` and what they mean to ``table``.

    Args:
        kind: ``exclusive`` if every window has one target and no more, else ``multilabel``.
        windows: for a genome: bin and context.
        definitions: for a genome: each target's rule, upstream, downstream, cell_type and assay.
        sites: shards of packed sites; either these or ``intervals``.
        intervals: BED files in the order of ``definitions``.

    Raises:
        InputError: a target has no positive window, or nothing but; or targets that should exclude each other do not.
    """
    frame = pd.read_parquet(candidates, columns=["chrom", "start", "end"])
    labels, rows = by_site(sites) if sites else by_intervals(frame, windows, definitions, intervals)
    if kind == "exclusive" and (labels.sum(1) != 1).any():
        none, several = int((labels.sum(1) == 0).sum()), int((labels.sum(1) > 1).sum())
        raise InputError(
            f"labels: {none} windows have no target and {several} have several, so they exclude nothing; say labels: multilabel"
        )
    for row, positives in zip(rows, labels.sum(0), strict=True):
        row["positives"] = int(positives)
        if positives in (0, len(labels)):
            raise InputError(f"target {row['target']}: {positives} of {len(labels)} windows are positive; choose another rule or target")
    with atomic(targets) as temporary:
        np.save(temporary, pack(labels))
    with atomic(table) as temporary:
        pd.DataFrame(rows).rename_axis("index").to_csv(temporary, sep="\t")


def by_site(shards: list[Path]) -> tuple[np.ndarray, list[dict]]:
    """One-hot classes of sites, bool (n, T), and the rows of the table of targets."""
    sites, _, names = read_sites(shards)
    rows = [{"cell_type": name, "assay": "DNase", "target": "specific DHS", "source": shards[0].parent.name} for name in names]
    return sites["label"].to_numpy()[:, None] == np.arange(len(names)), rows


def by_intervals(frame: pd.DataFrame, windows: dict, definitions: dict, files: list[Path]) -> tuple[np.ndarray, list[dict]]:
    """Labels of the windows' central bins, bool (n, T), and the rows of the table of targets."""
    flank = (windows["context"] - windows["bin"]) // 2
    bins = frame.assign(start=frame["start"] + flank, end=frame["end"] - flank)
    labels, rows = [], []
    for (name, target), path in zip(definitions.items(), files, strict=True):
        found = read_bed(path)
        if "upstream" in target:
            found = around(found, target["upstream"], target["downstream"])
        labels.append(label(bins, found, target["rule"]))
        rows.append({"cell_type": target["cell_type"], "assay": target["assay"], "target": name, "source": target["intervals"]})
    return np.stack(labels, 1), rows


if __name__ == "__main__":
    run(main)
