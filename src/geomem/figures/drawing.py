"""A fleet's pictures for papers and READMEs: matplotlib figures, saved as PDF and SVG, with data as CSV."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from geomem.errors import InputError
from geomem.figures.notebook_figure import NotebookFigure
from geomem.figures.palette import LIGHT, READING_COLOURS, THEMES, Theme, node_colours, theme_colour
from geomem.figures.places import order_shares, paint_labels, paint_places
from geomem.figures.tables import (
    tabulate_curves,
    tabulate_dynamics,
    tabulate_embedding,
    tabulate_heatmap,
    tabulate_map,
    tabulate_shells,
    tabulate_spectrum,
)
from geomem.figures.views import FleetView
from geomem.files import check_place, csv_file, make_parent, replace_file
from geomem.geometry.portrait import Portrait
from geomem.training.metrics import lines_of

FIGURE_KINDS = (".pdf", ".svg", ".csv")
"""Endings of the files of one figure, with its data."""

INSTALLED = {entry.name for entry in fontManager.ttflist}
WANTED = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "WenQuanYi Zen Hei",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
)
SCRIPTS = ["DejaVu Sans", *(name for name in WANTED if name in INSTALLED)]
"""matplotlib's own font, then what is installed for scripts it lacks."""

# Hash salt and missing dates make files byte-equal for equal data; text stays text in both formats.
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": SCRIPTS,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "text.parse_math": False,
    "svg.hashsalt": "geomem",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


def save_figure(figure: Figure, table: pl.DataFrame, stem: Path) -> tuple[Path, Path, Path]:
    """Write `stem`.pdf, `stem`.svg and the plotted data as `stem`.csv; equal input gives equal bytes."""
    pdf, svg, csv = (stem.with_name(f"{stem.name}{kind}") for kind in FIGURE_KINDS)
    made_by: dict[str, str | None] = {"CreationDate": None, "Creator": "geomem", "Producer": None}
    make_parent(pdf)
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A script no installed font knows: boxes in the PDF, but the SVG and the CSV keep the text.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # solved once for both files
        replace_file(pdf, lambda path: figure.savefig(path, metadata=made_by))
        replace_file(svg, lambda path: figure.savefig(path, metadata={"Date": None, "Creator": "geomem"}))
    replace_file(csv, csv_file(table))
    return pdf, svg, csv


def check_figure(out: Path, option: str = "figure") -> None:
    """Raise `InputError`, before the work begins, unless a figure can be written to `out`, an .svg or .pdf.

    >>> check_figure(Path("pauses.svg"))
    """
    if out.suffix not in (".svg", ".pdf"):
        raise InputError(f"{option} is {str(out)!r}; give a name that ends in .svg or .pdf.")
    for kind in FIGURE_KINDS:
        check_place(out.with_suffix(kind))


def save_figures(view: FleetView, directory: Path) -> list[Path]:
    """Every picture of a fleet as PDF, SVG and CSV in a directory; the paths written."""
    pictures: dict[str, tuple[Callable[[FleetView], Figure], Callable[[FleetView], pl.DataFrame]]] = {
        "embedding": (draw_embedding, tabulate_embedding),
        "heatmap": (draw_heatmap, tabulate_heatmap),
        "curves": (draw_curves, tabulate_curves),
        "spectrum": (draw_spectrum, tabulate_spectrum),
        "shells": (draw_shells, tabulate_shells),
    }
    if view.dynamics is not None:
        pictures["dynamics"] = (draw_dynamics, tabulate_dynamics)
    if view.learned_maps is not None:
        pictures["map"] = (draw_map, tabulate_map)
    return [
        path
        for name, (draw, tabulate) in pictures.items()
        for path in save_figure(draw(view), tabulate(view), directory / name)
    ]


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure of so many inches on the theme's ground."""
    return NotebookFigure(figsize=(width, height), facecolor=theme.card, layout="constrained")


