"""What the page is made from, and the few questions that all of its parts ask of it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.models import ARCHITECTURES

MEAN = -1  # as target: mean over targets; as seed: mean over seeds


def pick(frame: pd.DataFrame, **equal: object) -> pd.DataFrame:
    """The rows of a table whose columns have the given values."""
    keep = np.ones(len(frame), bool)
    for column, value in equal.items():
        keep &= (frame[column] == value).to_numpy()
    return frame[keep]


@dataclass(frozen=True)
class Locus:
    """Effects of one model at one locus: arrays as ``mutagenise`` writes them, and where they lie.

    Attributes:
        effect, spread, views: float32 (positions, 4, T): log-odds, their sd over seeds, and over shifts and strands.
        reference: log-odds, float32 (T,).
        codes: uint8 (positions,).
        deletion: float32 (positions, T), where bases were deleted too.
    """

    dataset: str
    model: str
    path: str
    about: dict
    effect: np.ndarray
    spread: np.ndarray
    views: np.ndarray
    reference: np.ndarray
    codes: np.ndarray
    deletion: np.ndarray | None = None

    def drawn(self, target: int) -> np.ndarray:
        """Effects on one target by position and new base, float32 (positions, 4), or 5 with that of deleting the base."""
        effect = self.effect[:, :, target]
        return effect if self.deletion is None else np.column_stack([effect, self.deletion[:, target]])

    @classmethod
    def read(cls, path: Path) -> "Locus":
        """What lies at ``results/{study}/{dataset}/{model}/mutagenesis/{locus}.npz``."""
        with np.load(path) as arrays:
            about = json.loads(str(arrays["about"]))
            values = {key: arrays[key] for key in ("effect", "spread", "views", "reference", "codes", "deletion") if key in arrays}
        return cls(dataset=path.parts[-4], model=path.parts[-3], path=path.as_posix(), about=about, **values)


@dataclass(frozen=True)
class Variants:
    """Scores of one model for one set of variants: a row a variant at its strongest target, and the table's metadata."""

    dataset: str
    model: str
    name: str
    path: str
    table: pd.DataFrame
    about: dict


@dataclass(frozen=True)
class Compared:
    """One model's scores of one set of variants, held against measurement or beside published scores: that table, and its ``attrs``."""

    dataset: str
    model: str
    name: str
    path: str
    table: pd.DataFrame
    about: dict

    @classmethod
    def read(cls, path: Path) -> "Compared":
        """What lies at ``results/{study}/{dataset}/{model}/variants/{variants}.{measured,agreement}.parquet``."""
        held = pd.read_parquet(path)
        return cls(path.parts[-4], path.parts[-3], path.name.partition(".")[0], path.as_posix(), held, held.attrs)


@dataclass(frozen=True)
class Beside:
    """A table of one model and dataset that stands beside its metrics: ``kind`` is the file's name, ``about`` the table's ``attrs``."""

    dataset: str
    model: str
    kind: str
    path: str
    table: pd.DataFrame
    about: dict

    @classmethod
    def read(cls, path: Path) -> "Beside":
        """What lies at ``results/{study}/{dataset}/{model}/{kind}.parquet``."""
        held = pd.read_parquet(path)
        return cls(path.parts[-3], path.parts[-2], path.stem, path.as_posix(), held, held.attrs)


@dataclass(frozen=True)
class Job:
    """One training run: ``compute.json`` as ``cost``, and what the checkpoint's ``about.json`` says."""

    dataset: str
    model: str
    seed: int
    cost: dict
    about: dict


