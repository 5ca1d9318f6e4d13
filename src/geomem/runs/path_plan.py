"""Path finding before its training: settings made definite and checked, where it goes, what it will take."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geomem.errors import InputError
from geomem.fields import coerce_fields
from geomem.models.configuration import MODELS, Model, check_model, check_reads_sequences, path_models
from geomem.models.loss import CHUNK_NUMBERS
from geomem.models.parameters import Cost, describe_parameters
from geomem.runs.checkpoint import format_bytes
from geomem.runs.plan import SINGLE_THREAD_FLOPS, check_device, check_seeds
from geomem.runs.store import StoredFleet, configuration_hash, read_fleet, run_path, safe_name, select_runs
from geomem.training.configuration import PathTraining, check_training
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph, check_size
from geomem.worlds.graphs.roots import find_root
from geomem.worlds.in_context import (
    InContextPathFinding,
    check_in_context,
    in_context_graph,
    in_context_vocabulary,
    node_count,
)
from geomem.worlds.path_finding import PathFinding, Target, split_paths
from geomem.worlds.tasks import EdgeMemorization, directed_facts
from geomem.worlds.vocabulary import Vocabulary

SLOTS = 32
"""Targets of a row of edges, as `edge_rows` has them unless told otherwise."""
TRAINING_SHARE = 0.6
"""Share of a large matrix product's rate that training reaches, its evaluations included.

Steps alone reached 0.7 (1,000 arms of length 4) and 0.8 (of length 6) of it on one core.
"""

CALL_COST = 2.0
"""Seconds of such a call by those of adding two small matrices: measured 1.5 to 3, layers 1 to 4."""


@dataclass(frozen=True)
class Sizes:
    """What the cost of path finding is counted from."""

    vocabulary_size: int
    node_count: int
    context_length: int
    read: int
    """Positions of an input at which something is asked."""
    train_rows: int
    """Paths trained in an epoch, or prompts."""
    held_out_rows: int
    edge_rows: int
    """Rows of edges in an epoch, each of at most `SLOTS` facts."""


@dataclass(frozen=True, eq=False)
class PathPlan:
    """A fleet of path finding before its training."""

    path: Path
    """The run directory; equal plans have equal paths."""
    name: str
    graph: Graph
    """The world; in context, that of the first test prompt."""
    model: Model
    kind: str
    """The architecture's name."""
    task: PathFinding | InContextPathFinding
    training: PathTraining
    seeds: tuple[int, ...]
    start: StoredFleet | None
    """The finished fleet whose weights the runs start from, seed by seed."""
    configuration: dict[str, Any]
    """What the path's hash is made from, as the manifest says it."""
    sizes: Sizes
    cost: Cost
    disk_bytes: int
    """Disk that it takes at most, with the checkpoints of its training."""
    threads: int
    device: str

    @property
    def steps(self) -> int:
        """Updates, if it does not stop before."""
        return self.training.epochs * self.training.batches


