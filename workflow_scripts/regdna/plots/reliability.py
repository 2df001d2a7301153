"""Whether probabilities mean what they say."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from regdna.plots import COLUMNS, FEWEST_COLUMNS, SOFT, WIDTH, Series, as_svg, legend, name_axes


@as_svg
def reliability(points: pd.DataFrame, targets: pd.DataFrame, looks: dict[str, Series]) -> Figure:
    """Share of positives against mean probability by bin, one panel a target, all models in each.

    Args:
        points: model, target, x, y, windows.
        targets: target, name, one row a panel.
    """
    columns = min(COLUMNS, max(len(targets), FEWEST_COLUMNS))
    lines = -(-len(targets) // columns)
    figure = Figure((WIDTH * columns / COLUMNS, 2.45 * lines + 0.75 + 0.2 * -(-len(looks) // (columns - 1))), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, target in zip(panels.flat, targets.itertuples(), strict=False):
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
        for model, look in looks.items():
            one = points[(points["model"] == model) & (points["target"] == target.target)]
            axes.plot(one["x"], one["y"], color=look.colour, linestyle=look.dash, linewidth=1.2, label=look.label)
            sizes = 4 + 40 * np.sqrt(one["windows"] / max(one["windows"].max(), 1)) if len(one) else []
            axes.scatter(one["x"], one["y"], s=sizes, color=look.colour, marker=look.marker, linewidths=0)
        axes.set(title=target.name, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], box_aspect=1)
        axes.grid()
    name_axes(panels, len(targets), "predicted probability", "share of positives")
    legend(figure, panels.flat[0], columns)
    return figure
