"""A table of facts from the labels of each: cleaned, numbered, repeated facts merged, conflicts refused.

Subjects, relations and objects get their ids in numeric order if every label of the kind is a whole number,
else in order of first appearance, reading all facts of the first subject, then of the second, and so on: so a
table that is written and read again is the same.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from geomem.errors import InputError
from geomem.worlds.facts.several_answers import describe_several
from geomem.worlds.facts.table import FactTable, check_table_size
from geomem.worlds.objects import are_whole_numbers, clean_labels
from geomem.worlds.text_file import equal_numbers

Cells = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""The labels of subject, relation and object of every fact."""

_WHOLE_OR_FLOAT = re.compile(r"[+-]?[0-9]{1,18}([.]0+)?")


def build_facts(
    name: str, cells: Cells, where: Callable[[int], str], *, several: bool, notes: Sequence[str]
) -> FactTable:
    """The table of facts given by their labels; `where` says in errors where a fact stands.

    Repeated facts are merged, and numbers such as `1` and `1.0` are one label, where all labels are whole
    numbers. Raises `InputError` for no fact, a label that cannot be kept, a table that is too large, and two
    answers to a question unless `several` allows them.

    >>> cells = (["1", "2.0"], ["next", "next"], ["2", "1.0"])
    >>> build_facts("line", cells, "Fact {}".format, several=False, notes=()).objects
    ('1', '2')
    """
    if not cells[0]:
        raise InputError(f"The table {name!r} has no fact; give at least one.")
    cells, even = _whole_numbers(cells)
    encoded = [_encode(part, where) for part in cells]
    labels, facts = [known for known, _ in encoded], np.stack([ids for _, ids in encoded], axis=1)
    subjects, relations, objects = sizes = tuple(map(len, labels))
    check_table_size(name, subjects=subjects, relations=relations, objects=objects, facts=len(facts))
    # Keep the first of equal facts, in the order of the file.
    kept = np.sort(np.unique(np.ravel_multi_index(tuple(facts.T), sizes), return_index=True)[1])
    facts, repeated = facts[kept], len(facts) - len(kept)
    merged = "1 repeated fact was" if repeated == 1 else f"{repeated:,} repeated facts were"
    notes = [*notes, *even, *([f"{merged} merged."] if repeated else [])]
    _, first, index = np.unique(facts[:, 0] * relations + facts[:, 1], return_index=True, return_inverse=True)
    further = np.flatnonzero(first[index] != np.arange(len(kept)))
    if further.size and not several:
        row, before = further[0], first[index[further[0]]]
        said = [known[number] for known, number in zip(labels, facts[row].tolist(), strict=True)]
        earlier = where(int(kept[before]))
        raise InputError(
            f"{where(int(kept[row]))} answers {said[0]!r}, {said[1]!r} with {said[2]!r}, but "
            f"{earlier[0].lower()}{earlier[1:]} with {labels[2][facts[before, 2]]!r}; keep one of them, or "
            "allow several answers with several=True (--several on the command line)."
        )
    for part in range(3):
        order = np.lexsort(facts[:, :part].T[::-1]) if part else np.arange(len(facts))
        labels[part], facts[:, part] = _by_appearance(labels[part], facts[:, part], order)
    subject_labels, relation_labels, object_labels = map(tuple, labels)
    table = FactTable(name, subject_labels, relation_labels, object_labels, facts, tuple(notes))
    return replace(table, notes=(*notes, describe_several(table))) if table.several else table


def short_whole_numbers(labels: Collection[str]) -> dict[str, str]:
    """If all labels are whole numbers, as `2.0` is: those that are written longer, each with its short form.

    >>> short_whole_numbers(["1", "2.0"]), short_whole_numbers(["3.10", "3.0"])
    ({'2.0': '2'}, {})
    """
    return equal_numbers(labels) if all(map(_WHOLE_OR_FLOAT.fullmatch, labels)) else {}


def _whole_numbers(cells: Cells) -> tuple[Cells, list[str]]:
    """The labels with whole numbers written alike, as data frames turn ids into floats; and what was done."""
    subjects, relations, objects = map(dict.fromkeys, cells)
    entities = {**subjects, **objects}
    if all(map(_WHOLE_OR_FLOAT.fullmatch, entities)):
        subjects = objects = entities
    shorter = [short_whole_numbers(labels) for labels in (subjects, relations, objects)]
    changed = {old: new for found in shorter for old, new in found.items()}
    if not changed:
        return cells, []
    subject, relation, answer = (
        [found.get(cell, cell) for cell in part] if found else part
        for part, found in zip(cells, shorter, strict=True)
    )
    old, new = next(iter(changed.items()))
    were = "s were" if len(changed) > 1 else " was"
    return (subject, relation, answer), [f"{len(changed):,} number{were} written short, as {old} to {new}."]


def _by_appearance(
    labels: list[str], ids: Int[np.ndarray, " fact"], order: Int[np.ndarray, " fact"]
) -> tuple[list[str], Int[np.ndarray, " fact"]]:
    """Labels and ids renumbered: in numeric order, or as they first appear in the facts in this order."""
    used, first = np.unique(ids[order], return_index=True)
    old = used[np.argsort(first)].tolist()
    if are_whole_numbers(labels):
        old.sort(key=lambda number: int(labels[number]))
    new = np.empty(len(labels), dtype=np.int64)
    new[old] = np.arange(len(old))
    return [labels[number] for number in old], new[ids]


def _encode(cells: Sequence[str], where: Callable[[int], str]) -> tuple[list[str], Int[np.ndarray, " fact"]]:
    """Labels of a column and, for every cell, the number of its label."""
    clean = clean_labels(cells, where)
    number = {label: place for place, label in enumerate(dict.fromkeys(clean.values()))}
    of_cell = {cell: number[label] for cell, label in clean.items()}
    return list(number), np.fromiter(map(of_cell.__getitem__, cells), dtype=np.int64, count=len(cells))
