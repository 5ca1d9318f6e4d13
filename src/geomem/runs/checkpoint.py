"""Unfinished fleets on disk: one process at a time, and a checkpoint that no kill leaves half-written."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from geomem.errors import InputError
from geomem.runs.store import check_file, damaged, read_arrays, write_arrays

try:
    import fcntl
except ImportError:  # Windows has no advisory locks; two processes there must not share a run directory
    fcntl = None

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything a run needs to go on from `step` as if it had never stopped."""

    step: int
    arrays: dict[str, np.ndarray]


class RunLocked(InputError):
    """Another process holds the run directory; waiting helps."""


@contextmanager
def locked_run(path: Path) -> Iterator[None]:
    """Hold a run directory for this process; the lock ends with the process, however that ends.

    Raises `RunLocked` if another process holds it, `InputError` if the directory cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        # The directory itself is locked: a lock file would stay behind and could be deleted under its holder.
        descriptor = os.open(path, os.O_RDONLY) if fcntl else None
    except OSError as error:
        raise InputError(
            f"The run directory {path} cannot be opened ({error.strerror}); choose another with --directory."
        ) from error
    if fcntl is None or descriptor is None:
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunLocked(
                f"Another process is training {path} now; wait until it ends and run the same command again."
            ) from error
        yield
    finally:
        os.close(descriptor)


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
    """Remove what only an unfinished run needs, half-written files of a killed process included."""
    (path / CHECKPOINT).unlink(missing_ok=True)
    for pattern in ("*.partial", ".tmp*"):  # the latter are what safetensors writes before its own rename
        for partial in path.glob(pattern):
            partial.unlink(missing_ok=True)


def require_disk(path: Path, needed_bytes: int) -> None:
    """Raise `InputError` unless the disk that will hold `path` has `needed_bytes` free."""
    existing = next(parent for parent in [path, *path.parents, Path(".")] if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise InputError(
            f"The run {path} needs {format_bytes(needed_bytes)} of disk but {format_bytes(free)} are free; "
            "free some space, choose another --directory, or keep fewer --snapshots."
        )


def format_bytes(count: int | float) -> str:
    """A number of bytes for people.

    >>> format_bytes(900), format_bytes(2_500_000), format_bytes(83_200_000_000)
    ('900 B', '2.5 MB', '83 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
