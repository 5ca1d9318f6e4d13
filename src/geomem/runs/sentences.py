"""Memorising the edges of a graph that is told in sentences: runs in a directory."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from geomem.errors import InputError
from geomem.fields import coerce_fields
from geomem.models.architecture import Sizes as ModelSizes
from geomem.models.configuration import Model, check_model
from geomem.models.own import Factory
from geomem.runs.configuration import model_kind
from geomem.runs.job import Job, check_seeds, job_name
from geomem.runs.path_cost import Sizes, estimate_path_cost
from geomem.runs.paths import check_batches, count_path_disk, find_path_model
from geomem.runs.run import Run
from geomem.runs.told import told_vocabulary
from geomem.training.configuration import PathTraining, RunSettings, check_training, run_settings
from geomem.training.treatment import NOTHING, Settings, Treatment, intervene
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.language.telling import Telling, Told, tell, tell_in

if TYPE_CHECKING:
    from geomem.runs.train import Event
    from geomem.training.loop import Trained

PUBLISHED = {"learning_rate": 3e-3, "batches": 4, "metric_every": 10, "epochs": 250, "weight_decay": 0.0}
"""What differs from `PathTraining` where nothing else is asked for."""


def tell_graph(
    world: Graph | str | os.PathLike[str] | object,
    *,
    task: Telling | None = None,
    model: Model | Factory | str | None = None,
    training: PathTraining | None = None,
    seeds: int | Sequence[int] | None = None,
    interventions: Sequence[str] = (),
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    on_progress: "Callable[[Event], None] | None" = None,
) -> Run:
    """Train one run per seed on the edges of a world told in sentences, and keep all in a run directory.

    `world` is as `memorize` takes worlds; `task` says in which sentences it is told (`tell_in`), those for
    any graph if not given; `model` reads sequences, a small Transformer if not given. An epoch has every text
    once; the metrics are those of `geomem.training.sentences`. The same configuration again trains nothing;
    an interrupted one goes on where its last checkpoint left it and ends in the same bits.

    Raises `InputError` if an argument is invalid, if memory or disk is too small, or if another process is
    training the same configuration.

    >>> import tempfile
    >>> from geomem.models.configuration import Transformer
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     short = PathTraining(epochs=1, batches=2, warmup_steps=0)
    ...     fleet = tell_graph("cycle", model=Transformer(width=8), training=short, directory=directory)
    ...     fleet.seeds, fleet.embeddings().shape
    ((0, 1, 2), (3, 15, 8))
    """
    from geomem.runs.train import train

    job = sentence_job(
        world, task=task, model=model, training=training, seeds=seeds, interventions=interventions
    )
    return train(job, directory, device=device, on_progress=on_progress)


def sentence_job(
    world: Graph | str | os.PathLike[str] | object,
    *,
    task: Telling | None = None,
    model: Model | Factory | str | None = None,
    training: PathTraining | None = None,
    seeds: int | Sequence[int] | None = None,
    interventions: Sequence[str] = (),
    treatment: Treatment = NOTHING,
) -> Job:
    """What `tell_graph` would do with the same arguments; nothing is written.

    Raises `InputError` if an argument is invalid.

    >>> job = sentence_job("cycle", seeds=1)
    >>> job.path().name[:31], job.counts["texts"]
    ('cycle-15-transformer-sentences-', 120)
    """
    graph = find_world(world)
    asked = coerce_fields(task or tell_in("graph"))
    given = Settings(asked, find_path_model(model), coerce_fields(training or default_telling()), treatment)
    settings = intervene(interventions, given)
    asked, model, training, treatment = (settings.task, settings.model, settings.training, settings.treatment)
    check_model(model)
    check_training(training)
    if treatment.reads_graph:
        raise InputError(
            "An intervention reads the embeddings of nodes, and in sentences there are none; leave it out."
        )
    seeds = check_seeds(3 if seeds is None else seeds)
    told = tell(graph, asked)
    sizes = Sizes(
        vocabulary_size=told.vocabulary_size,
        node_count=graph.node_count,
        context_length=told.context_length,
        read=told.texts.shape[1] - 1,
        train_rows=told.fact_texts + told.drawn_ways,
        held_out_rows=len(told.texts),
        edge_rows=0,
    )
    fewest = told.drawn_ways or told.fact_texts
    check_batches(training, replace(sizes, train_rows=fewest), rows=("text", "texts"), more="sentences")
    model = model.fit(ModelSizes(sizes.vocabulary_size, sizes.context_length, sizes.node_count))
    kept, disk = count_path_disk(
        model,
        sizes,
        training,
        run_count=len(seeds),
        metric_count=11 if told.ways else 7,
        text_bytes=200 * graph.node_count + 60 * (graph.edge_count + told.vocabulary_size) + 100_000,
    )
    return Job(
        world=graph,
        task=asked,
        model=model,
        training=training,
        seeds=seeds,
        name=job_name(graph, model_kind(model), "sentences"),
        counts={"texts": len(told.texts)},
        cost=estimate_path_cost(model, sizes, training, run_count=len(seeds)),
        kept_bytes=kept,
        disk_bytes=disk,
        train=partial(_train, told, model, training, seeds, treatment),
        treatment=treatment,
        told=told_vocabulary(told),
    )


def default_telling() -> PathTraining:
    """How runs are trained on sentences if nobody says otherwise.

    >>> default_telling().epochs
    250
    """
    return PathTraining(**PUBLISHED)


def _train(
    told: Told,
    model: Model,
    training: PathTraining,
    seeds: tuple[int, ...],
    treatment: Treatment,
    runs: Sequence[RunSettings] | None = None,
    **hooks: Any,
) -> "Trained":
    from geomem.training.paths import train_paths
    from geomem.training.treated import treat_graph

    hooks |= {"treated": treat_graph(treatment, None, model.width)}
    return train_paths(model, told, runs or run_settings(training, seeds), training, **hooks)
