"""What the page's script draws, as compact JSON: every fleet's views packed into small integers.

Positions are sixteen-bit shares of the unit ball, cosines whole hundredths: finer than any screen shows.
"""

import base64
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from geomem.figures.palette import THEMES, node_colours
from geomem.figures.tables import tabulate_shells, tabulate_spectrum
from geomem.figures.views import FleetView
from geomem.training.metrics import SHARES, lines_of

COSINE_BYTES = 400_000
"""Cosines per fleet at most; beyond, the heatmap shows the last step only, unmoved by the slider."""

FINEST_EIGENSPACES = 400
"""Bars of a spectrum at most; a longer one is shown in bands of neighbouring eigenvalues."""


def page_data(views: list[FleetView]) -> dict[str, Any]:
    """Everything the script needs: the themes and, for every fleet, its arrays."""
    return {
        "themes": {name: asdict(theme) for name, theme in THEMES.items()},
        "fleets": [fleet_data(view) for view in views],
    }


def fleet_data(view: FleetView) -> dict[str, Any]:
    """One fleet's arrays as the script reads them."""
    shares = np.linspace(0, 1, len(view.nodes))
    places = shares
    if view.graph.coordinates is not None and view.branches is None:
        # On a map the eye expects neighbouring colours beside each other: from west to east.
        ranks = np.argsort(np.argsort(view.graph.coordinates[view.nodes, 0]))
        places = ranks / max(1, len(ranks) - 1)
    return {
        "title": view.title,
        "reading": view.portrait.reading,
        "seeds": list(view.fleet.seeds),
        "steps": view.steps.tolist(),
        "labels": view.labels,
        "root": view.root,
        "edges": packed(view.edges, "<i4"),
        "colours": {name: node_colours(places, view.branches, theme) for name, theme in THEMES.items()},
        "places": packed(np.round(view.places * 32767), "<i2"),
        "modes": None if view.modes is None else packed(np.round(view.modes * 32767), "<i2"),
        "spreads": rounded(view.spreads),
        "explained": rounded(view.explained),
        "heatmap": _heatmap(view),
        "curves": _curves(view) | {"sets": [asdict(shown) for shown in curve_sets(view)]},
        "spectrum": columns(banded_spectrum(view)),
        "shells": columns(tabulate_shells(view)),
        "dynamics": _dynamics(view),
        "map": _map(view),
        "paths": _paths(view),
    }


@dataclass(frozen=True)
class CurveLine:
    """One metric in a chart of curves."""

    metric: str
    colour: str
    """A colour of the theme by name, or `branches.3`."""
    name: str
    dashed: bool = False


@dataclass(frozen=True)
class CurveSet:
    """The metrics that a chart of curves shows at a time."""

    name: str
    lines: tuple[CurveLine, ...]
    shares: bool
    """Whether the axis is for numbers up to 1."""


def curve_sets(view: FleetView) -> tuple[CurveSet, ...]:
    """What the chart of curves can show of a fleet, the first at first; metrics it lacks are left out."""
    charts: dict[str, list[CurveLine]] = {}
    for name, line in lines_of(view.curves):
        lines = charts.setdefault(line.chart, [])
        kind, _, number = line.colour.partition(".")
        colour = f"{kind}.{int(number) % len(THEMES['light'].branches)}" if number else kind
        lines.append(CurveLine(name, colour, line.name, line.dashed))
    return tuple(CurveSet(name, tuple(lines), name in SHARES) for name, lines in charts.items())


def _paths(view: FleetView) -> dict[str, Any] | None:
    """Cosine distances of held-out paths in hundredths, per run; None where there are none."""
    if view.paths is None:
        return None
    labels, distances = view.graph.labels, view.paths
    between = distances.path_path
    return {
        "leaves": [labels[path[-1]] for path in distances.paths],
        "first_hops": [labels[path[1]] for path in distances.paths],
        "leaf_first": packed(np.round(distances.leaf_first * 100), "<i2"),
        "path_path": None if between is None else packed(np.round(between * 100), "<i2"),
    }


def packed(values: np.ndarray, kind: str) -> str:
    """An array as base64 of little-endian integers."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()


def rounded(values: Any) -> Any:
    """Nested lists of numbers with five significant digits; what is not finite becomes null.

    >>> rounded([[1.23456789, float("nan")], [0.0, 2]])
    [[1.2346, None], [0.0, 2]]
    """
    if isinstance(values, np.ndarray):
        return rounded(values.tolist())
    if isinstance(values, list | tuple):
        return [rounded(value) for value in values]
    if isinstance(values, float):
        return float(f"{values:.5g}") if math.isfinite(values) else None
    return values


def columns(table: pl.DataFrame) -> dict[str, list[Any]]:
    """A table as lists by column, rounded."""
    return {name: rounded(table[name].to_list()) for name in table.columns}


def banded_spectrum(view: FleetView) -> pl.DataFrame:
    """The spectrum's table, neighbouring eigenvalues summed into bands where there are too many for bars."""
    table = tabulate_spectrum(view)
    if len(table) <= FINEST_EIGENSPACES:
        return table
    band = (np.arange(len(table)) * FINEST_EIGENSPACES) // len(table)
    sums = [pl.col(name).sum() for name in ("multiplicity", "mean", "low", "high", "expected")]
    grouped = table.with_columns(pl.Series("band", band)).group_by("band", maintain_order=True)
    return grouped.agg(pl.col("eigenvalue").mean(), *sums).drop("band")


def _heatmap(view: FleetView) -> dict[str, Any]:
    runs, snapshots, rows, _ = view.cosines.shape
    moving = runs * snapshots * rows * rows <= COSINE_BYTES
    cosines = view.cosines if moving else view.cosines[:, -1:]
    distances = np.where(np.isfinite(view.distances), view.distances, -1)
    return {
        "rows": view.heatmap_nodes.tolist(),
        "moving": moving,
        "cosines": packed(np.round(cosines * 100), "<i1"),
        "distances": packed(distances, "<i2"),
    }


def _curves(view: FleetView) -> dict[str, Any]:
    return {
        "steps": view.curve_steps.tolist(),
        "metrics": {
            name: {
                "mean": rounded(values.mean(axis=1)),
                "low": rounded(values.min(axis=1)),
                "high": rounded(values.max(axis=1)),
            }
            for name, values in view.curves.items()
        },
    }


def _dynamics(view: FleetView) -> dict[str, Any] | None:
    if view.dynamics is None:
        return None
    dynamics = view.dynamics
    return {
        "eigenvalues": rounded(dynamics.eigenvalues),
        "multiplicities": dynamics.multiplicities.tolist(),
        "projections": rounded(dynamics.projections.mean(axis=0).T),
        "gradients": None if dynamics.gradients is None else rounded(dynamics.gradients.mean(axis=0).T),
    }


def _map(view: FleetView) -> dict[str, Any] | None:
    if view.learned_maps is None or view.graph.coordinates is None:
        return None
    return {
        "true": rounded(view.graph.coordinates[view.nodes].T),
        "learned": [rounded(places.T) for places in view.learned_maps],
        "correlations": rounded(view.map_correlations),
    }


def script_json(content: Any) -> str:
    """JSON that may stand inside a script element whatever text it holds.

    >>> script_json({"label": "</script>"})
    '{"label":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
