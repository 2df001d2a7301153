"""Figures of dependencies: skill against context, and epistasis against the spacing of two motifs."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from regdna import plots

HUES = [plots.PALETTE[name][0] for name in ("transformer-1", "cnn-1", "transformer-2", "transformer-3")]
ARROWS = {"+": "→", "-": "←"}


@plots.as_svg
def contexts(rows: pd.DataFrame, looks: dict[str, plots.Series]) -> Figure:
    """Mean AUROC by the bases in the middle that were left as they are (log scale), one line a model.

    Args:
        rows: model, context (bp), value, low, high; low and high may be NaN.
    """
    figure = Figure((0.75 * plots.WIDTH, 3.2), layout="constrained")
    axes = figure.subplots()
    models = list(dict.fromkeys(rows["model"]))
    for at, model in enumerate(models):
        one, look = rows[rows["model"] == model].sort_values("context"), looks[model]
        place = one["context"] * 1.03 ** (at - (len(models) - 1) / 2)  # beside each other, so that intervals are seen
        axes.plot(place, one["value"], color=look.colour, linestyle=look.dash, linewidth=1.4, label=look.label)
        for x, row in zip(place, one.itertuples(), strict=True):
            judged = np.isfinite(row.low)
            if judged:
                axes.plot([x, x], [row.low, row.high], color=look.colour, linewidth=1.4)
            axes.plot(x, row.value, look.marker, markersize=6, color=look.colour, markerfacecolor=look.colour if judged else "none")
    ticks = sorted(set(rows["context"]))
    axes.set(xscale="log", xlabel="bases in the middle that are left as they are", ylabel="mean AUROC")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3, handlelength=2.2)
    return figure


@plots.as_svg
def epistasis(rows: pd.DataFrame, looks: dict[str, plots.Series], pair: tuple[str, str]) -> Figure:
    """Epistasis by the spacing of two motifs, one panel a model, one line an orientation.

    Args:
        rows: model, spacing (bp), orientation, epistasis, low, high (logits), of one pair and target.
        pair: names of the motifs.
    """
    models, orientations = (list(dict.fromkeys(rows[name])) for name in ("model", "orientation"))
    spacings = sorted(set(rows["spacing"]))
    columns = min(plots.COLUMNS, len(models))
    lines = -(-len(models) // columns)
    figure = Figure((plots.WIDTH * max(columns, 2) / plots.COLUMNS, 2.4 * lines + 0.7), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, model in zip(panels.flat, models, strict=False):
        axes.axhline(0, color=plots.SOFT, linewidth=0.8)
        for at, orientation in enumerate(orientations):
            one = rows[(rows["model"] == model) & (rows["orientation"] == orientation)].sort_values("spacing")
            place = one["spacing"].map(spacings.index) + (at - (len(orientations) - 1) / 2) * 0.14
            label = " ".join(f"{name} {ARROWS[strand]}" for name, strand in zip(pair, orientation, strict=True))
            axes.vlines(place, one["low"], one["high"], color=HUES[at], linewidth=1.4)
            axes.plot(
                place, one["epistasis"], color=HUES[at], marker=plots.MARKERS["transformer"], markersize=4, linewidth=1.0, label=label
            )
        axes.set_title(looks[model].label.replace(" · ", "\n", 1), color=looks[model].colour, fontweight="bold")
        axes.set_xticks(range(len(spacings)), [f"{spacing:,}" for spacing in spacings])
        axes.grid(axis="y")
    plots.name_axes(panels, len(models), "bases between the motifs", "epistasis, log-odds")
    plots.legend(figure, panels.flat[0], 3)
    return figure
