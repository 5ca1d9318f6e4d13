"""Training a job in its directory: one process at a time, with checkpoints, so that it can always go on.

Nothing is printed; whoever wants to know what happens gives `on_progress`.
"""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

import torch

from geomem.errors import InputError
from geomem.files import write_json
from geomem.models.loss import numbers_at_once
from geomem.models.parameters import CHUNK_NUMBERS
from geomem.runs.checkpoint import (
    Checkpoint,
    StateShape,
    check_checkpoint,
    moments,
    read_checkpoint,
    remove_checkpoint,
    tidy_finished,
    write_checkpoint,
)
from geomem.runs.directory import (
    FORMAT,
    MANIFEST,
    configuration_hash,
    format_bytes,
    is_finished,
    locked_run,
    require_disk,
)
from geomem.runs.environment import available_memory, check_device, describe_environment, limit_threads
from geomem.runs.job import SINGLE_THREAD_FLOPS, Job
from geomem.runs.pace import measure_pace
from geomem.runs.path_cost import cost_with_chunks
from geomem.runs.run import Run, read_run, write_run
from geomem.training.configuration import PathTraining
from geomem.training.loop import FleetState, Progress, state_from_arrays, state_to_arrays
from geomem.worlds.graphs.graph import Graph

CHECKPOINT_SHARE = 20
"""A checkpoint that took t seconds to write is not followed by another for 20 t: at most 5 % of the time."""


@dataclass(frozen=True, eq=False)
class Announcement:
    """What is about to happen, said before the first step."""

    job: Job
    path: Path
    """The run directory."""
    first_step: int
    """0; the checkpoint's step when an interrupted training goes on; `job.steps` if nothing is left to do."""
    seconds: float = 0.0
    """Estimate for the steps that are left, if none of them is saved by stopping early."""

    @property
    def finished(self) -> bool:
        """Whether the same configuration was trained before, so that nothing is left to do."""
        return self.first_step == self.job.steps


Event = Announcement | Progress
"""What `on_progress` is called with: one announcement, then progress at every row of the metrics."""


def train(
    job: Job,
    directory: str | os.PathLike[str] = "runs",
    *,
    device: str = "cpu",
    on_progress: Callable[[Event], None] | None = None,
) -> Run:
    """Train a job in its run directory, or open what is finished there.

    An interrupted training goes on where its last checkpoint left it, and ends in the same bits (same
    machine, same versions). Versions, device and git state are added to the manifest. Ctrl-C ends the
    training after its step, with a checkpoint.

    Raises `InputError` if the device is missing, if memory or disk is too small (on a card also later), or if
    another process is training the same configuration.
    """
    check_precision(job, device)
    job = replace(job, cost=cost_with_chunks(job.cost, numbers_at_once(torch.device(device), CHUNK_NUMBERS)))
    path = job.path(directory)

    if is_finished(path):
        run = read_run(path)
        tidy_finished(path)
        if on_progress:
            on_progress(Announcement(job, path, job.steps))
        return run
    check_memory(job, available_memory(device))
    require_disk(path, job.disk_bytes)
    with locked_run(path):
        if is_finished(path):  # by whoever held the lock before
            return read_run(path)
        digest = configuration_hash(job.configuration)
        checkpoints = Checkpoints(path, digest, partial(state_shape, job))
        first_step = checkpoints.step
        threads = 1 if job.cost.flops_per_step < SINGLE_THREAD_FLOPS else torch.get_num_threads()
        manifest = {
            "format": FORMAT,
            "name": job.name,
            "configuration": job.configuration,
            "hash": digest,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "first_step": first_step,
            **describe_environment(device),
            "threads": threads,
        }
        if on_progress:  # before anything is written: whoever hears of the time may refuse
            with limit_threads(threads), explained_card_memory(job, device, checkpoints):
                pace = measure_pace(job.train, job.training, device=device)
            seconds = pace.seconds(job.training, first_step=first_step)
            on_progress(Announcement(job, path, first_step, seconds))
        write_json(path / MANIFEST, manifest)
        began = monotonic()
        try:
            with (
                limit_threads(threads),
                stop_between_steps(checkpoints),
                explained_card_memory(job, device, checkpoints),
            ):
                trained = job.train(**checkpoints.hooks, on_progress=on_progress, device=device)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted; the same command {checkpoints.describe_resumption(job.steps)}"
            ) from None
        run = write_run(
            path,
            manifest=manifest | {"seconds": round(monotonic() - began, 3)},
            world=job.world,
            metrics=trained.metrics,
            metric_steps=trained.metric_steps,
            weights={name: tensor.numpy() for name, tensor in trained.parameters.items()},
            snapshots=trained.snapshots,
            snapshot_steps=trained.snapshot_steps,
            recalled=trained.recalled,
            told=job.told,
        )
        remove_checkpoint(path)
    return run


