"""The grid of a sweep: axes with their values, and the fleets that its cells are trained in."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from math import isfinite
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from geomem.errors import InputError, unknown_name
from geomem.geometry.spectrum import laplacian_matrix
from geomem.models.configuration import Model
from geomem.models.own import OwnModule
from geomem.runs.edges import fit_to_edges
from geomem.training.configuration import RunSettings, Training
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization, edge_examples

FLEET_RUNS = 64
"""Runs of a fleet at most: larger fleets are no faster per run, and an interruption costs more."""

MAXIMUM_RUNS = 1_000_000
"""Runs of a sweep at most: more is a slip of the hand."""

RUN_AXES = ("learning_rate", "weight_decay", "scale")
"""What may differ between the runs of one fleet, besides the seed."""

Value = float | int | str | bool


@dataclass(frozen=True, eq=False)
class Fleet:
    """One task of a sweep: runs of equal shape, each with its values on the axes."""

    graph: Graph
    model: Model
    task: EdgeMemorization
    training: Training
    runs: tuple[RunSettings, ...]
    cells: tuple[dict[str, Value], ...]
    """For every run, the axes' values."""


def find_worlds(world: Any) -> list[Graph]:
    """The world or worlds that are meant.

    Raises `InputError` if one cannot be read or has a node without an edge, or if two have one name.

    >>> [graph.name for graph in find_worlds(["cycle", "grid"])]
    ['cycle-15', 'grid-4-4']
    """
    several = isinstance(world, list | tuple) and all(
        isinstance(one, Graph | str | os.PathLike) for one in world
    )
    graphs = [find_world(one) for one in world] if several else [find_world(world)]
    if not graphs or len({graph.name for graph in graphs}) < len(graphs):
        raise InputError("The sweep was given no world, or two of one name; give worlds of different names.")
    for graph in graphs:
        laplacian_matrix(graph)  # which says so if a node has no edge
    return graphs


def check_axes(
    axes: Mapping[str, Sequence[Value]], model: Model, task: EdgeMemorization, training: Training
) -> dict[str, tuple[Value, ...]]:
    """The axes with their values in the types of the fields they belong to.

    Raises `InputError` for a name that is no axis here, no values, a value twice or of another type.

    >>> from geomem.models.configuration import Node2Vec
    >>> check_axes({"width": [8, 16]}, Node2Vec(), EdgeMemorization(), Training())
    {'width': (8, 16)}
    """
    types = axis_types(model, task, training)
    found = {}
    for name, values in axes.items():
        if name not in types:
            raise unknown_name(
                f"{name!r} is no axis of this model", name, types, otherwise=f"give one of {', '.join(types)}"
            )
        converted = tuple(_in_type(name, value, types[name]) for value in values)
        if not converted or len(set(converted)) < len(converted):
            what = "two equal values" if converted else "no value"
            raise InputError(f"The axis {name} has {what}; give one value or more, all different.")
        found[name] = converted
    return found


def axis_types(model: Model, task: EdgeMemorization, training: Training) -> dict[str, Any]:
    """Every name that can be an axis, with its type: `scale`, and the fields of training, model and task.

    A module of a person's own has neither a scale nor fields that could be varied.

    >>> from geomem.models.configuration import Node2Vec
    >>> "width" in axis_types(Node2Vec(), EdgeMemorization(), Training())
    True
    """
    own = isinstance(model, OwnModule)
    types: dict[str, Any] = {} if own else {"scale": float}
    for configuration in (training, task) if own else (training, model, task):
        hints = get_type_hints(type(configuration))
        types |= {field.name: hints[field.name] for field in fields(configuration)}
    del types["snapshots"]
    return types


def plan_fleets(
    graphs: Sequence[Graph],
    model: Model,
    task: EdgeMemorization,
    training: Training,
    axes: Mapping[str, Sequence[Value]],
    seeds: Sequence[int],
) -> list[Fleet]:
    """The grid as fleets: one group per world and shape, cut into fleets of at most `FLEET_RUNS` runs.

    Raises `InputError` if the grid has more than `MAXIMUM_RUNS` runs, or a cell is no configuration.
    """
    run_count = len(graphs) * len(seeds)
    for values in axes.values():
        run_count *= len(values)
    if run_count > MAXIMUM_RUNS:
        raise InputError(
            f"The sweep would have {run_count:,} runs; give axes and seeds for {MAXIMUM_RUNS:,} at most."
        )
    outer = [name for name in axes if name not in RUN_AXES]
    inner = [name for name in axes if name in RUN_AXES]
    fleets = []
    for graph, shape in product(graphs, product(*[axes[name] for name in outer])):
        values = dict(zip(outer, shape, strict=True))
        settled = [_replace_known(part, values) for part in (model, task, training)]
        settled[0] = fit_to_edges(settled[0], graph, edge_examples(graph, settled[1]))
        runs, cells = [], []
        for settings in product(*[axes[name] for name in inner]):
            chosen: dict[str, Any] = dict(zip(inner, settings, strict=True))
            for seed in seeds:
                usual = RunSettings(seed, training.learning_rate, training.weight_decay)
                runs.append(replace(usual, **chosen))
                cells.append({"world": graph.name, **{name: (values | chosen)[name] for name in axes}})
        count = -(-len(runs) // FLEET_RUNS)
        for part in np.array_split(np.arange(len(runs)), count):
            chunk = slice(part[0], part[-1] + 1)
            fleets.append(Fleet(graph, *settled, runs=tuple(runs[chunk]), cells=tuple(cells[chunk])))
    return fleets


def _in_type(name: str, value: Any, kind: Any) -> Value:
    """A value as the type of its field; `InputError` if it is none."""
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        words = ", ".join(repr(word) for word in get_args(kind))
        raise InputError(f"The axis {name} has the value {value!r}; give one of {words}.")
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and is_number and value == int(value):
        return int(value)
    if kind is float and is_number and isfinite(value) and value >= 0:
        return float(value)
    noun = {bool: "true or false", int: "whole numbers", float: "finite numbers of at least 0"}[kind]
    raise InputError(f"The axis {name} has the value {value!r}; give {noun}.")


def _replace_known(configuration: Any, values: Mapping[str, Value]) -> Any:
    known = {field.name for field in fields(configuration)}
    return replace(configuration, **{name: value for name, value in values.items() if name in known})
