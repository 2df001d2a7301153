"""On which windows a model's skill lies, how much of it row zero has too, and whether both strands say the same."""

import numpy as np
import pandas as pd

from regdna.page.answer import champions
from regdna.page.figures import files_of, looks
from regdna.page.results import Beside, Results, pick
from regdna.page.text import DASH, cell, estimate, figure, number, table, words
from regdna.plots.strata import strata as drawn

SHORTCUTS = {"composition": "composition", "position": "position alone"}  # architecture to what it stands for


def show(results: Results, dataset: str) -> dict | None:
    """What the page shows of one dataset, for ``strata.html.j2``; None where nothing was stratified."""
    strata, explained = (beside(results, dataset, kind) for kind in ("strata", "explained"))
    if not strata:
        return None
    rows = pd.concat([one.table.assign(model=model) for model, one in strata.items()], ignore_index=True)
    if rows.empty:
        return None
    known = rows[rows["value"].notna()]
    return {
        "figure": panels(results, dataset, known) if len(known) else None,
        "said": sentences(results, dataset, rows),
        "strata": strata_table(results, dataset, rows),
        "explained": explained_table(results, dataset, explained) if any(len(one.table) for one in explained.values()) else None,
        "strands": strands_table(results, dataset, strata),
    }


def beside(results: Results, dataset: str, kind: str) -> dict[str, Beside]:
    """Tables of a kind by model of a dataset, in the study's order."""
    found = {one.model: one for one in results.beside.get(kind, []) if one.dataset == dataset}
    return {model: found[model] for model in results.contenders(dataset) if model in found}


def panels(results: Results, dataset: str, rows: pd.DataFrame) -> dict:
    """Mean AUROC of every model in every stratum."""
    shown = pick(rows, metric="auroc")
    factors = list(dict.fromkeys(shown["factor"]))
    mine = {model: look for model, look in looks(results).items() if model in set(shown["model"])}
    alt = f"Mean AUROC of {', '.join(mine)} within strata of the test windows by {', '.join(factors)}"
    svg = drawn(shown, mine, name=f"strata-{dataset}", alt=alt)
    caption = (
        "Mean AUROC of each model on parts of the test windows, one panel for each property of a window; the number below a part is how "
        "many windows it has. Bars are 95 % intervals on the same resamples of blocks as everywhere; a hollow mark has none, since the "
        "part is too small. Dashed: chance."
    )
    return figure(svg, caption, files_of(results, dataset, list(mine), "strata.parquet"))


def sentences(results: Results, dataset: str, rows: pd.DataFrame) -> list[str]:
    """A sentence for each property that the skill of a family's best model depends on: its largest difference that is not 0."""
    out = []
    for model in champions(results, dataset).values():
        mine = pick(rows, model=model, metric="auroc")
        sure = mine[(mine["difference_low"] > 0) | (mine["difference_high"] < 0)]
        for factor, some in sure.groupby("factor", sort=False):
            one = some.loc[some["difference"].abs().idxmax()]
            more = "better" if one["difference"] > 0 else "worse"
            gap = estimate(one["difference"], one["difference_low"], one["difference_high"], True)
            out.append(
                f"{model} does {more} on windows with {factor} “{one['stratum']}” than with “{one['against']}”: its mean AUROC there is "
                f"{number(one['value'])}, a difference of {gap}."
            )
    return out


def strata_table(results: Results, dataset: str, rows: pd.DataFrame) -> dict:
    """One row a model and stratum: both metrics, and the difference to the factor's first stratum."""
    out = []
    at = rows.set_index(["model", "factor", "stratum", "metric"])
    for one in pick(rows, metric="auroc").itertuples():
        ap = at.loc[one.model, one.factor, one.stratum, "average_precision"]
        against = "the first that is large enough" if one.against == "" and one.verdict == "" else f"against {one.against}"
        out.append([
            words(results.label(one.model)), words(one.factor), words(one.stratum), cell(float(one.n), f"{one.n:,}"),
            cell(one.value, f"{estimate(one.value, one.low, one.high)} {one.verdict}".strip()),
            cell(ap.value, estimate(ap.value, ap.low, ap.high)), cell(one.prevalence), cell(float(one.targets), digits=0),
            cell(one.difference, estimate(one.difference, one.difference_low, one.difference_high, True),
                 detail="" if one.verdict else against),
        ])  # fmt: skip
    columns = ["model", "property", "windows with", "windows", "mean AUROC [95\u00a0%]", "mean AP [95\u00a0%]", "prevalence", "targets",
               "AUROC minus that of the first part [95\u00a0%]"]  # fmt: skip
    models = list(dict.fromkeys(rows["model"]))
    caption = "Skill on parts of the test windows, mean over targets and seeds. AP rises with prevalence, which differs between parts"
    return table(caption, columns, out, files_of(results, dataset, models, "strata.parquet"))


def explained_table(results: Results, dataset: str, explained: dict[str, Beside]) -> dict:
    """One row a model: how much of its skill above chance the best of row zero, composition and position have too."""
    out, named = [], {model: results.study["models"][model]["architecture"] for model in results.contenders(dataset)}
    shortcuts = {kind: said for kind, said in SHORTCUTS.items() if kind in named.values()}
    for model, one in explained.items():
        row = [words(results.label(model))]
        for metric in ("auroc", "average_precision"):
            some = pick(one.table, metric=metric)
            row += [share(some[some["best"]])]
            row += [share(some[(some["row_zero"].map(named) == kind).to_numpy(bool)]) for kind in shortcuts]
        out.append(row)
    kinds = ["the best of row zero", *shortcuts.values()]
    columns = ["model", *(f"{kind}, {metric}" for metric in ("AUROC", "AP") for kind in kinds)]
    caption = (
        "How much of each model’s skill above chance row zero has too. 100 % is as much or more; AUROC counts from 0.5, AP from the "
        "prevalence; 95 % intervals on the same resamples"
    )
    return table(caption, columns, out, files_of(results, dataset, list(explained), "explained.parquet"))


def share(some: pd.DataFrame) -> dict:
    """The cell of one share, or why there is none."""
    if not len(some):
        return cell(np.nan, DASH)
    one = some.iloc[0]
    if one["verdict"]:
        return cell(np.nan, DASH, detail=one["verdict"])
    span = f"[{one['low']:.0%}, {one['high']:.0%}]" if np.isfinite(one["low"]) else ""
    return cell(one["share"], f"{one['share']:.0%} {span}".rstrip(), detail=one["row_zero"])


def strands_table(results: Results, dataset: str, strata: dict[str, Beside]) -> dict:
    """One row a model: how its probabilities of a window agree with those of the reverse complement."""
    out = []
    for model, one in strata.items():
        said = one.about["strands"]
        found = [value for value in said["correlation"] if value is not None]
        lowest = cell(min(found)) if found else cell(np.nan, DASH)
        out.append([
            words(results.label(model)), cell(float(np.mean(found)) if found else np.nan), lowest,
            cell(float(np.mean(said["difference"])), digits=4),
        ])  # fmt: skip
    columns = ["model", "mean correlation", "lowest of a target", "mean difference of probabilities"]
    caption = (
        "Both strands of each test window, before they are averaged. Correlation of the two probabilities over windows, and how far "
        "they are apart, mean over targets and seeds"
    )
    return table(caption, columns, out, files_of(results, dataset, list(strata), "strata.parquet"))
