"""Grids of configurations: axes with their values, and the fleets that the cells of grids are trained in."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import product
from math import isfinite, prod
from typing import Any, Literal, get_args, get_origin

import numpy as np

from geomem.errors import InputError, unknown_name
from geomem.fields import field_types
from geomem.geometry.spectrum import laplacian_matrix
from geomem.models.own import OwnModule
from geomem.models.parameters import Cost
from geomem.models.recall import Recall, RecallSize, estimate_recall_cost
from geomem.runs.configuration import TASKS, FactRecall, Task, model_kind
from geomem.runs.edges import edge_job
from geomem.runs.facts import fact_job
from geomem.runs.job import Job
from geomem.runs.paths import path_job
from geomem.runs.run import memory_size
from geomem.sweep.parts import STEP_OVERHEAD
from geomem.training.configuration import AnyTraining, PathTraining, RecallTraining, RunSettings
from geomem.worlds.facts.table import FactTable
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.tasks import EdgeMemorization

FLEET_RUNS = 64
"""Runs of a fleet at most: larger fleets are no faster per run, and an interruption costs more."""

FLEET_BYTES = 4_000_000_000
"""Memory of a fleet at most, unless one run takes more: what a core of a cluster usually has. It is the same
for every worker, so that the same fleets, and the same bits, come from a laptop and from a card."""

FLEET_ARITHMETIC = 1_000_000_000
"""Arithmetic of a step of different recall models together at most, about 50 ms: so that little is lost when
a sweep is interrupted."""

MAXIMUM_RUNS = 1_000_000
"""Runs of a sweep at most: more is a slip of the hand."""

RANGE_VALUES = 10_000
"""Values of a range at most."""

RUN_AXES = ("learning_rate", "weight_decay", "scale")
"""What may differ between the runs of one fleet, besides the seed."""

Value = float | int | str | bool


@dataclass(frozen=True, eq=False)
class Block:
    """One grid: worlds, and a task, a model and a training of which some fields have several values."""

    worlds: tuple[Graph | FactTable, ...]
    """For path finding in context, what `in_context_graph` gives."""
    task: Task
    model: Any
    """A `Model`, or a `Recall`."""
    training: AnyTraining
    axes: Mapping[str, tuple[Value, ...]]
    """Fields of task, model or training, or `scale`, with their values."""
    seeds: tuple[int, ...]
    world_options: Mapping[str, Any] = field(default_factory=dict)
    """What the worlds were made with, where it was said."""

    @property
    def run_count(self) -> int:
        """Worlds times values times seeds."""
        return len(self.worlds) * len(self.seeds) * prod(map(len, self.axes.values()))


@dataclass(frozen=True, eq=False)
class Fleet:
    """One task of a sweep: runs of equal shape, each with its values on the axes."""

    world: Any
    """A `Graph`, or a `FactTable`."""
    model: Any
    task: Any
    training: Any
    runs: tuple[RunSettings, ...]
    cells: tuple[dict[str, Any], ...]
    """For every run, its values in the columns of the sweep."""
    cost: Cost

    @property
    def job(self) -> Job:
        """What `geomem.runs` would do with as many seeds as there are runs."""
        return make_job(self.world, self.model, self.task, self.training, len(self.runs))


@dataclass(frozen=True)
class FactRun:
    """One recall model on a table of facts."""

    table: FactTable
    model: Any
    settings: RunSettings


@dataclass(frozen=True, eq=False)
class FactFleet:
    """Recall models that train together; their widths, neurons and tables may differ."""

    runs: tuple[FactRun, ...]
    training: RecallTraining
    cells: tuple[dict[str, Any], ...]
    cost: Cost


AnyFleet = Fleet | FactFleet


def find_worlds(world: Any) -> tuple[Graph, ...]:
    """The world or worlds that are meant.

    Raises `InputError` if one cannot be read or has a node without an edge, or if two have one name.

    >>> [graph.name for graph in find_worlds(["cycle", "grid"])]
    ['cycle-15', 'grid-4-4']
    """
    several = isinstance(world, list | tuple) and all(
        isinstance(one, Graph | str | os.PathLike) for one in world
    )
    graphs = tuple(find_world(one) for one in world) if several else (find_world(world),)
    check_names(graphs)
    for graph in graphs:
        laplacian_matrix(graph)  # which says so if a node has no edge
    return graphs


def check_names(worlds: Sequence[Graph | FactTable]) -> None:
    """Raise `InputError` if there is no world, or two of one name."""
    if not worlds or len({world.name for world in worlds}) < len(worlds):
        raise InputError("The sweep was given no world, or two of one name; give worlds of different names.")


def check_axes(
    axes: Mapping[str, Sequence[Value]], model: Any, task: Task, training: AnyTraining
) -> dict[str, tuple[Value, ...]]:
    """The axes with their values in the types of the fields they belong to.

    Raises `InputError` for a name that is no axis here, no values, a value twice or of another type.

    >>> from geomem.models.configuration import Node2Vec
    >>> from geomem.training.configuration import Training
    >>> check_axes({"width": [8, 16]}, Node2Vec(), TASKS["edge-memorization"](), Training())
    {'width': (8, 16)}
    """
    types = axis_types(model, task, training)
    found = {}
    for name, values in axes.items():
        if name not in types:
            raise unknown_name(
                f"{name!r} is no axis of this model", name, types, otherwise=f"give one of {', '.join(types)}"
            )
        found[name] = convert_values(name, values, types[name])
    return found


def convert_values(name: str, values: Sequence[Any], kind: Any) -> tuple[Value, ...]:
    """The values of an axis in the type of its field; raises `InputError` as `check_axes` does.

    >>> convert_values("width", [8.0, 16], int)
    (8, 16)
    """
    converted = tuple(_in_type(name, value, kind) for value in values)
    if not converted or len(set(converted)) < len(converted):
        what = "two equal values" if converted else "no value"
        raise InputError(f"The axis {name} has {what}; give one value or more, all different.")
    return converted


def axis_types(model: Any, task: Task, training: AnyTraining) -> dict[str, Any]:
    """Every name that can be an axis, with its type: `scale`, and the fields of training, model and task.

    A module of a person's own has neither a scale nor fields that could be varied.

    >>> from geomem.models.configuration import Recall
    >>> list(axis_types(Recall(), FactRecall(), RecallTraining()))[:3]
    ['scale', 'learning_rate', 'weight_decay']
    """
    own = isinstance(model, OwnModule)
    types: dict[str, Any] = {} if own else {"scale": float}
    for configuration in (training, task) if own else (training, model, task):
        hints = field_types(type(configuration))
        types |= {entry.name: hints[entry.name] for entry in fields(configuration)}
    # What is kept on the way is not measured, and a list of words is one value.
    return {
        name: kind for name, kind in types.items() if name != "snapshots" and get_origin(kind) is not tuple
    }


def range_values(low: Any, high: Any, count: Any, scale: Any, *, said: str) -> list[float]:
    """Evenly spaced values, or, with the scale "log", of even ratios; `said` begins the sentence of an error.

    >>> range_values(0.001, 0.1, 3, "log", said="The range")
    [0.001, 0.01, 0.1]
    """
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    whole = isinstance(count, int) and not isinstance(count, bool)
    if not numbers or not whole or not 2 <= count <= RANGE_VALUES or scale not in ("", "log", "linear"):
        raise InputError(
            f"{said} goes from {low!r} to {high!r} in {count!r} steps{f' of {scale!r}' if scale else ''}; "
            f'give two numbers, a count from 2 to {RANGE_VALUES:,} and, if you like, the scale "log".'
        )
    if not 0 <= low < high < float("inf") or (scale == "log" and low == 0):
        raise InputError(
            f"{said} goes from {low} to {high}; give two finite numbers in ascending order, "
            "both above 0 if the axis is logarithmic."
        )
    spaced = np.geomspace(low, high, count) if scale == "log" else np.linspace(low, high, count)
    # Twelve digits: what a person would have written, and the same on every machine.
    return [float(f"{value:.12g}") for value in spaced]


def plan_fleets(blocks: Sequence[Block]) -> list[AnyFleet]:
    """The grids as fleets: one group per shape, cut into fleets of at most `FLEET_RUNS` and `FLEET_BYTES`.

    What two blocks ask for is trained once. Different recall models and tables share a fleet where that
    costs less than a step of its own.

    Raises `InputError` if there are more than `MAXIMUM_RUNS` runs, or a cell is no configuration.
    """
    run_count = sum(block.run_count for block in blocks)
    if run_count > MAXIMUM_RUNS:
        raise InputError(
            f"The sweep would have {run_count:,} runs; give axes and seeds for {MAXIMUM_RUNS:,} at most."
        )
    columns = name_columns(blocks)
    shapes: dict[Any, dict[Any, tuple[Any, dict[str, Any]]]] = {}
    jobs: dict[Any, Job] = {}
    known: dict[Any, Job] = {}
    for block in blocks:
        for world, task, model, training, inner in _shapes(block):
            still = replace(training, learning_rate=0.0, weight_decay=0.0)
            given = (world.digest, task, model, still)
            if given not in known:
                known[given] = make_job(world, model, task, training, 1)
            job = known[given]
            made: Any = job.world
            parts = (still, job.task)
            packed = isinstance(job.model, Recall)
            if packed:  # of other widths and tables, as far as they can be padded alike
                shape = replace(job.model, width=1, mlp_width=min(1, job.model.mlp_width))
                relations = made.relation_count if job.model.hops > 1 else 0
                key = (*parts, shape, relations)
            else:
                key = (*parts, job.model, job.world.digest)
            jobs.setdefault(key, job)
            group = shapes.setdefault(key, {})
            for chosen, seed in product(inner, block.seeds):
                usual = RunSettings(seed, training.learning_rate, training.weight_decay)
                settings = replace(usual, **chosen)
                values = describe_cell(block, world, task, model, training, settings)
                cell = {name: values.get(name) for name in columns}
                run = FactRun(made, job.model, settings) if packed else settings
                group.setdefault((job.world.digest, job.model, settings), (run, cell))

    @cache
    def sized(job: Job, run_count: int) -> Job:
        return make_job(job.world, job.model, job.task, job.training, run_count) if run_count > 1 else job

    fleets: list[AnyFleet] = []
    for key, group in shapes.items():
        job, members = jobs[key], list(group.values())
        training: Any = job.training
        for part in _cut(job, members, sized):
            runs, cells = zip(*part, strict=True)
            if isinstance(job.model, Recall):
                fleets.append(FactFleet(runs, training, cells, recall_cost(runs, training)))
            else:
                cost = sized(job, len(runs)).cost
                fleets.append(Fleet(job.world, job.model, job.task, training, runs, cells, cost))
    return fleets


def make_job(world: Any, model: Any, task: Task, training: Any, run_count: int) -> Job:
    """The job of so many runs of one configuration; raises `InputError` if it is none."""
    given = {"model": model, "training": training, "seeds": tuple(range(run_count))}
    match task:
        case FactRecall():
            return fact_job(world, **given)
        case InContextPathFinding():
            return path_job(task, **given)
        case PathFinding():
            return path_job(world, task=task, **given)
        case EdgeMemorization():
            return edge_job(world, task=task, **given)
    raise InputError("Graphs told in sentences are not swept; train each of them with `geomem tell`.")


def pack_runs(runs: Sequence[Any], arithmetic: Callable[[Sequence[Any]], int]) -> list[list[Any]]:
    """Different models as fleets, in order: one joins the fleet before it where that is cheaper.

    `arithmetic` is that of a step of some runs padded alike; a step of its own costs `STEP_OVERHEAD` more.

    >>> pack_runs([10**6, 10**6, 10**9], lambda runs: len(runs) * max(runs))
    [[1000000, 1000000], [1000000000]]
    """
    fleets: list[list[Any]] = []
    before = 0
    for run in runs:
        alone = arithmetic([run])
        if fleets and len(fleets[-1]) < FLEET_RUNS:
            together = arithmetic([*fleets[-1], run])
            if together <= min(before + alone + STEP_OVERHEAD, FLEET_ARITHMETIC):
                fleets[-1].append(run)
                before = together
                continue
        fleets.append([run])
        before = alone
    return fleets


def name_columns(blocks: Sequence[Block]) -> list[str]:
    """The columns of a sweep: its world, its axes, and whatever else differs between its blocks.

    >>> from geomem.sweep.running import edge_block
    >>> blocks = [edge_block("cycle", axes={"width": [4, 8]}), edge_block("cycle", "bilinear", axes={})]
    >>> name_columns(blocks)
    ['world', 'model', 'width']
    """
    axes = dict.fromkeys(name for block in blocks for name in block.axes)
    described = [
        describe_cell(block, None, block.task, block.model, block.training, None) for block in blocks
    ]
    names = dict.fromkeys(name for values in described for name in values)
    # What only blocks of one task or model have follows from these two.
    differing = [name for name in names if len({values[name] for values in described if name in values}) > 1]
    first = [name for name in ("task", "model") if name in differing]
    return ["world", *first, *axes, *[name for name in differing if name not in (*axes, *first)]]


def describe_cell(
    block: Block, world: Any, task: Task, model: Any, training: Any, settings: RunSettings | None
) -> dict[str, Any]:
    """Every setting of a run by the name of its column; what no column can hold is left out."""
    own = isinstance(model, OwnModule)
    values: dict[str, Any] = {
        "task": next(name for name, kind in TASKS.items() if type(task) is kind),
        "model": model.source if own else model_kind(model),
    }
    values |= block.world_options
    for configuration in (task, training) if own else (task, model, training):
        values |= {entry.name: getattr(configuration, entry.name) for entry in fields(configuration)}
    values.pop("snapshots", None)
    values = {name: " ".join(value) if isinstance(value, tuple) else value for name, value in values.items()}
    if settings:
        values |= {name: getattr(settings, name) for name in RUN_AXES} | {"world": world.name}
    return values


def _shapes(block: Block) -> Iterator[tuple[Any, Any, Any, Any, list[dict[str, Any]]]]:
    """World, task, model and training of every shape of a block, and what differs between its runs."""
    outer = [name for name in block.axes if name not in RUN_AXES]
    inner = [name for name in block.axes if name in RUN_AXES]
    settings = [
        dict(zip(inner, values, strict=True)) for values in product(*[block.axes[name] for name in inner])
    ]
    for world, shape in product(block.worlds, product(*[block.axes[name] for name in outer])):
        values = dict(zip(outer, shape, strict=True))
        task, model, training = (
            _replace_known(part, values) for part in (block.task, block.model, block.training)
        )
        yield world, task, model, training, settings


def _cut(
    job: Job, members: list[tuple[Any, Any]], sized: Callable[[Job, int], Job]
) -> Iterator[Sequence[tuple[Any, Any]]]:
    """The runs of one shape, with their cells, as fleets; `sized` is a job of so many runs."""
    training: Any = job.training
    if isinstance(job.model, Recall):

        def arithmetic(some: Sequence[tuple[FactRun, Any]]) -> int:
            return recall_cost([run for run, _ in some], training).flops_per_step

        yield from pack_runs(members, arithmetic)
        return
    if isinstance(training, PathTraining) and training.stop_at:
        # A fleet ends when all its runs do: only seeds may share one, as in `find_paths`.
        alike: dict[RunSettings, list[tuple[Any, Any]]] = {}
        for member in members:
            alike.setdefault(replace(member[0], seed=0), []).append(member)
        groups = list(alike.values())
    else:
        groups = [members]
    for group in groups:
        most = min(FLEET_RUNS, len(group))
        one = job.cost.memory_bytes
        whole = sized(job, most).cost.memory_bytes
        if whole > FLEET_BYTES and most > 1:
            most = max(1, min(most, 1 + (FLEET_BYTES - one) * (most - 1) // max(1, whole - one)))
        for part in np.array_split(np.arange(len(group)), -(-len(group) // most)):
            yield group[part[0] : part[-1] + 1]


def recall_cost(runs: Sequence[FactRun], training: RecallTraining) -> Cost:
    """The cost of a fleet of runs on tables of facts."""
    sizes: list[RecallSize] = [memory_size(run.table) for run in runs]
    return estimate_recall_cost([run.model for run in runs], sizes, subjects=training.batch_subjects)


def _in_type(name: str, value: Any, kind: Any) -> Value:
    """A value as the type of its field; `InputError` if it is none."""
    if get_origin(kind) is Literal:
        if isinstance(value, str) and value in get_args(kind):
            return value
        words = ", ".join(repr(word) for word in get_args(kind))
        raise InputError(f"The axis {name} has the value {value!r}; give one of {words}.")
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and is_number and isfinite(value) and value == int(value):
        return int(value)
    if kind is float and is_number and isfinite(value) and value >= 0:
        return float(value)
    noun = {bool: "true or false", int: "whole numbers", float: "finite numbers of at least 0"}[kind]
    raise InputError(f"The axis {name} has the value {value!r}; give {noun}.")


def _replace_known(configuration: Any, values: Mapping[str, Value]) -> Any:
    known = {entry.name for entry in fields(configuration)}
    return replace(configuration, **{name: value for name, value in values.items() if name in known})
