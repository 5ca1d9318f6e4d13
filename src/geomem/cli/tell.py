"""`geomem tell`: a graph in sentences, shown, written or told to models."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import tyro

from geomem.cli.options import (
    GraphFileOptions,
    OptionGroup,
    first_line,
    option_values,
    parse_rest,
    print_notes,
    read_head,
    signature_options,
    with_choice,
)
from geomem.cli.progress import HOURS, RunTable
from geomem.errors import InputError
from geomem.fields import Count, Seeds, WholeNumber
from geomem.files import is_there, replace_file, text_file
from geomem.models.configuration import path_models
from geomem.training.configuration import PathTraining
from geomem.worlds.catalogue import WORLDS, describe_world
from geomem.worlds.find import unknown_world
from geomem.worlds.language.telling import Telling, Told, tell, tell_in

USAGE = """Tell models a graph in sentences and train them on these; every option below has a default.

WORLD comes first: a built-in world (`geomem worlds` lists them) or a file of edges. --show prints what would
be told. --templates is a TOML file with `sentences`, in which {subject} and {object} stand for names."""

MANY = 1000
"""Sentences that are shown at most."""


@dataclass(frozen=True)
class TellOptions:
    """What is told, to how many models, and where they go."""

    templates: str = ""
    """graph (any world), borders, or a TOML file; borders for europe and graph for others if not given."""
    told: Count = 4
    """How many of their sentences are told, the first ones."""
    held_out: Count = 2
    """How many are held out as paraphrases, the last ones."""
    show: WholeNumber = 0
    """Print so many of the texts, spread over all of them, and train nothing."""
    out: Path | None = None
    """Write all texts to this file, one per line, and train nothing."""
    model: str = "transformer"
    """The architecture; `geomem models` describes them."""
    intervene: tuple[str, ...] = ()
    """What else the training does, by names such as slow-network, muon, or values: network-rate=0.1."""
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
    config: Path | None = None
    """A TOML file with any of these options (and `world`), one per line; the command line overrides it."""
    quiet: bool = False
    """Show no progress; print only the run directory."""


@dataclass(frozen=True)
class TellingOptions(Telling):
    """How a graph is told."""

    # What comes from templates is no option.
    sentences: tyro.conf.Suppress[tuple[str, ...]] = ()
    paraphrases: tyro.conf.Suppress[tuple[str, ...]] = ()
    two_steps: tyro.conf.Suppress[tuple[str, ...]] = ()
    fillers: tyro.conf.Suppress[tuple[str, ...]] = ()
    ways: tyro.conf.Suppress[tuple[str, ...]] = ()


def run(arguments: Sequence[str]) -> int:
    """Show or write what is told, or train on it and print the run directory."""
    world, options = read_arguments(arguments)
    chosen = options.fleet
    graph = WORLDS[world](**option_values(options.world)) if world in WORLDS else options.file.read(world)
    if not chosen.quiet:
        print_notes(graph)
    given = [entry.name for entry in fields(Telling) if entry.name not in TellingOptions.__annotations__]
    settings = {name: getattr(options.task, name) for name in given}
    templates = chosen.templates or ("borders" if world == "europe" else "graph")
    task = tell_in(templates, told=chosen.told, held_out=chosen.held_out, **settings)
    if chosen.show or chosen.out:
        told = tell(graph, task)
        if chosen.out:
            lines = [told.read(text) for text in range(len(told.texts))]
            replace_file(chosen.out, text_file("\n".join(lines) + "\n"))
            print(chosen.out)
        show_texts(told, min(chosen.show, MANY))
        return 0

    from geomem.runs.sentences import tell_graph

    with RunTable(quiet=chosen.quiet, hours=chosen.hours) as table:
        fleet = tell_graph(
            graph,
            task=task,
            model=options.model,
            training=options.training,
            seeds=chosen.seed_list or chosen.seeds,
            interventions=chosen.intervene,
            directory=chosen.directory,
            device=chosen.device,
            on_progress=table.show,
        )
    print(fleet.path)
    return 0


def show_texts(told: Told, count: int) -> None:
    """Print some of the texts, and how they are cut into tokens."""
    if not count:
        return
    texts = len(told.texts)
    shown = sorted({number * texts // count for number in range(count)})
    for text in shown:
        print(told.read(text))
    name = max(told.name_tokens, key=len)
    pieces = "|".join(told.tokenizer.read([token]).strip() for token in name)
    print(
        f"\n{texts:,} texts of up to {told.texts.shape[1]} tokens, {told.vocabulary_size:,} different ones; "
        f"names of up to {len(name)}, as {pieces}."
    )


def read_arguments(arguments: Sequence[str]) -> tuple[str, Any]:
    """The world's name or path, and options by group: fleet, world or file, model, task, training.

    >>> world, options = read_arguments(["cycle", "--told", "2", "--tokens", "byte-pairs", "--epochs", "5"])
    >>> world, options.fleet.told, options.task.tokens, options.training.epochs
    ('cycle', 2, 'byte-pairs', 5)
    """
    from geomem.runs.sentences import default_telling

    head = read_head(arguments, "world")
    world, name = head.word, head.value("model", TellOptions.model)
    if not world and not head.wants_help:
        raise InputError(
            "Give a world first, as in `geomem tell europe`; `geomem worlds` lists the built-in ones."
        )
    if world and world not in WORLDS and not is_there(world):
        raise unknown_world(world)
    if name not in path_models():
        raise InputError(f"{name!r} reads no sentences; give one of {', '.join(path_models())}.")
    model, fleet = path_models()[name], with_choice(TellOptions, "model", path_models())
    groups: list[OptionGroup] = [
        ("fleet", fleet, fleet(model=name), "What is told, and to how many models."),
        ("model", type(model), model, first_line(type(model))),
        ("task", TellingOptions, TellingOptions(), first_line(TellingOptions)),
        ("training", PathTraining, default_telling(), "How it is trained; an epoch has every text once."),
    ]
    if world in WORLDS:
        kind = signature_options(WORLDS[world])
        groups.insert(1, ("world", kind, kind(), f"Options of {world}."))
    else:
        groups.insert(1, ("file", GraphFileOptions, GraphFileOptions(), first_line(GraphFileOptions)))
    description = describe_world(world) if world in WORLDS else USAGE
    return world, parse_rest(head, groups, verb="tell", word=world, description=description)
