"""Matrices of transfer: trained on one cell type, tested on another."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from regdna.plots import COLUMNS, INK, LOWER, RAISED, SOFT, WIDTH, as_svg

# Pale enough for the numbers that are written on it, on light and on dark ground.
PALE = LinearSegmentedColormap.from_list("pale", [(0, (*LOWER, 0.6)), (0.5, (*LOWER, 0.0)), (0.5, (*RAISED, 0.0)), (1, (*RAISED, 0.6))])


@as_svg
def matrices(panels: dict[str, pd.DataFrame]) -> Figure:
    """AUROC of every ordered pair of cell types, one panel a group of targets, the value written in each cell.

    Args:
        panels: title to a square table, rows the cell type trained on, columns the one tested on; NaN where nothing is defined.
    """
    columns = min(len(panels), COLUMNS if max(len(one) for one in panels.values()) < 4 else 2)
    lines = -(-len(panels) // columns)
    most = max(len(one) for one in panels.values())
    side = WIDTH / max(columns, 2)
    figure = Figure((side * columns, lines * (1.1 + min(0.42 * most, 0.8 * side))), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes, (title, table) in zip(grid.flat, panels.items(), strict=False):
        matrix(axes, table)
        axes.set_title(title, loc="left", fontweight="bold")
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("tested on", fontsize=9)
    figure.supylabel("trained on", fontsize=9)
    return figure


def matrix(axes: Axes, table: pd.DataFrame) -> None:
    """One matrix; the diagonal, each cell by itself, is framed. Colour begins at 0.5: above orange, below blue."""
    values = table.to_numpy(float)
    axes.imshow(np.nan_to_num(values, nan=0.5), cmap=PALE, vmin=0, vmax=1, aspect="auto", interpolation="none")
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, f"{value:.2f}" if np.isfinite(value) else "–", ha="center", va="center", fontsize=8, color=INK)
    for at in range(len(values)):
        axes.add_patch(Rectangle((at - 0.5, at - 0.5), 1, 1, fill=False, edgecolor=SOFT, linewidth=1))
    axes.set_xticks(range(len(values)), table.columns, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(values)), table.index)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
