"""Pictures of one memory of facts: a subject vector taken apart, and what each relation reads and opens."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import polars as pl
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from geomem.errors import InputError
from geomem.figures.drawing import STYLE, dressed_axes, new_figure, shortened
from geomem.figures.palette import THEMES, Theme
from geomem.geometry.superposition import SuperpositionFit, relation_codes

SUBJECT, SUM, REST, SHUFFLED = "subject vector", "sum of the relations", "left over", "subjects shuffled"
"""Parts that are no relation's."""

PANELS = {"maps": "cosine between maps", "read-out": "the same at the read-out", "gates": "gates open"}
"""Panels of the selector's picture."""


def tabulate_subject(
    fit: SuperpositionFit,
    embeddings: Float[np.ndarray, "subject width"],
    answers: Int[np.ndarray, "subject relation"],
    *,
    relations: Sequence[str],
    subject: int | None = None,
) -> pl.DataFrame:
    """One subject's vector as the sum of its attributes: s - b = sum of W_r z + what is left.

    Columns: row, part (its name), coordinate (in the order of the subject's values, the lowest first), value,
    share. The share of a relation is that of its part in the variance of all subjects, which ridge shrinks;
    that of the sum is held-out R², and a row without coordinates has that of shuffled subjects. If not told
    which, the subject is the one of those held out whose own R² is their median.

    Raises `InputError` if there is not one name for each relation.

    >>> from geomem.geometry.superposition import fit_superposition
    >>> answers = np.stack([np.random.default_rng(run).permutation(40) for run in (0, 1)], axis=1)
    >>> codes = np.random.default_rng(2).normal(size=(40, 3))
    >>> vectors = codes[answers[:, 0]] - codes[answers[:, 1], ::-1]
    >>> table = tabulate_subject(fit_superposition(vectors, codes, answers), vectors, answers,
    ...     relations=["father", "mother"])
    >>> table["part"].unique(maintain_order=True).to_list()[:3], len(table)
    (['subject vector', 'father', 'mother'], 16)
    """
    if len(relations) != len(fit.maps):
        raise InputError(
            f"{len(relations)} names were given for {len(fit.maps)} relations; give one for each."
        )
    S = np.asarray(embeddings, dtype=np.float64)
    codes = relation_codes(fit.codes, answers).reshape(len(S), len(fit.maps), -1)
    if subject is None:
        written = np.einsum("src,rwc->sw", codes[fit.held], fit.maps)
        off = np.square(S[fit.held] - fit.intercept - written).sum(axis=1)
        own = off / np.square(S[fit.held] - fit.intercept).sum(axis=1)
        subject = int(fit.held[np.argsort(own)[len(own) // 2]])
    parts = np.einsum("rc,rwc->rw", codes[subject], fit.maps)
    whole = S[subject] - fit.intercept
    order = np.argsort(whole, kind="stable")
    names = [SUBJECT, *relations, SUM, REST]
    shares = [None, *fit.shares.tolist(), fit.score, None]
    values = np.concatenate([[whole], parts, [parts.sum(axis=0)], [whole - parts.sum(axis=0)]])[:, order]
    schema = {
        "row": pl.Int64,
        "part": pl.String,
        "coordinate": pl.Int64,
        "value": pl.Float64,
        "share": pl.Float64,
    }
    width = len(order)
    columns = {
        "row": np.repeat(np.arange(len(names)), width),
        "part": [name for name in names for _ in range(width)],
        "coordinate": np.tile(np.arange(width), len(names)),
        "value": values.ravel(),
        "share": [share for share in shares for _ in range(width)],
    }
    control = {"row": len(names), "part": SHUFFLED, "share": float(fit.shuffled_scores.mean())}
    return pl.concat([pl.DataFrame(columns, schema=schema), pl.DataFrame([control], schema=schema)])


def draw_subject(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """The parts of `tabulate_subject` as strips of coordinates, and the shares beside them.

    The strips between the first and the sum add up to the sum; what the sum misses of the first is the last.
    """
    colours = THEMES[theme]
    strips = table.drop_nulls("coordinate")
    names = strips.unique("row", maintain_order=True)["part"].to_list()
    values = strips["value"].to_numpy().reshape(len(names), -1)
    reach = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    with matplotlib.rc_context(STYLE):
        figure = new_figure(9.6, 1.4 + 0.36 * len(names), colours)
        left, right = dressed_axes(figure, colours, 1, 3, (1, 2)), dressed_axes(figure, colours, 1, 3, 3)
        ramp = LinearSegmentedColormap.from_list("value", colours.diverging)
        image = left.imshow(
            values, cmap=ramp, vmin=-reach, vmax=reach, aspect="auto", interpolation="nearest"
        )
        left.set_yticks(range(len(names)), [shortened(name, 24) for name in names])
        left.set_xticks([])
        left.set_xlabel("coordinates, in the order of the subject's own values")
        left.set_title("one held-out subject, taken apart")
        for spine in left.spines.values():
            spine.set_visible(False)
        bar = figure.colorbar(image, ax=left, pad=0.01)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.ax.tick_params(labelsize=7, colors=colours.muted)
        _paint_shares(right, table, colours)
    return figure


def _paint_shares(axes: Axes, table: pl.DataFrame, theme: Theme) -> None:
    rows = table.unique("row", maintain_order=True).drop_nulls("share").drop_nans("share")
    names, shares = [str(name) for name in rows["part"]], rows["share"].to_numpy()
    titles: dict[str, str] = {SUM: "the sum, R² held out", SHUFFLED: "the same, shuffled"}
    colours = [
        theme.muted if name == SHUFFLED else theme.warm if name == SUM else theme.accent for name in names
    ]
    places = np.arange(len(names))
    axes.barh(places, shares, color=colours, height=0.7)
    for place, share in zip(places, shares, strict=True):
        text = f" {round(share, 2) + 0.0:.2f}".replace("-", "−")
        axes.text(max(share, 0), float(place), text, va="center", fontsize=7.5, color=theme.muted)
    axes.set_yticks(places, [shortened(titles.get(name, name), 24) for name in names])
    axes.invert_yaxis()
    axes.set_xlim(min(0.0, float(shares.min()) * 1.1), max(1.0, float(shares.max())) * 1.12)
    # To the right: long names of parts leave less room than the title takes.
    axes.set_title("share of all subjects' variance", loc="right", color=theme.ink)


def tabulate_selector(
    map_cosines: Float[np.ndarray, "relation relation"],
    read_out_cosines: Float[np.ndarray, "relation relation"],
    gate_rates: Float[np.ndarray, "relation neuron"],
    *,
    relations: Sequence[str],
) -> pl.DataFrame:
    """What relations share: cosines of their maps, plain and at the read-out, and the gates that each opens.

    Columns: panel, relation, column (the other relation, or the neuron's number), place, value. Neurons stand
    in the order of the relation that opens them most, and of how much more it does than the others do.

    Raises `InputError` if there is not one name for each relation.

    >>> rates = np.array([[0.1, 0.9], [0.8, 0.2]])
    >>> table = tabulate_selector(np.eye(2), np.eye(2), rates, relations=["a", "b"])
    >>> table.filter(panel="gates", relation="a").select("column", "value").rows()
    [('1', 0.9), ('0', 0.1)]
    """
    if len(relations) != len(map_cosines):
        raise InputError(
            f"{len(relations)} names were given for {len(map_cosines)} relations; give one for each."
        )
    most = gate_rates.argmax(axis=0) if gate_rates.size else np.zeros(0, dtype=int)
    lead = gate_rates.max(axis=0, initial=0.0) - gate_rates.mean(axis=0)
    order = np.lexsort([-lead, most])
    columns = {
        "maps": list(relations),
        "read-out": list(relations),
        "gates": [str(neuron) for neuron in order],
    }
    values = {"maps": map_cosines, "read-out": read_out_cosines, "gates": gate_rates[:, order]}
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "panel": [panel] * found.size,
                    "relation": np.repeat(list(relations), found.shape[1]),
                    "column": columns[panel] * len(relations),
                    "place": np.tile(np.arange(found.shape[1]), len(relations)),
                    "value": np.asarray(found, dtype=np.float64).ravel(),
                }
            )
            for panel, found in values.items()
            if found.size
        ]
    )


