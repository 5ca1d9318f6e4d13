"""A memory of facts put on disk whole: renamed into its place, or changed in it between two states."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from geomem.constructions.one_hop import Weights
from geomem.errors import InputError
from geomem.files import replace_file, sync_directory
from geomem.runs.directory import DONE, RunLocked, locked_run
from geomem.runs.run import EDITED, FACT_FILES, Run, is_edited, read_run, write_run
from geomem.worlds.facts.table import FactTable


def check_place(directory: Path) -> None:
    """Raise `InputError` unless a memory can be put there, or read from there."""
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise InputError(f"{directory} is a file; give a new directory for the memory.")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / DONE).is_file():
        raise InputError(f"{directory} is not empty; give a new directory for the memory.")


def write_new(directory: Path, manifest: Mapping[str, Any], table: FactTable, weights: Weights) -> Run:
    """Write a memory beside its place and rename it there; one that is there already must be the same."""
    if (directory / DONE).is_file():
        there = read_run(directory, holding="facts")
        if there.manifest["hash"] != manifest["hash"] or there.manifest.get("edits"):
            raise InputError(f"{directory} holds another memory; give a new directory, or delete that one.")
        return there
    # A name of its own, so that what a killed process left is written over and not left lying about.
    partial = directory.with_name(f".{directory.name}.partial")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory} cannot be made ({error.strerror}); give another directory.") from None
    try:
        with locked_run(partial, "writing"):
            _write(partial, manifest, table, weights)
            os.replace(partial, directory)
            sync_directory(directory.parent)
    except RunLocked:
        raise
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(
                f"{directory} cannot be made ({error.strerror}); give another directory."
            ) from None
        raise
    return read_run(directory, holding="facts")


def replace_memory(directory: Path, manifest: Mapping[str, Any], table: FactTable, weights: Weights) -> None:
    """Put a changed memory in place of the former one; a kill at any moment leaves the one or the other.

    The new version is written whole into a directory within, and from the one rename on that makes it
    `EDITED` it is what `read_run` reads. Then its files take their places, and it goes. Raises
    `InputError` if the disk is full or refuses.
    """
    partial = directory / f"{EDITED}.partial"
    try:
        _settle(directory)
        shutil.rmtree(partial, ignore_errors=True)
        _write(partial, manifest, table, weights)
        os.replace(partial, directory / EDITED)
        sync_directory(directory)
        _settle(directory)
    except OSError as error:
        raise InputError(
            f"Could not write {directory} ({error.strerror}); see to it and run the same command again."
        ) from error


def _settle(directory: Path) -> None:
    """Let the files of the next version of a memory take their places; what is not complete goes."""
    edited = directory / EDITED
    if is_edited(directory):
        for name in (*FACT_FILES, DONE):
            _copy_file(edited / name, directory / name)
        (edited / DONE).unlink()  # first: without it the rest does not count
    shutil.rmtree(edited, ignore_errors=True)


def _copy_file(source: Path, place: Path) -> None:
    def write(partial: Path) -> None:
        shutil.copyfile(source, partial)

    replace_file(place, write)


def _write(directory: Path, manifest: Mapping[str, Any], table: FactTable, weights: Weights) -> None:
    recalled = manifest["recalled"]
    write_run(
        directory,
        manifest=manifest,
        world=table,
        metrics={name: np.array([[recalled[name]]]) for name in ("recall", "margin")},
        metric_steps=np.array([len(manifest["edits"])]),
        weights={name: array[None] for name, array in weights.items()},
    )


def directory_of(memory: Run | str | os.PathLike[str]) -> Path:
    """The directory that a person gave, also where a killed edit left the newest files within it."""
    path = memory.path if isinstance(memory, Run) else Path(memory)
    return path.parent if path.name == EDITED else path


def now() -> str:
    """The time, as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
