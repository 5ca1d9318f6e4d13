"""Edit a fact, or forget it: a change to one subject vector and to nothing else.

    edit: s_x += W_r (u_new - u_old),    forget: s_x -= W_r u_old,    W_r: what relation r reads, transposed

In a block superposition this rewrites one block exactly, so every other answer and its margin stay bit for
bit (derived here). In a dense superposition it is the same sum with another term; optimised vectors are
no sums, so there an edit is approximate.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.constructions.one_hop import CONTRACT, EXPAND, OBJECTS, RELATIONS, SUBJECTS, Weights
from geomem.errors import InputError
from geomem.worlds.facts.changes import replace_fact, without_fact
from geomem.worlds.facts.table import FactTable, find_answer


@dataclass(frozen=True, eq=False)
class Edit:
    """A memory after one change, and what changed in it."""

    weights: Weights
    """All arrays but the subject table are those that were given."""
    table: FactTable
    """The facts that the memory now holds."""
    subject: int
    """The one row of the subject table that differs."""
    coordinates: Int[np.ndarray, " coordinate"]
    """The numbers of that row that differ."""


def edit_subject(weights: Weights, table: FactTable, subject: int, relation: int, new_object: int) -> Edit:
    """The memory in which a question has another answer; one that had none gets it.

    `weights` are those of a gated superposition (block or dense) that holds `table`.

    Raises `InputError` for ids that do not exist or weights of another kind.

    >>> from geomem.constructions.answering import answer
    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(8, 2)
    >>> edit = edit_subject(block_superposition(table).weights, table, 3, 1, 5)
    >>> answer(edit.weights, np.array([3]), np.array([1])).objects.tolist()
    [5]
    >>> bool((edit.coordinates // 3 == 1).all())
    True
    """
    changed = replace_fact(table, subject, relation, new_object)
    old = find_answer(table, subject, relation)
    new = rewrite_block(weights, subject, relation, None if old < 0 else old, new_object)
    return _edit(weights, changed, subject, new)


def forget_fact(weights: Weights, table: FactTable, subject: int, relation: int) -> Edit:
    """The memory that no longer answers a question: in a block superposition all its logits become 0.

    Raises `InputError` if the table has no such fact or no other one, or for weights of another kind.

    >>> from geomem.constructions.answering import answer
    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(8, 2)
    >>> edit = forget_fact(block_superposition(table).weights, table, 3, 1)
    >>> answer(edit.weights, np.array([3]), np.array([1])).leads.tolist(), edit.coordinates.tolist()
    ([0.0], [3, 4, 5])
    """
    changed = without_fact(table, subject, relation)
    old = find_answer(table, subject, relation)
    return _edit(weights, changed, subject, rewrite_block(weights, subject, relation, old, None))


def rewrite_block(
    weights: Weights, subject: int, relation: int, old_object: int | None, new_object: int | None
) -> dict[str, np.ndarray]:
    """The weights in which a subject holds another object under a relation, or none: one row differs.

    `old_object` is the one it holds now. Raises `InputError` for weights of another kind.

    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(8, 2)
    >>> new = rewrite_block(block_superposition(table).weights, 3, 1, int(table.facts[7, 2]), None)
    >>> new["subject_embedding"][3, 3:6].tolist()
    [0.0, 0.0, 0.0]
    """
    vector = weights[SUBJECTS][subject]
    if old_object is not None:
        vector = vector - _component(weights, relation, old_object)
    if new_object is not None:
        vector = vector + _component(weights, relation, new_object)
    rows = weights[SUBJECTS].copy()
    rows[subject] = vector
    return {**weights, SUBJECTS: rows}


def relation_map(weights: Weights, relation: int) -> Float[np.ndarray, "width length"]:
    """W_r of a gated superposition, read off the neurons that pass relation r with a plus sign.

    Raises `InputError` if the weights lack such a gate.

    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> relation_map(block_superposition(random_bijections(8, 2)).weights, 1).shape
    (11, 3)
    """
    m = _code_length(weights)
    rows = weights[EXPAND][2 * m * relation : 2 * m * relation + m]
    payload = weights[EXPAND].shape[1] - len(weights[RELATIONS]) - m
    readout = np.zeros_like(rows)
    readout[:, :payload] = rows[:, :payload]
    return readout.T


def _component(weights: Weights, relation: int, code_of: int) -> Float[np.ndarray, " width"]:
    """W_r u_a: what a fact adds to its subject."""
    return relation_map(weights, relation) @ weights[OBJECTS][code_of, -_code_length(weights) :]


def _edit(old: Weights, table: FactTable, subject: int, new: Weights) -> Edit:
    coordinates = np.flatnonzero(new[SUBJECTS][subject] != old[SUBJECTS][subject])
    return Edit(new, table, subject, coordinates)


def _code_length(weights: Weights) -> int:
    """The length of the codes that the gate writes to the last coordinates."""
    R = len(weights[RELATIONS])
    neurons = len(weights.get(EXPAND, ()))
    m = neurons // (2 * R)
    width = weights[OBJECTS].shape[1]
    gated = 0 < m < width and neurons == 2 * R * m and not weights[OBJECTS][:, :-m].any()
    if not gated or not np.array_equal(weights[CONTRACT][-m:, :m], np.eye(m)):
        raise InputError(
            "The weights have no gate that passes one relation's code, so a fact is not part of one vector; "
            "give those of block_superposition or dense_superposition."
        )
    return m
