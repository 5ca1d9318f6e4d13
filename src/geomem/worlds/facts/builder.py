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
from geomem.worlds.text_file import MAXIMUM_LABEL_CHARACTERS, clean_label, equal_numbers

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_WHOLE_OR_FLOAT = re.compile(r"[+-]?[0-9]{1,18}([.]0+)?")


def build_facts(
    name: str,
    cells: tuple[list[str], list[str], list[str]],
    where: Callable[[int], str],
    *,
    several: bool,
    notes: Sequence[str],
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
    notes = list(notes)
    cells, even = _whole_numbers(cells)
    notes += even
    (subjects, subject), (relations, relation), (objects, answer) = (_encode(part, where) for part in cells)
    check_table_size(
        name, subjects=len(subjects), relations=len(relations), objects=len(objects), facts=len(subject)
    )
    question = subject * len(relations) + relation
    # Keep the first of equal facts, in the order of the file.
    kept = np.sort(np.unique(question * len(objects) + answer, return_index=True)[1])
    if repeated := len(question) - len(kept):
        notes.append(
            f"{'1 repeated fact was' if repeated == 1 else f'{repeated:,} repeated facts were'} merged."
        )
    if not several:
        _check_conflicts(where, (subjects, relations, objects), (subject, relation, answer), kept, question)
    table = _in_reading_order(
        name, subjects, relations, objects, subject[kept], relation[kept], answer[kept], notes
    )
    return replace(table, notes=(*notes, describe_several(table))) if table.several else table


def short_whole_numbers(labels: Collection[str]) -> dict[str, str]:
    """If all labels are whole numbers, as `2.0` is: those that are written longer, each with its short form.

    >>> short_whole_numbers(["1", "2.0"]), short_whole_numbers(["3.10", "3.0"])
    ({'2.0': '2'}, {})
    """
    return equal_numbers(labels) if all(map(_WHOLE_OR_FLOAT.fullmatch, labels)) else {}


def _whole_numbers(
    cells: tuple[list[str], list[str], list[str]],
) -> tuple[tuple[list[str], list[str], list[str]], list[str]]:
    """The labels with whole numbers written alike, as data frames turn ids into floats; and what was done."""
    parts = [dict.fromkeys(part) for part in cells]
    entities = {**parts[0], **parts[2]}
    kinds = [entities if all(map(_WHOLE_OR_FLOAT.fullmatch, entities)) else parts[0], parts[1]]
    kinds.append(entities if kinds[0] is entities else parts[2])
    shorter = [short_whole_numbers(labels) for labels in kinds]
    changed = {old: new for found in shorter for old, new in found.items()}
    if not changed:
        return cells, []
    subjects, relations, objects = (
        [found.get(cell, cell) for cell in part] if found else part
        for part, found in zip(cells, shorter, strict=True)
    )
    old, new = next(iter(changed.items()))
    note = (
        f"{len(changed):,} number{'s were' if len(changed) > 1 else ' was'} written short, as {old} to {new}."
    )
    return (subjects, relations, objects), [note]


def _check_conflicts(
    where: Callable[[int], str],
    labels: tuple[list[str], list[str], list[str]],
    ids: tuple[np.ndarray, np.ndarray, np.ndarray],
    kept: Int[np.ndarray, " kept"],
    question: Int[np.ndarray, " fact"],
) -> None:
    """Raise `InputError` that names the first fact whose question has another answer already."""
    _, first, index = np.unique(question[kept], return_index=True, return_inverse=True)
    further = np.flatnonzero(first[index] != np.arange(len(kept)))
    if not further.size:
        return
    row, earlier = int(kept[further[0]]), int(kept[first[index[further[0]]]])
    subject, relation, answer = (kind[part[row]] for kind, part in zip(labels, ids, strict=True))
    raise InputError(
        f"{where(row)} answers {subject!r}, {relation!r} with {answer!r}, but "
        f"{where(earlier)[0].lower()}{where(earlier)[1:]} with {labels[2][ids[2][earlier]]!r}; keep one of "
        "them, or allow several answers with several=True (--several on the command line)."
    )


def _in_reading_order(
    name: str,
    subjects: list[str],
    relations: list[str],
    objects: list[str],
    subject: Int[np.ndarray, " fact"],
    relation: Int[np.ndarray, " fact"],
    answer: Int[np.ndarray, " fact"],
    notes: Sequence[str],
) -> FactTable:
    """The table with ids in the module's order."""
    subjects, subject = _by_appearance(subjects, subject, np.arange(len(subject)))
    relations, relation = _by_appearance(relations, relation, np.argsort(subject, kind="stable"))
    objects, answer = _by_appearance(objects, answer, np.lexsort((relation, subject)))
    facts = np.stack([subject, relation, answer], axis=1)
    return FactTable(name, tuple(subjects), tuple(relations), tuple(objects), facts, tuple(notes))


def _by_appearance(
    labels: list[str], ids: Int[np.ndarray, " fact"], order: Int[np.ndarray, " fact"]
) -> tuple[list[str], Int[np.ndarray, " fact"]]:
    """Labels and ids renumbered: in numeric order, or as they first appear in the facts in this order."""
    used, first = np.unique(ids[order], return_index=True)
    old = used[np.argsort(first)].tolist()
    if all(map(_WHOLE_NUMBER.fullmatch, labels)):
        old.sort(key=lambda number: int(labels[number]))
    new = np.empty(len(labels), dtype=np.int64)
    new[old] = np.arange(len(old))
    return [labels[number] for number in old], new[ids]


def _encode(cells: list[str], where: Callable[[int], str]) -> tuple[list[str], Int[np.ndarray, " fact"]]:
    """Labels of a column and, for every cell, the number of its label."""
    clean = {cell: clean_label(cell) for cell in dict.fromkeys(cells)}
    for cell, label in clean.items():
        if wrong := what_is_wrong(label):
            raise InputError(
                f"{where(cells.index(cell))} has a label that {wrong}; "
                f"give labels of 1 to {MAXIMUM_LABEL_CHARACTERS:,} characters in plain text."
            )
    number = {label: place for place, label in enumerate(dict.fromkeys(clean.values()))}
    of_cell = {cell: number[label] for cell, label in clean.items()}
    return list(number), np.fromiter(map(of_cell.__getitem__, cells), dtype=np.int64, count=len(cells))


def what_is_wrong(label: str) -> str:
    """Why a label cannot be kept, as the end of "a label that ..."; nothing if it can."""
    if not label:
        return "is empty"
    if len(label) > MAXIMUM_LABEL_CHARACTERS:
        return f"has {len(label):,} characters"
    if found := _CONTROL_CHARACTER.search(label):
        return f"has the control character {found.group()!r}"
    return ""
