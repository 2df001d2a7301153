"""In-silico saturation mutagenesis: the effect of every substitution at a locus.

Of convolutional networks that are known layer by layer, differences to the reference are carried through (``differences``); of
transformers, tokens are made anew around each edit alone (``tokens``); of everything else, every mutant is computed as it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from regdna.alphabet import N, reverse_complement
from regdna.models.classifier import Classifier, log_odds
from regdna.step import progress

ROWS = 1024  # mutants of one window that are computed at a time


@dataclass(frozen=True)
class Window:
    """Sequence around bases to substitute.

    Attributes:
        codes: uint8 (L,).
        first, last: indices into it (half-open) of the bases to substitute.
        position: its centre on the chromosome in bp.
    """

    codes: np.ndarray
    first: int
    last: int
    position: float


@dataclass(frozen=True)
class Edits:
    """Substitutions in windows: of each, its window, the index into it and the code of the new base; int64, int64 and uint8 (n,)."""

    window: np.ndarray
    where: np.ndarray
    base: np.ndarray

    def __len__(self) -> int:
        return len(self.window)


def saturate(classifier: Classifier, windows: Sequence[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Effects of all substitutions of the same bases in s windows around them, on both strands of each.

    Args:
        windows: with as many bases to substitute each.

    Returns:
        Effects, float64 (2 s, P, 4, T): the difference in log-odds of each target, mutant minus reference, by view, position and new base
        (A, C, G, T); views are the windows as they are given and then their other strands, positions and bases always those of the strand
        that was given. The reference base's own entry is 0 and is not computed; a position whose reference base is N is NaN. And the
        references' log-odds, float64 (2 s, T).
    """
    codes = np.stack([one.codes for one in windows])
    window, place, base = np.nonzero(_others(windows))
    where = place + np.array([one.first for one in windows])[window]
    # Both strands at once, as windows of their own.
    edits = Edits(np.r_[window, window + len(windows)], np.r_[where, codes.shape[1] - 1 - where], np.r_[base, 3 - base].astype(np.uint8))
    views = np.concatenate([codes, reverse_complement(codes)])
    place, base = np.r_[place, place], np.r_[base, base]
    reference, blocks = _changes(classifier, views, np.tile([one.position for one in windows], 2), edits)
    effect = np.zeros((len(views), windows[0].last - windows[0].first, 4, reference.shape[1]))
    known = np.concatenate([codes[i, one.first : one.last] for i, one in enumerate(windows)]).reshape(len(windows), -1) != N
    effect[~np.concatenate([known, known])] = np.nan
    show, done = progress(len(edits), "mutating", "substitutions"), 0
    for some, change in blocks:
        effect[edits.window[some], place[some], base[some]] = change
        done += len(some)
        show(done)
    return effect, reference


def _others(windows: Sequence[Window]) -> np.ndarray:
    """Which substitutions there are: of every base that is known by every other, bool (s, P, 4)."""
    held = np.stack([one.codes[one.first : one.last] for one in windows])[..., None]
    return (held != np.arange(4)) & (held != N)


def _changes(
    classifier: Classifier, views: np.ndarray, position: np.ndarray, edits: Edits
) -> tuple[np.ndarray, Iterator[tuple[np.ndarray, np.ndarray]]]:
    """Log-odds of views, float64 (v, T), and blocks of edits with the change of log-odds by each, int64 (b,) and float64 (b, T)."""
    network = getattr(classifier.logits, "network", None)
    if network is not None:
        # Networks alone import torch.
        from regdna.models.precision import resolve
        from regdna.mutagenesis import differences, stack

        layers = stack.read(network)
        if layers is not None:
            held = layers.refer(views)
            half = resolve(classifier.logits.precision) == "bf16"
            logits = held.logits.cpu().numpy()
            blocks = differences.changes(layers, held, views, edits.window, edits.where, edits.base, half)
            return log_odds(logits, classifier.exclusive), _in_odds(logits, blocks, edits, classifier.exclusive)
    reference = classifier.log_odds(views, position)
    return reference, _one_by_one(classifier, views, position, edits, reference)


def _in_odds(
    logits: np.ndarray, blocks: Iterator[tuple[np.ndarray, np.ndarray]], edits: Edits, exclusive: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Changes of log-odds from changes of logits, in float64."""
    before = log_odds(logits, exclusive)
    for some, change in blocks:
        if exclusive:
            window = edits.window[some]
            change = log_odds(logits[window] + change, exclusive) - before[window]
        yield some, change.astype(np.float64)


def _one_by_one(
    classifier: Classifier, views: np.ndarray, position: np.ndarray, edits: Edits, reference: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same of every mutant computed whole."""
    network = getattr(classifier.logits, "network", None)
    for one in range(len(views)):
        of_view = np.flatnonzero(edits.window == one)
        for at in range(0, len(of_view), ROWS):
            some = of_view[at : at + ROWS]
            if hasattr(network, "edits"):
                from regdna.mutagenesis.tokens import substitutions

                opened = classifier.logits
                logits = substitutions(network, views[one], edits.where[some], edits.base[some], opened.batch_size, opened.precision)
                odds = log_odds(logits.astype(np.float64), classifier.exclusive)
            else:
                mutants = np.repeat(views[one][None], len(some), 0)
                mutants[np.arange(len(some)), edits.where[some]] = edits.base[some]
                odds = classifier.log_odds(mutants, np.full(len(some), position[one]))
            yield some, odds - reference[one]
