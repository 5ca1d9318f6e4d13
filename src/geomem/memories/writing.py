"""A memory of facts put on disk whole: renamed into its place, or changed by one switch of versions."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from geomem.constructions.one_hop import Weights
from geomem.errors import InputError
from geomem.files import remove_leftovers, replace_file, system_errors, text_file, write_whole
from geomem.runs.directory import CURRENT, DONE, VERSION, current_version, is_finished, strange_entries
from geomem.runs.run import FACT_FILES, Run, read_run, write_run
from geomem.worlds.facts.table import FactTable
from geomem.worlds.text_file import show_label


def check_place(directory: Path) -> None:
    """Raise `InputError` unless a memory can be put there, or read from there."""
    with system_errors(directory, "read"):
        if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
            raise InputError(f"{directory} is a file; give a new directory for the memory.")
        if directory.is_dir() and any(directory.iterdir()) and not _is_memory(directory):
            raise InputError(f"{directory} is not empty; give a new directory for the memory.")


def _is_memory(directory: Path) -> bool:
    return is_finished(directory / current_version(directory))


def write_new(directory: Path, manifest: Mapping[str, Any], table: FactTable, weights: Weights) -> Run:
    """Write a memory beside its place and rename it there; one that is there already must be the same."""
    remove_leftovers(directory.parent)
    if not _is_memory(directory):
        try:
            write_whole(directory, lambda place: _write(place, manifest, table, weights))
        except InputError:
            if not _is_memory(directory):  # else another process was quicker
                raise
    there = read_run(directory, holding="facts")
    if there.manifest["hash"] != manifest["hash"] or there.manifest.get("edits"):
        raise InputError(f"{directory} holds another memory; give a new directory, or delete that one.")
    return there


def replace_memory(directory: Path, manifest: Mapping[str, Any], table: FactTable, weights: Weights) -> None:
    """Put a changed memory in place of the former one; a kill at any moment leaves the one or the other.

    The new version is written whole into a directory within, which never changes; the one file `CURRENT`
    then names it, and the former version goes. Raises `InputError` if the disk is full or refuses.
    """
    former = VERSION.fullmatch(current_version(directory))
    name = f"version-{int(former[1]) + 1 if former else 1}"
    write_whole(directory / name, lambda place: _write(place, manifest, table, weights))
    replace_file(directory / CURRENT, text_file(f"{name}\n"))
    remove_former(directory)


def remove_former(directory: Path) -> None:
    """Remove every version of a memory but the current one, and what a killed process left.

    Raises `InputError`, before anything is removed, if the directory holds a link or what is not of geomem.
    """
    with system_errors(directory, "written"):
        if strange := strange_entries(directory):
            raise InputError(
                f"{directory} holds {show_label(strange[0])}, which is a link or was not written by geomem; "
                "move it out and run the same command again."
            )
        remove_leftovers(directory)
        current = current_version(directory)
        for entry in list(os.scandir(directory)):
            if entry.is_dir(follow_symlinks=False):
                if entry.name != current:
                    shutil.rmtree(entry.path)
            elif entry.name.endswith(".partial") or (current and entry.name in (*FACT_FILES, DONE)):
                os.remove(entry.path)


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


def now() -> str:
    """The time, as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
