"""Train one model of a study on a dataset: fitted features, a trained network, or a probe on a frozen one."""

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from regdna import models
from regdna.alphabet import N, reverse_complement
from regdna.models.classifier import log_odds
from regdna.step import progress
from regdna.store import atomic
from regdna.targets import Targets
from regdna.windows import Sequences

log = logging.getLogger("regdna")


@dataclass
class Data:
    """A dataset as training sees it.

    Attributes:
        sequences, targets: of every window, in the same order.
        windows: chrom, start, end, split.
        exclusive: the targets are classes of which each window has one.
    """

    sequences: Sequences
    targets: Targets
    windows: pd.DataFrame
    exclusive: bool

    def rows(self, part: str) -> np.ndarray:
        """Row numbers of the windows of a part, ascending."""
        return np.flatnonzero(self.windows["split"].to_numpy() == part)

    def position(self, rows: np.ndarray) -> np.ndarray:
        """Centre of windows on their chromosome in bp, float (n,)."""
        return ((self.windows["start"] + self.windows["end"]) / 2).to_numpy()[rows]


def fit_features(about: dict, data: Data, folder: Path) -> dict:
    """Fit a row-zero model and save it to ``folder``; gives what to add to the ledger."""
    from regdna.models import linear

    rows = data.rows("train")
    features = models.module(about["architecture"]).features(data.sequences[rows], data.position(rows), about["parameters"])
    weight, bias = linear.fit_logistic(features, data.targets[rows], data.exclusive, about["parameters"]["l2"])
    linear.save(folder, about, weight, bias)
    return {
        "parameters": int(weight.size + bias.size),
        "trained_parameters": int(weight.size + bias.size),
        "sequences": len(rows),
        "steps": 0,
        "epochs": 0,
    }


def fit_probe(about: dict, data: Data, folder: Path, start: Path | None = None) -> dict:
    """Fit a linear probe on the frozen network and save network and probe as one classifier.

    Args:
        start: folder of published weights; None begins with random ones.
    """
    import torch

    from regdna.models import linear, network

    rows = data.rows("train")
    net, about = begin(about, data, rows, start)
    embedding = network.run(net, data.sequences[rows], about["batch_size"], "embed").astype(np.float64)
    weight, bias = linear.fit_logistic(embedding, data.targets[rows], data.exclusive, about["parameters"]["l2"])
    with torch.no_grad():
        net.head.weight.copy_(torch.from_numpy(weight))
        net.head.bias.copy_(torch.from_numpy(bias))
    models.family(about["architecture"]).save(folder, about, net)
    return {"parameters": count(net), "trained_parameters": int(weight.size + bias.size), "sequences": len(rows),
            "steps": 0, "epochs": 0, "initial_digest": about["initial_digest"],
            "flops": forward_flops(net, data.sequences[rows[:2]]) * len(rows)}  # fmt: skip


def begin(about: dict, data: Data, rows: np.ndarray, start: Path | None) -> tuple:
    """The network as training finds it, on its device, and ``about`` with the pooling chosen and a digest of its weights.

    Where the entry asks for the ``best`` pooling, probes on the frozen network choose it on the validation windows.

    Args:
        rows: of the training windows.
        start: folder of published weights; None begins with random ones.
    """
    from regdna.models import network, weights

    family = models.family(about["architecture"])
    net = family.build(about, lambda: sample(data, rows), start).to(network.device())
    about = {**about, "initial_digest": weights.digest(dict(net.named_parameters()))}
    if about["parameters"].get("pooling") == "best":
        some, checks = (few(part) for part in (rows, data.rows("validation")))
        embedded = (network.run(net, data.sequences[part], about["batch_size"], "embed") for part in (some, checks))
        chosen, scores = family.choose_pooling(net, *embedded, data.targets[some], data.targets[checks], data.exclusive, about)
        log.info("pooling %s: validation AP %s", chosen, ", ".join(f"{name} {score:.4f}" for name, score in scores.items()))
        about = {**about, "parameters": {**about["parameters"], "pooling": chosen}, "pooling_ap": scores}
    if about["regime"] in ("lora", "ia3"):
        family.adapt(net, about)
    return net, about


