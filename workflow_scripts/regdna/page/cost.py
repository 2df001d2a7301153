"""Cost against skill: which models nobody beats at their price, what a 24 GB card trains, and every run of the ledger."""

import numpy as np
import pandas as pd

from regdna.estimate import training_bytes
from regdna.page.figures import looks
from regdna.page.results import Results, pick
from regdna.page.text import DASH, cell, estimate, figure, number, remake, seconds, table, words
from regdna.plots.cost import pareto

PRICES = {"hours": "hours to train one seed", "memory": "peak memory, GB", "parameters": "parameters"}
CARD = 24e9
# ASSUME: nine tenths of a card's memory can hold tensors; the rest is the driver's context and gaps between them.
USABLE = 0.9
WATT_HOUR = 3600.0  # joules
LEAST = "at least"


def show(results: Results) -> dict:
    """What the page shows of cost: for ``cost.html.j2``."""
    shown = []
    for dataset, entry in results.study["datasets"].items():
        rows = prices(results, dataset)
        shown.append({"title": entry["title"], "figure": against_skill(results, dataset, rows), "table": priced(results, dataset, rows)})
    return {"datasets": shown, "card": card(results), "runs": runs(results)}


def prices(results: Results, dataset: str) -> pd.DataFrame:
    """Skill and cost of every model of a dataset but controls, which cost what their models do; in the study's order.

    Returns:
        model; value, low, high, verdict (of mean AP, test part); device (``GPU`` or ``CPU``); hours (of that device, wall time by the
        number of devices or processes, mean over seeds); all_hours (of all seeds and trials of tuning); joules (a seed, NaN: not measured);
        memory (peak, GB: of the GPU where one was used, else of the host); parameters, trained_parameters; and for each of ``PRICES``
        ``on_{price}``: no other model has as much skill for less, or more for as much.
    """
    skill, out = results.mean(dataset, "average_precision"), []
    for model in results.contenders(dataset):
        mine, tried = (pick(kind, dataset=dataset, model=model) for kind in (results.runs, results.trials))
        gpu = mine["peak_gpu_bytes"].max() > 0 or mine["gpu_seconds"].max() > 0
        out.append({
            "model": model, **skill.loc[model, ["value", "low", "high", "verdict"]].to_dict(), "device": "GPU" if gpu else "CPU",
            "hours": device_hours(mine).mean(), "all_hours": device_hours(mine).sum() + device_hours(tried).sum(),
            "joules": mine["joules"].mean(), "memory": mine["peak_gpu_bytes" if gpu else "peak_host_bytes"].max() / 1e9,
            "parameters": float(mine["parameters"].max()), "trained_parameters": float(mine["trained_parameters"].max()),
        })  # fmt: skip
    rows = pd.DataFrame(out)
    for price in PRICES:
        rows[f"on_{price}"] = front(rows["value"].to_numpy(), rows[price].to_numpy())
    return rows


def device_hours(jobs: pd.DataFrame) -> pd.Series:
    """Hours of devices that each job of the ledger held: of its GPUs, or without one its wall time by its processes."""
    # ASSUME: where costs are compared, an hour of a processor counts as one of a GPU, though it is cheaper.
    held = jobs["wall_seconds"] * jobs["processes"].fillna(1)
    return jobs["gpu_seconds"].where(jobs["gpu_seconds"] > 0, held) / 3600


