"""How models were trained: which settings were tried, which layers probes read, and how every run went."""

import numpy as np
import pandas as pd

from regdna import plots
from regdna.models import ARCHITECTURES
from regdna.page.results import Job, Results
from regdna.page.text import DASH, cell, figure, number, remake, table, words

SETTINGS = ("trial", "validation_ap", "chosen", "seconds", "message")  # columns of trials.tsv that are no settings


def tuning(results: Results, dataset: str) -> dict | None:
    """The tables of a dataset's trials and what to say of them; None where no model was tuned.

    ``table`` has one row a model, ``trials`` one a trial.
    """
    tuned = {model: results.tuned[dataset, model] for model in results.models(dataset) if (dataset, model) in results.tuned}
    if not tuned:
        return None
    counts = " to ".join(str(count) for count in np.unique([len(trials) for trials in tuned.values()]))
    said = [f"Every model of this table had {counts} trial{'' if counts == '1' else 's'}.", *untuned(results, dataset, list(tuned))]
    target = remake([f"{results.root}/{dataset}/{model}/trials.tsv" for model in tuned])
    chosen, every = [], []
    for model, trials in tuned.items():
        written, [best] = trials[trials["trial"] == 0].iloc[0], trials[trials["chosen"]].to_dict("records")
        chosen.append([
            words(results.label(model)), cell(float(len(trials)), digits=0), cell(float(trials["validation_ap"].isna().sum()), digits=0),
            cell(share := results.study["models"][model]["tuning"]["share"], f"{share:.0%}"),
            cell(written["validation_ap"], "diverged" if np.isnan(written["validation_ap"]) else None, digits=4),
            cell(best["validation_ap"], digits=4), cell(float(best["trial"]), "0, as written" if not best["trial"] else None, digits=0),
            words(settings(best)),
        ])  # fmt: skip
        for trial in trials.to_dict("records"):
            every.append([
                words(results.label(model)), cell(float(trial["trial"]), digits=0),
                cell(trial["validation_ap"], "diverged" if np.isnan(trial["validation_ap"]) else None, digits=4),
                words("yes" if trial["chosen"] else ""), cell(trial["seconds"], digits=1), words(settings(trial)),
            ])  # fmt: skip
    columns = ["model", "trials", "diverged", "share of training windows", "validation AP as written", "validation AP as chosen",
               "chosen trial", "its settings"]  # fmt: skip
    return {
        "said": said,
        "table": table("Settings, chosen on the validation windows", columns, chosen, target),
        "trials": table("Every trial", ["model", "trial", "validation AP", "chosen", "seconds", "settings"], every, target),
    }


