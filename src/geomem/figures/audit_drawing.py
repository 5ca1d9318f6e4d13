"""Pictures of an audit: layer by layer what a model shows of a graph, or what maps find; and its map."""

import matplotlib
import numpy as np
import polars as pl
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomem.audit.facts import FactsAudit
from geomem.audit.graph import GraphAudit
from geomem.figures.drawing import STYLE, dressed_axes, new_figure, shortened
from geomem.figures.palette import THEMES, Theme, node_colours
from geomem.figures.places import order_shares, paint_places
from geomem.geometry.alignment import fit_to_map
from geomem.worlds.graphs.graph import Graph

NOTHING = float("nan")


def tabulate_profile(audit: GraphAudit) -> pl.DataFrame:
    """One row per look: layer, template, mantel, mantel_low, mantel_high, twin_mantel, baseline_mantel.

    Low and high hold the central 95 % under permuted entities.
    """
    names = ("layer", "template", "mantel_low", "mantel_high", "twin_mantel")
    rows = [{name: getattr(look, name) for name in names} for look in audit.looks]
    mantels = pl.Series("mantel", [look.profile.mantel for look in audit.looks], dtype=pl.Float64)
    return pl.DataFrame(rows).with_columns(mantels, pl.lit(audit.baseline_mantel).alias("baseline_mantel"))


