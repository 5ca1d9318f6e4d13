"""Finished runs on disk, of a graph or of a table of facts: one directory per configuration.

A directory `<directory>/<name>-<hash12>/` holds

| file | what |
|---|---|
| `manifest.json` | configuration (world, task, model, training, seeds), versions, device, git state |
| `world.json` or `facts.json` | the graph, or the table of facts with every label |
| `vocabulary.json` | text of every token, of graphs only; of told ones also the tokens of every name |
| `metrics.parquet` | long table: run, step, metric, value |
| `weights.safetensors` | every parameter after the last step, [run, ...] |
| `snapshots.safetensors` | `steps`, `embeddings` [snapshot, run, node, width], `recalled` [run, fact] |
| `DONE` | size and SHA-256 of each file above; written last |

`geomem.runs.directory` says how files are written and checked. A memory that was edited has its files in a
directory `version-<n>` within, which the file `CURRENT` names and which never changes. A memory that was
written down may hold further answers in cells (`geomem.constructions.cells`): their weights stand in the
same file, under names that begin with `cells.`, and the manifest's `training` has the number of cells of
every subject (`cells`) and the length of their codes (`cell_length`).
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from geomem.errors import InputError
from geomem.files import json_file, system_errors
from geomem.models.configuration import Recall
from geomem.runs.checks import CELLS as CELLS
from geomem.runs.checks import CONSTRUCTION as CONSTRUCTION
from geomem.runs.checks import check_fleet, check_manifest, check_memory, read_cells
from geomem.runs.checks import memory_size as memory_size
from geomem.runs.configuration import read_model, read_task
from geomem.runs.directory import (
    CURRENT,
    DONE,
    DONE_LIMIT,
    EDITED,
    FORMAT,
    MANIFEST,
    MANIFEST_LIMIT,
    VERSION,
    array_file,
    check_directory,
    current_version,
    damaged,
    is_finished,
    read_array,
    read_arrays,
    read_json,
    table_file,
    write_directory,
)
from geomem.runs.directory import FACTS as FACTS
from geomem.runs.directory import METRICS as METRICS
from geomem.runs.directory import SNAPSHOTS as SNAPSHOTS
from geomem.runs.directory import VOCABULARY as VOCABULARY
from geomem.runs.directory import WEIGHTS as WEIGHTS
from geomem.runs.directory import WORLD as WORLD
from geomem.runs.metrics import Curves, metrics_table, read_metrics
from geomem.runs.told import ToldVocabulary, describe_told_vocabulary, read_told_vocabulary
from geomem.shown import shown_by
from geomem.worlds.facts.table import FactTable
from geomem.worlds.facts.table_file import facts_from_json, facts_to_json
from geomem.worlds.graphs.file import graph_from_json, graph_to_json
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.language.telling import Telling
from geomem.worlds.vocabulary import SPECIAL_TOKENS, Vocabulary

GRAPH_FILES = (MANIFEST, WORLD, VOCABULARY, METRICS, WEIGHTS, SNAPSHOTS)
FACT_FILES = (MANIFEST, FACTS, METRICS, WEIGHTS)

Holding = Literal["graph", "facts"] | None
READINGS = 100
"""How often a memory is read again that is edited meanwhile."""


@shown_by("geomem.report.card:show_run")
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
    version: str = ""
    """Name of the directory within `path` that holds the files of a memory that was edited."""
    arrays: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    """The weights of a memory that was written down, since an edit may remove them; of others they stay on
    disk."""

    @property
    def place(self) -> Path:
        """Where the files are."""
        return self.path / self.version

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
        return read_model(self.place / MANIFEST, self.configuration["model"])

    @cached_property
    def task(self) -> Any:
        """What the runs were trained on; raises `InputError` for settings that no task has."""
        return read_task(self.place / MANIFEST, self.configuration["task"])

    @cached_property
    def _metrics(self) -> tuple[Int[np.ndarray, " row"], Curves]:
        steps, curves = read_metrics(self.place / METRICS, len(self.configuration["seeds"]))
        return steps, {name: values[:, self.chosen] for name, values in curves.items()}

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
        arrays = self._all_weights()
        return {name: array[self.chosen] for name, array in arrays.items() if not name.startswith(CELLS)}

    def cell_weights(self) -> dict[str, np.ndarray]:
        """Every parameter of the cells, [run, ...], by the names of a recall model; nothing without cells."""
        arrays = self._all_weights()
        return {name.removeprefix(CELLS): a for name, a in arrays.items() if name.startswith(CELLS)}

    def _all_weights(self) -> dict[str, np.ndarray]:
        if self.arrays is None:
            return read_arrays(self.place / WEIGHTS)
        return {name: array.copy() for name, array in self.arrays.items()}

    def embeddings(self) -> Float[np.ndarray, "run node width"]:
        """Node embeddings after the last step, in float64: the node rows of the token table, or the subjects.

        Of a graph told in sentences they are the means of the rows of each name's tokens.
        They have no column if the runs are of a module of which no embedding is known.
        """
        world = self.world
        rows = world.node_count if isinstance(world, Graph) else world.subject_count
        if not self.model.width:
            return np.zeros((len(self.seeds), rows, 0))
        table = "subject_embedding" if isinstance(self.model, Recall) else "token_embedding"
        if isinstance(self.task, Telling):
            return self._name_embeddings()
        if self.arrays is not None:
            return self.arrays[table][self.chosen].astype(np.float64)
        stored = read_array(self.place / WEIGHTS, table, rows=rows)
        return stored[self.chosen].astype(np.float64)

    def _name_embeddings(self) -> Float[np.ndarray, "run node width"]:
        names = read_told_vocabulary(self.place / VOCABULARY, self.graph.node_count).names
        table = read_array(self.place / WEIGHTS, "token_embedding")[self.chosen].astype(np.float64)
        return np.stack([table[:, list(tokens)].mean(axis=1) for tokens in names], axis=1)

    def snapshots(self) -> tuple[Int[np.ndarray, " snapshot"], Float[np.ndarray, "snapshot run node width"]]:
        """Steps at which embeddings were kept, and the embeddings (float32)."""
        arrays = read_arrays(self.place / SNAPSHOTS)
        return arrays["steps"], arrays["embeddings"][:, self.chosen]

    def recalled(self) -> Bool[np.ndarray, "run fact"] | None:
        """Which facts of its task each run knows after the last step; None where that was not kept."""
        recalled = read_arrays(self.place / SNAPSHOTS).get("recalled")
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


def find_seed(run: Run, seed: int | None) -> int:
    """The number of the run with a seed, the first if it is None; raises `InputError` if no run has it."""
    if seed is not None and seed not in run.seeds:
        known = ", ".join(map(str, run.seeds))
        raise InputError(f"{run.path} has no run of seed {seed}; its seeds are {known}.")
    return 0 if seed is None else run.seeds.index(seed)


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
    told: ToldVocabulary | None = None,
) -> Run:
    """Write finished runs into their directory, `DONE` last, and open it.

    `told` is the vocabulary of a graph that was told in sentences.
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
        files[VOCABULARY] = json_file(
            {"node_count": world.node_count, "tokens": tokens}
            if told is None
            else describe_told_vocabulary(told)
        )
        kept = {"steps": np.asarray(snapshot_steps, dtype=np.int64), "embeddings": np.asarray(snapshots)}
        kept |= {} if recalled is None else {"recalled": recalled.astype(np.uint8)}
        files[SNAPSHOTS] = array_file(kept, described)
    else:
        files[FACTS] = json_file(facts_to_json(world))
    write_directory(path, files)
    stored = read_json(path / MANIFEST)
    configuration = stored["configuration"]
    counts = () if isinstance(world, Graph) else read_cells(path, configuration["training"], world)[0]
    return Run(path, stored, world, tuple(configuration["seeds"]), cell_counts=counts)


