"""Agreement with DeepSEA's published weights on the page: what is compared first, then how far scores agree."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from regdna import plots
from regdna.page.results import Compared, pick
from regdna.page.text import cell, estimate, figure, number, remake, table, words

SHOWN = 40
AXES = {"diff": "|diff|", "log2_odds": "|log2 odds|"}


def show(some: list[Compared], looks: dict[str, plots.Series]) -> dict:
    """One set of variants of one dataset, every model of it: for ``agreement.html.j2``.

    Args:
        some: of one dataset and set.
        looks: look of each model.

    Returns:
        dataset, id, facts (term and text), tables, unmatched (a table) and figures; what would be empty is left out or None.
    """
    matched = [one for one in some if (one.table["what"] == "correlation").any()]
    return {
        "dataset": some[0].dataset,
        "id": some[0].name,
        "facts": facts(some),
        "tables": [groups(matched), targets(matched)] if matched else [],
        "unmatched": unmatched(some),
        "figures": [quantiles(matched, looks)] if matched else [],
    }


def facts(some: list[Compared]) -> list[tuple[str, str]]:
    """What is compared with what, and by which rules."""
    about = some[0].about
    source = about["source"]
    counts = "; ".join(
        f"{one.model}: {one.about['compared']:,} of {one.about['scored_by_both']:,} that both have scored, {one.about['blocks']:,} blocks"
        for one in some
    )
    return [
        ("Published", f"{source['source']} ({source['citation']}; {source['licence']}): another model, not a measurement"),
        ("Variants", counts),
        ("Windows", f"each model sees its own; the published one has the variant at index {about['index']}"),
        ("Targets", "of the same cell type and target, by letters and digits of their names; treatments must be the same"),
        ("Agreement", "is a positive correlation of logit or diff; intervals are 95 %, over blocks of 1 Mb"),
    ]


def groups(some: list[Compared]) -> dict:
    """One row a model and group of targets: medians over its matched targets."""
    rows = []
    for one in some:
        for group, mine in one.table[one.table["what"].isin(["correlation", "overlap"])].groupby("group", sort=False):
            row = [words(one.model), words(group), cell(float(mine["target"].nunique()), digits=0)]
            for score in ("logit", "diff"):
                for statistic in ("spearman", "pearson"):
                    row.append(cell(pick(mine, score=score, statistic=statistic)["value"].median()))
            tops = pick(mine, what="overlap").groupby("share")["value"].median()
            rows.append([*row, *(cell(level, f"{level:.0%}", detail=f"by chance {share:.0%}") for share, level in tops.items())])
    columns = ["model", "targets", "matched", "logit, Spearman", "logit, Pearson", "diff, Spearman", "diff, Pearson",
               "top 1\u00a0% in common", "top 5\u00a0% in common"]  # fmt: skip
    return table("Agreement with the published weights: medians over matched targets", columns, rows, remake([one.path for one in some]))


def targets(some: list[Compared]) -> dict:
    """One row a matched target and model, with intervals."""
    rows, cut = [], ""
    for one in some:
        found = one.table[one.table["what"].isin(["correlation", "overlap"])]
        names = list(dict.fromkeys(found["target"]))
        if len(names) > SHOWN:
            cut = f"; of each model the first {SHOWN} targets in the dataset's order, all others are in the file"
        for target in names[:SHOWN]:
            mine = pick(found, target=target)
            first = mine.iloc[0]
            row = [words(first["name"]), words(one.model), words(first["published_name"], f"{first['group']}, number {first['published']}")]
            for score in ("logit", "diff"):
                for statistic in ("spearman", "pearson"):
                    row.append(judged(pick(mine, score=score, statistic=statistic).iloc[0]))
            row += [cell(level, f"{level:.0%}") for level in pick(mine, what="overlap")["value"]]
            rows.append([*row, words(first["verdict"])])
    columns = ["target", "model", "published target", "logit, Spearman [95\u00a0%]", "logit, Pearson [95\u00a0%]",
               "diff, Spearman [95\u00a0%]", "diff, Pearson [95\u00a0%]", "top 1\u00a0% in common", "top 5\u00a0% in common",
               "verdict"]  # fmt: skip
    return table(f"Agreement by target{cut}", columns, rows, remake([one.path for one in some]))


def judged(row: pd.Series) -> dict:
    """A correlation with its interval, or that it is undefined."""
    return cell(row["value"], estimate(row["value"], row["low"], row["high"]) if np.isfinite(row["value"]) else "undefined")


def unmatched(some: list[Compared]) -> dict | None:
    """One row a reason for which targets have no published one; None where all have."""
    rows = []
    for one in some:
        for reason, mine in pick(one.table, what="unmatched").groupby("verdict", sort=False):
            names = list(mine["name"])
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            rows.append([words(one.model), words(reason), cell(float(len(names)), digits=0), words(", ".join(names[:SHOWN]) + more)])
    if not rows:
        return None
    return table("Targets without a published one", ["model", "why", "targets", "which"], rows, remake([one.path for one in some]))


def quantiles(some: list[Compared], looks: dict[str, plots.Series]) -> dict:
    """Quantiles of a model's effect sizes against those of the published, by group of targets."""
    points = pd.concat([pick(one.table, what="quantile").assign(model=one.model) for one in some], ignore_index=True)
    last = points[points["score"] == "log2_odds"].groupby(["model", "group"], sort=False).last()
    alt = "Largest |log2 odds|, model against published: " + ", ".join(
        f"{model} {group} {number(row.value, 2)} and {number(row.against, 2)}" for (model, group), row in last.iterrows()
    )
    caption = (
        "Quantiles of effect sizes over the same variants and the matched targets of a group, the model’s against the published. On the "
        "dashed line both are as large; ranks may still differ."
    )
    svg = paint(points, looks, name=f"agreement-{some[0].dataset}-{some[0].name}", alt=alt)
    return figure(svg, caption, remake([one.path for one in some]))


@plots.as_svg
def paint(points: pd.DataFrame, looks: dict[str, plots.Series]) -> Figure:
    """One column a group of targets, |diff| above |log2 odds|, a line a model; both axes logarithmic.

    Args:
        points: model, group, score, value (the model's), against (the published).
    """
    names = list(dict.fromkeys(points["group"]))
    drawn = Figure((plots.WIDTH * max(len(names), 2) / plots.COLUMNS, 5.4), layout="constrained")
    grid = drawn.subplots(len(AXES), len(names), squeeze=False)
    for line, (score, label) in zip(grid, AXES.items(), strict=True):
        for axes, group in zip(line, names, strict=True):
            mine = pick(points, score=score, group=group)
            mine = mine[(mine["value"] > 0) & (mine["against"] > 0)]
            for model, one in mine.groupby("model", sort=False):
                look = looks[model]
                axes.plot(one["against"], one["value"], color=look.colour, linestyle=look.dash, linewidth=1.5, label=look.label)
            if len(mine):
                ends = [mine[["value", "against"]].min().min(), mine[["value", "against"]].max().max()]
                axes.plot(ends, ends, color=plots.SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
                axes.set(xscale="log", yscale="log")
            axes.set(title=f"{group}, {label}", box_aspect=1)
            axes.grid()
    drawn.supxlabel("published weights", fontsize=9)
    drawn.supylabel("model", fontsize=9)
    # A model may have targets of some groups alone.
    handles = {label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    drawn.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=3)
    return drawn