def dressed_axes(figure: Figure, theme: Theme, *position: int | tuple[int, int]) -> Axes:
    """Axes at a place of the figure, in the theme's colours; `position` as `Figure.add_subplot` takes it."""
    axes = figure.add_subplot(*position, facecolor=theme.card)
    axes.tick_params(colors=theme.muted, labelsize=8)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(theme.line)
    axes.spines[["top", "right"]].set_visible(False)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set_color(theme.muted)
    axes.set_title("", color=theme.ink)  # a title set later, in the same place, keeps the colour
    return axes


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """The same function of a figure, drawn in the house's style."""

    def drawn(*arguments: Any, **options: Any) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*arguments, **options)

    drawn.__name__, drawn.__doc__ = draw.__name__, draw.__doc__
    drawn.__wrapped__ = draw  # pyright: ignore[reportFunctionMemberAccess]
    return drawn


def _project(places: Float[np.ndarray, "node 3"], yaw: float = 0.6, pitch: float = 0.32) -> np.ndarray:
    """Perspective view of points in the unit ball: x, y on the picture and depth towards the eye."""
    x, y, z = places.T
    side = np.cos(yaw) * x + np.sin(yaw) * z
    forward = np.cos(yaw) * z - np.sin(yaw) * x
    up, depth = np.cos(pitch) * y - np.sin(pitch) * forward, np.cos(pitch) * forward + np.sin(pitch) * y
    nearness = 4.2 / (4.2 - depth)
    return np.stack([side * nearness, up * nearness, depth], axis=1)


def _paint_graph(
    axes: Axes, view: FleetView, places: np.ndarray, theme: Theme, *, labels: bool = False
) -> None:
    points = _project(places)
    nearness = np.clip((points[:, 2] + 1) / 2, 0, 1)
    size = min(90.0, 1600 / len(points))
    near = nearness[view.edges].mean(axis=1)
    order = np.argsort(near)
    fog = [to_rgba(theme.edge, 0.35 + 0.55 * depth) for depth in near[order]]
    segments = points[view.edges[order], :2]
    axes.add_collection(
        LineCollection(list(segments), colors=fog, linewidths=0.6 + near[order], capstyle="round")
    )
    colours = np.array(node_colours(np.linspace(0, 1, len(points)), view.branches, theme))
    order = np.argsort(points[:, 2])
    sizes = size * (0.6 + 0.7 * nearness) * np.where(np.arange(len(points)) == view.root, 1.9, 1.0)
    axes.scatter(
        *points[order, :2].T,
        s=sizes[order],
        c=colours[order],
        edgecolors=theme.card,
        linewidths=0.9,
        zorder=3,
    )
    if labels:
        paint_labels(axes, view.labels, points[:, :2], 6.0, 90.0, theme)
    axes.set_xlim(-1.25, 1.25)
    axes.set_ylim(-1.25, 1.25)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _paint_reading(axes: Axes, view: FleetView, theme: Theme) -> None:
    colour = getattr(theme, READING_COLOURS[view.portrait.reading])
    axes.set_ylim(-1.6, 1.25)
    axes.text(
        0, -1.2, view.portrait.reading, fontsize=14, fontweight="bold", color=colour, ha="center", va="top"
    )
    axes.text(0, -1.42, view.model, fontsize=8.5, color=theme.muted, ha="center", va="top")


@styled
def side_by_side(fleet_a: FleetView, fleet_b: FleetView, *, theme: str = "light", run: int = 0) -> Figure:
    """The same graph stored two ways: principal components after the last step, each with its reading."""
    colours = THEMES[theme]
    figure = new_figure(8.4, 4.7, colours)
    for column, view in enumerate((fleet_a, fleet_b)):
        axes = dressed_axes(figure, colours, 1, 2, column + 1)
        _paint_graph(axes, view, view.places[run, -1], colours)
        _paint_reading(axes, view, colours)
    return figure


@styled
def map_side_by_side(view: FleetView, *, theme: str = "light", run: int | None = None) -> Figure:
    """The true map beside the learned one, borders as lines; without `run` the seed of median correlation."""
    return _draw_map(view, THEMES[theme], run)


@styled
def draw_map(view: FleetView) -> Figure:
    """The true map beside the one learned by the seed of median correlation."""
    return _draw_map(view, LIGHT, None)


