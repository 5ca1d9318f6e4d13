"""`geomem ask`: a question, or a chain of them, answered by the weights of a memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from geomem.cli.facts import NO_ANSWER, SEPARATOR
from geomem.cli.options import parse_options
from geomem.cli.own import execute
from geomem.memories.ask import ask
from geomem.memories.opened import open_memory

DESCRIPTION = """Ask a memory of facts, one that was written down or a trained one.

Several relations are a chain: the answers to one are the subjects of the next, and what was answered on
the way is printed first. A question with several answers gives all of them, and a chain follows each; so does
a relation whose further answers are `borders (2)` and so on. The last line holds the answers, separated by
tabs; or `no answer`, and the exit status is then 1. Labels that start with a dash come after `--`."""

NO_ANSWER_STATUS = 1
"""Exit status when there is no answer, as grep has it."""


@dataclass(frozen=True)
class AskOptions:
    """The question."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MEMORY")]
    """The directory of the memory."""
    subject: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SUBJECT")]
    """The subject of the question."""
    relations: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RELATION ...")]
    """One relation, or a chain of them."""
    seed: int | None = None
    """Which run of a trained memory is asked; the first if not given."""
    module: str = ""
    """The file and function of a memory that a module of your own learned, which is then executed."""


def run(arguments: Sequence[str]) -> int:
    """Print every step of a chain, then the answers."""
    options = parse_options(AskOptions, arguments, verb="ask", description=DESCRIPTION)
    if options.module:
        execute(options.module)
    asked = ask(open_memory(options.run, seed=options.seed), options.subject, *options.relations)
    if len(options.relations) > 1:
        for step in asked.steps:
            said = "; ".join(step.answers) or NO_ANSWER
            print(f"{step.subject}, {step.relation}: {said}")
    print(SEPARATOR.join(asked.answers) or NO_ANSWER)
    return 0 if asked.answers else NO_ANSWER_STATUS
