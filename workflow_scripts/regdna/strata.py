"""Skill within strata of the test windows, and how much of a model's skill row zero explains."""

import numpy as np
import pandas as pd

from regdna.assess import MEAN, Part, averages, describe, each, judgeable, mean_of
from regdna.bootstrap import draw_counts, interval, over_seeds, replicate, with_seeds
from regdna.metrics import RANKING, ranking
from regdna.paired import Judged
from regdna.targets import Targets

# Factor: column of windows.parquet, bounds that a window of a stratum stays below, names. Similarity is the share of a window's informative
# 21-mers that training windows have. Why skill is looked at so: Whalen et al. 2022, Nat Rev Genet 23:169.
FACTORS = {
    "similarity to training": ("training_similarity", (0.0, 0.1, 0.3), ("none", "under 10 %", "10 to 30 %", "30 % or more")),
    "repeats": ("repeat_fraction", (0.0, 0.5), ("none", "under 50 %", "50 % or more")),
    "distance to TSS": ("tss_distance", (1_000.0, 10_000.0), ("under 1 kb", "1 to 10 kb", "10 kb or more")),
}
GC = "GC"
COLUMNS = ["factor", "stratum", "metric", "n", "positives", "prevalence", "targets", "blocks", "independent_positives", "value", "low",
           "high", "verdict", "against", "difference", "difference_low", "difference_high"]  # fmt: skip
CHANCE = {"auroc": 0.5}  # of average precision it is the prevalence


