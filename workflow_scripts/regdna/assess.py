"""One model's results on one dataset: points, means, resamples and curves of every target."""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from regdna.bootstrap import draw_counts, interval, replicate, too_small
from regdna.intervals import count_separate
from regdna.metrics import METRICS
from regdna.targets import Targets

MEAN = -1  # as target: mean over targets; as seed: mean over seeds
POINTS = 150
NO_CURVES = pd.DataFrame(
    {"target": pd.Series(dtype=int), "curve": pd.Series(dtype=str), "x": pd.Series(dtype=float), "y": pd.Series(dtype=float)}
)


def of_target(target: int, known: np.ndarray | None) -> slice | np.ndarray:
    """The rows that say anything of a target: those whose label is known. What is not known counts nowhere.

    Args:
        known: bool (n, T), or None: all are.
    """
    return slice(None) if known is None else known[:, target]


def describe(frame: pd.DataFrame, labels: np.ndarray, targets: Targets, known: np.ndarray | None = None) -> list[dict]:
    """What stands beside a target's result: name, group, counts, prevalence, blocks, independent positives.

    Args:
        frame: block, chrom, start, end (0-based, half-open) of the part's windows.
        labels, known: of the same windows, bool (n, T); ``known`` is None where all are.
        targets: what the columns mean.
    """
    facts = []
    for target, row in enumerate(targets.table.itertuples()):
        seen = frame[of_target(target, known)]
        mine = frame[labels[:, target]]
        facts.append({
            "target": target, "name": targets.names[target], "group": row.assay, "n": len(seen), "positives": len(mine),
            "prevalence": len(mine) / len(seen) if len(seen) else np.nan, "blocks": int(seen["block"].nunique()),
            "independent_positives": count_separate(mine["chrom"], mine["start"], mine["end"]),
        })  # fmt: skip
    return facts


def judgeable(fact: dict) -> str:
    """Empty, or why a target's result carries no interval."""
    if fact["positives"] in (0, fact["n"]):
        return "undefined"
    return "too small to judge" if too_small(fact["blocks"], fact["independent_positives"]) else ""


def points(
    part: str, scores: np.ndarray, labels: np.ndarray, facts: list[dict], seeds: list[int], known: np.ndarray | None = None
) -> list[dict]:
    """Point values of every metric, target and seed, and their means over targets and seeds.

    Args:
        scores: (seeds, n, T).
        labels, known: bool (n, T); ``known`` is None where all are.
        facts: from ``describe``.
    """
    rows_of = [of_target(target, known) for target in range(labels.shape[1])]
    rows = []
    for metric, function in METRICS.items():
        values = np.array([[function(labels[at, target], one[at, target]) for target, at in enumerate(rows_of)] for one in scores])
        defined = ~np.isnan(values).any(0)
        mean = values[:, defined].mean(1) if defined.any() else np.full(len(seeds), np.nan)
        overall = whole(facts, defined, len(labels))
        for fact, column in [*zip(facts, values.T, strict=True), (overall, mean)]:
            for seed, value in [*zip(seeds, column, strict=True), (MEAN, column.mean())]:
                rows.append(
                    {"part": part, "metric": metric, "seed": seed, **fact, "value": value, "verdict": fact.get("verdict", judgeable(fact))}
                )
    out = pd.DataFrame(rows)
    average = out["metric"] == "average_precision"
    out["lift"] = np.where(average, out["value"] / out["prevalence"], np.nan)
    return out.to_dict("records")


def whole(facts: list[dict], defined: np.ndarray, windows: int) -> dict:
    """The facts of the mean over targets: as weak as the weakest of those that are defined; ``n`` is all windows of the part."""
    used = [fact for fact, good in zip(facts, defined, strict=True) if good]
    weakest = "undefined" if not used else next((judgeable(fact) for fact in used if judgeable(fact)), "")
    return {
        "target": MEAN,
        "name": f"mean of {len(used)} targets",
        "group": "all",
        "n": windows,
        "positives": sum(fact["positives"] for fact in used),
        "prevalence": float(np.mean([fact["prevalence"] for fact in used])) if used else np.nan,
        "blocks": min((fact["blocks"] for fact in used), default=facts[0]["blocks"]),
        "independent_positives": min((fact["independent_positives"] for fact in used), default=0),
        "verdict": weakest,
    }


