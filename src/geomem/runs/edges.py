"""The main job: a world, a task, a model and seeds become a trained fleet in a run directory.

Nothing is printed; whoever wants to know what happens gives `on_progress`.
"""

import os
import platform
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Int

from geomem.errors import InputError
from geomem.models.configuration import Model
from geomem.runs.checkpoint import (
    Checkpoint,
    format_bytes,
    locked_run,
    read_checkpoint,
    remove_checkpoint,
    require_disk,
    write_checkpoint,
)
from geomem.runs.plan import plan_fleet
from geomem.runs.store import (
    FORMAT,
    MANIFEST,
    StoredFleet,
    configuration_hash,
    is_finished,
    read_fleet,
    write_fleet,
    write_json,
)
from geomem.training.configuration import RunSettings, Training
from geomem.training.edges import TrainedFleet, train_fleet
from geomem.training.loop import FleetState, Progress, state_from_arrays, state_to_arrays
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization, directed_facts

CHECKPOINT_SHARE = 20
"""A checkpoint that took t seconds to write is not followed by another for 20 t: at most 5 % of the time."""


@dataclass(frozen=True, eq=False)
class Announcement:
    """What is about to happen, said before the first step."""

    path: Path
    """The run directory."""
    graph: Graph
    model: str
    run_count: int
    fact_count: int
    steps: int
    first_step: int
    """0, or the checkpoint's step when an interrupted training goes on; `steps` if nothing is left to do."""
    memory_bytes: int
    disk_bytes: int

    @property
    def finished(self) -> bool:
        """Whether the same configuration was trained before, so that nothing is left to do."""
        return self.first_step == self.steps


Event = Announcement | Progress
"""What `on_progress` is called with: one announcement, then progress at every row of the metrics."""


def memorize(
    world: Graph | str | os.PathLike[str] | object,
    *,
    model: Model | str = "transformer",
    task: EdgeMemorization | None = None,
    training: Training | None = None,
    seeds: int | Sequence[int] = 3,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    on_progress: Callable[[Event], None] | None = None,
) -> StoredFleet:
    """Train one run per seed to hold the edges of a world, and keep everything in a run directory.

    `world` is a graph, the name of a built-in world, a file of edges, or a graph of networkx, scipy, pandas
    or polars; `seeds` a count (3 means 0, 1, 2) or the seeds themselves; `training` the architecture's
    published setting if not given. The same configuration again trains nothing; an interrupted one goes
    on where its last checkpoint left it and ends in the same bits (same machine, same versions).

    Raises `InputError` if anything cannot be read or meant, if memory or disk will not do, or if another
    process is training the same configuration.

    >>> import tempfile
    >>> from geomem.models.configuration import Node2Vec
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     short = Training(steps=5)
    ...     fleet = memorize("cycle", model=Node2Vec(width=8), training=short, directory=directory)
    ...     fleet.seeds, fleet.graph.name
    ((0, 1, 2), 'cycle-15')
    """
    plan = plan_fleet(
        world, model=model, task=task, training=training, seeds=seeds, directory=directory, device=device
    )

    def announce(first_step: int) -> None:
        if on_progress:
            on_progress(
                Announcement(
                    path=plan.path,
                    graph=plan.graph,
                    model=plan.configuration["model"]["kind"],
                    run_count=len(plan.seeds),
                    fact_count=plan.examples.fact_count,
                    steps=plan.training.steps,
                    first_step=first_step,
                    memory_bytes=plan.cost.memory_bytes,
                    disk_bytes=plan.disk_bytes,
                )
            )

    def train(hooks: Hooks) -> TrainedFleet:
        return train_fleet(
            plan.model,
            plan.examples,
            directed_pairs(plan.graph, plan.task),
            plan.graph.node_count,
            [
                RunSettings(seed, plan.training.learning_rate, plan.training.weight_decay)
                for seed in plan.seeds
            ],
            plan.training,
            state=hooks.state,
            on_progress=on_progress,
            on_checkpoint=hooks.on_checkpoint,
            should_stop=hooks.should_stop,
            device=device,
        )

    def write(trained: TrainedFleet, manifest: dict[str, Any]) -> StoredFleet:
        return write_fleet(
            plan.path,
            manifest=manifest,
            graph=plan.graph,
            metrics=trained.metrics,
            metric_steps=trained.metric_steps,
            weights={name: tensor.numpy() for name, tensor in trained.parameters.items()},
            snapshots=trained.snapshots,
            snapshot_steps=trained.snapshot_steps,
            recalled=trained.recalled,
        )

    return train_in_directory(
        plan.path,
        manifest={"format": FORMAT, "name": plan.name, "configuration": plan.configuration},
        steps=plan.training.steps,
        memory_bytes=plan.cost.memory_bytes,
        disk_bytes=plan.disk_bytes,
        threads=plan.threads,
        device=device,
        announce=announce,
        train=train,
        write=write,
        read=read_fleet,
    )


@dataclass(frozen=True, eq=False)
class Hooks:
    """What a training in a run directory is given, to go on, to be interrupted and to be resumed."""

    state: FleetState | None
    """Where an interrupted training goes on; None at the beginning."""
    on_checkpoint: Callable[[FleetState], None]
    should_stop: Callable[[], bool]


Trained = TypeVar("Trained")
Stored = TypeVar("Stored")


