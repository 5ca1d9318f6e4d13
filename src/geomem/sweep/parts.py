"""Work kept part by part: fleets trained by an engine of `geomem.sweep.engines`.

Each finished fleet is a table `fleet-<number>.parquet` in the directory, renamed into place by whoever
trained it; one that is being trained has its checkpoint in `unfinished/fleet-<number>/`, and of one that
failed `failed/fleet-<number>.txt` says why. Interrupted work goes on and ends in the same bits, whatever
engine goes on with it, and the same work again trains nothing.
"""

import os
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, fields, replace
from functools import partial
from math import nan
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import polars as pl

from geomem.errors import InputError
from geomem.files import make_parent, remove_leftovers, replace_file, text_file, write_json
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
from geomem.runs.environment import available_memory, check_device, describe_environment, has_device
from geomem.runs.pace import estimate_each, measure_pace, shortened
from geomem.runs.train import Checkpoints, stop_between_steps
from geomem.sweep.engines.processes import Processes, find_engine
from geomem.sweep.engines.work import Engine, Outcome, Work, finish

UNFINISHED = "unfinished"
"""Directory of the checkpoints; it is gone when all fleets are finished."""

FAILED = "failed"
"""Directory of the tracebacks of fleets that failed; it is gone when all fleets are finished."""

CORE_ARITHMETIC = 2e10
"""Floating-point operations a second on one core, about, where nothing was timed."""

STEP_OVERHEAD = 60_000_000
"""Arithmetic that the hundred small operations of a step are worth: about 3 ms on one core."""

PROCESS_BYTES = 280_000_000
"""What another process holds before it trains: Python and the libraries."""

SHOWN = 500
"""Characters of each part of a failed fleet that are kept beside its traceback."""

START_SECONDS = 3.0
"""What other processes take until they train."""


@dataclass(frozen=True)
class SweepProgress:
    """Where a sweep stands: told once before training, then after every fleet."""

    path: Path
    fleet_count: int
    finished_fleets: int
    failed_fleets: int
    run_count: int
    finished_runs: int
    memorized_runs: int
    """Finished runs that recall every fact."""
    seconds: float
    """Since this process began or resumed the sweep."""
    seconds_left: float
    """At the mean pace so far; before the first fleet is done, at that of a few steps of three of them (NaN
    if this machine lacks the device); 0 after the last."""
    processes: int
    """Fleets that are trained at a time, by the engine's workers."""
    memory_bytes: int
    """About what so many of the largest fleets take."""

    @property
    def running_fleets(self) -> int:
        """Fleets that are being trained now, if all workers are busy."""
        return min(self.processes, self.fleet_count - self.finished_fleets - self.failed_fleets)


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


def choose_engine(
    engine: Engine | None, processes: int | None, *, fleet_bytes: int, fleet_count: int, device: str = "cpu"
) -> Engine:
    """The engine for some fleets, as `find_engine` says.

    Raises `InputError` also, where the engine is processes of this machine, for a device that is not there,
    or if so many of the largest fleets do not fit into its memory.
    """
    engine = find_engine(engine, processes, device)
    if not isinstance(engine, Processes):
        return engine
    check_device(device)
    at_a_time = min(engine.count, fleet_count)
    each = fleet_bytes + (PROCESS_BYTES if at_a_time > 1 else 0)
    needed, free = at_a_time * each, available_memory(device)
    if needed > free:
        raise InputError(
            f"{at_a_time} fleets at a time need about {format_bytes(needed)} of memory, {format_bytes(free)} "
            "are free; use fewer processes or a smaller width."
        )
    return engine


