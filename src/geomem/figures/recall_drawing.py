"""Pictures of the capacity of recall: curves over the size, the thresholds as a surface with its law, bits.

`curves` and `thresholds` are those of `geomem.sweep.capacity` everywhere, or read from the CSV it leaves.
"""

from collections.abc import Callable

import matplotlib
import matplotlib.ticker
import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure, SubFigure

from geomem.errors import InputError
from geomem.figures.drawing import STYLE
from geomem.figures.notebook_figure import NotebookFigure
from geomem.figures.palette import LIGHT

Law = Callable[[Float[np.ndarray, " cell"], Float[np.ndarray, " cell"]], Float[np.ndarray, " cell"]]
"""The fitted threshold at so many subjects and so many relations."""

SIZES = {"width": "width", "mlp_width": "neurons"}


def tabulate_capacity(curves: pl.DataFrame, thresholds: pl.DataFrame, law: Law | None = None) -> pl.DataFrame:
    """The plotted data: every point of the curves beside its cell's thresholds, limit and law."""
    limits = information_limits(curves, thresholds)
    surface = tabulate_surface(thresholds, law).select("subjects", "relations", "law", "residual")
    cells = limits.join(surface, on=["subjects", "relations"], how="left")
    return curves.join(cells, on=["subjects", "relations"], how="left", suffix="_of_cell").with_columns(
        (pl.col("bits") / pl.col("weights")).alias("bits_per_weight_of_point")
    )


def tabulate_surface(thresholds: pl.DataFrame, law: Law | None = None) -> pl.DataFrame:
    """The surface d*(N, R): subjects, relations, threshold with its interval, the law's value, the residual.

    `residual` is threshold less law, NaN without a law or a threshold. Raises `InputError` without any cell.

    >>> cells = pl.DataFrame({"subjects": [8, 8], "relations": [2, 4], "threshold": [3.0, 5.0],
    ...     "mean_99": [3.5, 5.0], "low_99": [3.0, 4.5], "high_99": [4.0, 5.5]})
    >>> tabulate_surface(cells, lambda N, R: 1.0 + R)["residual"].to_list()
    [0.0, 0.0]
    """
    if not len(thresholds):
        raise InputError("There is no cell to draw; give thresholds of one number of subjects or more.")
    N, R = (thresholds[name].to_numpy().astype(np.float64) for name in ("subjects", "relations"))
    fitted = np.full(len(N), np.nan) if law is None else law(N, R)
    return thresholds.select(
        "subjects", "relations", "threshold", "mean_99", "low_99", "high_99", pl.Series("law", fitted)
    ).with_columns((pl.col("threshold") - pl.col("law")).alias("residual"))


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
    """Recall over the width, one panel per number of subjects; thresholds; the surface; bits per weight.

    Bands reach from the worst seed to the best, a vertical line marks 0.99 of the best; bars are 95 %
    intervals over seeds, solid lines the law, dotted ones the size at which every weight holds as many bits
    as in the mean cell. Below: `draw_surface`, and all curves over the bits that each weight has to hold.
    """
    with matplotlib.rc_context(STYLE):
        counts = thresholds["subjects"].n_unique()
        figure = NotebookFigure(
            figsize=(max(9.0, 2.6 * (counts + 1.4)), 7.0), facecolor=LIGHT.card, layout="constrained"
        )
        above, below = figure.subfigures(2, 1, height_ratios=[1.0, 1.05], squeeze=False)[:, 0]
        _draw_curves(above, curves, thresholds, law)
        left, right = below.subfigures(1, 2, width_ratios=[2.0, 1.0], squeeze=False)[0]
        _draw_surface(left, curves, thresholds, law)
        _draw_bits(right.subplots(), curves, thresholds)
    return figure


def draw_surface(curves: pl.DataFrame, thresholds: pl.DataFrame, law: Law | None = None) -> Figure:
    """The surface d*(N, R): the law as coloured ground, measured thresholds as dots; and what is left.

    Ground and dots share their colours: a dot that vanishes in the ground lies on the law. Right: threshold
    less law, per cell.
    """
    with matplotlib.rc_context(STYLE):
        figure = NotebookFigure(figsize=(8.4, 3.7), facecolor=LIGHT.card, layout="constrained")
        _draw_surface(figure, curves, thresholds, law)
    return figure


