"""Probes: logistic regressions on what a frozen network makes of windows; layer, pooling and penalty are chosen on validation."""

import logging
from pathlib import Path

import numpy as np
import torch

from regdna import models
from regdna.embed import BASES, Embeddings, count_tokens, identity
from regdna.models import network, weights
from regdna.models.classifier import log_odds
from regdna.models.logistic import fit_path
from regdna.models.precision import resolve
from regdna.step import InputError, progress
from regdna.train.data import Data
from regdna.train.measure import count, forward_flops, mean_ap

log = logging.getLogger("regdna")
# ASSUME: a probe's penalty is one of nine from 0.0001 to 10,000, as scikit-learn's 1/C: the summed loss has half the penalty times the
# squared weights of the standardised features added to it.
STRENGTHS = tuple(10.0**power for power in range(-4, 5))


def fit(about: dict, data: Data, folder: Path, embeddings: Path, start: Path | None = None) -> dict:
    """Fit a probe on the frozen network and save both as one classifier, with the table of what was tried.

    Every layer is tried with every pooling that was embedded, under every penalty. Where not all windows of training and
    validation were embedded, the rest follow for the layer and pooling that were chosen, and the penalty is chosen again.

    Args:
        about: of the checkpoint.
        data: the dataset.
        folder: exists and is empty.
        embeddings: folder that ``regdna.embed`` wrote for this network and these windows.
        start: folder of published weights; None begins with random ones.

    Returns:
        What to add to the ledger.

    Raises:
        ValueError: no target has both classes among the validation windows.
        InputError: embeddings of another network, other windows or another split.
    """
    held = _opened(embeddings, data, about["split_digest"])
    family = models.family(about["architecture"])
    net = family.build(about, data.sample, start).to(network.device())
    about = {**about, "initial_digest": weights.digest(dict(net.named_parameters()))}
    if identity(net) != held.about["digest"]:
        raise InputError(f"{embeddings}: made with another network than {about['model']} is; delete it and run again")
    table = sweep(held, data, [(layer, name) for layer in range(held.layers + 1) for name in held.poolings])
    best = choose(table)
    for row in table:
        log.info("layer %(layer)d, %(pooling)s: validation AP %(validation_ap).4f with l2 %(l2)g", row)
    family.set_pooling(net, best["pooling"], best["layer"])
    net.to(network.device())
    precision = about.get("training", {}).get("precision", "auto")
    (seen, rows, more), (checked, checks, others) = (_all(net, held, best, data, part, precision) for part in ("train", "validation"))
    weight, bias, l2, ap = _fitted(seen, data, rows, checked, checks)
    with torch.no_grad():
        net.head.weight.copy_(torch.from_numpy(weight))
        net.head.bias.copy_(torch.from_numpy(bias))
    chosen = {"pooling": best["pooling"], "layer": best["layer"], "l2": l2}
    log.info("chosen: layer %d of %d, %s, l2 %g: validation AP %.4f", best["layer"], held.layers, best["pooling"], l2, ap)
    about = {**about, "parameters": {**about["parameters"], **chosen}, "sweep": table, "validation_ap": ap}
    family.save(folder, about, net)
    embedded = len(np.union1d(held.rows, np.concatenate([rows, checks])))
    return {
        "parameters": count(net),
        "trained_parameters": int(weight.size + bias.size),
        "sequences": len(rows),
        "tokens": held.about["tokens"] + more + others,
        "steps": 0,
        "epochs": 0,
        "initial_digest": about["initial_digest"],
        "flops": forward_flops(net, data.sequences[rows[:2]]) * embedded,
        "validation_ap": ap,
        "precision": resolve(precision),
    }


def best_pooling(embeddings: Path, data: Data) -> tuple[str, dict[str, float]]:
    """The pooling whose probe on the last layer ranks the validation windows best, and every candidate's mean validation AP.

    Args:
        embeddings: folder that ``regdna.embed`` wrote for the network before training and these windows.
        data: the dataset; only training windows that are in its training part are fitted on.

    Raises:
        ValueError: no target has both classes among the validation windows.
        InputError: the folder is not whole, or of other windows.
    """
    # ASSUME: `best` is the pooling whose probe on the network before training has the highest mean average precision on validation windows.
    held = _opened(embeddings, data)
    table = sweep(held, data, [(held.layers, name) for name in held.poolings])
    scores = {row["pooling"]: row["validation_ap"] for row in table}
    name = choose(table)["pooling"]
    log.info("pooling %s: validation AP %s", name, ", ".join(f"{one} {score:.4f}" for one, score in scores.items()))
    return name, scores