def draw_selector(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """Heatmaps of `tabulate_selector`.

    An exact selector has a diagonal of 1 on a ground of 0 at the read-out, and opens each gate for one
    relation alone.
    """
    colours = THEMES[theme]
    panels = [panel for panel in PANELS if panel in table["panel"]]
    relations = table["relation"].unique(maintain_order=True).to_list()
    with matplotlib.rc_context(STYLE):
        figure = new_figure(3.4 * len(panels), 1.5 + min(4.0, max(1.1, 0.3 * len(relations))), colours)
        for place, panel in enumerate(panels):
            axes = dressed_axes(figure, colours, 1, len(panels), place + 1)
            values = table.filter(pl.col("panel") == panel)["value"].to_numpy().reshape(len(relations), -1)
            stops, low = (colours.sequential[::-1], 0.0) if panel == "gates" else (colours.diverging, -1.0)
            ramp = LinearSegmentedColormap.from_list(panel, stops)
            image = axes.imshow(values, cmap=ramp, vmin=low, vmax=1.0, aspect="auto", interpolation="nearest")
            axes.set_title(PANELS[panel])
            axes.set_xticks([])
            axes.set_xlabel("neurons" if panel == "gates" else "relations")
            names = [shortened(name, 16) for name in relations] if place == 0 else []
            axes.set_yticks(range(len(names)), names)
            if panel != "gates" and len(relations) <= 12:
                for (row, column), value in np.ndenumerate(values):
                    colour = colours.ink if abs(value) < 0.6 else colours.card
                    text = f"{value:.2f}".replace("-", "−")
                    axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
            for spine in axes.spines.values():
                spine.set_visible(False)
            bar = figure.colorbar(image, ax=axes, pad=0.02)
            bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
            bar.ax.tick_params(labelsize=7, colors=colours.muted)
    return figure
