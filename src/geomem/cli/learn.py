"""`geomem learn`: a recall model or your own module trained on facts, with all options in one flat list."""

from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from geomem.cli.facts import FactFileOptions
from geomem.cli.options import (
    OptionGroup,
    check_no_layout,
    first_line,
    option_values,
    parse_rest,
    print_notes,
    read_head,
    signature_options,
)
from geomem.cli.own import OwnFactOptions, execute, named_module
from geomem.cli.progress import HOURS, RunTable, count_of, describe_fact_model
from geomem.errors import InputError
from geomem.fields import Seeds
from geomem.files import is_there
from geomem.models.configuration import Recall
from geomem.models.own import OwnModule
from geomem.training.configuration import RecallTraining
from geomem.worlds.catalogue import FACT_WORLDS, describe_world
from geomem.worlds.facts.several_answers import numbered_relations
from geomem.worlds.facts.table import FactTable
from geomem.worlds.find import find_facts, unknown_facts

if TYPE_CHECKING:
    from geomem.runs.run import Run

USAGE = """Train models to answer every fact of a table; every option below has a default.

FACTS comes first: a file with one fact per line (subject, relation, object, separated by tabs, commas or
semicolons), or a built-in table (`geomem worlds` lists them, `geomem learn FACTS --help` shows its options).
The last line printed is the directory, for `geomem ask` and `geomem measure`."""


@dataclass(frozen=True)
class LearnOptions:
    """How many runs, where they go, and what is said on the way."""

    module: str = ""
    """A module of your own instead of the recall model, as in mine.py:factory; that file is executed."""
    seeds: Seeds = 3
    """How many runs, with the seeds 0, 1, 2, ..."""
    seed_list: tuple[int, ...] = ()
    """The seeds, instead of their number."""
    directory: Path = Path("runs")
    """Where run directories are written."""
    device: str = "cpu"
    """cpu, cuda, or cuda:1."""
    hours: float = HOURS
    """Begin nothing that would take longer."""
    several: bool = False
    """Allow several answers to a question of a file: a model learns them as `borders`, `borders (2)`, ..."""
    config: Path | None = None
    """A TOML file with any of these options (and `facts`), one per line; the command line overrides it."""
    quiet: bool = False
    """Show no progress; print only the run directory."""


def _chosen(name: str, text: str) -> tuple[str, Any, Any]:
    return name, Annotated[int | None, tyro.conf.arg(help=text)], field(default=None)


ModelOptions: Any = make_dataclass(
    "ModelOptions",
    [
        _chosen("width", "Numbers in a vector; if not given, 8 or as many as leave half of what fits free."),
        _chosen("mlp_width", "Neurons of the MLP in every block, 0 for none; four per number if not given."),
    ],
    bases=(Recall,),
    frozen=True,
)
"""The fields of `Recall`, with sizes that may be left open until the facts are known."""


def run(arguments: Sequence[str]) -> int:
    """Train what the arguments ask for; print what is recalled, then the run directory."""
    facts, options = read_arguments(arguments)
    if facts in FACT_WORLDS:
        check_no_layout(options.file, facts)
        table = FACT_WORLDS[facts](**option_values(options.facts))
    else:
        table = find_facts(facts, several=options.memory.several, layout=options.file.layout)
        table = numbered_relations(table)
    if not options.memory.quiet:
        print_notes(table)

    from geomem.runs.facts import learn_facts

    with RunTable(quiet=options.memory.quiet, hours=options.memory.hours) as progress:
        memory = learn_facts(
            table,
            model=choose_model(options.model, table, options.memory.module),
            hops=options.model.hops,
            training=options.training,
            seeds=options.memory.seed_list or options.memory.seeds,
            directory=options.memory.directory,
            device=options.memory.device,
            on_progress=progress.show,
        )
    if not options.memory.quiet:
        print(describe_learned(memory))
    print(memory.path)
    return 0


def choose_model(options: Any, table: FactTable, module: str = "") -> Recall | OwnModule:
    """The model that the options mean for a table: what they leave open follows from its facts.

    A module of a file is executed.

    >>> choose_model(ModelOptions(width=6), find_facts("countries")).mlp_width
    24
    """
    from geomem.runs.facts import default_recall_model

    if module:
        return execute(module, options.embedding)
    values = option_values(options)
    width, mlp_width = values.pop("width"), values.pop("mlp_width")
    settings = Recall(**values)
    if width is None:
        return default_recall_model(table, settings=settings, mlp_width=mlp_width)
    return Recall(**values, width=width, mlp_width=4 * width if mlp_width is None else mlp_width)


def describe_learned(memory: "Run") -> str:
    """How much the runs recall at their last step, and of what size they are, in one line."""
    from geomem.runs.facts import question_answers

    recall = memory.final()["recall"]
    hops = memory.model.hops
    asked = f"{(question_answers(memory.table, hops) >= 0).sum():,} "
    asked += "facts" if hops == 1 else f"chains of {hops} relations"
    # Rounded down: 100 % is all of them.
    return (
        f"recall {floor(1000 * recall.mean()) / 10:g} % of {asked}, all of them in {(recall == 1).sum()} of "
        f"{count_of(len(recall), 'run')}, {describe_fact_model(memory.model)}"
    )


def read_arguments(arguments: Sequence[str]) -> tuple[str, Any]:
    """The facts' name or path, and options by group: memory, facts (of built-in tables), model, training.

    >>> facts, options = read_arguments(["random-bijections", "--subjects", "8", "--steps", "300"])
    >>> facts, options.facts.subjects, options.training.steps, options.model.width
    ('random-bijections', 8, 300, None)
    """
    head = read_head(arguments, "facts")
    facts = head.word
    if not facts and not head.wants_help:
        raise InputError(
            "Give facts first, as in `geomem learn facts.tsv`; `geomem worlds` lists the built-in tables."
        )
    if facts and facts not in FACT_WORLDS and not is_there(facts):
        raise unknown_facts(facts)
    groups = option_groups(facts if facts in FACT_WORLDS else None, module=named_module(head))
    description = describe_world(facts) if facts in FACT_WORLDS else USAGE
    return facts, parse_rest(head, groups, verb="learn", word=facts, description=description)


def option_groups(facts: str | None, *, module: str = "") -> list[OptionGroup]:
    """Name, dataclass, defaults and title of every group of options that a table and its model have."""
    kind = OwnFactOptions if module else ModelOptions
    groups: list[OptionGroup] = [
        ("memory", LearnOptions, LearnOptions(), "What is trained, and where it goes."),
        ("file", FactFileOptions, FactFileOptions(), first_line(FactFileOptions)),
        ("model", kind, kind(), first_line(OwnFactOptions if module else Recall)),
        ("training", RecallTraining, RecallTraining(), first_line(RecallTraining)),
    ]
    if facts:
        kind = signature_options(FACT_WORLDS[facts])
        groups.insert(1, ("facts", kind, kind(), f"Options of {facts}."))
    return groups
