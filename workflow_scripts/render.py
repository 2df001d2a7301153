"""Render the report of a study: one self-contained page, from tables and arrays that other steps wrote."""

import json
from pathlib import Path

import pandas as pd

import regdna
from regdna import page as pages
from regdna.certificate import read
from regdna.page import machine as machines
from regdna.provenance import assumptions
from regdna.step import InputError, run
from regdna.store import write_text
from regdna.variants.table import read_blocks, strongest


def main(
    comparison: Path,
    ledger: Path,
    metrics: list[Path],
    curves: list[Path],
    splits: list[Path],
    compute: list[Path],
    checkpoints: list[Path],
    loci: Path,
    page: Path,
    machine: Path,
    study: dict,
    name: str,
    invocation: str = "snakemake",
    effects: list[Path] | None = None,
    measured: list[Path] | None = None,
    agreement: list[Path] | None = None,
    trials: list[Path] | None = None,
    beside: list[Path] | None = None,
    literature: list[Path] | None = None,
) -> None:
    """Write the report of a study to ``page`` (HTML) and, for programs, to ``machine`` (JSON).

    Args:
        metrics, curves: of every dataset and model, as ``results/{study}/{dataset}/{model}/...``.
        splits: certificates of every dataset.
        compute, checkpoints: of every run, in the same order, as ``results/{study}/{dataset}/{model}/seed{seed}/...``.
        effects: mutagenesis (npz) and variant scores (parquet) of the models that have some.
        measured, agreement: what those scores are worth by measurement, and beside published ones.
        beside: tables beside the metrics, as ``results/{study}/{dataset}/{model}/{kind}.parquet``.
        literature: published values beside ours, one table or none.
        trials: tables of the trials of the models that were tuned.
        study: the validated study; its ``sources`` are all that it reads, completed.
        name: its id.
        invocation: how Snakemake is called for its results, up to the target.

    Raises:
        InputError: a file lacks what the page shows, or results belong to different splits.
    """
    certificates = {path.parts[-2]: read(path) for path in splits}
    results = pages.Results(
        study=study,
        name=name,
        invocation=invocation,
        root=comparison.parent.as_posix(),
        scores=pd.concat([read_scores(path, certificates) for path in metrics], ignore_index=True),
        comparison=read_table(comparison, {"dataset", "model", "against", "metric", "target", "difference", "low", "high", "verdict"}),
        ledger=pd.read_csv(ledger, sep="\t"),
        curves=pd.concat([pd.read_parquet(path).assign(dataset=path.parts[-3]) for path in curves], ignore_index=True),
        jobs=[read_job(*paths) for paths in zip(compute, checkpoints, strict=True)],
        tuned={path.parts[-3:-1]: read_trials(path) for path in trials or []},
        certificates=certificates,
        loci=[pages.Locus.read(path) for path in effects or [] if path.suffix == ".npz"],
        variants=[read_variants(path) for path in effects or [] if path.suffix == ".parquet"],
        beside=by_kind(beside or []),
        literature=read_table(literature[0], {"paper_model", "comparable", "reasons"}) if literature else None,
        judged=[pages.Compared.read(path) for path in measured or []],
        agreed=[pages.Compared.read(path) for path in agreement or []],
        places=pd.read_csv(loci, sep="\t", index_col=["locus", "assembly"]),
        assumptions=assumptions(Path(regdna.__file__).parent),
        versions=machines.installed(),
    )
    write_text(page, pages.render(results))
    write_text(machine, machines.as_text(machines.report(results)))


def read_table(path: Path, columns: set[str]) -> pd.DataFrame:
    """A parquet table that has ``columns``.

    Raises:
        InputError: it lacks one.
    """
    table = pd.read_parquet(path)
    missing = sorted(columns - set(table.columns))
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing; make it again: snakemake --force {path}")
    return table


def read_scores(path: Path, certificates: dict[str, dict]) -> pd.DataFrame:
    """Metrics of one model on one dataset, with columns for the dataset and how the model was initialised.

    Raises:
        InputError: they belong to another split than the certificate.
    """
    table = read_table(path, {"model", "part", "metric", "seed", "target", "value", "low", "high", "verdict"})
    dataset = path.parts[-3]
    mine, certified = table.attrs["split_digest"], certificates[dataset]["digest"]
    if mine != certified:
        raise InputError(f"{path}: belongs to split {mine}, splits.json certifies {certified}; evaluate again")
    return table.assign(dataset=dataset, initialisation=table.attrs["initialisation"], replicates=table.attrs["replicates"])


def by_kind(paths: list[Path]) -> dict[str, list[pages.Beside]]:
    """Tables beside the metrics, by kind, in the order given."""
    found: dict[str, list[pages.Beside]] = {}
    for path in paths:
        found.setdefault(path.stem, []).append(pages.Beside.read(path))
    return found


def read_job(compute: Path, checkpoint: Path) -> pages.Job:
    """What one run cost and what its checkpoint says of itself."""
    dataset, model, seed = compute.parts[-4:-1]
    return pages.Job(dataset, model, int(seed[4:]), json.loads(compute.read_text()), json.loads((checkpoint / "about.json").read_text()))


def read_trials(path: Path) -> pd.DataFrame:
    """The trials of one model; settings stay as they are written."""
    numbers = {"trial": int, "validation_ap": float, "seconds": float}
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False).replace({"validation_ap": {"": "nan"}})
    return table.astype(numbers).assign(chosen=table["chosen"] == "True")


def read_variants(path: Path) -> pages.Variants:
    """Scores of one model for one set of variants, each at its strongest target."""
    blocks = [(strongest(block), block.about) for block in read_blocks(path)]
    table = pd.concat([one for one, _ in blocks], ignore_index=True)
    return pages.Variants(path.parts[-4], path.parts[-3], path.stem, path.as_posix(), table, blocks[0][1])


if __name__ == "__main__":
    run(main)
