"""One model's results on one dataset: values of every target and average, their resamples, and curves."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from regdna.bootstrap import (
    Seeds,
    accelerated,
    acceleration,
    draw_counts,
    influence,
    interval,
    replicate,
    resampled,
    too_small,
    with_seeds,
)
from regdna.delong import mean_interval
from regdna.intervals import count_separate
from regdna.metrics import BINS, RANKING, TALLIED, TALLIES, best_threshold, from_tally, mcc, pooled, ranking, softened, tally, temperature
from regdna.targets import Targets

MEAN = -1  # as target: the mean over all targets; as seed: the mean over seeds
LOWEST = {"mcc": -1.0}  # value that a metric can have; of the others 0
DRAWN = (*RANKING, "mcc", "brier")  # the metrics that are resampled; a calibration error is biased upwards in every resample
POINTS = 150
MISSED = 0.05  # share of resamples that may lack a class, and of an average's targets that one resample may leave without
NO_CURVES = pd.DataFrame(
    {"target": pd.Series(dtype=int), "curve": pd.Series(dtype=str), "x": pd.Series(dtype=float), "y": pd.Series(dtype=float),
     "windows": pd.Series(dtype=float)}
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A part of a dataset with what a model says of it.

    Attributes:
        frame: block, chrom, start, end (0-based, half-open) of its windows.
        labels, known: bool (n, T); ``known`` is None where all are.
        scores: probabilities of every seed, each float32 (n, T).
        exclusive: the targets are classes of which each window has one.
    """

    frame: pd.DataFrame
    labels: np.ndarray
    known: np.ndarray | None
    scores: list[np.ndarray]
    exclusive: bool = False

    def rows(self, target: int) -> slice | np.ndarray:
        """The rows that say anything of a target: those whose label is known. What is not known counts nowhere."""
        return slice(None) if self.known is None else self.known[:, target]


@dataclass(frozen=True)
class Decided:
    """What validation windows decide of a model.

    Attributes:
        thresholds: from which on a window is called positive, float (seeds, T); NaN where validation has one class.
        temperatures: of every seed.
    """

    thresholds: np.ndarray
    temperatures: list[float]


def each(count: int, work: Callable[[int], object], threads: int) -> list:
    """What ``work`` gives for every target, in order; sorts and sweeps let other threads run."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))


def decide(part: Part, threads: int = 1) -> Decided:
    """Thresholds of the highest MCC and temperatures of the highest likelihood."""

    def thresholds(target: int) -> list[float]:
        at = part.rows(target)
        return [best_threshold(part.labels[at, target], np.ascontiguousarray(one[at, target])) for one in part.scores]

    found = each(part.labels.shape[1], thresholds, threads)
    heat = [temperature(part.labels, one, part.known, part.exclusive) for one in part.scores]
    return Decided(np.array(found).reshape(-1, len(part.scores)).T, heat)


def describe(part: Part, targets: Targets) -> list[dict]:
    """What stands beside a target's result: name, group, counts, prevalence, blocks, independent positives."""
    facts = []
    for target, row in enumerate(targets.table.itertuples()):
        seen = part.frame[part.rows(target)]
        mine = part.frame[part.labels[:, target]]
        facts.append({
            "target": target, "average": "", "name": targets.names[target], "group": row.assay, "n": len(seen), "positives": len(mine),
            "prevalence": len(mine) / len(seen) if len(seen) else np.nan, "blocks": int(seen["block"].nunique()),
            "independent_positives": count_separate(mine["chrom"], mine["start"], mine["end"]),
        })  # fmt: skip
    return facts


def judgeable(fact: dict) -> str:
    """Empty, or why a target's result carries no interval."""
    if fact["positives"] in (0, fact["n"]):
        return "undefined"
    # The rarer class decides: as little is known from twenty negatives as from twenty positives.
    rarer = min(fact["independent_positives"], fact["n"] - fact["positives"])
    return "too small to judge" if too_small(fact["blocks"], rarer) else ""


