"""Finished runs on disk, of a graph or of a table of facts: one directory per configuration.

A directory `<directory>/<name>-<hash12>/` holds

| file | what |
|---|---|
| `manifest.json` | configuration (world, task, model, training, seeds), versions, device, git state |
| `world.json` or `facts.json` | the graph, or the table of facts with every label |
| `vocabulary.json` | text of every token; of graphs only |
| `metrics.parquet` | long table: run, step, metric, value |
| `weights.safetensors` | every parameter after the last step, [run, ...] |
| `snapshots.safetensors` | `steps`, `embeddings` [snapshot, run, node, width], `recalled` [run, fact] |
| `DONE` | size and SHA-256 of each file above; written last |

`geomem.runs.directory` says how files are written and checked. A memory that was written down may hold
further answers in cells (`geomem.constructions.cells`): their weights stand in the same file, under names
that begin with `cells.`, and the manifest's `training` has the number of cells of every subject (`cells`) and
the length of their codes (`cell_length`).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from safetensors import safe_open

from geomem.constructions.cells import cells_size
from geomem.errors import InputError
from geomem.files import json_file
from geomem.models.configuration import Recall, check_recall
from geomem.models.recall import RecallSize, describe_recall_parameters
from geomem.runs.configuration import read_model, read_task
from geomem.runs.directory import (
    DONE,
    FORMAT,
    MANIFEST,
    array_file,
    array_shapes,
    check_directory,
    configuration_hash,
    damaged,
    is_finished,
    read_arrays,
    read_json,
    safe_name,
    table_file,
    write_directory,
)
from geomem.worlds.facts.table import MAXIMUM_FACTS, FactTable
from geomem.worlds.facts.table_file import facts_from_json, facts_to_json
from geomem.worlds.graphs.file import graph_from_json, graph_to_json
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.vocabulary import SPECIAL_TOKENS, Vocabulary

WORLD, VOCABULARY, FACTS = "world.json", "vocabulary.json", "facts.json"
METRICS, WEIGHTS, SNAPSHOTS = "metrics.parquet", "weights.safetensors", "snapshots.safetensors"
GRAPH_FILES = (MANIFEST, WORLD, VOCABULARY, METRICS, WEIGHTS, SNAPSHOTS)
FACT_FILES = (MANIFEST, FACTS, METRICS, WEIGHTS)

METRIC_SCHEMA = pl.Schema({"run": pl.Int32, "step": pl.Int64, "metric": pl.String, "value": pl.Float64})
METRIC_ROW_LIMIT = 100_000_000
"""Rows of metrics a reader takes in; a small file of parquet can claim to unpack to any number."""

CONSTRUCTION = "construction"
"""Kind of training in the manifest of a memory that was written down."""
CELLS = "cells."
"""How the names of the cells' weights begin."""
MAXIMUM_CELL_LENGTH = 10_000
"""Longest code of cells that a manifest may state."""
EDITED = ".edited"
"""Directory within a memory's: its next version, complete, until its files have taken their places."""


