"""Nodes on a plane: dots, edges, and names that cover neither dots nor each other."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from geomem.figures.palette import Theme

MOST_NAMES = 200
"""Of more nodes no names are written."""

NAME_SIZE = 6.2
"""Points of 1/72 inch."""

MOST_VECTORS = 1500
"""More nodes are one image in a file of vectors."""


def paint_places(
    axes: Sequence[Axes],
    panels: Mapping[str, Float[np.ndarray, "node 2"]],
    edges: Int[np.ndarray, "edge 2"],
    labels: Sequence[str],
    colours: Sequence[str],
    theme: Theme,
) -> None:
    """The same nodes at several places, one panel each by its title, each as large as it can be drawn.

    The axes stand side by side and fill their figure.
    """
    many, few = len(labels) > MOST_VECTORS, len(labels) <= MOST_NAMES
    whole = axes[0].get_figure(root=True)
    assert whole is not None
    width, height = whole.get_size_inches() / [len(axes), 1] - [0.15, 0.35]
    for one, (title, places) in zip(axes, panels.items(), strict=True):
        low, high = places.min(axis=0), places.max(axis=0)
        spread = np.where(high > low, high - low, 1.0)
        # Room for names at the sides.
        low, high = low - [0.1, 0.05] * spread, high + [0.16, 0.05] * spread
        scale = 72 * min(width / (high - low)[0], height / (high - low)[1])
        lines = LineCollection(list(places[edges]), colors=theme.edge, linewidths=0.9, alpha=0.6)
        one.add_collection(lines).set_rasterized(many)
        one.scatter(
            *places.T,
            s=min(34.0, 8000 / len(labels)),
            c=list(colours),
            edgecolors=theme.card,
            linewidths=0.8 * few,
            zorder=2,
            rasterized=many,
        )
        if few:
            paint_labels(one, list(labels), places, NAME_SIZE, scale, theme, (low[0], high[0]))
        one.set_title(title)
        one.set_xlim(low[0], high[0])
        one.set_ylim(low[1], high[1])
        one.set_aspect("equal")
        one.set_axis_off()


def place_labels(
    lengths: list[int],
    points: Float[np.ndarray, "node 2"],
    size: float,
    sides: tuple[float, float] = (-np.inf, np.inf),
) -> list[tuple[float, float] | None]:
    """Offset of each label from its dot so that none covers another; None where none fits.

    `points`, offsets and the `sides` that no label crosses are in points of 1/72 inch, `lengths` in
    characters of a font of the given size.
    """
    boxes = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    offsets: list[tuple[float, float] | None] = []
    for own, (length, (x, y)) in enumerate(zip(lengths, points, strict=True)):
        wide, high = length * size * 0.6, size * 1.1
        spots = [(5.0, -high / 3), (-5 - wide, -high / 3), (-wide / 2, 5.0), (-wide / 2, -5 - 0.8 * high)]
        spots += [(3.0, 4.0), (3.0, -4 - high), (-3 - wide, 4.0), (-3 - wide, -4 - high)]
        offsets.append(None)
        for dx, dy in spots:
            box = (x + dx, y + dy, x + dx + wide, y + dy + 0.8 * high)
            inside = sides[0] <= box[0] and box[2] <= sides[1]
            if inside and not any(
                box[0] < other[2] and box[2] > other[0] and box[1] < other[3] and box[3] > other[1]
                for i, other in enumerate(boxes)
                if i != own
            ):
                boxes.append(box)
                offsets[-1] = (dx, dy)
                break
    return offsets


def paint_labels(
    axes: Axes,
    labels: list[str],
    places: Float[np.ndarray, "node 2"],
    size: float,
    points_per_unit: float,
    theme: Theme,
    sides: tuple[float, float] = (-np.inf, np.inf),
) -> None:
    """Names beside their dots and between the sides, where they fit.

    So many points of 1/72 inch go to a unit of the places.
    """
    reach = (sides[0] * points_per_unit, sides[1] * points_per_unit)
    offsets = place_labels([len(label) for label in labels], places * points_per_unit, size, reach)
    for label, (x, y), offset in zip(labels, places, offsets, strict=True):
        if offset is not None:
            text = axes.annotate(
                label,
                (x, y),
                xytext=offset,
                textcoords="offset points",
                fontsize=size,
                color=theme.ink,
                zorder=4,
            )
            # Otherwise the layout is solved around every label anew, which takes seconds.
            text.set_in_layout(False)


def order_shares(values: Float[np.ndarray, " node"]) -> Float[np.ndarray, " node"]:
    """Every value's place in their order, from 0 to 1.

    >>> order_shares(np.array([3.0, 9.0, 5.0])).tolist()
    [0.0, 1.0, 0.5]
    """
    ranks = np.argsort(np.argsort(values))
    return ranks / max(1, len(values) - 1)
