"""Looking up training windows: what those that are near a window, in whatever sense, say of it."""

from collections.abc import Callable

import numba
import numpy as np

from regdna.step import InputError
from regdna.windows import Places

SMALLEST = 1e-9


def packed(labels: np.ndarray, known: np.ndarray | None) -> dict[str, np.ndarray]:
    """Training labels as a checkpoint holds them.

    Args:
        labels: bool (n, T).
        known: bool (n, T); None for all.

    Returns:
        ``labels``, ``known``: bits, uint8 (n, ceil(T / 8)), the first target in the highest bit (``known`` of shape (0, ...): all are);
        ``rate``: share of positives among the labels that are known of each target, float64 (T,), held off 0 and 1.
    """
    if known is None:
        counted, seen = labels.sum(0), np.full(labels.shape[1], len(labels))
        bits = np.zeros((0, -(-labels.shape[1] // 8)), np.uint8)
    else:
        counted, seen, bits = (labels & known).sum(0), known.sum(0), np.packbits(known, axis=1)
    return {"labels": np.packbits(labels, axis=1), "known": bits, "rate": (counted + 0.5) / (seen + 1)}


def opened(
    near: Callable[[dict, np.ndarray, Places, dict], tuple[np.ndarray, np.ndarray, np.ndarray]], tensors: dict, about: dict, strength: float
) -> Callable[[np.ndarray, Places], np.ndarray]:
    """A function from codes, uint8 (n, L), and places to logits, float64 (n, T).

    Args:
        near: from tensors, codes, places and parameters to the training windows that vote on each window, int64 (n, k), -1 for none; the
            weight of each vote, float64 (n, k); and what is expected without any, float64 (n, T).
        tensors: of the checkpoint.
        about: its ``about.json``.
        strength: how many votes of weight 1 what is expected without any counts for.
    """
    exclusive = about["labels"] == "exclusive"

    def logits(codes: np.ndarray, places: Places) -> np.ndarray:
        row, weight, prior = near(tensors, codes, places, about["parameters"])
        share = _votes(tensors["labels"], tensors["known"], row, weight, np.ascontiguousarray(prior), strength)
        if exclusive:
            return np.log(np.maximum(share, SMALLEST))
        share = np.clip(share, SMALLEST, 1 - SMALLEST)
        return np.log(share / (1 - share))

    return logits


@numba.njit(cache=True, nogil=True)
def _votes(labels, known, row, weight, prior, strength):
    """Weighted share of positives among the votes on each window, and among ``strength`` more that are as expected."""
    out = np.empty(prior.shape)
    cast = np.empty(prior.shape[1])
    for window in range(len(row)):
        for target in range(prior.shape[1]):
            out[window, target] = strength * prior[window, target]
            cast[target] = strength
        for one in range(row.shape[1]):
            voter = row[window, one]
            if voter < 0:
                continue
            for target in range(prior.shape[1]):
                bit = np.uint8(128 >> target % 8)
                if len(known) == 0 or known[voter, target // 8] & bit:
                    cast[target] += weight[window, one]
                    if labels[voter, target // 8] & bit:
                        out[window, target] += weight[window, one]
        for target in range(prior.shape[1]):
            out[window, target] /= cast[target]
    return out


def on_chromosomes(places: object) -> Places:
    """Places, if that is what they are.

    Raises:
        InputError: only a number is given, as for an edited sequence, which has no place of its own.
    """
    if not isinstance(places, Places):
        raise InputError("a model of position sees no sequence, so that no edit has an effect on it; take out its 'mutagenesis'")
    return places
