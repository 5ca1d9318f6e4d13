"""Picture of the trade-off: what each multi-hop construction takes as chains grow, and what it must take."""

import math
from collections.abc import Iterator

import matplotlib
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from geomem.constructions.bounds import chain_bits, trade_off_table
from geomem.errors import InputError
from geomem.figures.drawing import STYLE, dressed_axes, new_figure
from geomem.figures.palette import THEMES, Theme

# Wide lines below, thin ones above: where constructions take the same, all of them are still seen.
LOOKS = {
    "chain of thought": ("accent", 5.0, "-"),
    "deep, L = k": ("gold", 3.0, "-"),
    "deep, L = 2": ("slate", 1.6, "-"),
    "flat": ("warm", 1.6, "-"),
    "wide": ("ink", 1.2, "--"),
}
"""Colour of the theme, width and dash of every construction's line."""

PANELS = {
    "vector_bits": "bits in one subject vector",
    "other_bits": "bits in all other weights",
    "stored_numbers": "numbers stored in all",
}


def tabulate_trade_off(entities: int, relations: int, hops: int) -> pl.DataFrame:
    """Sizes of every construction for chains of 1 to `hops` relations, one bit per number that holds facts.

    Columns: hops, model, layers, vector_bits (of facts in one subject vector), other_bits (in all other
    weights), stored_numbers, and the two halves of L2, of which one must be met without chain of thought:
    vector_bound, (5/12) R^k log2(N / 2), and other_bound, (5/12) M R^k log2(N / 2) at M = floor(N / 8 R^k),
    NaN where no M is left. Deep ones have 2 layers, and as many as hops.

    Raises `InputError` for fewer than 2 entities, 1 relation or 1 hop.

    >>> tabulate_trade_off(4096, 2, 4).filter(model="flat")["vector_bits"].to_list()
    [24, 48, 96, 192]
    """
    if hops < 1:
        raise InputError(f"A trade-off was asked for chains of up to {hops} hops; give 1 or more.")
    return pl.DataFrame(list(_rows(entities, relations, hops)))


def _rows(entities: int, relations: int, hops: int) -> Iterator[dict]:
    for k in range(1, hops + 1):
        roots = entities // (8 * relations**k)
        bounded = relations > 1 and roots > 0
        bound = chain_bits(roots, entities, relations, k) / 2 if bounded else math.nan
        for row in trade_off_table(entities, relations, k):
            names = [row.size.model]
            if row.size.model == "deep":
                names = ["deep, L = 2"] * (row.size.layers == 2) + ["deep, L = k"] * (row.size.layers == k)
            for name in names:
                yield {
                    "hops": k,
                    "model": name,
                    "layers": row.size.layers,
                    "vector_bits": row.vector_bits,
                    "other_bits": row.size.other_numbers,
                    "stored_numbers": row.size.stored_numbers,
                    "vector_bound": bound / roots if bounded else math.nan,
                    "other_bound": bound,
                }


def draw_trade_off(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """Sizes of `tabulate_trade_off` over the number of hops, logarithmic, beside both halves of the bound.

    Without chain of thought a construction has to reach the dashed line of the first panel or that of the
    second. Where several take the same, their lines lie inside each other.
    """
    colours = THEMES[theme]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(10.4, 3.5, colours)
        for number, (column, title) in enumerate(PANELS.items()):
            axes = dressed_axes(figure, colours, 1, len(PANELS), number + 1)
            _paint_models(axes, table, column, colours)
            axes.set_title(title)
            axes.set_xlabel("hops")
            axes.set_xticks(sorted(table["hops"].unique()))
        handles, names = figure.axes[1].get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside lower center", ncols=6, frameon=False, labelcolor=colours.ink
        )
    return figure


def _paint_models(axes: Axes, table: pl.DataFrame, column: str, theme: Theme) -> None:
    if column == "other_bits":
        axes.set_yscale("symlog", linthresh=10)
    else:
        axes.set_yscale("log")
    for model, (colour, width, dash) in LOOKS.items():
        rows = table.filter(pl.col("model") == model)
        look = {"color": getattr(theme, colour), "linewidth": width, "linestyle": dash}
        axes.plot(rows["hops"], rows[column], label=model, marker="o", markersize=width + 1.5, **look)
    bound = column.replace("_bits", "_bound")
    if bound in table.columns:
        rows = table.unique("hops").sort("hops")
        look = {"color": theme.muted, "linewidth": 1.2, "linestyle": (0, (4, 3))}
        axes.plot(rows["hops"], rows[bound], label="bound L2: one of the two", zorder=5, **look)
    low, high = axes.get_ylim()
    powers = [power for power in range(1, 40) if low <= 10.0**power <= high]
    powers = powers[:: -(-len(powers) // 5)]
    # Text of our own: matplotlib's is mathematics, which the figures' style keeps as it is written.
    axes.set_yticks([10.0**power for power in powers], [f"10{superscript(power)}" for power in powers])
    if column == "other_bits":
        axes.set_yticks([0, *axes.get_yticks()], ["0", *[text.get_text() for text in axes.get_yticklabels()]])
    axes.yaxis.set_minor_locator(NullLocator())


def superscript(number: int) -> str:
    """A whole number as an exponent.

    >>> superscript(12)
    '¹²'
    """
    return str(number).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
