"""A fleet before its training: arguments made definite and checked, its run directory, what it will take."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from operator import index
from pathlib import Path
from typing import Any

import torch

from geomem.errors import InputError
from geomem.fields import coerce_fields
from geomem.models.configuration import Model, check_model, find_architecture
from geomem.models.parameters import Cost, describe_parameters, estimate_cost
from geomem.runs.store import run_path, safe_name
from geomem.training.configuration import Training, check_training, default_training
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization, Examples, edge_examples

SINGLE_THREAD_FLOPS = 1e8
"""Steps with less arithmetic run on one thread: waking others costs more than they do, on a busy machine ten
times more, and the result does not depend on the number of cores."""


@dataclass(frozen=True, eq=False)
class FleetPlan:
    """A fleet before its training: every setting definite, where it goes, what it will take."""

    path: Path
    """The run directory; equal plans have equal paths."""
    name: str
    graph: Graph
    model: Model
    task: EdgeMemorization
    training: Training
    seeds: tuple[int, ...]
    examples: Examples
    configuration: dict[str, Any]
    """What the path's hash is made from, as the manifest says it."""
    cost: Cost
    kept_bytes: int
    """Disk that the finished fleet takes."""
    disk_bytes: int
    """Disk that it takes at most, with the checkpoints of its training."""
    threads: int


def plan_fleet(
    world: Graph | str | os.PathLike[str] | object,
    *,
    model: Model | str = "transformer",
    task: EdgeMemorization | None = None,
    training: Training | None = None,
    seeds: int | Sequence[int] = 3,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
) -> FleetPlan:
    """What `memorize` would do with the same arguments; nothing is written.

    Raises `InputError` if an argument cannot be meant.

    >>> from geomem.models.configuration import Node2Vec
    >>> plan_fleet("cycle", model=Node2Vec(width=8)).path.name[:18]
    'cycle-15-node2vec-'
    """
    graph = find_world(world)
    model = coerce_fields(find_model(model))
    task = coerce_fields(task or EdgeMemorization())
    training = coerce_fields(training or default_training(model))
    check_model(model)
    check_training(training)
    seeds = check_seeds(seeds)
    check_device(device)
    examples = edge_examples(graph, task)
    kind = model.name
    configuration = {
        "world": {"name": graph.name, "digest": graph.digest},
        "task": {"kind": "edge-memorization", **asdict(task)},
        "model": {"kind": kind, **asdict(model)},
        "training": asdict(training),
        "seeds": list(seeds),
    }
    name = safe_name(f"{graph.name}-{kind}")
    cost, kept_bytes, disk_bytes = _estimate_cost(model, graph, examples, training, len(seeds))
    return FleetPlan(
        path=run_path(directory, name, configuration),
        name=name,
        graph=graph,
        model=model,
        task=task,
        training=training,
        seeds=seeds,
        examples=examples,
        configuration=configuration,
        cost=cost,
        kept_bytes=kept_bytes,
        disk_bytes=disk_bytes,
        threads=1 if cost.flops_per_step < SINGLE_THREAD_FLOPS else torch.get_num_threads(),
    )


def find_model(model: Model | str) -> Model:
    """The configuration that is meant: itself, or the defaults of an architecture's name.

    >>> find_model("node2vec").width
    100
    """
    return find_architecture(model)() if isinstance(model, str) else model


def check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds that are meant by a count or a list.

    Raises `InputError` if there is none, or one twice, or one is no whole number from 0 to 2^63 - 1.

    >>> check_seeds(3), check_seeds([7, 1])
    ((0, 1, 2), (7, 1))
    """
    try:
        found = (
            tuple(range(index(seeds)))
            if not isinstance(seeds, Sequence)
            else tuple(index(seed) for seed in seeds)
        )
    except TypeError:
        found = ()
    if not found or len(set(found)) < len(found) or not all(0 <= seed < 2**63 for seed in found):
        raise InputError(
            f"seeds is {seeds!r}; give a count of at least 1, or different whole numbers of at least 0."
        )
    return found


def check_device(device: str) -> None:
    """Raise `InputError` unless torch can compute there.

    >>> check_device("cpu")
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        have = (
            "cpu or cuda" if torch.cuda.is_available() else "cpu; this machine's torch finds no CUDA device"
        )
        raise InputError(f"device is {device!r}; give {have}.")


def _estimate_cost(
    model: Model, graph: Graph, examples: Examples, training: Training, run_count: int
) -> tuple[Cost, int, int]:
    """Memory and arithmetic of the fleet, with what it writes down; the bytes of disk it keeps and takes."""
    sizes = {
        "vocabulary_size": examples.vocabulary_size,
        "context_length": examples.prefixes.shape[1],
        "node_count": graph.node_count,
    }
    cost = estimate_cost(model, **sizes, example_count=examples.example_count, run_count=run_count)
    described = describe_parameters(model, **sizes)
    weights = 4 * run_count * sum(torch.Size(parameter.shape).numel() for parameter in described.values())
    snapshots = 4 * run_count * training.snapshots * graph.node_count * model.width
    # A row of the metrics is four numbers of eight bytes per run, twice that in the unpacked long table.
    metrics = 2 * 4 * 8 * run_count * (training.steps // training.metric_every + 2)
    texts = 200 * graph.node_count + 60 * graph.edge_count + 10_000
    # While a checkpoint replaces the former both exist, each with two moments beside the weights.
    checkpoints = 2 * (3 * weights + snapshots + metrics)
    cost = replace(cost, memory_bytes=cost.memory_bytes + 2 * (snapshots + metrics))
    kept = weights + snapshots + metrics + texts
    return cost, kept, kept + checkpoints
