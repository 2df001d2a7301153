"""What to distrust in a dataset's results: shortcuts and leaks that its own controls show, each in a sentence with numbers."""

import numpy as np

from regdna.page import transfer
from regdna.page.answer import champions
from regdna.page.results import MEAN, Beside, Results, pick
from regdna.page.strata import beside
from regdna.page.text import between, number

MOST_EXPLAINED = 0.8  # share of a model's skill above chance from which something that simple is called the reason for it
FEW = 0.01  # share of test windows found in training up to which they decide no metric by more than this
MANY = 0.1  # share of validation windows like training windows from which what they choose is in doubt
FAR = 0.05  # in mean AUROC
# ASSUME: one draw of shuffled labels moves the mean AUROC by up to 0.02 by luck, which its interval does not hold.
LUCK = 0.02
JUDGED = ("better", "worse", "equivalent", "cannot tell")  # verdicts on pairs that are large enough
SHARED = ("", "not above chance")  # those on shares
CHECKS = {
    "collapsed": "runs that learnt nothing",
    "copies": "copies of training windows in the test part",
    "chosen": "validation windows like those of training",
    "leak": "skill on windows like those of training",
    "look-up": "a look-up of training windows",
    "composition": "composition",
    "position": "position",
    "twin": "random weights in place of pretrained ones",
    "shuffled-labels": "shuffled labels",
    "transfer": "transfer that is only the mean activity",
}


def findings(results: Results, dataset: str) -> list[dict]:
    """What is wrong, by what the results say: ``kind`` (a key of ``CHECKS``) and ``sentence`` each; nothing where nothing is."""
    found = [
        *(("collapsed", one) for one in collapsed(results, dataset)),
        *(("copies", one) for one in copies(results.certificates[dataset])),
        *(("chosen", one) for one in chosen(results.certificates[dataset])),
        *(("leak", one) for one in remembered(results, dataset)),
        *(("look-up", one) for one in looked_up(results, dataset)),
        *((kind, one) for kind in ("composition", "position") for one in explained(results, dataset, kind)),
        *(("twin", one) for one in twins(results, dataset)),
        *(("shuffled-labels", one) for one in shuffled(results, dataset)),
        *(("transfer", one) for one in transfer.findings(results, dataset)),
    ]
    return [{"kind": kind, "sentence": sentence} for kind, sentence in found]


def checked(results: Results, dataset: str) -> list[str]:
    """In words, the checks that were made: those for which there are models and tables, and enough windows to judge them by."""
    controls = {model: results.study["models"][model]["control"] for model in results.models(dataset)}
    nearest, composition = (of_kind(results, dataset, kind) for kind in ("nearest", "composition"))
    shares = [one.table for one in beside(results, dataset, "explained").values()]
    mean = results.mean(dataset)
    there = {
        "collapsed": True,
        "copies": True,
        "chosen": True,
        "leak": any((pick(one.table, factor="similarity to training")["difference"].notna()).any() for one in strata(results, dataset)),
        "look-up": bool(nearest and composition) and compared(results, dataset, nearest, composition) in JUDGED,
        **{
            kind: any(pick(one, row_zero=of_kind(results, dataset, kind), metric="auroc")["verdict"].isin(SHARED).any() for one in shares)
            for kind in ("composition", "position")
        },
        "twin": any(
            control == "random-init" and compared(results, dataset, results.base(model), model) in JUDGED
            for model, control in controls.items()
        ),
        "shuffled-labels": any(
            control == "shuffled-labels" and np.isfinite(mean.loc[model, "low"]) for model, control in controls.items()
        ),
        "transfer": any(transfer.apart(one) for one in transfer.of(results, dataset).values()),
    }  # fmt: skip
    return [said for kind, said in CHECKS.items() if there[kind]]


def strata(results: Results, dataset: str) -> list[Beside]:
    """Tables of strata of a dataset's models."""
    return list(beside(results, dataset, "strata").values())


def of_kind(results: Results, dataset: str, architecture: str) -> str:
    """The first model of an architecture on a dataset, controls aside; nothing where there is none."""
    named = [model for model in results.contenders(dataset) if results.study["models"][model]["architecture"] == architecture]
    return named[0] if named else ""


def collapsed(results: Results, dataset: str) -> list[str]:
    """Runs that are no better than chance."""
    told = [f"{model}: {how}" for model in results.models(dataset) if (how := results.collapsed(dataset, model))]
    end = "Nothing was learnt there: a mean with such a run in it says little of the model."
    return [f"Collapsed runs. {'; '.join(told)}. {end}"] if told else []


def copies(certificate: dict) -> list[str]:
    """Test windows that overlap another part, or have the sequence of a training window."""
    whole, out = certificate["counts"]["test"], []
    if certificate["overlapping_windows"]:
        out.append(
            f"Leak: {certificate['overlapping_windows']:,} windows overlap a window of another part, so that models are tested on sequence "
            "that they were trained or chosen on."
        )
    shared = certificate["shared_with_training"]["test"]
    same = shared["identical"] + shared["reverse_complement"]
    if same > FEW * whole:
        out.append(f"Leak: {same:,} of {whole:,} test windows have the very sequence of a training window, on either strand.")
    return out


