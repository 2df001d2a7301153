"""Transfer across cell types on the page: who can tell one cell from another, and what mean activity says without a model."""

import numpy as np
import pandas as pd

from regdna.page import answer
from regdna.page.results import Beside, Results, pick
from regdna.page.text import cell, estimate, figure, number, remake, table, words
from regdna.plots.transfer import matrices

CONTROL = "held-out-cells"
SHOWN_GROUPS = 8  # of a figure
SHOWN_CELLS = 10  # of a matrix; more would not be read
NO_SKILL = 0.5
# ASSUME: a model's transfer is only the mean activity if the 95 % interval of the AUROC of its deviation from the mean holds 0.5 and ends
# below 0.55; if it ends above, it is said that the two cannot be told apart.
SLIGHT = 0.55
METRICS = {"auroc": "AUROC", "average_precision": "AP"}
KINDS = {
    "same-cell": "own output",
    "mean-of-others": "mean of outputs for others",
    "nearest-output": "output for nearest",
    "mean-activity": "measured: mean of others",
    "nearest-cell": "measured: nearest",
    "over-mean-activity": "outputs for others minus measured mean",
}


def show(results: Results, dataset: str) -> dict | None:
    """What the page shows of one dataset, for ``transfer.html.j2``; None where the study asks for no transfer there.

    Returns:
        id, sentences, figures, tables and notes.
    """
    held = of(results, dataset)
    if not held:
        return None
    best = [model for model in answer.champions(results, dataset).values() if model in held]
    shown = [one for model in best for one in (model, *results.controls(dataset, model)) if one in held]
    return {
        "id": dataset,
        "sentences": [sentence(held[model], control(results, held, model)) for model in best],
        "figures": [drawn(results, held[model]) for model in best],
        "tables": [cells(results, [held[model] for model in shown], metric) for metric in METRICS] if shown else [],
        "notes": notes(held),
    }


def of(results: Results, dataset: str) -> dict[str, Beside]:
    """Transfer of the models of a dataset, in the study's order."""
    held = {one.model: one for one in results.beside.get("transfer", []) if one.dataset == dataset}
    return {model: held[model] for model in results.models(dataset) if model in held}


def control(results: Results, held: dict[str, Beside], model: str) -> Beside | None:
    """The same model without the labels of the held-out cell types, if there is one."""
    found = [one for name, one in held.items() if results.base(name) == model and one.about["control"] == CONTROL]
    return found[0] if found else None


def mean(held: Beside, kind: str, assay: str = "", target: str = "") -> pd.Series | None:
    """The mean AUROC over the cell types of a group, or of all groups, of one kind of result; None where none is defined."""
    rows = pick(held.table, kind=kind, metric="auroc", tested_on="", assay=assay, target=target)
    return rows.iloc[0] if len(rows) else None


def apart(held: Beside) -> list[tuple[str, pd.Series, pd.Series]]:
    """Where it can be judged whether a model tells cell types apart: over all groups, or else in each group where it can.

    Returns:
        where, in words; the mean of the deviation from the mean, and that of transfer itself.
    """
    some = [("", "", "")] + [(f" in {one['label']}", one["assay"], one["target"]) for one in held.about["groups"]]
    found = [(where, mean(held, "deviation", *group), mean(held, "mean-of-others", *group)) for where, *group in some]
    good = [one for one in found if one[1] is not None and one[2] is not None and np.isfinite([one[1]["low"], one[2]["low"]]).all()]
    return good[:1] if good and not good[0][0] else good


def findings(results: Results, dataset: str) -> list[str]:
    """A warning for each model whose transfer is only the mean activity, or cannot be told from it."""
    out = []
    for model, held in of(results, dataset).items():
        for where, own, skill in apart(held):
            if own["low"] > NO_SKILL or skill["low"] <= NO_SKILL:  # cells are told apart, or there is nothing to transfer
                continue
            is_only = "is only the mean activity" if own["high"] < SLIGHT else "cannot be told from the mean activity"
            out.append(
                f"{model}: transfer here {is_only}{where}. Where cell types differ, how far its output for a cell lies from the mean over "
                f"cells ranks that cell’s loci with AUROC {said(own)}, and 0.5 is no skill."
            )
    return out


def sentence(held: Beside, strict: Beside | None) -> str:
    """Whether a model's transfer is better than mean activity, and whether it tells cells apart, in words."""
    skill, known, gap = (mean(held, kind) for kind in ("mean-of-others", "mean-activity", "over-mean-activity"))
    if gap is None:
        return f"{held.model}: undefined; no cell type has both classes among the test windows."
    if not np.isfinite(gap["low"]):
        return f"{held.model}: too small to judge; AUROC {number(skill['value'])} for cell types by its outputs for others."
    word = "better than" if gap["low"] > 0 else "worse than" if gap["high"] < 0 else "not to be told from"
    told = (
        f"{held.model}: its outputs for other cell types rank a cell’s loci with mean AUROC {said(skill)}; the mean of what was measured "
        f"there in the other cell types has {number(known['value'])}, so transfer is {word} mean activity (difference {said(gap, True)})."
    )
    alone = None if strict is None else mean(strict, "mean-of-others")
    if alone is not None:
        held_out = ", ".join(strict.about["held_out"])
        told += f" Trained without any label of {held_out}, at loci that are held out too, it has {said(alone)} for them."
    found = apart(held)
    for where, own, _ in found:
        ending = "it tells cell types apart" if own["low"] > NO_SKILL else "cell-specific skill is not shown"
        told += f" Where cell types differ{where}, its deviation from the mean ranks loci with AUROC {said(own)} (no skill: 0.5): {ending}."
    return told if found else f"{told} Too few loci differ between cell types to say whether it tells them apart."