@dataclass(frozen=True)
class Results:
    """All that the page is made from.

    Attributes:
        invocation: how Snakemake is called for these results, up to the target.
        root: folder of the study's results, as targets name it.
        scores: rows of every metrics.parquet, with dataset, initialisation and replicates.
        comparison, ledger, curves: the tables of those names; curves with dataset.
        jobs: every training run, in the order of datasets, models and seeds.
        tuned: trials.tsv of every model that was tuned, by dataset and model.
        certificates: splits.json by dataset.
        beside: tables beside the metrics, by kind.
        judged, agreed: what scores are worth by measurement, and beside published ones.
        places: loci.tsv by locus and assembly.
        assumptions: file and text of every assumption in the code.
        versions: package to version.
        literature: published values beside ours, where a dataset is a benchmark.
    """

    study: dict
    name: str
    invocation: str
    root: str
    scores: pd.DataFrame
    comparison: pd.DataFrame
    ledger: pd.DataFrame
    curves: pd.DataFrame
    jobs: list[Job]
    tuned: dict[tuple[str, str], pd.DataFrame]
    certificates: dict[str, dict]
    loci: list[Locus]
    variants: list[Variants]
    beside: dict[str, list[Beside]]
    judged: list[Compared]
    agreed: list[Compared]
    places: pd.DataFrame
    assumptions: list[tuple[str, str]]
    versions: dict[str, str]
    literature: pd.DataFrame | None = None

    def family(self, model: str) -> str:
        """Family of a model: row zero, cnn or transformer."""
        return ARCHITECTURES[self.study["models"][model]["architecture"]].family

    def weights(self, model: str) -> str:
        """Where a model's weights start, in words; a random start is never called anything else."""
        if self.family(model) == "row zero":
            return "none"
        entry = self.study["models"][model]
        if entry["initialisation"] == "random":
            return "random weights, no pretraining" + (f"; sizes of {entry['weights']}" if entry.get("weights") else "")
        return f"published weights, {entry['weights']}"

    def licence(self, model: str) -> str:
        """What the published weights that a model begins with may be used for; nothing for others."""
        entry = self.study["models"][model]
        return self.source(entry["weights"])["licence"] or "not stated" if entry["initialisation"] == "published" else ""

    def published(self) -> list[str]:
        """Sources of published weights that models have their sizes or values from, in order, once."""
        return list(dict.fromkeys(entry["weights"] for entry in self.study["models"].values() if entry.get("weights")))

    def label(self, model: str) -> str:
        """A model's id for tables and figures, with what it is a control of and its random start beside it."""
        said = [model, f"control of {self.base(model)}" if self.base(model) else ""]
        return " · ".join([*filter(None, said), *["random weights"] * self.weights(model).startswith("random")])

    def base(self, model: str) -> str:
        """The model that one is a control of; nothing for a model that is none."""
        entry = self.study["models"][model]
        return entry["base"] if entry["control"] else ""

    def models(self, dataset: str) -> list[str]:
        """Models of a dataset in the study's order, controls behind the model that they are of."""
        return [model for model, entry in self.study["models"].items() if dataset in entry["datasets"]]

    def contenders(self, dataset: str) -> list[str]:
        """The same without controls."""
        return [model for model in self.models(dataset) if not self.base(model)]

    def controls(self, dataset: str, model: str) -> list[str]:
        """The controls of a model on a dataset."""
        return [one for one in self.models(dataset) if self.base(one) == model]

    def ranked(self, dataset: str) -> list[str]:
        """Models of a dataset by their mean AUROC, the highest first; controls behind all others."""
        value = self.mean(dataset)["value"].sort_values(ascending=False, kind="stable")
        return sorted(value.index, key=lambda model: bool(self.base(model)))

    def deprived(self, model: str) -> bool:
        """Whether a model is a control that lacks what there is to learn: to learn nothing is then a finding, not a failure."""
        return self.study["models"][model]["control"] not in ("", "random-init", "held-out-cells")

    def collapsed(self, dataset: str, model: str) -> str:
        """How many of a model's seeds collapsed, and how many runs that did were given up for another seed; nothing if none did."""
        mine = [job.cost for job in self.jobs if (job.dataset, job.model) == (dataset, model)]
        kept, lost = sum(cost["collapsed"] for cost in mine), sum(len(cost["failures"]) for cost in mine)
        if self.deprived(model):
            return ""
        said = [f"{kept} of {len(mine)} seed{'s' if len(mine) > 1 else ''} collapsed" if kept else "",
                f"{lost} collapsed run{'s' if lost > 1 else ''} given up for another seed" if lost else ""]  # fmt: skip
        return ", ".join(filter(None, said))

    def mean(self, dataset: str, metric: str = "auroc", part: str = "test") -> pd.DataFrame:
        """Rows of the mean over targets and seeds, one a model, by model."""
        return pick(self.scores, dataset=dataset, metric=metric, part=part, target=MEAN, seed=MEAN).set_index("model")

    def source(self, name: str) -> dict:
        """What is stated of a source that the study reads."""
        return self.study["sources"][name]

    @property
    def runs(self) -> pd.DataFrame:
        """The training runs of the ledger; its other rows are trials of tuning."""
        return self.ledger[self.ledger["kind"] == "run"]

    @property
    def trials(self) -> pd.DataFrame:
        """The trials of tuning of the ledger."""
        return self.ledger[self.ledger["kind"] == "trial"]

    def seconds(self, dataset: str, model: str) -> float:
        """Wall seconds that training took, mean over seeds."""
        return float(pick(self.runs, dataset=dataset, model=model)["wall_seconds"].mean())

    def targets(self, dataset: str, most: int) -> tuple[pd.DataFrame, str]:
        """The targets with most positives in their own order (target, name, prevalence), and what to say if some are left out."""
        rows = pick(self.scores, dataset=dataset, part="test").query("target >= 0").drop_duplicates("target")
        shown = rows.nlargest(most, "positives").sort_values("target")[["target", "name", "prevalence"]]
        return shown, f"; the {len(shown)} of {len(rows)} targets with most positives" if len(shown) < len(rows) else ""
