"""Pictures of what memories of facts became, over their dimensions to spare: d / (R ln N).

Each takes rows of `geomem.measure.facts.measure_memory`, one per run, of any number of memories. The docs
page "Recall measurements" says what each number is.
"""

from dataclasses import dataclass

import matplotlib
import matplotlib.lines
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from geomem.errors import InputError
from geomem.figures.drawing import STYLE, dressed_axes, new_figure
from geomem.figures.palette import THEMES, Theme
from geomem.measure.recall_portrait import MEMORY_MEASUREMENTS, Line


@dataclass(frozen=True)
class PortraitPicture:
    """Which numbers of the portraits one picture shows: those that name it at their definition."""

    name: str
    """Of its file."""
    title: str
    y: str
    chance: bool = False
    """Whether an answer at random is drawn: one over the number of objects."""

    @property
    def lines(self) -> dict[str, Line]:
        """By the number's name, in order."""
        lines = {name: entry.line for name, entry in MEMORY_MEASUREMENTS.items() if entry.line is not None}
        own = [(name, line) for name, line in lines.items() if line.picture == self.name]
        return dict(sorted(own, key=lambda entry: entry[1].place))


SUPERPOSITION = PortraitPicture(
    "superposition",
    "are subject vectors sums of their attributes?",
    "R² or share, subjects held out",
    chance=True,
)
SELECTOR = PortraitPicture("selector", "does the relation choose what is read?", "cosine or share")
TRANSFER = PortraitPicture(
    "transfer", "are new facts recalled when only subjects change?", "recall of new facts", chance=True
)

PORTRAITS = {picture.name: picture for picture in (SUPERPOSITION, SELECTOR, TRANSFER)}


def tabulate_portraits(rows: pl.DataFrame, picture: PortraitPicture) -> pl.DataFrame:
    """The plotted data: per size and line its mean, lowest and highest value over runs that have one.

    Columns: subjects, relations, width, ratio (d / (R ln N) of N objects), number (its name), mean, low,
    high, runs, line (its label), chance (1 / N). Runs of equal sizes count together, whichever memory they
    are of.

    Raises `InputError` if the rows have no run, or no finite number for the picture.

    >>> sizes = {"subjects": 8, "relations": 2, "width": 4, "ratio": 1.0}
    >>> rows = pl.DataFrame([sizes | {"map_cosine": value} for value in (0.5, 1.0)])
    >>> tabulate_portraits(rows, SELECTOR).select("number", "mean", "low", "high", "runs").rows()
    [('map_cosine', 0.75, 0.5, 1.0, 2)]
    """
    if not len(rows):
        raise InputError("There is no portrait to draw; give the rows of one memory or more.")
    sizes = ["subjects", "relations", "width", "ratio"]
    found = [name for name in picture.lines if name in rows.columns]
    table = (
        rows.with_columns(pl.col("subjects", "relations", "width").cast(pl.Int64))
        .unpivot(found, index=sizes, variable_name="number", value_name="value")
        .filter(pl.col("value").is_finite())
        .group_by(*sizes, "number", maintain_order=True)
        .agg(
            pl.col("value").mean().alias("mean"),
            pl.col("value").min().alias("low"),
            pl.col("value").max().alias("high"),
            pl.len().cast(pl.Int64).alias("runs"),
        )
    )
    if not len(table):
        raise InputError(f"These portraits have no number for the picture {picture.title!r}.")
    labels = pl.col("number").replace_strict({name: line.label for name, line in picture.lines.items()})
    order = pl.col("number").replace_strict({name: place for place, name in enumerate(picture.lines)})
    chance = (-pl.col("width") / (pl.col("relations") * pl.col("ratio"))).exp()
    return table.with_columns(labels.alias("line"), chance.alias("chance")).sort(
        "subjects", "relations", order, "ratio"
    )


def draw_portraits(table: pl.DataFrame, picture: PortraitPicture, *, theme: str = "light") -> Figure:
    """Lines over d / (R ln N), one panel per number of subjects and relations.

    `table` is that of `tabulate_portraits`. Means over runs, bars from the lowest to the highest; the width
    of each memory stands above.
    """
    colours = THEMES[theme]
    worlds = table.select("subjects", "relations").unique(maintain_order=True).rows()
    with matplotlib.rc_context(STYLE):
        figure = new_figure(2.6 + 4.6 * len(worlds), 3.8, colours)
        for place, (subjects, relations) in enumerate(worlds):
            axes = dressed_axes(figure, colours, 1, len(worlds), place + 1)
            own = table.filter(pl.col("subjects") == subjects, pl.col("relations") == relations)
            _paint_lines(axes, own, picture, colours)
            if picture.chance:
                axes.axhline(own["chance"][0], color=colours.muted, linewidth=1, linestyle=":", zorder=0)
            kinds = f"{relations} relation{'' if relations == 1 else 's'}"
            axes.set_xlabel(f"d / (R ln N), {subjects:,} subjects, {kinds}")
            axes.set_ylabel(picture.y if place == 0 else "")
        figure.axes[0].set_title(picture.title, pad=22)
        handles, names = figure.axes[0].get_legend_handles_labels()
        if picture.chance:
            handles.append(matplotlib.lines.Line2D([], [], color=colours.muted, linewidth=1, linestyle=":"))
            names.append("chance, 1 / N")
        figure.legend(
            handles, names, loc="outside right upper", frameon=False, fontsize=8, labelcolor=colours.ink
        )
    return figure


def _paint_lines(axes: Axes, table: pl.DataFrame, picture: PortraitPicture, theme: Theme) -> None:
    axes.set_xscale("log")
    for name, line in picture.lines.items():
        rows = table.filter(pl.col("number") == name)
        if len(rows):
            colour = getattr(theme, line.colour)
            look = {"color": colour, "linestyle": line.dash, "linewidth": 1.7, "marker": "o", "markersize": 5}
            # Hollow dots for broken lines: one memory has dots alone, and two lines share a colour.
            fill = colour if line.dash == "-" else theme.card
            axes.plot(rows["ratio"], rows["mean"], label=line.label, markerfacecolor=fill, **look)
            axes.vlines(rows["ratio"], rows["low"], rows["high"], color=colour, linewidth=1.2)
    sizes = table.select("ratio", "width").unique().sort("ratio")
    ratios = sizes["ratio"].to_numpy()
    axes.set_xlim(ratios.min() / 1.4, ratios.max() * 1.4)  # wide enough for a single memory
    sizes = sizes.gather_every(-(-len(sizes) // 8))
    axes.set_xticks(sizes["ratio"], [f"{ratio:.1f}" for ratio in sizes["ratio"]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(min(-0.05, float(table["low"].min()) - 0.02), 1.05)  # pyright: ignore[reportArgumentType]
    above = axes.secondary_xaxis("top")
    above.set_xticks(sizes["ratio"].to_list(), [f"d = {width:,}" for width in sizes["width"]])
    above.xaxis.set_minor_locator(NullLocator())
    above.tick_params(colors=theme.muted, labelsize=7.5, length=0)
    above.spines["top"].set_visible(False)
