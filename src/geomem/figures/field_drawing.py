"""A sweep's table besides phase diagrams: curves over one setting, and one number against another."""

from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomem.errors import InputError, unknown_name
from geomem.figures.drawing import STYLE, dressed_axes, new_figure, shortened
from geomem.figures.palette import LIGHT, node_colours
from geomem.figures.phases import column_words

MOST_LINES = 12
"""Curves or colours of a picture at most."""

LOGARITHMIC = 50
"""An axis of positive values is logarithmic if the largest is so many times the smallest."""


def tabulate_fields(table: pl.DataFrame, x: str, y: str, by: str = "") -> pl.DataFrame:
    """Over `x`, for every value of `by`: number of runs, mean, lowest and highest `y`.

    What is not finite, as of a diverged run, does not count. Raises `InputError` for a column that does not
    exist, a `y` or `x` of words, or more than `MOST_LINES` values of `by`.

    >>> table = pl.DataFrame({"width": [4, 4, 8], "seed": [0, 1, 0], "loss": [1.0, 3.0, 0.5]})
    >>> tabulate_fields(table, "width", "loss").rows()
    [(4, 2, 2.0, 1.0, 3.0), (8, 1, 0.5, 0.5, 0.5)]
    """
    points = tabulate_points(table, x, y, by)
    keys = [by, x] if by else [x]
    number = pl.col(y)
    rows = points.group_by(keys, maintain_order=True).agg(
        pl.len().alias("runs"),
        number.mean().alias("mean"),
        number.min().alias("lowest"),
        number.max().alias("highest"),
    )
    return rows.sort(keys)


def tabulate_points(table: pl.DataFrame, x: str, y: str, by: str = "") -> pl.DataFrame:
    """`by`, `x` and `y` of every run where both numbers are finite; raises `InputError` as `tabulate_fields`.

    >>> table = pl.DataFrame({"width": [4, 8], "loss": [1.0, float("nan")]})
    >>> tabulate_points(table, "width", "loss").rows()
    [(4, 1.0)]
    """
    for name in filter(None, (x, y, by)):
        if name not in table.columns:
            known = table.columns
            raise unknown_name(
                f"The table has no column {name!r}", name, known, otherwise=f"give one of {', '.join(known)}"
            )
    for name in (x, y):
        if not table.schema[name].is_numeric():
            raise InputError(f"The column {name} holds no numbers; give another for x and y.")
    if len({x, y, by} - {""}) < 2 + bool(by):
        raise InputError(f"x is {x}, y {y} and by {by or 'not given'}; give different columns.")
    if by and table[by].n_unique() > MOST_LINES:
        count = table[by].n_unique()
        raise InputError(f"{by} has {count} values; give one with {MOST_LINES} at most, or fewer runs.")
    finite = [pl.col(name).cast(pl.Float64).is_finite() for name in (x, y)]
    points = table.select(*[by] * bool(by), x, y).filter(*finite)
    if not len(points):
        raise InputError(f"No run has both {x} and {y}; give other columns.")
    return points


def draw_fields(table: pl.DataFrame, x: str, y: str, by: str = "", *, title: str = "") -> Figure:
    """Curves of `tabulate_fields`: means over runs, bands from the lowest to the highest."""

    def paint(axes: Axes, rows: pl.DataFrame, colour: str, label: str) -> None:
        across = rows[x].to_numpy()
        axes.fill_between(across, rows["lowest"], rows["highest"], color=colour, alpha=0.18, linewidth=0)
        axes.plot(across, rows["mean"], color=colour, marker="o", markersize=3, linewidth=1.4, label=label)

    return _draw(tabulate_fields(table, x, y, by), x, y, by, paint, title)


def draw_points(table: pl.DataFrame, x: str, y: str, by: str = "", *, title: str = "") -> Figure:
    """The points of `tabulate_points`, one per run, coloured by a setting."""

    def paint(axes: Axes, rows: pl.DataFrame, colour: str, label: str) -> None:
        axes.plot(rows[x], rows[y], ".", color=colour, markersize=5, alpha=0.7, label=label)

    return _draw(tabulate_points(table, x, y, by), x, y, by, paint, title)


def _draw(table: pl.DataFrame, x: str, y: str, by: str, paint: Any, title: str) -> Figure:
    values = sorted(table[by].unique().to_list(), key=lambda value: (value is None, value)) if by else [None]
    colours = node_colours(np.linspace(0, 1, len(values)), None, LIGHT) if len(values) > 1 else [LIGHT.accent]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.6 if by else 4.6, 3.4, LIGHT)
        axes = dressed_axes(figure, LIGHT, 1, 1, 1)
        for value, colour in zip(values, colours, strict=True):
            rows = table.filter(pl.col(by).eq_missing(pl.lit(value))) if by else table
            text = f"{value:.3g}" if isinstance(value, float) else str(value)
            paint(axes, rows, colour, shortened(text, 20))
        low, high = float(table[x].min()), float(table[x].max())  # pyright: ignore[reportArgumentType]
        if low > 0 and high / low >= LOGARITHMIC:
            axes.set_xscale("log")
        axes.set_xlabel(column_words(x))
        axes.set_ylabel(column_words(y))
        if by:
            legend = figure.legend(
                title=column_words(by),
                loc="outside right upper",
                frameon=False,
                fontsize=8,
                title_fontsize=8,
                labelcolor=LIGHT.ink,
            )
            legend.get_title().set_color(LIGHT.muted)
        if title:
            axes.set_title(title)
    return figure