# Everything below treats the directory as written by a stranger.


def holds_facts(path: str | os.PathLike[str]) -> bool:
    """Whether a directory holds facts rather than a graph."""
    # In this order: an edit names its version before it removes the former one.
    return any(os.path.lexists(Path(path) / name) for name in (FACTS, CURRENT, EDITED))


def read_run(path: str | os.PathLike[str], *, holding: Holding = None) -> Run:
    """Check a run directory through and through and open it; arrays are read when asked for.

    Of a memory that is edited meanwhile the former version is read or the new one. Where the current version
    is damaged and another is whole, as a killed edit can leave it, that is read, with a warning.

    Raises `InputError`, one sentence that names the file, if the directory is missing, unfinished, truncated,
    changed since it was written, or not what its manifest says, and if it does not hold what is asked for.
    """
    path = Path(path)
    with system_errors(path, "read"):
        if not path.is_dir():
            what = "is a file" if path.is_file() else "does not exist"
            wanted = "the directory of a memory of facts" if holding == "facts" else "a run directory"
            raise InputError(f"{path} {what}; give {wanted}, as geomem prints it.")
        if not any(os.path.lexists(path / name) for name in (MANIFEST, DONE, CURRENT, EDITED)):
            raise InputError(
                f"{path} is not a run directory (no {MANIFEST} in it); give one that geomem wrote."
            )
        for _ in range(READINGS):
            version = current_version(path)
            try:
                return _read_version(path, version, holding)
            except InputError as error:
                if current_version(path) == version:
                    return _read_other(path, version, holding, error)
    raise InputError(f"{path} is edited again and again; wait until that ends and run this again.")