def draw_profile(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """How closely similarity falls with distance, -Mantel, at each layer: thin lines are templates.

    The thick line is their mean, the band the central 95 % under permuted entities; dotted is the mean of the
    re-initialised twins, dashed the baseline's vectors.
    """
    colours = THEMES[theme]
    layers = table["layer"].unique(maintain_order=True).to_list()
    bounds = table.group_by("layer", maintain_order=True).agg(
        pl.col("mantel_low").min(), pl.col("mantel_high").max()
    )
    upward = table.with_columns(-pl.col("mantel", "twin_mantel"))
    with matplotlib.rc_context(STYLE):
        figure, axes = _layer_axes(layers, colours)
        reach = np.arange(len(layers) + 1) - 0.5
        low, high = (np.append(-bounds[name], -bounds[name][-1]) for name in ("mantel_high", "mantel_low"))
        band = {"step": "post", "color": colours.muted, "alpha": 0.2, "linewidth": 0}
        axes.fill_between(reach, low, high, label="permuted entities, 95 %", **band)
        _paint_looks(axes, upward, "mantel", colours.accent, "model")
        if upward["twin_mantel"].is_finite().any():
            _paint_mean(axes, upward, "twin_mantel", colours.warm, "re-initialised twins", linestyle=":")
        baseline = -table["baseline_mantel"][0]
        if np.isfinite(baseline):
            axes.axhline(baseline, color=colours.gold, linewidth=1.4, linestyle="--", label="baseline")
        axes.axhline(0, color=colours.line, linewidth=1, zorder=0)
        axes.set_ylabel("falls with distance")
        figure.legend(loc="outside upper left", frameon=False, fontsize=8, labelcolor=colours.ink, ncols=4)
    return figure


def tabulate_places(audit: GraphAudit, graph: Graph) -> pl.DataFrame:
    """One row per entity: label, x, y at the best look, and, where the graph has places, true_x, true_y.

    x and y are the two principal directions; laid over the true places, where these are known, by the best
    shift, scale, rotation and reflection.
    """
    table = pl.DataFrame({"label": audit.entities})
    places = audit.places
    if graph.coordinates is not None:
        row = {label: at for at, label in enumerate(graph.labels)}
        true = graph.coordinates[[row[label] for label in audit.entities]]
        table = table.with_columns(true_x=true[:, 0], true_y=true[:, 1])
        if np.ptp(places):  # else all vectors are equal, and there is nothing to turn
            places = fit_to_map(places, true).aligned
    return table.with_columns(x=places[:, 0], y=places[:, 1])


def draw_places(
    table: pl.DataFrame, *, edges: Int[np.ndarray, "edge 2"], title: str, theme: str = "light"
) -> Figure:
    """The entities where the best look has them, beside the true places where these are known.

    `edges` are pairs of rows of `tabulate_places`. Colours run from west to east of the true places.
    """
    colours = THEMES[theme]
    panels = {title: table.select("x", "y").to_numpy()}
    shares = np.zeros(len(table))
    if "true_x" in table.columns:
        panels = {"The true places": table.select("true_x", "true_y").to_numpy()} | panels
        shares = order_shares(table["true_x"].to_numpy())
    with matplotlib.rc_context(STYLE):
        width, height = np.ptp(next(iter(panels.values())), axis=0)
        shape = np.clip(height / width, 0.6, 1.0) if width else 1.0
        figure = new_figure(9.4 if len(panels) > 1 else 7.2, 0.5 + 4.7 * shape, colours)
        axes = [dressed_axes(figure, colours, 1, len(panels), place + 1) for place in range(len(panels))]
        dots = node_colours(shares, None if shares.any() else [0] * len(table), colours)
        paint_places(axes, panels, edges, table["label"].to_list(), dots, colours)
    return figure


def tabulate_relations(audit: FactsAudit) -> pl.DataFrame:
    """One row per relation: relation, and shares of right objects at the best look of each kind.

    Columns: offset, linear, twins (hit@1 of maps); shuffled, majority (controls); candidates, first (of the
    model's own answers, among the candidates and of all tokens). Null where there is none.
    """
    rows = [
        {
            "relation": found.relation,
            "offset": found.most("offset"),
            "linear": found.most("linear"),
            "twins": found.most("twin"),
            "shuffled": found.shuffled,
            "majority": found.majority,
            "candidates": found.behaviour.right / found.behaviour.asked if found.behaviour else NOTHING,
            "first": found.behaviour.first if found.behaviour else NOTHING,
        }
        for found in audit.relations
    ]
    return pl.DataFrame(rows).fill_nan(None)


def draw_relations(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """Shares of right objects, one line per relation: maps, twins, controls and the model's own answers."""
    colours = THEMES[theme]
    places = np.arange(len(table))
    marks = {
        "linear": ("linear map", "o", colours.accent, colours.accent),
        "offset": ("offset", "o", colours.ink, "none"),
        "twins": ("re-initialised twins", "X", colours.warm, colours.warm),
        "candidates": ("the model's own answers", "D", colours.gold, colours.gold),
    }
    with matplotlib.rc_context(STYLE):
        figure = new_figure(7.2, 1.3 + 0.34 * len(table), colours)
        axes = dressed_axes(figure, colours, 1, 1, 1)
        control = table.select(pl.max_horizontal("shuffled", "majority")).to_series().to_numpy()
        name = "shuffled objects or the most frequent"
        axes.barh(places, control, height=0.56, color=colours.muted, alpha=0.25, label=name)
        for column, (label, mark, edge, face) in marks.items():
            if table[column].is_not_null().any():
                look = {
                    "markersize": 9 if face == "none" else 6,
                    "markeredgecolor": edge,
                    "markerfacecolor": face,
                }
                axes.plot(table[column].to_numpy(), places, mark, label=label, **look)
        axes.set_yticks(places, [shortened(name, 28) for name in table["relation"]])
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("share of the held-out objects found, at the best layer")
        figure.legend(loc="outside upper left", frameon=False, fontsize=8, labelcolor=colours.ink, ncols=3)
    return figure


def tabulate_maps(audit: FactsAudit) -> pl.DataFrame:
    """One row per relation, layer and template: relation, layer, template, offset, linear, twin, control.

    All are hit@1; the control is the larger of shuffled objects and the most frequent object.
    """
    names = ("layer", "template", "offset", "linear", "twin")
    return pl.DataFrame(
        [
            {"relation": found.relation}
            | {name: getattr(look, name) for name in names}
            | {"control": max(found.shuffled, found.majority)}
            for found in audit.relations
            for look in found.looks
        ]
    )


def draw_maps(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """Held-out objects that the best linear map finds at each layer, per relation; means over templates.

    Crosses at the right say what the larger control finds: shuffled objects or the most frequent one.
    """
    colours = THEMES[theme]
    layers = table["layer"].unique(maintain_order=True).to_list()
    with matplotlib.rc_context(STYLE):
        figure, axes = _layer_axes(layers, colours)
        for number, (name,) in enumerate(table.select("relation").unique(maintain_order=True).rows()):
            own = table.filter(relation=name)
            colour = colours.branches[number % len(colours.branches)]
            _paint_mean(axes, own, "linear", colour, shortened(name, 24))
            axes.plot([len(layers) - 0.6], [own["control"][0]], "x", color=colour, markersize=5)
        axes.set_ylim(-0.03, 1.03)
        axes.set_ylabel("held-out objects found")
        figure.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=colours.ink)
    return figure


def draw_relation(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """What the maps of one relation find at each layer, of `tabulate_maps`: thin lines are templates.

    The band reaches to what the larger control finds; dotted are the re-initialised twins.
    """
    colours = THEMES[theme]
    layers = table["layer"].unique(maintain_order=True).to_list()
    with matplotlib.rc_context(STYLE):
        figure, axes = _layer_axes(layers, colours)
        name = "shuffled objects or the most frequent"
        axes.axhspan(0, table["control"][0], color=colours.muted, alpha=0.2, linewidth=0, label=name)
        _paint_looks(axes, table, "linear", colours.accent, "linear map")
        if table["offset"].is_finite().any():
            _paint_looks(axes, table, "offset", colours.slate, "offset", linestyle="--")
        if table["twin"].is_finite().any():
            _paint_mean(axes, table, "twin", colours.warm, "re-initialised twins", linestyle=":")
        axes.set_ylim(-0.03, 1.03)
        axes.set_ylabel("held-out objects found")
        figure.legend(loc="outside upper left", frameon=False, fontsize=8, labelcolor=colours.ink, ncols=4)
    return figure


def tabulate_causes(audit: FactsAudit) -> pl.DataFrame:
    """One row per relation, layer and gain: relation, layer, gain, moved, random (shares of the answers)."""
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "relation": found.relation,
                    "layer": found.layer,
                    "gain": found.causes.gains,
                    "moved": found.causes.moved,
                    "random": found.causes.random,
                }
            )
            for found in audit.causes
        ]
    )


