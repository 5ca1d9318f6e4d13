"""`geomem sweep`: grids of configurations, of a command line or a study file, trained as fleets and drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from math import inf, isfinite
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import tyro
from rich.console import Console
from rich.table import Table

from geomem.cli.engine import EngineOptions
from geomem.cli.memorize import option_groups
from geomem.cli.options import (
    Head,
    check_no_layout,
    first_line,
    option_names,
    parse_groups,
    print_note,
    print_notes,
    refuse_file_options,
    with_choice,
)
from geomem.cli.own import OwnModuleOptions, chosen_model, named_module
from geomem.cli.progress import HOURS, LiveTable, count_of, format_seconds
from geomem.errors import InputError, unknown_name
from geomem.fields import Seeds
from geomem.files import is_there
from geomem.models.configuration import MODELS, find_architecture
from geomem.runs.directory import format_bytes
from geomem.worlds.catalogue import WORLDS
from geomem.worlds.find import find_world, unknown_world

if TYPE_CHECKING:
    from geomem.sweep import Block, SweepProgress

STUDY_FILES = (".toml", ".py")
"""Endings of study files."""

USAGE = """Train one run per cell of a grid, measure them all and draw a phase diagram.

WORLDS come first: one or more built-in worlds (`geomem worlds`) or files of edges. An axis is given as
--over NAME=LOW:HIGH:COUNT (linear), NAME=LOW:HIGH:COUNT:log, or NAME=A,B,C, for learning-rate,
weight-decay, scale (of the initial weights), or any other option of the model, the task or the training
below. Finished fleets are kept: the same command goes on after Ctrl-C, and trains nothing once it is done.
`geomem sweep study.toml` trains a study file instead; one that ends in .py is executed."""

STUDY_USAGE = """Train what a study file asks for, one run per configuration, and measure them all.

The file has one table or several `[[block]]`. A key is a setting of the world, the task, the model or the
training, its value a value, a list, or a range as in {from = 1e-4, to = 1e-1, count = 16, scale = "log"}. A
study file of Python, which is executed, has a list `configs` of such tables."""


@dataclass(frozen=True)
class StudyOptions:
    """Where it goes, and what is drawn."""

    directory: Path = Path("sweeps")
    """Where the sweep's directory is written."""
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False
    """Say how many runs and fleets there are, how long they take and how much memory, and write nothing."""
    processes: int = 0
    """Processes of one thread each; 0 means one per core, and one on a card."""
    device: str = "cpu"
    """cpu, cuda, or cuda:1."""
    hours: float = HOURS
    """Begin nothing that would take longer."""
    out: Path | None = None
    """The phase diagram: an .html page, or .svg or .pdf (both are written then, with the data as .csv)."""
    x: str = ""
    """The axis across; the first one given unless named."""
    y: str = ""
    """The axis upwards; the second one given unless named, or the worlds."""
    quiet: bool = False
    """Show no progress; print only paths."""


@dataclass(frozen=True)
class SweepOptions(StudyOptions):
    """What is varied, where it goes, and what is drawn."""

    over: tuple[str, ...] = ()
    """The axes, as in --over learning-rate=1e-4:1e-1:32:log weight-decay=0,0.1,1."""
    model: str = "transformer"
    """The architecture; `geomem models` describes them."""
    module: str = ""
    """A module of your own instead, as in mine.py:factory; that file is executed."""
    seeds: Seeds = 1
    """Runs per cell, with the seeds 0, 1, 2, ..."""
    seed_list: tuple[int, ...] = ()
    """The seeds, instead of their number."""


def run(arguments: Sequence[str]) -> int:
    """Train the grids; print the sweep's directory and, with --out, the diagram's path."""
    arguments = _join_axes(list(arguments))
    words = []
    while arguments and not arguments[0].startswith("-"):
        words.append(arguments.pop(0))
    if len(words) == 1 and Path(words[0]).suffix in STUDY_FILES:
        return _run_study(Path(words[0]), arguments)
    return _run_grid(words, arguments)


def _run_study(path: Path, arguments: Sequence[str]) -> int:
    groups = [
        ("sweep", StudyOptions, StudyOptions(), "Where it goes."),
        ("engine", EngineOptions, EngineOptions(), first_line(EngineOptions)),
    ]
    given = parse_groups(groups, arguments, verb=f"sweep {path}", description=STUDY_USAGE)

    from geomem.sweep import read_study

    if path.suffix == ".py":
        print_note(f"Executing {path}.")
    blocks = read_study(path)
    if not given.sweep.quiet:
        for world in {world.digest: world for block in blocks for world in block.worlds}.values():
            print_notes(world)
    return _train(blocks, given, title=path.stem)


