"""Unfinished runs on disk: a checkpoint that no kill leaves half-written."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from geomem.runs.directory import check_file, damaged, read_arrays, write_arrays

CHECKPOINT = "checkpoint.safetensors"


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
    if not file_path.exists() and not file_path.is_symlink():
        return None
    check_file(file_path)
    try:
        with safe_open(file_path, "numpy") as file:
            described = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise damaged(file_path, "it is not a complete safetensors file") from error
    if described.get("configuration") != configuration_hash or not described.get("step", "").isdecimal():
        raise damaged(file_path, "it belongs to another configuration")
    return Checkpoint(step=int(described["step"]), arrays=read_arrays(file_path))


def remove_checkpoint(path: Path) -> None:
    """Remove what only an unfinished run needs."""
    (path / CHECKPOINT).unlink(missing_ok=True)
