"""Pictures of an audit: layer by layer, what a model shows of a graph, or what maps find of its facts."""

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomem.audit.facts import FactsAudit
from geomem.audit.graph import GraphAudit
from geomem.figures.drawing import STYLE, dressed_axes, new_figure, shortened
from geomem.figures.palette import THEMES


def tabulate_profile(audit: GraphAudit) -> pl.DataFrame:
    """One row per look: layer, template, mantel, its central 95 % under permuted entities, twin_mantel."""
    names = ("layer", "template", "mantel_low", "mantel_high", "twin_mantel")
    rows = [{name: getattr(look, name) for name in names} for look in audit.looks]
    mantels = pl.Series("mantel", [look.profile.mantel for look in audit.looks], dtype=pl.Float64)
    return pl.DataFrame(rows).with_columns(mantels)


def draw_profile(audit: GraphAudit, *, theme: str = "light") -> Figure:
    """How closely similarity falls with distance, -Mantel, at each layer: points are templates, lines means.

    The band is the central 95 % under permuted entities; dotted is the mean of the re-initialised twins.
    """
    colours = THEMES[theme]
    table = tabulate_profile(audit)
    layers = table["layer"].unique(maintain_order=True).to_list()
    means = table.group_by("layer", maintain_order=True).agg(
        pl.col("mantel", "twin_mantel").mean(), pl.col("mantel_low").min(), pl.col("mantel_high").max()
    )
    places = np.arange(len(layers))
    with matplotlib.rc_context(STYLE):
        figure = new_figure(6.4, 3.2, colours)
        axes = dressed_axes(figure, colours, 1, 1, 1)
        reach = np.clip(np.repeat(places, 2) + np.tile([-0.3, 0.3], len(places)), -0.3, len(places) - 0.7)
        low, high = (np.repeat(-means[name].to_numpy(), 2) for name in ("mantel_high", "mantel_low"))
        axes.fill_between(
            reach, low, high, color=colours.muted, alpha=0.2, linewidth=0, label="permuted entities, 95 %"
        )
        at = [layers.index(layer) for layer in table["layer"]]
        axes.plot(at, -table["mantel"].to_numpy(), "o", color=colours.accent, markersize=3.5, alpha=0.6)
        axes.plot(places, -means["mantel"].to_numpy(), color=colours.accent, linewidth=1.8, label="model")
        twins = -means["twin_mantel"].to_numpy()
        if np.isfinite(twins).any():
            look = {"color": colours.warm, "linewidth": 1.4, "linestyle": ":", "marker": ".", "markersize": 4}
            axes.plot(places, twins, label="re-initialised twins", **look)
        axes.axhline(0, color=colours.line, linewidth=1, zorder=0)
        _name_layers(axes, layers)
        axes.set_ylabel("similarity falls with distance")
        figure.legend(loc="outside upper left", frameon=False, fontsize=8, labelcolor=colours.ink, ncols=3)
    return figure


def tabulate_maps(audit: FactsAudit) -> pl.DataFrame:
    """One row per relation, layer and template: relation, layer, template, offset, linear, twin (hit@1)."""
    names = ("layer", "template", "offset", "linear", "twin")
    return pl.DataFrame(
        [
            {"relation": found.relation} | {name: getattr(look, name) for name in names}
            for found in audit.relations
            for look in found.looks
        ]
    )


def draw_maps(audit: FactsAudit, *, theme: str = "light") -> Figure:
    """Held-out objects that the best linear map finds at each layer, per relation; means over templates.

    Crosses at the right say what the larger control finds: shuffled objects or the most frequent one.
    """
    colours = THEMES[theme]
    table = tabulate_maps(audit)
    layers = table["layer"].unique(maintain_order=True).to_list()
    with matplotlib.rc_context(STYLE):
        figure = new_figure(6.4, 3.2, colours)
        axes = dressed_axes(figure, colours, 1, 1, 1)
        for number, found in enumerate(audit.relations):
            own = table.filter(relation=found.relation).group_by("layer", maintain_order=True)
            means = own.agg(pl.col("linear").mean())
            colour = colours.branches[number % len(colours.branches)]
            places = [layers.index(layer) for layer in means["layer"]]
            label = shortened(found.relation, 24)
            axes.plot(places, means["linear"], "o-", color=colour, linewidth=1.6, markersize=4, label=label)
            control = max(found.majority, found.shuffled)
            axes.plot([len(layers) - 0.6], [control], "x", color=colour, markersize=5)
        axes.set_ylim(-0.03, 1.03)
        _name_layers(axes, layers)
        axes.set_ylabel("held-out objects found")
        figure.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=colours.ink)
    return figure


def _name_layers(axes: Axes, layers: list[str]) -> None:
    every = -(-len(layers) // 14)
    axes.set_xticks(range(0, len(layers), every), layers[::every], rotation=30, ha="right", fontsize=7)
    axes.set_xlim(-0.5, len(layers) - 0.5)