def _run_grid(worlds: list[str], arguments: list[str]) -> int:
    model = next((value for option, value in pairwise(arguments) if option == "--model"), "transformer")
    model = next((a.partition("=")[2] for a in arguments if a.startswith("--model=")), model)
    find_architecture(model)
    module = named_module(Head("worlds", "", arguments, {}, None))
    only_world = worlds[0] if len(worlds) == 1 and worlds[0] in WORLDS else None
    kind = with_choice(SweepOptions, "model", MODELS)
    groups = [
        ("sweep", kind, kind(), "What is varied, and where it goes."),
        ("engine", EngineOptions, EngineOptions(), first_line(EngineOptions)),
        *[
            group
            for group in option_groups(only_world, OwnModuleOptions() if module else model)
            if group[0] != "fleet"
        ],
    ]
    known = option_names(*[kind for _, kind, _, _ in groups])
    if only_world:
        refuse_file_options(arguments, only_world, known)
    given = parse_groups(groups, arguments, verb="sweep WORLDS", description=USAGE)
    options: SweepOptions = given.sweep
    if not worlds:
        raise InputError("Give a world first, as in `geomem sweep path-star --over learning-rate=0.01,0.1`.")
    axes = dict(read_axis(text) for text in options.over)
    if len(axes) < len(options.over):
        raise InputError("The same axis is given twice; give each --over axis once.")
    if not axes and len(worlds) == 1:
        raise InputError("Give an axis, as in --over learning-rate=1e-4:1e-1:16:log.")
    if only_world:
        graphs: Any = WORLDS[only_world](
            **{entry.name: getattr(given.world, entry.name) for entry in fields(given.world)}
        )
    else:
        graphs = []
        for world in worlds:
            if world in WORLDS:
                check_no_layout(given.file, world)
                graphs.append(find_world(world))
                continue
            if not is_there(world):
                raise unknown_world(world)
            graphs.append(given.file.read(world))
            if not options.quiet:
                print_notes(graphs[-1])

    from geomem.sweep.running import edge_block

    block = edge_block(
        graphs,
        chosen_model(module, given.model),
        axes=axes,
        task=given.task,
        training=given.training,
        seeds=options.seed_list or options.seeds,
    )
    name = graphs.name if only_world else f"{len(graphs)} worlds"
    title = f"{module or model} on {name}, {given.training.steps:,} steps"
    return _train([block], given, title=title)


def _train(blocks: Sequence["Block"], given: Any, *, title: str) -> int:
    """Train blocks, or say what that takes; then the diagram."""
    from geomem.report.diagram import check_diagram, write_diagram
    from geomem.sweep import plan_blocks, preview, run_plan
    from geomem.sweep.grid import name_columns

    options: StudyOptions = given.sweep
    names = name_columns(blocks)[1:]
    if len({world.digest for block in blocks for world in block.worlds}) > 1:
        names.append("world")
    x, y = _drawn_axes(options, names)
    if options.out:
        check_diagram(options.out)
    plan = plan_blocks(
        blocks,
        directory=options.directory,
        processes=options.processes or None,
        engine=given.engine.chosen(),
        device=options.device,
    )
    if options.dry_run:
        for line in describe_plan(preview(plan)):
            print(line)
        return 0
    with SweepTable(quiet=options.quiet, hours=options.hours) as table:
        found = run_plan(plan, table.show)
    print(found.path)
    if options.out:
        varied = [axis for axis in (*names, "seed") if found.table[axis].n_unique() > 1]
        averaged = [axis for axis in varied if axis not in (x, y)]
        title += f"; mean over {' and '.join(averaged)}" if averaged else ""
        print(write_diagram(found.table, x, y, options.out, title=title))
    return 0


def describe_plan(progress: "SweepProgress") -> list[str]:
    """What a sweep takes, line by line."""
    kept = f", {progress.finished_fleets} of them kept from before" if progress.finished_fleets else ""
    at_a_time = f"{progress.processes} at a time" if progress.processes > 1 else "one at a time"
    seconds = progress.seconds_left
    time = f"{format_seconds(seconds)} ({seconds / 3600:.2g} hours)" if isfinite(seconds) else "unknown here"
    return [
        f"runs: {progress.run_count:,}",
        f"fleets: {progress.fleet_count:,}{kept}, {at_a_time}",
        f"time: {time}",
        f"memory: {format_bytes(progress.memory_bytes)}",
        f"directory: {progress.path}",
    ]


