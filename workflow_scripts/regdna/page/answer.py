"""The answer in words: who wins, by how much, whether the data leave it open, and what it cost."""

import pandas as pd

from regdna.bootstrap import FEWEST_BLOCKS, FEWEST_POSITIVES
from regdna.page.results import MEAN, Results
from regdna.page.text import number, seconds

KINDS = {"row zero": "row zero", "cnn": "CNN", "transformer": "transformer"}


def champions(results: Results, dataset: str) -> dict[str, str]:
    """The best model of each family by validation mean AUROC; the test part has no say."""
    value = results.mean(dataset, part="validation")["value"]
    chosen = {}
    for family in ("transformer", "cnn", "row zero"):
        mine = [model for model in results.models(dataset) if results.family(model) == family and np.isfinite(value.get(model, np.nan))]
        if mine:
            chosen[family] = max(mine, key=lambda model: value[model])
    return chosen


def compared(results: Results, dataset: str, model: str, against: str) -> pd.Series | None:
    """The paired difference of two models in mean AUROC, if it is defined."""
    rows = results.comparison.query("dataset == @dataset and model == @model and against == @against and metric == 'auroc' and target == @MEAN")
    return None if rows.empty else rows.iloc[0]


def headline(results: Results, dataset: str, chosen: dict[str, str]) -> str:
    """Who wins among the best of each family, or that nobody is known to."""
    names = list(chosen.values())
    said = {(a, b): compared(results, dataset, a, b) for a in names for b in names if a != b}
    if any(row is None for row in said.values()) or len(names) < 2:
        return "Nothing to compare."
    verdict = {pair: row["verdict"] for pair, row in said.items()}
    if "too small to judge" in verdict.values():
        return "Too small to judge."
    phrase = {model: f"{'row zero' if family == 'row zero' else 'the ' + KINDS[family]} ({results.label(model)})" for family, model in chosen.items()}
    top = [a for a in names if not any(verdict[a, b] == "worse" for b in names if b != a)]
    if len(top) == 1 and all(verdict[top[0], b] == "better" for b in names if b != top[0]):
        return f"{capital(phrase[top[0]])} wins."
    equal = all(verdict[a, b] == "equivalent" for a in top for b in top if a != b)
    ending = "are equivalent" if equal else "cannot be told apart with certainty"
    return f"No single winner: {' and '.join(phrase[model] for model in top)} {ending}."


def capital(text: str) -> str:
    """Text with its first letter raised, the others as they are."""
    return text[:1].upper() + text[1:]


def difference(row: pd.Series, margin: float) -> str:
    """A paired difference in words: the verdict, by how much, and what the interval leaves open."""
    size = f"{number(row['difference'], 3, True)} (95 % interval {number(row['low'], 3, True)} to {number(row['high'], 3, True)})"
    if row["verdict"] == "equivalent":
        return f"equivalent: the difference is {size}, and its 90 % interval lies within ±{margin:g}"
    if row["verdict"] == "cannot tell":
        return f"not told apart: the difference is {size}, so these data leave open which is better"
    small = f", less than the {margin:g} that this study calls of practical matter" if abs(row["difference"]) < margin else ""
    return f"{row['verdict']}: the difference is {size}{small}; the interval excludes 0"


def verdict(results: Results, dataset: str) -> dict:
    """The answer for one dataset: a headline and about three sentences."""
    chosen, mean = champions(results, dataset), results.mean(dataset)
    full = {model: f"{model} ({results.weights(model)})" if family != "row zero" else model for family, model in chosen.items()}
    said = headline(results, dataset, chosen)
    if said == "Nothing to compare.":
        return {"headline": said, "sentences": ["Fewer than two families of models have a defined result here."], "chosen": chosen}
    margin = results.study["evaluation"]["margin"]
    pairs = [pair for pair in (("transformer", "cnn"), ("transformer", "row zero"), ("cnn", "row zero")) if set(pair) <= set(chosen)]
    lead = {"transformer": "the best transformer", "cnn": "the CNN to beat", "row zero": "the best of row zero"}
    if said == "Too small to judge.":
        facts = mean.loc[list(chosen.values())].iloc[0]
        values = "; ".join(f"{lead[family]}, {full[model]}: {number(mean.at[model, 'value'])}" for family, model in chosen.items())
        return {"headline": said, "chosen": chosen, "sentences": [
            f"The test part holds {facts.blocks} blocks, and its rarest target {facts.independent_positives} positives that do not overlap; "
            f"under {FEWEST_BLOCKS} of either, no interval is given and nobody wins.",
            f"The mean AUROC on the test part, for the record only: {values}.", costs(results, dataset, chosen)]}  # fmt: skip
    sentences, seen = [], set()
    for one, other in pairs:
        a, b = chosen[one], chosen[other]
        row = compared(results, dataset, a, b)
        terms = []
        for family, model in ((one, a), (other, b)):
            terms.append(f"{lead[family]}, {full[model]}, at {number(mean.at[model, 'value'])}" if model not in seen else f"{lead[family]}")
            seen.add(model)
        sentences.append(f"{capital(terms[0])}, against {terms[1]}, is {difference(row, margin)}.")
    least = max(compared(results, dataset, chosen[a], chosen[b])["smallest_detectable"] for a, b in pairs)
    sentences.append(f"The smallest difference in mean AUROC that these data could have shown is {number(least)}. {costs(results, dataset, chosen)}")
    return {"headline": said, "sentences": sentences, "chosen": chosen}


def costs(results: Results, dataset: str, chosen: dict[str, str]) -> str:
    """What the transformer cost against the others, in one sentence."""
    spent = {family: results.seconds(dataset, model) for family, model in chosen.items()}
    if "transformer" not in spent or len(spent) < 2:
        return f"Training took {', '.join(f'{seconds(value)} for {KINDS[family]}' for family, value in spent.items())}, a seed."
    ratios = " and ".join(
        f"{number(spent['transformer'] / value, 1)} times that of {'row zero' if family == 'row zero' else 'the CNN'} ({seconds(value)})"
        for family, value in spent.items() if family != "transformer"
    )  # fmt: skip
    return f"Training the transformer took {seconds(spent['transformer'])} a seed, {ratios}."
