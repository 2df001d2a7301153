"""Logistic regressions of all targets at once, along a path of penalties: what probes are fitted with.

L-BFGS on all targets side by side, so that its work is matrix products; each target has its own steps and its own end. It starts
from the inverse of the Hessian that a target would have if all rows weighed alike, which the features' principal axes make diagonal.

Source: Liu and Nocedal 1989, Math Program 45:503 (L-BFGS); the objective is scikit-learn's.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

log = logging.getLogger("regdna")

# A fit ends where a further step would lower the mean loss by less than this: far below what changes a probability's fourth digit.
ENOUGH = 1e-12
MOST_STEPS = 300  # as linear.fit_logistic; only where classes are all but separable and the penalty is next to nothing
MEMORY = 10  # steps that L-BFGS remembers
BLOCK_BYTES = 1 << 28  # of the logits of the targets that are fitted side by side
PIECE = 1 << 14  # rows whose products are summed before they go to float64
# Spread of a constant feature, as a share of its mean: rounding, of float64 and of what a network computes.
FLAT, FLAT_COMPUTED = 1e-12, 1e-5


def fit_path(
    features: np.ndarray,
    labels: np.ndarray,
    known: np.ndarray | None,
    exclusive: bool,
    strengths: Sequence[float],
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Fit every target under every penalty; as ``linear.fit_logistic`` does one by one, with the same handling of classes.

    The sum of losses plus ``strength / 2`` times the squared weights of the standardised features; biases are free.

    Args:
        features: float (n, F), training rows only: the scaler is fitted on them.
        labels: bool (n, T).
        known: which labels are known, bool (n, T); None for all. Of exclusive targets rows count whose labels are all known.
        exclusive: one softmax over the targets, else one sigmoid each.
        strengths: S penalties above 0, as 1/C of scikit-learn.
        device: where to compute; in float64 on a CPU, else in float32 with sums in float64.

    Returns:
        weights, float64 (S, T, F), and biases, float64 (S, T), from raw features to logits, in the order of ``strengths``. A target
        with one class in training gets no weight and the log-odds of its smoothed prevalence.

    Raises:
        ValueError: not one penalty, or one that is not above 0.
    """
    if not len(strengths) or min(strengths) <= 0:
        raise ValueError(f"penalties {list(strengths)}: give at least one, and all above 0")
    if exclusive and known is not None and not known.all():
        whole = known.all(1)
        features, labels, known = features[whole], labels[whole], None
    kind = torch.float64 if torch.device(device).type == "cpu" else torch.float32
    table = torch.ones(len(features), features.shape[1] + 1, dtype=kind, device=device)
    for begin in range(0, len(table), PIECE):
        table[begin : begin + PIECE, :-1] = torch.as_tensor(np.asarray(features[begin : begin + PIECE]))
    plain = table[:, :-1]
    mean = plain.mean(0, dtype=torch.float64)
    plain -= mean.to(kind)
    scale = torch.sqrt(sum((part.double() ** 2).sum(0) for part in plain.split(PIECE)) / len(table))
    exact = kind == torch.float64 == torch.as_tensor(features[:0]).dtype
    scale[scale <= (FLAT if exact else FLAT_COMPUTED) * mean.abs()] = 1
    plain /= scale.to(kind)
    # Each piece's products in the table's precision, their sum in float64.
    gram = sum((part.T @ part).double() for part in plain.split(PIECE))
    spread, axes = torch.linalg.eigh(gram)
    shape = _Shape(table, spread.clamp_min(0), axes)
    found = np.zeros((len(strengths), labels.shape[1], features.shape[1] + 1))
    if exclusive:
        _fit_classes(found, shape, labels, strengths)
    else:
        _fit_targets(found, shape, labels, known, strengths)
    weights = found[..., :-1] / scale.cpu().numpy()
    return weights, found[..., -1] - weights @ mean.cpu().numpy()


class _Shape:
    """The standardised features, a column of ones last, (n, F + 1), and their principal axes: sums of squares (F,), and axes (F, F)."""

    def __init__(self, table: torch.Tensor, spread: torch.Tensor, axes: torch.Tensor):
        self.table, self.spread, self.axes = table, spread, axes

    def logits(self, weights: torch.Tensor) -> torch.Tensor:
        """(n, T) of weights, float64 (T, F + 1)."""
        return self.table @ weights.to(self.table.dtype).T

    def gradient(self, residual: torch.Tensor) -> torch.Tensor:
        """float64 (T, F + 1) of the loss's derivative by the logits, (n, T)."""
        pairs = zip(residual.split(PIECE), self.table.split(PIECE), strict=True)
        return sum((mine.T @ part).double() for mine, part in pairs)

    def solve(self, gradient: torch.Tensor, weigh: torch.Tensor, strength: float) -> torch.Tensor:
        """The step to the minimum if every row had a target's mean curvature ``weigh``, (T,); float64 (T, F + 1)."""
        turned = gradient[:, :-1] @ self.axes / (weigh[:, None] * self.spread + strength)
        return torch.cat([turned @ self.axes.T, gradient[:, -1:] / (weigh[:, None] * len(self.table))], 1)


