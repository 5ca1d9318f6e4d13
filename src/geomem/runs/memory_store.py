"""Memories of facts on disk, trained or written down: one directory, in which `DONE` means that all is there.

A memory's directory holds

| file | what |
|---|---|
| `manifest.json` | configuration (world, task, model, training, seeds), versions, device |
| `facts.json` | the table of facts, with every label |
| `metrics.parquet` | long table: run, step, metric, value |
| `weights.safetensors` | every parameter, [run, ...], by the names of the recall model |
| `DONE` | size and SHA-256 of each file above; written last |

It is written and checked as the run directories of `geomem.runs.store` are. No pickle anywhere.

A memory that was written down may hold further answers in cells (`geomem.constructions.cells`): their weights
stand in the same file, under names that begin with `cells.`, and the manifest's `training` has the number of
cells of every subject (`cells`) and the length of their codes (`cell_length`).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from geomem.constructions.cells import cells_size
from geomem.errors import InputError
from geomem.models.configuration import Recall, check_recall
from geomem.models.recall import RecallSize, describe_recall_parameters
from geomem.runs.store import (
    DONE,
    FORMAT,
    MANIFEST,
    METRICS,
    WEIGHTS,
    array_shapes,
    check_fingerprints,
    check_manifest,
    check_metrics,
    damaged,
    fingerprint,
    is_finished,
    metrics_table,
    read_arrays,
    read_json,
    replace_file,
    write_arrays,
    write_json,
)
from geomem.worlds.facts.table import MAXIMUM_FACTS, FactTable
from geomem.worlds.facts.table_file import facts_from_json, facts_to_json

FACTS = "facts.json"
FILES = (MANIFEST, FACTS, METRICS, WEIGHTS)

CONSTRUCTION = "construction"
"""Kind of training in the manifest of a memory that was written down."""

CELLS = "cells."
"""How the names of the cells' weights begin."""

MAXIMUM_CELL_LENGTH = 10_000
"""Longest code of cells that is believed to a manifest."""

EDITED = ".edited"
"""Directory within a memory's: its next version, complete, until its files have taken their places."""


@dataclass(frozen=True)
class StoredMemory:
    """A finished memory: where it is, what its manifest says, its facts, its seeds; arrays stay on disk."""

    path: Path
    manifest: dict[str, Any]
    table: FactTable
    model: Recall
    seeds: tuple[int, ...]
    """One per run; a memory that was written down has the one seed 0."""
    cell_counts: tuple[int, ...] = ()
    """How many cells with further answers each subject has; nothing if there is no cell."""


