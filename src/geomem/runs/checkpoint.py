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


def remove_checkpoint(path: Path) -> None:
    """Remove what only an unfinished run needs."""
    (path / CHECKPOINT).unlink(missing_ok=True)


def tidy_finished(path: Path) -> None:
    """Remove what a process that was killed at the end of its run left: checkpoint, lock, half a file."""
    remove_leftovers(path)
    if os.path.lexists(path / CHECKPOINT) or lock_path(path).exists():
        with suppress(InputError, OSError), locked_run(path):  # held, or not ours to write: it stays
            remove_checkpoint(path)
