"""Asking a memory: a question or a chain of them, every step answered by the weights, never by the table.

A chain is followed by chain of thought: the answers to one relation are the subjects of the next, by label.
A question with several answers gives all of them, and a chain follows every one. So does a relation whose
further answers are relations of their own, `borders`, `borders (2)` and so on, asked by its first name.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Int

from geomem.constructions.answering import Answers, answer
from geomem.constructions.cells import cells_of, read_cells
from geomem.errors import InputError
from geomem.memories.opened import OpenMemory, open_memory
from geomem.runs.run import Run
from geomem.worlds.facts.hops import chain_answers
from geomem.worlds.facts.table import FactTable, find_relation, find_subject


@dataclass(frozen=True)
class AskedStep:
    """One question on the way and what was answered; nothing if the memory knows no answer."""

    subject: str
    relation: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A chain of relations from a subject: every question in the order it was asked, and where it ended."""

    steps: tuple[AskedStep, ...]
    answers: tuple[str, ...]
    """The last answers, each once; none if there is no answer."""


def ask(memory: OpenMemory | Run | str | os.PathLike[str], subject: str, *relations: str) -> Asked:
    """The answers to a subject and one relation, or to a chain of relations, and those on the way.

    A memory that was trained on chains answers one as a whole: then there is one step, and as many relations
    as its questions have.

    Raises `InputError` for an unknown subject or relation, with the nearest names; no relation, or as many
    as the memory cannot take at once; and if a chain goes on from answers of which none is a subject.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from geomem.memories.construct import construct_memory
    >>> facts = [("Italy", "capital", "Rome"), ("Italy", "borders", "France"), ("France", "capital", "Paris")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memory = open_memory(construct_memory(facts, Path(folder) / "memory"))
    >>> ask(memory, "Italy", "borders", "capital").answers, ask(memory, "France", "borders").answers
    (('Paris',), ())
    """
    opened = memory if isinstance(memory, OpenMemory) else open_memory(memory)
    table, hops = opened.stored.table, opened.stored.model.hops
    if not relations:
        raise InputError(f"No relation was asked for; give one or more of {_some(table.relations)}.")
    groups = [
        (find_relation(table, relation),) if opened.cells else relation_group(table, relation)
        for relation in relations
    ]
    find_subject(table, subject)
    if hops > 1 and len(relations) != hops:
        raise InputError(
            f"{opened.stored.path} answers chains of {hops} relations as a whole, and {len(relations)} "
            f"{'was' if len(relations) == 1 else 'were'} given; give {hops}."
        )
    links = [groups] if hops > 1 else [[group] for group in groups]
    names = [", ".join(relations)] if hops > 1 else relations
    current, steps = (subject,), []
    for number, (name, link) in enumerate(zip(names, links, strict=True)):
        subjects = [label for label in current if label in table.subject_ids]
        if not subjects:
            raise InputError(
                f"{names[number - 1]!r} cannot be followed by {name!r}, because none of its answers "
                f"({_some(current)}) is a subject of the table {table.name!r}; end the chain there."
            )
        found = dict(zip(subjects, _answer(opened, subjects, list(product(*link))), strict=True))
        steps += [AskedStep(label, name, found.get(label, ())) for label in current]
        current = tuple(dict.fromkeys(label for answers in found.values() for label in answers))
        if not current:
            break
    return Asked(tuple(steps), current)


def relation_group(table: FactTable, relation: str) -> tuple[int, ...]:
    """The relation of a name and, if its answers are numbered, those of its further ones.

    Raises `InputError` with the nearest names if there is no such relation.

    >>> from geomem.worlds.facts.reader import facts_from
    >>> from geomem.worlds.facts.several_answers import numbered_relations
    >>> facts = [("Italy", "borders", "France"), ("Italy", "borders", "Austria")]
    >>> relation_group(numbered_relations(facts_from(facts, several=True)), "borders")
    (0, 1)
    """
    group = [find_relation(table, relation)]
    while (further := f"{relation} ({len(group) + 1})") in table.relation_ids:
        group.append(table.relation_ids[further])
    return tuple(group)


def _answer(
    opened: OpenMemory, subjects: Sequence[str], paths: Sequence[tuple[int, ...]]
) -> list[tuple[str, ...]]:
    """What the memory answers to every subject over all paths together, each answer once."""
    table = opened.stored.table
    x = np.array([table.subject_ids[label] for label in subjects]).repeat(len(paths))
    said, known = _say(opened, x, np.tile(np.array(paths), (len(subjects), 1)))
    grid = np.where(known, said.objects, -1).reshape(len(subjects), len(paths)).tolist()
    found = {table.subject_ids[label]: row for label, row in zip(subjects, grid, strict=True)}
    if opened.cells is not None:
        asked = cells_of(opened.cells, np.unique(x))
        held = read_cells(opened.cells, opened.least_lead, asked)
        for cell in np.flatnonzero(np.isin(held[:, 0], np.array(paths)[:, 0])).tolist():
            found[int(opened.cells.owners[asked[cell]])].append(int(held[cell, 1]))
    return [tuple(dict.fromkeys(table.objects[y] for y in row if y >= 0)) for row in found.values()]


def _say(
    opened: OpenMemory, subjects: Int[np.ndarray, " question"], paths: Int[np.ndarray, "question hop"]
) -> tuple[Answers, Bool[np.ndarray, " question"]]:
    """The best object of every question, and whether that is an answer."""
    if opened.weights is not None:
        said = answer(opened.weights, subjects, paths[:, 0])
        return said, said.leads > opened.least_lead
    # Not at the top: what was written down is asked without waiting for torch.
    from geomem.memories.answers import memory_answers

    rows, row = np.unique(subjects, return_inverse=True)
    columns, column = np.unique(paths, axis=0, return_inverse=True)
    found = memory_answers(opened.stored, subjects=rows, paths=columns)
    picked = (opened.run, row, column.ravel())
    said = Answers(found.objects[picked], found.leads[picked].astype(np.float64))
    taught = chain_answers(opened.stored.table, subjects, paths) >= 0
    return said, taught & (said.leads > 0)


def _some(labels: Sequence[str]) -> str:
    """The first labels of many, for a sentence."""
    return ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