def describe_memory(
    table: FactTable,
    model: Recall,
    *,
    task: Mapping[str, Any],
    training: Mapping[str, Any],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """The configuration of a memory's manifest; equal ones have equal hashes.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(4, 2)
    >>> describe_memory(table, Recall(), task={"kind": "fact-recall"}, training={}, seeds=[0])["seeds"]
    [0]
    """
    return {
        "world": {"name": table.name, "digest": table.digest},
        "task": dict(task),
        "model": {"kind": "recall", **asdict(model), "frozen": list(model.frozen)},
        "training": dict(training),
        "seeds": list(seeds),
    }


def memory_size(table: FactTable) -> RecallSize:
    """How many rows a memory's tables have.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> memory_size(random_bijections(4, 2))
    RecallSize(subjects=4, relations=2, objects=4)
    """
    return RecallSize(table.subject_count, table.relation_count, table.object_count)


def write_memory(
    path: Path,
    *,
    manifest: Mapping[str, Any],
    table: FactTable,
    metrics: Mapping[str, Float[np.ndarray, "row run"]],
    metric_steps: Int[np.ndarray, " row"],
    weights: Mapping[str, np.ndarray],
) -> StoredMemory:
    """Write a memory into its directory, `DONE` last, and read it back.

    `manifest` has format, name, hash and a configuration of `describe_memory`; `weights` have a run axis.

    Raises `InputError` when the disk is full or refuses.
    """
    path.mkdir(parents=True, exist_ok=True)
    rows = metrics_table(metrics, metric_steps)
    write_json(path / MANIFEST, dict(manifest))
    write_json(path / FACTS, facts_to_json(table))
    replace_file(path / METRICS, lambda partial: rows.write_parquet(partial))
    write_arrays(path / WEIGHTS, weights, {"format": str(FORMAT)})
    write_json(path / DONE, {name: fingerprint(path / name) for name in FILES})
    return read_memory(path)


# Everything below treats the directory as written by a stranger.


def is_memory(path: str | os.PathLike[str]) -> bool:
    """Whether a directory holds facts rather than a graph."""
    return (Path(path) / FACTS).is_file()


def is_edited(path: Path) -> bool:
    """Whether a killed edit left the next version of a memory complete, so that this is what counts."""
    edited = path / EDITED
    return is_finished(edited) and not edited.is_symlink()


def read_memory(path: str | os.PathLike[str]) -> StoredMemory:
    """Check a memory's directory through and through and open it; arrays are read when asked for.

    Raises `InputError`, one sentence that names the file, if the directory is missing, unfinished, truncated,
    changed since it was written, without its vocabulary, or not what its manifest says.
    """
    path = Path(path)
    if not path.is_dir():
        what = "is a file" if path.is_file() else "does not exist"
        raise InputError(f"{path} {what}; give the directory of a memory of facts.")
    if not (path / MANIFEST).is_file() and not (path / DONE).is_file():
        raise InputError(
            f"{path} holds no memory of facts (no {MANIFEST} in it); give one that geomem wrote."
        )
    if is_edited(path):
        path = path / EDITED
    if not is_finished(path):
        raise InputError(
            f"The memory {path} is unfinished (no {DONE} in it); run the same command again to finish it."
        )
    if not (path / FACTS).exists():
        raise InputError(
            f"{path} has no {FACTS}, the vocabulary of its weights; give a memory of facts, not of a graph."
        )
    check_fingerprints(path, FILES)
    manifest = read_json(path / MANIFEST)
    configuration, seeds = check_manifest(path / MANIFEST, manifest)
    model = _read_model(path / MANIFEST, configuration["model"])
    try:
        table = facts_from_json(read_json(path / FACTS))
    except InputError as error:
        raise damaged(path / FACTS, str(error).rstrip(".")) from error
    if table.digest != configuration["world"].get("digest"):
        raise damaged(path / FACTS, "it holds other facts than the manifest says")
    check_metrics(path / METRICS, len(seeds))
    counts, length = _read_cell_counts(path / MANIFEST, configuration["training"], table)
    _check_weights(path / WEIGHTS, model, table, len(seeds), sum(counts), length)
    return StoredMemory(path, manifest, table, model, seeds, counts)


def memory_weights(memory: StoredMemory) -> dict[str, np.ndarray]:
    """Every parameter of the model, [run, ...], by name; without those of cells."""
    arrays = read_arrays(memory.path / WEIGHTS)
    return {name: array for name, array in arrays.items() if not name.startswith(CELLS)}


def cell_weights(memory: StoredMemory) -> dict[str, np.ndarray]:
    """Every parameter of the cells, [run, ...], by the names of a recall model; nothing without cells."""
    arrays = read_arrays(memory.path / WEIGHTS)
    return {name.removeprefix(CELLS): a for name, a in arrays.items() if name.startswith(CELLS)}


def memory_metrics(memory: StoredMemory) -> pl.DataFrame:
    """The curves as one long table: run (0 to R - 1), step, metric, value."""
    return pl.read_parquet(memory.path / METRICS, glob=False)


def _read_model(path: Path, value: dict[str, Any]) -> Recall:
    if value.get("kind") != "recall":
        raise damaged(path, "its model is no recall model")
    fields = {name: entry for name, entry in value.items() if name != "kind"}
    defaults = asdict(Recall())
    whole = {name for name, entry in defaults.items() if type(entry) is int}
    sound = fields.keys() == defaults.keys() and isinstance(fields["frozen"], list)
    sound = sound and all(type(fields[name]) is int for name in whole)
    sound = sound and all(type(fields[name]) is bool for name in ("layer_norm", "tied"))
    sound = sound and isinstance(fields["subject_scale"], int | float)
    sound = sound and fields["attention"] in ("content", "uniform", "none")
    if not sound or not all(entry in ("subjects", "relations", "objects") for entry in fields["frozen"]):
        raise damaged(path, "its model has other settings than a recall model")
    model = Recall(
        **fields | {"frozen": tuple(fields["frozen"]), "subject_scale": float(fields["subject_scale"])}
    )
    try:
        check_recall(model)
    except InputError as error:
        raise damaged(path, str(error).rstrip(".")) from error
    return model


def _read_cell_counts(
    path: Path, training: Mapping[str, Any], table: FactTable
) -> tuple[tuple[int, ...], int]:
    """Number of cells of every subject, and the length of their codes; nothing and 0 without cells."""
    if not {"cells", "cell_length"} & training.keys():
        if table.several:
            raise damaged(path, "its facts have several answers to a question, and it has no cells for them")
        return (), 0
    counts, length = training.get("cells"), training.get("cell_length")
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        counts = []
    sound = training.get("kind") == CONSTRUCTION and len(counts) == table.subject_count
    sound = sound and 0 < sum(counts) <= MAXIMUM_FACTS
    if not sound or type(length) is not int or not 0 < length <= MAXIMUM_CELL_LENGTH:
        raise damaged(path, "its cells are not so many for each subject")
    return tuple(counts), length


def _check_weights(
    path: Path, model: Recall, table: FactTable, run_count: int, cells: int, cell_length: int
) -> None:
    shapes = array_shapes(path)
    # Looked up by name, so that a manifest of a million layers is refused at its first missing one.
    described = describe_recall_parameters(model, memory_size(table)) if model.layers <= len(shapes) else {}
    if cells:
        size = cells_size(cells, table.relation_count, table.object_count, cell_length)
        like = Recall(width=size.residual_size, mlp_width=size.mlp_width, attention="uniform")
        rows = RecallSize(cells, 2, table.relation_count + table.object_count)
        described |= {CELLS + name: part for name, part in describe_recall_parameters(like, rows).items()}
    for name in sorted(set(described) ^ set(shapes)):
        raise damaged(path, f"{name} is {'missing' if name in described else 'no tensor of its model'}")
    for name, parameter in described.items():
        if shapes[name] != (run_count, *parameter.shape):
            expected = (run_count, *parameter.shape)
            raise damaged(path, f"{name} has shape {shapes[name]}, its model and facts need {expected}")
