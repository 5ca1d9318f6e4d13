"""Weights taken into a run: rows put in the order of a graph's nodes, then measured as they are.

What becomes of them is a training of one step at learning rate 0 that begins with them, so that they have
metrics, embeddings and a run directory as every other run, and nothing else has to know of them.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from geomem.checkpoints.architectures import count_numbers
from geomem.checkpoints.folder import Checkpoint, read_folder
from geomem.checkpoints.weight_files import PICKLES, refuse_pickle
from geomem.errors import InputError
from geomem.files import is_there, system_errors
from geomem.measure.vectors.label_file import read_labels
from geomem.runs.checks import task_length
from geomem.runs.directory import format_bytes
from geomem.runs.edges import edge_job
from geomem.runs.job import Job
from geomem.runs.paths import path_job
from geomem.runs.run import Run
from geomem.runs.start import Start
from geomem.training.configuration import PathTraining, Training
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.graphs.roots import find_root
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.tasks import EdgeMemorization
from geomem.worlds.text_file import show_label
from geomem.worlds.vocabulary import Vocabulary

if TYPE_CHECKING:
    from geomem.runs.train import Event

STILL = Training(steps=1, learning_rate=0.0, metric_every=1, snapshots=2)
STILL_PATHS = PathTraining(
    epochs=1, batches=1, learning_rate=0.0, weight_decay=0.0, warmup_steps=0, metric_every=1, snapshots=2
)
"""One step that changes nothing."""

COPIES = 2
"""Copies of the weights that exist while they are put in order."""


@dataclass(frozen=True, eq=False)
class Import:
    """A checkpoint that fits a graph, ready to become a run."""

    job: Job
    notes: tuple[str, ...]
    """What was left out or filled in."""


def import_checkpoint(
    checkpoint: str | os.PathLike[str],
    graph: Graph | str | os.PathLike[str] | object,
    *,
    task: EdgeMemorization | PathFinding | None = None,
    heads: int | None = None,
    vocabulary: str | os.PathLike[str] | None = None,
    directory: str | os.PathLike[str] = "runs",
    on_progress: "Callable[[Event], None] | None" = None,
) -> Run:
    """Make a run, of seed 0, of weights that were trained elsewhere on a graph.

    `checkpoint` is a folder of transformers (GPT-2 or Mamba, safetensors), a folder of `export_run`, or a
    `.pt` file of the first paper's release, which needs `heads`. `graph` is what `memorize` takes; its labels
    are looked up in the checkpoint's tokenizer, or in `vocabulary`, a file with the word of every row. Of a
    `.pt` file the rows are the nodes, then the special tokens. `task` says how the weights are asked: for
    edges, or for paths. The run can be measured, reported, and trained on (`memorize` and `find_paths` with
    `start`). What was left out or filled in is logged.

    Raises `InputError` for a checkpoint that is pickled, damaged, larger than memory, of another
    architecture, without a vocabulary, or without a word for every node.

    >>> import tempfile
    >>> from geomem.checkpoints.export import export_run
    >>> from geomem.runs.edges import memorize
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = memorize("cycle", training=Training(steps=50), seeds=1, directory=folder)
    ...     exported = export_run(run, Path(folder) / "exported")
    ...     again = import_checkpoint(exported.path, "cycle", directory=folder)
    ...     bool((again.embeddings() == run.embeddings()).all())
    True
    """
    from geomem.runs.train import train

    found = plan_import(checkpoint, graph, task=task, heads=heads, vocabulary=vocabulary)
    for note in found.notes:
        logging.getLogger(__name__).warning("%s: %s", checkpoint, note)
    return train(found.job, directory, on_progress=on_progress)


def plan_import(
    checkpoint: str | os.PathLike[str],
    graph: Graph | str | os.PathLike[str] | object,
    *,
    task: EdgeMemorization | PathFinding | None = None,
    heads: int | None = None,
    vocabulary: str | os.PathLike[str] | None = None,
) -> Import:
    """What `import_checkpoint` would do with the same arguments; nothing is written."""
    world, task = find_world(graph), task or EdgeMemorization()
    if isinstance(task, PathFinding):
        world = find_root(world)
    path = Path(checkpoint)
    found = _open(path, heads)
    _check_memory(path, found)
    words = Vocabulary(world.labels)
    tokens = [words.text(row) for row in range(words.size)]
    rows = _find_rows(path, found, vocabulary, tokens)
    if found.model.scores == "nodes":
        tokens = tokens[: words.node_count]
    taken, notes = _take_rows(path, rows, tokens, words.node_count, _asked(task))
    length = task_length(world, task)
    weights = {}
    for name, array in found.weights().items():
        if not np.isfinite(array).all():
            raise InputError(f"{path} holds NaN or infinity in {name}; give a model that did not diverge.")
        if name == "position_embedding":
            array, note = _take_positions(path, array, length)
            notes += note
        elif name.endswith("_embedding"):
            array = np.where((taken < 0)[:, None], np.float32(0), array[taken])
        weights[name] = np.ascontiguousarray(array)[None]
    start = Start(_digest(weights), partial(dict, weights))
    if isinstance(task, PathFinding):
        job = path_job(world, model=found.model, task=task, training=STILL_PATHS, seeds=1, start=start)
    else:
        job = edge_job(world, model=found.model, task=task, training=STILL, seeds=1, start=start)
    return Import(replace(job, name=f"{job.name}-imported"), tuple(notes))


def _open(path: Path, heads: int | None) -> Checkpoint:
    with system_errors(path, "read"):
        if path.is_dir():
            if heads is not None:
                raise InputError(f"{path} says itself how many heads there are; leave out --heads.")
            return read_folder(path)
    if path.suffix in PICKLES and path.suffix != ".pt":
        raise refuse_pickle(path)
    if not is_there(path):
        raise InputError(f"There is no {path}; give a folder, or a .pt file of the release.")
    if path.suffix != ".pt":
        raise InputError(f"{path} is a file; give the folder it lies in, or a .pt file of the release.")
    from geomem.checkpoints.release_file import read_release_file

    return read_release_file(path, heads=heads)


def _check_memory(path: Path, found: Checkpoint) -> None:
    """Raise `InputError` for weights that fit in memory only once."""
    from geomem.runs.environment import available_memory

    needed, free = 4 * COPIES * count_numbers(found.shapes), available_memory()
    if needed > free:
        raise InputError(
            f"{path} needs {format_bytes(needed)} of memory to be read, {format_bytes(free)} are free; "
            "give a smaller checkpoint, or end other programs."
        )


def _find_rows(
    path: Path, found: Checkpoint, vocabulary: str | os.PathLike[str] | None, tokens: Sequence[str]
) -> Mapping[str, int]:
    """The row of every word of a checkpoint."""
    count = found.shapes["token_embedding"][0]
    if vocabulary is not None:
        words = read_labels(Path(vocabulary))
        if len(words) != count:
            raise InputError(
                f"{vocabulary} has {len(words):,} words and {path} {count:,} rows; give one per row."
            )
        rows = {word: row for row, word in enumerate(words)}
        if len(rows) < len(words):
            raise InputError(f"{vocabulary} has a word twice; give every row a word of its own.")
        return rows
    if found.tokens is not None:
        if (most := max(found.tokens.values())) >= count:
            raise InputError(f"{path} has a word for row {most:,} and only {count:,} rows; write it again.")
        return found.tokens
    if path.is_dir():
        raise InputError(
            f"{path} has no tokenizer.json and no vocab.json; give --vocabulary FILE, the word of every row."
        )
    if count != len(tokens):
        raise InputError(
            f"{path} has {count:,} rows, and nodes and special tokens are {len(tokens):,}; give the graph "
            "that it was trained on, or --vocabulary FILE, the word of every row."
        )
    return {word: row for row, word in enumerate(tokens)}


def _asked(task: EdgeMemorization | PathFinding) -> tuple[str, ...]:
    """Special tokens without which a task cannot ask."""
    if isinstance(task, PathFinding):
        hidden = ("$",) if task.target == "teacherless" else ()
        return ("[EDGE]", "[PATH]", *(("[PAUSE]",) if task.pauses else ()), *hidden)
    return ("[EDGE]",) if task.task_token else ()


def _take_rows(
    path: Path, rows: Mapping[str, int], tokens: Sequence[str], nodes: int, asked: Sequence[str]
) -> tuple[Int[np.ndarray, " vocab"], list[str]]:
    """The row of each of our tokens, -1 for none, and what was left out or filled in.

    Raises `InputError` if a node, or a token that the task needs, has none.
    """
    taken = np.array([rows.get(token, -1) for token in tokens])
    if missing := [token for token, row in zip(tokens[:nodes], taken, strict=False) if row < 0]:
        raise InputError(
            f"The vocabulary of {path} has no word for {len(missing):,} of {nodes:,} nodes, "
            f"'{show_label(missing[0])}' for one; give the graph that it was trained on, or --vocabulary "
            "FILE, the word of every row."
        )
    absent = [token for token, row in zip(tokens[nodes:], taken[nodes:], strict=True) if row < 0]
    for token in asked:
        if token in absent:
            way = "give --no-task-token to ask with the node alone" if token == "[EDGE]" else "ask for edges"
            raise InputError(f"The vocabulary of {path} has no {token}, which the task needs; {way}.")
    notes = []
    if absent:
        notes.append(f"it has no {', '.join(absent)}; their rows are zeros, with the logit 0")
    if spare := [word for word in rows if word not in {*tokens}]:
        some = ", ".join(show_label(word) for word in spare[:3])
        are = "is no token of the graph and is" if len(spare) == 1 else "are no tokens of the graph and are"
        notes.append(f"{len(spare):,} of its words {are} left out ({some})")
    return taken, notes


def _take_positions(
    path: Path, table: Float[np.ndarray, "seq width"], length: int
) -> tuple[Float[np.ndarray, "taken width"], list[str]]:
    if len(table) < length:
        raise InputError(
            f"{path} has {len(table)} positions and the task asks with {length} words; ask for less."
        )
    left = f"its positions from {length} on, of {len(table):,}, are left out: no question is longer"
    return table[:length], [left] if len(table) > length else []


def _digest(weights: Mapping[str, np.ndarray]) -> str:
    """What a run's configuration says of the weights that it began with."""
    sums = hashlib.sha256()
    for name, array in sorted(weights.items()):
        sums.update(f"{name} {array.shape}".encode())
        sums.update(array.data)
    return sums.hexdigest()[:12]