def check_precision(job: Job, device: str) -> None:
    """Raise `InputError` if torch cannot compute on the device, or not in the job's precision."""
    check_device(device)
    precision = job.training.precision if isinstance(job.training, PathTraining) else "float32"
    if precision != "float32" and torch.device(device).type == "cpu":
        why = "where it is slower than float32" if precision == "bfloat16" else "which has no such numbers"
        raise InputError(
            f"precision is {precision!r} and device 'cpu', {why}; give --precision float32, or train on a "
            "GPU."
        )


def check_memory(job: Job, free_bytes: int) -> None:
    """Raise `InputError` if the job needs more memory than there is, before anything large is made."""
    if job.cost.memory_bytes > free_bytes:
        runs = "1 run" if len(job.seeds) == 1 else f"{len(job.seeds)} runs"
        raise InputError(
            f"Training on {job.world.name!r} with {runs} needs about {format_bytes(job.cost.memory_bytes)} "
            f"of memory, {format_bytes(free_bytes)} are free; use {_advise_less(job)}."
        )


def _advise_less(job: Job) -> str:
    """What makes a training smaller."""
    if isinstance(job.training, PathTraining):
        return "fewer arms, fewer seeds, a smaller width or more micro-batches"
    return "fewer seeds, a smaller width, a smaller world or fewer snapshots"


@contextmanager
def explained_card_memory(job: Job, device: str, checkpoints: "Checkpoints") -> Iterator[None]:
    """Say in an `InputError` what to lower where a card's memory is full, and from where the run goes on."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        asked = re.search(r"Tried to allocate ([\d.]+ \w+)", str(error))
        raise InputError(
            f"The memory of {device} is full{f' ({asked[1]} more were asked for)' if asked else ''}; use "
            f"{_advise_less(job)}, or end other programs on the card: the same command then "
            f"{checkpoints.describe_resumption(job.steps)}."
        ) from error


def state_shape(job: Job) -> StateShape:
    """What a checkpoint of the job holds."""
    averaged = isinstance(job.training, PathTraining) and job.training.averaging
    world = job.world
    return StateShape(
        runs=len(job.seeds),
        steps=job.steps,
        parameters=job.cost.trained_parameters,
        snapshot=(world.node_count if isinstance(world, Graph) else world.subject_count, job.model.width),
        remembered=(
            *moments(getattr(job.training, "optimizer", "adamw"), muon=job.treatment.muon != "none"),
            *(["average"] if averaged else []),
        ),
    )


class Checkpoints:
    """The checkpoint that a training goes on from, and the next ones.

    Raises `InputError` if the checkpoint is damaged, of another configuration, or not of the expected shape,
    which is asked for only if there is one.
    """

    def __init__(self, path: Path, digest: str, expected: Callable[[], StateShape]):
        self.path, self.digest = path, digest
        self.state: FleetState | None = None
        if checkpoint := read_checkpoint(path, configuration_hash=digest):
            check_checkpoint(path, checkpoint, expected())
            self.state = state_from_arrays(checkpoint.arrays)
        self.step = self.state.step if self.state else 0
        self.not_before = 0.0
        self.stopping = False
        """Whether Ctrl-C was pressed: the training ends after this step, with a checkpoint."""

    @property
    def hooks(self) -> dict[str, Any]:
        """The arguments of `train_fleet` that make a training go on, be kept and end between two steps."""
        return {"state": self.state, "on_checkpoint": self.write, "should_stop": lambda: self.stopping}

    def describe_resumption(self, steps: int) -> str:
        """What the same command will do after an end before the last of so many steps."""
        return f"goes on from step {self.step} of {steps}" if self.step else "starts again"

    def write(self, state: FleetState) -> None:
        """Keep a state, unless the last one took so long to write that this would cost too much time."""
        began = monotonic()
        if began < self.not_before and not self.stopping:
            return
        checkpoint = Checkpoint(state.step, state_to_arrays(state))
        write_checkpoint(self.path, checkpoint, configuration_hash=self.digest)
        self.step = state.step
        self.not_before = monotonic() + CHECKPOINT_SHARE * (monotonic() - began)


@contextmanager
def stop_between_steps(checkpoints: Checkpoints) -> Iterator[None]:
    """Let the first Ctrl-C end the training after the step it is in, and a second one at once.

    So do SIGTERM and SIGHUP where they have handlers, as under the command line.
    """
    handled = []
    if threading.current_thread() is threading.main_thread():  # no other thread hears signals
        known = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
        # Shells let what runs behind them ignore Ctrl-C, nohup a terminal's end.
        handled = [number for number in known if number and callable(signal.getsignal(number))]

    def stop(signal_number: int, frame: FrameType | None) -> None:
        if checkpoints.stopping:
            raise KeyboardInterrupt
        checkpoints.stopping = True

    former = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
