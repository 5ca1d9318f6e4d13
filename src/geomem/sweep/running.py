"""Sweeps: a grid of configurations trained as fleets, measured, and kept as one long table.

Learning rate, weight decay, scale of the initial weights and seed differ between the runs of one fleet;
everything else (worlds, widths, tasks, ...) makes fleets of its own. Fleets are trained by processes of one
thread each, through joblib's loky.

A sweep directory `<directory>/<name>-<hash12>/` holds `manifest.json` (the whole configuration) and
`fleet-<number>.parquet` for every finished fleet, renamed into place: an interrupted sweep goes on with the
fleets it lacks, and the same sweep again trains nothing.
"""

import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import current_thread, main_thread
from time import monotonic
from typing import Any

import polars as pl
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from geomem.checkpoint import format_bytes, locked_run
from geomem.errors import InputError
from geomem.memorize import available_memory, describe_environment
from geomem.models.configuration import MODELS, Model, check_model
from geomem.models.parameters import Cost, estimate_cost
from geomem.plan import check_seeds, find_model, in_types
from geomem.store import (
    FORMAT,
    MANIFEST,
    configuration_hash,
    damaged,
    replace_file,
    run_path,
    safe_name,
    write_json,
)
from geomem.sweep.grid import Fleet, Value, check_axes, find_worlds, plan_fleets
from geomem.sweep.measured import MEASUREMENTS, is_memorized, train_and_measure
from geomem.training.configuration import Training, check_training, default_training
from geomem.worlds.graph import Graph
from geomem.worlds.tasks import EdgeMemorization, edge_examples


@dataclass(frozen=True, eq=False)
class Sweep:
    """A finished sweep: one row per run, and the directory it is kept in."""

    table: pl.DataFrame
    """World, a column per axis, seed, then the `MEASUREMENTS`; a diverged run has NaN and no reading."""
    path: Path


@dataclass(frozen=True)
class SweepProgress:
    """Where a sweep stands: told once before training, then after every fleet."""

    path: Path
    fleet_count: int
    finished_fleets: int
    run_count: int
    finished_runs: int
    memorized_runs: int
    """Finished runs that recall every fact."""
    seconds: float
    """Since this process began or resumed the sweep."""
    seconds_left: float
    """At the mean pace so far, in arithmetic done; infinite before the first fleet, 0 after the last."""


