"""`geomem models`: the architectures."""

from collections.abc import Sequence
from dataclasses import asdict

from geomem.cli.listing import ListingOptions, print_listing
from geomem.cli.options import parse_options
from geomem.models.configuration import MODELS


def run(arguments: Sequence[str]) -> int:
    """Print every architecture with its options and their defaults."""
    description = (
        "List the architectures; `geomem memorize WORLD --model MODEL --help` explains a model's options."
    )
    options = parse_options(ListingOptions, arguments, verb="models", description=description)
    entries = [
        (name, (kind.__doc__ or "").partition("\n")[0], asdict(kind())) for name, kind in MODELS.items()
    ]
    print_listing(entries, json=options.json)
    return 0