def settings(trial: dict) -> str:
    """The settings of a trial that differ between trials."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in trial.items() if name not in SETTINGS) or "nothing was varied"


def untuned(results: Results, dataset: str, tuned: list[str]) -> list[str]:
    """Why models of a dataset had no trials, in sentences."""
    rest = [model for model in results.contenders(dataset) if model not in tuned]
    probes = [model for model in rest if results.study["models"][model]["regime"] == "probe"]
    others = [model for model in rest if model not in probes]
    controls = any(results.base(model) for model in results.models(dataset))
    return [
        *(
            [f"Layer, pooling and penalty of {' and '.join(probes)} were chosen on validation windows: nothing else to tune."]
            if probes
            else []
        ),
        *([f"resources/tuning.yaml has nothing to tune for {' and '.join(others)}."] if others else []),
        *(["Controls have the settings of the model that they are of."] if controls else []),
    ]


def probes(results: Results, dataset: str) -> list[dict]:
    """A figure for every probe of a dataset: validation AP by layer and pooling, and what was chosen of them."""
    out = []
    for model in results.contenders(dataset):
        mine = [job for job in results.jobs if (job.dataset, job.model) == (dataset, model) and "sweep" in job.about]
        if not mine:
            continue
        panels = {f"seed {job.seed}": pd.DataFrame(job.about["sweep"]) for job in mine}
        read = {f"seed {job.seed}": (job.about["parameters"]["layer"], job.about["parameters"]["pooling"]) for job in mine}
        chosen = "; ".join(
            f"{title}: layer {layer} of {panels[title]['layer'].max()}, {pooling}, penalty {job.about['parameters']['l2']:g}, "
            f"validation AP {number(job.about['validation_ap'], 4)}"
            for (title, (layer, pooling)), job in zip(read.items(), mine, strict=True)
        )
        caption = (
            f"{results.label(model)}: validation AP of the probe on each layer, 0 being what goes into the first, each with its best "
            f"penalty. Ring: what was chosen, {chosen}. Where windows are many, the lines come from some of them, the choice’s AP from all."
        )
        svg = plots.layers(panels, read, name=f"layers-{dataset}-{model}", alt=f"Validation AP of {model} by layer; chosen: {chosen}")
        out.append(figure(svg, caption, remake([f"{results.root}/{dataset}/{model}/seed{job.seed}/checkpoint" for job in mine])))
    return out


def runs(results: Results) -> dict:
    """One row a run: how far it went, what was kept of it, and how well it used what it ran on."""
    rows = []
    for job in results.jobs:
        cost, about = job.cost, job.about
        rows.append([
            words(job.dataset), words(job.model, *fate(results, job)), cell(float(job.seed), digits=0),
            count(cost["epochs"]), count(about.get("best_epoch")), cell(cost["validation_ap"], digits=4),
            words(cost.get("precision") or DASH), count(cost["steps"]), count(cost.get("micro_batch")), resumed(cost), attempts(cost),
            cell(cost["seconds"], digits=1), cell(cost["sequences_per_second"], digits=1), cell(cost["tokens_per_second"], digits=0),
            cell(cost["utilisation"], measured(cost["utilisation"], "{:.1%}")), cell(cost["joules"], measured(cost["joules"], "{:,.0f}")),
        ])  # fmt: skip
    columns = ["dataset", "model", "seed", "epochs", "best epoch", "validation AP", "precision", "updates", "windows at a time", "resumed",
               "attempts", "seconds", "sequences/s", "tokens/s", "share of the GPU’s peak", "energy, J"]  # fmt: skip
    return table("How every run went", columns, rows, f"snakemake {results.root}/ledger.tsv")


def count(value: float | None) -> dict:
    """A whole number; a dash where a model has no such thing, or none of it."""
    return cell(float(value or np.nan), f"{value:,}" if value else DASH)


def measured(value: float | None, form: str) -> str:
    """A figure, or that nobody could know it."""
    return "not measured" if value is None else form.format(value)


def resumed(cost: dict) -> dict:
    """Where the last attempt went on; a dash if it began anew."""
    at = cost["resumed_from"]
    return words(f"in epoch {at['epoch']}", f"after {at['step']:,} updates of it") if at else words(DASH)


def attempts(cost: dict) -> dict:
    """How often a run was begun, and how those attempts ended that did not end it."""
    ends = [attempt["outcome"] for attempt in cost.get("attempt_log", []) if attempt["outcome"] != "finished"]
    return cell(float(cost["attempts"]), digits=0, detail=", ".join(f"{ends.count(one)} {one}" for one in dict.fromkeys(ends)))


def fate(results: Results, job: Job) -> tuple[str, str]:
    """What a run is, and what must not be overlooked of it: that it collapsed, and which seeds were given up before it."""
    about = results.label(job.model).partition(" · ")[2]
    lost = [f"seed {one['seed']} collapsed at validation AP {number(one['validation_ap'], 4)}, given up" for one in job.cost["failures"]]
    if results.deprived(job.model):
        return "; ".join([about, *lost, *["no better than chance"] * job.cost["collapsed"]]), ""
    return about, "; ".join([*lost, *["collapsed: no better than chance"] * job.cost["collapsed"]])


def descends(results: Results, model: str) -> bool:
    """Whether a model is trained by gradient descent."""
    entry = results.study["models"][model]
    return ARCHITECTURES[entry["architecture"]].family != "row zero" and entry["regime"] != "probe"
