"""Scores held against measurement on the page: the rules first, then what came out."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from regdna import plots
from regdna.page.results import Compared, pick
from regdna.page.text import DASH, cell, estimate, figure, number, remake, table, words
from regdna.sources.variant_sets import DOUBT

TERMS = {
    "score": "Score", "target": "Target", "interval": "Interval", "ceiling": "Noise ceiling", "significant": "Significant",
    "replicate": "Replicates", "enrichment": "Enrichment",
}  # fmt: skip
SHOWN_UNMATCHED = 30


def show(some: list[Compared], looks: dict[str, plots.Series]) -> dict:
    """One set of variants of one dataset, judged by every model: for ``measured.html.j2``.

    Args:
        some: of one dataset and set, the same kind of measurement.
        looks: look of each model.

    Returns:
        dataset, id, kind, rules (term and text), notes (sentences), tables and figures; the last two empty where nothing can be shown.
    """
    kind = some[0].about["kind"]
    parts = {"effects": effects, "labels": labels}[kind](some, looks)
    rules = [(TERMS[name], text) for name, text in some[0].about["rules"].items()]
    return {
        "dataset": some[0].dataset,
        "id": some[0].name,
        "kind": kind,
        "rules": rules,
        **parts,
        "notes": [*counted(some), *parts["notes"]],
    }


def counted(some: list[Compared]) -> list[str]:
    """How many variants were judged, and which were not."""
    said = []
    for one in some:
        gone = listed(one.about.get("left_out", {}) | one.about["not_judged"])
        said.append((one.model, f"{one.about['used']:,} variants held against measurement. Left out: {gone}."))
    out = shared(said)
    doubtful = some[0].about.get("left_out", {}).get(DOUBT, 0)
    if doubtful:
        out.append(
            f"SORT1, chr1:109,817,590 of hg19 (rs12740374): {doubtful} rows are left out. The assay's construct seems to carry T there, "
            "not the reference's G, so that what was measured is relative to T."
        )
    return out


def shared(said: Iterable[tuple[str, str]]) -> list[str]:
    """What is said of models, once for all of whom it holds."""
    models: dict[str, list[str]] = {}
    for model, sentence in said:
        models.setdefault(sentence, []).append(model)
    return [f"{', '.join(some)}: {sentence}" for sentence, some in models.items()]


def listed(counts: dict[str, int]) -> str:
    """Counts by reason, those that are 0 left out."""
    return "; ".join(f"{reason} {count:,}" for reason, count in counts.items() if count) or "none"


def effects(some: list[Compared], looks: dict[str, plots.Series]) -> dict:
    """Correlations with effects of a reporter assay, and their ceilings."""
    titles = some[0].about.get("experiments", {})
    shown = pd.concat([one.table[one.table["headline"]].assign(model=one.model) for one in some], ignore_index=True)
    without, tables, figures = [], [], []
    for one in some:
        proxies = sorted(set(pick(one.table, match="no matching cell type")["experiment"]))
        if proxies:
            more = f" and {len(proxies) - SHOWN_UNMATCHED} more" if len(proxies) > SHOWN_UNMATCHED else ""
            named = f"no target of the cell type of {', '.join(proxies[:SHOWN_UNMATCHED])}{more}"
            without.append((one.model, f"{named}; what other targets make of them is in the file, and no result."))
    if len(shown):
        tables.append(correlations(some, shown, titles))
        figures.append(dots(some, shown, looks))
    bounds = ceilings(some, titles)
    return {"notes": shared(without), "tables": [*tables, *([bounds] if bounds else [])], "figures": figures}


def correlations(some: list[Compared], shown: pd.DataFrame, titles: dict[str, str]) -> dict:
    """One row an experiment and model: the results that were fixed beforehand."""
    rows = []
    order = {experiment: at for at, experiment in enumerate(dict.fromkeys(shown["experiment"]))}
    for (experiment, model), mine in sorted(shown.groupby(["experiment", "model"], sort=False), key=lambda one: order[one[0][0]]):
        at = mine.set_index(["edits", "statistic"])
        first = at.loc[("all", "spearman")]
        row = [words(experiment, titles.get(experiment, "")), words(model), words(first["name"], first["match"])]
        row += [value(at, "all", name) for name in ("spearman", "pearson")]
        row += [value(at, edits, "spearman") for edits in ("substitution", "deletion")]
        row += [bound(some, experiment, model), value(at, "all", "auroc", share=True)]
        rows.append([*row, cell(float(first["n"]), digits=0), cell(float(first["blocks"]), digits=0), words(first["verdict"])])
    columns = ["experiment", "model", "target", "Spearman [95\u00a0%]", "Pearson [95\u00a0%]", "substitutions alone, Spearman",
               "deletions alone, Spearman", "noise ceiling of Pearson", "AUROC of significant by |logit|", "variants", "blocks",
               "verdict"]  # fmt: skip
    caption = "Measured effects: correlation with the logit, sign +1, of the target fixed beforehand"
    return table(caption, columns, rows, remake([one.path for one in some]))


def value(at: pd.DataFrame, edits: str, statistic: str, share: bool = False) -> dict:
    """A statistic with its interval; of a ranking with its prevalence below."""
    if (edits, statistic) not in at.index:
        return cell(np.nan)
    one = at.loc[(edits, statistic)]
    detail = f"prevalence {number(one['prevalence'])}" if share else one["verdict"]
    return cell(one["value"], estimate(one["value"], one["low"], one["high"]) if np.isfinite(one["value"]) else "undefined", detail=detail)


def bound(some: list[Compared], experiment: str, model: str) -> dict:
    """The noise ceiling of an experiment on the variants that a model was judged by."""
    mine = next(one for one in some if one.model == model)
    found = pick(mine.table, experiment=experiment, edits="all", statistic="ceiling")["value"]
    return cell(found.iloc[0] if len(found) else np.nan)


def ceilings(some: list[Compared], titles: dict[str, str]) -> dict | None:
    """One row an experiment: what its barcodes and its replicates allow, on the variants that the first model was judged by."""
    held = some[0].table
    bounds = pick(held, edits="all").set_index(["experiment", "statistic"])
    rows = []
    for experiment in pick(held, statistic="reliability", edits="all")["experiment"]:
        pairs = pick(held, statistic="replicate_pearson")
        pairs = pairs[(pairs["experiment"] == experiment) | (pairs["name"] == experiment)]
        others = [
            (one.name if one.experiment == experiment else one.experiment, one.value, one.match) for one in pairs.itertuples(index=False)
        ]
        said = "; ".join(f"{other} {number(level)} ({match})" for other, level, match in others)
        share, top = bounds.loc[(experiment, "reliability")], bounds.loc[(experiment, "ceiling")]
        rows.append([words(experiment, titles.get(experiment, "")), cell(float(share["n"]), digits=0), cell(share["value"]),
                     cell(top["value"], None if np.isfinite(top["value"]) else "undefined"), words(said or DASH)])  # fmt: skip
    if not rows:
        return None
    caption = f"How far the assay agrees with itself, on the variants that {some[0].model} has scored"
    columns = [
        "experiment",
        "variants with a standard error",
        "reliability",
        "noise ceiling",
        "Pearson with other experiments on the element",
    ]
    return table(caption, columns, rows, remake([some[0].path]))


def dots(some: list[Compared], shown: pd.DataFrame, looks: dict[str, plots.Series]) -> dict:
    """Pearson's coefficient of each experiment and model with its interval; the noise ceiling as a line."""
    rows = pick(shown, edits="all", statistic="pearson")
    tops = pick(some[0].table, edits="all", statistic="ceiling").set_index("experiment")["value"]
    alt = "Pearson of logit with measured effect: " + ", ".join(
        f"{row.experiment} {row.model} {number(row.value)}" for row in rows.itertuples()
    )
    caption = (
        "Pearson’s coefficient of the logit with the measured effect. Bars: 95 % intervals over blocks; hollow: too small to judge. "
        "Short lines: the noise ceiling."
    )
    svg = paint(rows, tops.to_dict(), looks, name=f"measured-{some[0].dataset}-{some[0].name}", alt=alt)
    return figure(svg, caption, remake([one.path for one in some]))


