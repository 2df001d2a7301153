"""Two finished studies side by side: what each holds, whether they may be compared, and the paired differences between them."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.assess import MEAN
from regdna.paired import COLUMNS, COMPARED, NO_PAIRS, Judged, compare
from regdna.step import InputError

FILES = ("metrics.parquet", "replicates.npz")  # of every model
NAME = re.compile(r"[A-Za-z0-9._-]+")
SAME, BEST = "same model", "best of each"


@dataclass(frozen=True)
class Finished:
    """Results of a study that was evaluated.

    Attributes:
        root: its folder below ``results/``, which need not be the name of a study any more.
        digests: dataset to the digest of its split.
        models: dataset to its models, by name.
    """

    root: Path
    digests: dict[str, str]
    models: dict[str, list[str]]

    @classmethod
    def read(cls, root: Path, expected: list[str] | None = None) -> "Finished":
        """What lies in a folder of results.

        Args:
            expected: ``{root}/{dataset}/{model}`` that must be there, besides those that have folders of seeds.

        Raises:
            InputError: it is not there, or a model was not evaluated, or they were not compared: named with what is missing.
        """
        if not root.is_dir():
            raise InputError(f"{root} is not there; compare folders of {root.parent}, or finish the study first")
        folders = {path.parent for pattern in ("*/*/seed*", "*/*/metrics.parquet") for path in root.glob(pattern)}
        folders |= {Path(one) for one in expected or []}
        wanted = [root / "comparison.parquet", *(folder.parent / "splits.json" for folder in sorted(folders)),
                  *(folder / name for folder in sorted(folders) for name in FILES)]  # fmt: skip
        missing = [path.relative_to(root).as_posix() for path in dict.fromkeys(wanted) if not path.is_file()]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise InputError(
                f"{root} is not finished: it lacks {', '.join(missing[:3])}{more}; finish it "
                f"(`snakemake --config study={root.name} -- evaluate`), or compare another"
            )
        models: dict[str, list[str]] = {}
        for folder in sorted(folders):
            models.setdefault(folder.parent.name, []).append(folder.name)
        return cls(root, {dataset: digest(root / dataset / "splits.json") for dataset in models}, models)

    def judged(self, dataset: str) -> list[Judged]:
        """Results of all models of a dataset.

        Raises:
            InputError: a file is cut short, or was written by a version that kept less.
        """
        return [Judged.read(*(self.root / dataset / model / name for name in FILES)) for model in self.models[dataset]]


def digest(path: Path) -> str:
    """The digest that a split certificate holds.

    Raises:
        InputError: it is no certificate.
    """
    try:
        return str(json.loads(path.read_text())["digest"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: no split certificate; delete it and run again") from None


def named(text: str) -> tuple[str, str]:
    """The two studies that ``old,new`` names.

    Raises:
        InputError: they are not two, or no names of folders.
    """
    names = text.split(",")
    if len(names) != 2 or len(set(names)) != 2 or not all(NAME.fullmatch(one) and one.strip(".") for one in names):
        raise InputError(
            f"config: studies: {text!r} does not name two folders of results/, the older first, such as studies=demo-old,demo; "
            "the folder of study files is 'study_folder'"
        )
    return names[0], names[1]


def common(old: Finished, new: Finished) -> list[str]:
    """Datasets that both studies have, on the same split.

    Raises:
        InputError: there is none, or one was split otherwise.
    """
    both = [dataset for dataset in old.digests if dataset in new.digests]
    if not both:
        raise InputError(
            f"{old.root} and {new.root} have no dataset in common ({', '.join(old.digests)}; {', '.join(new.digests)}); compare two that do"
        )
    for dataset in both:
        one, other = old.digests[dataset], new.digests[dataset]
        if one != other:
            raise InputError(
                f"dataset {dataset}: {old.root} was judged on split {one}, {new.root} on split {other}; scores on other windows are not "
                "comparable, so run both on one split"
            )
    return both


def contrast(dataset: str, old: list[Judged], new: list[Judged], margin: float) -> pd.DataFrame:
    """Paired differences, new minus old on the same resamples: of every model that both have, and of the best of each.

    Columns are those of ``regdna.paired.compare``, where ``model`` is of the new study and ``against`` of the old, and ``pair``:
    ``same model`` or ``best of each``, which is left out where that is the same model. Max-T holds over all pairs of a dataset.

    Args:
        margin: differences no larger than this are of no practical matter.

    Raises:
        InputError: a target has other labels in one of them.
    """
    known = {one.model: one for one in old}
    pairs = [(one, known[one.model]) for one in new if one.model in known]
    best = champion(new), champion(old)
    if best[0] and best[1] and best[0].model != best[1].model:
        pairs.append((best[0], best[1]))
    if not pairs:
        return NO_PAIRS.assign(pair="")[["pair", *COLUMNS]]
    for one, other in pairs:
        check_labels(dataset, one, other)
    # A replicate does not depend on how many there are, so that the first of both are the same resamples.
    count = min(len(judged.drawn[COMPARED[0]]) for pair in pairs for judged in pair)
    found = compare(dataset, [(first(one, count), first(other, count)) for one, other in pairs], margin)
    found.insert(0, "pair", np.where(found["model"] == found["against"], SAME, BEST))
    return found


def first(one: Judged, count: int) -> Judged:
    """The same with the first so many replicates."""
    return replace(one, drawn=one.drawn | {metric: one.drawn[metric][:count] for metric in COMPARED})


def champion(models: list[Judged]) -> Judged | None:
    """The model that validation windows rank highest by mean AUROC, no control; None if none is defined."""
    best = {}
    for one in models:
        table = pd.read_parquet(one.path, columns=["part", "metric", "seed", "target", "value"])
        rows = table[(table["part"] == "validation") & (table["metric"] == "auroc") & (table["seed"] == MEAN) & (table["target"] == MEAN)]
        if not one.control and np.isfinite(rows["value"]).all():
            best[one.model] = float(rows["value"].iloc[0])
    return next((one for one in models if one.model == max(best, key=lambda name: best[name])), None) if best else None


def check_labels(dataset: str, one: Judged, other: Judged) -> None:
    """Raise InputError if the windows of a split have other labels in one of two results."""
    tables = [judged.table[(judged.table["metric"] == COMPARED[0]) & (judged.table["target"] >= 0)] for judged in (one, other)]
    for mine, theirs in zip(*(table[["name", "n", "positives"]].to_dict("records") for table in tables), strict=False):
        if mine != theirs:
            said = [f"{row['name']}: {row['positives']} of {row['n']} in {judged.path}" for row, judged in ((theirs, other), (mine, one))]
            raise InputError(f"dataset {dataset}: labels differ ({', '.join(said)}); compare results on the same labels")
    if len(tables[0]) != len(tables[1]):
        raise InputError(f"dataset {dataset}: {one.path} has {len(tables[0])} targets, {other.path} {len(tables[1])}; compare the same")


def stamp(*roots: Path) -> str:
    """A digest of which results lie in folders and when they were written, by which a comparison of them is made again or not."""
    paths = [path for root in roots for pattern in ("*/splits.json", *(f"*/*/{name}" for name in FILES)) for path in root.glob(pattern)]
    lines = [f"{path.as_posix()} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in sorted(paths)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