def said(row: pd.Series, sign: bool = False) -> str:
    """A value with its interval."""
    return estimate(row["value"], row["low"], row["high"], sign)


def drawn(results: Results, held: Beside) -> dict:
    """AUROC of each pair of cell types, a panel a group."""
    panels = {one["label"]: square(held, one) for one in held.about["groups"][:SHOWN_GROUPS]}
    cut = f"; the first {SHOWN_GROUPS} of {len(held.about['groups'])} groups" if len(held.about["groups"]) > SHOWN_GROUPS else ""
    few = f"; the first {SHOWN_CELLS} cell types" if any(len(one["cells"]) > SHOWN_CELLS for one in held.about["groups"]) else ""
    alt = f"AUROC of {held.model} by the cell type trained on and the one tested on. " + "; ".join(
        f"{title}: {number(np.nanmean(np.diag(one)))} on average for the cell type itself, {number(np.nanmean(off(one)))} for others"
        for title, one in panels.items()
        if np.isfinite(np.diag(one)).any() and np.isfinite(off(one)).any()
    )
    caption = (
        f"{results.label(held.model)}: its output for one cell type (row) judged by the labels of another (column), AUROC on the test "
        f"windows, a panel an assay{cut}{few}. Framed: each cell type by its own output. A column that is the same from top to bottom "
        "means that the output is the same for all cell types."
    )
    svg = matrices(panels, name=f"transfer-{held.dataset}-{held.model}", alt=alt)
    return figure(svg, caption, remake([held.path]))


def square(held: Beside, group: dict) -> pd.DataFrame:
    """AUROC of a group, rows the cell type trained on, columns the one tested on."""
    names = group["cells"][:SHOWN_CELLS]
    rows = pick(held.table, assay=group["assay"], target=group["target"], metric="auroc", subset="all")
    rows = rows[rows["kind"].isin(["pair", "same-cell"]) & (rows["tested_on"] != "")]
    return rows.pivot(index="trained_on", columns="tested_on", values="value").reindex(index=names, columns=names)


def off(values: pd.DataFrame) -> np.ndarray:
    """What is not on the diagonal."""
    return values.to_numpy()[~np.eye(len(values), dtype=bool)]


def cells(results: Results, some: list[Beside], metric: str) -> dict:
    """One row a group, cell type tested on and model: references beside the model's."""
    rows = []
    for group in some[0].about["groups"]:
        for tested in (*group["cells"], ""):
            for held in some:
                at = pick(held.table, assay=group["assay"], target=group["target"], tested_on=tested)
                mine = pick(at[at["kind"] != "pair"], metric=metric).set_index("kind")
                if len(mine):
                    rows.append(row(results, held, group, tested, mine, at, metric))
    name = METRICS[metric]
    columns = ["assay", "tested on", "model", "labels in training", *(f"{said}, {name} [95\u00a0%]" for said in KINDS.values()),
               f"deviation from the mean, {name} where cells differ [95\u00a0%]"]  # fmt: skip
    columns += ["deviation, Pearson [95\u00a0%]"] if metric == "auroc" else ["prevalence", "prevalence where cells differ"]
    caption = f"Transfer to each cell type, {name}: outputs beside what measured labels of other cell types say of the same windows"
    return table(
        caption, [*columns, "windows", "positives", "of them windows where cells differ"], rows, remake([one.path for one in some])
    )


def row(results: Results, held: Beside, group: dict, tested: str, mine: pd.DataFrame, at: pd.DataFrame, metric: str) -> list[dict]:
    """A row of ``cells``."""

    def value(one: pd.Series, detail: str = "") -> dict:
        text = said(one, one.name == "over-mean-activity") if np.isfinite(one["value"]) else "undefined"
        return cell(one["value"], text, detail=" ".join(filter(None, [detail, one["verdict"] if np.isfinite(one["value"]) else ""])))

    near = {kind: mine.at[kind, "trained_on"] if kind in mine.index else "" for kind in ("nearest-output", "nearest-cell")}
    found = [value(mine.loc[kind], near.get(kind, "")) if kind in mine.index else cell(np.nan) for kind in KINDS]
    away = value(mine.loc["deviation"]) if "deviation" in mine.index else cell(np.nan)
    follows = pick(at, kind="deviation", metric="pearson")
    first = mine.loc["mean-of-others"]
    differs = mine.loc["deviation"] if "deviation" in mine.index else None
    if metric == "auroc":
        more = [value(follows.iloc[0]) if len(follows) else cell(np.nan)]
    else:
        more = [cell(first["prevalence"]), cell(np.nan if differs is None else differs["prevalence"])]
    counts = [cell(float(first[name]), digits=0) for name in ("n", "positives")]
    label = words(*results.label(held.model).split(" · ", 1))
    taught = words("all" if first["seen"] else "not of this cell type")
    varying = cell(np.nan if differs is None else float(differs["n"]), digits=0)
    return [words(group["label"]), words(tested or "mean over cell types"), label, taught, *found, away, *more, *counts, varying]


def notes(held: dict[str, Beside]) -> list[str]:
    """How many loci vary, and what was left out."""
    about = next(iter(held.values())).about
    varying = "; ".join(
        f"{one['label']} {one['varying']:,} of {one['windows']:,} ({one['varying'] / max(one['windows'], 1):.1%}) in "
        f"{len(one['cells'])} cell types"
        for one in about["groups"]
    )
    out = [f"Test windows that are positive in some cell type and negative in another: {varying}."]
    return out + [f"Left out, {label}: {why}." for label, why in about["left_out"].items()]