def few(rows: np.ndarray) -> np.ndarray:
    """Evenly spaced rows, not many more than it takes to choose a pooling by."""
    return rows[:: max(1, len(rows) // 5000)]


def fit_network(about: dict, data: Data, folder: Path, settings: dict, state: Path, start: Path | None = None) -> dict:
    """Train a network by gradient descent and save its best epoch to ``folder``.

    After every epoch the whole state is saved to ``state``; a later call with the same arguments continues from there
    and ends with the same weights, bit for bit on a CPU with the same number of threads: the order of the rows, the
    augmentation and the dropout of an epoch are drawn from (seed, epoch) alone.

    Args:
        settings: epochs, batch_size, learning_rate, weight_decay, warmup, clip, patience, reverse_complement, shift.
        state: file of the training state.
        start: folder of published weights; None begins with random ones.

    Returns:
        What to add to the ledger.
    """
    import torch

    from regdna.models import network

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # finds bugs, decides nothing, costs time
    rows, checks = data.rows("train"), data.rows("validation")
    positives = data.targets[checks].sum(0)
    if not ((positives > 0) & (positives < len(checks))).any():
        raise ValueError(
            "no target has both classes among the validation windows, so no epoch can be chosen; choose another validation part"
        )
    net, about = begin(about, data, rows, start)
    per_epoch = math.ceil(len(rows) / settings["batch_size"])
    optimiser = torch.optim.AdamW(groups(net, settings["weight_decay"]), lr=settings["learning_rate"])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, warm_cosine(settings["warmup"], per_epoch * settings["epochs"]))
    now = {"epoch": 0, "best": None, "best_ap": -1.0, "best_epoch": 0, "history": [], "attempts": 1, "seconds": 0.0}
    resumed, earlier = None, 0.0
    if state.is_file():
        saved = torch.load(state, map_location=network.device(), weights_only=True)
        net.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        now = {**saved["now"], "attempts": saved["now"]["attempts"] + 1}
        resumed, earlier = now["epoch"], now["seconds"]
        log.info("resumed after epoch %d of %d", resumed, settings["epochs"])
    begun = time.perf_counter() - now["seconds"]
    show = progress(settings["epochs"] * len(rows), f"training {about['model']}")
    while now["epoch"] < settings["epochs"] and now["epoch"] - now["best_epoch"] < settings["patience"]:
        now["epoch"] += 1
        loss = _epoch(net, optimiser, schedule, data, rows, settings, (about["seed"], now["epoch"]), show)
        logits = network.run(net, data.sequences[checks], settings["batch_size"]).astype(np.float64)
        ap = mean_ap(data.targets[checks], log_odds(logits, data.exclusive))
        now["history"].append({"epoch": now["epoch"], "loss": loss, "validation_ap": ap})
        log.info("epoch %d: loss %.4f, validation AP %.4f", now["epoch"], loss, ap)
        if ap > now["best_ap"]:
            now["best_ap"], now["best_epoch"] = ap, now["epoch"]
            now["best"] = {name: value.detach().clone() for name, value in net.state_dict().items()}
        now["seconds"] = time.perf_counter() - begun
        with atomic(state) as temporary:
            torch.save({"network": net.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
                        "now": now}, temporary)  # fmt: skip
    net.load_state_dict(now["best"])
    trained = sum(one.numel() for one in net.parameters() if one.requires_grad)
    models.family(about["architecture"]).save(folder, {**about, "history": now["history"], "best_epoch": now["best_epoch"]}, net)
    seen = now["epoch"] * len(rows)
    return {"parameters": count(net), "trained_parameters": trained, "sequences": seen, "steps": now["epoch"] * per_epoch,
            "epochs": now["epoch"], "earlier_seconds": round(earlier, 3), "attempts": now["attempts"],
            "resumed_from": resumed, "initial_digest": about["initial_digest"],
            "flops": 3 * forward_flops(net, data.sequences[rows[:2]]) * seen}  # fmt: skip


def _epoch(net, optimiser, schedule, data: Data, rows: np.ndarray, settings: dict, key: tuple[int, int], show) -> float:
    """One pass over the training rows; gives the mean loss."""
    import torch

    draw = np.random.default_rng(key)
    torch.manual_seed(int(draw.integers(2**62)))
    order = draw.permutation(rows)
    where = next(net.parameters()).device
    net.train()
    total = 0.0
    for at in range(0, len(order), settings["batch_size"]):
        batch = order[at : at + settings["batch_size"]]
        if len(batch) == 1 and len(order) > 1:
            continue  # batch normalisation has no variance on one row
        codes = augment(data.sequences[batch], draw, settings)
        inputs = {name: value.to(where) for name, value in net.encode(codes).items()}
        loss = loss_of(net(**inputs).logits, torch.from_numpy(data.targets[batch]).to(where), data.exclusive)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), settings["clip"])
        optimiser.step()
        schedule.step()
        total += loss.item() * len(batch)
        show((key[1] - 1) * len(order) + at + len(batch))
    if not math.isfinite(total):
        raise FloatingPointError(f"the loss is {total} in epoch {key[1]}; lower training.learning_rate")
    return total / len(order)


