"""Render the dossier of a locus: every model's effects there, what was measured, which motifs change."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from regdna.assess import MEAN
from regdna.motifs import read_motifs
from regdna.page.dossier import Dossier, render
from regdna.page.results import Locus
from regdna.sources.variant_sets import kind_of
from regdna.step import run
from regdna.store import write_text

MEASURED = ["position", "ref", "alt", "measured", "set", "experiment"]


def main(
    effects: list[Path],
    metrics: list[Path],
    windows: Path,
    loci: Path,
    page: Path,
    study: str,
    dataset: str,
    title: str,
    invocation: str = "snakemake",
    variants: list[Path] | None = None,
    motifs: Path | None = None,
) -> None:
    """Write the dossier of a locus to ``page`` (HTML).

    Args:
        effects: mutagenesis of every model there, as ``results/{study}/{dataset}/{model}/mutagenesis/{locus}.npz``.
        metrics: of the same models, in the same order.
        loci: the table of loci.
        study, dataset: ids; title of the dataset.
        invocation: how Snakemake is called for its results, up to the target.
        variants: the dataset's sets of variants, of which those that were measured at the locus are shown.
        motifs: motifs to look for.
    """
    shown = [Locus.read(path) for path in effects]
    about = shown[0].about
    table = pd.read_csv(loci, sep="\t", keep_default_na=False).set_index(["locus", "assembly"])
    found = Dossier(
        study=study,
        dataset=dataset,
        title=title,
        path=page.as_posix(),
        invocation=invocation,
        place=table.loc[about["locus"], about["assembly"]],
        loci=shown,
        measured=pd.concat([pd.DataFrame(columns=MEASURED), *(measured(path, about) for path in variants or [])], ignore_index=True),
        motifs=read_motifs(motifs) if motifs else [],
        nearest=nearest(windows, about),
        skill={one.model: skill(path) for one, path in zip(shown, metrics, strict=True)},
    )
    write_text(page, render(found))


def measured(path: Path, about: dict) -> pd.DataFrame:
    """The variants of a set whose effects were measured within a locus; of two at one place both."""
    inside = [("chrom", "==", about["chrom"]), ("position", ">=", about["start"]), ("position", "<", about["end"])]
    # Labels are no effects: they would be drawn as some.
    if "measured" not in pq.read_schema(path).names or kind_of(pd.read_parquet(path, columns=["measured"])["measured"]) != "effects":
        return pd.DataFrame(columns=MEASURED)
    table = pd.read_parquet(path, filters=inside)
    return table.assign(set=path.stem, experiment=table["id"])[MEASURED].dropna(subset="measured")


def skill(metrics: Path) -> list[float]:
    """A model's AUROC of each target on the test windows, mean over seeds."""
    table = pd.read_parquet(metrics, columns=["part", "metric", "seed", "target", "value"])
    mine = table[(table["part"] == "test") & (table["metric"] == "auroc") & (table["seed"] == MEAN) & (table["target"] >= 0)]
    return mine.sort_values("target")["value"].tolist()


def nearest(windows: Path, about: dict) -> int | None:
    """Bases between a locus and the nearest training window, 0 where one overlaps; None where its chromosome has none."""
    frame = pd.read_parquet(windows, columns=["chrom", "start", "end", "split"])
    mine = frame[(frame["chrom"] == about["chrom"]) & (frame["split"] == "train")]
    if mine.empty:
        return None
    return int(np.maximum(np.maximum(mine["start"] - about["end"], about["start"] - mine["end"]), 0).min())


if __name__ == "__main__":
    run(main)
