"""`geomem edit`: another answer to one question of a memory that was written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from geomem.cli.facts import print_effect
from geomem.cli.options import parse_options
from geomem.memories.edit import edit_fact

DESCRIPTION = """Give a question another answer by changing one vector of a memory, and nothing else.

The new object must be one that the memory knows. Where a question has several answers, --instead-of names the
one that is replaced, and --also keeps all and adds the new one. A relation is meant literally: `borders (2)`
is another than `borders`. The effect on all other facts is measured and printed, the memory written in its
place, and the edit kept in its manifest. Labels that start with a dash come after `--`."""


@dataclass(frozen=True)
class EditOptions:
    """The change."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MEMORY")]
    """The directory of a memory that `geomem construct` wrote."""
    subject: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SUBJECT")]
    """The subject whose vector changes."""
    relation: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RELATION")]
    """The relation whose answer changes."""
    new_object: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="OBJECT")]
    """The new answer."""
    instead_of: str | None = None
    """The answer to replace, if there are several."""
    also: bool = False
    """Keep all answers and add the new one."""


def run(arguments: Sequence[str]) -> int:
    """Edit the memory and print the effect."""
    options = parse_options(EditOptions, arguments, verb="edit", description=DESCRIPTION)
    effect = edit_fact(
        options.run,
        options.subject,
        options.relation,
        options.new_object,
        instead_of=options.instead_of,
        also=options.also,
    )
    print_effect(effect)
    return 0