class _Sigmoids:
    """Losses of targets on their own; labels and known, (n, T), of the table's type."""

    def __init__(self, labels: torch.Tensor, known: torch.Tensor | None):
        self.labels, self.known = labels, known

    def __getitem__(self, columns: torch.Tensor) -> "_Sigmoids":
        return _Sigmoids(self.labels[:, columns], None if self.known is None else self.known[:, columns])

    def probability(self, logits: torch.Tensor) -> torch.Tensor:
        """(n, T)."""
        return torch.sigmoid(logits)

    def residual(self, probability: torch.Tensor) -> torch.Tensor:
        """Derivative of the loss by the logits, (n, T)."""
        return probability - self.labels if self.known is None else (probability - self.labels) * self.known

    def bend(self, probability: torch.Tensor, move: torch.Tensor) -> torch.Tensor:
        """Second derivative of the loss along a move of the logits, summed over rows, float64 (T,)."""
        seen = probability * (1 - probability) * move**2
        return (seen if self.known is None else seen * self.known).sum(0, dtype=torch.float64)

    @staticmethod
    def pooled(columns: torch.Tensor) -> torch.Tensor:
        """Each target is a problem of its own."""
        return columns


class _Softmax(_Sigmoids):
    """The loss of classes of which each row has one: all columns are one problem."""

    def __getitem__(self, columns: torch.Tensor) -> "_Softmax":
        return self

    def probability(self, logits: torch.Tensor) -> torch.Tensor:
        """(n, T)."""
        return torch.softmax(logits, 1)

    def bend(self, probability: torch.Tensor, move: torch.Tensor) -> torch.Tensor:
        """The sum over rows, as of each column."""
        seen = (probability * move**2).sum(1) - (probability * move).sum(1) ** 2
        return seen.sum(0, dtype=torch.float64).expand(probability.shape[1])

    @staticmethod
    def pooled(columns: torch.Tensor) -> torch.Tensor:
        """Every column's share, added up."""
        return columns.sum(0, keepdim=True).expand(len(columns))


def _fit_classes(found: np.ndarray, shape: _Shape, labels: np.ndarray, strengths: Sequence[float]) -> None:
    """Fill ``found``, (S, T, F + 1), for exclusive targets; two classes are one sigmoid, as in scikit-learn."""
    present = np.flatnonzero(np.bincount(labels.argmax(1), minlength=labels.shape[1]))
    own = labels.argmax(1)[:, None] == present
    if len(present) == 2:
        _descend(found, present[1:], shape, _Sigmoids(_like(own[:, 1:], shape), None), strengths)
    elif len(present) > 2:
        _descend(found, present, shape, _Softmax(_like(own, shape), None), strengths)
        # What all classes have in common changes no probability; without it the penalty is least, and biases lie where scikit-learn's do.
        found[:, present] -= found[:, present].mean(1, keepdims=True)
    found[:, np.setdiff1d(np.arange(labels.shape[1]), present), -1] = -np.log(2 * len(labels))


