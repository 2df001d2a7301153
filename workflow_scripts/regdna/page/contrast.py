"""The page of two studies side by side: what changed from the older to the newer, model by model."""

import numpy as np
import pandas as pd

from regdna import plots
from regdna.assess import MEAN
from regdna.contrast import BEST, SAME, Finished
from regdna.page.results import pick
from regdna.page.template import engine
from regdna.page.text import cell, detectable, estimate, number, table, words
from regdna.paired import Judged

SHOWN = 200  # targets, those that differ most
WORDS = {"better": "better", "worse": "worse", "equivalent": "equivalent", "cannot tell": "not to be told apart",
         "too small to judge": "too small to judge"}  # fmt: skip
AGAINST = {"better": "better than", "worse": "worse than", "equivalent": "equivalent to", "cannot tell": "not to be told apart from"}


def render(old: Finished, new: Finished, results: dict[str, tuple[list[Judged], list[Judged], pd.DataFrame]], margin: float) -> str:
    """The whole page as HTML; the same results give the same text.

    Args:
        results: of each dataset that both have: results of the old, of the new, and ``regdna.contrast.contrast`` of them.
        margin: differences no larger than this are of no practical matter.
    """
    target = f"snakemake --config studies={old.root.name},{new.root.name} -- compare"
    return (
        engine()
        .get_template("compare.html.j2")
        .render(
            old=old.root.name,
            new=new.root.name,
            palette=plots.PALETTE,
            datasets=[dataset(name, old, new, *found, target) for name, found in results.items()],
            alone=[(name, old.root.name if name in old.digests else new.root.name) for name in sorted(set(old.digests) ^ set(new.digests))],
            margin=margin,
            target=target,
            invocation="snakemake",
        )
    )


def dataset(name: str, old: Finished, new: Finished, before: list[Judged], after: list[Judged], found: pd.DataFrame, target: str) -> dict:
    """What the page shows of one dataset."""
    means = found[(found["target"] == MEAN)]
    values = {kind: {one.model: value_of(one) for one in some} for kind, some in ((old.root.name, before), (new.root.name, after))}
    tables = [pairs(old.root.name, new.root.name, values, means, target)] if len(means) else []
    single = [(kind, model) for kind in values for model in values[kind] if any(model not in other for other in values.values())]
    if single:
        tables.append(alone(values, single, target))
    return {
        "id": name,
        "digest": old.digests[name],
        "headline": headline(old.root.name, new.root.name, pick(means, metric="auroc")),
        "sentences": sentences(old.root.name, new.root.name, pick(means, metric="auroc")),
        "tables": tables,
        "targets": targets(new.root.name, found, target),
    }


def value_of(one: Judged) -> dict[str, pd.Series]:
    """Rows of the mean over targets of one model, by metric."""
    return {row["metric"]: row for _, row in pick(one.table, target=MEAN).iterrows()}


def headline(old: str, new: str, means: pd.DataFrame) -> str:
    """What changed, in one line."""
    same = pick(means, pair=SAME)
    if not len(same):
        return f"No model is in both {old} and {new}."
    named = {word: list(same.loc[same["verdict"] == word, "model"]) for word in WORDS}
    said = [f"{', '.join(models)} {'is' if len(models) == 1 else 'are'} {WORDS[word]}" for word, models in named.items() if models]
    return f"In {new} against {old}: {'; '.join(said)}."


def sentences(old: str, new: str, means: pd.DataFrame) -> list[str]:
    """The best of each study against the other, and the largest change."""
    out = []
    for row in pick(means, pair=BEST).itertuples():
        gap = estimate(row.difference, row.low, row.high, True)
        judged = f"is {AGAINST[row.verdict]}" if row.verdict in AGAINST else "cannot be judged on so little data against"
        out.append(
            f"By its validation part the best of {new} is {row.model}. It {judged} the best of {old}, {row.against} "
            f"(difference in mean AUROC {gap})."
        )
    same = pick(means, pair=SAME)
    if len(same):
        most = same.loc[same["difference"].abs().idxmax()]
        gap = number(most["difference"], 4, True)
        out.append(f"The largest change of a model that both have is that of {most['model']}: {gap} in mean AUROC.")
    return out


def pairs(old: str, new: str, values: dict[str, dict], means: pd.DataFrame, target: str) -> dict:
    """One row a pair: skill in both studies, difference, verdict."""
    at = means.set_index(["metric", "pair", "model", "against"])
    rows = []
    for pair, model, against in dict.fromkeys(means[["pair", "model", "against"]].itertuples(index=False, name=None)):
        row = [words(model, "" if pair == SAME else f"against {against} in {old}, {pair}")]
        for metric in ("auroc", "average_precision"):
            for one in (values[old][against][metric], values[new][model][metric]):
                row.append(cell(one["value"], estimate(one["value"], one["low"], one["high"])))
            if (metric, pair, model, against) not in at.index:
                row += [cell(np.nan, "undefined"), words("undefined"), *([cell(np.nan)] if metric == "auroc" else [])]
                continue
            gap = at.loc[(metric, pair, model, against)]
            row += [cell(gap.difference, estimate(gap.difference, gap.low, gap.high, True)), words(gap.verdict)]
            if metric == "auroc":
                row.append(detectable(gap.smallest_detectable))
        rows.append(row)
    columns = [f"model in {new}", f"AUROC in {old} [95\u00a0%]", f"AUROC in {new} [95\u00a0%]",
               "AUROC difference [95\u00a0%]", f"{new} is, on AUROC", "smallest detectable", f"AP in {old} [95\u00a0%]",
               f"AP in {new} [95\u00a0%]", "AP difference [95\u00a0%]", f"{new} is, on AP"]  # fmt: skip
    return table(f"Means over targets, test part: {new} minus {old}, same resamples", columns, rows, target)


def alone(values: dict[str, dict], single: list[tuple[str, str]], target: str) -> dict:
    """One row a model that one study alone has."""
    rows = []
    for study, model in single:
        shown = [cell(one["value"], estimate(one["value"], one["low"], one["high"])) for metric in ("auroc", "average_precision")
                 if (one := values[study][model].get(metric)) is not None]  # fmt: skip
        rows.append([words(model), words(study), *shown])
    return table("Models of one study alone", ["model", "study", "mean AUROC [95\u00a0%]", "mean AP [95\u00a0%]"], rows, target)


def targets(new: str, found: pd.DataFrame, target: str) -> dict | None:
    """One row a model and target that differ most in AUROC; None where there is but one target, which the means tell."""
    single = found[(found["target"] >= 0) & (found["metric"] == "auroc") & (found["pair"] == SAME)]
    if single["target"].nunique() < 2:
        return None
    shown = single.reindex(single["difference"].abs().sort_values(ascending=False, kind="stable").index[:SHOWN])
    rows = [
        [words(row.name), words(row.model), cell(row.difference, estimate(row.difference, row.low, row.high, True)), cell(row.q),
         words(row.verdict)]
        for row in shown.rename_axis("at").reset_index().itertuples(index=False)
    ]  # fmt: skip
    cut = f"; the {len(shown)} of {len(single)} that differ most" if len(shown) < len(single) else ""
    columns = ["target", "model", "AUROC difference [95\u00a0%]", "q (false discovery rate)", f"{new} is"]
    return table(f"Each target and model of both{cut}", columns, rows, target)