def plan_paths(
    world: Graph | InContextPathFinding | str | os.PathLike[str] | object,
    *,
    model: Model | str | None = None,
    task: PathFinding | None = None,
    training: PathTraining | None = None,
    seeds: int | Sequence[int] | None = None,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    start: StoredFleet | str | os.PathLike[str] | None = None,
) -> PathPlan:
    """What `find_paths` would do with the same arguments; nothing is written and no row of tokens made.

    With `start`, the model and the seeds are those of that fleet unless given; without, a small Transformer
    and the seeds 0, 1, 2. Raises `InputError` if an argument cannot be meant, if path finding is ill-posed on
    the world, or if the fleet to start from has another world, other seeds or other shapes.

    >>> plan = plan_paths(InContextPathFinding(arms=2, length=5), seeds=1)
    >>> plan.path.name[:27], plan.sizes.context_length
    ('in-context-2-5-transformer-', 31)
    """
    stored = start if start is None or isinstance(start, StoredFleet) else read_fleet(start)
    model = _find_path_model(model, stored)
    check_model(model)
    training = coerce_fields(training or PathTraining())
    check_training(training)
    seeds = check_seeds(seeds if seeds is not None else (stored.seeds if stored else 3))
    check_device(device)
    if training.precision == "bfloat16" and torch.device(device).type == "cpu":
        raise InputError(
            "precision is 'bfloat16' and device 'cpu', where it is slower than float32; leave precision "
            "out, or train on a GPU."
        )
    if isinstance(world, InContextPathFinding):
        if task is not None:
            raise InputError("The task is given twice; in context the world says what is asked for.")
        asked = coerce_fields(world)
        sizes = _prompt_sizes(asked, training)
        graph = in_context_graph(asked)
    else:
        asked = coerce_fields(task or PathFinding())
        graph = find_root(find_world(world))
        sizes = _graph_sizes(graph, asked)
    _check_batches(asked, training, sizes)
    kind = model.name
    configuration = {
        "world": {"name": graph.name, "digest": graph.digest},
        "task": {
            "kind": "path-finding" if isinstance(asked, PathFinding) else "in-context-path-finding",
            **asdict(asked),
        },
        "model": {"kind": kind, **asdict(model)},
        "training": asdict(training),
        "seeds": list(seeds),
    }
    if stored:
        stored = _check_start(stored, graph, model, kind, seeds)
        configuration["start"] = configuration_hash(stored.manifest["configuration"])
    name = safe_name(f"{graph.name}-{kind}-paths")
    cost = estimate_path_cost(model, sizes, training, run_count=len(seeds))
    return PathPlan(
        path=run_path(directory, name, configuration),
        name=name,
        graph=graph,
        model=model,
        kind=kind,
        task=asked,
        training=training,
        seeds=seeds,
        start=stored,
        configuration=configuration,
        sizes=sizes,
        cost=cost,
        disk_bytes=_disk_bytes(model, graph, sizes, training, len(seeds)),
        threads=1 if cost.flops_per_step < SINGLE_THREAD_FLOPS else torch.get_num_threads(),
        device=device,
    )


def estimate_path_cost(model: Model, sizes: Sizes, training: PathTraining, *, run_count: int) -> Cost:
    """Memory and arithmetic of path training, counted from sizes alone.

    Seven numbers per trained parameter (itself, gradient, AdamW's two moments and its scratch space, and the
    gradient of one micro-batch before it is added), an eighth if the weights are
    averaged; 16 vectors per position and block of one micro-batch, as
    `estimate_cost` counts them, and the states that are read with their gradient; three copies of one chunk
    of logits; what decodes the held-out answers; the rows of an epoch and each run's order of them; cosines
    of the held-out paths; snapshots.
    A matrix of size [out, in] costs 2 · out · in operations for every vector it meets, thrice with the
    backward pass; the read-out costs a fourth product more, since its logits are computed in chunks.

    >>> sizes = Sizes(3010, 3001, 8, 4, 750, 250, 3032)
    >>> model = path_models()["transformer"]
    >>> cost = estimate_path_cost(model, sizes, PathTraining(), run_count=1)
    >>> cost.trained_parameters, round(cost.memory_bytes / 1e6), round(cost.flops_per_step / 1e9, 1)
    (783104, 120, 5.9)
    """
    described = describe_parameters(
        model,
        vocabulary_size=sizes.vocabulary_size,
        context_length=sizes.context_length,
        node_count=sizes.node_count,
    )
    counts = {name: prod(parameter.shape) for name, parameter in described.items()}
    trained = sum(count for name, count in counts.items() if described[name].trained)
    frozen = sum(counts.values()) - trained
    matrices = sum(
        count
        for name, count in counts.items()
        if name.startswith("block") and len(described[name].shape) == 2 and name.endswith("weight")
    )
    pieces = training.batches * training.micro_batches
    path_rows, edge_rows = sizes.train_rows / pieces, sizes.edge_rows / pieces
    positions = path_rows * sizes.context_length + edge_rows * 2
    read_rows = path_rows * sizes.read + edge_rows
    vectors = model.count_activations(sizes.context_length)
    activations = model.layers * positions * vectors + 2 * read_rows * model.width
    logits = 3 * min(CHUNK_NUMBERS, read_rows * sizes.vocabulary_size)
    # Held-out answers are decoded in pieces, with what the model keeps of their prefixes.
    answers = 8 * min(CHUNK_NUMBERS, sizes.held_out_rows * sizes.vocabulary_size)
    cosines = 2 * sizes.held_out_rows**2
    snapshots = 2 * training.snapshots * sizes.node_count * model.width
    # Tokens and orders are whole numbers of eight bytes; slots have a weight as well.
    tables = 2 * (sizes.train_rows * (sizes.context_length + sizes.read) + sizes.edge_rows * (2 + SLOTS))
    tables += sizes.edge_rows * SLOTS
    orders = 2 * (sizes.train_rows + sizes.edge_rows)
    flops = training.micro_batches * (
        6 * positions * (matrices + 4 * model.layers * model.count_scan())
        + 8 * read_rows * sizes.vocabulary_size * model.width
    )
    per_run = (
        (7 + bool(training.averaging)) * trained
        + frozen
        + activations
        + logits
        + answers
        + cosines
        + snapshots
        + orders
    )
    return Cost(
        trained_parameters=trained,
        memory_bytes=ceil(4 * (run_count * per_run + tables)),
        flops_per_step=ceil(run_count * (flops + 14 * trained)),
    )


