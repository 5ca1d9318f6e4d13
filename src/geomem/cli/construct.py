"""`geomem construct`: facts become a memory in closed form; torch is not imported."""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from geomem.cli.facts import FactFileOptions
from geomem.cli.options import (
    OptionGroup,
    check_no_layout,
    first_line,
    option_values,
    parse_groups,
    print_note,
    print_notes,
    signature_options,
)
from geomem.cli.progress import LINE_SECONDS, count_of, format_seconds
from geomem.constructions.one_hop import NUMBERS_LIMIT
from geomem.errors import InputError
from geomem.memories.construct import Asking, Code, construct_memory
from geomem.runs.directory import format_bytes
from geomem.runs.run import Run
from geomem.worlds.catalogue import FACT_WORLDS, describe_world
from geomem.worlds.find import find_facts

USAGE = """Write a memory of facts down in closed form, and ask it every fact before it is kept.

FACTS comes first: a file with one fact per line (subject, relation, object, separated by tabs, commas or
semicolons), or a built-in table (`geomem worlds` lists them, `geomem construct FACTS --help` shows its
options). The last line printed is the directory, for `geomem ask`, `edit` and `forget`."""


@dataclass(frozen=True, kw_only=True)
class ConstructOptions:
    """How to write the memory, and where."""

    out: Path
    """The directory to write."""
    width: int | None = None
    """Largest width of a vector; the smallest sufficient if not given. Longer codes have a wider margin."""
    code: Code = "binary"
    """One vector per object: binary words, random signs, random directions, or points of a circle."""
    seed: int = 0
    """Seed of the codes signs and sphere."""
    several: bool = False
    """Allow several answers to a question of a file: each further one is kept in a cell of its subject."""
    numbers_limit: int = NUMBERS_LIMIT
    """Largest number of weights; a larger memory is refused before anything is allocated."""


def run(arguments: Sequence[str]) -> int:
    """Write the memory the arguments ask for; print what it recalls, then its directory."""
    facts, options = read_arguments(arguments)
    if facts in FACT_WORLDS:
        check_no_layout(options.file, facts)
        table = FACT_WORLDS[facts](**option_values(options.facts))
    else:
        table = find_facts(facts, several=options.memory.several, layout=options.file.layout)
    print_notes(table)
    memory = construct_memory(
        table,
        options.memory.out,
        width=options.memory.width,
        code=options.memory.code,
        seed=options.memory.seed,
        numbers_limit=options.memory.numbers_limit,
        on_progress=_Lines().show,
    )
    print(describe_recalled(memory))
    print(memory.path)
    return 0


class _Lines:
    """What is said of a construction that takes long: what it will take, then how far it is."""

    def __init__(self) -> None:
        self.began = self.written = monotonic()

    def show(self, asking: Asking) -> None:
        """Write a line, if it is time for one."""
        if asking.seconds < LINE_SECONDS:
            return
        passed = monotonic() - self.began
        if not asking.asked:
            took = f"{format_seconds(asking.seconds)}, {format_bytes(asking.memory_bytes)} memory"
            print_note(f"{asking.questions:,} questions are asked before the memory is kept: about {took}")
        elif monotonic() - self.written > LINE_SECONDS and asking.asked < asking.questions:
            left = passed * (asking.questions / asking.asked - 1)
            self.written = monotonic()
            print_note(f"{asking.asked:,} of {asking.questions:,} asked, {format_seconds(left)} left")


def describe_recalled(memory: Run) -> str:
    """What was recalled and what it took, in one line."""
    said, training = memory.manifest["recalled"], memory.manifest["configuration"]["training"]
    cells = sum(memory.cell_counts)
    further = f", {count_of(cells, 'further answer')} in cells" if cells else ""
    return (
        f"recall {100 * said['recall']:.0f} % of {said['facts']:,} facts, margin {said['margin']:.3g}, "
        f"width {memory.model.width:,}, {training['fact_bits']:,} bits for facts of "
        f"{said['entropy_bits']:,.0f} bits{further}"
    )


def read_arguments(arguments: Sequence[str]) -> tuple[str, Any]:
    """The facts' name or path, and options by group: memory, and facts for a built-in table.

    >>> facts, options = read_arguments(["random-bijections", "--subjects", "8", "--out", "memory"])
    >>> facts, options.facts.subjects, options.memory.out.name
    ('random-bijections', 8, 'memory')
    """
    arguments = list(arguments)
    facts = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    if facts is None and not any(argument in ("-h", "--help") for argument in arguments):
        raise InputError(
            "Give facts first, as in `geomem construct facts.tsv --out memory`; "
            "`geomem worlds` lists the built-in tables."
        )
    groups: list[OptionGroup] = [
        ("memory", ConstructOptions, MISSING, "How to write the memory, and where."),
        ("file", FactFileOptions, FactFileOptions(), first_line(FactFileOptions)),
    ]
    if facts in FACT_WORLDS:
        kind = signature_options(FACT_WORLDS[facts])
        groups.append(("facts", kind, kind(), f"Options of {facts}."))
    options = parse_groups(
        groups,
        arguments,
        verb=f"construct {facts or 'FACTS'}",
        description=describe_world(facts) if facts in FACT_WORLDS else USAGE,
    )
    return facts or "", options
