"""The answer in words: who wins, by how much, whether the data leave it open, and what it cost."""

from itertools import combinations

import numpy as np
import pandas as pd

from regdna.bootstrap import FEWEST_BLOCKS, FEWEST_POSITIVES
from regdna.page.results import MEAN, Results, pick
from regdna.page.text import number, seconds

KINDS = {"transformer": "transformer", "cnn": "CNN", "row zero": "row zero"}
SHORT = {"transformer": "the transformer", "cnn": "the CNN", "row zero": "row zero"}
EXPLAINED = {"row zero": " (what needs no network)"}  # where it is met first
SEEDS_APART = 0.05  # in mean AUROC: more than nearly any difference between models worth a table
LEADS = {"transformer": "the best transformer", "cnn": "the CNN to beat", "row zero": "the best of row zero"}


def champions(results: Results, dataset: str) -> dict[str, str]:
    """Family to its best model by validation mean AUROC; the test part has no say, and a control is no contender."""
    value = results.mean(dataset, part="validation")["value"]
    chosen = {}
    for family in KINDS:
        mine = [model for model in results.contenders(dataset) if results.family(model) == family and np.isfinite(value[model])]
        if mine:
            chosen[family] = max(mine, key=lambda model: value[model])
    return chosen


def verdict(results: Results, dataset: str) -> dict:
    """The answer for one dataset: a headline, about three sentences, and the best model of each family."""
    chosen = champions(results, dataset)
    rows = pick(results.comparison, dataset=dataset, metric="auroc", target=MEAN).set_index(["model", "against"])
    pairs = [pair for pair in combinations(chosen, 2) if (chosen[pair[0]], chosen[pair[1]]) in rows.index]
    if not pairs:
        headline, sentences = (
            "No families to compare.",
            [
                "Fewer than two families have a defined result on both validation and test windows. "
                "Models of one family are in the table of differences."
            ],
        )
    elif any(rows.loc[(chosen[a], chosen[b]), "verdict"] == "too small to judge" for a, b in pairs):
        headline, sentences = "Too small to judge.", [*too_small(results, dataset, chosen), costs(results, dataset, chosen)]
    else:
        headline = winner(results, results.mean(dataset)["value"], rows, chosen)
        sentences = told(results, dataset, rows, chosen, pairs)
    return {"headline": headline, "sentences": [*sentences, *cautions(results, dataset, chosen, pairs)], "chosen": chosen}


def cautions(results: Results, dataset: str, chosen: dict[str, str], pairs: list[tuple[str, str]]) -> list[str]:
    """What the sentences above hide: seeds that collapsed, disagree or are one alone, and pairs on which AP decides otherwise."""
    out = []
    networks = [model for family, model in chosen.items() if family != "row zero"]
    alone = [model for model in networks if len([job for job in results.jobs if (job.dataset, job.model) == (dataset, model)]) == 1]
    if alone:
        said = "what another training would have given is in no interval here; add seeds to the study"
        out.append(f"Only one seed of {' and '.join(alone)} was trained: {said}.")
    seeds = results.scores.query("part == 'test' and metric == 'auroc' and target == @MEAN and seed != @MEAN")
    for model in chosen.values():
        if said := results.collapsed(dataset, model):
            out.append(f"Read {model} with care: {said}.")
        value = pick(seeds, dataset=dataset, model=model)["value"]
        if value.max() - value.min() > SEEDS_APART:
            each = " and ".join(number(one) for one in value)
            out.append(f"Read {model} with care: its {len(value)} seeds reached {each}, so its mean says little.")
    table = pick(results.comparison, dataset=dataset, target=MEAN)
    for one, other in pairs:
        both = pick(table, model=chosen[one], against=chosen[other]).set_index("metric")
        if not {"auroc", "average_precision"} <= set(both.index):
            continue
        row = both.loc["average_precision"]
        if row["verdict"] not in (both.at["auroc", "verdict"], "too small to judge"):
            told = difference(row, results.study["evaluation"]["margin"]).format(SHORT[other])
            out.append(f"By mean average precision it reads otherwise: {SHORT[one]} {told}.")
    return out


def winner(results: Results, value: pd.Series, rows: pd.DataFrame, chosen: dict[str, str]) -> str:
    """Who wins among the best of each family, or that nobody is known to.

    Args:
        value: mean AUROC on the test part by model.
        rows: paired differences by (model, against).
    """
    said = rows["verdict"]
    names = {model: f"{SHORT[family]} ({results.label(model)})" for family, model in chosen.items()}
    leader = max(names, key=lambda model: value[model])
    top = [leader, *(model for model in names if model != leader and said[leader, model] != "better")]
    if len(top) == 1:
        next_best = max((model for model in names if model != leader), key=lambda model: value[model])
        small = abs(rows["difference"][leader, next_best]) < results.study["evaluation"]["margin"]
        return f"{capital(names[leader])} wins{', by less than matters in practice' if small else ''}."
    ending = "are equivalent" if all(said[pair] == "equivalent" for pair in combinations(top, 2)) else "cannot be told apart"
    beaten = [model for model in names if model not in top and all(said[one, model] == "better" for one in top)]
    rest = f"; each beats {' and '.join(names[model] for model in beaten)}" if beaten else ""
    return f"No single winner: {' and '.join(names[model] for model in top)} {ending}{rest}."


