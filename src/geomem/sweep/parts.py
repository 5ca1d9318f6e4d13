"""Work kept part by part: fleets trained by the processes of `geomem.sweep.pool`.

Each finished fleet is a table `fleet-<number>.parquet` in the directory, renamed into place; one that is
being trained has its checkpoint in `unfinished/fleet-<number>/`. Interrupted work goes on and ends in the
same bits, and the same work again trains nothing.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import polars as pl

from geomem.errors import InputError
from geomem.files import remove_leftovers, replace_file, write_json
from geomem.runs.checkpoint import StateShape, remove_checkpoint
from geomem.runs.directory import (
    FORMAT,
    MANIFEST,
    configuration_hash,
    format_bytes,
    locked_run,
    read_table,
    table_file,
)
from geomem.runs.environment import available_memory, check_device, describe_environment
from geomem.runs.pace import LEAST_STEPS, estimate_each, measure_pace
from geomem.runs.train import Checkpoints, stop_between_steps
from geomem.sweep.pool import KILLED, do_tasks

UNFINISHED = "unfinished"
"""Directory of the checkpoints; it is gone when all fleets are finished."""

STEP_OVERHEAD = 60_000_000
"""Arithmetic that the hundred small operations of a step are worth: about 3 ms on one core."""

PROCESS_BYTES = 280_000_000
"""What another process holds before it trains: Python and the libraries."""

START_SECONDS = 3.0
"""What other processes take until they train."""


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
    """At the mean pace so far; before the first fleet is done, at that of a few steps of three of them; 0
    after the last."""
    processes: int
    """Fleets that are trained at a time."""
    memory_bytes: int
    """About what so many of the largest fleets take."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The fleets of one piece of work, and how each becomes a table with one row per run."""

    fleets: Sequence[Any]
    """Dataclasses that `measure` takes, with their `training`; they go to other processes."""
    measure: Callable[..., pl.DataFrame]
    """Trains a fleet, with `device` and the `hooks` of `Checkpoints` as further arguments, and gives its
    table; a function of a module, for other processes must find it."""
    state_shape: Callable[[Any], StateShape]
    """What a checkpoint of a fleet holds; a function of a module as well."""
    schema: Mapping[str, Any]
    run_counts: Sequence[int]
    arithmetic: Sequence[int]
    """Floating-point operations that each fleet takes, `STEP_OVERHEAD` a step among them."""
    memory_bytes: int
    """About what the largest fleet takes."""
    is_memorized: Callable[[pl.DataFrame], pl.Series]
    """Whether each run of a table recalls every fact."""
    device: str = "cpu"


def check_processes(processes: int | None, *, fleet_bytes: int, fleet_count: int, device: str = "cpu") -> int:
    """The number of processes: unless given, one per core, and a single one on a card.

    Raises `InputError` for less than one, for a device that is not there, or if so many of the largest fleets
    do not fit into its memory.
    """
    if type(processes) is int and processes < 1:
        raise InputError(f"processes is {processes}; give a whole number of at least 1.")
    check_device(device)
    processes = processes or (os.cpu_count() if device == "cpu" else 1) or 1
    at_a_time = min(processes, fleet_count)
    each = fleet_bytes + (PROCESS_BYTES if at_a_time > 1 else 0)
    needed, free = at_a_time * each, available_memory(device)
    if needed > free:
        raise InputError(
            f"{at_a_time} fleets at a time need about {format_bytes(needed)} of memory, {format_bytes(free)} "
            "are free; use fewer processes or a smaller width."
        )
    return processes