def _read_other(
    path: Path, version: str, holding: Literal["graph", "facts"] | None, error: InputError
) -> Run:
    """Another version of a memory than the damaged one, the latest that is whole; raises `error` if none."""
    numbers = [int(found[1]) for name in os.listdir(path) if (found := VERSION.fullmatch(name))]
    for other in [*(f"version-{number}" for number in sorted(numbers, reverse=True)), ""]:
        if other != version and not (path / other).is_symlink() and (other or numbers):
            with suppress(InputError):
                run = _read_version(path, other, holding)
                logging.getLogger(__name__).warning("%s What is in %s is read.", error, path / other)
                return run
    raise error


def _read_version(path: Path, version: str, holding: Holding) -> Run:
    place = path / version
    if not is_finished(place):
        raise InputError(
            f"The run {place} is unfinished (no {DONE} in it); run the same command again to finish it."
        )
    listed = read_json(place / DONE, limit=DONE_LIMIT)
    facts = isinstance(listed, dict) and FACTS in listed
    if (facts or holding == "facts") and not os.path.lexists(place / FACTS):
        raise InputError(
            f"{place} has no {FACTS}, the vocabulary of its weights; give a memory of facts, not of a graph."
        )
    if holding == "graph" and facts:
        raise InputError(f"{path} holds facts and no graph; give a run of edges or paths.")
    check_directory(place, FACT_FILES if facts else GRAPH_FILES)
    manifest = read_json(place / MANIFEST, limit=MANIFEST_LIMIT)
    seeds = check_manifest(place / MANIFEST, manifest)
    configuration = manifest["configuration"]
    digest = configuration["world"].get("digest")
    told = configuration["task"].get("kind") == "telling"
    world = _read_facts(place, digest) if facts else _read_graph(place, digest, told=told)
    in_cells = isinstance(world, FactTable)
    counts, length = read_cells(place, configuration["training"], world) if in_cells else ((), 0)
    run = Run(path, manifest, world, seeds, cell_counts=counts, version=version)
    if (needed := "recall" if facts else "loss") not in run.curves():
        raise damaged(place / METRICS, f"{needed} is missing")
    if isinstance(world, Graph):
        check_fleet(place, configuration, world)
        return run
    check_memory(place, configuration, world, sum(counts), length)
    if configuration["training"].get("kind") != CONSTRUCTION:
        return run
    run = replace(run, arrays=read_arrays(place / WEIGHTS))
    run.curves()  # kept in it, for the same reason
    return run


def _read_graph(path: Path, digest: Any, *, told: bool) -> Graph:
    try:
        graph = graph_from_json(read_json(path / WORLD))
    except InputError as error:
        raise damaged(path / WORLD, str(error).rstrip(".")) from error
    if graph.digest != digest:
        raise damaged(path / WORLD, "it holds another world than the manifest says")
    if told:
        return graph  # its tokens are read where its weights are checked
    tokens = read_json(path / VOCABULARY)
    if not isinstance(tokens, dict) or tokens.get("tokens") != [*graph.labels, *SPECIAL_TOKENS]:
        raise damaged(path / VOCABULARY, "its tokens are not those of the world")
    return graph


def _read_facts(path: Path, digest: Any) -> FactTable:
    try:
        table = facts_from_json(read_json(path / FACTS))
    except InputError as error:
        raise damaged(path / FACTS, str(error).rstrip(".")) from error
    if table.digest != digest:
        raise damaged(path / FACTS, "it holds other facts than the manifest says")
    return table
