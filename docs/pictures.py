"""Draw the README's pictures from real runs: `python docs/pictures.py` writes docs/images/*.svg.

All pictures come in a light and a dark variant with a transparent ground. Of maps, seed 0 of each fleet is
shown, and numbers under a panel are means over all seeds; of curves, every seed.
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.collections import LineCollection

import geomem
from geomem.geometry.alignment import fit_to_map, map_coordinates
from geomem.geometry.projection import pca
from geomem.runs.metrics import metrics_table
from geomem.runs.presets import PATH_PRESETS

IMAGES = Path(__file__).parent / "images"


@dataclass(frozen=True)
class Shade:
    """Colours of one variant."""

    name: str
    text: str
    faint: str
    arms: tuple[str, ...]


SHADES = (
    Shade("light", "#1f2328", "#59636e", ("#0969da", "#bc4c00", "#1a7f37", "#8250df")),
    Shade("dark", "#f0f6fc", "#9198a1", ("#58a6ff", "#f0883e", "#3fb950", "#bc8cff")),
)


def save(figure, name: str) -> None:
    """Write one picture without date or program, so that the same runs give the same file."""
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(IMAGES / f"{name}.svg", transparent=True, metadata=metadata)
    plt.close(figure)


def draw_panel(
    axes, places, graph, node_colours, edge_colours, shade: Shade, *, title: str, line: str
) -> None:
    """Nodes as dots, edges as lines, a title above and what was measured below."""
    axes.add_collection(LineCollection(places[graph.edges], colors=edge_colours, linewidths=1.3, zorder=1))
    axes.scatter(*places.T, c=node_colours, s=42, zorder=2, linewidths=0)
    axes.set_aspect("equal", adjustable="datalim")
    axes.axis("off")
    axes.margins(0.1)
    axes.set_title(title, color=shade.text, fontsize=13, fontweight="bold", pad=6)
    place = {"ha": "center", "va": "top", "transform": axes.transAxes, "linespacing": 1.5}
    axes.text(0.5, 0.0, line, color=shade.faint, fontsize=10.5, **place)


def new_figure():
    """Three panels of one size, with room for a title above and two lines below."""
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 4.2))
    figure.subplots_adjust(left=0.01, right=0.99, top=0.9, bottom=0.14, wspace=0.04)
    return figure, axes


def draw_two_memories() -> None:
    """One path-star: the graph, a lookup table of it, a geometry of it."""
    graph = geomem.path_star(arms=4, length=5)
    fleets = [
        geomem.memorize(graph, model=model, seeds=5, directory="runs")
        for model in ("associative", "node2vec")
    ]
    portraits = [geomem.measure_fleet(fleet) for fleet in fleets]
    arms = [None if label == "root" else int(label.split(".")[0]) - 1 for label in graph.labels]
    steps = [0 if label == "root" else int(label.split(".")[1]) for label in graph.labels]
    turns = [np.pi * (0.25 + 0.5 * (arm or 0)) for arm in arms]
    drawn = np.array(
        [[step * np.cos(turn), step * np.sin(turn)] for step, turn in zip(steps, turns, strict=True)]
    )
    panels = [drawn, *(pca(fleet.embeddings()[0], dimensions=2).coordinates for fleet in fleets)]
    titles = ["what is told", "as a lookup table", "as a geometry"]
    lines = [
        f"{graph.edge_count} edges,\none at a time",
        *(
            f"edges recalled: {portrait['associative_accuracy'].mean:.0%}\n"
            f"cosine of neighbours: {round(portrait['geometric_level'].mean, 2) + 0.0:.2f}"
            for portrait in portraits
        ),
    ]
    for shade in SHADES:
        colours = [shade.text if arm is None else shade.arms[arm] for arm in arms]
        figure, axes = new_figure()
        for axis, places, title, line in zip(axes, panels, titles, lines, strict=True):
            heads = [matplotlib.colors.to_rgba(colours[head], 0.8) for head in graph.edges[:, 1]]
            draw_panel(axis, places, graph, colours, heads, shade, title=title, line=line)
        save(figure, f"two-memories-{shade.name}")


def draw_europe() -> None:
    """The capitals, and where two models that know only borders place the countries."""
    graph = geomem.europe()
    fleets = [
        geomem.memorize(graph, model="node2vec", seeds=5, directory="runs"),
        geomem.memorize(
            graph,
            model="transformer",
            task=geomem.EdgeMemorization(self_edges=True),
            seeds=5,
            directory="runs",
        ),
    ]
    panels, lines = [graph.coordinates], ["places of the capitals,\nnever shown to the models"]
    for fleet in fleets:
        fit = geomem.measure_fleet(fleet)["map_correlation"]
        panels.append(fit_to_map(map_coordinates(fleet.embeddings()[0]), graph.coordinates).aligned)
        lines.append(
            f"correlation with the map: {fit.mean:.2f}\nby chance: {fit.null_mean:.2f}, p = {fit.p_value:.3f}"
        )
        print(fleet.path.name, fit.values.round(3), fit.mean, fit.low, fit.high, fit.null_high, fit.p_value)
    titles = ("the map", "Node2Vec", "Transformer, self-edges")
    for shade in SHADES:
        colours = compass_colours(graph.coordinates, shade)
        grey = matplotlib.colors.to_rgba(shade.faint, 0.35)
        figure, axes = new_figure()
        for axis, places, title, line in zip(axes, panels, titles, lines, strict=True):
            draw_panel(axis, places, graph, colours, grey, shade, title=title, line=line)
            for label in NAMED:
                axis.annotate(
                    label,
                    places[graph.labels.index(label)],
                    xytext=(5, 5),
                    textcoords="offset points",
                    color=shade.text,
                    fontsize=8,
                )
        save(figure, f"europe-{shade.name}")


def draw_planning() -> None:
    """Held-out first hops over epochs for the two presets that plan on a laptop, every seed."""
    panels = []
    for name, nodes in (("headline", "4 nodes"), ("length-6", "6 nodes")):
        preset = PATH_PRESETS[name]
        fleet = geomem.find_paths(
            geomem.path_star(preset.arms, preset.length),
            model=preset.models["transformer"],
            task=preset.task,
            training=preset.training,
            seeds=3,
            directory="runs",
        )
        table = (
            metrics_table(fleet.curves(), fleet.steps)
            .filter(pl.col("metric") == "held_out.first_hop")
            .sort("step")
        )
        curves = [part.sort("step") for _, part in table.group_by("run", maintain_order=True)]
        panels.append((f"paths of {nodes}, 1,000 arms", preset, curves))
        print(fleet.path.name, fleet.manifest["seconds"], [curve["value"].max() for curve in curves])
    for shade in SHADES:
        figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.1), sharey=True)
        figure.subplots_adjust(left=0.08, right=0.985, top=0.87, bottom=0.17, wspace=0.08)
        for axis, (title, preset, curves) in zip(axes, panels, strict=True):
            for seed, (curve, colour) in enumerate(zip(curves, shade.arms, strict=False)):
                epochs = curve["step"].to_numpy() / preset.training.batches
                axis.plot(epochs, curve["value"], color=colour, lw=2.0, label=f"seed {seed}")
            axis.axhline(1 / preset.arms, color=shade.faint, lw=1.2, ls=(0, (4, 3)))
            axis.text(0.3, 1 / preset.arms + 0.025, "chance: 0.001", color=shade.faint, fontsize=10)
            axis.set_title(title, color=shade.text, fontsize=12, fontweight="bold")
            axis.set_xlabel("epochs", color=shade.faint, fontsize=10.5)
            axis.set_xlim(left=0)
            axis.set_ylim(-0.03, 1.03)
            axis.tick_params(colors=shade.faint, labelsize=9.5)
            axis.spines[["top", "right"]].set_visible(False)
            axis.spines[["left", "bottom"]].set_color(shade.faint)
        axes[0].set_ylabel("right first hops\nof leaves never asked", color=shade.faint, fontsize=10.5)
        axes[1].legend(frameon=False, labelcolor=shade.text, fontsize=10, loc="center left")
        save(figure, f"planning-{shade.name}")


def compass_colours(places, shade: Shade):
    """A colour by true place, hue by direction from the middle: a country keeps its colour in every panel."""
    east, north = ((places - places.mean(axis=0)) / places.std(axis=0)).T
    hue = (np.arctan2(north, east) / (2 * np.pi)) % 1
    saturation = np.clip(0.35 + 0.45 * np.hypot(east, north), 0, 1)
    value = np.full(len(places), 0.75 if shade.name == "light" else 0.95)
    return matplotlib.colors.hsv_to_rgb(np.stack([hue, saturation, value], axis=1))


NAMED = ("Portugal", "Italy", "Norway", "Germany", "Ukraine", "Turkey")

if __name__ == "__main__":
    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "geomem"
    draw_two_memories()
    draw_europe()
    draw_planning()