@dataclass(frozen=True)
class Run:
    """Finished runs of one configuration, one per seed: where they are, and their world; arrays stay on disk.

    What is read from it has the runs of `seeds`, in this order.
    """

    path: Path
    manifest: dict[str, Any]
    world: Graph | FactTable
    seeds: tuple[int, ...]
    """One per run; a memory that was written down has the one seed 0."""
    runs: tuple[int, ...] | None = None
    """Which of the runs on disk these are; None if all. `select_runs` sets it."""
    cell_counts: tuple[int, ...] = ()
    """How many cells with further answers each subject of a memory has; nothing if there is no cell."""

    @property
    def graph(self) -> Graph:
        """The graph; raises `InputError` if these are runs of a table of facts."""
        if isinstance(self.world, Graph):
            return self.world
        raise InputError(f"{self.path} holds facts and no graph; give a run of edges or paths.")

    @property
    def table(self) -> FactTable:
        """The table of facts; raises `InputError` if these are runs of a graph."""
        if isinstance(self.world, FactTable):
            return self.world
        raise InputError(f"{self.path} holds a graph and no facts; give a memory of facts.")

    @property
    def configuration(self) -> dict[str, Any]:
        """World, task, model, training and seeds, as the manifest says them."""
        return self.manifest["configuration"]

    @cached_property
    def model(self) -> Any:
        """The configuration of the architecture; raises `InputError` for settings that it does not have."""
        return read_model(self.path / MANIFEST, self.configuration["model"])

    @cached_property
    def task(self) -> Any:
        """What the runs were trained on; raises `InputError` for settings that no task has."""
        return read_task(self.path / MANIFEST, self.configuration["task"])

    @cached_property
    def _metrics(self) -> tuple[Int[np.ndarray, " row"], dict[str, Float[np.ndarray, "row run"]]]:
        table = pl.read_parquet(self.path / METRICS, glob=False)
        steps = table["step"].unique().sort().to_numpy()
        curves = {}
        for (name,), part in table.group_by("metric", maintain_order=True):
            values = part.sort("step", "run")["value"].to_numpy()
            if values.size % len(steps):
                raise damaged(self.path / METRICS, f"{name} is not there for every run and step")
            curves[str(name)] = values.reshape(len(steps), -1)[:, self.chosen]
        return steps, curves

    @property
    def steps(self) -> Int[np.ndarray, " row"]:
        """Steps after which the metrics were written."""
        return self._metrics[0]

    def curves(self) -> dict[str, Float[np.ndarray, "row run"]]:
        """Every metric by name, a row for each of `steps`."""
        return dict(self._metrics[1])

    def final(self) -> dict[str, Float[np.ndarray, " run"]]:
        """Every metric after the last step, by name."""
        return {name: values[-1] for name, values in self.curves().items()}

    def weights(self) -> dict[str, np.ndarray]:
        """Every parameter of the model after the last step, [run, ...], by name; without those of cells."""
        arrays = read_arrays(self.path / WEIGHTS)
        return {name: array[self.chosen] for name, array in arrays.items() if not name.startswith(CELLS)}

    def cell_weights(self) -> dict[str, np.ndarray]:
        """Every parameter of the cells, [run, ...], by the names of a recall model; nothing without cells."""
        arrays = read_arrays(self.path / WEIGHTS)
        return {name.removeprefix(CELLS): a for name, a in arrays.items() if name.startswith(CELLS)}

    def embeddings(self) -> Float[np.ndarray, "run node width"]:
        """Node embeddings after the last step, in float64: the node rows of the token table."""
        with safe_open(self.path / WEIGHTS, "numpy") as file:
            stored = file.get_slice("token_embedding")[:, : self.graph.node_count]
        return stored[self.chosen].astype(np.float64)

    def snapshots(self) -> tuple[Int[np.ndarray, " snapshot"], Float[np.ndarray, "snapshot run node width"]]:
        """Steps at which embeddings were kept, and the embeddings (float32)."""
        arrays = read_arrays(self.path / SNAPSHOTS)
        return arrays["steps"], arrays["embeddings"][:, self.chosen]

    def recalled(self) -> Bool[np.ndarray, "run fact"] | None:
        """Which facts of its task each run knows after the last step; None where that was not kept."""
        recalled = read_arrays(self.path / SNAPSHOTS).get("recalled")
        return None if recalled is None else recalled[self.chosen].astype(bool)

    @property
    def chosen(self) -> slice | list[int]:
        """An index into the run axis of the arrays on disk."""
        return slice(None) if self.runs is None else list(self.runs)


def select_runs(run: Run, runs: Sequence[int]) -> Run:
    """Restrict to some runs, by number; everything read from it follows."""
    stored = run.runs or range(len(run.seeds))
    seeds = tuple(run.seeds[number] for number in runs)
    return replace(run, seeds=seeds, runs=tuple(stored[number] for number in runs))


def write_run(
    path: Path,
    *,
    manifest: Mapping[str, Any],
    world: Graph | FactTable,
    metrics: Mapping[str, Float[np.ndarray, "row run"]],
    metric_steps: Int[np.ndarray, " row"],
    weights: Mapping[str, np.ndarray],
    snapshots: Float[np.ndarray, "snapshot run node width"] | None = None,
    snapshot_steps: Int[np.ndarray, " snapshot"] | None = None,
    recalled: Bool[np.ndarray, "run fact"] | None = None,
) -> Run:
    """Write finished runs into their directory, `DONE` last, and open it.

    `manifest` has format, name, hash and configuration; `weights` have a run axis. Snapshots are those of a
    graph. Raises `InputError` when the disk is full or refuses.
    """
    described = {"format": str(FORMAT)}
    files = {MANIFEST: json_file(dict(manifest)), METRICS: table_file(metrics_table(metrics, metric_steps))}
    files[WEIGHTS] = array_file(weights, described)
    if isinstance(world, Graph):
        vocabulary = Vocabulary(world.labels)
        tokens = [vocabulary.text(token) for token in range(vocabulary.size)]
        files[WORLD] = json_file(graph_to_json(world))
        files[VOCABULARY] = json_file({"node_count": world.node_count, "tokens": tokens})
        kept = {"steps": np.asarray(snapshot_steps, dtype=np.int64), "embeddings": np.asarray(snapshots)}
        kept |= {} if recalled is None else {"recalled": recalled.astype(np.uint8)}
        files[SNAPSHOTS] = array_file(kept, described)
    else:
        files[FACTS] = json_file(facts_to_json(world))
    write_directory(path, files)
    stored = read_json(path / MANIFEST)
    configuration = stored["configuration"]
    counts = () if isinstance(world, Graph) else _read_cells(path, configuration["training"], world)[0]
    return Run(path, stored, world, tuple(configuration["seeds"]), cell_counts=counts)


