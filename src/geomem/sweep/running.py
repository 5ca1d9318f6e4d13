"""Sweeps: grids of configurations trained as fleets, measured, and kept as one long table.

Learning rate, weight decay, scale of the initial weights and seed differ between the runs of one fleet, of
facts widths and tables too; everything else (worlds, widths, tasks, ...) makes fleets of its own.

A sweep directory `<directory>/<name>-<hash12>/` holds `manifest.json` (the whole configuration) and
`fleet-<number>.parquet` for every finished fleet (`geomem.sweep.parts`).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from geomem.fields import coerce_fields
from geomem.models.configuration import Model
from geomem.models.own import Factory
from geomem.runs.configuration import describe_configuration
from geomem.runs.directory import MANIFEST, MANIFEST_LIMIT, damaged, read_json, run_path
from geomem.runs.job import check_seeds, find_model
from geomem.sweep.engines.work import Engine
from geomem.sweep.grid import Block, Value, check_axes, find_worlds, name_columns, plan_fleets
from geomem.sweep.measured import fleet_state, is_memorized, measurements_of, train_and_measure
from geomem.sweep.parts import (
    STEP_OVERHEAD,
    Parts,
    SweepProgress,
    choose_engine,
    complete_parts,
    preview_parts,
)
from geomem.training.configuration import Training, default_training, step_count
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization


@dataclass(frozen=True, eq=False)
class Sweep:
    """A finished sweep: one row per run, and the directory it is kept in."""

    table: pl.DataFrame
    """World, a column per axis and per setting that differs between blocks, seed, then the measurements of
    its tasks; a diverged run has NaN and no reading, and what a run does not have is null."""
    path: Path


@dataclass(frozen=True, eq=False)
class Plan:
    """What a sweep would train, and where."""

    parts: Parts
    path: Path
    configuration: dict[str, Any]
    engine: Engine


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
    """Train one run per seed and cell of a grid on edges, and measure them all.

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
    block = edge_block(world, model, axes=axes, task=task, training=training, seeds=seeds)
    plan = plan_blocks([block], directory=directory, processes=processes, engine=engine, device=device)
    return run_plan(plan, on_progress)


def edge_block(
    world: Any,
    model: Model | Factory | str = "transformer",
    *,
    axes: Mapping[str, Sequence[Value]],
    task: EdgeMemorization | None = None,
    training: Training | None = None,
    seeds: int | Sequence[int] = 1,
) -> Block:
    """The one block of a sweep, from what `sweep` takes.

    >>> edge_block(["cycle", "grid"], "bilinear", axes={"width": [4, 8]}, seeds=3).run_count
    12
    """
    worlds = find_worlds(world)
    found = coerce_fields(find_model(model))
    task = coerce_fields(task or EdgeMemorization())
    # Only the last embeddings are measured.
    training = replace(coerce_fields(training or default_training(found)), snapshots=2)
    return Block(worlds, task, found, training, check_axes(axes, found, task, training), check_seeds(seeds))


