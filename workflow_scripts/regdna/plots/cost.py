"""Skill against what it took: hours, memory, parameters."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from regdna.plots import INK, SOFT, WIDTH, Series, as_svg

NEAR = 30  # costs within that factor have ticks between powers of ten


@as_svg
def pareto(rows: pd.DataFrame, looks: dict[str, Series], axes: dict[str, str]) -> Figure:
    """Mean AP against several costs (log scale), one panel a cost; a ring and a line mark models that none beats at their price.

    Args:
        rows: model, value, low, high (NaN where too small to judge: a hollow mark), and for each cost a column of that name (NaN where
            it is not known: not drawn) and ``on_{cost}``, bool: on the front.
        axes: column of a cost to the words below its panel.
    """
    figure = Figure((WIDTH, 3.5), layout="constrained")
    panels = figure.subplots(1, len(axes), sharey=True, squeeze=False)[0]
    seen = {}
    for panel, (column, label) in zip(panels, axes.items(), strict=True):
        known = rows[rows[column].notna() & rows["value"].notna()]
        front = known[known[f"on_{column}"]].sort_values([column, "value"])
        panel.step(front[column], front["value"], where="post", color=SOFT, linewidth=1, linestyle="dashed", zorder=1)
        for row in known.itertuples():
            look, cost, judged = looks[row.model], getattr(row, column), np.isfinite(row.low)
            if judged:
                panel.plot([cost] * 2, [row.low, row.high], color=look.colour, linewidth=1.4)
            if getattr(row, f"on_{column}"):
                panel.plot(cost, row.value, "o", markersize=13, markerfacecolor="none", color=INK, markeredgewidth=0.8)
            dot = panel.plot(
                cost, row.value, look.marker, markersize=7, color=look.colour, markerfacecolor=look.colour if judged else "none"
            )
            seen.setdefault(look.label, dot[0])
        panel.set(xscale="log", xlabel=label)
        near = len(known) and known[column].max() < NEAR * known[column].min()
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if near else (1,), numticks=7))
        panel.xaxis.set_major_formatter(EngFormatter(sep="") if known[column].max() >= 1000 else "{x:g}")
        panel.xaxis.set_minor_locator(NullLocator())
        panel.margins(0.14)
        panel.grid()
    panels[0].set_ylabel("mean AP")
    figure.legend(list(seen.values()), list(seen), loc="outside lower left", ncols=3)
    return figure
