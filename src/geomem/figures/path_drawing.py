"""Pictures of path finding from their tables: accuracy and chance, tokens, settings, heatmaps, embedding."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from geomem.figures.drawing import STYLE, dressed_axes, new_figure, save_figure, shortened
from geomem.figures.palette import THEMES, Theme, node_colours
from geomem.figures.path_tables import (
    last_rows,
    tabulate_path_distances,
    tabulate_path_places,
    tabulate_paths,
)
from geomem.measure.paths import path_distances
from geomem.runs.run import Run

BARS = {"held_out.first_hop": "first hop", "held_out.exact_match": "whole path"}
"""Bars of the picture of answers, by metric."""

PANELS = {
    "held_out.first_hop": "held-out first hop",
    "held_out.exact_match": "held-out whole path",
    "edge_recall": "edges recalled",
    "retrieval": "first hop nearest to its leaf",
}
"""Panels of the picture of settings, by metric; a panel without a number is left out."""

LABELLED_ROWS = 32
"""Rows of a heatmap that are named at most."""


def save_path_figures(fleets: Mapping[str, Run], directory: Path) -> list[Path]:
    """Every picture of fleets that find paths, as PDF, SVG and CSV in a directory; the paths written.

    `answers` has all fleets side by side; `<setting>-tokens`, `-distances` and `-places` are of one fleet.
    The last two need held-out paths.
    """
    table = tabulate_paths(fleets)
    made: dict[str, tuple[Callable[[pl.DataFrame], Figure], pl.DataFrame]] = {
        "answers": (partial(draw_answers, names=name_settings(fleets)), table)
    }
    prefix = "{}-" if len(fleets) > 1 else ""
    for setting, fleet in fleets.items():
        own = prefix.format(setting)
        made[f"{own}tokens"] = (draw_path_run, table.filter(pl.col("setting") == setting))
        if (distances := path_distances(fleet)) is not None:
            title = f"{len(distances.paths)} of {distances.held_out} held-out paths"
            made[f"{own}distances"] = (
                partial(draw_path_distances, title=title),
                tabulate_path_distances(fleet, distances),
            )
            made[f"{own}places"] = (draw_path_places, tabulate_path_places(fleet))
    return [
        path
        for name, (draw, numbers) in made.items()
        for path in save_figure(draw(numbers), numbers, directory / name)
    ]


def name_settings(fleets: Mapping[str, Run]) -> dict[str, str]:
    """What a picture calls each fleet: in weights or in context, world, model; a number if two agree."""
    named = {}
    for setting, fleet in fleets.items():
        configuration = fleet.manifest["configuration"]
        kind = configuration["task"]["kind"]
        where = "in context" if kind.startswith("in-context") else "in weights"
        world = fleet.graph.name.replace("in-context-", "path-star-")  # the one that every prompt shows
        named[setting] = f"{where}\n{shortened(world, 24)}\n{configuration['model']['kind']}"
    said = list(named.values())
    return {
        setting: name if said.count(name) == 1 else f"{name} {number}"
        for number, (setting, name) in enumerate(named.items(), start=1)
    }


def draw_answers(
    table: pl.DataFrame, *, names: Mapping[str, str] = MappingProxyType({}), theme: str = "light"
) -> Figure:
    """Held-out accuracy after the last epoch beside chance: a group of bars per setting of `tabulate_paths`.

    Lines on the bars reach from the lowest to the highest seed. `names` are written in place of settings.
    """
    colours = THEMES[theme]
    settings = table["setting"].unique(maintain_order=True).to_list()
    with matplotlib.rc_context(STYLE):
        figure = new_figure(2.2 + 1.4 * len(settings), 3.2, colours)
        axes = dressed_axes(figure, colours, 1, 1, 1)
        _paint_bars(axes, table, colours, names)
        _paint_legend(axes, colours)
    return figure


def draw_path_run(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """One setting of `tabulate_paths`: held-out accuracy of every token over epochs, and bars beside chance.

    Solid lines are free-running answers, dashed ones have the right tokens before them given; the line of
    dashes and dots is the first hop with the root's neighbours alone to choose from. Means over seeds, bands
    from the lowest to the highest. A vertical line is where another stage begins.
    """
    colours = THEMES[theme]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(8.2, 3.2, colours)
        left = dressed_axes(figure, colours, 1, 2, 1)
        right = dressed_axes(figure, colours, 1, 2, 2)
        _paint_tokens(left, table, colours)
        _paint_bars(right, table, colours, {})
        for axes in (left, right):
            _paint_legend(axes, colours)
    return figure


def draw_settings(table: pl.DataFrame, *, title: str = "", theme: str = "light") -> Figure:
    """Several settings of `tabulate_paths` over epochs: first hop, whole path, edges recalled, retrieval.

    Means over seeds, bands from the lowest to the highest, dotted lines chance. A training that stopped
    early ends in a dot; a dashed vertical line is where another stage begins. Settings whose names are
    numbers are coloured along a ramp.
    """
    colours = THEMES[theme]
    settings = table["setting"].unique(maintain_order=True).to_list()
    panels = {name: text for name, text in PANELS.items() if len(_finite(table, name))}
    with matplotlib.rc_context(STYLE):
        rows = -(-len(panels) // 2)
        figure = new_figure(8.2, 0.6 + 2.6 * rows, colours)
        for number, (metric, text) in enumerate(panels.items()):
            axes = dressed_axes(figure, colours, rows, min(2, len(panels)), number + 1)
            for setting, colour in zip(settings, _setting_colours(settings, colours), strict=True):
                lines = _finite(table, metric).filter(pl.col("setting") == setting)
                _paint_line(axes, lines, colour, setting)
                _paint_stages(axes, lines, colour)
                if len(lines):
                    axes.plot(lines["epoch"][-1], lines["mean"][-1], "o", color=colour, markersize=4)
            _paint_chance(axes, table, metric, colours)
            _finish_shares(axes, text, _epoch_label(table) if number >= len(panels) - 2 else "")
        handles, names = figure.axes[0].get_legend_handles_labels()
        legend = figure.legend(
            handles,
            [shortened(name, 16) for name in names],
            title=title or None,
            loc="outside right upper",
            frameon=False,
            fontsize=8,
            title_fontsize=8,
            labelcolor=colours.ink,
        )
        legend.get_title().set_color(colours.muted)
    return figure


def draw_path_distances(table: pl.DataFrame, *, title: str = "", theme: str = "light") -> Figure:
    """Both heatmaps of `tabulate_path_distances`; the colours reach from 0 to 1, or to the largest."""
    colours = THEMES[theme]
    panels = {"leaf_first": "Leaf and first hop", "path_path": "Path and path"}
    panels = {name: text for name, text in panels.items() if table[name].null_count() < len(table)}
    leaves = table["row"].unique(maintain_order=True).to_list()
    size = round(len(table) ** 0.5)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(4.2 * len(panels), 4.1, colours)
        for number, (name, text) in enumerate(panels.items()):
            axes = dressed_axes(figure, colours, 1, len(panels), number + 1)
            values = table[name].to_numpy().reshape(size, size)
            ramp = LinearSegmentedColormap.from_list(name, colours.sequential)
            image = axes.imshow(values, cmap=ramp, vmin=0.0, vmax=max(1.0, float(np.nanmax(values))))
            axes.set_title(text)
            axes.set_xlabel("first hop of held-out path" if name == "leaf_first" else "held-out path")
            axes.set_ylabel("leaf of held-out path" if name == "leaf_first" else "held-out path")
            if size <= LABELLED_ROWS:
                across = table["first_hop"].to_list()[:size] if name == "leaf_first" else leaves
                axes.set_xticks(
                    range(size), [shortened(label, 16) for label in across], rotation=90, fontsize=5
                )
                axes.set_yticks(range(size), [shortened(label, 16) for label in leaves], fontsize=5)
            else:
                axes.set_xticks([])
                axes.set_yticks([])
            bar = figure.colorbar(image, ax=axes, shrink=0.8)
            bar.set_label("cosine distance", color=colours.muted, fontsize=8)
            bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
            bar.ax.tick_params(labelsize=7, colors=colours.muted)
        if title:
            figure.suptitle(title, fontsize=9, color=colours.muted)
    return figure


def draw_path_places(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """The embedding of one run with some held-out paths coloured, from first hop to leaf (the larger dot)."""
    colours = THEMES[theme]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(4.6, 4.6, colours)
        axes = dressed_axes(figure, colours, 1, 1, 1)
        others = table.filter(pl.col("path").is_null())
        axes.scatter(others["x"], others["y"], s=5, color=colours.edge, alpha=0.35, linewidths=0)
        paths = table.drop_nulls("path")
        for (path,), rows in paths.group_by("path", maintain_order=True):
            colour = colours.branches[int(path) % len(colours.branches)]  # pyright: ignore[reportArgumentType]
            axes.plot(rows["x"], rows["y"], color=colour, linewidth=1.2, alpha=0.8)
            sizes = np.where(rows["place"] == rows["place"].max(), 42, 16)
            axes.scatter(rows["x"], rows["y"], s=sizes, color=colour, edgecolors=colours.card, zorder=3)
        share = table["share"][0]
        axes.set_title(f"{paths['path'].n_unique()} held-out paths among all nodes")
        said = "UMAP, an illustration: distances mean nothing"
        if share is not None:
            said = f"two principal components of these paths, {share:.0%} of their variance"
        axes.set_xlabel(f"{said}\nlarge dots are leaves, grey ones all other nodes")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
    return figure


def _paint_bars(axes: Axes, table: pl.DataFrame, theme: Theme, names: Mapping[str, str]) -> None:
    settings = table["setting"].unique(maintain_order=True).to_list()
    last, width = last_rows(table), 0.27
    for number, (metric, text) in enumerate(BARS.items()):
        rows = last.filter(pl.col("metric") == metric)
        if not len(rows):  # the first hop alone is asked
            continue
        x = np.array([settings.index(setting) for setting in rows["setting"]]) + (number - 1) * width
        mean = rows["mean"].to_numpy()
        spread = np.stack([mean - rows["low"].to_numpy(), rows["high"].to_numpy() - mean])
        colour = (theme.accent, theme.warm)[number]
        axes.bar(x, mean, width * 0.92, color=colour, label=text)
        axes.errorbar(x, mean, np.maximum(spread, 0), fmt="none", ecolor=theme.ink, elinewidth=1)
        _paint_values(axes, x, rows["high"].to_numpy(), [f"{value:.2f}" for value in mean], theme)
    # One of the arms, the chance of a first hop, is the larger one: a whole path is one of the leaves.
    chance = last.filter(pl.col("metric") == "held_out.first_hop")["chance"].to_numpy()
    x = np.arange(len(settings)) + width
    axes.bar(x, chance, width * 0.92, color=theme.muted, label="chance of a first hop")
    _paint_values(axes, x, chance, [f"{value:.2g}" for value in chance], theme)
    texts = [names.get(setting, shortened(setting, 24)) for setting in settings]
    turned = sum(max(map(len, text.splitlines()), default=0) for text in texts) > 50
    axes.set_xticks(
        range(len(settings)), texts, rotation=30 if turned else 0, ha="right" if turned else "center"
    )
    _finish_shares(axes, "held-out paths after the last epoch", "")


def _paint_values(axes: Axes, x: np.ndarray, tops: np.ndarray, texts: list[str], theme: Theme) -> None:
    for place, top, text in zip(x, tops, texts, strict=True):
        look = {"ha": "center", "fontsize": 7, "color": theme.muted}
        axes.annotate(text, (place, max(top, 0)), (0, 3), textcoords="offset points", **look)


def _paint_tokens(axes: Axes, table: pl.DataFrame, theme: Theme) -> None:
    count = len({name for name in table["metric"] if name.startswith("held_out.token_")})
    colours = node_colours(np.linspace(0, 1, count), None, theme)
    for place, colour in enumerate(colours, start=1):
        forced = _finite(table, f"held_out.forced_token_{place}")
        axes.plot(forced["epoch"], forced["mean"], color=colour, linewidth=1.2, linestyle="--")
        _paint_line(axes, _finite(table, f"held_out.token_{place}"), colour, f"token {place}")
    arms = _finite(table, "held_out.first_hop_among_arms")
    axes.plot(arms["epoch"], arms["mean"], color=theme.ink, linewidth=1.2, linestyle="-.")
    _paint_chance(axes, table, "held_out.first_hop", theme)
    for style, text in (("--", "given those before"), ("-.", "first hop among arms")):
        colour = theme.muted if style == "--" else theme.ink
        axes.plot([], [], color=colour, linewidth=1.2, linestyle=style, label=text)
    _paint_stages(axes, _finite(table, "held_out.first_hop"), theme.muted)
    _finish_shares(axes, "held-out tokens right", _epoch_label(table))


def _paint_line(axes: Axes, rows: pl.DataFrame, colour: str, label: str) -> None:
    axes.fill_between(rows["epoch"], rows["low"], rows["high"], color=colour, alpha=0.18, linewidth=0)
    axes.plot(rows["epoch"], rows["mean"], color=colour, linewidth=1.8, label=label)


def _paint_stages(axes: Axes, rows: pl.DataFrame, colour: str) -> None:
    for epoch in rows.filter(pl.col("stage") > 1).group_by("stage").agg(pl.col("epoch").min())["epoch"]:
        axes.axvline(epoch, color=colour, linewidth=1, linestyle="--", zorder=0)


def _epoch_label(table: pl.DataFrame) -> str:
    return "epoch; edges alone before the dashed line" if (table["stage"] > 1).any() else "epoch"


def _paint_chance(axes: Axes, table: pl.DataFrame, metric: str, theme: Theme) -> None:
    for chance in table.filter(pl.col("metric") == metric)["chance"].drop_nulls().unique():
        axes.axhline(chance, color=theme.muted, linewidth=1, linestyle=":", zorder=0)


def _finite(table: pl.DataFrame, metric: str) -> pl.DataFrame:
    return table.filter(pl.col("metric") == metric).drop_nulls("mean")


def _finish_shares(axes: Axes, title: str, x: str) -> None:
    axes.set_ylim(-0.02, 1.08)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_title(title)
    axes.set_xlabel(x)


def _paint_legend(axes: Axes, theme: Theme) -> None:
    axes.legend(
        frameon=False, fontsize=7.5, labelcolor=theme.ink, loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )


def _setting_colours(settings: list[str], theme: Theme) -> Iterator[str]:
    try:
        for setting in settings:
            float(setting)
    except ValueError:
        return (theme.branches[number % len(theme.branches)] for number in range(len(settings)))
    return iter(node_colours(np.linspace(0, 1, len(settings)), None, theme))
