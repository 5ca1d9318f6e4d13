"""`geomem worlds`: the built-in graphs."""

from collections.abc import Sequence
from dataclasses import fields

from geomem.cli.listing import ListingOptions, print_listing
from geomem.cli.options import parse_options, signature_options
from geomem.worlds.catalogue import WORLDS, describe_world


def run(arguments: Sequence[str]) -> int:
    """Print every built-in graph with its options and their defaults."""
    description = "List the built-in graphs; any file of edges is a world as well."
    options = parse_options(ListingOptions, arguments, verb="worlds", description=description)
    entries = []
    for name, function in WORLDS.items():
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
