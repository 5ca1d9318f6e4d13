"""`geomem worlds`: the built-in graphs and tables of facts."""

from collections.abc import Sequence
from dataclasses import fields

from geomem.cli.listing import ListingOptions, print_listing
from geomem.cli.options import parse_options, signature_options
from geomem.worlds.catalogue import FACT_WORLDS, WORLDS, describe_world


def run(arguments: Sequence[str]) -> int:
    """Print every built-in graph, then every table of facts, with their options and defaults."""
    description = (
        "List the built-in graphs and tables of facts; any file of edges or triples is a world as well."
    )
    options = parse_options(ListingOptions, arguments, verb="worlds", description=description)
    entries = []
    for name, function in (WORLDS | FACT_WORLDS).items():
        defaults = signature_options(function)()
        entries.append(
            (
                name,
                describe_world(name),
                {entry.name: getattr(defaults, entry.name) for entry in fields(defaults)},
            )
        )
    print_listing(entries, json=options.json)
    return 0
