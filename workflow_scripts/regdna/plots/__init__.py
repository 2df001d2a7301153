"""Figures of the report as inline SVG: transparent, selectable text, colours that follow the page's light or dark scheme."""

import functools
import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import logomaker
import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Name to colour on light and on dark ground. Series: Okabe and Ito 2008, hues by family. Each light colour occurs once,
# since it stands for its name until the SVG is written.
PALETTE = {
    "ink": ("#22262b", "#e4e7ea"),
    "soft": ("#666d75", "#9fa7af"),
    "grid": ("#dcdfe3", "#343a41"),
    "row-zero-1": ("#777e86", "#a5adb5"),
    "row-zero-2": ("#a8aeb5", "#737b84"),
    "row-zero-3": ("#4d535a", "#ccd2d8"),
    "row-zero-4": ("#8a6d3b", "#c8a873"),
    "cnn-1": ("#d55e00", "#f08a3c"),
    "cnn-2": ("#e69f00", "#f0b840"),
    "transformer-1": ("#0072b2", "#4fa9e3"),
    "transformer-2": ("#009e73", "#34c498"),
    "transformer-3": ("#cc79a7", "#e59cc5"),
    "transformer-4": ("#56b4e9", "#94d1f5"),
    "base-a": ("#2f8f4e", "#5cc27d"),
    "base-c": ("#2b62a8", "#6ea3e6"),
    "base-g": ("#c98a00", "#f0b93e"),
    "base-t": ("#c23340", "#f07a84"),
}
INK, SOFT, GRID = (PALETTE[name][0] for name in ("ink", "soft", "grid"))
MARKERS = {"row zero": "s", "cnn": "D", "transformer": "o"}
AGAIN = {"row zero": "P", "cnn": "^", "transformer": "v"}  # where a family's hues run out
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1.2)))
POOLING_HUES = [PALETTE[name][0] for name in ("transformer-1", "cnn-1", "transformer-2", "transformer-3")]
BASES = "ACGT"
BASE_COLOURS = {base: PALETTE[f"base-{base.lower()}"][0] for base in BASES}
LOWER, RAISED = (0.16, 0.44, 0.80), (0.87, 0.44, 0.10)
EFFECTS = LinearSegmentedColormap.from_list("effects", [(*LOWER, 1.0), (*LOWER, 0.0), (*RAISED, 0.0), (*RAISED, 1.0)])
COLUMNS, FEWEST_COLUMNS = 4, 3  # a figure of one panel a target keeps room for its legend
WIDTH = 10.0
LARGEST, SMALLEST = 1.46, 0.9  # how far a figure may be scaled on the page, pixels a point, so that its text stays readable
NUMBER = re.compile(r"-?\d+\.\d{3,}")
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Series:
    """How one model looks in every figure: label, colour, marker, dash."""

    label: str
    colour: str
    marker: str
    dash: object


def series(models: dict[str, tuple[str, str, str]]) -> dict[str, Series]:
    """The look of every model, the same in all figures: hue and marker by family, another dash and marker where its hues run out.

    Args:
        models: id to (family, label, base), in the study's order; base is the model, listed before, that one is a control of, or "".
            A control is a cross of its base's colour.
    """
    looks, used = {}, dict.fromkeys(MARKERS, 0)
    for model, (family, label, base) in models.items():
        if base:
            looks[model] = Series(label, looks[base].colour, "X", looks[base].dash)
            continue
        hues = [light for name, (light, _) in PALETTE.items() if name.startswith(family.replace(" ", "-"))]
        turn, at = divmod(used[family], len(hues))
        looks[model] = Series(label, hues[at], (AGAIN if turn else MARKERS)[family], DASHES[turn % len(DASHES)])
        used[family] += 1
    return looks


def as_svg(paint: Callable[..., Figure]) -> Callable[..., str]:
    """Have a function that paints a Figure return SVG; the new function also takes ``name`` (unique in the page) and ``alt``."""

    @functools.wraps(paint)
    def drawn(*args: object, name: str, alt: str, **options: object) -> str:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            buffer = io.StringIO()
            paint(*args, **options).savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        return inline(buffer.getvalue(), name, alt)

    return drawn


