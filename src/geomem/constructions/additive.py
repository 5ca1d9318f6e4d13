"""Memories without a gate: what addition alone can and cannot recall (derived here, notes B7).

The paper treats disjoint attributes in its appendix F, of which only the title was available to us.
"""

import numpy as np

from geomem.constructions.codes import binary_code, binary_length
from geomem.constructions.one_hop import (
    NUMBERS_LIMIT,
    RecallConstruction,
    RecallSize,
    check_numbers,
    recall_size,
    recall_weights,
)
from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable, answers


def disjoint_superposition(table: FactTable, *, numbers_limit: int = NUMBERS_LIMIT) -> RecallConstruction:
    """Every relation has its own objects: a model without MLP recalls all facts.

        logit_a = <c_a, block r(a) of s_x> + 2 [r(a) = r],    r(a): the one relation that answers with a

    Residual size R m + R, codes of m = ceil(log2 of the most objects of a relation), margin at least 2 / m.

    Raises `InputError` if an object answers two relations, or before it allocates more than `numbers_limit`.

    >>> from geomem.constructions.answering import recall_every_fact
    >>> from geomem.worlds.facts.families import disjoint_bijections
    >>> table = disjoint_bijections(16, 3)
    >>> recall_every_fact(disjoint_superposition(table).weights, table).recall
    1.0
    """
    pairs = np.unique(table.facts[:, 1:], axis=0)
    owners = np.full(table.object_count, -1)
    owners[pairs[:, 1]] = pairs[:, 0]
    if len(pairs) > (owners >= 0).sum():
        shared = np.flatnonzero(np.bincount(pairs[:, 1]) > 1)[0]
        raise InputError(
            f"The object {table.objects[shared]!r} of the table {table.name!r} answers two relations, which "
            "addition cannot tell apart; use block_superposition."
        )
    R = table.relation_count
    most = int(np.bincount(pairs[:, 0]).max())
    m = binary_length(most)
    D = R * m + R
    size = _size(table, D, facts=table.subject_count * R * m)
    check_numbers(f"disjoint superposition of the table {table.name!r}", size.numbers, numbers_limit)
    words = binary_code(most, m)
    subjects, objects = np.zeros((table.subject_count, D)), np.zeros((table.object_count, D))
    found = answers(table)
    for r in range(R):
        block = slice(r * m, (r + 1) * m)
        own = pairs[pairs[:, 0] == r, 1]
        objects[own, block] = words[: len(own)]
        objects[own, R * m + r] = 2.0
        known = found[:, r] >= 0
        subjects[known, block] = objects[found[known, r], block]
    relations = np.hstack([np.zeros((R, R * m)), np.eye(R)])
    copy = np.diag(np.r_[np.ones(R * m), np.zeros(R)])
    weights = recall_weights(subjects, relations, objects, copy)
    return RecallConstruction("disjoint superposition", weights, words, 2 / m, size)


def additive_superposition(
    table: FactTable, *, seed: int = 0, numbers_limit: int = NUMBERS_LIMIT
) -> RecallConstruction:
    """One vector per object and no map per relation: s_x = sum_r u_{a(x, r)}, without MLP, as a foil.

    The u are orthonormal, so nothing is lost to noise: the logits of all objects of x are equal up to a
    small random preference g(r, a) of each relation. With shared objects it recalls about 1 / R of the facts.

    Raises `InputError` before it allocates more than `numbers_limit` numbers.

    >>> from geomem.constructions.answering import recall_every_fact
    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(256, 4)
    >>> round(recall_every_fact(additive_superposition(table).weights, table).recall, 2)
    0.27
    """
    A, R = table.object_count, table.relation_count
    D = A + R
    size = _size(table, D, facts=table.subject_count * A)
    check_numbers(f"additive superposition of the table {table.name!r}", size.numbers, numbers_limit)
    subjects = np.zeros((table.subject_count, D))
    np.add.at(subjects, (table.facts[:, 0], table.facts[:, 2]), 1.0)
    preference = 0.1 * np.random.default_rng([seed, 6]).random((A, R))
    objects = np.hstack([np.eye(A), preference])
    relations = np.hstack([np.zeros((R, A)), np.eye(R)])
    copy = np.diag(np.r_[np.ones(A), np.zeros(R)])
    weights = recall_weights(subjects, relations, objects, copy)
    code = np.eye(A)
    return RecallConstruction("additive superposition", weights, code, float("-inf"), size)


def additive_recall_bound(table: FactTable) -> float:
    """Highest recall that any additive model f(x, a) + g(r, a) can have on bijections with shared objects.

    Two relations demand d(a(x, 1)) > d(a(x, 2)) of every subject whose two answers differ, d = g_1 - g_2.
    Around a cycle of a_1 a_2^-1 these add up to 0 > 0, so each cycle longer than 1 loses a fact:

        recall <= 1 - sum over pairs of cycles / ((R - 1) N R)

    Trained additive models stay far below: about 1 / R, measured by us.

    Raises `InputError` unless every relation is a bijection of all subjects onto all objects.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> round(additive_recall_bound(random_bijections(64, 2)), 3)
    0.977
    """
    found = answers(table)
    N, R = found.shape
    if table.object_count != N or (np.sort(found, axis=0) != np.arange(N)[:, None]).any():
        raise InputError(
            f"The table {table.name!r} has a relation that is not a bijection of its {N:,} subjects onto all "
            "objects; give random_bijections or the like."
        )
    if R == 1:
        return 1.0
    inverses = np.argsort(found, axis=0)
    cycles = sum(
        _count_cycles(found[inverses[:, second], first]) for first in range(R) for second in range(first)
    )
    return 1.0 - cycles / ((R - 1) * N * R)


def _count_cycles(permutation: np.ndarray) -> int:
    """Number of cycles of length 2 or more."""
    seen = permutation == np.arange(len(permutation))
    cycles = 0
    for start in range(len(permutation)):
        cycles += not seen[start]
        here = start
        while not seen[here]:
            seen[here] = True
            here = int(permutation[here])
    return cycles


def _size(table: FactTable, width: int, *, facts: int) -> RecallSize:
    return recall_size(sum(table.sizes), width, 0, facts, facts)
