"""`geomem paths --compare NAME=V,V,...`: one option over several values, in a table and a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from geomem.cli.console import open_console
from geomem.errors import InputError

if TYPE_CHECKING:
    from geomem.runs.run import Run

COLUMNS = {
    "first hop": "held_out.first_hop",
    "whole path": "held_out.exact_match",
    "edges": "edge_recall",
    "retrieval": "retrieval",
}
"""Titles of the table's numbers, with the metric that each shows."""

COMPARED_OF_FLEET = ("model", "edges-first")
"""Options that are not of the world, the model, the task or the training, and still can be compared."""


def read_comparison(text: str, fleet_options: type) -> tuple[str, dict[str, list[str]]]:
    """The option that is compared and, by value, the arguments that set it.

    Raises `InputError` unless the text is an option's name, `=`, and two values or more, each once.

    >>> from geomem.cli.paths import PathOptions
    >>> read_comparison("pauses=0,4", PathOptions)
    ('pauses', {'0': ['--pauses=0'], '4': ['--pauses=4']})
    >>> read_comparison("tied=true,false", PathOptions)[1]["false"]
    ['--no-tied']
    """
    name, equals, given = text.partition("=")
    name = name.strip().removeprefix("--").replace("_", "-")
    values = [value.strip() for value in given.split(",")]
    if not name or not equals or len(values) < 2 or not all(values):
        raise InputError(
            f"compare is {text!r}; give an option and at least two values, as in --compare pauses=0,2,4."
        )
    if len(set(values)) < len(values):
        raise InputError(f"compare is {text!r}; give each value once.")
    of_fleet = {entry.name.replace("_", "-") for entry in fields(fleet_options)} - set(COMPARED_OF_FLEET)
    if name in of_fleet:
        raise InputError(
            f"compare is {text!r}, but all that is compared has the same {name}; "
            "give an option of the world, the model, the task or the training."
        )
    on, off = [f"--{name}"], [f"--no-{name}"]
    switches = {"true": on, "yes": on, "on": on, "false": off, "no": off, "off": off}
    return name, {value: switches.get(value.lower(), [f"--{name}={value}"]) for value in values}


def print_comparison(fleets: Mapping[str, "Sequence[Run]"], name: str) -> None:
    """Means and range over the seeds after the last epoch, one row per value, on standard error.

    The fleets of a value are the stages of its training, `epochs` is the number of all of them.
    """
    from geomem.figures.path_tables import last_rows, tabulate_paths

    last = last_rows(tabulate_paths(fleets))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in (name, "epochs", *COLUMNS):
        table.add_column(title, justify="left" if title == name else "right")
    for setting in fleets:
        own = {row["metric"]: row for row in last.filter(setting=setting).iter_rows(named=True)}
        cells = [setting, f"{own['loss']['epoch']:.0f}"]
        cells += [_interval(own.get(metric)) for metric in COLUMNS.values()]
        table.add_row(*map(Text, cells))
    # Without a terminal rich would squeeze the table into 80 columns.
    console = open_console(stderr=True)
    if not console.is_terminal:
        console.width = 120
    console.print(table)


def _interval(row: Mapping[str, Any] | None) -> str:
    if row is None or row["mean"] is None:
        return "-"
    if row["runs"] == 1:
        return f"{row['mean']:.2f}"
    return f"{row['mean']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def write_figure(fleets: Mapping[str, "Sequence[Run]"], name: str, path: Path) -> Sequence[Path]:
    """The figure of one training, or of several by value of an option, as PDF and SVG with its data as CSV.

    The fleets of each are the stages of its training. Raises `InputError` if the files cannot be written.
    """
    from geomem.figures.drawing import save_figure
    from geomem.figures.path_drawing import draw_path_run, draw_settings
    from geomem.figures.path_tables import tabulate_paths

    table = tabulate_paths(fleets)
    figure = draw_settings(table, title=name) if name else draw_path_run(table)
    return save_figure(figure, table, path.with_suffix(""))
