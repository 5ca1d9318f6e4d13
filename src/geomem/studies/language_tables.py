"""Tables and figures of the study of language: what is told, and what is held layer by layer."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from geomem.claims.evidence import Evidence
from geomem.studies.language_measured import ARMS, LAYERS, POSITIONS, WORDS, WORLDS
from geomem.studies.markdown import format_cell
from geomem.worlds.graphs.atlas import europe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomem.figures.palette import Theme

WAYS = ("ways", "held_out_ways", "paths", "held_out_paths")
MEASURED = ("fall", "bare", "level", "alignment", "twin_fall", "twin_alignment")


def tabulate(runs: Evidence) -> pl.DataFrame:
    """A row per world, arm, position and layer with means over seeds; of Europe also per layer and node."""
    rows, places = [], []
    for world, arm in ((world, arm) for world in WORLDS for arm in ARMS):
        case = f"{world}/{arm}"
        if f"{case}.recall" not in runs.arrays:
            continue
        here = {
            part.removeprefix(f"{case}."): own
            for part, own in runs.arrays.items()
            if part.startswith(f"{case}.")
        }
        parameters, text, tokens = here["numbers"].tolist()
        steps = here["steps"]
        shared = {
            "parameters": round(parameters),
            "tokens of a text": text,
            "tokens of a name": tokens,
            "steps": round(float(steps.mean())) if np.isfinite(steps).all() else None,
            **{part: float(here[part].mean()) for part in ("recall", "paraphrases", "two_steps")},
        }
        if "ways" in here:
            shared |= {part: float(here[part].mean()) for part in WAYS}
            shared |= dict(zip(("often_ways", "often_paths"), here["often"].tolist(), strict=True))
        for position, prefix in POSITIONS.items():
            geometry = float((here[f"{prefix}_word"] == WORDS.index("geometry")).mean())
            for number, layer in enumerate(LAYERS):
                row = {"world": world, "arm": arm, "position": position, "layer": layer, **shared}
                row |= {"geometry": geometry, "seeds": len(here["recall"])}
                row |= {part: float(here[f"{prefix}_{part}"][:, number].mean()) for part in MEASURED}
                rows.append(row)
        if world == "europe" and arm in ("words", "byte pairs"):
            for number, layer in enumerate(LAYERS):
                for label, (x, y) in zip(europe().labels, here["map"][number].tolist(), strict=True):
                    places.append({"world": world, "arm": arm, "layer": layer, "node": label, "x": x, "y": y})
    found = pl.DataFrame(rows, infer_schema_length=None)
    return pl.concat([found, pl.DataFrame(places)], how="diagonal") if places else found


def layers_of(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of layers."""
    return table.filter(pl.col("position").is_not_null())


def steepest(table: pl.DataFrame) -> pl.DataFrame:
    """Of every world, arm and position the layer of the steepest fall."""
    return (
        layers_of(table)
        .sort("fall", descending=True, maintain_order=True)
        .group_by("world", "arm", "position", maintain_order=True)
        .first()
    )


def tabulate_arms(table: pl.DataFrame) -> pl.DataFrame:
    """A row per world and arm: what it costs, what is recalled, and the steepest layer at both positions."""
    best, rows = steepest(table), []
    order = layers_of(table).select("world", "arm").unique(maintain_order=True)
    for world, arm in order.iter_rows():
        own = best.filter(pl.col("world") == world, pl.col("arm") == arm)
        last, mean = (own.row(by_predicate=pl.col("position") == name, named=True) for name in POSITIONS)
        row = {"world": world, "arm": arm, "tokens of a name": last["tokens of a name"]}
        row |= {
            "parameters": last["parameters"],
            "recall": last["recall"],
            "paraphrases": last["paraphrases"],
        }
        row |= {"two steps": last["two_steps"], "steps to .95": last["steps"]}
        for name, part in (("last", last), ("mean", mean)):
            row |= {f"{name}: geometry": f"{round(part['geometry'] * part['seeds'])} of {part['seeds']}"}
            row |= {
                f"{name}: layer": part["layer"],
                f"{name}: fall": part["fall"],
                f"{name}: twins": part["twin_fall"],
            }
        rows.append(row)
    return pl.DataFrame(rows)


def tabulate_ways(table: pl.DataFrame) -> pl.DataFrame:
    """A row per world with ways: next nodes and whole paths, told, held out, and as most often told."""
    rows = layers_of(table).filter(pl.col("ways").is_not_null()).unique("world", maintain_order=True)
    return rows.select(
        "world",
        "recall",
        pl.col("ways").alias("next: told"),
        pl.col("held_out_ways").alias("next: held out"),
        pl.col("often_ways").alias("next: most often told"),
        pl.col("paths").alias("path: told"),
        pl.col("held_out_paths").alias("path: held out"),
        pl.col("often_paths").alias("path: most often told"),
    )


def tabulate_layers(table: pl.DataFrame) -> pl.DataFrame:
    """Of every layer: fall in sentences, of the name alone, of twins; level. A row per arm and position."""
    return _layer_cells(table, ("fall", "bare", "twin_fall", "level"))


def tabulate_alignment(table: pl.DataFrame) -> pl.DataFrame:
    """Of every layer: Fiedler alignment of centred states in sentences, and of twins."""
    return _layer_cells(table, ("alignment", "twin_alignment"))