def memory_size(table: FactTable) -> RecallSize:
    """How many rows the tables of a memory's model have.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> memory_size(random_bijections(4, 2))
    RecallSize(subjects=4, relations=2, objects=4)
    """
    return RecallSize(table.subject_count, table.relation_count, table.object_count)


def metrics_table(metrics: Mapping[str, np.ndarray], steps: Int[np.ndarray, " row"]) -> pl.DataFrame:
    """Curves [row, run] by name as one long table: run, step, metric, value.

    >>> metrics_table({"loss": np.array([[2.0, 3.0]])}, np.array([5])).rows()
    [(0, 5, 'loss', 2.0), (1, 5, 'loss', 3.0)]
    """
    parts = []
    for name, values in metrics.items():
        rows, runs = values.shape
        parts.append(
            pl.DataFrame(
                {
                    "run": np.repeat(np.arange(runs), rows),
                    "step": np.tile(steps, runs),
                    "metric": [name] * (rows * runs),
                    "value": np.asarray(values, dtype=np.float64).T.ravel(),
                },
                schema=METRIC_SCHEMA,
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame(schema=METRIC_SCHEMA)


# Everything below treats the directory as written by a stranger.


def holds_facts(path: str | os.PathLike[str]) -> bool:
    """Whether a directory holds facts rather than a graph."""
    return (Path(path) / FACTS).is_file()


def is_edited(path: Path) -> bool:
    """Whether a killed edit left the next version of a memory complete, so that this is what counts."""
    edited = path / EDITED
    return is_finished(edited) and not edited.is_symlink()


def read_run(path: str | os.PathLike[str], *, holding: Literal["graph", "facts"] | None = None) -> Run:
    """Check a run directory through and through and open it; arrays are read when asked for.

    Raises `InputError`, one sentence that names the file, if the directory is missing, unfinished, truncated,
    changed since it was written, or not what its manifest says, and if it does not hold what is asked for.
    """
    path = Path(path)
    if not path.is_dir():
        what = "is a file" if path.is_file() else "does not exist"
        wanted = "the directory of a memory of facts" if holding == "facts" else "a run directory"
        raise InputError(f"{path} {what}; give {wanted}, as geomem prints it.")
    if not (path / MANIFEST).is_file() and not (path / DONE).is_file():
        raise InputError(f"{path} is not a run directory (no {MANIFEST} in it); give one that geomem wrote.")
    if is_edited(path):
        path = path / EDITED
    if not is_finished(path):
        raise InputError(
            f"The run {path} is unfinished (no {DONE} in it); run the same command again to finish it."
        )
    listed = read_json(path / DONE)
    facts = isinstance(listed, dict) and FACTS in listed
    if (facts or holding == "facts") and not (path / FACTS).exists():
        raise InputError(
            f"{path} has no {FACTS}, the vocabulary of its weights; give a memory of facts, not of a graph."
        )
    if holding == "graph" and facts:
        raise InputError(f"{path} holds facts and no graph; give a run of edges or paths.")
    check_directory(path, FACT_FILES if facts else GRAPH_FILES)
    manifest = read_json(path / MANIFEST)
    seeds = _check_manifest(path / MANIFEST, manifest)
    world = (_read_facts if facts else _read_graph)(path, manifest["configuration"]["world"].get("digest"))
    _check_metrics(path / METRICS, len(seeds))
    run = Run(path, manifest, world, seeds)
    if isinstance(world, Graph):
        _check_embeddings(run)
        return run
    counts, length = _read_cells(path, manifest["configuration"]["training"], world)
    _check_memory(run, sum(counts), length)
    return replace(run, cell_counts=counts)


def _read_graph(path: Path, digest: str) -> Graph:
    try:
        graph = graph_from_json(read_json(path / WORLD))
    except InputError as error:
        raise damaged(path / WORLD, str(error).rstrip(".")) from error
    if graph.digest != digest:
        raise damaged(path / WORLD, "it holds another world than the manifest says")
    tokens = read_json(path / VOCABULARY)
    if not isinstance(tokens, dict) or tokens.get("tokens") != [*graph.labels, *SPECIAL_TOKENS]:
        raise damaged(path / VOCABULARY, "its tokens are not those of the world")
    return graph


def _read_facts(path: Path, digest: str) -> FactTable:
    try:
        table = facts_from_json(read_json(path / FACTS))
    except InputError as error:
        raise damaged(path / FACTS, str(error).rstrip(".")) from error
    if table.digest != digest:
        raise damaged(path / FACTS, "it holds other facts than the manifest says")
    return table


def _check_manifest(path: Path, manifest: Any) -> tuple[int, ...]:
    """The seeds of a manifest; raises `InputError` unless all of it is one of ours."""
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise damaged(path, "it is not a manifest of geomem")
    if manifest["format"] != FORMAT:
        raise InputError(
            f"{path} has format {manifest['format']!r}, but this geomem reads format {FORMAT}; "
            "read it with the version that wrote it."
        )
    configuration = manifest.get("configuration")
    if not isinstance(configuration, dict):
        raise damaged(path, "it has no configuration")
    for part in ("world", "task", "model", "training"):
        if not isinstance(configuration.get(part), dict):
            raise damaged(path, f"its configuration has no {part}")
    if manifest.get("hash") != configuration_hash(configuration):
        raise damaged(path, "its configuration and its hash differ")
    name = manifest.get("name")
    if not isinstance(name, str) or name != safe_name(name):
        raise damaged(path, "its name is not a plain one")
    seeds = configuration.get("seeds")
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise damaged(path, "its seeds are not a list of whole numbers")
    return tuple(seeds)


def _check_metrics(path: Path, run_count: int) -> None:
    try:
        lazy = pl.scan_parquet(path, glob=False)
        schema = lazy.collect_schema()
        rows = lazy.select(pl.len()).collect().item()
        if schema != METRIC_SCHEMA or not 0 < rows <= METRIC_ROW_LIMIT:
            raise damaged(path, f"it is not a table of {', '.join(METRIC_SCHEMA.names())}")
        run = pl.col("run")
        runs = lazy.select(run.min().alias("low"), run.max().alias("high")).collect().row(0)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged(path, "it is not a complete parquet file") from error
    if runs != (0, run_count - 1):
        raise damaged(path, f"its runs are not 0 to {run_count - 1}")


def _check_embeddings(run: Run) -> None:
    """Raise `InputError` unless weights and snapshots of a graph have its nodes and as many runs as seeds."""
    path, runs, nodes = run.path / WEIGHTS, len(run.seeds), run.graph.node_count
    shapes = array_shapes(path)
    for name, shape in shapes.items():
        if shape[:1] != (runs,):
            raise damaged(path, f"{name} has shape {shape}, expected {runs} runs first")
    table = shapes.get("token_embedding", ())
    if len(table) != 3 or table[1] < nodes:
        raise damaged(
            path, f"token_embedding has shape {table}, expected {runs} runs by {nodes} nodes or more"
        )
    path = run.path / SNAPSHOTS
    shapes = array_shapes(path)
    steps, embeddings = shapes.get("steps", ()), shapes.get("embeddings", ())
    if len(steps) != 1 or len(embeddings) != 4 or embeddings[:3] != (steps[0], runs, nodes):
        raise damaged(path, f"embeddings have shape {embeddings}, expected {runs} runs and {nodes} nodes")
    recalled = shapes.get("recalled", (runs, 0))
    if (len(recalled), *recalled[:1]) != (2, runs):
        raise damaged(path, f"recalled has shape {recalled}, expected {runs} runs")


def _read_cells(path: Path, training: Mapping[str, Any], table: FactTable) -> tuple[tuple[int, ...], int]:
    """Number of cells of every subject, and the length of their codes; nothing and 0 without cells."""
    path = path / MANIFEST
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


def _check_memory(run: Run, cells: int, cell_length: int) -> None:
    """Raise `InputError` unless the weights of a memory are those of its model, its facts and its cells."""
    path, table = run.path / WEIGHTS, run.table
    if run.configuration["model"].get("kind") != "recall":
        raise damaged(run.path / MANIFEST, "its model is no recall model")
    try:
        check_recall(run.model)
    except InputError as error:
        raise damaged(run.path / MANIFEST, str(error).rstrip(".")) from error
    shapes = array_shapes(path)
    # Looked up by name, so that a manifest of a million layers is refused at its first missing one.
    small = run.model.layers <= len(shapes)
    described = describe_recall_parameters(run.model, memory_size(table)) if small else {}
    if cells:
        size = cells_size(cells, table.relation_count, table.object_count, cell_length)
        like = Recall(width=size.residual_size, mlp_width=size.mlp_width, attention="uniform")
        rows = RecallSize(cells, 2, table.relation_count + table.object_count)
        described |= {CELLS + name: part for name, part in describe_recall_parameters(like, rows).items()}
    for name in sorted(set(described) ^ set(shapes)):
        raise damaged(path, f"{name} is {'missing' if name in described else 'no tensor of its model'}")
    for name, parameter in described.items():
        if shapes[name] != (len(run.seeds), *parameter.shape):
            expected = (len(run.seeds), *parameter.shape)
            raise damaged(path, f"{name} has shape {shapes[name]}, its model and facts need {expected}")
