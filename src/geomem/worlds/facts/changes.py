"""A table of facts with one fact changed: another answer to a question, one more, or one less."""

from dataclasses import replace

import numpy as np

from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable, fact_rows


def replace_fact(
    table: FactTable, subject: int, relation: int, new_object: int, *, old_object: int | None = None
) -> FactTable:
    """The table in which a question has another answer; a question without an answer gets this one.

    Of several answers `old_object` is the one that is replaced. Raises `InputError` if an id or the old
    answer does not exist, if the new one does already, and for several answers without `old_object`.

    >>> table = FactTable("towns", ("Kazakhstan",), ("capital",), ("Almaty", "Astana"), np.array([[0, 0, 0]]))
    >>> replace_fact(table, 0, 0, 1).facts.tolist()
    [[0, 0, 1]]
    """
    row = _row_of(table, subject, relation, old_object)
    facts = table.facts.copy()
    if row is None:
        facts = np.concatenate([facts, [[subject, relation, new_object]]])
    else:
        facts[row, 2] = new_object
    return replace(table, facts=facts)


def with_fact(table: FactTable, subject: int, relation: int, further_object: int) -> FactTable:
    """The table in which a question has one more answer, after those it has.

    Raises `InputError` if an id does not exist or the table has the fact already.

    >>> table = FactTable("map", ("Italy",), ("borders",), ("France", "Austria"), np.array([[0, 0, 0]]))
    >>> with_fact(table, 0, 0, 1).facts.tolist()
    [[0, 0, 0], [0, 0, 1]]
    """
    return replace(table, facts=np.concatenate([table.facts, [[subject, relation, further_object]]]))


def without_fact(
    table: FactTable, subject: int, relation: int, *, old_object: int | None = None
) -> FactTable:
    """The table that no longer answers a question, or no longer with `old_object`; labels, thus ids, stay.

    Raises `InputError` if the table has no such fact, or no other one; and for several answers without
    `old_object`.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> from geomem.worlds.facts.table import answers
    >>> answers(without_fact(random_bijections(3, 2), 1, 0))[1, 0].item()
    -1
    """
    row = _row_of(table, subject, relation, old_object)
    if row is None:
        raise InputError(
            f"The table {table.name!r} has no answer to {table.subjects[subject]!r}, "
            f"{table.relations[relation]!r}; name a fact that it has."
        )
    return replace(table, facts=np.delete(table.facts, row, axis=0))


def _row_of(table: FactTable, subject: int, relation: int, old_object: int | None) -> int | None:
    """The row of the fact that answers a question, with `old_object` if that is given; None if none does."""
    rows = fact_rows(table, subject, relation)
    objects = table.facts[rows, 2]
    question = f"{table.subjects[subject]!r}, {table.relations[relation]!r}"
    if old_object is not None:
        found = np.flatnonzero(objects == old_object)
        if not len(found):
            label = table.objects[old_object] if 0 <= old_object < table.object_count else old_object
            raise InputError(
                f"The table {table.name!r} does not answer {question} with {label!r}; "
                "name an answer that it has."
            )
        return rows.start + int(found[0])
    if len(objects) > 1:
        raise InputError(
            f"The table {table.name!r} has {len(objects)} answers to {question}; name one of them."
        )
    return rows.start if len(objects) else None