def averages(facts: list[dict]) -> list[dict]:
    """The averages over targets that a dataset has, each with its facts and its ``members``: of all targets, and of each group.

    ``macro``: every target counts alike. ``weighted``: as it has positives. ``micro``: all windows and targets in one ranking. The macro
    average of all is target -1, the others go down from there. Targets of one class are undefined: no members, and counted.
    """
    groups: dict[str, list[dict]] = {}
    for fact in facts:
        groups.setdefault(fact["group"] or "no assay", []).append(fact)
    out = []
    # One group is all targets again.
    for group, some in [("all", facts), *(groups.items() if len(groups) > 1 else ())]:
        used = [fact for fact in some if judgeable(fact) != "undefined"]
        # ASSUME: an average is judged where the middle one of its targets can be.
        small = {key: int(np.median([fact[key] for fact in used])) if used else 0 for key in ("blocks", "independent_positives")}
        rarer = (small["independent_positives"], np.median([fact["n"] - fact["positives"] for fact in used]) if used else 0)
        for average in ("macro", "weighted", "micro"):
            weight = np.array([fact["positives"] for fact in used] if average == "weighted" else [1] * len(used), float)
            out.append({
                "target": MEAN - len(out), "average": average, "group": group,
                "name": f"{average} mean of {len(used)} {group + ' ' if group != 'all' else ''}target{'' if len(used) == 1 else 's'}",
                "n": max((fact["n"] for fact in used), default=0), "positives": sum(fact["positives"] for fact in used),
                "prevalence": float(np.average([fact["prevalence"] for fact in used], weights=weight)) if used else np.nan, **small,
                "undefined": len(some) - len(used),
                "verdict": ("too small to judge" if too_small(small["blocks"], min(rarer)) else "") if used else "undefined",
                "members": [fact["target"] for fact in used], "weights": weight / weight.sum() if used else weight,
            })  # fmt: skip
    return out


