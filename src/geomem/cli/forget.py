"""`geomem forget`: one fact taken out of a memory that was written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from geomem.cli.facts import print_effect
from geomem.cli.options import parse_options
from geomem.construct import forget_fact

DESCRIPTION = """Take one fact out of one subject vector of a memory, and change nothing else.

`geomem ask` then says `no answer` to its question. A relation is meant literally: of several answers,
`borders` is the first and `borders (2)` the second. The effect on all other facts is measured and printed,
the memory written in its place, and the change kept in its manifest. Labels that start with a dash come
after `--`."""


@dataclass(frozen=True)
class ForgetOptions:
    """What is forgotten."""

    run: tyro.conf.Positional[Path]
    """The directory of a memory that `geomem construct` wrote."""
    subject: tyro.conf.Positional[str]
    """Whose vector changes."""
    relation: tyro.conf.Positional[str]
    """The question that has no answer any more."""


def run(arguments: Sequence[str]) -> int:
    """Forget the fact and print the effect."""
    options = parse_options(ForgetOptions, arguments, verb="forget", description=DESCRIPTION)
    print_effect(forget_fact(options.run, options.subject, options.relation))
    return 0
