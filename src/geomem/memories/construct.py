"""A memory written down: facts become weights in closed form, in a directory.

Nothing is trained and torch is not imported. What is written was first asked for every fact.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from geomem.constructions.answering import recall_every_fact
from geomem.constructions.cells import Cells, SeveralConstruction, recall_answer_sets, several_superposition
from geomem.constructions.one_hop import NUMBERS_LIMIT, OBJECTS, Weights, length_for_width
from geomem.errors import InputError
from geomem.memories.writing import check_place, now, write_new
from geomem.models.configuration import Recall
from geomem.runs.configuration import FactRecall, describe_configuration
from geomem.runs.directory import FORMAT, configuration_hash, safe_name
from geomem.runs.run import CELLS, CONSTRUCTION, Run
from geomem.version import find_version
from geomem.worlds.facts.table import FactTable, entropy_bits
from geomem.worlds.find import find_facts

LOGIT_SECONDS, NUMBER_BYTES = 2.5e-9, 40
"""What a construction takes per logit of its questions and per number of its weights, measured on one core of
2024 with 135,000 facts."""

Code = Literal["binary", "signs", "sphere", "circle"]
"""The codes that tell any number of objects apart at every length they are given."""


@dataclass(frozen=True)
class Asking:
    """How far the questions are that a new memory is asked before it is kept."""

    table: FactTable
    asked: int
    questions: int
    seconds: float
    """Estimate for all questions."""
    memory_bytes: int
    """Estimate for the whole construction."""


def construct_memory(
    facts: FactTable | str | os.PathLike[str] | object,
    directory: str | os.PathLike[str],
    *,
    width: int | None = None,
    code: Code = "binary",
    seed: int = 0,
    several: bool = False,
    numbers_limit: int = NUMBERS_LIMIT,
    on_progress: Callable[[Asking], None] | None = None,
) -> Run:
    """Write facts down as a block superposition, ask it every fact, and keep it in a new directory.

    `facts` is a table, the name of a built-in one, a file of triples, or whatever `facts_from` takes, which
    says what `several` allows; further answers to a question go into cells (`geomem.constructions.cells`).
    `width` is the most the residual stream may have, the least that will do if not given; codes become as
    long as it lets them. `seed` draws the codes `signs` and `sphere`. The manifest's `recalled` holds recall,
    least margin and bits.

    Where the directory holds the same memory already, nothing is written. `on_progress` is told how far the
    questions are.

    Raises `InputError` if the facts cannot be read; for a width that is too small, with the smallest that
    works; before it allocates more than `numbers_limit` numbers; if a fact is not recalled; and if the
    directory exists with something else in it. Nothing is written then.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memory = construct_memory("countries", Path(folder) / "countries")
    >>> memory.model.width, memory.manifest["recalled"]["recall"]
    (76, 1.0)
    """
    directory = Path(directory)
    check_place(directory)
    table = find_facts(facts, several=several)
    length = _length_for(table, code, width)
    memory = several_superposition(table, code=code, length=length, seed=seed, numbers_limit=numbers_limit)
    first = memory.first
    described = {"kind": CONSTRUCTION, "name": first.name, "code": code, "length": first.code.shape[1]}
    described |= {"seed": seed, "margin": memory.margin, "fact_bits": memory.fact_bits}
    if memory.cells:
        described |= describe_cells(memory.cells, table)
    model = Recall(
        width=first.size.residual_size, mlp_width=first.size.mlp_width, attention="uniform", hops=1
    )
    configuration = describe_configuration(table, FactRecall(), model, described, [0])
    tell = _asking(memory, table, on_progress) if on_progress else None
    recalled = ask_everything(first.weights, memory.cells, table, memory.margin / 2, tell)
    if recalled["recall"] < 1:
        raise InputError(
            f"With the code {code} only {recalled['recall']:.2%} of the facts of {table.name!r} are "
            "recalled, for its margin is lost in rounding; give the code binary."
        )
    manifest = {
        "format": FORMAT,
        "name": safe_name(f"{table.name}-written-down"),
        "configuration": configuration,
        "hash": configuration_hash(configuration),
        "started": now(),
        "versions": {"geomem": find_version()}
        | {name: version(name) for name in ("numpy", "safetensors", "polars")},
        "platform": platform.platform(),
        "dtype": "float64",
        "recalled": recalled,
        "edits": [],
    }
    return write_new(directory, manifest, table, all_weights(first.weights, memory.cells))


def _length_for(table: FactTable, code: Code, width: int | None) -> int | None:
    """Length of the codes in a residual stream of at most `width`; None for the code's own."""
    if width is None:
        return None
    if code != "circle":
        return length_for_width(table, width)
    needed = 3 * table.relation_count + 2
    if width < needed:
        raise InputError(
            f"A width of {width} is too small for {table.relation_count:,} relations of the table "
            f"{table.name!r} and the code circle; give {needed} or more."
        )
    return 2


def describe_cells(cells: Cells, table: FactTable) -> dict[str, Any]:
    """What the manifest's `training` says of cells."""
    counts = np.bincount(cells.owners, minlength=table.subject_count)
    rows = cells.weights[OBJECTS]
    length = int((rows != 0).any(axis=0).sum())
    return {"cells": counts.tolist(), "cell_length": length}


def _asking(
    memory: SeveralConstruction, table: FactTable, on_progress: Callable[[Asking], None]
) -> Callable[[int], None]:
    """Announces the questions, and gives what is called for every block of them."""
    cells = 0 if memory.cells is None else len(memory.cells.owners)
    logits = (table.fact_count - cells) * table.object_count
    logits += 2 * cells * (table.relation_count + table.object_count)
    numbers = sum(array.size for array in all_weights(memory.first.weights, memory.cells).values())
    told = Asking(table, 0, table.fact_count - cells, LOGIT_SECONDS * logits, NUMBER_BYTES * numbers)
    on_progress(told)

    def tell(count: int) -> None:
        nonlocal told
        told = replace(told, asked=told.asked + count)
        on_progress(told)

    return tell


def ask_everything(
    weights: Weights,
    cells: Cells | None,
    table: FactTable,
    least_lead: float,
    on_asked: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """What the manifest says of the weights as they are: every fact was asked."""
    if cells is None:
        found = recall_every_fact(weights, table, on_asked=on_asked)
        recall, margin = found.recall, float(found.margins.min())
    else:
        sets = recall_answer_sets(weights, cells, table, least_lead, on_asked=on_asked)
        recall, margin = sets.recall, sets.margin
    return {
        "facts": table.fact_count,
        "recall": recall,
        "margin": margin,
        "entropy_bits": entropy_bits(table),
    }


def all_weights(weights: Weights, cells: Cells | None) -> dict[str, np.ndarray]:
    """Every array of a memory by its name in the file."""
    further = {} if cells is None else {CELLS + name: array for name, array in cells.weights.items()}
    return {**weights, **further}
