"""Published results beside ours: what they are, where they stand, and why most of them may not be compared."""

import numpy as np
import pandas as pd

from regdna.page.results import Results, pick
from regdna.page.text import cell, estimate, number, remake, table, words

METRICS = {"auroc": "AUROC", "average_precision": "AP", "mcc": "MCC"}


def show(results: Results, dataset: str) -> dict | None:
    """What the page shows of one dataset, for ``literature.html.j2``; None where it is no benchmark."""
    benchmark = results.study["datasets"][dataset].get("literature")
    if results.literature is None or not benchmark:
        return None
    rows = pick(results.literature, dataset=dataset)
    others = results.literature.attrs["without"][dataset]
    return {
        "benchmark": benchmark,
        "sentences": sentences(rows),
        "table": beside(results, dataset, rows) if len(rows) else None,
        "others": [f"{', '.join(told)} ({source})" for source, told in by_source(others).items()],
    }


def by_source(others: list[dict]) -> dict[str, list[str]]:
    """Published values of networks that are not here, in words, by the paper that they stand in."""
    found: dict[str, list[str]] = {}
    for one in others:
        unsure = ", not confirmed" if one["evidence"] == "not confirmed" else ""
        found.setdefault(one["source"], []).append(f"{one['model']}: {measure(one)} {number(one['value'])}{unsure}")
    return found


def measure(row: dict) -> str:
    """What a number is: a statistic of a metric over some targets, or that of the only one."""
    if row["targets"] == 1:
        return METRICS[row["metric"]]
    over = "targets" if row["group"] == "all" else f"{row['group']} targets"
    return f"{row['statistic']} {METRICS[row['metric']]} over {over}"


def sentences(rows: pd.DataFrame) -> list[str]:
    """How many rows may be compared, and what those say."""
    some = rows[rows["comparable"].astype(bool)]  # of no rows a parquet file knows no type
    pairs = f"Of {len(rows)} pairs of a model of ours and a published value {len(some)} may be compared."
    out = [pairs if len(rows) else "No model here is one of a paper."]
    for one in some.to_dict("records"):
        gap = estimate(one["difference"], one["low"] - one["published"], one["high"] - one["published"], True)
        sureness = "of which the interval is that of ours alone" if np.isfinite(one["low"]) else "ours is too small to judge"
        sure = " That number is not confirmed." if one["evidence"] == "not confirmed" else ""
        out.append(
            f"{one['model']}: {measure(one)} {estimate(one['value'], one['low'], one['high'])}, published {number(one['published'])} "
            f"({one['paper_model']}); the difference is {gap}, {sureness}.{sure}"
        )
    return out


def beside(results: Results, dataset: str, rows: pd.DataFrame) -> dict:
    """One row a model and published value; a difference is shown where the two may be compared."""
    out = []
    for one in rows.to_dict("records"):
        told = one["reasons"] if not one["comparable"] else "the same data, targets, statistic and network"
        out.append([
            words(results.label(one["model"])), words(one["paper_model"]), words(measure(one)),
            cell(one["value"], f"{estimate(one['value'], one['low'], one['high'])} {one['verdict']}".strip()),
            cell(one["published"], detail=one["evidence"]),
            cell(one["difference"] if one["comparable"] else np.nan, number(one["difference"], sign=True) if one["comparable"] else None),
            words("comparable" if one["comparable"] else "not comparable", told), words(one["remarks"]),
            words(one["split"], one["source"]),
        ])  # fmt: skip
    columns = ["model", "in the paper", "what", "ours [95\u00a0%]", "published", "difference", "verdict", "besides", "published split"]
    caption = "Published values beside ours. A small line below a verdict says why; below a published value, how sure the number is"
    return table(caption, columns, out, remake([f"{results.root}/literature.parquet"]))
