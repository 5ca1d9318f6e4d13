"""`geomem forget`: one fact taken out of a memory that was written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from geomem.cli.facts import print_effect
from geomem.cli.options import parse_options
from geomem.memories.edit import forget_fact

DESCRIPTION = """Take one fact out of the vector of a memory that holds it, and change nothing else.

A question with one answer then has `no answer`. Where it has several, OBJECT names the one that goes, and
--every takes all. A relation is meant literally: `borders (2)` is another than `borders`. The effect on all
other facts is measured and printed, the memory written in its place, and the change kept in its manifest.
Labels that start with a dash come after `--`."""


@dataclass(frozen=True)
class ForgetOptions:
    """The fact to forget."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MEMORY")]
    """The directory of a memory that `geomem construct` wrote."""
    subject: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SUBJECT")]
    """The subject whose vector changes."""
    relation: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RELATION")]
    """The relation that loses an answer."""
    object: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="OBJECT")] = None
    """The answer to forget, if there are several."""
    every: bool = False
    """Forget all answers to the question."""


def run(arguments: Sequence[str]) -> int:
    """Forget the fact and print the effect."""
    options = parse_options(ForgetOptions, arguments, verb="forget", description=DESCRIPTION)
    effect = forget_fact(options.run, options.subject, options.relation, options.object, every=options.every)
    print_effect(effect)
    return 0
