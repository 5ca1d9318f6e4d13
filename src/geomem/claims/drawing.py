"""The figure of a claim."""

from collections.abc import Sequence
from math import isfinite

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from geomem.claims.check import Judgement, Picture, Quantity
from geomem.claims.claim import Expected
from geomem.figures.notebook_figure import NotebookFigure
from geomem.figures.palette import LIGHT

ROWS = 12
"""Quantities drawn at most; the table beside the figure has them all."""

ONE_AXIS = 30.0
"""Quantities share an axis if the largest is less than so many times the smallest."""


def draw_claim(judgement: Judgement, expected: Sequence[Expected]) -> Figure:
    """The judgement's picture, or its quantities beside what was expected."""
    if judgement.picture is not None:
        return draw_picture(judgement.picture)
    return draw_quantities(judgement.quantities[:ROWS], expected)


def draw_picture(picture: Picture) -> Figure:
    """A table's columns as lines with bands, or as points with whiskers."""
    figure = _figure(3.1)
    axes = figure.subplots()
    table = picture.table
    parts = table.partition_by(picture.series, maintain_order=True) if picture.series else [table]
    has_band = {"low", "high"} <= set(table.columns)
    for number, part in enumerate(parts):
        colour = LIGHT.branches[number % len(LIGHT.branches)]
        label = str(part[picture.series][0]) if picture.series else ""
        x, y = part[picture.x].to_numpy(), part[picture.y].cast(float).to_numpy()
        low, high = (part[end].cast(float).to_numpy() if has_band else y for end in ("low", "high"))
        if picture.kind == "line":
            axes.plot(x, y, color=colour, linewidth=1.6, label=label)
            axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        else:
            axes.plot(x, y, "o", color=colour, markersize=4.5, label=label)
            axes.vlines(x, low, high, color=colour, linewidth=1.4)
    if picture.log_x:
        _scale_by_powers(axes, table[picture.x].cast(float).to_numpy())
    axes.set_xlabel(picture.x)
    axes.set_ylabel(picture.y)
    _finish(axes)
    if picture.series:
        longest = max(len(str(part[picture.series][0])) for part in parts)
        columns = max(1, min(4, 66 // (longest + 8)))  # what fits the width at this size
        figure.legend(
            loc="outside upper left", frameon=False, labelcolor=LIGHT.ink, fontsize=8, ncols=columns
        )
    return figure


def draw_quantities(quantities: Sequence[Quantity], expected: Sequence[Expected]) -> Figure:
    """Every quantity as a row: its seeds, mean and interval, and the expected number where there is one."""
    numbers = {
        entry.quantity: entry.value
        for entry in expected
        if not isinstance(entry.value, str) and entry.quantity
    }
    sizes = [abs(quantity.mean) for quantity in quantities if isfinite(quantity.mean) and quantity.mean]
    shared = bool(sizes) and max(sizes) < ONE_AXIS * min(sizes)
    figure = _figure(0.7 + 0.46 * len(quantities) if shared else 0.3 + 0.78 * len(quantities))
    rows = len(quantities)
    panels = [figure.subplots()] * rows if shared else list(figure.subplots(rows, squeeze=False)[:, 0])
    for number, (axes, quantity) in enumerate(zip(panels, quantities, strict=True)):
        place = rows - 1 - number if shared else 0
        axes.hlines(place, quantity.low, quantity.high, color=LIGHT.accent, linewidth=3, alpha=0.45)
        values = quantity.values
        axes.plot(values, np.full(len(values), place), "o", color=LIGHT.muted, markersize=3, alpha=0.7)
        axes.plot([quantity.mean], [place], "o", color=LIGHT.accent, markersize=6)
        if quantity.name in numbers:
            axes.plot(
                [numbers[quantity.name]], [place], "D", color=LIGHT.warm, markersize=6, fillstyle="none"
            )
        axes.annotate(
            quantity.name,
            (0, place),
            xycoords=("axes fraction", "data"),
            xytext=(0, 7),
            textcoords="offset points",
            fontsize=8,
            color=LIGHT.ink,
        )
    for axes in dict.fromkeys(panels):
        axes.set_yticks([])
        axes.set_ylim(-0.5, (rows if shared else 1) - 0.2)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.ticklabel_format(axis="x", useOffset=False)
        _finish(axes)
    return figure


def _figure(height: float) -> Figure:
    return NotebookFigure(figsize=(4.6, height), layout="constrained")


def _scale_by_powers(axes: Axes, x: np.ndarray) -> None:
    """A logarithmic axis of x with plain numbers at powers of ten; 0, as of steps, has a place as well."""
    positive = x[np.isfinite(x) & (x > 0)]
    if not len(positive):
        return
    low, high = np.floor(np.log10(positive.min())), np.ceil(np.log10(positive.max()))
    ticks = 10.0 ** np.arange(low, high + 1)
    if len(positive) < len(x):
        axes.set_xscale("symlog", linthresh=ticks[0])
        ticks = np.append(0.0, ticks)
    else:
        axes.set_xscale("log")
    ticks = ticks[(ticks >= x.min()) & (ticks <= x.max())]
    axes.set_xticks(ticks, [f"{tick:,.0f}" if tick >= 1 or tick == 0 else f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _finish(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=LIGHT.muted, labelsize=8)
    axes.xaxis.label.set(color=LIGHT.ink, fontsize=9)
    axes.yaxis.label.set(color=LIGHT.ink, fontsize=9)
    for spine in axes.spines.values():
        spine.set_color(LIGHT.line)