def sweep(
    world: Graph | str | os.PathLike[str] | Sequence[Graph | str | os.PathLike[str]] | object,
    model: Model | str = "transformer",
    *,
    axes: Mapping[str, Sequence[Value]],
    task: EdgeMemorization | None = None,
    training: Training | None = None,
    seeds: int | Sequence[int] = 1,
    directory: str | os.PathLike[str] = "sweeps",
    processes: int | None = None,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> Sweep:
    """Train one run per seed and cell of a grid, and measure them all.

    `axes` maps a name to its values: `learning_rate`, `weight_decay`, `scale` (a factor on every initial
    weight), or any field of the model, the task or the training; several worlds are an axis as well.
    `processes` is the number of processes (default: one per core), each of one thread. A run is the run that
    `memorize` trains from the same configuration and seed. Finished fleets are kept, so that an interrupted
    sweep goes on and the same sweep again trains nothing.

    Raises `InputError` for an axis or value that cannot be meant, or if memory or disk will not do.

    >>> import tempfile
    >>> from geomem.models.configuration import Node2Vec
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     found = sweep("cycle", Node2Vec(width=8), axes={"learning_rate": [0.01, 0.02], "width": [4, 8]},
    ...         training=Training(steps=5), seeds=3, directory=directory, processes=1)
    >>> found.table.shape[0], found.table.columns[:4]
    (12, ['world', 'learning_rate', 'width', 'seed'])
    """
    graphs = find_worlds(world)
    model = in_types(find_model(model))
    task = in_types(task or EdgeMemorization())
    training = in_types(training or default_training(model))
    seeds = check_seeds(seeds)
    # Only the last embeddings are measured.
    training = replace(training, snapshots=2)
    axes = check_axes(axes, model, task, training)
    if type(processes) is int and processes < 1:
        raise InputError(f"processes is {processes}; give a whole number of at least 1.")
    processes = processes or os.cpu_count() or 1
    fleets = plan_fleets(graphs, model, task, training, axes, seeds)
    costs = [_check_fleet(fleet) for fleet in fleets]
    _require_memory(max(cost.memory_bytes for cost in costs), min(processes, len(fleets)))
    kind = next(name for name, configuration in MODELS.items() if isinstance(model, configuration))
    configuration = {
        "worlds": [{"name": graph.name, "digest": graph.digest} for graph in graphs],
        "task": {"kind": "edge-memorization", **asdict(task)},
        "model": {"kind": kind, **asdict(model)},
        "training": asdict(training),
        "axes": {name: list(values) for name, values in axes.items()},
        "seeds": list(seeds),
    }
    name = safe_name(f"{graphs[0].name if len(graphs) == 1 else f'{len(graphs)}-worlds'}-{kind}-sweep")
    path = run_path(directory, name, configuration)
    with locked_run(path):
        schema = _schema(axes)
        tables = {number: _read_part(path, number, fleets[number], schema) for number in range(len(fleets))}
        kept = {number: table for number, table in tables.items() if table is not None}
        # Long fleets first: then no process is left alone with one at the end.
        order = sorted(set(tables) - set(kept), key=lambda number: -costs[number].flops_per_step)
        if order:
            manifest = {"format": FORMAT, "hash": configuration_hash(configuration)}
            manifest |= {"configuration": configuration, **describe_environment()}
            write_json(path / MANIFEST, manifest)
        work = {number: costs[number].flops_per_step * fleets[number].training.steps for number in order}
        began = monotonic()

        def tell() -> None:
            if not on_progress:
                return
            done = sum(work[number] for number in order if number in kept)
            left = sum(work.values()) - done
            seconds = monotonic() - began
            finished = pl.concat(kept.values()) if kept else pl.DataFrame(schema=schema)
            on_progress(
                SweepProgress(
                    path=path,
                    fleet_count=len(fleets),
                    finished_fleets=len(kept),
                    run_count=sum(len(fleet.runs) for fleet in fleets),
                    finished_runs=len(finished),
                    memorized_runs=int(is_memorized(finished).sum()),
                    seconds=seconds,
                    seconds_left=seconds * left / done if done else 0.0 if not left else float("inf"),
                )
            )

        tell()
        try:
            numbers = _train(path, [(number, fleets[number]) for number in order], processes)
            with closing(numbers), warnings.catch_warnings():
                # Of an interrupted sweep joblib would say that its tasks were cancelled, as they should be.
                warnings.filterwarnings("ignore", ".*unnecessary computation time")
                for number in numbers:
                    table = _read_part(path, number, fleets[number], schema)
                    if table is not None:
                        kept[number] = table
                    tell()
        except TerminatedWorkerError as error:
            raise InputError(
                "A process of the sweep was ended from outside, perhaps for lack of memory; use fewer "
                "processes and run the same command again, which goes on with what is finished."
            ) from error
        except KeyboardInterrupt:
            finished = sum(_part_path(path, number).exists() for number in range(len(fleets)))
            raise KeyboardInterrupt(
                f"interrupted; {finished} of {len(fleets)} fleets are kept, and the same command goes on"
            ) from None
    return Sweep(pl.concat([kept[number] for number in range(len(fleets))]), path)


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


def _require_memory(fleet_bytes: int, processes: int) -> None:
    needed, free = processes * fleet_bytes, available_memory()
    if needed > free:
        raise InputError(
            f"{processes} fleets at a time need about {format_bytes(needed)} of memory, {format_bytes(free)} "
            "are free; use fewer processes or a smaller width."
        )


def _schema(axes: Mapping[str, Sequence[Value]]) -> dict[str, Any]:
    kinds = {float: pl.Float64, int: pl.Int64, bool: pl.Boolean, str: pl.String}
    columns = {name: kinds[type(values[0])] for name, values in axes.items()}
    return {"world": pl.String, **columns, "seed": pl.Int64, **MEASUREMENTS}


def _part_path(path: Path, number: int) -> Path:
    return path / f"fleet-{number:05}.parquet"


def _read_part(path: Path, number: int, fleet: Fleet, schema: dict[str, Any]) -> pl.DataFrame | None:
    """The table of a finished fleet, or None; `InputError` if it is not the one that was written."""
    part = _part_path(path, number)
    if not part.exists():
        return None
    try:
        table = pl.read_parquet(part, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged(part, "it is not a complete parquet file") from error
    if list(table.schema.items()) != list(schema.items()) or len(table) != len(fleet.runs):
        raise damaged(part, "it is not the table of this sweep's fleet")
    return table


def _write_part(path: Path, number: int, fleet: Fleet) -> int:
    table = train_and_measure(fleet)
    schema: Any = _schema({name: [value] for name, value in fleet.cells[0].items() if name != "world"})
    table = table.cast(schema)
    replace_file(_part_path(path, number), lambda partial: table.write_parquet(partial))
    return number


def _train(path: Path, fleets: list[tuple[int, Fleet]], processes: int) -> Generator[int, None, None]:
    """Train fleets, in this process or in several; give the number of each as it ends."""
    processes = min(processes, len(fleets))
    if processes <= 1:
        for number, fleet in fleets:
            yield _write_part(path, number, fleet)
        return
    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel: Any = Parallel(n_jobs=processes, return_as="generator_unordered")
        with _without_interrupts():
            numbers = parallel(delayed(_write_part)(path, number, fleet) for number, fleet in fleets)
        yield from numbers


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C goes to every process of the terminal; those started here ignore it, and the parent answers."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
