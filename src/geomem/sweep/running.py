"""Sweeps: a grid of configurations trained as fleets, measured, and kept as one long table.

Learning rate, weight decay, scale of the initial weights and seed differ between the runs of one fleet;
everything else (worlds, widths, tasks, ...) makes fleets of its own.

A sweep directory `<directory>/<name>-<hash12>/` holds `manifest.json` (the whole configuration) and
`fleet-<number>.parquet` for every finished fleet (`geomem.sweep.parts`).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from geomem.fields import coerce_fields
from geomem.models.configuration import Model, check_model
from geomem.models.own import Factory
from geomem.models.parameters import Cost, estimate_cost
from geomem.runs.checkpoint import StateShape, moments
from geomem.runs.directory import run_path, safe_name
from geomem.runs.job import check_seeds, find_model
from geomem.sweep.engines.work import Engine
from geomem.sweep.grid import Fleet, Value, check_axes, find_worlds, plan_fleets
from geomem.sweep.measured import MEASUREMENTS, is_memorized, train_and_measure
from geomem.sweep.parts import STEP_OVERHEAD, Parts, SweepProgress, choose_engine, complete_parts
from geomem.training.configuration import Training, check_training, default_training
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization, edge_examples


@dataclass(frozen=True, eq=False)
class Sweep:
    """A finished sweep: one row per run, and the directory it is kept in."""

    table: pl.DataFrame
    """World, a column per axis, seed, then the `MEASUREMENTS`; a diverged run has NaN and no reading."""
    path: Path


def sweep(
    world: Graph | str | os.PathLike[str] | Sequence[Graph | str | os.PathLike[str]] | object,
    model: Model | Factory | str = "transformer",
    *,
    axes: Mapping[str, Sequence[Value]],
    task: EdgeMemorization | None = None,
    training: Training | None = None,
    seeds: int | Sequence[int] = 1,
    directory: str | os.PathLike[str] = "sweeps",
    processes: int | None = None,
    engine: Engine | None = None,
    device: str = "cpu",
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> Sweep:
    """Train one run per seed and cell of a grid, and measure them all.

    `axes` maps a name to its values: `learning_rate`, `weight_decay`, `scale` (a factor on every initial
    weight), or any field of the model, the task or the training; several worlds are an axis as well.
    `processes` is the number of processes (default: one per core, one on a card), each of one thread. A run
    is the run that `memorize` trains from the same configuration and seed. Finished fleets are kept, so that
    an interrupted sweep goes on and the same sweep again trains nothing.

    Raises `InputError` for an invalid axis or value, if the device is missing, or if memory is too small.

    >>> import tempfile
    >>> from geomem.models.configuration import Node2Vec
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     found = sweep("cycle", Node2Vec(width=8), axes={"learning_rate": [0.01, 0.02], "width": [4, 8]},
    ...         training=Training(steps=5), seeds=3, directory=directory, processes=1)
    >>> found.table.shape[0], found.table.columns[:4]
    (12, ['world', 'learning_rate', 'width', 'seed'])
    """
    graphs = find_worlds(world)
    model = coerce_fields(find_model(model))
    task = coerce_fields(task or EdgeMemorization())
    training = coerce_fields(training or default_training(model))
    seeds = check_seeds(seeds)
    # Only the last embeddings are measured.
    training = replace(training, snapshots=2)
    axes = check_axes(axes, model, task, training)
    fleets = plan_fleets(graphs, model, task, training, axes, seeds)
    costs = [_check_fleet(fleet) for fleet in fleets]
    largest = max(cost.memory_bytes for cost in costs)
    engine = choose_engine(engine, processes, fleet_bytes=largest, fleet_count=len(fleets), device=device)
    configuration = {
        "worlds": [{"name": graph.name, "digest": graph.digest} for graph in graphs],
        "task": {"kind": "edge-memorization", **asdict(task)},
        "model": {"kind": model.name, **asdict(model)},
        "training": asdict(training),
        "axes": {name: list(values) for name, values in axes.items()},
        "seeds": list(seeds),
    }
    name = safe_name(f"{graphs[0].name if len(graphs) == 1 else f'{len(graphs)}-worlds'}-{model.name}-sweep")
    path = run_path(directory, name, configuration)
    parts = Parts(
        fleets,
        train_and_measure,
        _state_shape,
        schema=_schema(axes),
        run_counts=[len(fleet.runs) for fleet in fleets],
        arithmetic=[
            fleet.training.steps * (cost.flops_per_step + STEP_OVERHEAD)
            for cost, fleet in zip(costs, fleets, strict=True)
        ],
        memory_bytes=largest,
        is_memorized=is_memorized,
        device=device,
    )
    table = complete_parts(parts, path, configuration, engine=engine, on_progress=on_progress)
    return Sweep(table, path)


def _check_fleet(fleet: Fleet) -> Cost:
    """The cost of a fleet whose configuration was found to be one."""
    check_model(fleet.model)
    check_training(fleet.training)
    examples = edge_examples(fleet.graph, fleet.task)
    return estimate_cost(
        fleet.model,
        vocabulary_size=examples.vocabulary_size,
        context_length=examples.prefixes.shape[1],
        node_count=fleet.graph.node_count,
        example_count=examples.example_count,
        run_count=len(fleet.runs),
    )


def _state_shape(fleet: Fleet) -> StateShape:
    return StateShape(
        runs=len(fleet.runs),
        steps=fleet.training.steps,
        parameters=_check_fleet(fleet).trained_parameters,
        snapshot=(fleet.graph.node_count, fleet.model.width),
        remembered=moments(fleet.training.optimizer),
    )


def _schema(axes: Mapping[str, Sequence[Value]]) -> dict[str, Any]:
    kinds = {float: pl.Float64, int: pl.Int64, bool: pl.Boolean, str: pl.String}
    columns = {name: kinds[type(values[0])] for name, values in axes.items()}
    return {"world": pl.String, **columns, "seed": pl.Int64, **MEASUREMENTS}