def _fit_targets(found: np.ndarray, shape: _Shape, labels: np.ndarray, known: np.ndarray | None, strengths: Sequence[float]) -> None:
    """Fill ``found``, (S, T, F + 1), for targets of their own, a block of them at a time."""
    seen = np.full(labels.shape[1], len(labels)) if known is None else known.sum(0)
    positives = (labels if known is None else labels & known).sum(0)
    found[..., -1] = np.log((positives + 0.5) / (seen - positives + 0.5))
    both = np.flatnonzero((positives > 0) & (positives < seen))
    width = max(1, BLOCK_BYTES // (len(labels) * shape.table.element_size()))
    for at in range(0, len(both), width):
        some = both[at : at + width]
        loss = _Sigmoids(_like(labels[:, some], shape), None if known is None else _like(known[:, some], shape))
        _descend(found, some, shape, loss, strengths)


def _like(array: np.ndarray, shape: _Shape) -> torch.Tensor:
    """An array as a tensor of the table's type, where the table is."""
    return torch.as_tensor(array).to(shape.table)


def _descend(found: np.ndarray, columns: np.ndarray, shape: _Shape, loss: _Sigmoids, strengths: Sequence[float]) -> None:
    """Fit those columns of ``found`` from the strongest penalty to the weakest, each from where the last one ended."""
    weights = torch.zeros(len(columns), shape.table.shape[1], dtype=torch.float64, device=shape.table.device)
    if not isinstance(loss, _Softmax):
        weights[:, -1] = torch.as_tensor(found[0, columns, -1])
    for at in np.argsort(strengths)[::-1]:
        short = _minimise(weights, shape, loss, float(strengths[at]))
        if short:
            log.info("%d of %d regressions with l2 %g stopped after %d steps", short, len(columns), strengths[at], MOST_STEPS)
        found[at, columns] = weights.cpu().numpy()


def _minimise(weights: torch.Tensor, shape: _Shape, loss: _Sigmoids, strength: float) -> int:
    """Bring ``weights``, float64 (T, F + 1), to the minimum; gives how many targets did not get there in ``MOST_STEPS``."""
    penalty = torch.full((weights.shape[1],), strength, dtype=torch.float64, device=weights.device)
    penalty[-1] = 0
    active = torch.arange(len(weights), device=weights.device)
    now, logits = weights.clone(), shape.logits(weights)
    probability = loss.probability(logits)
    weigh = (probability * (1 - probability)).mean(0, dtype=torch.float64).clamp_min(1e-12)
    gradient = shape.gradient(loss.residual(probability)) + penalty * now
    history: deque = deque(maxlen=MEMORY)
    for _ in range(MOST_STEPS):
        step = -_inverse(gradient, history, partial(shape.solve, weigh=weigh, strength=strength), loss.pooled)
        slope = loss.pooled((gradient * step).sum(1))
        kept = -slope > 2 * ENOUGH * len(shape.table)
        if not kept.all():
            weights[active] = now
            if not kept.any():
                return 0
            active, now, logits, gradient, step, slope, weigh = (
                one[:, kept] if one is logits else one[kept] for one in (active, now, logits, gradient, step, slope, weigh)
            )
            loss = loss[kept]
            history = deque(((s[kept], y[kept], rho[kept]) for s, y, rho in history), MEMORY)
        move = shape.logits(step)
        size = _search(logits, move, now, step, slope, penalty, loss)
        before = gradient
        now = now + size[:, None] * step
        logits = logits + size.to(logits.dtype) * move
        gradient = shape.gradient(loss.residual(loss.probability(logits))) + penalty * now
        moved, turned = size[:, None] * step, gradient - before
        history.append((moved, turned, 1 / loss.pooled((moved * turned).sum(1)).clamp_min(1e-300)))
    weights[active] = now
    return len(active)


def _inverse(gradient: torch.Tensor, history: deque, start: Callable, pooled: Callable) -> torch.Tensor:
    """The inverse Hessian, as ``start`` and the history have it, times the gradient; float64 (T, F + 1)."""
    shares = []
    for moved, turned, rho in reversed(history):
        share = rho * pooled((moved * gradient).sum(1))
        gradient = gradient - share[:, None] * turned
        shares.append(share)
    out = start(gradient)
    for (moved, turned, rho), share in zip(history, reversed(shares), strict=True):
        out = out + (share - rho * pooled((turned * out).sum(1)))[:, None] * moved
    return out


def _search(logits, move, weights, step, slope, penalty, loss: _Sigmoids) -> torch.Tensor:
    """How far to go along each target's step, float64 (T,): to where the slope is a tenth of what it was; Newton within a bracket."""
    size, low = torch.ones_like(slope), torch.zeros_like(slope)
    high = torch.full_like(slope, torch.inf)
    linear, square = loss.pooled((penalty * weights * step).sum(1)), loss.pooled((penalty * step**2).sum(1))
    for _ in range(20):
        probability = loss.probability(logits + size.to(logits.dtype) * move)
        there = loss.pooled((loss.residual(probability) * move).sum(0, dtype=torch.float64)) + linear + size * square
        if (there.abs() <= -0.1 * slope).all():
            break
        low, high = torch.where(there < 0, size, low), torch.where(there > 0, size, high)
        guess = size - there / (loss.bend(probability, move) + square)
        middle = torch.where(high.isinf(), 4 * size, (low + high) / 2)
        size = torch.where((guess > low) & (guess < high) & (guess < 10 * size), guess, middle)
    return size
