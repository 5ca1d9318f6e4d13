"""`geomem paths`: path finding from options of world, model, task and training in one flat list."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from geomem.cli.console import open_console
from geomem.cli.options import (
    GraphFileOptions,
    OptionGroup,
    check_no_layout,
    first_line,
    option_values,
    parse_rest,
    print_notes,
    read_head,
    signature_options,
    with_choice,
)
from geomem.cli.own import OwnModuleOptions, chosen_model, continued_model, named_module
from geomem.cli.path_compare import print_comparison, read_comparison, write_figure
from geomem.cli.progress import HOURS, RunTable
from geomem.errors import InputError, unknown_name
from geomem.files import is_there
from geomem.models.configuration import Model, path_models
from geomem.runs.presets import PATH_PRESETS, find_preset, preset_model
from geomem.training.configuration import PathTraining
from geomem.worlds.catalogue import WORLDS, describe_world
from geomem.worlds.find import unknown_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.graphs.roots import find_root
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding

if TYPE_CHECKING:
    from geomem.runs.run import Run

IN_CONTEXT = "in-context"
"""The world whose path-stars stand in the prompts and not in the weights."""

USAGE = """Train models to name the path from a root to a leaf, with the edges held in their weights.

WORLD comes first: path-star, tree-star, or in-context (a fresh small path-star in every prompt). It may be
left out with --preset or --start. `geomem paths WORLD --help` shows a world's options. Presets:

"""


@dataclass(frozen=True)
class PathOptions:
    """How many runs, where they start from and go to, and what is said on the way."""

    model: str = "transformer"
    """The architecture; `geomem models` describes them."""
    module: str = ""
    """A module of your own instead, as in mine.py:factory; that file is executed."""
    preset: str = ""
    """Take world, model, task and training from a preset; other options given change it."""
    start: Path | None = None
    """Go on from the weights of this run directory, on the same world: edges first, then paths."""
    edges_first: int = 0
    """Train on edges only for this many epochs first; the main run starts from those weights."""
    intervene: tuple[str, ...] = ()
    """What else the training does, by names such as self-edges, dirichlet, muon, or values: dirichlet=7."""
    compare: str = ""
    """One option with several values, as in pauses=0,2,4: all are trained and shown side by side."""
    figure: Path | None = None
    """What is drawn, .svg or .pdf (both are written, with the data as .csv): accuracy over the epochs."""
    seeds: int | None = None
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


@dataclass(frozen=True, eq=False)
class PathJob:
    """What a command line asks for, ready for `find_paths`."""

    world: Graph | InContextPathFinding
    task: PathFinding | None
    model: Model
    training: PathTraining
    options: PathOptions
    start: "Run | None"

    @property
    def world_name(self) -> str:
        """The name of the graph, or `in-context`."""
        return self.world.name if isinstance(self.world, Graph) else IN_CONTEXT


@dataclass(frozen=True, eq=False)
class _Defaults:
    """What the options are where none is given: a preset's, a stored run's, or the headline's."""

    world: str
    """A built-in world, `in-context`, a file, or nothing: then the stored run's."""
    values: dict[str, Any]
    """Options of the world."""
    kind: str
    model: Model | OwnModuleOptions
    task: PathFinding
    training: PathTraining
    interventions: tuple[str, ...]
    start: "Run | None"


def run(arguments: Sequence[str]) -> int:
    """Train what the arguments ask for; print the run directories, then the figure, on standard output."""
    job = read_arguments(arguments)
    name, jobs = "", {"": job}
    if job.options.compare:
        name, values = read_comparison(job.options.compare, PathOptions)
        jobs = {value: read_arguments([*arguments, *given]) for value, given in values.items()}
    if job.options.figure:
        from geomem.figures.drawing import check_figure

        check_figure(job.options.figure)
    _check_jobs(list(jobs.values()))
    if isinstance(job.world, Graph) and not job.options.quiet:
        print_notes(job.world)
    fleets = {}
    for number, (value, own) in enumerate(jobs.items(), start=1):
        if name and not job.options.quiet:
            said = Text(f"{name} {value} ({number} of {len(jobs)})", style="bold")
            open_console(stderr=True).print(said)
        stages = fleets[value or own.world_name] = _train(own)
        print(stages[-1].path, flush=True)
    if name and not job.options.quiet:
        print_comparison(fleets, name)
    if job.options.figure:
        for path in write_figure(fleets, name, job.options.figure):
            print(path)
    return 0