def augment(codes: np.ndarray, draw: np.random.Generator, settings: dict) -> np.ndarray:
    """Codes with half of the rows on the other strand and all shifted by up to ``shift`` bp, as the settings ask.

    A shift moves the window's content and fills the end with N. uint8 (n, L) in and out.
    """
    if settings["reverse_complement"]:
        other = draw.random(len(codes)) < 0.5
        codes = np.where(other[:, None], reverse_complement(codes), codes)
    if settings["shift"]:
        moved = draw.integers(-settings["shift"], settings["shift"] + 1, len(codes))[:, None]
        source = np.arange(codes.shape[1])[None] + moved
        inside = (source >= 0) & (source < codes.shape[1])
        codes = np.where(inside, np.take_along_axis(codes, np.where(inside, source, 0), 1), N).astype(np.uint8)
    return codes


def loss_of(logits, labels, exclusive: bool):
    """Mean cross-entropy: softmax over exclusive targets, else binary over all; tensors (n, T)."""
    from torch.nn import functional

    if exclusive:
        return functional.cross_entropy(logits, labels.float().argmax(1))
    return functional.binary_cross_entropy_with_logits(logits, labels.float())


def mean_ap(labels: np.ndarray, odds: np.ndarray) -> float:
    """Mean average precision over targets that have both classes; what early stopping goes by.

    Args:
        labels: bool (n, T).
        odds: log-odds, float (n, T); the logits of a softmax would not do, they rank within a row only.
    """
    from sklearn.metrics import average_precision_score

    both = [target for target in range(labels.shape[1]) if 0 < labels[:, target].sum() < len(labels)]
    return float(np.mean([average_precision_score(labels[:, target], odds[:, target]) for target in both])) if both else 0.0


def warm_cosine(warmup: float, steps: int):
    """Learning-rate factor by step: linear over the first share ``warmup``, then a half cosine to zero."""
    warm = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))

    return factor


def groups(net, weight_decay: float) -> list[dict]:
    """Parameters in two groups: matrices with weight decay; biases and normalisation without."""
    trained = [one for one in net.parameters() if one.requires_grad]
    wide = [one for one in trained if one.ndim > 1]
    flat = [one for one in trained if one.ndim <= 1]
    return [{"params": wide, "weight_decay": weight_decay}, {"params": flat, "weight_decay": 0.0}]


def sample(data: Data, rows: np.ndarray) -> np.ndarray:
    """Evenly spaced training windows of about five million bases in all, uint8 (n, L); what a tokeniser is learned from."""
    return data.sequences[rows[:: max(1, len(rows) * data.sequences.length // 5_000_000)]]


def count(net) -> int:
    """Number of parameters."""
    return sum(one.numel() for one in net.parameters())


def forward_flops(net, codes: np.ndarray) -> float:
    """Floating-point operations of one forward pass of one sequence, two per multiply-add, counted by torch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    was_training = net.training
    net.eval()
    where = next(net.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(**{name: value.to(where) for name, value in net.encode(codes).items()})
    net.train(was_training)
    return counter.get_total_flops() / len(codes)