def inline(text: str, name: str, alt: str) -> str:
    """An SVG file as an element for a page: no prolog, short numbers, the page's fonts and colours, ids that start with ``name``."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.S)
    # Matplotlib's ids are hashes that differ from run to run: number those that are referred to, drop the others.
    used = dict.fromkeys(re.findall(r"(?:url\(|href=\")#([\w-]+)", text))
    ids = {old: f"{name}-{at}" for at, old in enumerate(used)}
    text = re.sub(r' id="([^"]+)"', lambda match: f' id="{ids[match[1]]}"' if match[1] in ids else "", text)
    text = re.sub(r"(url\(|href=\")#([\w-]+)", lambda match: f"{match[1]}#{ids[match[2]]}", text)
    text = re.sub(r'="[^"]*"', lambda match: NUMBER.sub(shorter, match[0]), text)
    text = re.sub(r"(font: (?:\w+ )*[\d.]+px )[^;\"]+", r"\1var(--sans)", text)
    for colour, (light, _) in PALETTE.items():
        text = text.replace(light, f"var(--{colour})")
    width, height = (float(value) for value in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text).groups())
    size = f"max-width: {width * LARGEST:.0f}px; min-width: {width * SMALLEST:.0f}px"
    head = f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {width:g} {height:g}" style="{size}">'
    body = re.sub(r"\n\s*", "\n", text[text.index(">") + 1 :]).replace("\n</", "</")
    return head + body.strip()


def shorter(match: re.Match) -> str:
    """A coordinate with two decimals."""
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


@as_svg
def forest(rows: pd.DataFrame, looks: dict[str, Series], beat: float | None) -> Figure:
    """Mean AUROC of every model as a dot with its interval, best on top.

    Args:
        rows: model, value, low, high, one row a model in the order to show; low and high may be NaN.
        beat: value to draw a line at (that of the CNN to beat), if any.
    """
    figure = Figure((0.75 * WIDTH, 0.85 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    if beat is not None:
        axes.axvline(beat, color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    for at, row in enumerate(rows.itertuples()):
        look, judged = looks[row.model], np.isfinite(row.low)
        if judged:
            axes.plot([row.low, row.high], [at, at], color=look.colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(row.value, at, marker=look.marker, markersize=7, color=look.colour, markerfacecolor=look.colour if judged else "none")
        text = f"{row.value:.3f}  [{row.low:.3f}, {row.high:.3f}]" if judged else f"{row.value:.3f}  no interval"
        axes.annotate(text, (1.01, at), xycoords=("axes fraction", "data"), va="center", fontsize=8.5, annotation_clip=False)
    axes.set_yticks(range(len(rows)), [looks[model].label.replace(" · ", "\n", 1) for model in rows["model"]], fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.margins(x=0.06)
    axes.set_xlabel("mean AUROC of the test part")
    return figure


@as_svg
def curves(points: pd.DataFrame, kind: str, targets: pd.DataFrame, looks: dict[str, Series]) -> Figure:
    """ROC or precision-recall curves, one panel a target, all models in each.

    Args:
        points: model, target, curve, x, y.
        kind: ``roc`` or ``pr``.
        targets: target, name, prevalence, one row a panel.
    """
    columns = min(COLUMNS, max(len(targets), FEWEST_COLUMNS))
    lines = -(-len(targets) // columns)
    figure = Figure((WIDTH * columns / COLUMNS, 2.45 * lines + 0.75 + 0.2 * -(-len(looks) // (columns - 1))), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, target in zip(panels.flat, targets.itertuples(), strict=False):
        chance = [0, 1] if kind == "roc" else [target.prevalence] * 2
        axes.plot([0, 1], chance, color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
        mine = points[(points["curve"] == kind) & (points["target"] == target.target)]
        for model, look in looks.items():
            one = mine[mine["model"] == model]
            if len(one):
                axes.plot(one["x"], one["y"], color=look.colour, linestyle=look.dash, linewidth=1.4, label=look.label)
        axes.set(title=target.name, xlim=(0, 1), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], box_aspect=1)
        axes.grid()
    name_axes(panels, len(targets), *(("false positive rate", "true positive rate") if kind == "roc" else ("recall", "precision")))
    legend(figure, panels.flat[0], columns)
    return figure


def name_axes(panels: np.ndarray, count: int, below: str, beside: str) -> None:
    """Names below the lowest panel of each column and beside the first of each line; panels beyond ``count`` are not shown."""
    for axes in panels.flat[count:]:
        axes.set_visible(False)
    for axes in panels.flat[max(count - panels.shape[1], 0) : count]:
        axes.set_xlabel(below)
        axes.tick_params(labelbottom=True)
    for axes in panels[:, 0]:
        axes.set_ylabel(beside)


def legend(figure: Figure, axes: Axes, columns: int) -> None:
    """One legend for all panels, above them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=min(max(columns - 1, 2), len(labels)), handlelength=2.2)


