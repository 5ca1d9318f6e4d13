"""`geomem report`: runs into one HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from geomem.cli.options import parse_options
from geomem.errors import InputError


@dataclass(frozen=True)
class ReportOptions:
    """Which runs, and where the report goes."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run directories, as `geomem memorize` prints them."""
    out: Path = Path("report.html")
    """The HTML file that is written."""
    figures: Path | None = None
    """A directory for every picture as PDF and SVG, with its data as CSV."""


def run(arguments: Sequence[str]) -> int:
    """Write the report and print its path."""
    description = "Write runs into one HTML file that opens without a network, side by side."
    options = parse_options(ReportOptions, arguments, verb="report", description=description)
    if not options.runs:
        raise InputError("Give one run directory or more, as in `geomem report runs/* --out report.html`.")

    from geomem.report import write_report
    from geomem.store import read_fleet

    print(write_report([read_fleet(path) for path in options.runs], options.out, options.figures))
    return 0