def draw_bits_per_weight(curves: pl.DataFrame, thresholds: pl.DataFrame) -> Figure:
    """Recall of every cell over the bits of facts that each trained weight has to hold.

    Were capacity bits alone, all curves would fall at one place. The vertical line is the mean over cells of
    bits per weight at the threshold.
    """
    with matplotlib.rc_context(STYLE):
        figure = NotebookFigure(figsize=(5.2, 3.6), facecolor=LIGHT.card, layout="constrained")
        _draw_bits(figure.subplots(), curves, thresholds)
    return figure


def _relations(count: int) -> str:
    return f"{count} relation{'' if count == 1 else 's'}"


def _size_of(curves: pl.DataFrame) -> str:
    return next(name for name in SIZES if name in curves.columns)


def _draw_curves(figure: SubFigure, curves: pl.DataFrame, thresholds: pl.DataFrame, law: Law | None) -> None:
    counts = sorted(thresholds["subjects"].unique().to_list())
    kinds = sorted(thresholds["relations"].unique().to_list())
    size = _size_of(curves)
    shares = [1.0] * len(counts) + [1.4]
    panels = figure.subplots(1, len(counts) + 1, width_ratios=shares, squeeze=False)[0]
    for axes, count in zip(panels, counts, strict=False):
        for number, kind in enumerate(kinds):
            cell = curves.filter(subjects=count, relations=kind)
            colour = LIGHT.branches[number % len(LIGHT.branches)]
            sizes = cell[size].to_numpy()
            axes.plot(sizes, cell["recall"], color=colour, linewidth=1.4, label=_relations(kind))
            axes.fill_between(sizes, cell["lowest"], cell["highest"], color=colour, alpha=0.2, linewidth=0)
            at = thresholds.filter(subjects=count, relations=kind)["best_99"]
            if len(at) and np.isfinite(at[0]):
                axes.axvline(at[0], color=colour, linewidth=0.8, linestyle="--")
        _dress(axes, f"{count:,} subjects", SIZES[size], "recall")
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True, nbins=6))
    panels[0].legend(frameon=False, fontsize=7, labelcolor=LIGHT.ink, loc="lower right")
    _draw_thresholds(panels[-1], information_limits(curves, thresholds), law)
    _dress(panels[-1], "where recall reaches 0.99", "relations", SIZES[size])


def _draw_surface(
    figure: Figure | SubFigure, curves: pl.DataFrame, thresholds: pl.DataFrame, law: Law | None
) -> None:
    table = tabulate_surface(thresholds, law)
    N, R, d = (table[name].to_numpy().astype(np.float64) for name in ("subjects", "relations", "threshold"))
    shares = [1.25, 1.0] if law else [1.0]  # without a law nothing is left of the thresholds
    ground, *rest = figure.subplots(1, len(shares), width_ratios=shares, squeeze=False)[0]
    across, up = (np.geomspace(axis.min() / 1.3, axis.max() * 1.3, 60) for axis in (R, N))
    surface = None if law is None else law(np.repeat(up, 60), np.tile(across, 60)).reshape(60, 60)
    shown = np.concatenate([d[np.isfinite(d)], [] if surface is None else surface.ravel()])
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    norm, ramp = Normalize(low, max(high, low + 1e-9)), LinearSegmentedColormap.from_list("law", LIGHT.ramp)
    if surface is not None:
        ground.pcolormesh(across, up, surface, cmap=ramp, norm=norm, linewidth=0, rasterized=True)
        lines = ground.contour(across, up, surface, levels=6, colors=LIGHT.card, linewidths=0.7)
        ground.clabel(lines, fontsize=7, fmt="%g")
    known = np.isfinite(d)
    look: dict = {"s": 300, "edgecolors": LIGHT.card, "linewidths": 1.4, "zorder": 3}
    ground.scatter(R[known], N[known], c=d[known], cmap=ramp, norm=norm, **look)
    ground.scatter(R[~known], N[~known], c=LIGHT.card, **look)
    for relations, subjects, threshold in zip(R, N, d, strict=True):
        text = f"{threshold:g}" if np.isfinite(threshold) else "–"
        dark = not np.isfinite(threshold) or norm(threshold) > 0.55
        colour = LIGHT.ink if dark else LIGHT.card
        ground.text(relations, subjects, text, ha="center", va="center", fontsize=7.5, color=colour, zorder=4)
    said = "dots measured, ground the law" if law else "too few thresholds for a law"
    _dress(ground, f"{SIZES[_size_of(curves)]} at 0.99: {said}", "relations", "subjects")
    for axis, values, scale in ((ground.xaxis, R, ground.set_xscale), (ground.yaxis, N, ground.set_yscale)):
        scale("log", base=2)
        ticks = sorted({int(value) for value in values})
        axis.set_ticks(ticks, [f"{tick:,}" for tick in ticks])
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    for axes in rest:
        _draw_residuals(axes, table)