def front(skill: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Which entries nobody beats, bool (n,): none other has at least that skill for at most that price, and one of the two strictly.

    Args:
        skill, price: float (n,); an entry without either is on no front.
    """
    known = np.isfinite(skill) & np.isfinite(price)
    as_good = (skill[:, None] >= skill) & (price[:, None] <= price)
    better = (skill[:, None] > skill) | (price[:, None] < price)
    return known & ~(as_good & better & known[:, None]).any(0)


def against_skill(results: Results, dataset: str, rows: pd.DataFrame) -> dict:
    """Mean AP against each price."""
    on = {price: list(rows.loc[rows[f"on_{price}"], "model"]) for price in PRICES}
    named = "; ".join(f"by {price}: {', '.join(models) or 'none'}" for price, models in on.items())
    kinds = set(rows["device"])
    unit = "GPU-hours" if kinds == {"GPU"} else "hours of the CPU, since no GPU was used" if kinds == {"CPU"} else (
        f"GPU-hours, but of the CPU for {', '.join(rows.loc[rows['device'] == 'CPU', 'model'])}"
    )  # fmt: skip
    small = " Hollow: too small to judge." if rows["low"].isna().any() else ""
    caption = (
        f"Mean average precision on the test part against what one seed took. Hours are {unit}; memory is that of the GPU where one was "
        f"used, else of the host. Bars: 95 % intervals.{small} Ringed, on the dashed line: no model is as good for less. On this front "
        f"are, {named}."
    )
    if any(results.base(model) for model in results.models(dataset)):
        caption += " Controls are left out."
    alt = "Mean AP against training hours, memory and parameters: " + ", ".join(
        f"{row.model} {number(row.value)} at {row.hours:.2g} h, {row.memory:.2g} GB, {row.parameters:,.0f} parameters"
        for row in rows.itertuples()
    )
    svg = pareto(rows, looks(results), PRICES, name=f"cost-{dataset}", alt=alt)
    return figure(svg, caption, target(results, dataset, rows))


def target(results: Results, dataset: str, rows: pd.DataFrame) -> str:
    """The command that makes the tables again that costs are shown from."""
    return f"{remake([f'{results.root}/{dataset}/{model}/metrics.parquet' for model in rows['model']])} {results.root}/ledger.tsv"


def priced(results: Results, dataset: str, rows: pd.DataFrame) -> dict:
    """One row a model: skill, and what it took."""
    shown = []
    for row in rows.itertuples():
        on = [price for price in PRICES if getattr(row, f"on_{price}")]
        watts = row.joules / WATT_HOUR
        shown.append([
            words(results.label(row.model)), cell(row.value, estimate(row.value, row.low, row.high), detail=row.verdict),
            cell(row.hours, f"{row.hours:.3g}", detail=f"of the {row.device}"), cell(row.all_hours, f"{row.all_hours:.3g}"),
            cell(watts, f"{watts:.3g}" if np.isfinite(watts) else "not measured"),
            cell(row.memory, f"{row.memory:.3g}", detail="GPU" if row.device == "GPU" else "host"),
            cell(row.parameters, f"{row.parameters:,.0f}", detail=f"trained {row.trained_parameters:,.0f}"), words(", ".join(on) or "no"),
        ])  # fmt: skip
    columns = ["model", "mean AP [95\u00a0%]", "hours, a seed", "hours, all seeds and trials", "energy of GPUs a seed, Wh",
               "peak memory, GB", "parameters", "on the front"]  # fmt: skip
    return table("Skill and what it took", columns, shown, target(results, dataset, rows))


def card(results: Results) -> dict:
    """One row a model: the most GPU memory that training it takes on any dataset, measured or estimated, and whether 24 GB hold that."""
    rows = []
    for model, entry in results.study["models"].items():
        if results.base(model):
            continue
        if results.family(model) == "row zero":
            rows.append([words(model), cell(0.0, "none"), words("needs no GPU"), words("yes")])
            continue
        needs = {dataset: gpu_bytes(results, dataset, model) for dataset in entry["datasets"]}
        dataset = max(needs, key=lambda one: needs[one][0])
        most, how = needs[dataset]
        fits = "no" if most > USABLE * CARD else "not known" if how.startswith(LEAST) else "yes"
        size = cell(most / 1e9, "under 0.01" if most < 1e7 else f"{most / 1e9:.2g}")
        rows.append([words(results.label(model), dataset if len(needs) > 1 else ""), size, words(how), words(fits)])
    columns = ["model", "peak GPU memory of training, GB", "how it is known", "24\u00a0GB suffice"]
    caption = (
        f"What fits a 24 GB card: at most {USABLE * CARD / 1e9:.1f} GB of tensors. An estimate adds weights, gradients, two moments of "
        "AdamW and activations; a model that does not fit may with fewer windows at a time (training.micro_batch)"
    )
    return table(caption, columns, rows, f"snakemake {results.root}/ledger.tsv")


def gpu_bytes(results: Results, dataset: str, model: str) -> tuple[float, str]:
    """Peak GPU memory of training a network on a dataset in bytes, and how it is known."""
    mine = pick(results.runs, dataset=dataset, model=model)
    if mine["peak_gpu_bytes"].max() > 0:
        return float(mine["peak_gpu_bytes"].max()), f"measured on {mine.loc[mine['peak_gpu_bytes'].idxmax(), 'device']}"
    [about, *_] = [job.about for job in results.jobs if (job.dataset, job.model) == (dataset, model)]
    last, length = mine.iloc[-1], about["length"]
    tokens = last["tokens"] / last["sequences"] if last["sequences"] and np.isfinite(last["tokens"]) else float(length)
    found, whole = training_bytes(
        results.study["models"][model], about["parameters"], int(last["parameters"]), int(last["trained_parameters"]), length, tokens
    )
    return found, "estimated" if whole else f"{LEAST}, estimated: its activations are not known"


def runs(results: Results) -> dict:
    """One row a run of the ledger; what tuning took besides is a sum."""
    rows = []
    for run in results.runs.itertuples():
        rows.append([
            words(run.dataset), words(results.label(run.model)), cell(float(run.seed), digits=0), words(run.device),
            cell(run.wall_seconds, digits=1), cell(run.cpu_seconds, digits=1), cell(run.gpu_seconds, digits=1),
            cell(run.peak_host_bytes / 1e6, digits=0), cell(float(run.parameters), f"{run.parameters:,.0f}"),
            cell(float(run.sequences), f"{run.sequences:,.0f}"),
            cell(float(run.epochs), digits=0), cell(float(run.flops), f"{run.flops:.2g}" if np.isfinite(run.flops) else DASH),
            cell(float(run.attempts), digits=0),
        ])  # fmt: skip
    columns = ["dataset", "model", "seed", "device", "wall, s", "CPU, s", "GPU, s", "peak host memory, MB", "parameters",
               "sequences seen", "epochs", "FLOPs, estimate", "attempts"]  # fmt: skip
    wall, gpu = (float(results.trials[name].sum()) for name in ("wall_seconds", "gpu_seconds"))
    tuning = f"; besides, {len(results.trials)} trials of tuning took {seconds(wall)}, and {seconds(gpu)} of GPUs"
    return table(f"Every training run{tuning if len(results.trials) else ''}", columns, rows, f"snakemake {results.root}/ledger.tsv")
