"""`geomem demo`: one small graph stored as a lookup table and as a geometry, and a map from borders alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from geomem.cli.options import parse_options
from geomem.cli.progress import RunTable, format_seconds
from geomem.fields import Seeds
from geomem.files import check_place
from geomem.worlds.graphs.atlas import europe
from geomem.worlds.graphs.families import path_star
from geomem.worlds.tasks import EdgeMemorization

DESCRIPTION = """Store one small graph in five ways and write the report, in under a minute.

A path-star of 4 arms and 17 nodes goes into a lookup table (the associative control), Node2Vec, a
Transformer, and a Transformer that is asked for every node itself as well; the borders of Europe go into
Node2Vec."""


@dataclass(frozen=True)
class DemoOptions:
    """Where the demo puts what it makes."""

    directory: Path = Path("runs")
    """Where run directories are made; runs that are there already are not trained again."""
    out: Path = Path("report.html")
    """The HTML file that is written."""
    seeds: Seeds = 3
    """How many runs of each model."""
    quiet: bool = False
    """Show no progress."""


def run(arguments: Sequence[str]) -> int:
    """Train the demo's fleets, write the report and print its path."""
    options = parse_options(DemoOptions, arguments, verb="demo", description=DESCRIPTION)
    check_place(options.out)
    began = monotonic()

    from geomem.report import write_report
    from geomem.runs.edges import memorize

    star, self_edges = path_star(arms=4, length=5), EdgeMemorization(self_edges=True)
    wanted = (
        (star, "associative", EdgeMemorization()),
        (star, "node2vec", EdgeMemorization()),
        (star, "transformer", EdgeMemorization()),
        (star, "transformer", self_edges),
        (europe(), "node2vec", EdgeMemorization()),
    )
    with RunTable(quiet=options.quiet) as table:
        fleets = [
            memorize(
                graph,
                model=model,
                task=task,
                seeds=options.seeds,
                directory=options.directory,
                on_progress=table.show,
            )
            for graph, model, task in wanted
        ]
        table.say(f"measuring {len(fleets)} fleets and writing the report")
        path = write_report(fleets, options.out)
    table.say(f"done in {format_seconds(monotonic() - began)}; open the report in a browser:")
    print(path)
    return 0