def estimate_seconds(plan: PathPlan) -> float:
    """About how long all epochs take: the counted arithmetic and calls of torch, at the rates measured now.

    Takes some hundredths of a second: a large matrix product and a hundred small sums, the best of three.
    """
    size = 1024 if torch.device(plan.device).type == "cpu" else 4096
    left = torch.ones(size, size, device=plan.device)
    product = _time(lambda: left @ left)
    small = torch.ones(16, 16, device=plan.device)
    call = CALL_COST * _time(lambda: sum([small] * 100, small)) / 100
    rows = plan.training.epochs // plan.training.metric_every + 2
    # A row of the metrics makes 2.5 times as many calls as a step.
    calls = plan.model.block_calls * plan.model.layers * plan.training.micro_batches
    arithmetic = plan.steps * plan.cost.flops_per_step * product / (2 * size**3 * TRAINING_SHARE)
    return arithmetic + (plan.steps + 2.5 * rows) * calls * call


def _time(compute: Callable[[], torch.Tensor]) -> float:
    """Seconds of a computation, the best of three after one to warm up."""
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        float(compute()[0, 0])  # a number on the host: so that a GPU has finished
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def check_memory(plan: PathPlan, free_bytes: int) -> None:
    """Raise `InputError` if the plan needs more memory than there is, before anything large is made."""
    if plan.cost.memory_bytes > free_bytes:
        runs = "1 run" if len(plan.seeds) == 1 else f"{len(plan.seeds)} runs"
        raise InputError(
            f"Path finding on {plan.graph.name!r} with {runs} needs about "
            f"{format_bytes(plan.cost.memory_bytes)} of memory, {format_bytes(free_bytes)} are free; "
            "use fewer arms, fewer seeds, a smaller width or more micro-batches."
        )


def answer_length(target: Target, length: int) -> int:
    """Tokens that are asked for, of a path of so many nodes.

    >>> answer_length("path", 6), answer_length("first-hop", 6)
    (6, 1)
    """
    return 1 if target == "first-hop" else length


