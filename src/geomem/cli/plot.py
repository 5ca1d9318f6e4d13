"""`geomem plot`: the common pictures of a table of runs, each with its data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from geomem.cli.options import parse_options
from geomem.errors import InputError

if TYPE_CHECKING:
    import polars as pl

DESCRIPTION = """Draw a sweep, some run directories, or a table that `geomem table` wrote.

phases: a map over two settings, a panel for every colour, hatched where fewer than half of the runs recall
everything. curves: a measurement over a setting, means over runs with a band from the lowest to the highest,
one curve for every value of --by. points: one number against another, a point per run, coloured by --by."""


@dataclass(frozen=True)
class PlotOptions:
    """What is drawn of what."""

    sources: tyro.conf.Positional[tuple[Path, ...]]
    """A table (.parquet or .csv), or directories of sweeps and runs."""
    view: Literal["phases", "curves", "points"] = "phases"
    """The picture."""
    x: str = ""
    """The column across: the first setting that varies unless named."""
    y: str = ""
    """The column upwards: of phases the second such setting, else what says how much is recalled."""
    by: str = ""
    """Curves and points: the setting that tells the colours apart."""
    colours: tuple[str, ...] = ()
    """Phases: the measurements that are shown, one panel each."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("plot.svg")
    """An .svg or .pdf (both are written, with the data as .csv), or of phases an .html page."""


def run(arguments: Sequence[str]) -> int:
    """Draw the picture and print its path."""
    options = parse_options(PlotOptions, arguments, verb="plot", description=DESCRIPTION)
    if not options.sources:
        raise InputError("Give a table, a sweep or a run directory, as in `geomem plot table.parquet`.")
    if options.view == "phases" and options.by:
        raise InputError("--by is about curves and points; leave it out, or give another --view.")
    if options.view != "phases" and options.colours:
        raise InputError("--colours is about phases; leave it out, or give --y.")

    from geomem.figures.drawing import check_figure, save_figure
    from geomem.figures.field_drawing import draw_fields, draw_points, tabulate_fields, tabulate_points
    from geomem.figures.phases import usual_colours
    from geomem.report.diagram import check_diagram, write_diagram
    from geomem.sweep.table import TABLES, open_table, tabulate

    check = check_diagram if options.view == "phases" else check_figure
    check(options.out)
    first = options.sources[0]
    is_table = first.suffix in TABLES and not first.is_dir()
    if is_table and len(options.sources) > 1:
        raise InputError("Several tables are given; give one, or the directories that they were made of.")
    table = open_table(first) if is_table else tabulate(options.sources)
    x, y, by = _find_columns(table, options)
    if options.view == "phases":
        colours = tuple(name.replace("-", "_") for name in options.colours) or usual_colours(table)
        # Runs of another task have no such columns.
        table = table.drop_nulls([name for name in (x, y, *colours) if name in table.columns])
        print(write_diagram(table, x, y, options.out, colours=colours))
        return 0
    curves = options.view == "curves"
    draw, cut = (draw_fields, tabulate_fields) if curves else (draw_points, tabulate_points)
    save_figure(draw(table, x, y, by), cut(table, x, y, by), options.out.with_suffix(""))
    print(options.out)
    return 0


def _find_columns(table: "pl.DataFrame", options: PlotOptions) -> tuple[str, str, str]:
    """The columns across and upwards, and that of the colours."""
    from geomem.sweep.table import measurements_in, varied_settings
    from geomem.training.metrics import WHOLE

    x, y, by = (name.replace("-", "_") for name in (options.x, options.y, options.by))
    varied = [name for name in varied_settings(table) if name not in (x, y, by)]
    numbers = [name for name in varied if table[name].dtype.is_numeric()]
    if options.view == "phases":
        x = x or (varied.pop(0) if varied else "")
        y = y or (varied.pop(0) if varied else "")
    else:
        measured = measurements_in(table)
        whole = [name for name in WHOLE if name in measured and table[name].null_count() < len(table)]
        x = x or next(iter(numbers), "")
        y = y or next(iter(whole or measured), "")
    if not x or not y:
        raise InputError(
            "There are not enough settings that vary to draw this; name columns with --x and --y."
        )
    return x, y, by
