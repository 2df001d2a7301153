"""The figures of the page with their captions, from the tables and arrays of the results."""

import numpy as np

from regdna import plots
from regdna.page.results import Locus, Results, Variants
from regdna.page.text import figure, number, remake

SHOWN_CURVES = 8


def looks(results: Results) -> dict[str, plots.Series]:
    """The look of every model of the study."""
    return plots.series({model: (results.family(model), results.label(model), results.base(model)) for model in results.study["models"]})


def files_of(results: Results, dataset: str, models: list[str], file: str) -> str:
    """The command that makes a file of some models of a dataset."""
    return remake([f"{results.root}/{dataset}/{model}/{file}" for model in models])


def forest(results: Results, dataset: str, chosen: dict[str, str]) -> dict:
    """Mean AUROC of every model with its interval."""
    rows = results.mean(dataset).loc[results.ranked(dataset)].reset_index()
    beat = chosen.get("cnn")
    line = float(rows.set_index("model").at[beat, "value"]) if beat else None
    judged = np.isfinite(rows["low"]).any()
    means = (
        f"bars are 95 % intervals from {rows['replicates'].iloc[0]:,} resamples of whole blocks of the test part and of seeds" if judged
        else "hollow dots carry no interval: the test part is too small to give one"
    )  # fmt: skip
    controls = " Crosses: controls, in the colour of the model that they are of." if any(map(results.base, rows["model"])) else ""
    caption = f"Mean AUROC over targets and seeds; {means}.{' Dashed: the CNN to beat, ' + beat + '.' if beat else ''}{controls}"
    alt = "Mean AUROC of each model: " + ", ".join(f"{row.model} {number(row.value)}" for row in rows.itertuples())
    svg = plots.forest(rows, looks(results), line, name=f"forest-{dataset}", alt=alt)
    return figure(svg, caption, files_of(results, dataset, results.models(dataset), "metrics.parquet"))


def curves(results: Results, dataset: str) -> list[dict]:
    """ROC and precision-recall curves of each target."""
    targets, cut = results.targets(dataset, SHOWN_CURVES)
    points = results.curves[results.curves["dataset"] == dataset]
    shown = results.contenders(dataset)
    mine = {model: look for model, look in looks(results).items() if model in shown}
    without = " Controls are left out." if len(shown) < len(results.models(dataset)) else ""
    out = []
    for kind, title, chance in (("roc", "ROC", "chance"), ("pr", "Precision-recall", "chance, which is the prevalence")):
        alt = f"{title} curves of {', '.join(mine)} for {', '.join(targets['name'])}"
        svg = plots.curves(points, kind, targets, mine, name=f"{kind}-{dataset}", alt=alt)
        caption = f"{title} curves on the test part, one panel a target{cut}; first seed of each model. Dashed: {chance}.{without}"
        out.append(figure(svg, caption, files_of(results, dataset, shown, "curves.parquet")))
    return out


def locus(results: Results, some: list[Locus]) -> dict:
    """Logo and heat map of all models at one locus, for the target that it is named after, or else the likeliest."""
    about = some[0].about
    target, why = target_of(results.places.loc[about["locus"], about["assembly"]].title, some)
    name = about["targets"][target]
    look = looks(results)
    shown = [(look[one.model], one.drawn(target)) for one in some]
    place = f"{about['chrom']}:{about['start'] + 1:,}–{about['end']:,}"
    lost = "; row −: the base is deleted" if any(one.deletion is not None for one in some) else ""
    caption = (
        f"Target: {name}, {why}. Letters: minus the mean effect of a base's three "
        "substitutions, so tall letters are bases that raise the output. Below: effect of each substitution in log-odds, mutant minus "
        f"reference, strands averaged; blue lowers, orange raises, grey dots mark the reference{lost}. Each model has its own scale. "
        + " ".join(spread(one, target) for one in some)
    )
    alt = f"Effects of all substitutions at {place} on {name} by {', '.join(one.model for one in some)}"
    svg = plots.locus(shown, some[0].codes, about["start"], about["chrom"], name=f"locus-{some[0].dataset}-{about['locus']}", alt=alt)
    return figure(svg, caption, remake([one.path for one in some]))


def target_of(title: str, some: list[Locus]) -> tuple[int, str]:
    """The target to show at a locus, and why: the one whose name's first word is in the title, or else the likeliest."""
    words = title.lower().split()
    for target, name in enumerate(some[0].about["targets"]):
        if name.lower().split()[0] in words:
            return target, "which the locus is named after"
    return int(np.argmax(np.mean([one.reference for one in some], 0))), "the likeliest here by the models' mean log-odds"


def spread(one: Locus, target: int) -> str:
    """What a model makes of a locus, and how far its seeds agree, in one or two sentences."""
    odds, best = one.reference[target], int(np.argmax(one.reference))
    other = f"{one.about['targets'][best]}, {number(float(one.reference[best]), 2, True)}"
    likelier = "" if best == target else f" (likeliest to it is {other})"
    said = f"{one.model}: log-odds of the reference {number(float(odds), 2, True)}{likelier}"
    if len(one.about["seeds"]) < 2:
        return f"{said}; one seed, no spread."
    substituted = one.effect[:, :, target] != 0
    middle = float(np.nanmedian(one.spread[:, :, target][substituted])) if substituted.any() else float("nan")
    largest = float(np.nanmax(np.abs(one.effect[:, :, target])))
    return f"{said}; largest effect {number(largest, 2)}, median sd over {len(one.about['seeds'])} seeds {number(middle, 2)}."


def variants(results: Results, some: list[Variants]) -> dict:
    """How large the effects of a set of variants are by each model."""
    sizes = {one.model: one.table["logit"].abs().to_numpy() for one in some}
    medians = ", ".join(f"{model} {number(float(np.median(values)))}" for model, values in sizes.items() if len(values))
    caption = f"Share of the variants in {some[0].name} with an effect of at least x, at their most affected target. Medians: {medians}."
    alt = f"Distribution of |logit| over variants; medians: {medians}"
    svg = plots.effect_sizes(sizes, looks(results), name=f"variants-{some[0].dataset}-{some[0].name}", alt=alt)
    return figure(svg, caption, remake([one.path for one in some]))
