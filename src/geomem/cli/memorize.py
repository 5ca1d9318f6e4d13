"""`geomem memorize`: the options of the world, the model, the task and the training in one flat list."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomem.cli.options import (
    GraphFileOptions,
    Head,
    OptionGroup,
    first_line,
    option_values,
    parse_rest,
    print_notes,
    read_head,
    signature_options,
    with_choice,
)
from geomem.cli.own import OwnModuleOptions, chosen_model, continued_model, named_module
from geomem.cli.progress import HOURS, RunTable
from geomem.errors import InputError
from geomem.fields import Seeds
from geomem.files import is_there
from geomem.models.configuration import MODELS, Model, find_architecture
from geomem.models.own import OwnModule
from geomem.runs.job import find_model
from geomem.runs.run import read_run
from geomem.training.configuration import Training, default_training
from geomem.worlds.catalogue import WORLDS, describe_world
from geomem.worlds.find import unknown_world
from geomem.worlds.tasks import EdgeMemorization

USAGE = """Train models to hold the edges of a graph; every option below has a default.

WORLD comes first: a built-in world (`geomem worlds` lists them, `geomem memorize WORLD --help` shows its
options) or a file of edges. --model chooses which model's options and published training setting apply."""


@dataclass(frozen=True)
class FleetOptions:
    """How many runs, where they go, and what is said on the way."""

    model: str = "transformer"
    """The architecture; `geomem models` describes them."""
    module: str = ""
    """A module of your own instead, as in mine.py:factory; that file is executed."""
    start: Path | None = None
    """Go on from the weights of this run directory, on the same world."""
    intervene: tuple[str, ...] = ()
    """What else the training does, by names such as self-edges, dirichlet, muon, or values: dirichlet=7."""
    seeds: Seeds | None = None
    """How many runs, with the seeds 0, 1, 2, ...; 3, or those of --start, if not given."""
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


def run(arguments: Sequence[str]) -> int:
    """Train what the arguments ask for; print the run directory on standard output."""
    world, options = read_arguments(arguments)
    if world in WORLDS:
        graph = WORLDS[world](**option_values(options.world))
    else:
        graph = options.file.read(world)
    if not options.fleet.quiet:
        print_notes(graph)

    from geomem.runs.edges import memorize

    with RunTable(quiet=options.fleet.quiet, hours=options.fleet.hours) as table:
        fleet = memorize(
            graph,
            model=chosen_model(options.fleet.module, options.model),
            task=options.task,
            training=options.training,
            seeds=options.fleet.seed_list or options.fleet.seeds,
            directory=options.fleet.directory,
            device=options.fleet.device,
            start=options.fleet.start,
            interventions=options.fleet.intervene,
            on_progress=table.show,
        )
    print(fleet.path)
    return 0


def read_arguments(arguments: Sequence[str]) -> tuple[str, Any]:
    """The world's name or path, and options by group: fleet, world or file, model, task, training.

    >>> world, options = read_arguments(["cycle", "--nodes", "6", "--model", "node2vec", "--width", "8"])
    >>> world, options.world, options.model.width, options.training.steps
    ('cycle', CycleOptions(nodes=6), 8, 10000)
    """
    head = read_head(arguments, "world")
    world = head.word
    if not world and not head.wants_help:
        raise InputError(
            "Give a world first, as in `geomem memorize path-star`; `geomem worlds` lists the built-in ones."
        )
    if world and world not in WORLDS and not is_there(world):
        raise unknown_world(world)
    groups = option_groups(world if world in WORLDS else None, _find_model(head))
    description = describe_world(world) if world in WORLDS else USAGE
    return world, parse_rest(head, groups, verb="memorize", word=world, description=description)


def _find_model(head: Head) -> Model | OwnModuleOptions:
    """What the options change: a module's own, the model of --start, or the default one of --model."""
    module, given, start = named_module(head), head.value("model"), head.value("start")
    if given:
        find_architecture(given)
    if module and not start:
        return OwnModuleOptions()
    if not start:
        return MODELS[given or FleetOptions.model]()
    stored = continued_model(start, read_run(start, holding="graph").model, module)
    if isinstance(stored, Model) and given not in ("", stored.name):
        raise InputError(f"The run {start} is of a {stored.name} and not of a {given}; leave --model out.")
    return stored


def option_groups(world: str | None, model: Model | OwnModuleOptions | str) -> list[OptionGroup]:
    """Name, dataclass, defaults and title of every group of options that one world and one model have."""
    kind = with_choice(FleetOptions, "model", MODELS)
    if isinstance(model, OwnModuleOptions):
        fleet, training, said = kind(), default_training(OwnModule()), "How it is trained."
    else:
        model = find_model(model)
        fleet, training = kind(model=model.name), default_training(model)
        said = f"The published setting of {model.name} is the default."
    groups: list[OptionGroup] = [
        ("fleet", kind, fleet, "What is trained, and where it goes."),
        ("model", type(model), model, first_line(type(model))),
        ("task", EdgeMemorization, EdgeMemorization(), first_line(EdgeMemorization)),
        ("training", Training, training, said),
    ]
    if world:
        kind = signature_options(WORLDS[world])
        groups.insert(1, ("world", kind, kind(), f"Options of {world}."))
    else:
        groups.insert(1, ("file", GraphFileOptions, GraphFileOptions(), first_line(GraphFileOptions)))
    return groups