@plots.as_svg
def paint(rows: pd.DataFrame, tops: dict[str, float], looks: dict[str, plots.Series]) -> Figure:
    """One line an experiment, a dot a model.

    Args:
        rows: experiment, model, value, low, high.
        tops: noise ceiling by experiment.
    """
    experiments, models = list(dict.fromkeys(rows["experiment"])), list(dict.fromkeys(rows["model"]))
    drawn = Figure((0.75 * plots.WIDTH, 1.2 + 0.32 * len(experiments) * max(1, 0.6 * len(models))), layout="constrained")
    axes = drawn.subplots()
    axes.axvline(0, color=plots.SOFT, linewidth=0.8)
    for row in rows.itertuples():
        place = experiments.index(row.experiment) + (models.index(row.model) - (len(models) - 1) / 2) * 0.7 / len(models)
        look, judged = looks[row.model], np.isfinite(row.low)
        if judged:
            axes.plot([row.low, row.high], [place, place], color=look.colour, linewidth=1.8, solid_capstyle="butt")
        fill = look.colour if judged else "none"
        axes.plot(row.value, place, look.marker, markersize=6, color=look.colour, markerfacecolor=fill, label=look.label)
    for at, experiment in enumerate(experiments):
        if np.isfinite(tops.get(experiment, np.nan)):
            axes.plot([tops[experiment]] * 2, [at - 0.4, at + 0.4], color=plots.INK, linewidth=1.2)
    axes.set_yticks(range(len(experiments)), experiments)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(experiments) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel("Pearson, logit against measured effect")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    drawn.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=3)
    return drawn