def _graph_sizes(graph: Graph, task: PathFinding) -> Sizes:
    train, held_out = split_paths(graph, task)
    facts = directed_facts(graph, EdgeMemorization(directions=task.directions, self_edges=task.self_edges))
    degrees = np.bincount(facts[:, 0], minlength=graph.node_count)
    read = answer_length(task.target, train.shape[1])
    return Sizes(
        vocabulary_size=Vocabulary(graph.labels).size,
        node_count=graph.node_count,
        context_length=max(2, 2 + task.pauses + read - 1),
        read=read,
        train_rows=len(train) if task.path_weight else 0,
        held_out_rows=len(held_out),
        edge_rows=int((-(-degrees // SLOTS)).sum()) if task.edge_weight else 0,
    )


def _prompt_sizes(task: InContextPathFinding, training: PathTraining) -> Sizes:
    check_in_context(task)
    read = answer_length(task.target, task.length)
    check_size("in-context", task.node_tokens, node_count(task))
    return Sizes(
        vocabulary_size=in_context_vocabulary(task).size,
        node_count=task.node_tokens,
        context_length=3 * node_count(task) + read - 1,
        read=read,
        train_rows=training.prompts * training.batches,
        held_out_rows=0,
        edge_rows=0,
    )


def _find_path_model(model: Model | str | None, stored: StoredFleet | None) -> Model:
    """The configuration that is meant: itself, the laptop's of that name, or that of the stored fleet."""
    if model is None and stored:
        return stored_path_model(stored)
    if model is None:
        return path_models()["transformer"]
    if isinstance(model, str):
        if model not in path_models():
            raise InputError(f"{model!r} cannot find paths; give one of {', '.join(path_models())}.")
        return path_models()[model]
    check_reads_sequences(model)
    return coerce_fields(model)


def stored_path_model(stored: StoredFleet) -> Model:
    """The model of a stored fleet; raises `InputError` if it is none that can find paths."""
    described = dict(stored.manifest["configuration"]["model"])
    kind = described.pop("kind", None)
    if kind not in path_models():
        raise InputError(
            f"The run {stored.path} is of a {kind}, which cannot find paths; "
            f"start from one of {', '.join(path_models())}."
        )
    try:
        return coerce_fields(MODELS[kind](**described))
    except TypeError as error:
        raise InputError(
            f"The run {stored.path} has a model with other settings than this geomem knows; train it again."
        ) from error


def _check_batches(task: PathFinding | InContextPathFinding, training: PathTraining, sizes: Sizes) -> None:
    pieces = training.batches * training.micro_batches
    if isinstance(task, InContextPathFinding):
        if training.micro_batches > training.prompts:
            raise InputError(
                f"micro_batches is {training.micro_batches} but a batch has {training.prompts} prompts; "
                "give fewer micro-batches."
            )
        return
    for count, one, more in (
        (sizes.train_rows, "training path", "training paths"),
        (sizes.edge_rows, "row of edges", "rows of edges"),
    ):
        if 0 < count < pieces:
            there = f"there is only 1 {one}" if count == 1 else f"there are only {count} {more}"
            raise InputError(
                f"batches is {training.batches} and micro_batches {training.micro_batches}, but "
                f"{there}; give fewer of either, or more arms."
            )


def _check_start(
    stored: StoredFleet, graph: Graph, model: Model, kind: str, seeds: tuple[int, ...]
) -> StoredFleet:
    """The runs to start from, one per seed; raises `InputError` if they do not fit."""
    if stored.graph.digest != graph.digest:
        raise InputError(
            f"The run {stored.path} has another vocabulary, that of {stored.graph.name!r}, than "
            f"{graph.name!r}; start from a run on the same world."
        )
    if missing := [seed for seed in seeds if seed not in stored.seeds]:
        raise InputError(
            f"The run {stored.path} has the seeds {', '.join(map(str, stored.seeds))} and not {missing[0]}; "
            "start runs of seeds that it has."
        )
    former = stored_path_model(stored)
    given, had = asdict(model), asdict(former)
    # Whether embeddings are trained changes no shape: frozen ones may start from trained ones.
    differing = [name for name in given if name != "frozen_embeddings" and given[name] != had.get(name, None)]
    if type(former) is not type(model) or differing:
        name = differing[0] if type(former) is type(model) else "kind"
        there, here = (had[name], given[name]) if name != "kind" else (former.name, kind)
        raise InputError(
            f"The run {stored.path} has model {name} {there} and this one {here}; "
            "leave the model's options out to start from it."
        )
    return select_runs(stored, [stored.seeds.index(seed) for seed in seeds])


def _disk_bytes(model: Model, graph: Graph, sizes: Sizes, training: PathTraining, run_count: int) -> int:
    described = describe_parameters(
        model,
        vocabulary_size=sizes.vocabulary_size,
        context_length=sizes.context_length,
        node_count=sizes.node_count,
    )
    weights = 4 * run_count * sum(prod(parameter.shape) for parameter in described.values())
    snapshots = 4 * run_count * training.snapshots * sizes.node_count * model.width
    # Some thirty numbers of eight bytes in a row of the metrics, twice in the unpacked long table.
    metrics = 2 * 30 * 8 * run_count * (training.epochs // training.metric_every + 2)
    texts = 200 * graph.node_count + 60 * graph.edge_count + 10_000
    # While a checkpoint replaces the former both exist, each with two moments and the mean of the weights.
    return weights + snapshots + metrics + texts + 2 * (4 * weights + snapshots + metrics)
