"""Pictures of the capacity of recall: curves over the width, and the thresholds with their law."""

from collections.abc import Callable

import matplotlib
import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geomem.figures.drawing import STYLE
from geomem.figures.palette import LIGHT

Law = Callable[[Float[np.ndarray, " cell"], Float[np.ndarray, " cell"]], Float[np.ndarray, " cell"]]
"""The fitted threshold at so many subjects and so many relations."""

SIZES = {"width": "width", "mlp_width": "neurons"}


def tabulate_capacity(curves: pl.DataFrame, thresholds: pl.DataFrame) -> pl.DataFrame:
    """The plotted data: every point of the curves beside its cell's thresholds and information limit."""
    limits = information_limits(curves, thresholds)
    return curves.join(limits, on=["subjects", "relations"], how="left", suffix="_of_cell")


def information_limits(curves: pl.DataFrame, thresholds: pl.DataFrame) -> pl.DataFrame:
    """The thresholds with `limit`: the size at which a cell's weights hold as many bits as the mean cell's.

    The mean is over the cells that have a threshold, of bits of facts per weight at that threshold; the size
    is read off a line between measured sizes, NaN beyond them.
    """
    size = next(name for name in SIZES if name in curves.columns)
    mean = thresholds["bits_per_weight"].fill_nan(None).mean()
    limits = []
    for row in thresholds.iter_rows(named=True):
        cell = curves.filter(subjects=row["subjects"], relations=row["relations"])
        needed = float("nan") if mean is None else row["bits"] / float(mean)  # pyright: ignore
        weights, sizes = cell["weights"].to_numpy(), cell[size].to_numpy()
        limits.append(float(np.interp(needed, weights, sizes, left=np.nan, right=np.nan)))
    return thresholds.with_columns(pl.Series("limit", limits, dtype=pl.Float64))


def draw_capacity(curves: pl.DataFrame, thresholds: pl.DataFrame, law: Law | None = None) -> Figure:
    """Recall over the width, one panel per number of subjects; then the thresholds over the relations.

    `curves` and `thresholds` are those of `geomem.sweep.capacity`. Bands reach from the worst seed to the
    best, a vertical line marks 0.99 of the best; bars are 95 % intervals over seeds, solid lines the law,
    dotted ones the size at which every weight holds as many bits as in the mean cell.
    """
    counts = sorted(thresholds["subjects"].unique().to_list())
    kinds = sorted(thresholds["relations"].unique().to_list())
    size = next(name for name in SIZES if name in curves.columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.6 * (len(counts) + 1.4), 3.4), facecolor=LIGHT.card, layout="constrained")
        shares = [1.0] * len(counts) + [1.4]
        panels = figure.subplots(1, len(counts) + 1, width_ratios=shares, squeeze=False)[0]
        for axes, count in zip(panels, counts, strict=False):
            for number, kind in enumerate(kinds):
                cell = curves.filter(subjects=count, relations=kind)
                colour = LIGHT.branches[number % len(LIGHT.branches)]
                sizes = cell[size].to_numpy()
                axes.plot(sizes, cell["recall"], color=colour, linewidth=1.4, label=f"{kind} relations")
                axes.fill_between(
                    sizes, cell["lowest"], cell["highest"], color=colour, alpha=0.2, linewidth=0
                )
                at = thresholds.filter(subjects=count, relations=kind)["best_99"]
                if len(at) and np.isfinite(at[0]):
                    axes.axvline(at[0], color=colour, linewidth=0.8, linestyle="--")
            _dress(axes, f"{count} subjects", SIZES[size], "recall")
            axes.set_ylim(0, 1.02)
        panels[0].legend(frameon=False, fontsize=7, labelcolor=LIGHT.ink, loc="lower right")
        _draw_thresholds(panels[-1], information_limits(curves, thresholds), law)
        _dress(panels[-1], "where recall reaches 0.99", "relations", SIZES[size])
    return figure


def _draw_thresholds(axes: Axes, thresholds: pl.DataFrame, law: Law | None) -> None:
    for number, count in enumerate(sorted(thresholds["subjects"].unique().to_list())):
        cells = thresholds.filter(subjects=count).sort("relations")
        colour = LIGHT.branches[number % len(LIGHT.branches)]
        relations = cells["relations"].to_numpy().astype(np.float64)
        low, mean, high = (cells[name].to_numpy() for name in ("low_99", "mean_99", "high_99"))
        axes.vlines(relations, low, high, color=colour, linewidth=1.0)
        axes.plot(relations, mean, "_", color=colour, markersize=6)
        axes.plot(relations, cells["threshold"], "o", color=colour, markersize=4, label=f"{count} subjects")
        axes.plot(relations, cells["limit"], ":", color=colour, linewidth=1.0)
        if law is not None:
            line = np.linspace(relations[0], relations[-1], 50)
            axes.plot(line, law(np.full(50, float(count)), line), color=colour, linewidth=1.0)
    axes.legend(frameon=False, fontsize=7, labelcolor=LIGHT.ink, loc="upper left")


def _dress(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, color=LIGHT.ink)
    axes.set_xlabel(x, color=LIGHT.muted)
    axes.set_ylabel(y, color=LIGHT.muted)
    axes.tick_params(colors=LIGHT.muted, labelsize=8)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LIGHT.line)