@as_svg
def locus(
    models: list[tuple[Series, np.ndarray]], codes: np.ndarray, start: int, chrom: str, measured: pd.DataFrame | None = None
) -> Figure:
    """A logo above a heat map for each model, over the bases of a locus; above all, what was measured there.

    Args:
        models: look and effects, float (positions, 4): log-odds by new base A, C, G, T; NaN where the base is N. A fifth column, if there
            is one, is the base's deletion.
        codes: reference bases, uint8 (positions,); 4 is N.
        start: coordinate of the first base, 0-based.
        measured: position (0-based), alt (a base) and measured of substitutions, if there are some.
    """
    above = measured is not None and len(measured) > 0
    figure = Figure((WIDTH, 0.45 + 2.4 * len(models) + 1.6 * above), layout="constrained")
    heights = [1.9] * above + [1.9, 1] * len(models)
    grid = figure.subplots(len(heights), 2, sharex="col", height_ratios=heights, width_ratios=[1, 0.012], squeeze=False)
    if above:
        assay(grid[0, 0], measured, start)
        grid[0, 1].set_axis_off()
    for (logo_axes, blank), (heat_axes, key_axes), (look, effect) in zip(grid[above::2], grid[above + 1 :: 2], models, strict=True):
        blank.set_axis_off()
        logo(logo_axes, effect, codes)
        logo_axes.set_title(look.label, loc="left", fontweight="bold", color=look.colour)
        heat_map(heat_axes, key_axes, effect, codes)
    last = grid[-1, 0]
    places = [int(at) for at in MaxNLocator(8, integer=True).tick_values(start + 1, start + len(codes)) if start < at <= start + len(codes)]
    last.set_xticks([at - start - 1 for at in places], [f"{at:,}" for at in places])
    last.set_xlabel(f"position on {chrom} (1-based)")
    return figure


def assay(axes: Axes, measured: pd.DataFrame, start: int) -> None:
    """Measured effects of substitutions, a dot in the colour of the new base; a line is the mean at each position."""
    for base, colour in BASE_COLOURS.items():
        one = measured[measured["alt"] == base]
        axes.plot(one["position"] - start, one["measured"], linestyle="none", marker=".", markersize=3.5, color=colour, label=base)
    means = measured.groupby("position")["measured"].mean()
    axes.vlines(means.index - start, 0, means, color=SOFT, linewidth=0.7)
    axes.axhline(0, color=SOFT, linewidth=0.6)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_ylabel("measured")
    axes.set_title("measured effect by new base", loc="left", fontweight="bold")
    axes.legend(loc="upper right", ncols=4, handletextpad=0.1, columnspacing=0.8)


def importance(effect: np.ndarray) -> np.ndarray:
    """Minus the mean effect of a base's three substitutions, float (positions,): above 0 where the base raises the output."""
    return -np.nan_to_num(effect[:, :4]).sum(1) / 3


