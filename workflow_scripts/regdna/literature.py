"""Our results beside published ones: the same statistic of the same targets, and why the two may not be compared."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from regdna.assess import MEAN, MISSED
from regdna.bootstrap import Seeds, interval, too_small, with_seeds
from regdna.models import ARCHITECTURES
from regdna.paired import Judged
from regdna.papers import METRICS, REGIMES

COLUMNS = ["dataset", "benchmark", "model", "paper_model", "metric", "statistic", "group", "value", "low", "high", "verdict", "published",
           "difference", "comparable", "reasons", "remarks", "targets", "undefined", "test_windows", "split", "source",
           "evidence"]  # fmt: skip
RANDOM = "random"  # as weights: none that were published


@dataclass(frozen=True)
class Data:
    """What decides whether a dataset is the one that a paper used.

    Attributes:
        rule: of its split.
        counts: windows by part.
        chromosomes: of the test windows.
        lengths: of the test windows, bp.
    """

    rule: str
    counts: dict[str, int]
    chromosomes: set[str]
    lengths: set[int]


def beside(judged: Judged, seeds: pd.DataFrame, entry: dict, papers: pd.DataFrame, data: Data) -> list[dict]:
    """A row of ``COLUMNS``, less the dataset, for each published value of the model's architecture.

    Args:
        seeds: the rows of single targets of the test part of ``metrics.parquet``, of every seed.
        entry: the model as its study completes it.
        papers: the published rows of the benchmark.
    """
    rows = []
    for paper in papers[papers["architecture"] == entry["architecture"]].to_dict("records"):
        ours = statistic(judged, seeds, paper["metric"], paper["statistic"], paper["group"])
        reasons = differences(paper, entry, data, ours["targets"])
        kept = {name: paper[name] for name in ("benchmark", "metric", "statistic", "group", "split", "source", "evidence")}
        rows.append(
            {
                "model": judged.model,
                "paper_model": paper["model"],
                **kept,
                **ours,
                "published": paper["value"],
                "difference": ours["value"] - paper["value"],
                "comparable": not reasons and np.isfinite(ours["value"]),
                "reasons": "; ".join(reasons or ([] if np.isfinite(ours["value"]) else ["our value is undefined"])),
                "remarks": "; ".join(remarks(paper, ours)),
                "test_windows": data.counts["test"],
            }
        )
    return rows


def statistic(judged: Judged, seeds: pd.DataFrame, metric: str, kind: str, group: str) -> dict:
    """The mean or median over the targets of a group, mean over seeds, with its interval, and how many targets there are.

    Targets of one class have no value: they are counted, and left out.
    """
    mine = seeds[(seeds["metric"] == metric) & ((seeds["group"] == group) | (group == "all"))]
    each = mine.pivot(index="seed", columns="target", values="value")
    known = each.columns[each.notna().all()]
    found = {"value": np.nan, "low": np.nan, "high": np.nan, "verdict": "undefined", "targets": each.shape[1],
             "undefined": each.shape[1] - len(known)}  # fmt: skip
    if not len(known):
        return found
    whole = seeds["target"].nunique() == each.shape[1]  # a group that is all there is has no average of its own
    if kind == "mean":
        rows = judged.table[(judged.table["metric"] == metric) & (judged.table["average"] == "macro")]
        row = rows[rows["target"] == MEAN] if whole else rows[rows["group"] == group]
        return found | row.iloc[0][["value", "low", "high", "verdict"]].to_dict()
    return found | median(judged, each[known], mine[mine["target"].isin(known)], metric)


def median(judged: Judged, each: pd.DataFrame, facts: pd.DataFrame, metric: str) -> dict:
    """The median over targets of each seed, mean over seeds, with its 95 % interval on the resamples that all metrics are judged on.

    Args:
        each: values, a row a seed and a column a target.
        facts: the rows of these targets, for what decides whether they can be judged.
    """
    values = each.median(axis=1).to_numpy()
    blocks, positives = (int(facts[name].median()) for name in ("blocks", "independent_positives"))
    negatives = (facts["n"] - facts["positives"]).median()
    found = {"value": values.mean(), "low": np.nan, "high": np.nan, "verdict": "too small to judge"}
    if too_small(blocks, min(positives, negatives)):
        return found
    drawn = judged.drawn[metric][:, np.isin(judged.drawn["targets"], each.columns)]
    lost = np.isnan(drawn).mean(1) > MISSED
    replicates = np.full(len(drawn), np.nan)
    replicates[~lost] = np.nanmedian(drawn[~lost], axis=1)
    if lost.mean() > MISSED:
        return found
    # ASSUME: in a median over targets, what windows and seeds share cannot be told apart; with several seeds its interval is too wide, not
    # too narrow.
    error = values.var(ddof=1) / len(values) if len(values) > 1 else 0.0
    moved = Seeds(judged.seeds(metric).key, len(values), np.float64(error), np.float64(0.0))
    low, high = np.clip(interval(with_seeds(replicates, values.mean(), [moved], blocks)), METRICS[metric], 1.0)
    return found | {"low": low, "high": high, "verdict": ""}


def differences(paper: dict, entry: dict, data: Data, targets: int) -> list[str]:
    """Why a published value and ours may not be compared, in words; empty where nothing speaks against it.

    Args:
        paper: a row of the published table.
        entry: the model as its study completes it.
        data: of our dataset.
        targets: that the statistic is taken over.
    """
    return [*_windows(paper, entry, data), *_targets(paper, targets), *_model(paper, entry)]


def _windows(paper: dict, entry: dict, data: Data) -> list[str]:
    out = []
    counted = (("trained on {} windows", "training_windows", data.counts["train"]),
               ("judged on {} test windows", "test_windows", data.counts["test"]))  # fmt: skip
    for said, name, ours in counted:
        theirs, what = paper[name], name.replace("_", " ")
        if not theirs:
            out.append(f"how many {what} the paper has is not recorded")
        elif ours != theirs:
            out.append(f"{said.format(f'{ours:,}')}, the paper on {theirs:,}" if ours > theirs else said.format(f"{ours:,} of {theirs:,}"))
    if paper["chromosomes"]:
        known = set(paper["chromosomes"].split())
        if data.chromosomes != known:
            shown = sorted(data.chromosomes)
            here = " ".join(shown) if len(shown) < 10 else f"{len(shown):,} chromosomes"
            out.append(f"test windows on {here}, in the paper on {paper['chromosomes']}")
    elif data.rule != "given":
        # As many windows are not the same windows.
        out.append(f"the parts were drawn here by the rule {data.rule}, in the paper they are: {paper['split']}")
    view = entry["context"]
    lengths = {min(length, view) for length in data.lengths} if view else data.lengths
    if not paper["length"]:
        out.append("how long the paper's windows are is not recorded")
    elif lengths != {paper["length"]}:
        here = f"{min(lengths):,}" if len(lengths) == 1 else f"{min(lengths):,} to {max(lengths):,}"
        out.append(f"the model sees {here} bp, in the paper {paper['length']:,}")
    return out


def _targets(paper: dict, targets: int) -> list[str]:
    what = "targets" if paper["group"] == "all" else f"{paper['group']} targets"
    if not paper["targets"]:
        return [f"how many {what} the paper has is not recorded"]
    return [] if targets == paper["targets"] else [f"{paper['statistic']} over {targets:,} {what}, in the paper over {paper['targets']:,}"]


def _model(paper: dict, entry: dict) -> list[str]:
    out = []
    weights = entry["weights"] if entry["initialisation"] == "published" else RANDOM
    if weights != paper["weights"]:
        here, there = (f"with {'random weights' if one == RANDOM else f'the weights {one}'}" for one in (weights, paper["weights"]))
        out.append(f"begins {here}, in the paper {there}")
    elif weights == RANDOM:
        # The registry's sizes are the published ones; dropout is a setting of training.
        sizes, ours = ARCHITECTURES[entry["architecture"]].sizes, entry["parameters"]
        other = [f"{name} {ours[name]} instead of {size}" for name, size in sizes.items() if "dropout" not in name and ours[name] != size]
        out += [f"another size of network: {', '.join(other)}"] if other else []
    if entry["regime"] != paper["regime"]:
        out.append(f"trained are {REGIMES[entry['regime']]}, in the paper {REGIMES.get(paper['regime'], 'what is not recorded')}")
    return out


def remarks(paper: dict, ours: dict) -> list[str]:
    """What differs, or is not sure, and does not forbid the comparison."""
    out = [paper["remark"]] if paper["remark"] else []
    if ours["undefined"]:
        # An MCC has none either where validation, which gives the threshold, has one class.
        where = "the test windows" if paper["metric"] != "mcc" else "the test or the validation windows"
        out.append(f"{ours['undefined']:,} of our {ours['targets']:,} targets have no value, since {where} have one class of them")
    if paper["metric"] == "mcc":
        out.append("our MCC is at the threshold that is best on validation, the paper's where a class is the likelier one")
    return out
