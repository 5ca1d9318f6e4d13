"""A phase diagram as files: one HTML page that opens anywhere, or PDF, SVG and CSV beside each other."""

import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

import polars as pl

from geomem.errors import InputError
from geomem.figures.drawing import save_figure
from geomem.figures.palette import LIGHT
from geomem.figures.phases import COLOURS, phase_diagram, tabulate_phases
from geomem.report.page import format_number
from geomem.runs.directory import replace_file

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
body {{ margin: 0 auto; padding: 2rem 1rem; max-width: 70rem; background: {paper}; color: {ink};
  font: 16px/1.5 system-ui, sans-serif; }}
figure {{ margin: 1.5rem 0; padding: 1rem; background: {card}; border: 1px solid {line}; border-radius: 6px;
  overflow-x: auto; }}
figure svg {{ display: block; width: 100%; min-width: 34rem; height: auto; }}
p, summary {{ color: {muted}; }}
div {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }}
th, td {{ padding: .2rem .8rem; text-align: right; border-bottom: 1px solid {line}; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{text}</p>
<figure>{picture}</figure>
<details><summary>The numbers</summary><div><table><thead><tr>{header}</tr></thead>
<tbody>{rows}</tbody></table></div></details>
</body>
</html>
"""


def write_diagram(
    table: pl.DataFrame, x: str, y: str, out: Path, *, colours: Sequence[str] = COLOURS, title: str = ""
) -> Path:
    """Write the phase diagram of a sweep's table: `out` is an .html page, or an .svg or .pdf.

    Beside an .svg or .pdf stand the other of the two and the plotted data as .csv. Raises `InputError` for
    another ending, and as `phase_diagram` does.
    """
    check_ending(out)
    figure, cells = phase_diagram(table, x, y, colours, title=title), tabulate_phases(table, x, y, colours)
    if out.suffix != ".html":
        save_figure(figure, cells, out.with_suffix(""))
        return out
    with tempfile.TemporaryDirectory() as directory:
        untitled = phase_diagram(table, x, y, colours)
        svg = save_figure(untitled, cells, Path(directory) / "phases")[1].read_text(encoding="utf-8")
    recalling = int((table["associative_accuracy"] == 1.0).sum())
    text = (
        f"{len(table):,} runs, of which {recalling:,} recall every fact. "
        "A cell shows the mean over its runs after the last step; without a colour, all of them diverged."
    )
    page = PAGE.format(
        title=escape(title or "Phase diagram"),
        text=escape(text),
        picture=svg[svg.index("<svg") :],
        header="".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in cells.columns),
        rows="".join(
            "<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row) + "</tr>"
            for row in cells.rows()
        ),
        paper=LIGHT.paper,
        ink=LIGHT.ink,
        card=LIGHT.card,
        line=LIGHT.line,
        muted=LIGHT.muted,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, lambda partial: _write_text(partial, page))
    return out


def check_ending(out: Path) -> None:
    """Raise `InputError` unless a diagram can be written to a file of that name.

    >>> check_ending(Path("phase.html"))
    """
    if out.suffix not in (".html", ".svg", ".pdf"):
        raise InputError(f"out is {str(out)!r}; give a name that ends in .html, .svg or .pdf.")


def _cell(value: object) -> str:
    return format_number(value) if isinstance(value, float) else "–" if value is None else str(value)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