def _layer_cells(table: pl.DataFrame, parts: tuple[str, ...]) -> pl.DataFrame:
    rows = []
    for (world, arm, position), here in layers_of(table).group_by(
        "world", "arm", "position", maintain_order=True
    ):
        row = {"world": world, "arm": arm, "position": position}
        for layer, *values in here.select("layer", *parts).iter_rows():
            row[layer] = " / ".join(map(format_cell, values))
        rows.append(row)
    return pl.DataFrame(rows)


def draw_layers(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Fall of similarity with distance by layer: a line per arm, a panel per world and position."""
    from geomem.figures.drawing import dressed_axes, new_figure

    own = layers_of(table).filter(~pl.col("arm").str.contains("sentence|ways"))
    worlds = own["world"].unique(maintain_order=True).to_list()
    arms = own["arm"].unique(maintain_order=True).to_list()
    figure = new_figure(7.4, 0.7 + 2.6 * len(worlds), theme)
    for row, world in enumerate(worlds):
        for column, position in enumerate(POSITIONS):
            axes = dressed_axes(figure, theme, len(worlds), 2, 2 * row + column + 1)
            axes.axhline(0, color=theme.line, linewidth=1)
            for number, arm in enumerate(arms):
                here = own.filter(
                    pl.col("world") == world, pl.col("arm") == arm, pl.col("position") == position
                )
                colour = theme.branches[number]
                axes.plot(
                    range(len(here)), here["fall"], "o-", color=colour, markersize=4, linewidth=1.6, label=arm
                )
                axes.plot(range(len(here)), here["twin_fall"], ":", color=colour, linewidth=1)
            axes.set_xticks(range(len(LAYERS)), [name.replace(" ", "\n") for name in LAYERS])
            axes.set_ylim(-0.15, 0.75)
            axes.set_title(f"{world}, {position}", fontsize=9)
        figure.axes[2 * row].set_ylabel("fall with distance")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, labelcolor=theme.ink)
    return figure


def draw_paraphrases(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """By the number of sentences told: what is recalled, and the fall at the steepest layer."""
    from geomem.figures.drawing import dressed_axes, new_figure

    counts = {"words, 1 sentence": 1, "words, 2 sentences": 2, "words": 4, "words, 8 sentences": 8}
    best = steepest(table).filter(pl.col("world") == "europe", pl.col("arm").is_in(list(counts)))
    best = best.filter(pl.col("position") == "mean of tokens")
    best = best.with_columns(told=pl.col("arm").replace_strict(counts)).sort("told")
    figure = new_figure(6.0, 3.0, theme)
    axes = dressed_axes(figure, theme, 1, 1, 1)
    lines = {"recall": ("recall, as told", theme.warm), "paraphrases": ("recall, paraphrases", theme.accent)}
    lines |= {"fall": ("fall, steepest layer", theme.gold)}
    for name, (title, colour) in lines.items():
        axes.plot(best["told"], best[name], "o-", color=colour, markersize=5, linewidth=1.6, label=title)
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("sentences told of every border")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=theme.ink)
    return figure


def draw_maps(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Europe as the first seed holds it at three layers: two directions, laid over the true map."""
    from geomem.figures.drawing import dressed_axes, new_figure
    from geomem.figures.palette import node_colours
    from geomem.figures.places import order_shares, paint_places

    graph = europe()
    places = table.filter(pl.col("node").is_not_null(), pl.col("arm") == "words")
    assert graph.coordinates is not None
    colours = node_colours(order_shares(graph.coordinates[:, 0]), None, theme)
    panels = {"true map": graph.coordinates}
    for layer in ("input embedding", "block 1", "final norm"):
        here = places.filter(pl.col("layer") == layer)
        if len(here):
            panels[layer] = here.select("x", "y").to_numpy()
    figure = new_figure(14.0, 4.2, theme)
    axes = [dressed_axes(figure, theme, 1, len(panels), number + 1) for number in range(len(panels))]
    paint_places(axes, panels, graph.edges, graph.labels, colours, theme)
    return figure


def conclude(table: pl.DataFrame) -> tuple[str, ...]:
    """Which arms hold which world as a geometry, where, and at what cost."""
    best = steepest(table)
    sentences = []
    for world in best["world"].unique(maintain_order=True):
        for position in POSITIONS:
            own = best.filter(pl.col("world") == world, pl.col("position") == position)
            held = own.filter(pl.col("geometry") > 0.5)
            told = [
                f"{row['arm']} ({row['layer']}, {format_cell(row['fall'])})"
                for row in held.iter_rows(named=True)
            ]
            sentences.append(
                f"{world}, {position}: {len(held)} of {len(own)} ways of telling are held as a geometry in "
                f"most seeds, steepest at: {'; '.join(told) or 'none'}."
            )
        own = best.filter(pl.col("world") == world, pl.col("position") == "mean of tokens")
        price = [f"{row['arm']} {format_cell(row['steps'])}" for row in own.iter_rows(named=True)]
        sentences.append(f"{world}, steps to .95 of the names: {'; '.join(price)}.")
    for row in tabulate_ways(table).iter_rows(named=True):
        found = {name: format_cell(value) for name, value in row.items()}
        sentences.append(
            f"{found['world']}, ways held out: {found['next: held out']} of the next nodes are named, "
            f"{found['next: most often told']} by those most often told of the subject; whole paths "
            f"{found['path: held out']} and {found['path: most often told']}."
        )
    return tuple(sentences)
