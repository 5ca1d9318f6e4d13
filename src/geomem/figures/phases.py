"""Phase diagrams: what a memory became, over two axes of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axis import Axis
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from geomem.errors import InputError, unknown_name
from geomem.figures.drawing import STYLE
from geomem.figures.notebook_figure import NotebookFigure
from geomem.figures.palette import LIGHT
from geomem.training.metrics import WHOLE

COLOURS = (
    ("geometric_level", "fiedler_alignment"),
    ("held_out_first_hop", "held_out_exact_match"),
    ("recall", "margin"),
)
"""What a phase diagram of edges, of paths and prompts, and of facts shows, side by side."""

SIGNED = {"geometric_level", "geometric_level_peak", "neighbour_cosine", "second_neighbour_cosine"}
SHARES = {"fiedler_alignment", "held_out_first_hop", "held_out_exact_match", *WHOLE}

MEMORIZED_SHARE = 0.5
"""A cell is hatched where fewer of its runs than this share recall every fact."""


@dataclass(frozen=True, eq=False)
class _Panel:
    title: str
    values: Float[np.ndarray, "row column"]
    low: float
    high: float
    stops: tuple[str, ...]


def usual_colours(table: pl.DataFrame) -> tuple[str, ...]:
    """What a phase diagram of a table shows unless told otherwise, by the task of its runs.

    >>> usual_colours(pl.DataFrame({"recall": [1.0], "margin": [0.5]}))
    ('recall', 'margin')
    """
    known = (colours for colours in COLOURS if all(_is_there(table, name) for name in colours))
    return next(known, COLOURS[0])


def _is_there(table: pl.DataFrame, name: str) -> bool:
    return name in table.columns and table[name].null_count() < len(table)


def tabulate_phases(
    table: pl.DataFrame, x: str, y: str, colours: Sequence[str] | None = None
) -> pl.DataFrame:
    """The cells of a phase diagram: y, x, number of runs, share that recalls everything, means over runs.

    A diverged run counts as one that does not recall, and not in the means. All runs of a cell are averaged,
    whatever else differs between them: filter `table` first if more than the seed does.

    Raises `InputError` if a column does not exist, a colour is not numeric, or x and y are the same.

    >>> table = pl.DataFrame({"a": [1, 1], "b": [2, 2], "seed": [0, 1], "associative_accuracy": [1.0, 0.5],
    ...     "geometric_level": [0.5, 0.7], "fiedler_alignment": [0.9, float("nan")]})
    >>> tabulate_phases(table, "a", "b").rows()
    [(2, 1, 2, 0.5, 0.6, 0.9)]
    """
    colours = colours or usual_colours(table)
    for name in (x, y, *colours):
        if name not in table.columns:
            raise unknown_name(
                f"The sweep has no column {name!r}",
                name,
                table.columns,
                otherwise=f"give one of {', '.join(table.columns)}",
            )
        if name in colours and not table.schema[name].is_numeric():
            raise InputError(f"The column {name} holds words; colour by a number such as {COLOURS[0][0]}.")
    if x == y:
        raise InputError(f"x and y are both {x}; give two different axes.")
    means = [pl.col(name).fill_nan(None).mean() for name in colours]
    whole = [name for name in WHOLE if name in table.columns]
    if not whole:
        raise InputError(f"The table has none of {', '.join(WHOLE)}, which say what is recalled.")
    memorized = (pl.coalesce(whole) == 1.0).fill_null(False).mean().alias("memorized")
    return table.group_by([y, x], maintain_order=True).agg(pl.len().alias("runs"), memorized, *means)


def phase_diagram(
    table: pl.DataFrame, x: str, y: str, colours: Sequence[str] | None = None, *, title: str = ""
) -> Figure:
    """Maps of a sweep over two of its axes, one per colour, hatched where memorisation failed.

    Cells stand in the order in which the sweep's table has them, evenly, whatever the scale. Raises
    `InputError` as `tabulate_phases` does.
    """
    colours = colours or usual_colours(table)
    cells = tabulate_phases(table, x, y, colours)
    columns, rows = (cells[name].unique(maintain_order=True).to_list() for name in (x, y))
    places = (
        np.array([rows.index(value) for value in cells[y].to_list()]),
        np.array([columns.index(value) for value in cells[x].to_list()]),
    )
    shape = (len(rows), len(columns))
    memorized = np.full(shape, np.nan)
    memorized[places] = cells["memorized"].to_numpy()
    style: dict[Any, Any] = STYLE | {"hatch.linewidth": 0.5}
    with matplotlib.rc_context(style):
        width = 0.9 + 3.6 * len(colours)
        figure = NotebookFigure(figsize=(width, 4.0), facecolor=LIGHT.card, layout="constrained")
        for number, name in enumerate(colours):
            values = np.full(shape, np.nan)
            values[places] = cells[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            axes = figure.add_subplot(1, len(colours), number + 1, facecolor=LIGHT.line)
            panel = _panel(name, values)
            colour_map = LinearSegmentedColormap.from_list(name, panel.stops)
            image = axes.imshow(
                panel.values,
                cmap=colour_map,
                vmin=panel.low,
                vmax=panel.high,
                origin="lower",
                aspect="auto",
                interpolation="nearest",
            )
            failed = np.argwhere(memorized < MEMORIZED_SHARE)
            axes.add_collection(_hatching(failed))
            axes.set_title(panel.title, color=LIGHT.ink)
            axes.set_xlabel(column_words(x), color=LIGHT.muted)
            _label_ticks(axes.xaxis, columns, rotation=45 if len(columns) > 4 else 0)
            _label_ticks(axes.yaxis, rows if number == 0 else [""] * len(rows))
            if number == 0:
                axes.set_ylabel(column_words(y), color=LIGHT.muted)
            axes.tick_params(colors=LIGHT.muted, labelsize=7, length=2)
            for spine in axes.spines.values():
                spine.set_visible(False)
            bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
            bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
            bar.ax.tick_params(labelsize=7, colors=LIGHT.muted)
        hatched = Patch(facecolor="none", edgecolor=LIGHT.ink, hatch="////", linewidth=0)
        text = "fewer than half of the runs recall every fact"
        figure.legend(
            [hatched], [text], loc="outside lower center", frameon=False, fontsize=8, labelcolor=LIGHT.ink
        )
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=LIGHT.ink)
    return figure


def _panel(name: str, values: Float[np.ndarray, "row column"]) -> _Panel:
    if name in SIGNED:
        return _Panel(column_words(name), values, -1.0, 1.0, LIGHT.diverging)
    if name in SHARES:
        return _Panel(column_words(name), values, 0.0, 1.0, LIGHT.ramp)
    sound = values[np.isfinite(values)]
    low, high = (float(sound.min()), float(sound.max())) if len(sound) else (0.0, 1.0)
    return _Panel(column_words(name), values, low, max(high, low + 1e-12), LIGHT.ramp)


def column_words(name: str) -> str:
    """A column's name as people read it."""
    return name.replace("_", " ").replace("fiedler", "Fiedler")


def _hatching(cells: np.ndarray) -> PolyCollection:
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    squares = [corners + np.array([column, row]) for row, column in cells]
    return PolyCollection(squares, facecolors="none", edgecolors=LIGHT.ink, linewidths=0, hatch="////")


def _label_ticks(axis: Axis, values: list, *, rotation: int = 0) -> None:
    every = -(-len(values) // 11)
    places = list(range(0, len(values), every))
    texts = [f"{value:.2g}" if isinstance(value, float) else str(value) for value in values]
    axis.set_ticks(places, [texts[place] for place in places], rotation=rotation)
