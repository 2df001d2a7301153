"""Two models on the same resamples: differences of every metric, target and average, and what they let us say."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import ArrowInvalid

from regdna.arrays import read_arrays
from regdna.assess import LOWEST, MEAN, MISSED
from regdna.bootstrap import Seeds, with_seeds
from regdna.step import InputError
from regdna.verdict import POWER, false_discovery, half_width, max_t, welch, word

COMPARED = ("auroc", "average_precision", "mcc")
COLUMNS = ["dataset", "model", "against", "metric", "target", "average", "group", "name", "difference", "low", "high", "joint_low",
           "joint_high", "p", "p_adjusted", "q", "verdict", "smallest_detectable"]  # fmt: skip
WORDS = ("dataset", "model", "against", "metric", "average", "group", "name", "verdict")
NO_PAIRS = pd.DataFrame({name: pd.Series(dtype=str if name in WORDS else int if name == "target" else float) for name in COLUMNS})
# What is read of a model's files; ``evaluate`` of an earlier version wrote less.
NEEDED = {"model", "split_digest", "targets", "seeds", "average", "verdict", *COMPARED,
          *(f"{metric}_{part}" for metric in COMPARED for part in ("error", "shared"))}  # fmt: skip
MIRRORED = {"better": "worse", "worse": "better"}


@dataclass(frozen=True)
class Judged:
    """One model's results on one dataset.

    Attributes:
        table: rows of the test part that are means over seeds, of ``metrics.parquet``.
        drawn: what ``replicates.npz`` holds.
        path: of ``metrics.parquet``.
        control: which control it is, or nothing.
    """

    model: str
    table: pd.DataFrame
    drawn: dict[str, np.ndarray]
    path: Path
    control: str

    @property
    def digest(self) -> str:
        """Of the split that it was judged on."""
        return str(self.drawn["split_digest"])

    @classmethod
    def read(cls, metrics: Path, replicates: Path) -> "Judged":
        """What ``evaluate`` wrote.

        Raises:
            InputError: the files are of different models or splits, one is cut short, or an earlier version wrote less.
        """
        try:
            whole, drawn = pd.read_parquet(metrics), read_arrays(replicates)
        except ArrowInvalid as error:
            raise InputError(f"{metrics}: cut short or no .parquet file ({error}); delete it and run again") from None
        held = {*whole.columns, *whole.attrs, *drawn}
        if missing := sorted(NEEDED - held):
            raise InputError(f"{metrics.parent}: written by an earlier version, without {', '.join(missing)}; evaluate it again")
        model = str(whole["model"].iloc[0])
        if model != str(drawn["model"]):
            raise InputError(f"{replicates}: replicates of {drawn['model']}, but {metrics} is of {model}; give both in one order")
        if whole.attrs["split_digest"] != str(drawn["split_digest"]):
            raise InputError(f"{replicates}: of another split than {metrics}; evaluate {model} again")
        kept = whole[(whole["part"] == "test") & (whole["seed"] == MEAN) & whole["metric"].isin(COMPARED)]
        return cls(model, kept.reset_index(drop=True), drawn, metrics, whole.attrs.get("control", ""))

    def seeds(self, metric: str, name: str = "") -> Seeds:
        """What the mean of a metric over seeds owes to which seeds there were, of every target and average.

        Args:
            name: stands for the model where its draws must be others than those of its id.
        """
        return Seeds(
            f"{self.digest} {name or self.model}", int(self.drawn["seeds"]), self.drawn[f"{metric}_error"], self.drawn[f"{metric}_shared"]
        )


def compare(dataset: str, pairs: list[tuple[Judged, Judged]], margin: float) -> pd.DataFrame:
    """A row a pair, metric and target or average, in the order given.

    Averages over targets are claims about models: adjusted by max-T over those of the pairs that hold no control, and each pair with one by
    itself. Targets are screened: Benjamini and Hochberg's q over those of a pair.

    Args:
        pairs: of models judged on one split.
        margin: differences no larger than this are of no practical matter.
    """
    frames = []
    claims = [at for at, (one, other) in enumerate(pairs) if not (one.control or other.control)]
    families = [claims, *([at] for at in range(len(pairs)) if at not in set(claims))]
    for metric in COMPARED:
        found = [_pair(dataset, one, other, metric) for one, other in pairs]
        for family in families:
            for target in dict.fromkeys(target for at in family for target in found[at][0].index if target < 0):
                _claim([found[at] for at in family if target in found[at][0].index], target)
        for frame, drawn in found:
            single = frame.index >= 0
            frame.loc[single, "q"] = false_discovery(frame.loc[single, "p"].to_numpy())
            decides = np.where(single, frame["q"], frame["p_adjusted"])
            # Student's t knows no ends of a scale.
            reach, ends = 1 - LOWEST.get(metric, 0.0), ["low", "high", "joint_low", "joint_high"]
            frame[ends] = frame[ends].clip(-reach, reach)
            frame["verdict"] = [
                word(difference, drawn[target], p, margin) if target in drawn else "too small to judge"
                for target, difference, p in zip(frame.index, frame["difference"], decides, strict=True)
            ]
            frames.append(frame.reset_index())
    return pd.concat(frames, ignore_index=True)[COLUMNS] if frames else NO_PAIRS


def _pair(dataset: str, one: Judged, other: Judged, metric: str) -> tuple[pd.DataFrame, dict[int, np.ndarray]]:
    """Differences of one metric by target, and their replicates over blocks and seeds where both models are large enough to judge."""
    mine, theirs = (judged.table[judged.table["metric"] == metric].set_index("target") for judged in (one, other))
    both = mine.merge(theirs, left_index=True, right_index=True, suffixes=("", "_other"), validate="one_to_one")
    both = both[(both["verdict"] != "undefined") & both["value"].notna() & both["value_other"].notna() & (both["average"] != "micro")]
    frame = both[["average", "group", "name"]].assign(dataset=dataset, model=one.model, against=other.model, metric=metric)
    frame["difference"] = both["value"] - both["value_other"]
    for name in ("low", "high", "joint_low", "joint_high", "p", "p_adjusted", "q", "smallest_detectable"):
        frame[name] = np.nan
    places = [{int(target): at for at, target in enumerate(judged.drawn["targets"])} for judged in (one, other)]
    columns = [np.array([place[target] for target in both.index], int) for place in places]
    over_blocks = np.subtract(*(judged.drawn[metric][:, at] for judged, at in zip((one, other), columns, strict=True)))
    # A model that is held against itself, in two studies, must not share its seeds' draws.
    names = (one.model, f"{other.model} again" if other.model == one.model else other.model)
    seeds = [judged.seeds(metric, name)[at] for judged, name, at in zip((one, other), names, columns, strict=True)]
    seeds[1] = replace(seeds[1], weight=-1.0)
    large = ((both["verdict"] == "") & (both["verdict_other"] == "")).to_numpy() & (np.isnan(over_blocks).mean(0) <= MISSED)
    if not large.any():
        return frame, {}
    judged = np.flatnonzero(large)
    difference, blocks = frame["difference"].to_numpy()[judged], both["blocks"].to_numpy()[judged]
    over_blocks, seeds = over_blocks[:, judged], [one[judged] for one in seeds]
    drawn = with_seeds(over_blocks, difference, seeds, blocks)
    targets = frame.index[judged]
    frame.loc[targets, "low"], frame.loc[targets, "high"] = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    frame.loc[targets, "smallest_detectable"] = half_width(drawn) * (1 + POWER)
    frame.loc[targets, "p"] = welch(difference, over_blocks, seeds, blocks)
    return frame, {target: drawn[:, at] for at, target in enumerate(targets)}


def _claim(found: list[tuple[pd.DataFrame, dict[int, np.ndarray]]], target: int) -> None:
    """Fill in what holds of a family of pairs at once, of one average, where the pairs are judged."""
    some = [(frame, drawn[target]) for frame, drawn in found if target in drawn]
    if not some:
        return
    family = max_t(np.array([frame.at[target, "difference"] for frame, _ in some]), np.stack([drawn for _, drawn in some], 1))
    for at, (frame, _) in enumerate(some):
        frame.loc[target, ["joint_low", "joint_high", "p_adjusted", "smallest_detectable"]] = [
            family.joint_low[at], family.joint_high[at], family.p[at], family.detectable[at]
        ]  # fmt: skip


def mirrored(table: pd.DataFrame) -> pd.DataFrame:
    """The same pairs the other way round."""
    out = table.rename(columns={"model": "against", "against": "model"})
    for low, high in (("low", "high"), ("joint_low", "joint_high")):
        out[low], out[high] = -table[high], -table[low]
    out["difference"] = -table["difference"]
    out["verdict"] = table["verdict"].replace(MIRRORED)
    return out[COLUMNS]