def _check_jobs(jobs: list[PathJob]) -> None:
    """Raise `InputError` if anything that shows before training is wrong with one of them."""
    from geomem.runs.paths import path_job
    from geomem.runs.train import check_precision

    for job in jobs:
        if job.options.edges_first < 0:
            raise InputError(f"edges_first is {job.options.edges_first}; give a number of epochs, or 0.")
        if job.options.edges_first and (job.start or job.task is None):
            what = "the run of --start comes first already" if job.start else "prompts have no edges to train"
            raise InputError(f"edges_first is {job.options.edges_first}, but {what}; leave it out.")
        if job.options.edges_first and job.task and not job.task.path_weight:
            raise InputError(
                f"edges_first is {job.options.edges_first}, but path_weight is 0, so that no paths follow; "
                "leave one of the two out."
            )
        for stage in _stages(job):
            planned = path_job(
                job.world,
                model=job.model,
                task=stage.task,
                training=stage.training,
                seeds=job.options.seed_list or job.options.seeds,
                start=job.start,
                interventions=job.options.intervene,
            )
            check_precision(planned, job.options.device)


def _stages(job: PathJob) -> list[PathJob]:
    """The job, after its epochs of edges alone where it has such."""
    if not job.options.edges_first or job.task is None:
        return [job]
    edges = replace(job.task, path_weight=0.0, edge_weight=job.task.edge_weight or 1.0)
    return [replace(job, task=edges, training=replace(job.training, epochs=job.options.edges_first)), job]


def _train(job: PathJob) -> "list[Run]":
    """The fleets of the job's stages, one after the other."""
    from geomem.runs.paths import find_paths

    fleet, trained = job.start, []
    for stage in _stages(job):
        with RunTable(quiet=job.options.quiet, hours=job.options.hours) as table:
            fleet = find_paths(
                job.world,
                model=job.model,
                task=stage.task,
                training=stage.training,
                seeds=job.options.seed_list or job.options.seeds,
                directory=job.options.directory,
                device=job.options.device,
                start=fleet,
                interventions=job.options.intervene,
                on_progress=table.show,
            )
        trained.append(fleet)
    return trained


def read_arguments(arguments: Sequence[str]) -> PathJob:
    """World, task, model and training that are meant.

    Prints the help and exits with status 0 when asked for it. Raises `InputError` for anything that cannot
    be meant, as far as it shows before the task meets its world.

    >>> job = read_arguments(["path-star", "--arms", "50", "--epochs", "5"])
    >>> job.world.name, job.model.layers, job.training.epochs
    ('path-star-50-4-seed0', 2, 5)
    >>> read_arguments(["--preset", "paper-10000x6", "--model", "mamba", "--world-seed", "1"]).model.layers
    12
    """
    head = read_head(arguments, "world")
    named = {name: head.value(name) for name in ("preset", "start", "model")}
    defaults = _find_defaults(head.word, **named, module=named_module(head))
    world = defaults.world
    if not world and not defaults.start and not head.wants_help:
        raise InputError(
            "Give a world first, as in `geomem paths path-star`, or --preset, as in `geomem paths --preset "
            f"headline`; the presets are {', '.join(PATH_PRESETS)}."
        )
    options = parse_rest(
        head, _option_groups(defaults), verb="paths", word=world, description=_describe(world)
    )
    return PathJob(
        world=_make_world(defaults, getattr(options, "world", None) or options.file),
        task=getattr(options, "task", None),
        model=chosen_model(options.fleet.module, options.model),
        training=options.training,
        options=options.fleet,
        start=defaults.start,
    )