def told(results: Results, dataset: str, rows: pd.DataFrame, chosen: dict[str, str], pairs: list[tuple[str, str]]) -> list[str]:
    """A sentence on the first family against the second, one on both against the third, and what could have been shown."""
    value, margin = results.mean(dataset)["value"], results.study["evaluation"]["margin"]
    full = {family: f"{LEADS[family]}, {model}{start(results, model)}, at {number(value[model])}" for family, model in chosen.items()}
    words = {pair: difference(rows.loc[(chosen[pair[0]], chosen[pair[1]])], margin) for pair in pairs}
    (one, other), *rest = pairs
    sentences = [f"In mean AUROC, {full[one]}, {words[one, other].format(full[other])}."]
    if rest:
        third = rest[0][1]
        told = ", and ".join(f"{SHORT[family]} {words[family, third].format('it')}" for family, _ in rest)
        sentences.append(f"Against {full[third]}: {told}.")
    least = max(rows.loc[(chosen[a], chosen[b]), "smallest_detectable"] for a, b in pairs)
    power = f"A true difference of {number(least)} would be found in four of five studies like this one."
    power = "No true difference, however large, would be found in four of five studies like this one." if least > 1 else power
    return [plain(value, rows, chosen), *sentences, f"{power} {costs(results, dataset, chosen)}"]


def plain(value: pd.Series, rows: pd.DataFrame, chosen: dict[str, str]) -> str:
    """The result without statistics: an AUROC is how often the right one of two windows is picked."""
    right = [f"{SHORT[family]}{EXPLAINED.get(family, '')} {number(100 * value[model], 1)}" for family, model in chosen.items()]
    said = rows.loc[[(one, other) for one, other in combinations(chosen.values(), 2)], "verdict"]
    luck = (
        "Chance alone does not make such gaps." if said.isin(["better", "worse"]).all()
        else "Chance alone may make all of these gaps." if not said.isin(["better", "worse"]).any()
        else "Chance alone may make some of these gaps."
    )  # fmt: skip
    return (
        f"Shown one window with a label and one without, how often out of 100 is the right one picked? {capital('; '.join(right))}. {luck}"
    )


def start(results: Results, model: str) -> str:
    """Where a network's weights start, in brackets; nothing for row zero."""
    return "" if results.family(model) == "row zero" else f" ({results.weights(model)})"


def difference(row: pd.Series, margin: float) -> str:
    """A paired difference in words, with ``{}`` where the other model goes: by how much, and what the interval leaves open.

    The interval is the one that holds for all claims about models of the dataset at once.
    """
    low, high = number(row["joint_low"], 3, True), number(row["joint_high"], 3, True)
    size = f"{number(row['difference'], 3, True)}, 95\u00a0% interval {low} to {high}"
    if row["verdict"] == "equivalent":
        return f"is equivalent to {{}} (difference {size}; its 90\u00a0% interval within ±{margin:g})"
    if row["verdict"] == "cannot tell":
        return f"cannot be told apart from {{}} (difference {size}: 0 lies inside, as do differences beyond ±{margin:g})"
    small = f", though by less than the {margin:g} that matters in practice," if abs(row["difference"]) < margin else ""
    return f"is {row['verdict']} than {{}}{small} (difference {size}: 0 lies outside)"


def too_small(results: Results, dataset: str, chosen: dict[str, str]) -> list[str]:
    """Why nothing is judged, and the values for the record."""
    mean = results.mean(dataset)
    facts, value = mean.loc[next(iter(chosen.values()))], mean["value"]
    values = "; ".join(f"{LEADS[family]}, {model}{start(results, model)}, {number(value[model])}" for family, model in chosen.items())
    few = f"With fewer than {FEWEST_BLOCKS} blocks or {FEWEST_POSITIVES} such positives there is no interval, and nobody wins."
    if facts.blocks >= FEWEST_BLOCKS and facts.independent_positives >= FEWEST_POSITIVES:
        few = "They lie in so few of the blocks that more than one resample in twenty misses them: no interval, and nobody wins."
    return [
        f"The test part holds {facts.blocks:,.0f} blocks, and the middle one of its targets has {facts.independent_positives:,.0f} "
        f"positives that do not overlap. {few}",
        f"For the record only, mean AUROC on the test part: {values}.",
    ]


def costs(results: Results, dataset: str, chosen: dict[str, str]) -> str:
    """What the transformer cost against the others, in one sentence."""
    spent = {family: results.seconds(dataset, model) for family, model in chosen.items()}
    if "transformer" not in spent or len(spent) < 2:
        return f"Training took {', '.join(f'{seconds(value)} for {KINDS[family]}' for family, value in spent.items())}, a seed."
    ratios = " and ".join(
        f"{spent['transformer'] / value:.2g} times as long as {SHORT[family]} ({seconds(value)})"
        for family, value in spent.items()
        if family != "transformer"
    )
    return f"Training the transformer took {seconds(spent['transformer'])} a seed, {ratios}."


def capital(text: str) -> str:
    """Text with its first letter raised, the others as they are."""
    return text[:1].upper() + text[1:]
