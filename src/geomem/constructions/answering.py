"""The exact forward pass of the `Recall` model with uniform attention, in NumPy, and recall over a table.

    h = e_r + W_O W_V (e_x + e_r) / 2,    y = h + W_2 relu(W_1 h + b_1) + b_2,    logits = U y

No step of it is approximated. What is linear is computed once per subject and once per relation; neurons that
are off for all subjects asked and coordinates that no object reads are left out, for they add zeros.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from geomem.constructions.one_hop import (
    CONTRACT,
    CONTRACT_BIAS,
    EXPAND,
    EXPAND_BIAS,
    KEY,
    OBJECTS,
    OUTPUT,
    QUERY,
    RELATIONS,
    SUBJECTS,
    VALUE,
    Weights,
)
from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable, check_ids

# Logits of one block of questions: 4 MiB in float64, which stays in a processor's cache.
_BLOCK_NUMBERS = 2**19


@dataclass(frozen=True, eq=False)
class Answers:
    """The best object of every question, and how far its logit leads the next one (0: nothing is known)."""

    objects: Int[np.ndarray, " question"]
    leads: Float[np.ndarray, " question"]


@dataclass(frozen=True, eq=False)
class Recalled:
    """What a memory says to every fact of a table, in the order of its facts."""

    objects: Int[np.ndarray, " fact"]
    margins: Float[np.ndarray, " fact"]
    """Right logit minus best wrong logit."""

    @property
    def recall(self) -> float:
        """Share of facts whose right logit leads; a tie counts as wrong."""
        return float((self.margins > 0).mean())


def recall_logits(
    weights: Weights, subjects: Int[np.ndarray, " question"], relations: Int[np.ndarray, " question"]
) -> Shaped[np.ndarray, "question object"]:
    """All logits of some questions, the formula above read off line by line; for a few questions.

    Raises `InputError` if the weights are not those of a one-layer `Recall` model with uniform attention.

    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> memory = block_superposition(random_bijections(4, 2))
    >>> recall_logits(memory.weights, np.array([0]), np.array([1])).shape
    (1, 4)
    """
    _check_weights(weights)
    e_x, e_r = weights[SUBJECTS][subjects], weights[RELATIONS][relations]
    h = e_r + _half((e_x + e_r) @ weights[VALUE].T) @ weights[OUTPUT].T
    expand, expand_bias, contract, contract_bias = _mlp(weights)
    y = h + np.maximum(h @ expand.T + expand_bias, 0) @ contract.T + contract_bias
    return y @ weights[OBJECTS].T


def answer(
    weights: Weights,
    subjects: Int[np.ndarray, " question"],
    relations: Int[np.ndarray, " question"],
    *,
    on_asked: Callable[[int], object] | None = None,
) -> Answers:
    """The object with the highest logit for every question, in the precision of the weights.

    `on_asked` is called with the size of every block of questions that was asked.

    A lead of 0 means that no object is ahead: the construction holds no such fact. With a single object the
    lead is its logit.

    Raises `InputError` if an id does not exist, or as `recall_logits` does.

    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(4, 2)
    >>> said = answer(block_superposition(table).weights, table.facts[:, 0], table.facts[:, 1])
    >>> (said.objects == table.facts[:, 2]).all(), said.leads.min().round(6)
    (np.True_, np.float64(1.0))
    """
    objects, leads = np.zeros(len(subjects), dtype=np.int64), np.zeros(len(subjects))
    for questions, logits in _logit_blocks(weights, subjects, relations):
        best = logits.argmax(axis=1)
        objects[questions], leads[questions] = best, logit_margins(logits, best)
        if on_asked:
            on_asked(len(questions))
    return Answers(objects, leads)


def recall_every_fact(
    weights: Weights, table: FactTable, *, on_asked: Callable[[int], object] | None = None
) -> Recalled:
    """The answer to every fact of the table and its margin, in blocks of questions.

    `on_asked` is called with the size of every block that was asked.

    Time O(N D w + N A R m) for N subjects, A objects and codes of length m; memory of a few blocks.

    Raises `InputError` if the table has other sizes than the weights, or as `recall_logits` does.

    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(64, 4)
    >>> recall_every_fact(block_superposition(table).weights, table).recall
    1.0
    """
    _check_weights(weights)
    held, given = tuple(len(weights[name]) for name in (SUBJECTS, RELATIONS, OBJECTS)), table.sizes
    if held != given:
        sizes = f"{given[0]:,}, {given[1]:,} and {given[2]:,}"
        raise InputError(
            f"The weights know {held[0]:,} subjects, {held[1]:,} relations and {held[2]:,} objects, and the "
            f"table {table.name!r} {sizes}; give the table that the weights were made for."
        )
    subjects, relations, targets = table.facts.T
    objects, margins = np.zeros(len(targets), dtype=np.int64), np.zeros(len(targets))
    for questions, logits in _logit_blocks(weights, subjects, relations):
        objects[questions] = logits.argmax(axis=1)
        margins[questions] = logit_margins(logits, targets[questions])
        if on_asked:
            on_asked(len(questions))
    return Recalled(objects, margins)


@dataclass(frozen=True, eq=False)
class Difference:
    """What two memories say differently to the same questions."""

    changed: Bool[np.ndarray, " question"]
    """Whether another object has the highest logit."""
    shifts: Float[np.ndarray, " question"]
    """The largest change of a logit."""


def compare_answers(
    one: Weights,
    other: Weights,
    subjects: Int[np.ndarray, " question"],
    relations: Int[np.ndarray, " question"],
) -> Difference:
    """How far the logits of two memories of equal sizes are apart, question by question, in blocks.

    Raises `InputError` if an id does not exist, or as `recall_logits` does.

    >>> from geomem.constructions.one_hop import SUBJECTS, block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> weights = block_superposition(random_bijections(4, 2)).weights
    >>> doubled = {**weights, SUBJECTS: weights[SUBJECTS][[1, 1, 2, 3]]}
    >>> difference = compare_answers(weights, doubled, np.array([0, 2]), np.array([1, 1]))
    >>> difference.changed.tolist(), difference.shifts[1].item()
    ([True, False], 0.0)
    """
    changed, shifts = np.zeros(len(subjects), dtype=bool), np.zeros(len(subjects))
    pairs = (_logit_blocks(weights, subjects, relations) for weights in (one, other))
    for (questions, old), (_, new) in zip(*pairs, strict=True):
        changed[questions] = old.argmax(axis=1) != new.argmax(axis=1)
        shifts[questions] = np.abs(new - old).max(axis=1)
    return Difference(changed, shifts)


def logit_margins(
    logits: Shaped[np.ndarray, "row object"], chosen: Int[np.ndarray, " row"]
) -> Float[np.ndarray, " row"]:
    """Logit of one object per row minus the best of the others; with a single object the logit itself.

    Overwrites the chosen logits, to spare a copy of them all.

    >>> logit_margins(np.array([[3.0, 1.0], [0.0, 0.0]]), np.array([0, 1])).tolist()
    [2.0, 0.0]
    """
    rows = np.arange(len(logits))
    own = logits[rows, chosen]
    if logits.shape[1] == 1:
        return own.astype(np.float64)
    logits[rows, chosen] = -np.inf
    leads = own - logits.max(axis=1)
    if leads.dtype == object:
        # Whole numbers of any length: those beyond the range of floats lead by far.
        leads = np.clip(leads, -(10**300), 10**300)
    return leads.astype(np.float64)


def _logit_blocks(
    weights: Weights, subjects: Int[np.ndarray, " question"], relations: Int[np.ndarray, " question"]
) -> Iterator[tuple[Int[np.ndarray, " row"], Shaped[np.ndarray, "row object"]]]:
    """Question numbers and their logits, block by block, one relation at a time."""
    _check_weights(weights)
    check_ids("A question", "subject", subjects, len(weights[SUBJECTS]))
    check_ids("A question", "relation", relations, len(weights[RELATIONS]))
    asked, rows = np.unique(subjects, return_inverse=True)
    e_x, e_r = weights[SUBJECTS][asked], weights[RELATIONS]
    # h is the sum of a part of the subject and a part of the relation, and so is W_1 h.
    own = _half(e_x @ weights[VALUE].T) @ weights[OUTPUT].T
    other = e_r + _half(e_r @ weights[VALUE].T) @ weights[OUTPUT].T
    read = np.flatnonzero((weights[OBJECTS] != 0).any(axis=0))
    U = weights[OBJECTS][:, read]
    expand, expand_bias, contract, contract_bias = _mlp(weights)
    own_inputs, other_inputs = own @ expand.T, other @ expand.T + expand_bias
    highest = own_inputs.max(axis=0) if len(asked) else own_inputs[:0].sum(axis=0)
    contract, contract_bias = contract[read].T, contract_bias[read]
    own, other = own[:, read], other[:, read]
    size = max(1, _BLOCK_NUMBERS // max(len(U), len(expand)))
    order = np.argsort(relations, kind="stable")
    starts = np.flatnonzero(np.diff(relations[order], prepend=-1))
    for group in np.split(order, starts[1:]) if len(order) else []:
        r = relations[group[0]]
        on = np.flatnonzero(highest + other_inputs[r] > 0)
        for start in range(0, len(group), size):
            questions = group[start : start + size]
            x = rows[questions]
            active = np.maximum(own_inputs[x[:, None], on] + other_inputs[r, on], 0)
            y = own[x] + other[r] + active @ contract[on] + contract_bias
            yield questions, y @ U.T


def _mlp(weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weights and biases of the MLP; one without neurons if the model has none."""
    if EXPAND in weights:
        return weights[EXPAND], weights[EXPAND_BIAS], weights[CONTRACT], weights[CONTRACT_BIAS]
    nothing = np.zeros((0, weights[SUBJECTS].shape[1]), weights[SUBJECTS].dtype)
    return nothing, nothing[:, 0], nothing.T, np.zeros_like(weights[SUBJECTS][0])