def _draw_map(view: FleetView, theme: Theme, run: int | None) -> Figure:
    if view.learned_maps is None or view.map_correlations is None or view.graph.coordinates is None:
        raise ValueError(f"{view.graph.name} has no coordinates")
    if run is None:
        run = int(np.argsort(view.map_correlations)[(len(view.map_correlations) - 1) // 2])
    true = view.graph.coordinates[view.nodes]
    figure = new_figure(10.4, 5.0, theme)
    panels = {
        "The true map": true,
        f"Learned by {view.model.split(',')[0]} from the edges alone, r = {view.map_correlations[run]:.2f}": (
            view.learned_maps[run]
        ),
    }
    axes = [dressed_axes(figure, theme, 1, 2, column + 1) for column in range(2)]
    colours = node_colours(order_shares(true[:, 0]), None, theme)
    paint_places(axes, panels, view.edges, view.labels, colours, theme)
    return figure


def shortened(text: str, length: int) -> str:
    """A label of at most so many characters.

    >>> shortened("Liechtenstein", 8)
    'Liechte…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


@styled
def draw_embedding(view: FleetView, *, run: int = 0) -> Figure:
    """Principal components of one seed at the first, a middle and the last snapshot, in the same axes."""
    chosen = sorted({0, len(view.steps) // 2, len(view.steps) - 1})
    figure = new_figure(3.3 * len(chosen), 3.5, LIGHT)
    for column, snapshot in enumerate(chosen):
        axes = dressed_axes(figure, LIGHT, 1, len(chosen), column + 1)
        _paint_graph(axes, view, view.places[run, snapshot], LIGHT, labels=len(view.nodes) <= 24)
        axes.set_title(f"step {view.steps[snapshot]:,}")
    return figure


@styled
def draw_heatmap(view: FleetView) -> Figure:
    """Cosine of every two nodes after the last step (mean over seeds) beside their graph distance."""
    figure = new_figure(8.2, 3.9, LIGHT)
    labels = [shortened(view.labels[place], 14) for place in view.heatmap_nodes]
    finite = np.where(np.isfinite(view.distances), view.distances, np.nan)
    panels = (
        ("Cosine similarity", view.cosines[:, -1].mean(axis=0), LIGHT.diverging, -1.0, 1.0),
        ("Graph distance", finite, LIGHT.sequential, 0.0, float(np.nanmax(finite))),
    )
    for column, (title, values, stops, low, high) in enumerate(panels):
        axes = dressed_axes(figure, LIGHT, 1, 2, column + 1)
        image = axes.imshow(values, cmap=LinearSegmentedColormap.from_list(title, stops), vmin=low, vmax=high)
        axes.set_title(title)
        if len(labels) <= 48:
            axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=5)
            axes.set_yticks(range(len(labels)), labels, fontsize=5)
        bar = figure.colorbar(image, ax=axes, shrink=0.85)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.ax.tick_params(labelsize=7, colors=LIGHT.muted)
    return figure


def _step_axis(axes: Axes) -> None:
    axes.set_xscale("symlog", linthresh=1)
    last = axes.get_xlim()[1]
    ticks = [0] + [10**power for power in range(12) if 10**power <= last]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("training step")


def _band(axes: Axes, x: np.ndarray, rows: pl.DataFrame, colour: str, label: str) -> None:
    axes.fill_between(
        x, rows["low"].to_numpy(), rows["high"].to_numpy(), color=colour, alpha=0.18, linewidth=0
    )
    axes.plot(x, rows["mean"].to_numpy(), color=colour, linewidth=1.8, label=label)


@styled
def draw_curves(view: FleetView) -> Figure:
    """Accuracy, geometric level and loss over training, mean and range over seeds; of paths held-out ones."""
    figure = new_figure(8.2, 3.0, LIGHT)
    table = tabulate_curves(view)
    left, right = dressed_axes(figure, LIGHT, 1, 2, 1), dressed_axes(figure, LIGHT, 1, 2, 2)
    for metric, line in lines_of(table["metric"].unique(maintain_order=True)):
        if line.drawn:
            rows = table.filter(pl.col("metric") == metric)
            axes = right if line.chart == "Loss" else left
            _band(axes, rows["step"].to_numpy(), rows, theme_colour(LIGHT, line.colour), line.name)
    for axes in (left, right):
        _step_axis(axes)
        axes.legend(frameon=False, fontsize=8, labelcolor=LIGHT.ink)
    return figure


@styled
def draw_spectrum(view: FleetView) -> Figure:
    """Share of the embedding's energy per distinct Laplacian eigenvalue, beside that of no preference."""
    figure = new_figure(7.0, 3.2, LIGHT)
    axes = dressed_axes(figure, LIGHT, 1, 1, 1)
    table = tabulate_spectrum(view)
    x, mean = np.arange(len(table)), table["mean"].to_numpy()
    spread = np.stack([mean - table["low"].to_numpy(), table["high"].to_numpy() - mean])
    axes.bar(x, mean, color=LIGHT.accent, width=0.72, yerr=np.maximum(spread, 0), ecolor=LIGHT.ink)
    axes.plot(
        *(x, table["expected"].to_numpy(), "_"),
        color=LIGHT.warm,
        markersize=max(2.0, 300 / max(20, len(table))),
        markeredgewidth=2,
        label="no preference",
    )
    names = [
        f"{value:.3g}" + (f" ×{count}" if count > 1 else "")
        for value, count in table.select("eigenvalue", "multiplicity").rows()
    ]
    every = -(-len(table) // 24)
    axes.set_xticks(x[::every], names[::every], rotation=60, ha="right", fontsize=7)
    axes.set_xlabel("Laplacian eigenvalue × multiplicity, smooth to rough")
    axes.set_ylabel("share of energy")
    axes.legend(frameon=False, fontsize=8, labelcolor=LIGHT.ink)
    return figure


@styled
def draw_shells(view: FleetView | Portrait) -> Figure:
    """Mean cosine by graph distance, with its range over seeds and the band of permuted nodes."""
    figure = new_figure(4.6, 3.2, LIGHT)
    axes = dressed_axes(figure, LIGHT, 1, 1, 1)
    table = tabulate_shells(view)
    x = table["distance"].to_numpy()
    null = (table["null_low"].to_numpy(), table["null_high"].to_numpy())
    axes.fill_between(x, *null, color=LIGHT.muted, alpha=0.2, linewidth=0, label="permuted nodes, 95 %")
    _band(axes, x, table, LIGHT.accent, "mean cosine")
    axes.axhline(0, color=LIGHT.line, linewidth=1, zorder=0)
    axes.set_xlabel("graph distance")
    axes.set_ylabel("mean cosine")
    axes.legend(frameon=False, fontsize=8, labelcolor=LIGHT.ink)
    return figure


@styled
def draw_dynamics(view: FleetView) -> Figure:
    """Node2Vec along each eigenspace: ‖Vᵀ e‖ and, for tied tables, ‖C e‖ over training."""
    table = tabulate_dynamics(view)
    names = [("projection", "‖Vᵀ e‖")] + ([("gradient", "‖C e‖")] if "gradient" in table.columns else [])
    figure = new_figure(4.2 * len(names), 3.2, LIGHT)
    eigenvalues = table["eigenvalue"].unique(maintain_order=True).to_list()
    colours = node_colours(np.linspace(0, 1, len(eigenvalues)), None, LIGHT)
    for column, (name, label) in enumerate(names):
        axes = dressed_axes(figure, LIGHT, 1, len(names), column + 1)
        for eigenvalue, colour in zip(eigenvalues, colours, strict=True):
            rows = table.filter(pl.col("eigenvalue") == eigenvalue)
            axes.plot(rows["step"], rows[name], color=colour, linewidth=1.5, label=f"{eigenvalue:.3g}")
        _step_axis(axes)
        axes.set_title(label)
        if column == 0 and len(eigenvalues) <= 12:
            axes.legend(
                frameon=False, fontsize=6.5, title="eigenvalue", title_fontsize=7, labelcolor=LIGHT.ink
            )
    return figure
