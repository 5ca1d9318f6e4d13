"""The pictures of real-models.md, from its CSV files: `python docs/studies/real_pictures.py`, some seconds.

Each comes in a light and a dark variant with a transparent ground, as docs/images/real-models-*.svg.
"""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from real_tables import TITLES, read_tables

from geomem.figures.drawing import STYLE
from geomem.figures.palette import THEMES, Theme
from geomem.files import replace_file

IMAGES = Path(__file__).parents[1] / "images"
MODELS = ("minilm", "smollm")
WORLDS = {"europe": "borders of Europe", "united-states": "borders of the states"}
COLOURS = {"last token": "accent", "mean of tokens": "warm"}


def draw_profiles(looks: pl.DataFrame, theme: Theme) -> plt.Figure:
    """How closely similarity follows the borders, layer by layer, beside twins, chance and GloVe."""
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 6.2), sharey=True, layout="constrained")
    for row, world in zip(axes, WORLDS, strict=True):
        here = looks.filter(pl.col("world") == world, ~pl.col("audit").str.ends_with("first-templates"))
        glove = here.filter(pl.col("model") == "glove")["mantel"]
        for axis, model in zip(row, MODELS, strict=True):
            own = here.filter(pl.col("model") == model)
            for position, colour in COLOURS.items():
                _draw_looks(axis, own.filter(pl.col("position") == position), getattr(theme, colour), theme)
            if len(glove):
                axis.axhline(-glove[0], color=theme.gold, linewidth=1.2, linestyle=(0, (6, 2)))
            _frame(axis, f"{TITLES[model]}: {WORLDS[world]}", theme)
            axis.set_ylim(-0.15, 0.6)
        row[0].set_ylabel("similarity falls\nwith distance (−Mantel)", color=theme.muted)
    for axis in axes[1]:
        axis.set_xlabel("layer (0: input embedding; last: final norm, if any)", color=theme.muted)
    lines = [Line2D([], [], color=getattr(theme, colour), label=name) for name, colour in COLOURS.items()]
    lines += [
        Line2D([], [], color=theme.muted, linestyle=":", label="re-initialised twins"),
        Patch(color=theme.muted, alpha=0.25, linewidth=0, label="95 % of permuted entities"),
        Line2D([], [], color=theme.gold, linestyle=(0, (6, 2)), label=TITLES["glove"]),
    ]
    _legend(figure, lines, theme)
    return figure


def _draw_looks(axis: Axes, looks: pl.DataFrame, colour: str, theme: Theme) -> None:
    """Templates as thin lines, their mean as a thick one; looks without a template belong to all."""
    if not len(looks):
        return
    lines, twins, low, high = (by_template(looks, name) for name in ("mantel", "twin_mantel", *BAND))
    layers = np.arange(lines.shape[1])
    axis.fill_between(layers, -high.max(axis=0), -low.min(axis=0), color=theme.muted, alpha=0.14, linewidth=0)
    axis.plot(layers, -lines.T, color=colour, linewidth=0.6, alpha=0.7)
    axis.plot(layers, -lines.mean(axis=0), color=colour, linewidth=1.8)
    axis.plot(layers, -twins.mean(axis=0), color=colour, linewidth=1.1, linestyle=":")


BAND = ("mantel_low", "mantel_high")


def by_template(looks: pl.DataFrame, column: str) -> np.ndarray:
    """The numbers of a column as [template, layer]; what has no template, as an embedding, is repeated.

    >>> looks = pl.DataFrame({"layer": ["e", "1", "1"], "template": ["", "a", "b"], "x": [1.0, 2.0, 3.0]})
    >>> by_template(looks, "x").tolist()
    [[1.0, 2.0], [1.0, 3.0]]
    """
    templates = [name for name in looks["template"].unique(maintain_order=True) if name] or [""]
    layers = looks["layer"].unique(maintain_order=True).to_list()
    given = {(row["layer"], row["template"] or ""): row[column] for row in looks.to_dicts()}
    return np.array(
        [[given.get((layer, name), given.get((layer, ""))) for layer in layers] for name in templates]
    )


def draw_relations(maps: pl.DataFrame, words: pl.DataFrame, theme: Theme) -> plt.Figure:
    """What the best maps find of held-out objects, layer by layer, beside controls, GloVe and the answers."""
    maps = maps.with_columns(best=pl.max_horizontal("offset", "linear"))
    relations = maps["relation"].unique(maintain_order=True).to_list()
    figure, axes = plt.subplots(2, len(relations), figsize=(11.5, 5.4), sharey=True, layout="constrained")
    for row, model in zip(axes, MODELS, strict=True):
        for axis, relation in zip(row, relations, strict=True):
            asked = pl.col("relation") == relation
            own = maps.filter(asked, pl.col("model") == model)
            for position, colour in COLOURS.items():
                looks = own.filter(pl.col("position") == position)
                if len(looks):
                    lines = by_template(looks, "best")
                    axis.plot(lines.T, color=getattr(theme, colour), linewidth=0.6, alpha=0.7)
                    axis.plot(lines.mean(axis=0), color=getattr(theme, colour), linewidth=1.8)
            kept = words.filter(asked, pl.col("model") == model)
            control = kept.select(pl.max_horizontal("shuffled", "majority")).to_series().max()
            axis.axhspan(0, control or 0, color=theme.muted, alpha=0.2, linewidth=0)
            glove = words.filter(asked, pl.col("model") == "glove")["found"]
            if len(glove):
                axis.axhline(glove[0], color=theme.gold, linewidth=1.2, linestyle=(0, (6, 2)))
            if len(answered := kept["answered first"].drop_nulls()):
                axis.axhline(answered[0], color=theme.slate, linewidth=1.2, linestyle="-.")
            _frame(axis, f"{TITLES[model]}: {relation}", theme)
            axis.set_ylim(0, 1)
        row[0].set_ylabel("held-out objects found", color=theme.muted)
    for axis in axes[1]:
        axis.set_xlabel("layer", color=theme.muted)
    lines = [Line2D([], [], color=getattr(theme, colour), label=name) for name, colour in COLOURS.items()]
    lines += [
        Patch(color=theme.muted, alpha=0.25, linewidth=0, label="shuffled or most frequent objects"),
        Line2D([], [], color=theme.gold, linestyle=(0, (6, 2)), label=TITLES["glove"]),
        Line2D([], [], color=theme.slate, linestyle="-.", label="the model's own answers, first token"),
    ]
    _legend(figure, lines, theme)
    return figure


def _frame(axis: Axes, title: str, theme: Theme) -> None:
    axis.set_title(title, color=theme.ink)
    axis.tick_params(colors=theme.muted)
    axis.spines[["left", "bottom"]].set_color(theme.edge)


def _legend(figure: plt.Figure, lines: list, theme: Theme) -> None:
    figure.legend(
        handles=lines, loc="outside lower center", ncols=len(lines), frameon=False, labelcolor=theme.ink
    )


def draw_pictures(directory: Path = IMAGES) -> None:
    """Every picture, light and dark."""
    tables = read_tables()
    for shade, theme in THEMES.items():
        with matplotlib.rc_context(STYLE):
            for name, figure in (
                ("borders", draw_profiles(tables["looks"], theme)),
                ("facts", draw_relations(tables["maps"], tables["words"], theme)),
            ):
                metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
                replace_file(
                    directory / f"real-models-{name}-{shade}.svg",
                    lambda path, figure=figure, metadata=metadata: figure.savefig(
                        path, transparent=True, metadata=metadata
                    ),
                )
                plt.close(figure)


if __name__ == "__main__":
    matplotlib.use("agg")
    draw_pictures()
