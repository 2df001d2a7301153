"""The answer in words: who wins, by how much, whether the data leave it open, and what it cost."""

from itertools import combinations

import numpy as np
import pandas as pd

from regdna.bootstrap import FEWEST_BLOCKS, FEWEST_POSITIVES
from regdna.page.results import MEAN, Results, pick
from regdna.page.text import number, seconds

KINDS = {"transformer": "transformer", "cnn": "CNN", "row zero": "row zero"}
LEADS = {"transformer": "the best transformer", "cnn": "the CNN to beat", "row zero": "the best of row zero"}


def champions(results: Results, dataset: str) -> dict[str, str]:
    """Family to its best model by validation mean AUROC; the test part has no say."""
    value = results.mean(dataset, part="validation")["value"]
    chosen = {}
    for family in KINDS:
        mine = [model for model in results.models(dataset) if results.family(model) == family and np.isfinite(value[model])]
        if mine:
            chosen[family] = max(mine, key=lambda model: value[model])
    return chosen


def verdict(results: Results, dataset: str) -> dict:
    """The answer for one dataset: a headline, about three sentences, and the best model of each family."""
    chosen = champions(results, dataset)
    rows = pick(results.comparison, dataset=dataset, metric="auroc", target=MEAN).set_index(["model", "against"])
    pairs = [pair for pair in combinations(chosen, 2) if (chosen[pair[0]], chosen[pair[1]]) in rows.index]
    if not pairs:
        headline, sentences = "Nothing to compare.", ["Fewer than two families of models have a defined result here."]
    elif any(rows.loc[(chosen[a], chosen[b]), "verdict"] == "too small to judge" for a, b in pairs):
        headline, sentences = "Too small to judge.", [*too_small(results, dataset, chosen), costs(results, dataset, chosen)]
    else:
        headline = winner(results, rows["verdict"], chosen)
        sentences = [*told(results, dataset, rows, chosen, pairs), costs(results, dataset, chosen)]
    return {"headline": headline, "sentences": sentences, "chosen": chosen}


def winner(results: Results, said: pd.Series, chosen: dict[str, str]) -> str:
    """Who wins among the best of each family, or that nobody is known to.

    Args:
        said: verdict by (model, against).
    """
    names = {model: f"{'' if family == 'row zero' else 'the '}{KINDS[family]} ({results.label(model)})" for family, model in chosen.items()}
    others = {model: [one for one in names if one != model] for model in names}
    for model in names:
        if all(said[model, other] == "better" for other in others[model]):
            return f"{capital(names[model])} wins."
    top = [model for model in names if not any(said[model, other] == "worse" for other in others[model])]
    equal = all(said[one, other] == "equivalent" for one, other in combinations(top, 2))
    ending = "are equivalent" if equal else "cannot be told apart"
    return f"No single winner: {' and '.join(names[model] for model in top)} {ending}."


def told(results: Results, dataset: str, rows: pd.DataFrame, chosen: dict[str, str], pairs: list[tuple[str, str]]) -> list[str]:
    """A sentence a pair of families, and the smallest difference that could have been shown."""
    value, sentences, named = results.mean(dataset)["value"], [], set()
    for pair in pairs:
        terms = []
        for family in pair:
            model = chosen[family]
            detail = "" if family in named else f", {model}{start(results, model)}, at {number(value[model])},"
            terms.append(f"{LEADS[family]}{detail}")
            named.add(family)
        text = difference(rows.loc[(chosen[pair[0]], chosen[pair[1]])], results.study["evaluation"]["margin"])
        sentences.append(f"{capital(terms[0])} {text.format(other=terms[1].rstrip(','))}.")
    least = max(rows.loc[(chosen[a], chosen[b]), "smallest_detectable"] for a, b in pairs)
    return [*sentences, f"The smallest difference in mean AUROC that these data could have shown is {number(least)}."]


def start(results: Results, model: str) -> str:
    """Where a network's weights start, in brackets; nothing for row zero."""
    return "" if results.family(model) == "row zero" else f" ({results.weights(model)})"


def difference(row: pd.Series, margin: float) -> str:
    """A paired difference in words, with ``{other}`` where the other model goes: by how much, and what the interval leaves open."""
    interval = f"95 % interval {number(row['low'], 3, True)} to {number(row['high'], 3, True)}"
    size = f"{number(row['difference'], 3, True)} ({interval})"
    if row["verdict"] == "equivalent":
        return f"is equivalent to {{other}}: the difference in mean AUROC is {size}, its 90 % interval within ±{margin:g}"
    if row["verdict"] == "cannot tell":
        return f"cannot be told from {{other}}: the difference in mean AUROC is {size}, which leaves open who is better"
    small = f", though it is less than the {margin:g} that this study calls of practical matter" if abs(row["difference"]) < margin else ""
    how = f"{row['verdict']} than {{other}}"
    return f"is {how}, by {number(abs(row['difference']))} in mean AUROC: the difference is {size}, which does not leave that open{small}"


def too_small(results: Results, dataset: str, chosen: dict[str, str]) -> list[str]:
    """Why nothing is judged, and the values for the record."""
    mean = results.mean(dataset)
    facts, value = mean.loc[next(iter(chosen.values()))], mean["value"]
    values = "; ".join(f"{LEADS[family]}, {model}{start(results, model)}, {number(value[model])}" for family, model in chosen.items())
    return [
        f"The test part holds {facts.blocks} blocks, and its scarcest target has {facts.independent_positives} positives that do not "
        f"overlap. Under {FEWEST_BLOCKS} blocks or {FEWEST_POSITIVES} such positives no interval is given, no difference is read, and nobody wins.",
        f"For the record only, mean AUROC on the test part: {values}.",
    ]


def costs(results: Results, dataset: str, chosen: dict[str, str]) -> str:
    """What the transformer cost against the others, in one sentence."""
    spent = {family: results.seconds(dataset, model) for family, model in chosen.items()}
    if "transformer" not in spent or len(spent) < 2:
        return f"Training took {', '.join(f'{seconds(value)} for {KINDS[family]}' for family, value in spent.items())}, a seed."
    ratios = " and ".join(
        f"{number(spent['transformer'] / value, 1)} times as long as {'row zero' if family == 'row zero' else 'the CNN'} ({seconds(value)})"
        for family, value in spent.items()
        if family != "transformer"
    )
    return f"Training the transformer took {seconds(spent['transformer'])} a seed, {ratios}."


def capital(text: str) -> str:
    """Text with its first letter raised, the others as they are."""
    return text[:1].upper() + text[1:]