def strata(windows: pd.DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """Rows of every stratum by factor, int64 each, those without windows left out; a factor that is known of no window has none.

    Args:
        windows: test windows with what is known of them: gc, repeat_fraction, tss_distance, training_similarity; NaN where it is not.
    """
    found = {}
    for factor, (column, bounds, names) in FACTORS.items():
        value = windows[column].to_numpy(float)
        # A bound of 0 is a stratum of its own: those that have none at all.
        at = np.searchsorted(bounds, value, side="right") - ((bounds[0] == 0) & (value == 0))
        found[factor] = {name: np.flatnonzero((at == number) & ~np.isnan(value)) for number, name in enumerate(names)}
    gc = windows["gc"].to_numpy(float)
    if not np.isnan(gc).all():
        low, high = np.nanquantile(gc, [1 / 3, 2 / 3])
        found[GC] = {
            f"lowest third, to {low:.3f}": np.flatnonzero(gc <= low),
            f"middle third, to {high:.3f}": np.flatnonzero((gc > low) & (gc <= high)),
            "highest third": np.flatnonzero(gc > high),
        }
    kept = {factor: {name: rows for name, rows in some.items() if len(rows)} for factor, some in found.items()}
    return {factor: some for factor, some in kept.items() if some}


def judge(part: Part, targets: Targets, digest: str, model: str, count: int, threads: int = 1) -> pd.DataFrame:
    """A row a factor, stratum and metric, the macro mean over targets: ``COLUMNS``.

    Blocks are drawn as for the whole test part (the key is the split's digest), so that strata are compared on the same resamples. The
    difference in AUROC is that to the factor's first stratum that is large enough, over the targets that both define; average
    precision depends on the prevalence of a stratum, and is not compared.

    Args:
        part: the test part; its frame has what ``strata`` reads.
        digest: of the split.
        model: id, which names the draws of seeds.
        count: replicates.
    """
    block, names = pd.factorize(part.frame["block"])
    counts = draw_counts(len(names), count, digest)
    key = f"{digest} {model}"
    out = []
    for factor, some in strata(part.frame).items():
        first = None
        for stratum, rows in some.items():
            facts = describe(_of(part, rows), targets)
            whole = averages(facts)[0]
            value, drawn = _skill(part, rows, facts, block, counts, threads)
            held = (stratum, whole, value["auroc"], drawn["auroc"])
            for metric in RANKING:
                row = dict.fromkeys(COLUMNS, np.nan) | {name: whole[name] for name in COLUMNS if name in whole}
                row |= {
                    "factor": factor,
                    "stratum": stratum,
                    "metric": metric,
                    "n": len(rows),
                    "targets": len(whole["members"]),
                    "against": "",
                }
                if whole["members"]:
                    seeds = value[metric][:, whole["members"]].mean(1)
                    row["value"] = seeds.mean()
                    if not whole["verdict"]:
                        means = mean_of(drawn[metric][:, :, whole["members"]], whole["weights"])
                        row["low"], row["high"] = np.clip(interval(over_seeds(means, seeds, key, whole["blocks"])), 0.0, 1.0)
                        row["verdict"] = "too small to judge" if np.isnan(row["low"]) else ""
                if metric == "auroc" and row["verdict"] == "":
                    if first is None:
                        first = held
                    else:
                        row |= _difference(held, first, key)
                out.append(row)
    return pd.DataFrame(out, columns=COLUMNS)


def _of(part: Part, rows: np.ndarray) -> Part:
    """Windows and labels of some rows of a part."""
    return Part(part.frame.iloc[rows], part.labels[rows], None if part.known is None else part.known[rows], [])


def _skill(
    part: Part, rows: np.ndarray, facts: list[dict], block: np.ndarray, counts: np.ndarray, threads: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of each metric the values of all seeds, float64 (seeds, T), and their replicates, float64 (seeds, count, T); NaN where undefined."""
    value = {metric: np.full((len(part.scores), len(facts)), np.nan) for metric in RANKING}
    drawn = {metric: np.full((len(part.scores), counts.shape[1], len(facts)), np.nan) for metric in RANKING}

    def of_target(target: int) -> None:
        if judgeable(facts[target]) == "undefined":
            return
        at = rows if part.known is None else rows[part.known[rows, target]]
        truth, mine = part.labels[at, target], block[at]
        for seed, one in enumerate(part.scores):
            score = np.ascontiguousarray(one[at, target])
            for metric, found in zip(RANKING, ranking(truth, score), strict=True):
                value[metric][seed, target] = found
            for metric, found in zip(RANKING, replicate(truth, score, mine, counts), strict=True):
                drawn[metric][seed, :, target] = found

    each(len(facts), of_target, threads)
    return value, drawn


def _difference(one: tuple, other: tuple, key: str) -> dict:
    """A stratum's AUROC minus another's, with its interval, over the targets that both define."""
    _, mine, value, drawn = one
    stratum, theirs, other_value, other_drawn = other
    both = [target for target in mine["members"] if target in theirs["members"]]
    if not both:
        return {"against": stratum}
    weights = np.full(len(both), 1 / len(both))
    seeds = (value[:, both] - other_value[:, both]).mean(1)
    blocks = min(mine["blocks"], theirs["blocks"])
    low, high = interval(over_seeds(mean_of(drawn[:, :, both] - other_drawn[:, :, both], weights), seeds, key, blocks))
    return {"against": stratum, "difference": seeds.mean(), "difference_low": low, "difference_high": high}


def explain(one: Judged, row_zero: list[Judged], best: str) -> pd.DataFrame:
    """How much of a model's skill above chance each model of row zero has too: a row a model of row zero and metric.

    The share is (AUROC of row zero - 0.5) / (AUROC - 0.5), and of average precision the same above the prevalence, held between 0 and 1:
    1 is as much or more. Both are means over targets, on the same resamples. A model that is not above chance has nothing to explain.

    Args:
        one: the model.
        row_zero: judged on the same split.
        best: id of the best of them on validation windows.

    Returns:
        row_zero, best, metric, share, low, high, verdict.
    """
    out = []
    for zero in row_zero:
        if zero.model == one.model:
            continue
        for metric in RANKING:
            mine, theirs = (_mean(judged, metric) for judged in (one, zero))
            # ASSUME: the prevalence that average precision is above is that of all test windows in every resample.
            chance = CHANCE.get(metric, mine.prevalence)
            row = {"row_zero": zero.model, "best": zero.model == best, "metric": metric, "share": np.nan, "low": np.nan, "high": np.nan,
                   "verdict": mine.verdict or theirs.verdict}  # fmt: skip
            if not row["verdict"] and not mine.low > chance:
                row["verdict"] = "not above chance"
            if not row["verdict"]:
                row["share"] = float(np.clip((theirs.value - chance) / (mine.value - chance), 0, 1))
                above, zeros = (_replicates(judged, metric) - chance for judged in (one, zero))
                with np.errstate(divide="ignore", invalid="ignore"):
                    # A resample in which the model is at chance leaves nothing unexplained.
                    shares = np.where(above > 0, np.clip(zeros / above, 0, 1), np.where(np.isnan(above), np.nan, 1.0))
                row["low"], row["high"] = interval(np.where(np.isnan(zeros), np.nan, shares))
            out.append(row)
    return pd.DataFrame(out, columns=["row_zero", "best", "metric", "share", "low", "high", "verdict"])


def _mean(judged: Judged, metric: str) -> pd.Series:
    """The row of the macro mean over all targets."""
    table = judged.table
    return table[(table["metric"] == metric) & (table["target"] == MEAN)].iloc[0]


def _replicates(judged: Judged, metric: str) -> np.ndarray:
    """Replicates of that mean over blocks and seeds, float64 (count,)."""
    at, row = int(np.flatnonzero(judged.drawn["targets"] == MEAN)[0]), _mean(judged, metric)
    return with_seeds(judged.drawn[metric][:, at], row["value"], [judged.seeds(metric)[at]], row["blocks"])


def best_on_validation(tables: dict[str, pd.DataFrame]) -> str:
    """The model with the highest mean AUROC on validation windows, of equal ones the first; nothing where none has one.

    Args:
        tables: ``metrics.parquet`` by model.
    """

    def value(model: str) -> float:
        one = tables[model]
        at = (one["part"] == "validation") & (one["metric"] == "auroc") & (one["target"] == MEAN) & (one["seed"] == MEAN)
        found = float(one.loc[at, "value"].iloc[0])
        return -np.inf if np.isnan(found) else found

    return max(tables, key=value, default="")