def _draw_residuals(axes: Axes, table: pl.DataFrame) -> None:
    counts, kinds = (sorted(table[name].unique().to_list()) for name in ("subjects", "relations"))
    values = np.full((len(counts), len(kinds)), np.nan)
    for row in table.iter_rows(named=True):
        values[counts.index(row["subjects"]), kinds.index(row["relations"])] = row["residual"]
    known = values[np.isfinite(values)]
    reach = max(1.0, float(np.abs(known).max())) if len(known) else 1.0
    colours = LinearSegmentedColormap.from_list("residual", LIGHT.diverging)
    axes.imshow(values, cmap=colours, vmin=-2 * reach, vmax=2 * reach, origin="lower", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:+.1f}".replace("-", "−") if np.isfinite(value) else "–"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=LIGHT.ink)
    axes.set_xticks(range(len(kinds)), [f"{kind:,}" for kind in kinds])
    axes.set_yticks(range(len(counts)), [f"{count:,}" for count in counts])
    thresholds = table.filter(pl.col("residual").is_finite())["threshold"].to_numpy()
    spread = float(np.square(thresholds - thresholds.mean()).sum()) if len(known) else 0.0
    said = f", R² {1 - float(np.square(known).sum()) / spread:.3f}" if spread else ""
    _dress(axes, f"measured less law{said}", "relations", "subjects")


def _draw_bits(axes: Axes, curves: pl.DataFrame, thresholds: pl.DataFrame) -> None:
    kinds = sorted(curves["relations"].unique().to_list())
    counts = sorted(curves["subjects"].unique().to_list())
    for number, kind in enumerate(kinds):
        for place, count in enumerate(counts):
            cell = curves.filter(subjects=count, relations=kind)
            axes.plot(
                *((cell["bits"] / cell["weights"]).to_numpy(), cell["recall"].to_numpy()),
                color=LIGHT.branches[number % len(LIGHT.branches)],
                linewidth=0.8 + 0.5 * place,
                label=_relations(kind) if place == len(counts) - 1 else None,
            )
    mean = thresholds["bits_per_weight"].fill_nan(None).mean()
    if mean is not None:
        label = f"mean at 0.99: {mean:.2f}"
        axes.axvline(float(mean), color=LIGHT.muted, linewidth=1, linestyle=":", label=label)  # pyright: ignore
    _dress(axes, "recall over bits per weight", "bits of facts per trained weight", "recall")
    axes.set_ylim(0, 1.02)
    axes.legend(
        frameon=False,
        fontsize=7,
        labelcolor=LIGHT.ink,
        loc="upper right",  # recall falls from the left
        title="thicker: more subjects",
        title_fontsize=7,
    )


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
    axes.set_xticks(sorted(thresholds["relations"].unique().to_list()))
    reached = thresholds.select(pl.max_horizontal("threshold", "mean_99")).to_series().fill_nan(None).max()
    if reached is None:
        axes.text(
            0.5, 0.5, "at none of these sizes", ha="center", transform=axes.transAxes, color=LIGHT.muted
        )
        axes.set_yticks([])
    else:
        # An interval of two seeds may reach anywhere: what lies below 0 or far above the dots is cut off.
        axes.set_ylim(0, 1.5 * float(reached))  # pyright: ignore[reportArgumentType]
    axes.legend(frameon=False, fontsize=7, labelcolor=LIGHT.ink, loc="upper left")


def _dress(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, color=LIGHT.ink)
    axes.set_xlabel(x, color=LIGHT.muted)
    axes.set_ylabel(y, color=LIGHT.muted)
    axes.tick_params(colors=LIGHT.muted, labelsize=8)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LIGHT.line)
