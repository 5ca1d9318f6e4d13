"""What a finished run must be before anything of it is used: read as if a stranger had written it."""

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from geomem.constructions.cells import cells_size
from geomem.errors import InputError
from geomem.models.architecture import ParameterDescription, Sizes
from geomem.models.configuration import Recall, check_model, check_recall
from geomem.models.own import OwnModule
from geomem.models.parameters import describe_parameters
from geomem.models.recall import MOST_HOPS, RecallSize, describe_recall_parameters
from geomem.runs.configuration import FactRecall, read_model, read_task
from geomem.runs.directory import (
    FORMAT,
    MANIFEST,
    SNAPSHOTS,
    VOCABULARY,
    WEIGHTS,
    array_shapes,
    configuration_hash,
    damaged,
    read_array,
    safe_name,
)
from geomem.runs.path_cost import context_length
from geomem.runs.told import read_told_vocabulary
from geomem.worlds.facts.table import MAXIMUM_FACTS, MAXIMUM_QUESTIONS, FactTable, token_labels
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.in_context import InContextPathFinding, check_in_context
from geomem.worlds.language.telling import Telling
from geomem.worlds.path_finding import PathFinding, split_paths
from geomem.worlds.vocabulary import Vocabulary

CONSTRUCTION = "construction"
"""Kind of training in the manifest of a memory that was written down."""
CELLS = "cells."
"""How the names of the cells' weights begin."""
MAXIMUM_CELL_LENGTH = 10_000
"""Longest code of cells that a manifest may state."""
MAXIMUM_TENSORS = 100_000
"""Most tensors that a model is described for."""
FLOATS = ("F32", "F64")


def memory_size(table: FactTable) -> RecallSize:
    """How many rows the tables of a memory's model have.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> memory_size(random_bijections(4, 2))
    RecallSize(subjects=4, relations=2, objects=4)
    """
    return RecallSize(table.subject_count, table.relation_count, table.object_count)


def check_manifest(path: Path, manifest: Any) -> tuple[int, ...]:
    """The seeds of a manifest; raises `InputError` unless all of it is one of ours."""
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise damaged(path, "it is not a manifest of geomem")
    if manifest["format"] != FORMAT:
        raise InputError(
            f"{path} has format {str(manifest['format'])[:60]!r}, but this geomem reads format {FORMAT}; "
            "read it with the version that wrote it."
        )
    configuration = manifest.get("configuration")
    if not isinstance(configuration, dict):
        raise damaged(path, "it has no configuration")
    for part in ("world", "task", "model", "training"):
        if not isinstance(configuration.get(part), dict):
            raise damaged(path, f"its configuration has no {part}")
    if manifest.get("hash") != configuration_hash(configuration):
        raise damaged(path, "its configuration and its hash differ")
    name = manifest.get("name")
    if not isinstance(name, str) or name != safe_name(name):
        raise damaged(path, "its name is not a plain one")
    seeds = configuration.get("seeds")
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise damaged(path, "its seeds are not a list of whole numbers")
    if len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**63 for seed in seeds):
        raise damaged(path, "its seeds are not different numbers from 0 to 2^63 - 1")
    if configuration["training"].get("kind") == CONSTRUCTION:
        _check_construction(path, manifest)
    return tuple(seeds)


def _check_construction(path: Path, manifest: Mapping[str, Any]) -> None:
    """Raise `InputError` unless the manifest of a memory that was written down says what is asked of it."""
    edits, recalled = manifest.get("edits", []), manifest.get("recalled")
    named = isinstance(edits, list) and all(isinstance(edit, dict) for edit in edits)
    for edit in edits if named else ():
        named = named and all(isinstance(edit.get(part), str) for part in ("subject", "relation"))
        named = named and all(isinstance(edit.get(part, 0), str | NoneType) for part in ("before", "after"))
    if not named:
        raise damaged(path, "its edits do not name a question and its answers")
    numbers = ("facts", "recall", "margin", "entropy_bits")
    told = isinstance(recalled, dict) and all(type(recalled.get(name)) in (int, float) for name in numbers)
    if not told or type(manifest["configuration"]["training"].get("fact_bits", 0)) is not int:
        raise damaged(path, "it does not say in numbers what the memory recalls")


def read_cells(path: Path, training: Mapping[str, Any], table: FactTable) -> tuple[tuple[int, ...], int]:
    """Number of cells of every subject, and the length of their codes; nothing and 0 without cells."""
    path = path / MANIFEST
    if not {"cells", "cell_length"} & training.keys():
        if table.several:
            raise damaged(path, "its facts have several answers to a question, and it has no cells for them")
        return (), 0
    counts, length = training.get("cells"), training.get("cell_length")
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        counts = []
    sound = training.get("kind") == CONSTRUCTION and len(counts) == table.subject_count
    sound = sound and 0 < sum(counts) <= MAXIMUM_FACTS
    if not sound or type(length) is not int or not 0 < length <= MAXIMUM_CELL_LENGTH:
        raise damaged(path, "its cells are not so many for each subject")
    return tuple(counts), length


