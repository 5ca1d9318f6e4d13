"""A memory opened: the weights of one run, its margin, its cells, and which facts stand where."""

import os
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from geomem.constructions.cells import Cells, read_cells
from geomem.runs.directory import MANIFEST, damaged
from geomem.runs.run import CONSTRUCTION, WEIGHTS, Run, find_seed, read_run
from geomem.worlds.facts.table import FactTable, number_facts, select_facts

MAXIMUM_MARGIN = 1e12
"""A margin that is stated is below; a wider one is not of a construction."""


@dataclass(frozen=True, eq=False)
class OpenMemory:
    """One run of a memory, ready to be asked.

    A memory that was written down has its weights here, and a stated margin: an answer that leads by less
    than half of it is none. A trained memory states no margin and has some answer to everything, so it is
    asked the questions that were facts of its training alone, and says "no answer" to all others.
    """

    stored: Run
    run: int
    weights: dict[str, np.ndarray] | None
    """Without run axis; None for a trained memory."""
    least_lead: float
    cells: Cells | None = None
    """Further answers; None for a trained memory, and where every question has one answer."""


def open_memory(memory: Run | str | os.PathLike[str], *, seed: int | None = None) -> OpenMemory:
    """Open a memory, or its directory, to ask it often; of a trained one the run with `seed`, else the first.

    Raises `InputError` as `read_run` does, and if no run has the seed.
    """
    stored = memory if isinstance(memory, Run) else read_run(memory, holding="facts")
    run = find_seed(stored, seed)
    margin = stated_margin(stored)
    if margin is None:
        return OpenMemory(stored, run, None, 0.0)
    weights = {name: array[run] for name, array in stored.weights().items()}
    further = {name: array[run] for name, array in stored.cell_weights().items()}
    for name, array in [*weights.items(), *further.items()]:
        if not np.isfinite(array).all():
            raise damaged(stored.place / WEIGHTS, f"{name} holds numbers that are not finite")
    cells = None
    if further:
        owners = np.repeat(np.arange(stored.table.subject_count), stored.cell_counts)
        cells = Cells(further, owners, stored.table.relation_count)
    return OpenMemory(stored, run, weights, margin / 2, cells)


def stated_margin(memory: Run) -> float | None:
    """By how much the answers of a memory that was written down lead at least; None for a trained one.

    Raises `InputError` if the manifest of one that was written down states no margin.
    """
    training = memory.manifest["configuration"]["training"]
    if training.get("kind") != CONSTRUCTION:
        return None
    margin = training.get("margin")
    if not isinstance(margin, float) or not 0 < margin < MAXIMUM_MARGIN:
        raise damaged(memory.place / MANIFEST, "its construction states no margin")
    return margin


def held_in_cells(opened: OpenMemory) -> Bool[np.ndarray, " fact"]:
    """Which facts of its table a memory holds in cells; the others are those of its subjects' vectors."""
    table, cells = opened.stored.table, opened.cells
    if cells is None:
        return np.zeros(table.fact_count, dtype=bool)
    held = np.column_stack([cells.owners, read_cells(cells, opened.least_lead)])
    return np.isin(number_facts(table, table.facts), number_facts(table, held[held[:, 1] >= 0]))


def model_table(memory: Run) -> FactTable:
    """The facts that a memory's model holds, thus all of them but those in cells: one answer per question.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from geomem.memories.construct import construct_memory
    >>> facts = [("Italy", "borders", "France"), ("Italy", "borders", "Austria")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model_table(construct_memory(facts, Path(folder) / "memory", several=True)).fact_count
    1
    """
    if not memory.cell_counts:
        return memory.table
    return select_facts(memory.table, ~held_in_cells(open_memory(memory)))