def train_in_directory(
    path: Path,
    *,
    manifest: Mapping[str, Any],
    steps: int,
    memory_bytes: int,
    disk_bytes: int,
    threads: int,
    device: str,
    announce: Callable[[int], None],
    train: Callable[[Hooks], Trained],
    write: Callable[[Trained, dict[str, Any]], Stored],
    read: Callable[[Path], Stored],
) -> Stored:
    """What is finished in a run directory, or else trained there by one process at a time.

    `manifest` has format, name and configuration; whatever of a result's circumstances belongs beside them
    is added, and `write` gets the whole with what was trained. `announce` is told the step a training starts
    at, all `steps` if there is nothing to do. Ctrl-C ends the training after its step, with a checkpoint.

    Raises `InputError` if memory or disk will not do, or if another process is training there.
    """
    if is_finished(path):
        stored = read(path)
        announce(steps)
        return stored
    _require_memory(memory_bytes, device)
    require_disk(path, disk_bytes)
    with locked_run(path):
        if is_finished(path):  # by whoever held the lock before
            return read(path)
        digest = configuration_hash(manifest["configuration"])
        state = _read_state(path, read_checkpoint(path, configuration_hash=digest))
        first_step = state.step if state else 0
        manifest = {
            **manifest,
            "hash": digest,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "first_step": first_step,
            **describe_environment(device),
            "threads": threads,
        }
        write_json(path / MANIFEST, manifest)
        announce(first_step)
        began = monotonic()
        checkpoints = _Checkpoints(path, digest, step=first_step)
        try:
            with limit_threads(threads), _stop_between_steps(checkpoints):
                trained = train(Hooks(state, checkpoints.write, lambda: checkpoints.stopping))
        except KeyboardInterrupt:
            step = f"goes on from step {checkpoints.step} of {steps}" if checkpoints.step else "starts anew"
            raise KeyboardInterrupt(f"interrupted; the same command {step}") from None
        stored = write(trained, manifest | {"seconds": round(monotonic() - began, 3)})
        remove_checkpoint(path)
    return stored


def describe_environment(device: str = "cpu") -> dict[str, Any]:
    """What a result depends on besides its configuration: versions, device, number type, platform, source."""
    names = ("geomem", "torch", "numpy", "scipy", "networkx", "safetensors", "polars")
    on_gpu = torch.device(device).type == "cuda"
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in names},
        "device": torch.cuda.get_device_name(device) if on_gpu else device,
        "dtype": "float32",
        "platform": platform.platform(),
        "git": _source_state(),
    }


def describe_devices() -> str:
    """torch's version, its threads, and the CUDA devices it finds, in one line."""
    devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    cuda = (
        f"CUDA {torch.version.cuda} on {', '.join(devices)}" if devices else "no CUDA device (none is needed)"
    )
    return f"{torch.__version__}, {torch.get_num_threads()} threads, {cuda}"


def available_memory(device: str = "cpu") -> int:
    """Bytes of memory that a training on the device could still take."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        free.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # not Linux, or no limit ("max")
        pass
    return min(free, default=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def directed_pairs(graph: Graph, task: EdgeMemorization) -> Int[np.ndarray, "pair 2"]:
    """The facts whose cosine is the geometric level: all that do not ask a node for itself."""
    facts = directed_facts(graph, task)
    return facts[facts[:, 0] != facts[:, 1]]


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Let torch compute on `count` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _require_memory(needed_bytes: int, device: str) -> None:
    free = available_memory(device)
    if needed_bytes > free:
        raise InputError(
            f"This fleet needs about {format_bytes(needed_bytes)} of memory, {format_bytes(free)} are free; "
            "use fewer seeds, a smaller width, a smaller world or fewer snapshots."
        )


def _read_state(path: Path, checkpoint: Checkpoint | None) -> FleetState | None:
    if checkpoint is None:
        return None
    try:
        return state_from_arrays(checkpoint.arrays)
    except (KeyError, IndexError) as error:
        raise InputError(
            f"The checkpoint in {path} is incomplete; delete the directory and run again."
        ) from error


class _Checkpoints:
    """Writes the checkpoints of one training and knows the step of the last."""

    def __init__(self, path: Path, digest: str, *, step: int):
        self.path, self.digest, self.step = path, digest, step
        self.not_before = 0.0
        self.stopping = False
        """Whether Ctrl-C was pressed: the training ends after this step, with a checkpoint."""

    def write(self, state: FleetState) -> None:
        began = monotonic()
        if began < self.not_before and not self.stopping:
            return
        checkpoint = Checkpoint(state.step, state_to_arrays(state))
        write_checkpoint(self.path, checkpoint, configuration_hash=self.digest)
        self.step = state.step
        self.not_before = monotonic() + CHECKPOINT_SHARE * (monotonic() - began)


@contextmanager
def _stop_between_steps(checkpoints: _Checkpoints) -> Iterator[None]:
    """Let the first Ctrl-C end the training after the step it is in, and a second one at once."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as shells set it for what runs behind them
    if ignored or threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return

    def stop(signal_number: int, frame: FrameType | None) -> None:
        if checkpoints.stopping:
            raise KeyboardInterrupt
        checkpoints.stopping = True

    former = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def _source_state() -> dict[str, Any] | None:
    """Commit of this source tree and whether files differ from it; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {
            "commit": commit,
            "changed": bool(_git(root, "status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
