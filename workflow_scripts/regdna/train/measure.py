"""What training goes by and what it costs: validation average precision, parameters, operations."""

import numpy as np


def mean_ap(labels: np.ndarray, odds: np.ndarray, known: np.ndarray | None = None) -> float:
    """Mean average precision over targets that have both classes; what early stopping goes by. 0 if none has.

    Args:
        labels: bool (n, T).
        odds: log-odds, float (n, T); the logits of a softmax would not do, they rank within a row only.
        known: which labels are known, bool (n, T); None for all.
    """
    # sklearn's, not regdna.metrics': a change of how results are judged must not change how models are made.
    from sklearn.metrics import average_precision_score

    scores = []
    for target in range(labels.shape[1]):
        rows = slice(None) if known is None else known[:, target]
        truth = labels[rows, target]
        if 0 < truth.sum() < len(truth):
            scores.append(average_precision_score(truth, odds[rows, target]))
    return float(np.mean(scores)) if scores else 0.0


def chance_ap(labels: np.ndarray, odds: np.ndarray, known: np.ndarray | None = None, draws: int = 20) -> tuple[float, float]:
    """Mean and standard deviation of ``mean_ap`` when the same scores are given to the windows at random.

    Args:
        labels, odds, known: as of ``mean_ap``.
        draws: random orders.
    """
    draw = np.random.default_rng(0)
    scores = [mean_ap(labels, odds[draw.permutation(len(odds))], known) for _ in range(draws)]
    return float(np.mean(scores)), float(np.std(scores, ddof=1))


def count(net, trained: bool = False) -> int:
    """Number of parameters, or of those that are trained."""
    return sum(one.numel() for one in net.parameters() if one.requires_grad or not trained)


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
