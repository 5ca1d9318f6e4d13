"""Memorising edges: a world, a task, a model and seeds become runs in a directory."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from geomem.fields import coerce_fields
from geomem.models.architecture import Sizes
from geomem.models.configuration import Model, check_model
from geomem.models.own import Factory
from geomem.models.parameters import describe_parameters, estimate_cost
from geomem.runs.configuration import model_kind
from geomem.runs.job import Job, check_seeds, count_disk, find_model, job_name
from geomem.runs.run import Run, read_run
from geomem.runs.start import Start, start_of
from geomem.training.configuration import (
    RunSettings,
    Training,
    check_training,
    default_training,
    run_settings,
)
from geomem.training.treatment import NOTHING, Settings, Treatment, intervene
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization, Examples, directed_facts, edge_examples

if TYPE_CHECKING:
    from geomem.runs.train import Event
    from geomem.training.loop import Trained


def memorize(
    world: Graph | str | os.PathLike[str] | object,
    *,
    model: Model | Factory | str | None = None,
    task: EdgeMemorization | None = None,
    training: Training | None = None,
    seeds: int | Sequence[int] | None = None,
    interventions: Sequence[str] = (),
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    start: Run | str | os.PathLike[str] | None = None,
    on_progress: "Callable[[Event], None] | None" = None,
) -> Run:
    """Train one run per seed to hold the edges of a world, and keep everything in a run directory.

    `world` is a graph, the name of a built-in world, a file of edges, or a graph of networkx, scipy, pandas
    or polars; `model` a configuration, an architecture's name, or a function from `Sizes` to a
    `torch.nn.Module` that maps tokens to logits (see `own_module`), a Transformer if not given; `seeds` a
    count (3 means 0, 1, 2, as if not given) or the seeds themselves; `training` the architecture's published
    setting if not given. `start` are finished runs on the same world whose weights these begin with, seed by
    seed; model and seeds then are theirs unless given. The same configuration again trains nothing; an
    interrupted one goes on where its last checkpoint left it and ends in the same bits (same machine, same
    versions).

    Raises `InputError` if an argument is invalid, if the runs to start from do not fit, if memory or disk is
    too small, or if another process is training the same configuration.

    >>> import tempfile
    >>> from geomem.models.configuration import Node2Vec
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     short = Training(steps=5)
    ...     fleet = memorize("cycle", model=Node2Vec(width=8), training=short, directory=directory)
    ...     fleet.seeds, fleet.graph.name
    ((0, 1, 2), 'cycle-15')
    """
    from geomem.runs.train import train

    job = edge_job(
        world,
        model=model,
        task=task,
        training=training,
        seeds=seeds,
        start=start,
        interventions=interventions,
    )
    return train(job, directory, device=device, on_progress=on_progress)


def edge_job(
    world: Graph | str | os.PathLike[str] | object,
    *,
    model: Model | Factory | str | None = None,
    task: EdgeMemorization | None = None,
    training: Training | None = None,
    seeds: int | Sequence[int] | None = None,
    start: Run | Start | str | os.PathLike[str] | None = None,
    interventions: Sequence[str] = (),
    treatment: Treatment = NOTHING,
) -> Job:
    """What `memorize` would do with the same arguments; nothing is written.

    `treatment` is what interventions that were applied before do beside the settings. Raises `InputError` if
    an argument is invalid.

    >>> from geomem.models.configuration import Node2Vec
    >>> edge_job("cycle", model=Node2Vec(width=8)).path("runs").name[:18]
    'cycle-15-node2vec-'
    """
    graph = find_world(world)
    stored = start if start is None or isinstance(start, Run | Start) else read_run(start, holding="graph")
    runs = stored if isinstance(stored, Run) else None
    model = coerce_fields(find_model(model or (runs.model if runs else "transformer")))
    task = coerce_fields(task or EdgeMemorization())
    training = coerce_fields(training or default_training(model))
    settings = intervene(interventions, Settings(task, model, training, treatment))
    task, model, training = settings.task, settings.model, settings.training
    check_model(model)
    check_training(training)
    seeds = check_seeds(seeds if seeds is not None else (runs.seeds if runs else 3))
    examples = edge_examples(graph, task)
    model = fit_to_edges(model, graph, examples)
    if isinstance(stored, Run):
        stored = start_of(stored, graph, model, seeds)
    sizes = {
        "vocabulary_size": examples.vocabulary_size,
        "context_length": examples.prefixes.shape[1],
        "node_count": graph.node_count,
    }
    cost = estimate_cost(model, **sizes, example_count=examples.example_count, run_count=len(seeds))
    kept, disk, written = count_disk(
        describe_parameters(model, **sizes),
        len(seeds),
        snapshot_numbers=training.snapshots * graph.node_count * model.width,
        rows=training.steps // training.metric_every + 2,
        metric_count=4,
        text_bytes=200 * graph.node_count + 60 * graph.edge_count + 10_000,
    )

    return Job(
        world=graph,
        task=task,
        model=model,
        training=training,
        seeds=seeds,
        name=job_name(graph, model_kind(model)),
        counts={"facts": examples.fact_count},
        # Snapshots are in a list, joined, and in the bytes that are written and read again.
        cost=replace(cost, memory_bytes=cost.memory_bytes + 4 * written),
        kept_bytes=kept,
        disk_bytes=disk,
        train=partial(_train, graph, task, model, training, seeds, examples, stored, settings.treatment),
        start=stored,
        treatment=settings.treatment,
    )


def fit_to_edges(model: Model, graph: Graph, examples: Examples) -> Model:
    """The model as it is for the examples of a graph (`Model.fit`)."""
    return model.fit(Sizes(examples.vocabulary_size, examples.prefixes.shape[1], graph.node_count))


def _train(
    graph: Graph,
    task: EdgeMemorization,
    model: Model,
    training: Training,
    seeds: tuple[int, ...],
    examples: Examples,
    start: Start | None,
    treatment: Treatment,
    runs: Sequence[RunSettings] | None = None,
    **hooks: Any,
) -> "Trained":
    from geomem.training.edges import train_fleet
    from geomem.training.treated import treat_graph

    runs, pairs = runs or run_settings(training, seeds), directed_pairs(graph, task)
    hooks |= {"start": start.weights() if start else None}
    hooks |= {"treated": treat_graph(treatment, graph, model.width)}
    return train_fleet(model, examples, pairs, graph.node_count, runs, training, **hooks)


def directed_pairs(graph: Graph, task: EdgeMemorization) -> Int[np.ndarray, "pair 2"]:
    """The facts whose cosine is the geometric level: all that do not ask a node for itself."""
    facts = directed_facts(graph, task)
    return facts[facts[:, 0] != facts[:, 1]]
