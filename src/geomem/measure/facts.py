"""Measuring memories of facts on disk, trained or written down: one row of numbers per run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.measure.probes import judge_vectors, load_network
from geomem.measure.recall_portrait import (
    MEMORY_MEASUREMENTS,
    RecallPortrait,
    measure_recall_memory,
    portrait_numbers,
)
from geomem.memories.opened import model_table
from geomem.models.networks.recall import all_paths
from geomem.models.own import OwnModule
from geomem.runs.facts import question_answers
from geomem.runs.run import Run
from geomem.worlds.facts.table import object_tokens


def measure_memory(memory: Run, *, training_steps: int = 250, seed: int = 0) -> pl.DataFrame:
    """Everything measured of each run of a memory, one row per run; the columns of `portrait_numbers`.

    The docs page "Recall measurements" defines them; further answers in cells are left out. `seed` decides
    which subjects are held out, which new facts are tried and which attributes exchanged; `training_steps`
    are those of embedding-only training.
    About a minute per run at 1,024 subjects, 2 relations and width 128 on one core.

    >>> import tempfile
    >>> from geomem.runs.facts import learn_facts
    >>> from geomem.training.configuration import RecallTraining
    >>> from geomem.worlds.facts.families import random_bijections
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     memory = learn_facts(random_bijections(8, 2), training=RecallTraining(steps=30), seeds=[0],
    ...         directory=directory)
    ...     measure_memory(memory, training_steps=9).select("run", "seed", "relations").rows()
    [(0, 0, 2)]
    """
    portraits = [
        draw_portrait(memory, run, training_steps=training_steps, seed=seed)
        for run in range(len(memory.seeds))
    ]
    return tabulate_portrait_numbers(memory, portraits)


def tabulate_portrait_numbers(memory: Run, portraits: Sequence[RecallPortrait]) -> pl.DataFrame:
    """The rows of `measure_memory` from the portraits of all runs, for those who need both."""
    rows = [
        {"run": run, "seed": seed} | portrait_numbers(portrait)
        for run, (seed, portrait) in enumerate(zip(memory.seeds, portraits, strict=True))
    ]
    whole = [name for name, entry in MEMORY_MEASUREMENTS.items() if entry.whole]
    return pl.DataFrame(rows).with_columns(pl.col(whole).cast(pl.Int64))


def recall_with(memory: Run, weights: Mapping[str, np.ndarray]) -> float:
    """Share of the facts of the model that one run's weights, changed or not, answer; ties are wrong."""
    known = question_answers(model_table(memory), memory.model.hops)
    return judge_vectors(load_network(memory.model, weights), weights["subject_embedding"], known)[0]


def question_names(memory: Run) -> list[str]:
    """The relation of every question by its label; with several hops the path, as in `father, sister`."""
    labels = memory.table.relations
    paths = all_paths(len(labels), memory.model.hops).tolist()
    return [", ".join(labels[relation] for relation in path) for path in paths]


def draw_portrait(memory: Run, run: int = 0, *, training_steps: int = 250, seed: int = 0) -> RecallPortrait:
    """The whole portrait of one run of a memory: curves over gains, maps of relations, rates of gates."""
    arrays, model = {name: values[run] for name, values in memory.weights().items()}, memory.model
    known = question_answers(model_table(memory), model.hops)
    settings: dict[str, Any] = {"training_steps": training_steps, "seed": seed}
    if isinstance(model, OwnModule):
        settings |= {
            "outputs": _object_rows(memory, arrays),
            "recall_told": float(memory.final()["recall"][run]),
        }
        return measure_recall_memory(None, memory.embeddings()[run], known, **settings)
    return measure_recall_memory(load_network(model, arrays), arrays["subject_embedding"], known, **settings)


def _object_rows(memory: Run, arrays: Mapping[str, np.ndarray]) -> Float[np.ndarray, "object code"]:
    """The rows of a module's read-out that are the objects'; no column if it is not known."""
    found = arrays.get(memory.model.read_out)
    rows = object_tokens(memory.table)
    return np.zeros((len(rows), 0)) if found is None else found[rows]


def describe_unmeasured(memory: Run) -> str:
    """What is not measured of a memory and why, in a sentence; empty if all is."""
    model = memory.model
    if not isinstance(model, OwnModule):
        return ""
    if not model.embedding:
        why = "its embedding is not known (name it with --embedding when it is learned)"
    elif not model.read_out:
        why = "no one tensor of it tells the objects apart in the logits"
    else:
        return (
            f"Of the module {model.source} the subjects' rows of {model.embedding} are measured, as sums of "
            f"the objects' rows of {model.own_name(model.read_out)}; what asks the network itself (maps, "
            "gates, swaps, transfer) is not measured, for no run brings code."
        )
    return f"Of the module {model.source} recall alone is measured: {why}."
