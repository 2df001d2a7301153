"""Skill within strata of the test windows."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from regdna.plots import SOFT, WIDTH, Series, as_svg

LETTERS_A_LINE = 14


@as_svg
def strata(rows: pd.DataFrame, looks: dict[str, Series]) -> Figure:
    """Mean AUROC of every model in every stratum, one panel a factor; a hollow mark carries no interval.

    Args:
        rows: model, factor, stratum, n, value, low, high (NaN where there is none), strata in their order.
        looks: of the models, in the order in which they stand side by side.
    """
    factors = list(dict.fromkeys(rows["factor"]))
    figure = Figure((WIDTH, 2.7 * -(-len(factors) // 2) + 0.8), layout="constrained")
    panels = figure.subplots(-(-len(factors) // 2), min(2, len(factors)), squeeze=False, sharey=True)
    seen = {}
    for axes, factor in zip(panels.flat, factors, strict=False):
        some = rows[rows["factor"] == factor]
        names = list(dict.fromkeys(some["stratum"]))
        counts = some.drop_duplicates("stratum").set_index("stratum")["n"]
        axes.axhline(0.5, color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
        for at, (model, look) in enumerate(looks.items()):
            beside = (at - (len(looks) - 1) / 2) * 0.7 / len(looks)
            for row in some[some["model"] == model].itertuples():
                judged, x = np.isfinite(row.low), names.index(row.stratum) + beside
                if judged:
                    axes.plot([x, x], [row.low, row.high], color=look.colour, linewidth=1.4)
                fill = look.colour if judged else "none"
                dot = axes.plot(x, row.value, linestyle="none", marker=look.marker, markersize=5, color=look.colour, markerfacecolor=fill)
                seen.setdefault(look.label, dot[0])
        axes.set_xticks(range(len(names)), [f"{wrapped(name)}\n{counts[name]:,}" for name in names], fontsize=7.5)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_title(factor, loc="left", fontweight="bold")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    for axes in panels.flat[len(factors) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("mean AUROC")
    figure.legend(list(seen.values()), list(seen), loc="outside lower left", ncols=3)
    return figure


def wrapped(name: str) -> str:
    """A stratum's name on two lines where it is long."""
    return name.replace(", ", ",\n", 1) if len(name) > LETTERS_A_LINE else name