def points(part: Part, facts: list[dict], decided: Decided, threads: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values of every metric, float64 (seeds, T + averages) each, and what reliability curves are drawn from.

    Returns:
        values by metric, the averages behind the targets; and the tallies of every seed and target, float64 (seeds, T, TALLIES).
    """
    seeds, count = len(part.scores), len(facts)
    whole = averages(facts)
    values = {metric: np.full((seeds, count + len(whole)), np.nan) for metric in (*RANKING, *TALLIED)}
    # Where targets exclude each other a temperature moves them together; else each by itself, which holds one at a time in memory.
    joint = [softened(one, heat, True) for one, heat in zip(part.scores, decided.temperatures, strict=True)] if part.exclusive else None

    def of_target(target: int) -> np.ndarray:
        out = np.zeros((seeds, TALLIES))
        at = part.rows(target)
        for seed, one in enumerate(part.scores if judgeable(facts[target]) != "undefined" else ()):
            truth, score = part.labels[at, target], np.ascontiguousarray(one[at, target])
            values["auroc"][seed, target], values["average_precision"][seed, target] = ranking(truth, score)
            warm = joint[seed][at, target] if part.exclusive else softened(score, decided.temperatures[seed], False)
            out[seed] = tally(truth, score, warm, decided.thresholds[seed, target])
        return out

    tallies = np.array(each(count, of_target, threads)).reshape(count, seeds, TALLIES).swapaxes(0, 1)
    for at, fact in enumerate([*facts, *whole]):
        if fact.get("verdict", judgeable(fact)) == "undefined":
            continue
        members = fact.get("members", [fact["target"]])
        for seed in range(seeds):
            if fact["average"] in ("", "micro"):
                for metric, value in from_tally(tallies[seed, members].sum(0)).items():
                    values[metric][seed, at] = value
                if np.isnan(decided.thresholds[seed, members]).any():
                    values["mcc"][seed, at] = np.nan
            if fact["average"] == "micro":
                both = pooled(part.labels, part.scores[seed], part.known, members)
                values["auroc"][seed, at], values["average_precision"][seed, at] = both
            elif fact["average"]:
                for metric in values:
                    values[metric][seed, at] = values[metric][seed, members] @ fact["weights"]
    return values, tallies


def table(part: str, values: dict[str, np.ndarray], facts: list[dict], seeds: Sequence[int]) -> pd.DataFrame:
    """A row a metric, target or average, and seed, and the mean over seeds. MCC is undefined where validation gives no threshold.

    Args:
        values: from ``points``.
        facts: from ``describe``; averages are put behind them.
    """
    rows = []
    for metric, value in values.items():
        for fact, column in zip([*facts, *averages(facts)], value.T, strict=True):
            said = {key: one for key, one in fact.items() if key not in ("members", "weights")}
            said["verdict"] = "undefined" if np.isnan(column).any() else fact.get("verdict", judgeable(fact))
            rows += [{"part": part, "metric": metric, "seed": seed, **said, "value": one}
                     for seed, one in [*zip(seeds, column, strict=True), (MEAN, column.mean())]]  # fmt: skip
    out = pd.DataFrame(rows)
    out["lift"] = np.where(out["metric"] == "average_precision", out["value"] / out["prevalence"], np.nan)
    return out


@dataclass(frozen=True)
class Drawn:
    """Replicates over blocks; columns are targets, then averages, of which micro ones have none.

    Attributes:
        by_seed: of each metric, float64 (seeds, count, columns).
        skew: acceleration of BCa intervals of AUROC and average precision, float64 (columns,) each.
    """

    by_seed: dict[str, np.ndarray]
    skew: dict[str, np.ndarray]

    def mean(self, metric: str) -> np.ndarray:
        """Over seeds, float64 (count, columns)."""
        return self.by_seed[metric].mean(0)

    def seeds(self, metric: str, values: np.ndarray, key: str) -> Seeds:
        """What the mean owes to which seeds there were.

        Args:
            values: of the seeds, float64 (seeds, columns).
        """
        return Seeds.of(key, values, self.by_seed[metric])


def resample(part: Part, facts: list[dict], decided: Decided, digest: str, count: int, threads: int = 1) -> Drawn:
    """Replicates of each metric that is resampled, for every seed.

    Blocks are drawn alike for all models of one split (the key is its digest). They are drawn
    from all blocks of the part, also for a target of which some rows are not known: those weigh nothing.
    """
    block, names = pd.factorize(part.frame["block"])
    counts = draw_counts(len(names), count, digest)
    whole = averages(facts)
    columns, number = len(facts) + len(whole), len(part.scores)
    drawn = {metric: np.full((number, count, columns), np.nan) for metric in DRAWN}
    skew = {metric: np.full(columns, np.nan) for metric in RANKING}
    pull = {metric: np.zeros((len(whole), len(names))) for metric in RANKING}

    def of_target(target: int) -> dict[str, np.ndarray]:
        moved = {metric: np.zeros(len(names)) for metric in RANKING}
        if judgeable(facts[target]) == "undefined":
            return moved
        at = part.rows(target)
        truth, mine = part.labels[at, target], block[at]
        for seed, (one, threshold) in enumerate(zip(part.scores, decided.thresholds[:, target], strict=True)):
            score = np.ascontiguousarray(one[at, target])
            some, change = replicate(truth, score, mine, counts), influence(truth, score, mine, len(names))
            for metric, values, pulled in zip(RANKING, some, change, strict=True):
                drawn[metric][seed, :, target] = values
                moved[metric] += pulled / number
            called, error = score >= threshold, (truth - score.astype(np.float64)) ** 2
            parts = (truth & called, ~truth & called, truth & ~called, ~truth & ~called, error)
            sums = resampled(np.stack([np.bincount(mine, some, len(names)) for some in parts], 1), counts)
            with np.errstate(invalid="ignore"):  # nothing of the target is drawn: no Brier score
                drawn["brier"][seed, :, target] = sums[:, 4] / sums[:, :4].sum(1)
            lost = np.isnan(some[0]) | np.isnan(threshold)
            drawn["mcc"][seed, :, target] = np.where(lost, np.nan, mcc(*sums[:, :4].T))
        return moved

    for target, moved in enumerate(each(len(facts), of_target, threads)):
        for metric in RANKING:
            skew[metric][target] = acceleration(moved[metric])
            for at, fact in enumerate(whole):
                if target in fact["members"]:
                    pull[metric][at] += fact["weights"][fact["members"].index(target)] * moved[metric]
    for at, fact in enumerate(whole, len(facts)):
        if fact["members"] and fact["average"] != "micro":
            for metric in DRAWN:
                drawn[metric][:, :, at] = mean_of(drawn[metric][:, :, fact["members"]], fact["weights"])
            for metric in RANKING:
                skew[metric][at] = acceleration(pull[metric][at - len(facts)])
    return Drawn(drawn, skew)


def mean_of(replicates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the last axis, targets; NaN where a resample leaves more than one of them in twenty undefined."""
    good = ~np.isnan(replicates)
    with np.errstate(invalid="ignore"):
        mean = (np.where(good, replicates, 0) @ weights) / (good @ weights)
    return np.where((~good).mean(-1) <= MISSED, mean, np.nan)


def add_intervals(result: pd.DataFrame, drawn: Drawn, values: dict[str, np.ndarray], ids: list[int], key: str) -> None:
    """Add 95 % intervals to the rows of the test part that are means over seeds and large enough to judge.

    Args:
        result: from ``table``; low and high (percentile) and bca_low and bca_high are added.
        values: of every seed by metric, from ``points``.
        ids: the target that each column is of.
        key: of the draws that stand for other seeds.
    """
    for name in ("low", "high", "bca_low", "bca_high"):
        result[name] = np.nan
    judged = result[(result["part"] == "test") & (result["seed"] == MEAN) & (result["verdict"] == "") & (result["average"] != "micro")]
    for metric, rows in judged[judged["metric"].isin(DRAWN)].groupby("metric"):
        plain = drawn.mean(metric)
        at = np.array([ids.index(target) for target in rows["target"]])
        lost = np.isnan(plain[:, at]).mean(0) > MISSED  # positives in so few blocks that many resamples draw none
        result.loc[rows.index[lost], "verdict"] = "too small to judge"
        rows, at = rows[~lost], at[~lost]
        seeds = drawn.seeds(metric, values[metric], key)[at]
        moved = with_seeds(plain[:, at], rows["value"].to_numpy(), [seeds], rows["blocks"].to_numpy())
        for row, column, some, value in zip(rows.index, at, moved.T, rows["value"], strict=True):
            # Student's t knows no ends of a scale.
            result.loc[row, ["low", "high"]] = np.clip(interval(some), LOWEST.get(metric, 0.0), 1.0)
            if metric in RANKING:
                # BCa takes the replicates as they fall: their bias is what it corrects for.
                fallen = some - value + np.nanmean(plain[:, column])
                result.loc[row, ["bca_low", "bca_high"]] = np.clip(accelerated(fallen, value, drawn.skew[metric][column]), 0.0, 1.0)


def add_delong(result: pd.DataFrame, part: Part, facts: list[dict], threads: int = 1) -> None:
    """Add DeLong's 95 % interval, of windows that are taken as independent, to the mean AUROC over seeds of each target."""

    def of_target(target: int) -> tuple[float, float]:
        at = part.rows(target)
        if judgeable(facts[target]):
            return np.nan, np.nan
        return mean_interval(part.labels[at, target], np.stack([one[at, target] for one in part.scores]))

    found = np.array(each(len(facts), of_target, threads)).reshape(-1, 2)
    result["delong_low"] = result["delong_high"] = np.nan
    rows = (result["part"] == "test") & (result["metric"] == "auroc") & (result["seed"] == MEAN) & (result["target"] >= 0)
    result.loc[rows, ["delong_low", "delong_high"]] = found[result.loc[rows, "target"]]


def thinned(along: np.ndarray) -> np.ndarray:
    """The points of a curve that are drawn, int64: those at both ends of each of its gaps that hold one of 150 even steps.

    Args:
        along: how far along the curve each point lies, float64 (n,), ascending; of those at one place the first and the last are kept.
    """
    steps = np.linspace(0, along[-1], POINTS)
    before, after = np.searchsorted(along, steps, side="right") - 1, np.searchsorted(along, steps, side="left")
    return np.unique(np.r_[before, after])


def curve_points(part: Part, tallies: np.ndarray, threads: int = 1) -> pd.DataFrame:
    """ROC, precision-recall and reliability curves of every target of the first seed, over the rows known; the first two are thinned.

    Args:
        tallies: from ``points``.
    """

    def of_target(target: int) -> list[pd.DataFrame]:
        at = part.rows(target)
        truth, odds = part.labels[at, target], np.ascontiguousarray(part.scores[0][at, target])
        if truth.all() or not truth.any():
            return []
        fpr, tpr, _ = roc_curve(truth, odds)
        precision, recall, _ = precision_recall_curve(truth, odds)
        out = []
        # A ROC curve rises along both axes, a precision-recall curve moves on along recall alone.
        for curve, x, y, along in (("roc", fpr, tpr, fpr + tpr), ("pr", recall[::-1], precision[::-1], recall[::-1])):
            keep = thinned(along)
            out.append(pd.DataFrame({"target": target, "curve": curve, "x": x[keep], "y": y[keep], "windows": np.nan}))
        for curve, (windows, sums, positives) in zip(
            ("reliability", "reliability, scaled"), tallies[0, target, 6:].reshape(2, 3, BINS), strict=True
        ):
            full = windows > 0
            shares = {"x": sums[full] / windows[full], "y": positives[full] / windows[full], "windows": windows[full]}
            out.append(pd.DataFrame({"target": target, "curve": curve, **shares}))
        return out

    found = each(part.labels.shape[1], of_target, threads)
    return pd.concat([NO_CURVES, *(one for some in found for one in some)], ignore_index=True)
