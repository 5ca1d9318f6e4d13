"""Work kept part by part: fleets trained by the processes of `geomem.sweep.pool`.

Each finished fleet is a table `fleet-<number>.parquet` in the directory, renamed into place: interrupted work
goes on with the fleets that are missing, and the same work again trains nothing.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import polars as pl

from geomem.errors import InputError
from geomem.files import replace_file, write_json
from geomem.runs.directory import FORMAT, MANIFEST, configuration_hash, damaged, format_bytes, locked_run
from geomem.runs.environment import available_memory, describe_environment
from geomem.sweep.pool import KILLED, do_tasks

STEP_OVERHEAD = 60_000_000
"""Arithmetic that the hundred small operations of a step are worth: about 3 ms on one core."""

OPERATIONS_PER_SECOND = 18e9
"""What one core does in such small steps: `geomem capacity` as it is took 17 minutes of one."""


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
    """At the mean pace so far, in arithmetic done; before the first fleet by the arithmetic alone, which is
    right within a factor of two or three; 0 after the last."""
    processes: int
    """Fleets that are trained at a time."""
    memory_bytes: int
    """About what so many of the largest fleets take."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The fleets of one piece of work, and how each becomes a table with one row per run."""

    fleets: Sequence[Any]
    """Whatever `measure` takes; it goes to other processes."""
    measure: Callable[[Any], pl.DataFrame]
    """Trains a fleet and gives its table; a function of a module, for other processes must find it."""
    schema: Mapping[str, Any]
    run_counts: Sequence[int]
    arithmetic: Sequence[int]
    """Floating-point operations that each fleet takes, `STEP_OVERHEAD` a step among them."""
    memory_bytes: int
    """About what the largest fleet takes."""
    is_memorized: Callable[[pl.DataFrame], pl.Series]
    """Whether each run of a table recalls every fact."""


def check_processes(processes: int | None, *, fleet_bytes: int, fleet_count: int) -> int:
    """The number of processes that is meant: one per core unless given.

    Raises `InputError` for less than one, or if so many of the largest fleets do not fit into the memory.
    """
    if type(processes) is int and processes < 1:
        raise InputError(f"processes is {processes}; give a whole number of at least 1.")
    processes = processes or os.cpu_count() or 1
    at_a_time = min(processes, fleet_count)
    needed, free = at_a_time * fleet_bytes, available_memory()
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
    count = len(parts.fleets)
    with locked_run(path):
        kept = {
            number: table for number in range(count) if (table := _read_part(path, number, parts)) is not None
        }
        # Long fleets first: then no process is left alone with one at the end.
        order = sorted(set(range(count)) - set(kept), key=lambda number: -parts.arithmetic[number])
        if order:
            manifest = {"format": FORMAT, "hash": configuration_hash(configuration)}
            manifest |= {"configuration": dict(configuration), **describe_environment()}
            write_json(path / MANIFEST, manifest)
        began = monotonic()

        def tell() -> None:
            if not on_progress:
                return
            done = sum(parts.arithmetic[number] for number in order if number in kept)
            left = sum(parts.arithmetic[number] for number in order) - done
            seconds = monotonic() - began
            at_a_time = max(1, min(processes, len(order)))
            expected = seconds * left / done if done else left / OPERATIONS_PER_SECOND / at_a_time
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
                    seconds_left=float(expected),
                    processes=at_a_time,
                    memory_bytes=at_a_time * parts.memory_bytes,
                )
            )

        tell()
        try:
            tasks = [(path, number, parts.fleets[number], parts.measure, parts.schema) for number in order]
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
            for partial in path.glob("*.partial"):  # of processes that were ended while they wrote
                partial.unlink(missing_ok=True)
            finished = sum(_part_path(path, number).exists() for number in range(count))
            raise KeyboardInterrupt(
                f"interrupted; {finished} of {count} fleets are kept, and the same command goes on"
            ) from None
    return pl.concat([kept[number] for number in range(count)])


def _part_path(path: Path, number: int) -> Path:
    return path / f"fleet-{number:05}.parquet"


def _read_part(path: Path, number: int, parts: Parts) -> pl.DataFrame | None:
    """The table of a finished fleet, or None; `InputError` if it is not the one that was written."""
    part = _part_path(path, number)
    if not part.exists():
        return None
    try:
        table = pl.read_parquet(part, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged(part, "it is not a complete parquet file") from error
    sound = list(table.schema.items()) == list(parts.schema.items())
    if not sound or len(table) != parts.run_counts[number]:
        raise damaged(part, "it is not the table of this sweep's fleet")
    return table


def _write_part(
    path: Path, number: int, fleet: Any, measure: Callable[[Any], pl.DataFrame], schema: Mapping[str, Any]
) -> None:
    kinds: Any = dict(schema)
    table = measure(fleet).cast(kinds)
    replace_file(_part_path(path, number), lambda partial: table.write_parquet(partial))