def train_blocks(
    blocks: Sequence[Block],
    *,
    directory: str | os.PathLike[str] = "sweeps",
    processes: int | None = None,
    engine: Engine | None = None,
    device: str = "cpu",
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> Sweep:
    """Train all runs of some blocks, as `read_study` makes them of a file; the rest is as in `sweep`.

    >>> import tempfile
    >>> from geomem.sweep.study_files import read_blocks
    >>> blocks = read_blocks([{"world": ["cycle", "grid"], "model": "bilinear", "width": 4, "steps": 5}])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     train_blocks(blocks, directory=directory, processes=1).table.select("world", "seed").rows()
    [('cycle-15', 0), ('grid-4-4', 0)]
    """
    plan = plan_blocks(blocks, directory=directory, processes=processes, engine=engine, device=device)
    return run_plan(plan, on_progress)


def plan_blocks(
    blocks: Sequence[Block],
    *,
    directory: str | os.PathLike[str] = "sweeps",
    processes: int | None = None,
    engine: Engine | None = None,
    device: str = "cpu",
) -> Plan:
    """What `train_blocks` would train with the same arguments; nothing is written.

    Raises `InputError` as `sweep` does.
    """
    described = [_describe(block) for block in blocks]
    if len(blocks) == 1:
        worlds, configuration = blocks[0].worlds, described[0]
        world = worlds[0].name if len(worlds) == 1 else f"{len(worlds)}-worlds"
        name = f"{world}-{configuration['model']['kind']}-sweep"
    else:
        name, configuration = "sweep", {"blocks": described}
    path = run_path(directory, name, configuration)
    blocks = _in_kept_order(path, blocks)
    fleets = plan_fleets(blocks)
    costs = [fleet.cost for fleet in fleets]
    largest = max(cost.memory_bytes for cost in costs)
    engine = choose_engine(engine, processes, fleet_bytes=largest, fleet_count=len(fleets), device=device)
    parts = Parts(
        fleets,
        train_and_measure,
        fleet_state,
        schema=_schema(blocks, [cell for fleet in fleets for cell in fleet.cells]),
        run_counts=[len(fleet.runs) for fleet in fleets],
        arithmetic=[
            step_count(fleet.training) * (cost.flops_per_step + STEP_OVERHEAD)
            for cost, fleet in zip(costs, fleets, strict=True)
        ],
        memory_bytes=largest,
        is_memorized=is_memorized,
        device=device,
    )
    return Plan(parts, path, configuration, engine)


def run_plan(plan: Plan, on_progress: Callable[[SweepProgress], None] | None = None) -> Sweep:
    """Train what is planned and not kept yet."""
    table = complete_parts(
        plan.parts, plan.path, plan.configuration, engine=plan.engine, on_progress=on_progress
    )
    return Sweep(table, plan.path)


def preview(plan: Plan) -> SweepProgress:
    """Where a planned sweep stands, and the time and memory that it takes; nothing is written."""
    return preview_parts(plan.parts, plan.path, engine=plan.engine)


def _describe(block: Block) -> dict[str, Any]:
    """A block as a manifest has it."""
    first = describe_configuration(block.worlds[0], block.task, block.model, block.training, block.seeds)
    del first["world"]
    worlds = [{"name": world.name, "digest": world.digest} for world in block.worlds]
    return {"worlds": worlds, **first, "axes": {name: list(values) for name, values in block.axes.items()}}


def _in_kept_order(path: Path, blocks: Sequence[Block]) -> Sequence[Block]:
    """The blocks with their axes in the order that a kept sweep of the same settings has them.

    The hash of a sweep does not depend on the order, but which run is in which fleet does.
    """
    if not os.path.lexists(path / MANIFEST):
        return blocks
    manifest = read_json(path / MANIFEST, limit=MANIFEST_LIMIT)
    try:
        kept = manifest["configuration"]
        orders = [list(was["axes"]) for was in kept.get("blocks", [kept])]
        if [sorted(order) for order in orders] != [sorted(block.axes) for block in blocks]:
            raise KeyError("axes")
    except (AttributeError, KeyError, TypeError) as error:
        raise damaged(path / MANIFEST, "it is not that of this sweep") from error
    return [
        replace(block, axes={name: block.axes[name] for name in order})
        for block, order in zip(blocks, orders, strict=True)
    ]


def _schema(blocks: Sequence[Block], cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The columns of a sweep with their types."""
    kinds = {float: pl.Float64, int: pl.Int64, bool: pl.Boolean, str: pl.String}
    columns = {}
    for name in name_columns(blocks):
        found = {type(cell[name]) for cell in cells} - {type(None)}
        columns[name] = kinds[found.pop()] if len(found) == 1 else pl.String
    measured = {}
    for block in blocks:
        measured |= measurements_of(block.task, block.training)
    return {**columns, "seed": pl.Int64, **measured}
