"""What a sweep keeps of a fleet: one row of measurements per run."""

from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.models.recall import count_trained, pad_models, pad_sizes
from geomem.runs.checkpoint import StateShape, moments
from geomem.runs.configuration import Task
from geomem.runs.environment import limit_threads
from geomem.runs.facts import question_answers
from geomem.runs.run import memory_size
from geomem.runs.train import state_shape
from geomem.sweep.grid import AnyFleet, FactFleet, Fleet
from geomem.training.configuration import PathTraining, RecallRun, RecallTraining, Training
from geomem.training.facts import train_recall
from geomem.training.floor import lowest_loss
from geomem.training.metrics import WHOLE
from geomem.worlds.facts.table import entropy_bits
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.tasks import edge_examples

MEASUREMENTS = {
    "loss": pl.Float64,
    "excess_loss": pl.Float64,
    "associative_accuracy": pl.Float64,
    "geometric_level": pl.Float64,
    "geometric_level_peak": pl.Float64,
    "fiedler_alignment": pl.Float64,
    "neighbour_cosine": pl.Float64,
    "second_neighbour_cosine": pl.Float64,
    "reading": pl.String,
}
"""What is measured of every run on edges after its last step; the peak is over all rows of the metrics."""

_ANSWERS = ("exact_match", "first_hop", "first_hop_among_arms", "path_loss")

PROMPT_MEASUREMENTS = {
    "trained_epochs": pl.Int64,
    "loss": pl.Float64,
    **{f"held_out_{name}": pl.Float64 for name in _ANSWERS},
}
"""The same of path finding in context: its last row of metrics, and how many epochs there were."""

PATH_MEASUREMENTS = {
    **PROMPT_MEASUREMENTS,
    **{f"train_{name}": pl.Float64 for name in _ANSWERS},
    "edge_loss": pl.Float64,
    "edge_recall": pl.Float64,
    "retrieval": pl.Float64,
    "leaf_first_own": pl.Float64,
    "leaf_first_other": pl.Float64,
    "path_own": pl.Float64,
    "path_other": pl.Float64,
}
"""The same of path finding in the weights."""

FACT_MEASUREMENTS = {
    "loss": pl.Float64,
    "recall": pl.Float64,
    "margin": pl.Float64,
    "weights": pl.Int64,
    "bits": pl.Float64,
}
"""The same of facts: its last row of metrics, how many weights are trained, the entropy of the facts."""


def measurements_of(task: Task, training: Any) -> dict[str, Any]:
    """The columns that a run of a task has besides its settings, with their types.

    >>> list(measurements_of(InContextPathFinding(), PathTraining()))[:2]
    ['trained_epochs', 'loss']
    """
    if isinstance(training, RecallTraining):
        return FACT_MEASUREMENTS
    if isinstance(task, InContextPathFinding):
        return PROMPT_MEASUREMENTS
    return PATH_MEASUREMENTS if isinstance(training, PathTraining) else MEASUREMENTS


def train_and_measure(fleet: AnyFleet, **hooks: Any) -> pl.DataFrame:
    """Train a fleet on one thread and measure every run: its cell, the seed, the measurements of its task.

    `hooks` are arguments of `train_fleet`.
    """
    if isinstance(fleet, FactFleet):
        seeds = [run.settings.seed for run in fleet.runs]
        measured = _measure_recall(fleet, hooks)
    else:
        seeds = [run.seed for run in fleet.runs]
        kinds = {Training: _measure_edges, PathTraining: _measure_paths, RecallTraining: _measure_module}
        measured = kinds[type(fleet.training)](fleet, hooks)
    columns = {name: [cell[name] for cell in fleet.cells] for name in fleet.cells[0]}
    return pl.DataFrame(columns | {"seed": seeds} | measured)