def check_fleet(place: Path, configuration: Mapping[str, Any], graph: Graph) -> None:
    """Raise `InputError` unless weights and snapshots of runs of a graph are those of their model."""
    path, runs = place / MANIFEST, len(configuration["seeds"])
    model, task = read_model(path, configuration["model"]), read_task(path, configuration["task"])
    try:
        if isinstance(model, Recall) or isinstance(task, FactRecall):
            raise InputError("its model or its task is of facts, not of a graph.")
        check_model(model)
        if model.layers > MAXIMUM_TENSORS:
            raise InputError("its model has more layers than fit in its file.")
        if isinstance(task, Telling):
            told = read_told_vocabulary(place / VOCABULARY, graph.node_count)
            size, length = len(told.tokens), told.context_length
        else:
            size, length = Vocabulary(graph.labels).size, task_length(graph, task)
        described = describe_parameters(
            model, vocabulary_size=size, context_length=length, node_count=graph.node_count
        )
    except InputError as error:
        raise damaged(path, str(error).rstrip(".")) from error
    _check_weights(place / WEIGHTS, described, runs, "graph")
    path = place / SNAPSHOTS
    arrays = array_shapes(path)
    kind, steps = arrays.get("steps", ("", ()))
    if kind != "I64" or len(steps) != 1 or not steps[0]:
        raise damaged(path, f"steps have shape {steps}, expected one whole number per snapshot")
    found = read_array(path, "steps")
    if found[0] < 0 or (found[1:] <= found[:-1]).any():
        raise damaged(path, "its steps do not rise from 0")
    kind, shape = arrays.get("embeddings", ("", ()))
    expected = (steps[0], runs, graph.node_count, model.width)
    if kind not in FLOATS or shape != expected:
        raise damaged(
            path, f"embeddings have shape {shape}, expected {runs} runs and {graph.node_count} nodes"
        )
    kind, shape = arrays.get("recalled", ("U8", (runs, 0)))
    if kind != "U8" or (len(shape), *shape[:1]) != (2, runs):
        raise damaged(path, f"recalled has shape {shape}, expected {runs} runs")


def task_length(graph: Graph, task: Any) -> int:
    """Tokens of a prefix; raises `InputError` if the graph cannot be asked so.

    >>> from geomem.worlds.graphs.families import cycle
    >>> from geomem.worlds.tasks import EdgeMemorization
    >>> task_length(cycle(6), EdgeMemorization())
    2
    """
    if isinstance(task, InContextPathFinding):
        check_in_context(task)
        if task.node_tokens != graph.node_count:
            raise InputError(f"its task has {task.node_tokens} node tokens.")
        return context_length(task, task.length)
    if isinstance(task, PathFinding):
        return context_length(task, split_paths(graph, task)[0].shape[1])
    return 2 if task.task_token else 1


def check_memory(
    place: Path, configuration: Mapping[str, Any], table: FactTable, cells: int, cell_length: int
) -> None:
    """Raise `InputError` unless the weights of a memory are those of its model, its facts and its cells."""
    path = place / MANIFEST
    if configuration["model"].get("kind") not in ("recall", OwnModule.name):
        raise damaged(path, "its model is no recall model")
    model = read_model(path, configuration["model"])
    try:
        if isinstance(model, OwnModule):
            described = _describe_module(model, table)
        else:
            check_recall(model)
            if model.layers * model.hops > MAXIMUM_TENSORS:
                raise InputError("its model has more layers than fit in its file.")
            described = describe_recall_parameters(model, memory_size(table))
    except InputError as error:
        raise damaged(path, str(error).rstrip(".")) from error
    if cells:
        size = cells_size(cells, table.relation_count, table.object_count, cell_length)
        like = Recall(width=size.residual_size, mlp_width=size.mlp_width, attention="uniform")
        rows = RecallSize(cells, 2, table.relation_count + table.object_count)
        described |= {CELLS + name: part for name, part in describe_recall_parameters(like, rows).items()}
    _check_weights(place / WEIGHTS, described, len(configuration["seeds"]), "facts")


def _describe_module(model: OwnModule, table: FactTable) -> dict[str, ParameterDescription]:
    """The tensors of a module that learned a table; raises `InputError` if it was made for another one."""
    check_model(model)
    vocabulary, context, subjects = model.sizes or (0, 0, 0)
    if (vocabulary, subjects) != (len(token_labels(table)), table.subject_count):
        raise InputError("its module was made for another table.")
    if not 1 < context <= MOST_HOPS + 1 or table.subject_count * table.relation_count**model.hops > (
        MAXIMUM_QUESTIONS
    ):
        raise InputError(f"its module reads {context} tokens.")
    return model.tensors(Sizes(vocabulary, context, subjects))


def _check_weights(path: Path, described: Mapping[str, ParameterDescription], runs: int, world: str) -> None:
    """Raise `InputError` unless a file has the described tensors, of so many runs, and no others."""
    arrays = array_shapes(path)
    for name in sorted(set(described) ^ set(arrays)):
        raise damaged(path, f"{name[:60]} is {'missing' if name in described else 'no tensor of its model'}")
    for name, parameter in described.items():
        kind, shape = arrays[name]
        expected = (runs, *parameter.shape)
        if shape != expected:
            raise damaged(path, f"{name} has shape {shape}, its model and {world} need {expected}")
        if kind not in FLOATS:
            raise damaged(path, f"{name} holds numbers of type {kind}, expected {' or '.join(FLOATS)}")
