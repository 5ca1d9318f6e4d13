"""`geomem report`: runs, or memories of facts, into one HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from geomem.cli.options import parse_options
from geomem.errors import InputError

DESCRIPTION = """Write runs into one HTML file that opens without a network, side by side.

Memories of facts have a page of their own: what `geomem measure` prints of them, as pictures over the
dimensions to spare (several widths make curves), and each memory taken apart. That measures them anew: about
a minute per run at 1,000 subjects."""


@dataclass(frozen=True)
class ReportOptions:
    """Which runs, and where the report goes."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run directories, as `geomem memorize` prints them; or memories, as `geomem learn` does."""
    out: Path = Path("report.html")
    """The HTML file that is written."""
    figures: Path | None = None
    """A directory for every picture as PDF and SVG, with its data as CSV."""


def run(arguments: Sequence[str]) -> int:
    """Write the report and print its path."""
    options = parse_options(ReportOptions, arguments, verb="report", description=DESCRIPTION)
    if not options.runs:
        raise InputError("Give one run directory or more, as in `geomem report runs/* --out report.html`.")

    from geomem.report import write_memory_report, write_report
    from geomem.runs.run import holds_facts, read_run

    facts = [path for path in options.runs if holds_facts(path)]
    if 0 < len(facts) < len(options.runs):
        raise InputError(
            f"{facts[0]} holds facts, another run a graph; give memories of facts and runs of graphs to "
            "two reports."
        )
    if facts:
        print(write_memory_report([read_run(path) for path in facts], options.out, options.figures))
        return 0
    print(write_report([read_run(path) for path in options.runs], options.out, options.figures))
    return 0