def _find_defaults(world: str, *, preset: str, start: str, model: str, module: str) -> _Defaults:
    """The defaults that the world, --preset, --start and --model or --module give."""
    if model and model not in path_models():
        raise unknown_name(
            f"{model!r} cannot find paths",
            model,
            path_models(),
            otherwise=f"give {' or '.join(path_models())}",
        )
    if world and world not in (*WORLDS, IN_CONTEXT) and not is_there(world):
        raise unknown_world(world)
    if preset and world not in ("", "path-star"):
        raise InputError(
            f"The preset {preset!r} is one of path-star and not of {world}; leave the world out."
        )
    settings = find_preset(preset or "headline")
    kind = model or PathOptions.model
    if module:
        configuration = OwnModuleOptions()
    else:
        configuration = (
            preset_model(preset, kind) if preset else settings.models.get(kind, path_models()[kind])
        )
    world = "path-star" if preset else world
    values: dict[str, Any] = (
        {"arms": settings.arms, "length": settings.length} if world == "path-star" else {}
    )
    stored = None
    if start:
        from geomem.runs.paths import stored_path_model
        from geomem.runs.run import holds_facts, read_run

        if holds_facts(start):
            raise InputError(f"{start} holds facts and no graph; start from a run of paths or edges.")
        stored = read_run(start)
        configuration = continued_model(start, stored_path_model(stored), module)
        task = stored.manifest["configuration"]["task"]
        if world in ("", IN_CONTEXT) and task.get("kind") == "in-context-path-finding":
            world, values = IN_CONTEXT, {name: value for name, value in task.items() if name != "kind"}
        kind = configuration.name if isinstance(configuration, Model) else kind
        if model not in ("", kind):
            raise InputError(f"The run {start} is of a {kind} and not of a {model}; leave --model out.")
    return _Defaults(
        *(world, values, kind, configuration),
        *(settings.task, settings.training, settings.interventions),
        stored,
    )


def _option_groups(defaults: _Defaults) -> list[OptionGroup]:
    """Name, dataclass, defaults and title of every group of options that apply."""
    model, world = defaults.model, defaults.world
    options = with_choice(PathOptions, "model", path_models())
    chosen = options(model=defaults.kind, intervene=defaults.interventions)
    groups: list[OptionGroup] = [
        ("fleet", options, chosen, "What is trained, and where it goes."),
        ("model", type(model), model, first_line(type(model))),
        ("task", PathFinding, defaults.task, first_line(PathFinding)),
        ("training", PathTraining, defaults.training, first_line(PathTraining)),
    ]
    if world == IN_CONTEXT:
        kind = InContextPathFinding
        groups = [group for group in groups if group[0] != "task"]
        groups.insert(1, ("world", kind, kind(**defaults.values), first_line(kind)))
    elif world in WORLDS:
        kind = signature_options(WORLDS[world])
        groups.insert(1, ("world", kind, kind(**defaults.values), f"Options of {world}."))
    else:
        groups.insert(1, ("file", GraphFileOptions, GraphFileOptions(), first_line(GraphFileOptions)))
    return groups


def _make_world(defaults: _Defaults, options: Any) -> Graph | InContextPathFinding:
    if isinstance(options, InContextPathFinding):
        return options
    if defaults.world in WORLDS:
        return WORLDS[defaults.world](**option_values(options))
    if defaults.world or defaults.start is None:
        return find_root(options.read(defaults.world))
    check_no_layout(options, defaults.start.graph.name)
    return defaults.start.graph


def _describe(world: str) -> str:
    if world == IN_CONTEXT:
        return first_line(InContextPathFinding)
    return describe_world(world) if world in WORLDS else USAGE + presets_text()


def presets_text() -> str:
    """The presets, one a line.

    >>> print(presets_text().partition(":")[0])
    headline
    """
    return "\n".join(f"{name}: {preset.about}" for name, preset in PATH_PRESETS.items())