def _half(values: Shaped[np.ndarray, "*axes"]) -> Shaped[np.ndarray, "*axes"]:
    """Uniform attention over two tokens; exact for whole numbers of any length too."""
    if values.dtype != object:
        return values / 2
    return values // 2 if not (values % 2).any() else values * Fraction(1, 2)


def _check_weights(weights: Weights) -> None:
    needed = {SUBJECTS, RELATIONS, VALUE, OUTPUT, OBJECTS}
    if EXPAND in weights:
        needed |= {EXPAND_BIAS, CONTRACT, CONTRACT_BIAS}
    if missing := sorted(needed - set(weights)):
        raise InputError(f"The weights lack {', '.join(missing)}; give those of one run of a Recall model.")
    if any(name.startswith("block_1.") for name in weights):
        raise InputError("The weights have more than one layer; give those of a one-layer Recall model.")
    if weights[SUBJECTS].ndim != 2:
        raise InputError(
            f"{SUBJECTS} has {weights[SUBJECTS].ndim} axes; give weights of one run, [subject, width]."
        )
    if QUERY in weights and KEY in weights and weights[QUERY].any() and weights[KEY].any():
        raise InputError(
            "The weights have attention that depends on content; give weights with uniform attention, whose "
            "queries or keys are 0."
        )