def complete_parts(
    parts: Parts,
    path: Path,
    configuration: Mapping[str, Any],
    *,
    processes: int,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> pl.DataFrame:
    """Train the fleets that the directory lacks, and give the rows of all, fleet by fleet.

    Raises `InputError` if a kept table is not the one that was written, or a process was ended from outside;
    `KeyboardInterrupt`, with what is kept, after Ctrl-C.
    """
    count, digest = len(parts.fleets), configuration_hash(configuration)
    with locked_run(path):
        remove_leftovers(path)
        kept = {
            number: table for number in range(count) if (table := _read_part(path, number, parts)) is not None
        }
        # Long fleets first: then no process is left alone with one at the end.
        order = sorted(set(range(count)) - set(kept), key=lambda number: -parts.arithmetic[number])
        at_a_time = max(1, min(processes, len(order)))
        expected = _expect(parts, order) if on_progress and order else {}
        began = monotonic()

        def tell() -> None:
            if not on_progress:
                return
            done = sum(expected[number] for number in order if number in kept)
            left = sum(expected.values()) - done
            seconds = monotonic() - began
            if done:
                left *= seconds / done
            elif order:
                longest = max(expected.values())
                left = max(left / at_a_time, longest) + (START_SECONDS if at_a_time > 1 else 0.0)
            schema: Any = dict(parts.schema)
            finished = pl.concat(kept.values()) if kept else pl.DataFrame(schema=schema)
            on_progress(
                SweepProgress(
                    path=path,
                    fleet_count=count,
                    finished_fleets=len(kept),
                    run_count=sum(parts.run_counts),
                    finished_runs=len(finished),
                    memorized_runs=int(parts.is_memorized(finished).sum()),
                    seconds=seconds,
                    seconds_left=float(left),
                    processes=at_a_time,
                    memory_bytes=at_a_time * (parts.memory_bytes + (PROCESS_BYTES if at_a_time > 1 else 0)),
                )
            )

        tell()
        if order:
            manifest = {"format": FORMAT, "hash": digest}
            manifest |= {"configuration": dict(configuration), **describe_environment(parts.device)}
            write_json(path / MANIFEST, manifest)
        try:
            measure = partial(parts.measure, device=parts.device)
            common = (measure, parts.state_shape, parts.schema, digest)
            tasks = [(path, number, parts.fleets[number], *common) for number in order]
            with closing(do_tasks(_write_part, tasks, processes=min(processes, len(tasks)))) as done:
                for place, given in done:
                    if given == KILLED:
                        raise InputError(
                            "A process of the sweep was ended from outside, perhaps for lack of memory; use "
                            "fewer processes and run the same command again, which goes on with what is "
                            "finished."
                        )
                    table = _read_part(path, order[place], parts)
                    if table is not None:
                        kept[order[place]] = table
                    tell()
        except KeyboardInterrupt:
            finished = sum(_part_path(path, number).exists() for number in range(count))
            raise KeyboardInterrupt(
                f"interrupted; {finished} of {count} fleets are kept, and the same command goes on"
            ) from None
        shutil.rmtree(path / UNFINISHED, ignore_errors=True)
    return pl.concat([kept[number] for number in range(count)])


def _expect(parts: Parts, order: Sequence[int]) -> dict[int, float]:
    """About how many seconds each of some fleets takes on one core."""

    def measure(place: int) -> float:
        fleet = parts.fleets[order[place]]
        few = min(LEAST_STEPS, fleet.training.steps)
        short = replace(fleet, training=replace(fleet.training, steps=few, warmup_steps=0, metric_every=2))
        pace = measure_pace(partial(parts.measure, short), short.training, device=parts.device)
        return pace.seconds(fleet.training)

    counted = np.array([float(parts.arithmetic[number]) for number in order])
    return dict(zip(order, estimate_each(counted, measure).tolist(), strict=True))


def _part_path(path: Path, number: int) -> Path:
    return path / f"fleet-{number:05}.parquet"


def _read_part(path: Path, number: int, parts: Parts) -> pl.DataFrame | None:
    """The table of a finished fleet, or None; `InputError` if it is not the one that was written."""
    part = _part_path(path, number)
    if not part.exists() and not part.is_symlink():
        return None
    table = read_table(part, parts.schema, damaged=_damaged_part)
    if len(table) != parts.run_counts[number]:
        raise _damaged_part(part, "it is not the table of this sweep's fleet")
    return table


def _damaged_part(part: Path, why: str) -> InputError:
    return InputError(
        f"{part} is damaged ({why}); delete this file alone and run the same command again, which trains its "
        "runs again."
    )


def _write_part(
    path: Path,
    number: int,
    fleet: Any,
    measure: Callable[..., pl.DataFrame],
    state_shape: Callable[[Any], StateShape],
    schema: Mapping[str, Any],
    digest: str,
) -> None:
    """Train a fleet from its checkpoint on, if it has one, and keep its table instead."""
    own, kinds = path / UNFINISHED / f"fleet-{number:05}", pl.Schema(schema)
    with locked_run(own):
        checkpoints = Checkpoints(own, digest, partial(state_shape, fleet))
        with stop_between_steps(checkpoints):
            table = measure(fleet, **checkpoints.hooks)
        replace_file(_part_path(path, number), table_file(table.cast(kinds)))
        remove_checkpoint(own)
