"""Skill against context: what a model's predictions are worth when it sees no more than the middle of each window."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from regdna.assess import MEAN, Part, averages, each, judgeable, mean_of
from regdna.bootstrap import interval, over_seeds, replicate
from regdna.metrics import RANKING, ranking
from regdna.shuffles import dinucleotide_shuffle

COLUMNS = ["model", "context", "metric", "target", "name", "n", "positives", "prevalence", "value", "low", "high", "difference",
           "difference_low", "difference_high", "within_low", "within_high", "verdict"]  # fmt: skip


class Narrowed:
    """Sequences of which only the middle is as it was: the flanks' dinucleotides are in another order.

    Each flank is shuffled by itself, so that both keep their composition and the bases next to the middle. The draw depends on the seed
    and the window's number alone: every model with that seed sees the same flanks.

    Args:
        sequences: of a dataset's windows: ``sequences[rows]`` gives uint8 (n, L); ``len()``; ``length``.
        context: bases in the middle that stay, fewer than ``length``.
        seed: of the shuffles.
    """

    # ASSUME: of what a model draws from a flank, composition alone is left when the flank's dinucleotides are shuffled.

    def __init__(self, sequences: object, context: int, seed: int):
        self._sequences, self._seed = sequences, seed
        self.length = sequences.length
        first = (self.length - context) // 2
        self._flanks = (slice(0, first), slice(first + context, self.length))

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        codes = np.array(self._sequences[rows])
        for side, flank in enumerate(self._flanks):
            codes[:, flank] = dinucleotide_shuffle(codes[:, flank], self._seed, 2 * np.asarray(rows) + side)
        return codes


@dataclass(frozen=True)
class Skill:
    """AUROC and average precision, by metric; the last column is the macro mean over targets.

    Attributes:
        values: of every seed, float64 (seeds, T + 1).
        drawn: replicates over blocks of every seed, float64 (seeds, count, T + 1).
    """

    values: dict[str, np.ndarray]
    drawn: dict[str, np.ndarray]


def skill(part: Part, facts: list[dict], counts: np.ndarray, threads: int = 1) -> Skill:
    """What predictions are worth, and on which resamples.

    Args:
        part: the test part with predictions of every seed.
        facts: from ``assess.describe``.
        counts: from ``bootstrap.draw_counts`` over the blocks of the part, in the order of their first windows.
    """
    block, _ = pd.factorize(part.frame["block"])
    macro = averages(facts)[0]
    seeds, targets = len(part.scores), len(facts)
    values = {metric: np.full((seeds, targets + 1), np.nan) for metric in RANKING}
    drawn = {metric: np.full((seeds, counts.shape[1], targets + 1), np.nan) for metric in RANKING}

    def of_target(target: int) -> None:
        if judgeable(facts[target]) == "undefined":
            return
        at = part.rows(target)
        truth, mine = part.labels[at, target], block[at]
        for seed, one in enumerate(part.scores):
            score = np.ascontiguousarray(one[at, target])
            for metric, value, some in zip(RANKING, ranking(truth, score), replicate(truth, score, mine, counts), strict=True):
                values[metric][seed, target] = value
                drawn[metric][seed, :, target] = some

    each(targets, of_target, threads)
    for metric in RANKING if macro["members"] else ():
        values[metric][:, -1] = values[metric][:, macro["members"]] @ macro["weights"]
        for one in drawn[metric]:
            one[:, -1] = mean_of(one[:, macro["members"]], macro["weights"])
    return Skill(values, drawn)


def table(model: str, context: int, found: Skill, whole: Skill, facts: list[dict], digest: str) -> pd.DataFrame:
    """A row a metric and target, and one of the macro mean (target -1), of one context.

    Args:
        context: bases that were left as they were.
        found: the skill with them; ``whole`` where nothing was shuffled.
        facts: from ``assess.describe``.
        digest: of the split, the key of the draws of seeds.

    Returns:
        ``value`` with ``low`` and ``high`` (95 %), ``difference`` to the whole window on the same resamples with ``difference_low`` and
        ``difference_high`` (95 %) and ``within_low`` and ``within_high`` (90 %, for equivalence), and a ``verdict``: empty, ``undefined``
        or ``too small to judge``, in which case there is no interval.
    """
    macro = averages(facts)[0]
    rows = []
    for metric in RANKING:
        for at, fact in enumerate([*facts, macro]):
            values, gaps = found.values[metric][:, at], found.values[metric][:, at] - whole.values[metric][:, at]
            row = {"model": model, "context": context, "metric": metric, **{key: fact[key] for key in ("target", "name", "n", "positives")},
                   "prevalence": fact["prevalence"], "value": values.mean(), "difference": gaps.mean(),
                   "verdict": fact.get("verdict", judgeable(fact))}  # fmt: skip
            if not row["verdict"]:
                drawn, full = found.drawn[metric][:, :, at], whole.drawn[metric][:, :, at]
                some = over_seeds(drawn, values, f"{digest} {model}", fact["blocks"])
                apart = over_seeds(drawn - full, gaps, f"{digest} {model} {context}", fact["blocks"])
                row["low"], row["high"] = np.clip(interval(some), 0.0, 1.0)
                row["difference_low"], row["difference_high"] = interval(apart)
                row["within_low"], row["within_high"] = interval(apart, 0.9)
                if np.isnan(row["low"]):  # positives in so few blocks that many resamples draw none
                    row["verdict"] = "too small to judge"
            rows.append(row)
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def enough(rows: pd.DataFrame, margin: float) -> int | None:
    """The narrowest context from which on mean AUROC is equivalent to that of the whole window; None if none narrower is.

    Args:
        rows: of one model, as ``table`` gives them for every context.
        margin: differences no larger than this are of no practical matter.
    """
    mean = rows[(rows["metric"] == "auroc") & (rows["target"] == MEAN)].sort_values("context")
    same = ((mean["within_low"] > -margin) & (mean["within_high"] < margin)).to_numpy()[:-1]  # the last is the whole window
    first = int(np.flatnonzero(np.r_[True, ~same])[-1])  # behind the last one that is not
    return int(mean["context"].iloc[first]) if first < len(same) else None
