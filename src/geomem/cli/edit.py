"""`geomem edit`: another answer to one question of a memory that was written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from geomem.cli.facts import print_effect
from geomem.cli.options import parse_options
from geomem.construct import edit_fact

DESCRIPTION = """Give a question another answer by changing one subject vector of a memory, and nothing else.

The new object must be one that the memory knows. A relation is meant literally: of several answers,
`borders` is the first and `borders (2)` the second. The effect on all other facts is measured and printed,
the memory written in its place, and the edit kept in its manifest. Labels that start with a dash come
after `--`."""


@dataclass(frozen=True)
class EditOptions:
    """What is changed."""

    run: tyro.conf.Positional[Path]
    """The directory of a memory that `geomem construct` wrote."""
    subject: tyro.conf.Positional[str]
    """Whose vector changes."""
    relation: tyro.conf.Positional[str]
    """The question that is answered otherwise."""
    new_object: tyro.conf.Positional[str]
    """The new answer."""


def run(arguments: Sequence[str]) -> int:
    """Edit the memory and print the effect."""
    options = parse_options(EditOptions, arguments, verb="edit", description=DESCRIPTION)
    print_effect(edit_fact(options.run, options.subject, options.relation, options.new_object))
    return 0
