"""`geomem forget`: one fact taken out of a memory that was written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from geomem.cli.facts import print_effect
from geomem.cli.options import parse_options
from geomem.construct import forget_fact

DESCRIPTION = """Take one fact out of one subject vector of a memory, and change nothing else.

Its question then has `no answer`. A relation is meant literally: of several answers, that of `borders` is
the first and that of `borders (2)` the second. The effect on all other facts is measured and printed, the
memory written in its place, and the change kept in its manifest. Labels that start with a dash come
after `--`."""


@dataclass(frozen=True)
class ForgetOptions:
    """What is forgotten."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MEMORY")]
    """The directory of a memory that `geomem construct` wrote."""
    subject: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SUBJECT")]
    """Whose vector changes."""
    relation: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RELATION")]
    """The question that has no answer any more."""


def run(arguments: Sequence[str]) -> int:
    """Forget the fact and print the effect."""
    options = parse_options(ForgetOptions, arguments, verb="forget", description=DESCRIPTION)
    print_effect(forget_fact(options.run, options.subject, options.relation))
    return 0