def _measure_edges(fleet: Fleet, hooks: dict[str, Any]) -> dict[str, Any]:
    from geomem.measure.edges import measure_snapshots

    job, graph = fleet.job, fleet.world
    with limit_threads(1):
        trained = job.train(runs=fleet.runs, **hooks)
    embeddings = trained.snapshots[-1]
    curves = measure_snapshots(embeddings[None], graph)
    nothing = np.full(len(fleet.runs), np.nan)
    loss, level = trained.metrics["loss"][-1], trained.metrics["geometric_level"]
    return {
        "loss": loss,
        "excess_loss": loss - lowest_loss(fleet.model, edge_examples(graph, fleet.task)),
        "associative_accuracy": trained.metrics["associative_accuracy"][-1],
        "geometric_level": level[-1],
        "geometric_level_peak": np.fmax.reduce(level, axis=0),
        "fiedler_alignment": curves.get("fiedler_alignment", nothing[None])[0],
        "neighbour_cosine": curves["geometric_level"][0],
        "second_neighbour_cosine": curves.get("second_neighbour_cosine", nothing[None])[0],
        "reading": read_runs(embeddings.astype(np.float64), graph),
    }


def _measure_paths(fleet: Fleet, hooks: dict[str, Any]) -> dict[str, Any]:
    job = fleet.job
    with limit_threads(1):
        trained = job.train(runs=fleet.runs, **hooks)
    last = {name.replace(".", "_"): rows[-1] for name, rows in trained.metrics.items()}
    epochs = int(trained.metric_steps[-1]) // fleet.training.batches
    last["trained_epochs"] = np.full(len(fleet.runs), epochs)
    nothing = np.full(len(fleet.runs), np.nan)
    return {name: last.get(name, nothing) for name in measurements_of(fleet.task, fleet.training)}


def _measure_recall(fleet: FactFleet, hooks: dict[str, Any]) -> dict[str, Any]:
    runs = [
        RecallRun(
            run.model, memory_size(run.table), question_answers(run.table, run.model.hops), run.settings
        )
        for run in fleet.runs
    ]
    with limit_threads(1):
        trained = train_recall(runs, fleet.training, **hooks)
    weights = [count_trained(run.model, memory_size(run.table)) for run in fleet.runs]
    return _of_facts(trained, weights, [run.table for run in fleet.runs])


def _measure_module(fleet: Fleet, hooks: dict[str, Any]) -> dict[str, Any]:
    """A person's own module on facts."""
    job = fleet.job
    with limit_threads(1):
        trained = job.train(runs=fleet.runs, **hooks)
    count = len(fleet.runs)
    return _of_facts(trained, [job.cost.trained_parameters] * count, [job.world] * count)


def _of_facts(trained: Any, weights: list[int], tables: list[Any]) -> dict[str, Any]:
    last = {name: rows[-1] for name, rows in trained.metrics.items() if name in FACT_MEASUREMENTS}
    return last | {"weights": weights, "bits": [entropy_bits(table) for table in tables]}


def fleet_state(fleet: AnyFleet) -> StateShape:
    """What a checkpoint of a fleet holds."""
    if not isinstance(fleet, FactFleet):
        return state_shape(fleet.job)
    model = pad_models([run.model for run in fleet.runs])
    size = pad_sizes([memory_size(run.table) for run in fleet.runs])
    return StateShape(
        runs=len(fleet.runs),
        steps=fleet.training.steps,
        parameters=count_trained(model, size),
        snapshot=(size.subjects, model.width),
        remembered=moments("adamw"),
    )


def read_runs(embeddings: Float[np.ndarray, "run node width"], graph: Graph) -> list[str | None]:
    """The word of `READINGS` for every run's embedding; None where a number is NaN or infinite.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> read_runs(np.stack([circle, circle * np.nan]), cycle(15))
    ['geometric', None]
    """
    from geomem.geometry.reading import read_embeddings

    sound = np.array([np.isfinite(run).all() for run in embeddings])
    words = iter(reading.word for reading in read_embeddings(embeddings[sound], graph))
    return [next(words) if finite else None for finite in sound]


def is_memorized(table: pl.DataFrame) -> pl.Series:
    """Whether each run recalls everything: the first metric of `WHOLE` that it has is 1.

    >>> is_memorized(pl.DataFrame({"associative_accuracy": [1.0, 0.97]})).to_list()
    [True, False]
    """
    there = [name for name in WHOLE if name in table.columns]
    return table.select((pl.coalesce(there) == 1.0).fill_null(False)).to_series()