def resample(
    frame: pd.DataFrame,
    labels: np.ndarray,
    scores: np.ndarray,
    facts: list[dict],
    digest: str,
    model: str,
    count: int,
    known: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Replicates of each metric, float64 (count, T + 1), over blocks and seeds; the last column is the mean over targets.

    Blocks are drawn alike for all models of one split (the key is its digest), seeds for each model by itself. They are drawn
    from all blocks of the part, also for a target of which some rows are not ``known`` (bool (n, T)): those weigh nothing.
    """
    weight = seed_weights(len(scores), count, f"{digest} {model}")
    block, names = pd.factorize(frame["block"])
    counts = draw_counts(len(names), count, digest)
    out = {metric: np.full((count, labels.shape[1] + 1), np.nan) for metric in METRICS}
    for target, fact in enumerate(facts):
        if judgeable(fact) == "undefined":
            continue
        at = of_target(target, known)
        each = np.array([replicate(labels[at, target], one[at, target].astype(np.float64), block[at], counts) for one in scores])
        for place, metric in enumerate(("auroc", "average_precision")):
            out[metric][:, target] = (each[:, place] * weight).sum(0)
    defined = [target for target, fact in enumerate(facts) if judgeable(fact) != "undefined"]
    for metric in METRICS:
        if defined:
            out[metric][:, -1] = out[metric][:, defined].mean(1)
    return out


def seed_weights(seeds: int, count: int, key: str) -> np.ndarray:
    """Weight of each seed in each replicate, float64 (seeds, count); columns sum to 1.

    Seeds are drawn with replacement. Few draws spread less than the seeds' own mean does, by (seeds - 1) / seeds in
    variance, so deviations from equal weights are stretched by the root of its inverse.
    """
    if seeds == 1:
        return np.ones((1, count))
    equal = np.full((seeds, count), 1 / seeds)
    return equal + np.sqrt(seeds / (seeds - 1)) * (draw_counts(seeds, count, key) / seeds - equal)


def add_intervals(result: pd.DataFrame, drawn: dict[str, np.ndarray]) -> None:
    """Add low and high (95 %) to the rows of the test part that are means over seeds and large enough to judge."""
    result["low"] = result["high"] = np.nan
    wanted = (result["part"] == "test") & (result["seed"] == MEAN) & (result["verdict"] == "")
    for row in result.index[wanted]:
        bounds = interval(drawn[result.at[row, "metric"]][:, result.at[row, "target"]])
        result.loc[row, ["low", "high"]] = bounds
        if np.isnan(bounds[0]):  # positives in so few blocks that many resamples draw none
            result.loc[row, "verdict"] = "too small to judge"


def curve_points(labels: np.ndarray, scores: np.ndarray, known: np.ndarray | None = None) -> pd.DataFrame:
    """ROC and precision-recall curves of every target of the first seed, over the rows known, thinned to at most 150 points each."""
    parts = []
    for target in range(labels.shape[1]):
        at = of_target(target, known)
        truth, odds = labels[at, target], scores[at, target]
        if truth.all() or not truth.any():
            continue
        fpr, tpr, _ = roc_curve(truth, odds)
        precision, recall, _ = precision_recall_curve(truth, odds)
        for curve, x, y in (("roc", fpr, tpr), ("pr", recall[::-1], precision[::-1])):
            # Even steps along x: even steps along the points would miss the steep start.
            keep = np.unique(np.r_[0, np.searchsorted(x, np.linspace(0, 1, POINTS)).clip(max=len(x) - 1)])
            parts.append(pd.DataFrame({"target": target, "curve": curve, "x": x[keep], "y": y[keep]}))
    return pd.concat([NO_CURVES, *parts], ignore_index=True)