def sweep(held: Embeddings, data: Data, readings: list[tuple[int, str]]) -> list[dict]:
    """The best penalty of each reading: layer, pooling, l2, validation_ap (mean over targets), in the order of ``readings``.

    Args:
        held: the embeddings; of their windows those count that are in the training or validation part.
        data: the dataset.
        readings: (layer, pooling).

    Raises:
        ValueError: no training window was embedded, or no target has both classes among the validation windows.
    """
    places, checks = (held.places(data.rows(part)) for part in ("train", "validation"))
    table, show = [], progress(len(readings), "probes", "layers and poolings")
    for layer, name in readings:
        seen, checked = held.read(name, layer, places), held.read(name, layer, checks)
        *_, l2, ap = _fitted(seen, data, held.rows[places], checked, held.rows[checks])
        table.append({"layer": layer, "pooling": name, "l2": l2, "validation_ap": ap})
        show(len(table))
    return table


def choose(table: list[dict]) -> dict:
    """The row with the highest validation AP; of equal ones the first, which is the one of the lowest layer."""
    return max(table, key=lambda row: row["validation_ap"])


def _fitted(
    seen: np.ndarray, data: Data, rows: np.ndarray, checked: np.ndarray, checks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Weight, bias, penalty and validation AP of the best regression of a path; of equal ones that with the strongest penalty.

    Args:
        seen, checked: embeddings of training and validation windows, float (n, width) and (m, width).
        rows, checks: the windows' numbers.
    """
    truth, known = data.targets[checks], data.targets.known(checks)
    positives, total = truth.sum(0), len(checks) if known is None else known.sum(0)
    if not len(rows) or not ((positives > 0) & (positives < total)).any():
        raise ValueError(
            "no target has both classes among the validation windows, so no probe can be chosen; choose another validation part"
        )
    paths = fit_path(seen, data.targets[rows], data.targets.known(rows), data.exclusive, STRENGTHS, network.device())
    fits = []
    for l2, weight, bias in zip(STRENGTHS, *paths, strict=True):
        odds = log_odds(checked.astype(np.float64) @ weight.T + bias, data.exclusive)
        fits.append((weight, bias, l2, mean_ap(truth, odds, known)))
    return max(reversed(fits), key=lambda one: one[-1])


def _all(net: object, held: Embeddings, best: dict, data: Data, part: str, precision: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Embeddings, float32 (n, width), of all windows of a part as ``net`` reads them, their numbers, and the tokens that this took."""
    rows = data.rows(part)
    places = held.places(rows)
    if len(places) == len(rows):
        return held.read(best["pooling"], best["layer"], places), rows, 0
    out = np.empty((len(rows), net.head.in_features), np.float32)
    batch = max(1, BASES // data.sequences.length)
    step, show, tokens = network.READ * batch, progress(len(rows), f"embedding {part}"), 0
    for at in range(0, len(rows), step):
        codes = data.sequences[rows[at : at + step]]
        out[at : at + step], tokens = network.run(net, codes, batch, "embed", precision), tokens + count_tokens(net, codes)
        show(min(at + step, len(rows)))
    return out, rows, tokens


def _opened(folder: Path | None, data: Data, split_digest: str | None = None) -> Embeddings:
    """Embeddings that fit the data.

    Raises:
        InputError: none were given, or they are of other windows.
    """
    if folder is None:
        raise InputError("no embeddings were given; make them with the rule embed_windows, which runs before training")
    held = Embeddings(folder)
    if held.about["length"] != data.sequences.length or (len(held.rows) and held.rows[-1] >= len(data.sequences)):
        raise InputError(f"{folder}: made of windows of {held.about['length']} bp; delete it and run again")
    if split_digest is not None and held.about["split_digest"] != split_digest:
        raise InputError(f"{folder}: made for split {held.about['split_digest']}, this is {split_digest}; delete it and run again")
    return held