def draw_causes(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """Answers that follow a moved state, by gain: along the fitted map, and dotted in a random direction."""
    colours = THEMES[theme]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(7.2, 3.4, colours)
        axes = dressed_axes(figure, colours, 1, 1, 1)
        for number, own in enumerate(table.partition_by("relation", "layer", maintain_order=True)):
            colour = colours.branches[number % len(colours.branches)]
            name = f"{shortened(own['relation'][0], 20)}, {own['layer'][0]}"
            axes.plot(own["gain"], own["moved"], "o-", color=colour, markersize=3.5, label=name)
            axes.plot(own["gain"], own["random"], ":", color=colour)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("gain")
        axes.set_ylabel("answers that follow")
        figure.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=colours.ink)
    return figure


def _layer_axes(layers: list[str], colours: Theme) -> tuple[Figure, Axes]:
    figure = new_figure(7.2, 3.4 if len(layers) > 1 else 2.4, colours)
    axes = dressed_axes(figure, colours, 1, 1, 1)
    every = -(-len(layers) // 14)
    names = [shortened(layer, 24) for layer in layers]
    axes.set_xticks(range(0, len(layers), every), names[::every], rotation=30, ha="right", fontsize=7)
    axes.set_xlim(-0.5, len(layers) - 0.5)
    return figure, axes


def _paint_looks(
    axes: Axes, table: pl.DataFrame, column: str, colour: str, label: str, linestyle: str = "-"
) -> None:
    layers = table["layer"].unique(maintain_order=True).to_list()
    for own in table.partition_by("template", maintain_order=True):
        places = [layers.index(layer) for layer in own["layer"]]
        axes.plot(places, own[column], color=colour, linewidth=0.7, alpha=0.6, linestyle=linestyle)
    _paint_mean(axes, table, column, colour, label, linestyle)


def _paint_mean(
    axes: Axes, table: pl.DataFrame, column: str, colour: str, label: str, linestyle: str = "-"
) -> None:
    means = table.group_by("layer", maintain_order=True).agg(pl.col(column).mean())[column]
    axes.plot(
        np.arange(len(means)),
        means,
        color=colour,
        linewidth=1.7,
        linestyle=linestyle,
        marker="o",
        markersize=3.5,
        label=label,
    )
