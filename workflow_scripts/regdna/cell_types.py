"""Targets that ask the same of several cell types: what transfer from cell to cell is judged on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from regdna.manifest import nearest
from regdna.step import InputError

FEWEST = 2  # cell types of a group
EXCLUSIVE = (
    "each window has one label there, so that another cell's label is no repeat of the same question but its negation; "
    "use labels that each cell has for itself (multilabel)"
)


@dataclass(frozen=True)
class Group:
    """Targets of one assay that say the same of different cell types.

    Attributes:
        assay, target: as the table of targets has them, the target without its cell type.
        cells: cell type to the target's index.
    """

    assay: str
    target: str
    cells: dict[str, int]

    @property
    def label(self) -> str:
        """A name for tables and figures; not a key."""
        return self.assay if self.target.casefold() in ("", self.assay.casefold()) else f"{self.assay} {self.target}".strip()


def measured(cell_type: str, target: str) -> str:
    """A target's name without the cell type that it begins or ends with: ``imr90-dnase`` of IMR-90 is ``dnase``.

    Letters and digits are compared, their case is not.
    """
    letters = "[^a-z0-9]*".join(re.findall("[a-z0-9]", cell_type.lower()))
    if not letters:
        return target
    return re.sub(rf"^{letters}(?:[^a-z0-9]+|$)|[^a-z0-9]+{letters}$", "", target, count=1, flags=re.IGNORECASE)


def groups(rows: Iterable[tuple[str, str, str]]) -> list[Group]:
    """Groups of at least two cell types, in the order of their first targets.

    Args:
        rows: (cell_type, assay, target) of every target in order. One without a cell type is in no group.
    """
    # ASSUME: where a cell type has several targets of one assay and name (replicates, laboratories), the first speaks for it in transfer.
    found: dict[tuple[str, str], Group] = {}
    for index, (cell_type, assay, target) in enumerate(rows):
        if cell_type:
            name = measured(cell_type, target)
            found.setdefault((assay, name.casefold()), Group(assay, name, {})).cells.setdefault(cell_type, index)
    return [one for one in found.values() if len(one.cells) >= FEWEST and (one.assay or one.target)]


def check_groups(found: list[Group], held_out: list[str], key: str) -> None:
    """Refuse targets among which nothing can be transferred.

    Args:
        found: from ``groups``.
        held_out: cell types that a model is to be judged on unseen.
        key: what to name in messages.

    Raises:
        InputError: no group, or a held-out cell type that is in none, or in none with others to learn from.
    """
    if not found:
        raise InputError(
            f"{key}: no two cell types share an assay and a target; give targets 'cell_type' and 'assay', name them "
            "{cell type}-{what was measured}, or take 'transfer' out"
        )
    known = list(dict.fromkeys(cell for one in found for cell in one.cells))
    for cell in held_out:
        if cell not in known:
            raise InputError(f"{key}.held_out: {cell!r} shares no assay and target with another cell type{nearest(cell, known)}")
        if not any(cell in one.cells and set(one.cells) - set(held_out) for one in found):
            raise InputError(f"{key}.held_out: of what {cell} has no cell type is left to learn from; hold out fewer")


def check_transfer(entry: dict, key: str) -> None:
    """Refuse a dataset of which transfer is asked and means nothing; where its files say what the targets are, the step looks again.

    Args:
        entry: a dataset of a study.
        key: what to name in messages.

    Raises:
        InputError: exclusive labels, or targets without a group.
    """
    if "transfer" not in entry:
        return
    if entry["labels"] == "exclusive":
        raise InputError(f"{key}.transfer: labels are exclusive: {EXCLUSIVE}, or take 'transfer' out")
    if "targets" in entry:
        rows = [(one["cell_type"], one["assay"], name) for name, one in entry["targets"].items()]
        check_groups(groups(rows), entry["transfer"]["held_out"], f"{key}.transfer")
