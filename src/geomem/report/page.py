"""The report: from stored fleets to one HTML file."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from geomem.errors import InputError
from geomem.figures import save_figures, view_fleet
from geomem.figures.palette import READING_COLOURS
from geomem.figures.path_drawing import save_path_figures
from geomem.figures.views import FleetView
from geomem.geometry.reading import READINGS
from geomem.measure.edges import Measurement
from geomem.report.content import curve_sets, page_data, script_json
from geomem.report.html import check_places, count_word, read_resource, render_html, write_page
from geomem.runs.run import Run

HERO_FLEETS = 4
"""Graphs drawn side by side at the head of the page at most."""

SCRIPTS = ("scene.js", "charts.js", "page.js")


def write_report(
    fleets: Sequence[Run], out: str | os.PathLike[str], figures: str | os.PathLike[str] | None = None
) -> Path:
    """Write one self-contained HTML page about finished fleets; the path written.

    With `figures`, a directory, every picture is also written there as PDF and SVG with its data as CSV, one
    subdirectory per fleet. The page holds all it needs and asks for nothing from anywhere.

    Raises `InputError` if there is no fleet or the place cannot be written to.
    """
    if not fleets:
        raise InputError("No run was given to report on; give at least one run directory.")
    out = Path(out)
    check_places(out, figures)
    views = [view_fleet(fleet) for fleet in fleets]
    write_page(render_page(views), out)
    if figures is not None:
        named = dict(zip(_directory_names(views), views, strict=True))
        for name, view in named.items():
            save_figures(view, Path(figures) / name)
        finding = {name: view.fleet for name, view in named.items() if finds_paths(view)}
        if finding:
            save_path_figures(finding, Path(figures) / "paths")
    return out


def render_page(views: list[FleetView]) -> str:
    """The page's HTML."""
    return render_html(
        read_resource("template.html"),
        scripts=[get_plotlyjs(), "\n".join(read_resource(name) for name in SCRIPTS)],
        marks=interval_marks,
        step_count=lambda n: f"{n:,}",
        finds_paths=finds_paths,
        curve_choices=lambda view: [(i, shown.name) for i, shown in enumerate(curve_sets(view))],
        title=page_title(views),
        lede=page_lede(views),
        views=views,
        hero=(hero := hero_choice(views)),
        shared=len({views[i].graph.digest for i in hero}) == 1,
        compared=compared_measurements(views),
        readings=READINGS,
        reading_colours=READING_COLOURS,
        data=Markup(script_json(page_data(views))),
    )


def _directory_names(views: list[FleetView]) -> list[str]:
    names = [view.fleet.path.name or f"fleet-{i + 1}" for i, view in enumerate(views)]
    return [name if names.count(name) == 1 else f"{name}-{i + 1}" for i, name in enumerate(names)]


def page_title(views: list[FleetView]) -> str:
    """The page's heading: one graph and so many memories, or so many memories of so many graphs."""
    graphs = len({view.graph.digest for view in views})
    words = [count_word(n) for n in (graphs, len(views))]
    memory = "memory" if len(views) == 1 else "memories"
    return f"{words[0].capitalize()} graph{'s' if graphs > 1 else ''}, {words[1]} {memory}"


def finds_paths(view: FleetView) -> bool:
    """Whether the fleet was asked for paths while it was trained."""
    return "held_out.first_hop" in view.curves


def page_lede(views: list[FleetView]) -> str:
    """One sentence on what is seen."""
    if any(finds_paths(view) for view in views):
        return (
            "Asked for the path to a leaf that no trained path ends in, a model that was told nothing but "
            "the single edges of it can answer only if its memory holds more than pairs."
        )
    who = "this model" if len(views) == 1 else "these models"
    return (
        f"Shown nothing but single edges, {who} could keep them as a lookup table, the embedding as "
        "random as it began, or as a geometry that arranges even the nodes never seen together."
    )


def hero_choice(views: list[FleetView]) -> list[int]:
    """Fleets to stand side by side: of the commonest graph, each reading once before any stands twice."""
    digests = [view.graph.digest for view in views]
    common = max(digests, key=digests.count)
    candidates = [i for i, digest in enumerate(digests) if digest == common]
    if len(candidates) == 1:
        candidates = list(range(len(views)))
    first = {view.portrait.reading: i for i, view in reversed(list(enumerate(views))) if i in candidates}
    chosen = sorted(first.values()) + [i for i in candidates if i not in first.values()]
    return sorted(chosen[:HERO_FLEETS])


def compared_measurements(views: list[FleetView]) -> list[tuple[str, str]]:
    """Name and title of the columns of the comparison, in the order of the fleets' tables."""
    columns: list[tuple[str, str]] = []
    for view in views:
        place = 0
        for measured in view.portrait.measurements:
            if measured.compared:
                column = measured.name, measured.title.partition(" (")[0]
                if column not in columns:
                    columns.insert(place, column)
                place = columns.index(column) + 1
    return columns


@dataclass(frozen=True)
class Marks:
    """Places, 0 to 100, of a measurement on its little scale."""

    mean: float
    low: float
    width: float
    null_low: float
    null_width: float
    zero: float


def interval_marks(measurement: Measurement) -> Marks | None:
    """Where value, interval, null band and zero stand on one scale that holds them; None without a number."""
    m = measurement
    numbers = [v for v in (m.mean, m.low, m.high, m.null_low, m.null_high, 0.0) if math.isfinite(v)]
    if not math.isfinite(m.mean) or max(numbers) == min(numbers):
        return None
    start, length = min(numbers), max(numbers) - min(numbers)

    def place(value: float) -> float:
        return round(4 + 92 * (value - start) / length, 2)

    low, high = (place(v) if math.isfinite(v) else place(m.mean) for v in (m.low, m.high))
    null = [place(v) if math.isfinite(v) else 0.0 for v in (m.null_low, m.null_high)]
    return Marks(place(m.mean), low, round(high - low, 2), null[0], round(null[1] - null[0], 2), place(0.0))
