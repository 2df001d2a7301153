"""Controls: a model trained again with what it should need taken away, to see whether its score falls.

``random-init`` is no matter of the data: it is the same network begun without what was learnt. The others change what a model is shown.
"""

import numpy as np

from regdna.alphabet import N
from regdna.shuffles import dinucleotide_shuffle
from regdna.step import InputError

CONTROLS = ("random-init", "shuffled-labels", "shuffled-sequences", "flank-only", "centre-only", "held-out-cells")
SHOWN_OTHERWISE = ("shuffled-sequences", "flank-only", "centre-only")


def shown(sequences: object, control: str, centre: int, seed: int) -> object:
    """The sequences as a control shows them, in training and in prediction; ``sequences`` itself where it changes none.

    Args:
        sequences: of a dataset's windows: ``sequences[rows]`` gives uint8 (n, L); ``len()``; ``length``.
        control: a name in ``CONTROLS``, or nothing.
        centre: bases in the middle that ``flank-only`` and ``centre-only`` tell from the rest; 0: a third of the window.
        seed: of the shuffles.

    Raises:
        InputError: there are as many bases in the middle as in the whole, or no such control.
    """
    if control and control not in CONTROLS:
        raise InputError(f"{control!r} is no control; give one of {', '.join(CONTROLS)}")
    return Shown(sequences, control, centre, seed) if control in SHOWN_OTHERWISE else sequences


class Shown:
    """Sequences as a control shows them, with the interface of those that they come from."""

    def __init__(self, sequences: object, control: str, centre: int, seed: int):
        self._sequences, self._control, self._seed = sequences, control, seed
        self.length = sequences.length
        # ASSUME: where a dataset names no bin, the middle third of a window is its centre.
        centre = centre or self.length // 3
        if control != "shuffled-sequences" and not 0 < centre < self.length:
            raise InputError(f"{control} needs a flank, but the model sees {self.length} bp and the middle has {centre}; widen its context")
        first = (self.length - centre) // 2
        middle = (np.arange(self.length) >= first) & (np.arange(self.length) < first + centre)
        self._hidden = middle if control == "flank-only" else ~middle

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        codes = self._sequences[rows]
        if self._control == "shuffled-sequences":
            # By the window's number, so that training, prediction and every batch size see one and the same shuffle of it.
            return dinucleotide_shuffle(codes, self._seed, np.asarray(rows))
        return np.where(self._hidden, np.uint8(N), codes)


def order(parts: np.ndarray, control: str, seed: int) -> np.ndarray:
    """The row whose labels each row gets, int64 (n,).

    Training windows swap labels among themselves and so do validation windows, whole rows at a time, so that the prevalence of every
    target and how targets occur together are kept. The test windows keep theirs. Without ``shuffled-labels`` all rows do.

    Args:
        parts: the part of each window, (n,).
        control: a name in ``CONTROLS``, or nothing.
        seed: of the draw.
    """
    out = np.arange(len(parts), dtype=np.int64)
    if control == "shuffled-labels":
        draw = np.random.default_rng(seed)
        for part in ("train", "validation"):
            rows = np.flatnonzero(parts == part)
            out[rows] = draw.permutation(rows)
    return out


def relabelled(targets: object, order: np.ndarray) -> object:
    """Targets of which each row has the labels of another, with what training asks of them.

    Args:
        targets: ``targets[rows]`` gives bool (n, T); ``known(rows)``; ``names``; ``len()``.
        order: as of ``order``.
    """
    return Relabelled(targets, order)


class Relabelled:
    """What ``relabelled`` gives."""

    def __init__(self, targets: object, order: np.ndarray):
        self._targets, self._order = targets, order
        self.names = targets.names

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self._targets[self._order[rows]]

    def known(self, rows: np.ndarray) -> np.ndarray | None:
        """Which labels are known, bool (n, T), of the rows that the labels come from; None where all are."""
        return self._targets.known(self._order[rows])


def without_cells(targets: object, cell_types: list[str]) -> object:
    """Targets of which those of some cell types are nowhere known, with what training asks of them.

    Args:
        targets: ``targets[rows]`` gives bool (n, T); ``known(rows)``; ``names``; ``table`` with cell_type; ``len()``.
        cell_types: whose labels ``held-out-cells`` keeps from the model.

    Raises:
        InputError: no cell type or one without targets, or no target is left to learn from.
    """
    cells = targets.table["cell_type"]
    if not cell_types:
        raise InputError("held-out-cells: no cell type is held out; name some in the dataset's transfer.held_out")
    for one in cell_types:
        if one not in set(cells):
            raise InputError(f"held-out-cells: no target is of cell type {one!r}; mend the dataset's transfer.held_out")
    hidden = cells.isin(cell_types).to_numpy()
    if hidden.all():
        raise InputError("held-out-cells: every target is of a held-out cell type, so nothing is left to learn; hold out fewer")
    return WithoutCells(targets, hidden)


class WithoutCells:
    """What ``without_cells`` gives."""

    def __init__(self, targets: object, hidden: np.ndarray):
        self._targets, self._hidden = targets, hidden
        self.names = targets.names

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self._targets[rows] & ~self._hidden

    def known(self, rows: np.ndarray) -> np.ndarray:
        """Which labels are known, bool (n, T)."""
        known = self._targets.known(rows)
        return np.tile(~self._hidden, (len(rows), 1)) if known is None else known & ~self._hidden