def logo(axes: Axes, effect: np.ndarray, codes: np.ndarray) -> None:
    """Reference bases as letters, as high as their importance."""
    heights = np.zeros((len(codes), 4))
    known = np.flatnonzero(codes < 4)
    heights[known, codes[known]] = importance(effect)[known]
    frame = pd.DataFrame(heights, columns=list(BASES))
    logomaker.Logo(frame, ax=axes, color_scheme=BASE_COLOURS, flip_below=False, baseline_width=0, vpad=0.02, font_name="DejaVu Sans")
    axes.axhline(0, color=SOFT, linewidth=0.6)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.set_ylabel("importance")


def heat_map(axes: Axes, key: Axes, effect: np.ndarray, codes: np.ndarray) -> None:
    """Effect of each edit, one row a new base (and one of deletions), and a key of the colours; the reference base is a grey dot."""
    known = np.flatnonzero(codes < 4)
    largest = max(float(np.nanmax(np.abs(effect), initial=0)), 1e-9)
    axes.imshow(np.nan_to_num(effect).T, cmap=EFFECTS, vmin=-largest, vmax=largest, aspect="auto", interpolation="none")
    axes.plot(known, codes[known], linestyle="none", marker=".", markersize=1.4, color=SOFT)
    axes.set_yticks(range(effect.shape[1]), [*BASES, "−"][: effect.shape[1]])
    axes.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    key.imshow(np.linspace(1, -1, 64)[:, None], cmap=EFFECTS, vmin=-1, vmax=1, aspect="auto", interpolation="none", extent=(0, 1, -1, 1))
    key.set_yticks([-1, 0, 1], [f"−{largest:.2g}", "0", f"+{largest:.2g}"])
    key.tick_params(length=0, labelright=True, labelleft=False, labelbottom=False)
    for side in ("left", "bottom"):
        key.spines[side].set_visible(False)


@as_svg
def effect_sizes(sizes: dict[str, np.ndarray], looks: dict[str, Series]) -> Figure:
    """Share of variants with an effect at least as large as x, one line a model.

    Args:
        sizes: model to size of each variant's effect, float (n,), not negative.
    """
    figure = Figure((6.5, 3), layout="constrained")
    axes = figure.subplots()
    for model, values in sizes.items():
        ordered = np.sort(values[values > 0])[::-1]
        share = np.arange(1, len(ordered) + 1) / max(len(values), 1)
        keep = np.unique(np.geomspace(1, len(ordered), 300).astype(int)) - 1 if len(ordered) else []
        look = looks[model]
        axes.plot(ordered[keep], share[keep], color=look.colour, linestyle=look.dash, linewidth=1.6, label=look.label)
    axes.set(xscale="log", yscale="log", xlabel="|logit|, largest over targets", ylabel="share of variants\nat least as large")
    axes.grid()
    legend(figure, axes, COLUMNS)
    return figure


@as_svg
def layers(panels: dict[str, pd.DataFrame], chosen: dict[str, tuple[int, str]]) -> Figure:
    """Validation AP of a probe by the layer that it reads, one panel a run, one line a pooling; a ring marks what was chosen.

    Args:
        panels: title of a run to layer, pooling, validation_ap.
        chosen: title to (layer, pooling).
    """
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure((WIDTH * max(columns, 2) / COLUMNS, 2.4 * lines + 0.55), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    poolings = list(dict.fromkeys(name for table in panels.values() for name in table["pooling"]))
    for axes, (title, table) in zip(grid.flat, panels.items(), strict=False):
        for name in poolings:
            one, hue = table[table["pooling"] == name], POOLING_HUES[poolings.index(name) % len(POOLING_HUES)]
            axes.plot(one["layer"], one["validation_ap"], color=hue, marker=".", markersize=4, linewidth=1.4, label=name)
            best = one[one["layer"] == chosen[title][0]]
            if name == chosen[title][1]:
                axes.plot(best["layer"], best["validation_ap"], "o", markersize=10, markerfacecolor="none", color=hue)
        axes.set_title(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
    name_axes(grid, len(panels), "layer that the probe reads", "validation AP")
    legend(figure, grid.flat[0], len(poolings) + 1)
    return figure
