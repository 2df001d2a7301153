"""How many GPU-hours a study takes, before any of it runs: from what past runs took, else from a table of speeds.

Counted are training, trials, and predictions of validation and test windows, with the start-up of their jobs; not mutagenesis and
variants.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from regdna.plan import extent
from regdna.step import InputError

# Forward passes that a step of training is worth: backward takes two, of which frozen weights save one (Kaplan et al. 2020,
# arXiv:2001.08361, section 2.1). A probe reads the network once.
PASSES = {"full": 3, "lora": 2, "ia3": 2, "probe": 1}
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}  # of the windows, where neither files nor a certificate say it
START_SECONDS = 30  # that a job holds its GPU before it computes: libraries, weights, windows
POSITIVE = 0.15  # share of a genome's bins with a target, where others are drawn to match them
PART = re.compile(r"(?P<train>train)|(?P<validation>val|dev)|(?P<test>test)", re.IGNORECASE)
# Parameters that do not change how long a pass takes, or hardly; some of them are chosen in training.
IDLE = {"pooling", "layer", "l2", "dropout", "dropouts", "hidden_dropout", "adapter_dropout", "rank", "alpha"}
MOST_RUNS = 200  # that are read of the past
SPEEDS = {"name": str, "mflop_per_kb": int, "tokens_per_kb": int, "tflops": int, "source": str}


@dataclass(frozen=True)
class Estimate:
    """GPU-hours of a study.

    Attributes:
        hours: by model, over its datasets and seeds; 0 without a GPU, None where nobody knows.
        busy: of these, the hours in which something is computed.
        runs, trials: of networks.
        measured: how many of the runs have their time from past ones.
        devices: that those ran on.
    """

    hours: dict[str, float | None]
    busy: float
    runs: int
    trials: int
    measured: int
    devices: list[str]

    @property
    def total(self) -> float:
        """GPU-hours of all models that a figure is known of."""
        return sum(hours or 0.0 for hours in self.hours.values())

    def words(self) -> str:
        """What is said of a study, in one line."""
        unknown = [model for model, hours in self.hours.items() if hours is None]
        counts = f"estimated; {self.runs} training runs, {self.trials} trials, {self.measured} from past runs"
        on = " and ".join(self.devices if self.runs == self.measured else ["an A100", *self.devices])
        about = f"about {self.total:.2g} GPU-hours" if self.total < 9.95 else f"about {self.total:,.0f} GPU-hours"
        more = f"; of unknown cost: {', '.join(unknown)}" if unknown else ""
        if unknown and not self.total:
            return f"no estimate of GPU-hours for {', '.join(unknown)}"
        return f"{about} on {on} ({counts}){more}"


def estimate(
    study: dict, sources: dict, lengths: dict[str, int], table: pd.DataFrame, past: Iterable[dict] = (), counts: dict | None = None
) -> Estimate:
    """GPU-hours of every model of a study.

    Args:
        study: validated, its models completed.
        sources: every source, completed.
        lengths: bases of each assembly.
        table: speeds on an A100 in bf16, by name of weights' source or architecture: mflop_per_kb of a forward pass (0: by its
            sizes), tokens_per_kb, sustained tflops (0: takes no GPU).
        past: as ``past_runs`` gives them.
        counts: windows of each part of datasets whose split is made, by dataset.
    """
    speeds, past = table.to_dict("index"), list(past)
    hours: dict[str, float | None] = {}
    runs = trials = measured = 0
    busy = 0.0
    devices: dict[str, None] = {}
    parts = {name: _bases(entry, sources, lengths, (counts or {}).get(name)) for name, entry in study["datasets"].items()}
    for model, entry in study["models"].items():
        known = speeds.get(entry.get("weights", "")) or speeds.get(entry["architecture"])
        if known and not known["tflops"]:
            hours[model] = 0.0
            continue
        several = entry.get("tuning", {}).get("trials", 0)
        waits = START_SECONDS * entry.get("gpu", 1) * (2 * len(entry["seeds"]) + several)  # training and prediction of a seed; a trial
        runs += len(entry["seeds"]) * len(entry["datasets"])
        trials += several * len(entry["datasets"])
        spent: list[float | None] = []
        for dataset in entry["datasets"]:
            bases, length = parts[dataset]
            view = entry["context"] or length
            like = _nearest(entry, view, past)
            rate = _rate(like, entry) if like else _reckoned(entry, known, view)
            if not bases or not rate:
                spent.append(None)
                continue
            measured += len(entry["seeds"]) if like else 0
            devices |= {like["device"]: None} if like else {}
            shown = {part: some * (entry["context"] / length if entry["context"] and length else 1.0) for part, some in bases.items()}
            spent.append(rate * _passes(entry, shown, several) / 3600)
            busy += spent[-1]
        hours[model] = None if None in spent else sum(spent) + len(spent) * waits / 3600
    return Estimate(hours, busy, runs, trials, measured, list(devices))


def check_budget(study: dict, found: Estimate, name: str) -> None:
    """Refuse a study that takes more than it may.

    Args:
        name: file to name in messages.

    Raises:
        InputError: with the estimate, the budget and the model that takes most.
    """
    most = study.get("budget", {}).get("gpu_hours")
    if most is not None and found.total > most:
        dearest = max(found.hours, key=lambda model: found.hours[model] or 0.0)
        raise InputError(
            f"{name}: budget.gpu_hours: {most:g}, but the study takes {found.words()}, most of it {dearest}; "
            "take fewer seeds, epochs, trials or training_sites, or raise the budget"
        )


def past_runs(results: Path) -> list[dict]:
    """What training runs on GPUs took, one of each dataset and model, from the results of any study.

    Returns:
        Of each architecture, weights, parameters, regime, length (bp), precision, device, sequences seen, and GPU-seconds of training.
    """
    folders: dict[Path, Path] = {}
    for path in sorted(results.glob("*/*/*/seed*/compute.json")):
        folders.setdefault(path.parent.parent, path)
    found = []
    for path in list(folders.values())[:MOST_RUNS]:
        try:
            cost = json.loads(path.read_text())
            about = json.loads((path.parent / "checkpoint/about.json").read_text()) if cost.get("gpu_seconds") else None
        except (OSError, ValueError):  # half removed, or written by hand: nothing to reckon with
            continue
        if about and cost.get("seconds") and cost.get("sequences"):
            kept = {name: about.get(name, "") for name in ("architecture", "weights", "parameters", "regime", "length")}
            seconds = cost["seconds"] * cost.get("processes", 1)
            found.append({**kept, **{name: cost.get(name) for name in ("precision", "device", "sequences")}, "gpu_seconds": seconds})
    return found


def known_counts(folder: Path, datasets: Iterable[str]) -> dict[str, dict]:
    """Windows of each part of those datasets whose split is made.

    Args:
        folder: of the study's results.
    """
    found = {}
    for name in datasets:
        try:
            found[name] = json.loads((folder / name / "splits.json").read_text())["counts"]
        except (OSError, ValueError, KeyError):  # not made yet, or half removed
            continue
    return found


def forward_flops(parameters: dict, length: int, tokens: float) -> float | None:
    """About how many operations a forward pass of a network of these sizes takes, two per multiply-add; None if no sizes are known.

    Transformer: 2 P T + 4 L T^2 h for T tokens, L layers of width h and, P = L (4 h^2 + 3 h i) weights in its layers (i wide inside,
    gated; Kaplan et al. 2020, arXiv:2001.08361, table 1). CNN: 2 positions x width x channels in x channels out of each convolution,
    and its dense layers.

    Args:
        parameters: of the study's entry, complete.
        length: bp.
        tokens: of a sequence; a CNN has none.
    """
    if "layers" in parameters:
        width, layers = parameters["hidden"], parameters["layers"]
        weights = layers * (4 * width**2 + 3 * width * parameters["intermediate"])
        return 2.0 * weights * tokens + 4.0 * layers * tokens**2 * width
    if "filters" not in parameters:
        return None
    total, channels, positions = 0.0, 4, float(length)
    for filters, size, pool in zip(parameters["filters"], parameters["widths"], parameters["pools"], strict=True):
        total += 2 * positions * size * channels * filters
        channels, positions = filters, positions / pool
    total += parameters.get("blocks", 0) * 2 * positions * 4 * channels * parameters.get("dilated", 0)  # widths 3 and 1
    hidden = parameters["hidden"]
    return total + 2 * hidden * (positions * channels + hidden)


def training_bytes(entry: dict, parameters: dict, weights: int, trained: int, length: int, tokens: float) -> tuple[float, bool]:
    """About how many bytes of GPU memory training takes at its peak, and whether activations are among them: sizes may not be known.

    Weights in float32, and for those that are trained gradients and the two moments of AdamW (Kingma and Ba 2015; Loshchilov and
    Hutter 2019), 4 bytes each; in bf16 a copy of the weights besides; activations of one micro-batch, by ``activation_bytes``.

    Args:
        entry: of the study, complete.
        parameters: the network's sizes, as its checkpoint says them.
        weights, trained: numbers of parameters.
        length: bp that the network sees.
        tokens: of a sequence; a CNN has none.
    """
    settings = entry["training"]
    # ASSUME: memory that was not measured is that of training on a card that has bf16, where `precision` is auto.
    half = settings["precision"] != "float32"
    probe = entry["regime"] == "probe"
    each = -(-settings["batch_size"] // max(1, entry.get("gpu", 1)))  # what a GPU is given at once, where the study does not say less
    batch = each if probe else min(settings["micro_batch"] or each, each)
    one = activation_bytes(parameters, length, tokens, half)
    if one and probe:  # nothing is kept for a backward pass, so that one layer at a time is held
        one /= parameters.get("layers", 1)
    return weights * (4.0 + 2.0 * half) + (0.0 if probe else 12.0 * trained) + batch * (one or 0.0), one is not None


def activation_bytes(parameters: dict, length: int, tokens: float, half: bool) -> float | None:
    """About how many bytes of activations training keeps of one sequence; None if no sizes are known.

    Transformer: tokens x layers x (18 h + m i) x 2 bytes in float32, for width h and inner width i, with m 4, or 8 where the inner layer
    is gated or its GELU is spelt out (Korthikanti et al. 2023, MLSys, section 4.1, whose 34 h is this at i = 4 h, without the scores
    of attention, which ``scaled_dot_product_attention`` does not keep); half of it in bf16, and 8 h bytes more, since normalisations
    stay in float32. CNN: what each convolution, its normalisation, activation and pool put out.

    Args:
        half: in bf16; else in float32.
    """
    size = 2 if half else 4
    if "layers" in parameters:
        width, inner = parameters["hidden"], parameters["intermediate"]
        plain = "k" in parameters and "version" not in parameters  # DNABERT alone
        kept = 18.0 * width + (4 if plain else 8) * inner
        return tokens * parameters["layers"] * (kept + 8 * width if half else 2 * kept)
    if "filters" not in parameters:
        return None
    total, channels, positions = 4.0 * length, 4, float(length)
    for filters, pool in zip(parameters["filters"], parameters["pools"], strict=True):
        total += positions * filters * (3 + 1 / pool)
        channels, positions = filters, positions / pool
    total += parameters.get("blocks", 0) * positions * 4 * (channels + parameters.get("dilated", 0))
    return total * size


def _bases(entry: dict, sources: dict, lengths: dict[str, int], counts: dict | None) -> tuple[dict[str, float] | None, int]:
    """About how many bases each part of a dataset has, None if nobody knows, and the length of a window, 0 if that is not known."""
    rows, total = extent(entry, sources, lengths)
    length = entry["sequences"]["length"] if "sequences" in entry else entry["windows"]["context"]
    if counts and length:
        return {part: float(counts.get(part, 0) * length) for part in SHARES}, length
    if not total:
        return None, length
    shares = _given(entry, sources, lengths) or SHARES
    if "negatives" in entry:
        total *= min(1.0, POSITIVE * (1 + entry["negatives"]["per_positive"]))
    if entry.get("sequences", {}).get("shuffled"):
        total *= 2
    bases = {part: total * share for part, share in shares.items()}
    if entry["training_sites"] and rows:
        bases["train"] = min(bases["train"], entry["training_sites"] * length)
    return bases, length


def _given(entry: dict, sources: dict, lengths: dict[str, int]) -> dict[str, float] | None:
    """Shares of the parts where each file is of one; None where they are not."""
    if entry["split"].get("rule") != "given" or "sequences" not in entry:
        return None
    sizes = dict.fromkeys(SHARES, 0.0)
    for one in entry["sequences"]["files"]:
        named = PART.search(one["file"].rpartition("/")[2])
        part = one.get("part") or (named.lastgroup if named else None)
        if part is None:
            return None
        sizes[part] += extent({"sequences": {**entry["sequences"], "files": [one]}}, sources, lengths)[1]
    total = sum(sizes.values())
    return {part: size / total for part, size in sizes.items()}


def _passes(entry: dict, bases: dict[str, float], trials: int) -> float:
    """Bases that go forward through the network, a training step counted as the passes it is worth, over all seeds and trials."""
    held_out = 2 * (bases["validation"] + bases["test"])  # both strands
    if entry["regime"] == "probe":
        return len(entry["seeds"]) * (bases["train"] + bases["validation"] + held_out)
    epochs, each = entry["training"]["epochs"], PASSES[entry["regime"]] * bases["train"]
    trial = epochs * (each * entry.get("tuning", {}).get("share", 1.0) + bases["validation"])
    return len(entry["seeds"]) * (epochs * (each + bases["validation"]) + held_out) + trials * trial


def _nearest(entry: dict, view: int, past: list[dict]) -> dict | None:
    """The past run of the same network that saw sequences of the nearest length."""
    asked = entry["training"].get("precision", "auto")
    same = [
        run
        for run in past
        if all(run[name] == entry.get(name, "") for name in ("architecture", "weights", "regime"))
        and _sizes(run["parameters"]) == _sizes(entry["parameters"])
        and asked in ("auto", run["precision"])
    ]
    return min(same, key=lambda run: abs(run["length"] - view), default=None) if view else None


def _sizes(parameters: dict) -> dict:
    return {name: value for name, value in parameters.items() if name not in IDLE}


def _rate(run: dict, entry: dict) -> float:
    """GPU-seconds a base of a forward pass, as a past run took them."""
    return run["gpu_seconds"] / (run["sequences"] * run["length"] * PASSES[entry["regime"]])


def _reckoned(entry: dict, known: dict | None, view: int) -> float | None:
    """GPU-seconds a base of a forward pass on an A100, by the table; None if it has nothing of the network."""
    if known is None:
        return None
    length = view or 1000
    published = known["mflop_per_kb"] * 1e3
    own = forward_flops(entry["parameters"], length, known["tokens_per_kb"] * length / 1000)  # with weights, the entry has no sizes
    flops = own / length if own else published
    return flops / (known["tflops"] * 1e12) if flops else None
