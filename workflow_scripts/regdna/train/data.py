"""A dataset as training sees it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from regdna import controls
from regdna.certificate import certified, read
from regdna.targets import Targets
from regdna.windows import Places, Sequences


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

    def position(self, rows: np.ndarray) -> Places:
        """Where windows lie."""
        return Places.of(self.windows.iloc[rows])

    def sample(self) -> np.ndarray:
        """Evenly spaced training windows of about five million bases in all, uint8 (n, L); what a tokeniser is learned from."""
        rows = self.rows("train")
        return self.sequences[rows[:: max(1, len(rows) * self.sequences.length // 5_000_000)]]


@dataclass(frozen=True)
class Material:
    """Where a dataset lies and how a model is shown it, so that every process of a job can open it for itself.

    Attributes:
        windows, splits, targets, table: ``windows.parquet``, ``splits.json``, ``targets.npy`` and ``targets.tsv``.
        labels: ``exclusive`` or ``multilabel``.
        context: bases that the model sees of each window; 0 for all.
        known: mask of the labels that are known.
        sequences, genome: what sequence is read from, as of ``Sequences``.
        control: a name in ``regdna.controls.CONTROLS``, or nothing.
        centre: bases in the middle of a window that ``flank-only`` and ``centre-only`` tell from the rest; 0: a third.
        held_out: cell types whose labels ``held-out-cells`` keeps from the model.
        share: of the training windows that are in the training part; 1 for all.
        seed: of what a control draws.
    """

    windows: Path
    splits: Path
    targets: Path
    table: Path
    labels: str
    context: int = 0
    known: Path | None = None
    sequences: Path | None = None
    genome: list[Path] | None = None
    control: str = ""
    centre: int = 0
    held_out: tuple[str, ...] = ()
    share: float = 1.0
    seed: int = 0

    def open(self) -> Data:
        """The data.

        Raises:
            InputError: files that do not fit each other.
        """
        frame = pd.read_parquet(self.windows, columns=["chrom", "start", "end", "split"])
        seen = Sequences(frame, self.sequences, self.genome, self.context or None)
        targets = Targets(self.targets, self.table, self.known)
        parts = frame["split"].to_numpy(dtype=object)
        if self.control == "shuffled-labels":
            targets = controls.relabelled(targets, controls.order(parts, self.control, self.seed))
        if self.control == "held-out-cells":
            targets = controls.without_cells(targets, list(self.held_out))
        frame["split"] = thinned(parts, self.share)
        return Data(controls.shown(seen, self.control, self.centre, self.seed), targets, frame, self.labels == "exclusive")

    def certificate(self) -> dict:
        """Content of ``splits.json``, which must be that of the windows.

        Raises:
            InputError: it is not.
        """
        certified(self.splits, self.windows, pd.read_parquet(self.windows, columns=["chrom", "start", "end", "split"]))
        return read(self.splits)


def thinned(parts: np.ndarray, share: float) -> np.ndarray:
    """Parts of which only a share of the training windows, at least one, is left; the rest have no part.

    The draw depends on the number of training windows alone, so that every model is tuned on the same ones.
    """
    if share == 1:
        return parts
    rows = np.flatnonzero(parts == "train")
    kept = np.random.default_rng(0).permutation(rows)[: max(1, round(share * len(rows)))]
    out = parts.copy()
    out[np.setdiff1d(rows, kept)] = ""
    return out
