"""Unfinished runs on disk: a checkpoint that no kill leaves half-written."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geomem.errors import InputError
from geomem.files import remove_leftovers
from geomem.runs.directory import CHECKPOINT as CHECKPOINT
from geomem.runs.directory import damaged, lock_path, locked_run, open_arrays, read_arrays, write_arrays


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything a run needs to go on from `step` as if it had never stopped."""

    step: int
    arrays: dict[str, np.ndarray]


def write_checkpoint(path: Path, checkpoint: Checkpoint, *, configuration_hash: str) -> None:
    """Replace the run's checkpoint: the former one stays whole until the new one is complete on the disk."""
    described = {"step": str(checkpoint.step), "configuration": configuration_hash}
    write_arrays(path / CHECKPOINT, checkpoint.arrays, described)


def read_checkpoint(path: Path, *, configuration_hash: str) -> Checkpoint | None:
    """The run's checkpoint, or None if there is none yet.

    Raises `InputError` if the file is damaged or belongs to another configuration.
    """
    file_path = path / CHECKPOINT
    if not os.path.lexists(file_path):
        return None
    with open_arrays(file_path) as file:
        described = file.metadata() or {}
    if described.get("configuration") != configuration_hash or not described.get("step", "").isdecimal():
        raise damaged(file_path, "it belongs to another configuration")
    return Checkpoint(step=int(described["step"]), arrays=read_arrays(file_path))


@dataclass(frozen=True)
class StateShape:
    """What the checkpoint of a fleet holds if it is one of its training."""

    runs: int
    steps: int
    """Of the whole training."""
    parameters: int
    """Trained numbers of a run."""
    snapshot: tuple[int, int]
    """Rows and columns of a run's snapshot."""
    remembered: tuple[str, ...]
    """What the optimizer needs, by name."""


def moments(optimizer: str, *, muon: bool = False) -> tuple[str, ...]:
    """What an optimizer remembers of every parameter, where some are Muon's or none.

    >>> moments("adamw"), moments("gradient-descent")
    (('first_moment', 'second_moment'), ())
    """
    if optimizer == "gradient-descent":
        return ()
    return ("first_moment", "second_moment", *(["momentum"] if muon else []))


def check_checkpoint(path: Path, checkpoint: Checkpoint, expected: StateShape) -> None:
    """Raise `InputError` unless a checkpoint in a run directory is of this shape."""
    file_path, arrays = path / CHECKPOINT, checkpoint.arrays
    rows = {}
    for name in ("metric_steps", "snapshot_steps"):
        found = rows[name] = arrays.get(name, np.zeros((0, 0)))
        rising = found.dtype == np.int64 and found.ndim == 1 and (found[1:] > found[:-1]).all()
        if not rising or not found.size or found[0] < 0 or found[-1] > checkpoint.step:
            raise damaged(file_path, f"its {name} are not rising steps")
    if not 0 < checkpoint.step <= expected.steps or arrays.get("step", np.zeros(0)).tolist() != [
        checkpoint.step
    ]:
        raise damaged(file_path, "its step is not one of the training")
    runs, shapes = expected.runs, dict[str, tuple[int, ...]]()
    flat = ("parameters", *(f"optimizer.{name}" for name in expected.remembered))
    shapes |= dict.fromkeys(flat, (runs, expected.parameters))
    shapes["snapshots"] = (len(rows["snapshot_steps"]), runs, *expected.snapshot)
    shapes["metric.loss"] = (len(rows["metric_steps"]), runs)
    shapes |= {name: shapes["metric.loss"] for name in arrays if name.startswith("metric.")}
    for name, shape in shapes.items():
        array = arrays.get(name)
        kind = np.float64 if name.startswith("metric.") else np.float32
        if array is None or array.shape != shape or array.dtype != kind:
            raise damaged(file_path, f"{name[:60]} is not {kind.__name__} of shape {shape}")


def remove_checkpoint(path: Path) -> None:
    """Remove what only an unfinished run needs."""
    (path / CHECKPOINT).unlink(missing_ok=True)


def tidy_finished(path: Path) -> None:
    """Remove what a process that was killed at the end of its run left: checkpoint, lock, half a file."""
    remove_leftovers(path)
    if os.path.lexists(path / CHECKPOINT) or lock_path(path).exists():
        with suppress(InputError, OSError), locked_run(path):  # held, or not ours to write: it stays
            remove_checkpoint(path)