def chosen(certificate: dict) -> list[str]:
    """Many validation windows like training windows, where few test windows are."""
    counts, alike = certificate["counts"], {part: one["similar"] for part, one in certificate["shared_with_training"].items()}
    share = alike["validation"] / counts["validation"]
    if share <= MANY or share <= 2 * alike["test"] / counts["test"]:
        return []
    return [
        f"Chosen on what was seen: {alike['validation']:,} of {counts['validation']:,} validation windows share 30 % or more of their "
        f"21-mers with training windows, of the test windows {alike['test']:,} of {counts['test']:,}: epochs, thresholds and the best "
        "model of a family are chosen by memory too."
    ]


def remembered(results: Results, dataset: str) -> list[str]:
    """The best model of each family, where it is much better on windows that resemble training windows."""
    held, out = beside(results, dataset, "strata"), []
    for model in champions(results, dataset).values():
        # A look-up is better there by what it is.
        if model not in held or results.study["models"][model]["architecture"] == "nearest":
            continue
        some = pick(held[model].table, factor="similarity to training", metric="auroc")
        most = some[some["difference"].notna()].tail(1)
        if (most["difference_low"] > results.study["evaluation"]["margin"]).any():
            one = most.iloc[0]
            out.append(
                f"Leak: {model} reaches {number(one['value'])} on the {one['n']:,} test windows of which {one['stratum']} of the 21-mers "
                f"are in training windows, {number(one['difference'])} "
                f"{between(one['difference_low'], one['difference_high'])} more than on those with {one['against']}: part of its "
                "score is remembered sequence."
            )
    return out


def looked_up(results: Results, dataset: str) -> list[str]:
    """A look-up that is as good as the best model, and far better than composition; or one that is below chance."""
    nearest, composition = (of_kind(results, dataset, kind) for kind in ("nearest", "composition"))
    if nearest and (one := results.mean(dataset).loc[nearest])["high"] < 0.5 - FAR:
        return [
            f"Reversed: looking up the most similar training windows ({nearest}) reaches {number(one['value'])} "
            f"{between(one['low'], one['high'])}, far below chance: test windows that resemble training windows have the other label, as "
            "where negatives were made out of positives. A model may learn how they were made."
        ]
    if not nearest or not composition:
        return []
    value = results.mean(dataset)["value"]
    others = [model for model in results.contenders(dataset) if model != nearest and np.isfinite(value[model])]
    if not others or not np.isfinite(value[nearest]):
        return []
    best = max(others, key=lambda model: value[model])
    verdict = compared(results, dataset, nearest, composition)
    close = value[nearest] >= value[best] - results.study["evaluation"]["margin"]
    if not close or verdict != "better" or value[nearest] < value[composition] + FAR:
        return []
    return [
        f"Leak: looking up the most similar training windows ({nearest}) reaches {number(value[nearest])}, the best other model ({best}) "
        f"{number(value[best])} and composition {number(value[composition])}: these test windows can be answered from memory."
    ]


def compared(results: Results, dataset: str, model: str, against: str) -> str:
    """The verdict on mean AUROC of one model against another; nothing where there is none."""
    rows = pick(results.comparison, dataset=dataset, metric="auroc", target=MEAN, model=model, against=against)
    return str(rows["verdict"].iloc[0]) if len(rows) else ""


def explained(results: Results, dataset: str, architecture: str) -> list[str]:
    """Models of which composition, or position, has nearly all of the skill; each family's best."""
    held, zero = beside(results, dataset, "explained"), of_kind(results, dataset, architecture)
    name = {"composition": "Composition only: base composition", "position": "Positional shortcut: position on the chromosome"}[
        architecture
    ]
    out = []
    for model in champions(results, dataset).values():
        if model not in held or not zero or results.study["models"][model]["architecture"] in ("composition", "position"):
            continue
        one = pick(held[model].table, metric="auroc", row_zero=zero)
        if len(one) and one["share"].iloc[0] >= MOST_EXPLAINED:
            row, value = one.iloc[0], results.mean(dataset)["value"]
            bounds = f" [{row['low']:.0%}, {row['high']:.0%}]" if np.isfinite(row["low"]) else ""
            out.append(
                f"{name} ({zero}, mean AUROC {number(value[zero])}) has {row['share']:.0%}{bounds} of "
                f"the skill above chance of {model} ({number(value[model])})."
            )
    return out


def twins(results: Results, dataset: str) -> list[str]:
    """Pretrained models that are not shown to be better than the same network begun with random weights."""
    out = []
    for model in results.contenders(dataset):
        for twin in results.controls(dataset, model):
            if results.study["models"][twin]["control"] != "random-init":
                continue
            rows = pick(results.comparison, dataset=dataset, metric="auroc", target=MEAN, model=model, against=twin)
            if len(rows) and rows["verdict"].iloc[0] in ("equivalent", "cannot tell", "worse"):
                one = rows.iloc[0]
                how = {"equivalent": "is equivalent to", "cannot tell": "cannot be told from", "worse": "is worse than"}[one["verdict"]]
                out.append(
                    f"Pretraining shows no benefit: {model} {how} the same network begun with random weights (difference in mean AUROC "
                    f"{number(one['difference'], 3, True)} {between(one['low'], one['high'], True)})."
                )
    return out


def shuffled(results: Results, dataset: str) -> list[str]:
    """Controls that were trained on shuffled labels and are above chance all the same."""
    out, mean = [], results.mean(dataset)
    for model in results.models(dataset):
        one = mean.loc[model]
        if results.study["models"][model]["control"] == "shuffled-labels" and one["low"] > 0.5 + LUCK:
            out.append(
                f"Leak: {results.base(model)} reaches a mean AUROC of {number(one['value'])} {between(one['low'], one['high'])} when it is "
                "trained on shuffled labels, where nothing but chance can be learnt."
            )
    return out
