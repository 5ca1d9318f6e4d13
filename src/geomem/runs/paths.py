"""Path finding on a graph whose edges are held in the weights: runs in a directory."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from geomem.errors import InputError
from geomem.fields import coerce_fields
from geomem.models.architecture import Sizes as ModelSizes
from geomem.models.configuration import Model, check_model, check_reads_sequences, path_models
from geomem.models.own import Factory, OwnModule
from geomem.models.parameters import describe_parameters
from geomem.runs.configuration import model_kind
from geomem.runs.job import Job, check_seeds, count_disk, find_model, job_name
from geomem.runs.path_cost import SLOTS, Sizes, answer_length, context_length, estimate_path_cost
from geomem.runs.prompts import prompt_sizes
from geomem.runs.run import Run, read_run
from geomem.runs.start import Start, start_of
from geomem.training.configuration import PathTraining, RunSettings, check_training, run_settings
from geomem.training.treatment import NOTHING, Settings, Treatment, intervene
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.graphs.roots import find_root
from geomem.worlds.in_context import InContextPathFinding, in_context_graph
from geomem.worlds.path_finding import PathFinding, split_paths
from geomem.worlds.tasks import EdgeMemorization, directed_facts
from geomem.worlds.vocabulary import Vocabulary

if TYPE_CHECKING:
    from geomem.runs.train import Event
    from geomem.training.loop import Trained


def find_paths(
    world: Graph | InContextPathFinding | str | os.PathLike[str] | object,
    *,
    model: Model | Factory | str | None = None,
    task: PathFinding | None = None,
    training: PathTraining | None = None,
    seeds: int | Sequence[int] | None = None,
    interventions: Sequence[str] = (),
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    start: Run | str | os.PathLike[str] | None = None,
    on_progress: "Callable[[Event], None] | None" = None,
) -> Run:
    """Train one run per seed to name the path to a leaf, and keep everything in a run directory.

    `world` is a path-star or tree-star as `memorize` takes worlds, or an `InContextPathFinding`, which shows
    a fresh small path-star in every prompt; `start` finished runs on the same world whose weights these
    begin with, seed by seed (staged training); `interventions` are as in `memorize`. Weights of the task at 0
    leave out edges or paths. Metrics are those of `geomem.training.path_metrics`; the world stored for
    prompts is that of the first one tested. The same configuration again trains nothing; an interrupted one
    goes on where its last checkpoint left it and ends in the same bits (same machine, same versions).

    Raises `InputError` if an argument is invalid, if path finding is ill-posed on the world, if the runs to
    start from do not fit, if memory or disk is too small, or if another process is training the same
    configuration.

    >>> import tempfile
    >>> from geomem.models.configuration import Transformer
    >>> from geomem.worlds.graphs.families import path_star
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     short = PathTraining(epochs=4, warmup_steps=2)
    ...     star = path_star(arms=20, length=3)
    ...     fleet = find_paths(star, model=Transformer(width=8), training=short, directory=directory)
    ...     fleet.seeds, fleet.task.held_out
    ((0, 1, 2), 0.25)
    """
    from geomem.runs.train import train

    job = path_job(
        world,
        model=model,
        task=task,
        training=training,
        seeds=seeds,
        start=start,
        interventions=interventions,
    )
    return train(job, directory, device=device, on_progress=on_progress)


def path_job(
    world: Graph | InContextPathFinding | str | os.PathLike[str] | object,
    *,
    model: Model | Factory | str | None = None,
    task: PathFinding | None = None,
    training: PathTraining | None = None,
    seeds: int | Sequence[int] | None = None,
    start: Run | Start | str | os.PathLike[str] | None = None,
    interventions: Sequence[str] = (),
    treatment: Treatment = NOTHING,
) -> Job:
    """What `find_paths` would do with the same arguments; nothing is written and no row of tokens made.

    With `start`, the model and the seeds are those of these runs unless given; without, a small Transformer
    and the seeds 0, 1, 2. Raises `InputError` if an argument is invalid, if path finding is ill-posed on
    the world, or if the runs to start from have another world, other seeds or other shapes.

    >>> job = path_job(InContextPathFinding(arms=2, length=5), seeds=1)
    >>> job.path().name[:27], job.counts["prompts"]
    ('in-context-2-5-transformer-', 2048)
    """
    stored = start if start is None or isinstance(start, Run | Start) else read_run(start, holding="graph")
    runs = stored if isinstance(stored, Run) else None
    model = find_path_model(model, runs)
    training = coerce_fields(training or PathTraining())
    in_context = isinstance(world, InContextPathFinding)
    asked = coerce_fields(world if in_context else task or PathFinding())
    settings = intervene(interventions, Settings(asked, model, training, treatment))
    asked, model, training = settings.task, settings.model, settings.training
    check_model(model)
    check_training(training)
    if isinstance(model, OwnModule) and training.precision == "bfloat16":
        raise InputError(
            "precision is 'bfloat16' and the model a module of your own, which computes as it is written; "
            "give --precision float32."
        )
    seeds = check_seeds(seeds if seeds is not None else (runs.seeds if runs else 3))
    if isinstance(asked, InContextPathFinding):
        if task is not None:
            raise InputError("The task is given twice; in context the world says what is asked for.")
        graph, sizes = in_context_graph(asked), prompt_sizes(asked, training)
        counts = {"prompts": sizes.train_rows}
    else:
        graph = find_root(find_world(world))
        sizes = path_sizes(graph, asked)
        check_batches(training, sizes)
        both = 2 if asked.directions == "both" else 1
        edges = both * graph.edge_count + asked.self_edges * graph.node_count
        counts = {"edges": edges if asked.edge_weight else 0, "paths": sizes.train_rows}
    model = model.fit(ModelSizes(sizes.vocabulary_size, sizes.context_length, sizes.node_count))
    if isinstance(stored, Run):
        stored_path_model(stored)
        stored = start_of(stored, graph, model, seeds)
    cost = estimate_path_cost(model, sizes, training, run_count=len(seeds))
    kept, disk = count_path_disk(
        model,
        sizes,
        training,
        run_count=len(seeds),
        metric_count=30,
        text_bytes=200 * graph.node_count + 60 * graph.edge_count + 10_000,
    )

    return Job(
        world=graph,
        task=asked,
        model=model,
        training=training,
        seeds=seeds,
        name=job_name(graph, model_kind(model), "paths"),
        counts=counts,
        cost=cost,
        kept_bytes=kept,
        disk_bytes=disk,
        train=partial(_train, graph, asked, model, training, seeds, stored, settings.treatment),
        start=stored,
        treatment=settings.treatment,
    )


def _train(
    graph: Graph,
    asked: PathFinding | InContextPathFinding,
    model: Model,
    training: PathTraining,
    seeds: tuple[int, ...],
    start: Start | None,
    treatment: Treatment,
    runs: Sequence[RunSettings] | None = None,
    **hooks: Any,
) -> "Trained":
    from geomem.training.path_batches import path_examples
    from geomem.training.paths import train_paths
    from geomem.training.treated import treat_graph

    in_context = isinstance(asked, InContextPathFinding)
    examples = asked if in_context else path_examples(graph, asked)
    hooks |= {"start": start.weights() if start else None}
    hooks |= {"treated": treat_graph(treatment, None if in_context else graph, model.width)}
    runs = runs or run_settings(training, seeds)
    return train_paths(model, examples, runs, training, **hooks)


def path_sizes(graph: Graph, task: PathFinding) -> Sizes:
    """What the cost of path finding on a graph is counted from; raises `InputError` as `split_paths` does.

    >>> from geomem.worlds.graphs.families import path_star
    >>> path_sizes(path_star(arms=20, length=3), PathFinding()).train_rows
    15
    """
    train, held_out = split_paths(graph, task)
    facts = directed_facts(graph, EdgeMemorization(directions=task.directions, self_edges=task.self_edges))
    degrees = np.bincount(facts[:, 0], minlength=graph.node_count)
    read = answer_length(task.target, train.shape[1])
    return Sizes(
        vocabulary_size=Vocabulary(graph.labels).size,
        node_count=graph.node_count,
        context_length=context_length(task, train.shape[1]),
        read=read,
        train_rows=len(train) if task.path_weight else 0,
        held_out_rows=len(held_out),
        edge_rows=int((-(-degrees // SLOTS)).sum()) if task.edge_weight else 0,
    )


def count_path_disk(
    model: Model, sizes: Sizes, training: PathTraining, *, run_count: int, metric_count: int, text_bytes: int
) -> tuple[int, int]:
    """Bytes of disk that runs trained in epochs keep and take at most, as `count_disk` counts."""
    kept, most, _ = count_disk(
        describe_parameters(
            model,
            vocabulary_size=sizes.vocabulary_size,
            context_length=sizes.context_length,
            node_count=sizes.node_count,
        ),
        run_count,
        snapshot_numbers=training.snapshots * sizes.node_count * model.width,
        rows=training.epochs // training.metric_every + 2,
        metric_count=metric_count,
        text_bytes=text_bytes,
        averaging=True,
    )
    return kept, most


def check_batches(
    training: PathTraining,
    sizes: Sizes,
    *,
    rows: tuple[str, str] = ("training path", "training paths"),
    more: str = "arms",
) -> None:
    """Raise `InputError` if there are more batches than rows to fill them.

    `rows` is what one and several of those trained are called, and `more` what would make more of them.
    """
    pieces = training.batches * training.micro_batches
    for count, one, several in (
        (sizes.train_rows, *rows),
        (sizes.edge_rows, "row of edges", "rows of edges"),
    ):
        if 0 < count < pieces:
            there = f"there is only 1 {one}" if count == 1 else f"there are only {count} {several}"
            raise InputError(
                f"batches is {training.batches} and micro_batches {training.micro_batches}, but "
                f"{there}; give fewer of either, or more {more}."
            )


def find_path_model(model: Model | Factory | str | None, stored: Run | None = None) -> Model:
    """Resolve a name to the laptop's configuration, and None to that of the runs to start from."""
    if model is None and stored:
        return stored_path_model(stored)
    if model is None:
        return path_models()["transformer"]
    if isinstance(model, str):
        if model not in path_models():
            raise InputError(f"{model!r} cannot find paths; give one of {', '.join(path_models())}.")
        return path_models()[model]
    model = find_model(model)
    check_reads_sequences(model)
    return coerce_fields(model)


def stored_path_model(stored: Run) -> Model:
    """The model of stored runs; raises `InputError` if it cannot find paths."""
    if stored.model.laptop is not None:
        return stored.model
    raise InputError(
        f"The run {stored.path} is of a {stored.model.name}, which cannot find paths; "
        f"start from one of {', '.join(path_models())}."
    )
