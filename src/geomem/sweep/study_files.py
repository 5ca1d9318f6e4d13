"""Study files: blocks of settings in TOML, or a list of such in a file of Python, become grids.

A block is one flat table. Every key is a setting of the world, the task, the model or the training, as on
the command line with dashes or underscores, and its value a value, a list of values, or a range
`{from, to, count}`, with `scale = "log"` of even ratios. `world`, `model` and `task` (edges, paths, prompts,
facts) may be lists too; `seeds` is a count, or a list of seeds. Keys before the first `[[block]]` hold for
every block.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from inspect import isfunction
from itertools import product
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import numpy as np

from geomem.errors import InputError, unknown_name
from geomem.fields import check_fields, coerce_fields, read_fields
from geomem.models.configuration import MODELS, Recall, find_architecture, path_models
from geomem.models.own import load_module
from geomem.models.own_source import execute_file
from geomem.runs.configuration import FactRecall, Task
from geomem.runs.facts import default_recall_model
from geomem.runs.job import check_seeds, find_model
from geomem.sweep.grid import (
    Block,
    axis_types,
    check_axes,
    check_names,
    convert_values,
    find_worlds,
    range_values,
)
from geomem.training.configuration import PathTraining, RecallTraining, default_training
from geomem.worlds.catalogue import FACT_WORLDS, WORLDS
from geomem.worlds.facts.table import FactTable
from geomem.worlds.find import find_facts, find_world
from geomem.worlds.in_context import InContextPathFinding, in_context_graph
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.tasks import EdgeMemorization
from geomem.worlds.text_file import show_label
from geomem.worlds.toml_file import read_toml, what_is_wrong

CONFIGS = "configs"
"""The list that a study file of Python defines."""

IN_CONTEXT = "in-context"
"""The world of prompts."""

KEYS = ("world", "task", "model", "seeds")
"""What every block may have besides settings."""


@dataclass(frozen=True)
class Track:
    """What one word of `task` stands for."""

    task: type[Any]
    worlds: Mapping[str, Any]
    """The built-in worlds that have this task."""

    def models(self) -> Mapping[str, Any]:
        """The model of each name, with its settings where none is given."""
        if self.task is FactRecall:
            return {"recall": Recall()}
        if self.task is EdgeMemorization:
            return {name: kind() for name, kind in MODELS.items()}
        return path_models()


TRACKS = {
    "edges": Track(EdgeMemorization, WORLDS),
    "paths": Track(PathFinding, WORLDS),
    "prompts": Track(InContextPathFinding, {}),
    "facts": Track(FactRecall, FACT_WORLDS),
}


def read_study(path: str | os.PathLike[str]) -> tuple[Block, ...]:
    """The grids of a study file; one that ends in .py is executed.

    Worlds that are files are looked for from the directory where the command runs. Raises `InputError`, which
    names the key and the block, for anything that is no study.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "study.toml"
    ...     _ = path.write_text('world = "cycle"\\nwidth = [8, 16]\\nscale = {from = 1, to = 3, count = 3}')
    ...     [(block.run_count, dict(block.axes)["width"]) for block in read_study(path)]
    [(6, (8, 16))]
    """
    path = Path(path)
    if path.suffix != ".py":
        content = read_toml(path)
        tables = content.pop("block", [{}])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise InputError(f"The key 'block' in {path} is no table; begin every block with [[block]].")
        return read_blocks([content | table for table in tables], name=str(path))
    module = execute_file(path.absolute())
    tables = vars(module).get(CONFIGS)
    if not isinstance(tables, list):
        raise InputError(f"{path} defines no list {CONFIGS}; give one of dictionaries, each one block.")

    def named(model: Any) -> Any:
        """A factory of this very file by its name, which other processes can execute as well."""
        own = isfunction(model) and vars(module).get(model.__name__) is model
        return load_module(f"{path.absolute()}:{model.__name__}") if own else model

    tables = [
        table | {"model": named(table["model"])} if isinstance(table, dict) and "model" in table else table
        for table in tables
    ]
    return read_blocks(tables, name=str(path))


def read_blocks(tables: Sequence[Mapping[str, Any]], *, name: str = "the study") -> tuple[Block, ...]:
    """The grids of some blocks, each a mapping from keys to values, or lists, or ranges.

    >>> read_blocks([{"world": "cycle", "nodes": [6, 8]}])[1].worlds[0].name
    'cycle-8'
    >>> read_blocks([{"world": "cycle", "widht": 8}])
    Traceback (most recent call last):
    geomem.errors.InputError: In block 1 of the study: 'widht' is no key here; did you mean width?
    """
    if not tables:
        raise InputError(f"There is no block in {name}; give one with a world.")
    blocks: list[Block] = []
    worlds: dict[Any, Any] = {}
    for number, table in enumerate(tables, start=1):
        try:
            if not isinstance(table, Mapping) or not all(isinstance(key, str) for key in table):
                raise InputError("It is no table of keys; give names with values.")
            given = {key.replace("-", "_"): value for key, value in table.items()}
            blocks += _read_block(given, worlds)
        except InputError as error:
            raise InputError(f"In block {number} of {name}: {error}") from error
    return tuple(blocks)


def _read_block(given: dict[str, Any], known: dict[Any, Any]) -> Iterator[Block]:
    """The grids of one block; `known` are the worlds that were made before, by name and options."""
    worlds = _several("world", given.pop("world", None))
    words = _several("task", given.pop("task", None)) or [_usual_task(worlds)]
    models = _several("model", given.pop("model", None)) or [""]
    seeds = given.pop("seeds", 1)
    if not worlds:
        raise InputError('There is no world; give one, as in world = "cycle".')
    seeds = check_seeds(tuple(seeds) if isinstance(seeds, list) else seeds)
    for word, model in product(words, models):
        if word not in TRACKS:
            raise unknown_name(
                f"{show_label(str(word))!r} is no task",
                str(word),
                TRACKS,
                otherwise=f"give one of {', '.join(TRACKS)}",
            )
        track = TRACKS[word]
        settings = _find_model(track, word, model)
        options = _world_types(track, worlds)
        training: Any = (
            PathTraining() if track.task in (PathFinding, InContextPathFinding) else RecallTraining()
        )
        if track.task is EdgeMemorization:
            training = default_training(settings)
        types = options | _field_types(settings, track.task(), training)
        values = {name: _read_values(name, value, types) for name, value in given.items()}
        for chosen in _combinations({name: values[name] for name in options if name in values}):
            made = tuple(_find_world(track, world, chosen, known) for world in worlds)
            check_names(made)
            rest = {name: own for name, own in values.items() if name not in options}
            yield from _make_blocks(made, track.task(), settings, training, rest, seeds, chosen)


def _make_blocks(
    worlds: tuple[Any, ...],
    task: Task,
    model: Any,
    training: Any,
    values: dict[str, tuple[Any, ...]],
    seeds: tuple[int, ...],
    world_options: Mapping[str, Any],
) -> Iterator[Block]:
    """The blocks of worlds that are made; of facts one for every table and width."""
    if isinstance(model, Recall):
        given = values.get("mlp_width", ())
        neurons = given[0] if len(given) == 1 else None
        for world, width in product(worlds, values.get("width", (None,))):
            own = {name: value for name, value in values.items() if name != "width"}
            (frozen,) = own.pop("frozen", (model.frozen,))
            if width is None:
                settings = replace(model, **_only_values(own, Recall), frozen=frozen)
                settings = default_recall_model(world, settings=settings, mlp_width=neurons)
            else:
                settings = replace(model, width=width, mlp_width=4 * width, frozen=frozen)
            yield _one_block((world,), task, settings, training, own, seeds, world_options)
        return
    yield _one_block(worlds, task, model, training, values, seeds, world_options)


def _one_block(
    worlds: tuple[Any, ...],
    task: Any,
    model: Any,
    training: Any,
    values: dict[str, tuple[Any, ...]],
    seeds: tuple[int, ...],
    world_options: Mapping[str, Any],
) -> Block:
    task, model, training = (
        coerce_fields(replace(part, **_only_values(values, type(part)))) for part in (task, model, training)
    )
    if any(entry.name == "snapshots" for entry in fields(training)):
        training = replace(training, snapshots=2)  # only the last embeddings are measured
    axes = {name: own for name, own in values.items() if len(own) > 1 or name == "scale"}
    axes = check_axes(axes, model, task, training)
    for part in (task, model, training):
        check_fields(part)
        for name, own in axes.items():  # how settings fit together shows when they meet
            for value in own if hasattr(part, name) else ():
                check_fields(replace(part, **{name: value}))
    if isinstance(task, InContextPathFinding):
        worlds = (in_context_graph(task),)
    return Block(worlds, task, model, training, axes, seeds, world_options)


def _only_values(values: Mapping[str, tuple[Any, ...]], kind: type[Any]) -> dict[str, Any]:
    """What is said once of the fields of a class; several values are an axis."""
    names = {entry.name for entry in fields(kind)}
    return {name: own[0] for name, own in values.items() if name in names and len(own) == 1}


def _several(key: str, value: Any) -> list[Any]:
    """A value as a list of values."""
    if value is None:
        return []
    if isinstance(value, list | tuple) and not value:
        raise InputError(f"The key {key} has no value; give one or more.")
    return list(value) if isinstance(value, list | tuple) else [value]


def _usual_task(worlds: Sequence[Any]) -> str:
    facts = all(
        isinstance(world, FactTable) or (isinstance(world, str) and world in FACT_WORLDS) for world in worlds
    )
    return "prompts" if IN_CONTEXT in map(str, worlds) else "facts" if worlds and facts else "edges"


def _find_model(track: Track, word: str, model: Any) -> Any:
    """The model of a name or a factory, with its usual settings for the task."""
    known = track.models()
    if not model:
        return next(iter(known.values())) if track.task is FactRecall else known["transformer"]
    if not isinstance(model, str):
        return find_model(model)
    if model in known:
        return known[model]
    if track.task is EdgeMemorization:
        find_architecture(model)  # which says what is wrong with the name
    raise unknown_name(
        f"{model!r} is no model of {word}", model, known, otherwise=f"give one of {', '.join(known)}"
    )


def _field_types(model: Any, task: Any, training: Any) -> dict[str, Any]:
    types = axis_types(model, task, training)
    return types | ({"frozen": tuple} if isinstance(model, Recall) else {})


def _world_types(track: Track, worlds: Sequence[Any]) -> dict[str, Any]:
    """The options that all of some worlds have, with their types."""
    made = [track.worlds.get(world) if isinstance(world, str) else None for world in worlds]
    found = [get_type_hints(one) if one else {} for one in made]
    shared = set.intersection(*map(set, found)) - {"return"}
    return {name: kind for name, kind in found[0].items() if name in shared}


def _find_world(track: Track, world: Any, options: Mapping[str, Any], known: dict[Any, Any]) -> Any:
    """A world, made once however many blocks have it."""
    if not isinstance(world, str):
        return _make_world(track, world, options)
    key = (track.task, world, *options.items())
    if key not in known:
        known[key] = _make_world(track, world, options)
    return known[key]


def _make_world(track: Track, world: Any, options: Mapping[str, Any]) -> Any:
    if track.task is InContextPathFinding:
        if world != IN_CONTEXT:
            raise InputError(f"{world!r} is no world of prompts; give {IN_CONTEXT!r}.")
        return in_context_graph(InContextPathFinding())
    if options:
        world = track.worlds[world](**options)
    if track.task is FactRecall:
        return find_facts(world)
    return find_worlds(world)[0] if track.task is EdgeMemorization else find_world(world)


def _combinations(values: Mapping[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for chosen in product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def _read_values(name: str, value: Any, types: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of a key in the type of its field."""
    if name not in types:
        known = [*KEYS, *types]
        raise unknown_name(
            f"{show_label(name)!r} is no key here", name, known, otherwise=f"give one of {', '.join(known)}"
        )
    kind = types[name]
    if isinstance(value, Mapping):
        if unknown := set(value) - {"from", "to", "count", "scale"}:
            raise unknown_name(
                f"The range of {name} has the key {show_label(str(min(unknown)))!r}",
                str(min(unknown)),
                ("from", "to", "count", "scale"),
                otherwise="give from, to, count and, if you like, scale",
            )
        low, high, count = (value.get(key) for key in ("from", "to", "count"))
        value = range_values(low, high, count, value.get("scale", ""), said=f"The range of {name}")
    elif isinstance(value, np.ndarray | range):
        value = np.asarray(value).tolist()
    values = list(value) if isinstance(value, list | tuple) else [value]
    if kind is tuple:  # words that belong together
        return (tuple(read_fields(Recall, {name: values}).frozen),)
    for one in values:
        if wrong := what_is_wrong(one):
            raise InputError(f"The key {name} is {wrong}.")
    choices = [one for one in get_args(kind) if one is not NoneType]
    if NoneType in get_args(kind):
        nothing = [one for one in values if one == "none"]
        rest = [one for one in values if one != "none"]
        found = convert_values(name, rest, choices[0]) if rest else ()
        return (*[None for _ in nothing], *found)
    return convert_values(name, values, kind)