def complete_parts(
    parts: Parts,
    path: Path,
    configuration: Mapping[str, Any],
    *,
    engine: Engine,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> pl.DataFrame:
    """Let an engine train the fleets that the directory lacks, and give the rows of all, fleet by fleet.

    A fleet that fails does not stop the others. Raises `InputError` if a kept table is not the one that was
    written, if the engine cannot be reached, or at the end if a fleet failed; `KeyboardInterrupt`, with what
    is kept, after Ctrl-C.
    """
    count, digest = len(parts.fleets), configuration_hash(configuration)
    with locked_run(path):
        remove_leftovers(path)
        kept, order = _look(parts, path)
        failed: dict[int, Outcome] = {}
        with engine.connected(parts.device) if order else nullcontext(1) as workers:
            here = has_device(parts.device)
            expected = _expect(parts, order, timed=bool(here and on_progress))
            teller = _Teller(parts, path, kept, failed, expected, workers, on_progress)
            teller.tell(seconds_left=None if here else nan)
            if order:
                manifest = {"format": FORMAT, "hash": digest, "configuration": dict(configuration)}
                manifest |= {"fleets": count}
                manifest |= describe_environment(parts.device if here else "cpu")
                write_json(path / MANIFEST, manifest | ({} if here else {"device": parts.device}))
            try:
                # Closed here: Ctrl-C while workers are being ended is heard as well.
                with closing(_train(parts, path, digest, engine, expected)) as trained:
                    for number, outcome in trained:
                        if outcome.status == "done":
                            (path / FAILED / _failure_name(number)).unlink(missing_ok=True)
                            kept[number] = teller.count(_read_part(path, number, parts))
                        else:
                            failed[number] = outcome
                            _keep_failure(path, number, parts.fleets[number], outcome)
                        teller.tell()
            except KeyboardInterrupt:
                finished = sum(_part_path(path, number).exists() for number in range(count))
                raise KeyboardInterrupt(
                    f"interrupted; {finished} of {count} fleets are kept, and the same command goes on"
                ) from None
        if failed:
            first = min(failed)
            raise InputError(
                f"{len(failed)} of {count} fleets failed, as {path / FAILED / _failure_name(first)} says "
                f"({failed[first].error.rstrip('.')}); the others are kept, and the same command tries these "
                "again."
            )
        for name in (UNFINISHED, FAILED):
            shutil.rmtree(path / name, ignore_errors=True)
    return pl.concat([kept[number] for number in range(count)])


def preview_parts(parts: Parts, path: Path, *, engine: Engine) -> SweepProgress:
    """Where work stands and what is left of it would take; nothing is trained to its end or written.

    Raises `InputError` as `complete_parts` does before it trains.
    """
    kept, order = _look(parts, path)
    with engine.connected(parts.device) if order else nullcontext(1) as workers:
        here, told = has_device(parts.device), []
        expected = _expect(parts, order, timed=here)
        _Teller(parts, path, kept, {}, expected, workers, told.append).tell(
            seconds_left=None if here else nan
        )
    return told[0]


def _look(parts: Parts, path: Path) -> tuple[dict[int, pl.DataFrame], list[int]]:
    """The tables of the fleets that are finished, and the numbers of the others in the order of training."""
    count = len(parts.fleets)
    kept = {
        number: _read_part(path, number, parts)
        for number in range(count)
        if os.path.lexists(_part_path(path, number))
    }
    # Long fleets first: then no worker is left alone with one at the end.
    return kept, sorted(set(range(count)) - set(kept), key=lambda number: -parts.arithmetic[number])


def _train(
    parts: Parts, path: Path, digest: str, engine: Engine, expected: Mapping[int, float]
) -> Generator[tuple[int, Outcome], None, None]:
    """Let the engine train the expected fleets; the number of each with its outcome, as it ends."""
    path = path.absolute()  # a worker may be anywhere
    measure = partial(parts.measure, device=parts.device)
    write = partial(_write_part, path, measure, parts.state_shape, parts.schema, digest)
    works = {
        _part_path(path, number): Work(
            path=_part_path(path, number),
            task=(number, parts.fleets[number]),
            perform=write,
            seconds=seconds,
            device=parts.device,
            memory_bytes=parts.memory_bytes + PROCESS_BYTES,
        )
        for number, seconds in expected.items()
    }
    with closing(finish(engine, list(works.values()))) as outcomes:
        for outcome in outcomes:
            yield works[outcome.path].task[0], outcome


class _Teller:
    """Says where a sweep stands; looks at what is kept and what failed."""

    def __init__(
        self,
        parts: Parts,
        path: Path,
        kept: Mapping[int, pl.DataFrame],
        failed: Mapping[int, Outcome],
        expected: Mapping[int, float],
        workers: int,
        on_progress: Callable[[SweepProgress], None] | None,
    ):
        self.parts, self.path, self.kept, self.failed = parts, path, kept, failed
        self.expected, self.on_progress = expected, on_progress
        self.at_a_time = min(workers, max(1, len(expected)))
        self.runs = self.memorized = 0
        self.began = monotonic()
        for table in kept.values():
            self.count(table)

    def count(self, table: pl.DataFrame) -> pl.DataFrame:
        """Count the runs of a finished fleet."""
        self.runs += len(table)
        self.memorized += int(self.parts.is_memorized(table).sum())
        return table

    def tell(self, *, seconds_left: float | None = None) -> None:
        """Say it; the time left is estimated unless given."""
        if not self.on_progress:
            return
        seconds, done, left = monotonic() - self.began, 0.0, []
        for number, took in self.expected.items():
            if number in self.kept:
                done += took
            elif number not in self.failed:
                left.append(took)
        if seconds_left is None and done:
            seconds_left = sum(left) * seconds / done
        elif seconds_left is None:
            begin = START_SECONDS if left and self.at_a_time > 1 else 0.0
            seconds_left = begin + max([sum(left) / self.at_a_time, *left])
        each = self.parts.memory_bytes + (PROCESS_BYTES if self.at_a_time > 1 else 0)
        self.on_progress(
            SweepProgress(
                path=self.path,
                fleet_count=len(self.parts.fleets),
                finished_fleets=len(self.kept),
                failed_fleets=len(self.failed),
                run_count=sum(self.parts.run_counts),
                finished_runs=self.runs,
                memorized_runs=self.memorized,
                seconds=seconds,
                seconds_left=float(seconds_left),
                processes=self.at_a_time,
                memory_bytes=self.at_a_time * each,
            )
        )


def _expect(parts: Parts, order: Sequence[int], *, timed: bool) -> dict[int, float]:
    """About how many seconds each of some fleets takes on one core; unless timed, by their arithmetic."""
    if not (timed and order):
        return {number: parts.arithmetic[number] / CORE_ARITHMETIC for number in order}

    def measure(place: int) -> float:
        fleet = parts.fleets[order[place]]
        short = replace(fleet, training=shortened(fleet.training))
        pace = measure_pace(partial(parts.measure, short), short.training, device=parts.device)
        return pace.seconds(fleet.training)

    counted = np.array([float(parts.arithmetic[number]) for number in order])
    return dict(zip(order, estimate_each(counted, measure).tolist(), strict=True))


def _part_path(path: Path, number: int) -> Path:
    return path / f"fleet-{number:05}.parquet"


def _read_part(path: Path, number: int, parts: Parts) -> pl.DataFrame:
    """The table of a finished fleet; `InputError` if it is not the one that was written."""
    part = _part_path(path, number)
    table = read_table(part, parts.schema, damaged=_damaged_part)
    if len(table) != parts.run_counts[number]:
        raise _damaged_part(part, "it is not the table of this sweep's fleet")
    return table


def _damaged_part(part: Path, why: str) -> InputError:
    return InputError(
        f"{part} is damaged ({why}); delete this file alone and run the same command again, which trains its "
        "runs again."
    )


def _in_schema(table: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    """A table with all columns of a sweep, of which its fleet may not have each."""
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    )


def _failure_name(number: int) -> str:
    return f"fleet-{number:05}.txt"


def _keep_failure(path: Path, number: int, fleet: Any, outcome: Outcome) -> None:
    """Keep what went wrong with a fleet, and what it was to train."""
    what = [f"{entry.name} = {repr(getattr(fleet, entry.name))[:SHOWN]}" for entry in fields(fleet)]
    file = path / FAILED / _failure_name(number)
    make_parent(file)
    replace_file(file, text_file("\n".join([outcome.error, "", *what, "", outcome.traceback])))


def _write_part(
    path: Path,
    measure: Callable[..., pl.DataFrame],
    state_shape: Callable[[Any], StateShape],
    schema: Mapping[str, Any],
    digest: str,
    task: tuple[int, Any],
) -> None:
    """Train a fleet from its checkpoint on, if it has one, and keep its table instead; find a table kept."""
    number, fleet = task
    own, part = path / UNFINISHED / f"fleet-{number:05}", _part_path(path, number)
    with locked_run(own):
        if not os.path.lexists(part):  # else a worker that had lost its command trained it
            checkpoints = Checkpoints(own, digest, partial(state_shape, fleet))
            with stop_between_steps(checkpoints):
                table = measure(fleet, **checkpoints.hooks)
            replace_file(part, table_file(_in_schema(table, schema)))
        remove_checkpoint(own)
