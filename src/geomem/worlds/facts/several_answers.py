"""Tables whose questions have several answers, and the same with every further answer a relation of its own.

A trained model answers a question with one object, so it needs the second; what is written down keeps the
first (`geomem.constructions.cells`).
"""

from collections import Counter
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable


def answer_numbers(table: FactTable) -> Int[np.ndarray, " fact"]:
    """How many answers to its question stand before each fact.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> answer_numbers(random_bijections(2, 1)).tolist()
    [0, 0]
    """
    counts = table.answer_counts
    return np.arange(table.fact_count) - np.repeat(np.cumsum(counts) - counts, counts)


def is_first_answer(table: FactTable) -> Bool[np.ndarray, " fact"]:
    """Which facts are the first answers to their questions.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> is_first_answer(random_bijections(2, 1)).tolist()
    [True, True]
    """
    return answer_numbers(table) == 0


def describe_several(table: FactTable) -> str:
    """One sentence on the questions with several answers.

    >>> from geomem.worlds.facts.reader import facts_from
    >>> facts = [("Italy", "borders", "France"), ("Italy", "borders", "Austria")]
    >>> describe_several(facts_from(facts, several=True))
    "1 of 1 questions has several answers, up to 2 ('Italy', 'borders')."
    """
    counts = table.answer_counts
    many = int((counts > 1).sum())
    subject, relation, _ = table.facts[int((np.cumsum(counts) - counts)[counts.argmax()])].tolist()
    return (
        f"{many:,} of {len(counts):,} questions {'has' if many == 1 else 'have'} several answers, up to "
        f"{counts.max():,} ({table.subjects[subject]!r}, {table.relations[relation]!r})."
    )


def numbered_relations(table: FactTable) -> FactTable:
    """The table with one answer to every question: further ones are those of `borders (2)` and so on.

    Answers are numbered in the order of the table. A table with single answers is returned as it is.
    Raises `InputError` if a relation of the table has such a name already.

    >>> from geomem.worlds.facts.reader import facts_from
    >>> facts = [("Italy", "borders", "France"), ("Italy", "borders", "Austria")]
    >>> numbered_relations(facts_from(facts, several=True)).relations
    ('borders', 'borders (2)')
    """
    if not table.several:
        return table
    number = answer_numbers(table)
    most = int(number.max()) + 1
    pairs, first, index = np.unique(table.facts[:, 1] * most + number, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(pairs), dtype=np.int64)
    place[order] = np.arange(len(pairs))
    labels = []
    for pair in pairs[order].tolist():
        label, count = table.relations[pair // most], pair % most + 1
        labels.append(label if count == 1 else f"{label} ({count})")
    unused = [label for label in table.relations if label not in set(labels)]
    if len(set(labels)) < len(labels) or any(label in unused for label in labels):
        twice, _ = Counter(labels).most_common(1)[0]
        raise InputError(
            f"The relation {twice!r} of the table {table.name!r} stands for itself and for a further answer "
            "to another relation; rename it."
        )
    counts = np.bincount(pairs // most, minlength=table.relation_count)
    example = table.relations[int(counts.argmax())]
    many = int((counts > 1).sum())
    note = (
        f"{many:,} of {table.relation_count:,} relations {'has' if many == 1 else 'have'} up to {most:,} "
        f"answers; {'it is' if many == 1 else 'they are'} "
        f"asked as {example!r}, {f'{example} (2)'!r}{', and so on' if most > 2 else ''}."
    )
    notes = [earlier for earlier in table.notes if earlier != describe_several(table)]
    facts = np.stack([table.facts[:, 0], place[index], table.facts[:, 2]], axis=1)
    return replace(table, relations=(*labels, *unused), facts=facts, notes=(*notes, note))