def labels(some: list[Compared], looks: dict[str, plots.Series]) -> dict:
    """Ranking and enrichment of labelled variants."""
    rows = []
    for one in some:
        for (group, score), mine in one.table.groupby(["group", "score"], sort=False):
            at = mine.set_index(["statistic", "share"])
            auroc, ap = (mine[mine["statistic"] == name].iloc[0] for name in ("auroc", "average_precision"))
            row = [words(one.model), words(group), words(score, auroc["match"]), judged(auroc), judged(ap), cell(ap["prevalence"])]
            row += [cell(ap["value"] / ap["prevalence"] if ap["prevalence"] else np.nan, digits=2)]
            row += [judged(at.loc[("odds_ratio", share)]) for share in (0.01, 0.1)]
            counts = [cell(float(auroc[name]), digits=0) for name in ("n", "positives", "blocks")]
            rows.append([*row, *counts, words(auroc["verdict"])])
    columns = ["model", "negatives", "score", "AUROC [95\u00a0%]", "AP [95\u00a0%]", "prevalence", "lift", "odds ratio of the top 1\u00a0%",
               "odds ratio of the top 10\u00a0%", "variants", "positives", "blocks", "verdict"]  # fmt: skip
    held = table("Labelled variants: how scores rank them", columns, rows, remake([one.path for one in some]))
    points = pd.concat([pick(one.table, statistic="odds_ratio", headline=True, group="all").assign(model=one.model) for one in some])
    points = points[np.isfinite(points["value"])]
    return {"notes": [], "tables": [held], "figures": [enrichment(some, points, looks)] if len(points) else []}


def judged(row: pd.Series) -> dict:
    """A value with its interval, or that it is undefined."""
    return cell(row["value"], estimate(row["value"], row["low"], row["high"]) if np.isfinite(row["value"]) else "undefined")


def enrichment(some: list[Compared], points: pd.DataFrame, looks: dict[str, plots.Series]) -> dict:
    """Odds ratio of positives by the share taken from the top."""
    alt = "Odds ratio of positives: " + ", ".join(f"{row.model} top {row.share:.0%} {number(row.value, 2)}" for row in points.itertuples())
    caption = (
        "Odds ratio of positives among the variants with the largest |logit| over targets against all others, all negatives. Bars: 95 % by "
        "Woolf, variants taken as independent; hollow: too small to judge. Dashed: no enrichment."
    )
    svg = paint_enrichment(points, looks, name=f"enrichment-{some[0].dataset}-{some[0].name}", alt=alt)
    return figure(svg, caption, remake([one.path for one in some]))


@plots.as_svg
def paint_enrichment(points: pd.DataFrame, looks: dict[str, plots.Series]) -> Figure:
    """Odds ratios (log scale) by share, a dot a model.

    Args:
        points: model, share, value, low, high.
    """
    drawn = Figure((0.65 * plots.WIDTH, 3), layout="constrained")
    axes = drawn.subplots()
    axes.axhline(1, color=plots.SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
    models, shares = list(dict.fromkeys(points["model"])), sorted(set(points["share"]))
    for row in points.itertuples():
        place = shares.index(row.share) + (models.index(row.model) - (len(models) - 1) / 2) * 0.5 / len(models)
        look, known = looks[row.model], np.isfinite(row.low)
        if known:
            axes.plot([place, place], [row.low, row.high], color=look.colour, linewidth=1.8, solid_capstyle="butt")
        fill = look.colour if known else "none"
        axes.plot(place, row.value, look.marker, markersize=6, color=look.colour, markerfacecolor=fill, label=look.label)
    axes.set_xticks(range(len(shares)), [f"top {share:.0%}" for share in shares])
    axes.set(yscale="log", ylabel="odds ratio")
    axes.grid(axis="y")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    drawn.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=3)
    return drawn
