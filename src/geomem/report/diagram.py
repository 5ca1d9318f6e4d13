"""A phase diagram as files: one HTML page that opens anywhere, or PDF, SVG and CSV beside each other."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from markupsafe import Markup

from geomem.errors import InputError
from geomem.figures.drawing import check_figure, save_figure
from geomem.figures.phases import phase_diagram, tabulate_phases
from geomem.files import check_place
from geomem.report.html import format_number, read_resource, render_html, write_page


def write_diagram(
    table: pl.DataFrame, x: str, y: str, out: Path, *, colours: Sequence[str] | None = None, title: str = ""
) -> Path:
    """Write the phase diagram of a sweep's table: `out` is an .html page, or an .svg or .pdf.

    Beside an .svg or .pdf stand the other of the two and the plotted data as .csv. Raises `InputError` for
    another ending, and as `phase_diagram` does.
    """
    check_diagram(out)
    figure, cells = phase_diagram(table, x, y, colours, title=title), tabulate_phases(table, x, y, colours)
    if out.suffix != ".html":
        save_figure(figure, cells, out.with_suffix(""))
        return out
    with tempfile.TemporaryDirectory() as directory:
        untitled = phase_diagram(table, x, y, colours)
        svg = save_figure(untitled, cells, Path(directory) / "phases")[1].read_text(encoding="utf-8")
    recalling = round((cells["runs"] * cells["memorized"]).sum())
    text = (
        f"{len(table):,} runs, of which {recalling:,} recall every fact. "
        "A cell shows the mean over its runs after the last step; without a colour, all of them diverged."
    )
    page = render_html(
        read_resource("diagram.html"),
        title=title or "Phase diagram",
        text=text,
        picture=Markup(svg[svg.index("<svg") :]),
        cells=cells,
        cell=_cell,
    )
    write_page(page, out)
    return out


def check_diagram(out: Path) -> None:
    """Raise `InputError` unless a diagram can be written to that file.

    >>> check_diagram(Path("phase.html"))
    """
    if out.suffix not in (".html", ".svg", ".pdf"):
        raise InputError(f"out is {str(out)!r}; give a name that ends in .html, .svg or .pdf.")
    if out.suffix == ".html":
        check_place(out)
    else:
        check_figure(out)


def _cell(value: object) -> str:
    return format_number(value) if isinstance(value, float) else "–" if value is None else str(value)