def read_axis(text: str) -> tuple[str, list[Any]]:
    """An axis as the command line writes it: its name and its values.

    Raises `InputError` for anything else.

    >>> read_axis("learning-rate=0.001:0.1:3:log")
    ('learning_rate', [0.001, 0.01, 0.1])
    >>> read_axis("width=8,16"), read_axis("self-edges=true,false")
    (('width', [8, 16]), ('self_edges', [True, False]))
    """
    name, equals, values = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    if not equals or not name or not values.strip():
        raise InputError(
            f"The axis {text!r} is not NAME=VALUES; write learning-rate=1e-4:1e-1:32:log or width=8,16,32."
        )
    if ":" not in values:
        return name, [_read_value(value.strip()) for value in values.split(",")]
    parts = [_read_value(part.strip()) for part in values.split(":")]
    if len(parts) not in (3, 4) or parts[3:] not in ([], ["log"]):
        raise InputError(
            f"The axis {text!r} is not NAME=LOW:HIGH:COUNT or NAME=LOW:HIGH:COUNT:log; write "
            "learning-rate=1e-4:1e-1:32:log."
        )

    from geomem.sweep.grid import range_values

    low, high, count = parts[:3]
    return name, range_values(low, high, count, "".join(parts[3:]), said=f"The axis {text!r}")


class SweepTable(LiveTable):
    """One live line on standard error for a sweep, or plain lines where there is no terminal."""

    def __init__(self, *, quiet: bool = False, hours: float = inf, console: Console | None = None):
        self.last: SweepProgress | None = None
        self.seen = monotonic()
        super().__init__(quiet=quiet, hours=hours, console=console)

    def show(self, progress: "SweepProgress") -> None:
        """Take in where the sweep stands."""
        first, self.last, self.seen = self.last is None, progress, monotonic()
        if first:
            self.allow(progress.seconds_left)
        if self.quiet:
            return
        if first:
            kept = (
                f", {progress.finished_fleets} of them kept from before" if progress.finished_fleets else ""
            )
            said = f"{progress.run_count:,} runs in {count_of(progress.fleet_count, 'fleet')}{kept}"
            if progress.finished_fleets < progress.fleet_count:
                about, memory = format_seconds(progress.seconds_left), format_bytes(progress.memory_bytes)
                at_a_time = f"{progress.processes} at a time" if progress.processes > 1 else "one at a time"
                said += f"; about {about}, {at_a_time}, {memory} memory"
        elif not self.live:
            _, (fleets, running, runs, recalling, time, left) = self._columns()
            ending = "done" if left == "done" else f"{running} running, {left} left"
            said = f"{fleets} fleets, {runs} runs, {recalling} recalling all, {time}, {ending}"
        else:
            return
        self.console.print(said, soft_wrap=True)

    def render(self) -> Table:
        """The table as it stands; between two fleets its clocks go on."""
        titles, cells = self._columns()
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for title in titles:
            table.add_column(title, justify="right", no_wrap=True)
        table.add_row(*cells)
        return table

    def _columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        titles = ("fleets", "running", "runs", "recalling all", "time", "left")
        if self.last is None:
            return titles, ("",) * len(titles)
        passed = monotonic() - self.seen
        done = self.last.finished_fleets == self.last.fleet_count
        failed = f" ({self.last.failed_fleets} failed)" if self.last.failed_fleets else ""
        left = "done" if done else format_seconds(max(0.0, self.last.seconds_left - passed))
        return titles, (
            f"{self.last.finished_fleets}/{self.last.fleet_count}{failed}",
            f"{self.last.running_fleets}",
            f"{self.last.finished_runs:,}/{self.last.run_count:,}",
            f"{self.last.memorized_runs:,}",
            format_seconds(self.last.seconds + (0.0 if done else passed)),
            left,
        )


def _join_axes(arguments: list[str]) -> list[str]:
    """Several --over become one, so that every axis may have its own."""
    axes, rest, taking = [], [], False
    for argument in arguments:
        if argument == "--over":
            taking = True
        elif argument.startswith("--over="):
            axes.append(argument.removeprefix("--over="))
            taking = False
        elif taking and not argument.startswith("-"):
            axes.append(argument)
        else:
            taking = False
            rest.append(argument)
    return [*rest, "--over", *axes] if axes else rest


def _drawn_axes(options: StudyOptions, names: list[str]) -> tuple[str, str]:
    chosen = [name.replace("-", "_") for name in (options.x, options.y)]
    for name in filter(None, chosen):
        if name not in names:
            raise unknown_name(f"{name!r} is no axis of this sweep", name, names, otherwise="see --over")
    free = [name for name in names if name not in chosen]
    x, y = [name or (free.pop(0) if free else "") for name in chosen]
    if options.out and (not x or not y):
        raise InputError("A phase diagram has two axes; give a second --over, or several worlds.")
    return x, y


def _read_value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
