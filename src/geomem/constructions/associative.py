"""The associative side for contrast: frozen random tables, and all facts in a matrix that grows with them.

An outer-product memory and a key-value ReLU MLP, both built at a given number of fact weights, so that they
stand beside a geometric memory of the same size. In the spirit of Nichani, Lee and Bietti (arXiv 2412.06538);
the recall they reach here is measured by us.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from geomem.constructions.answering import Answers, Recalled, logit_margins, recall_every_fact
from geomem.constructions.codes import binary_length, random_signs, sphere_code
from geomem.constructions.one_hop import (
    NUMBERS_LIMIT,
    RecallConstruction,
    check_numbers,
    recall_size,
    recall_weights,
)
from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable

# Enough to keep the normal equations solvable where neurons outnumber facts, too little to cost recall.
_RIDGE = 1e-6

# Questions per block: logits of 8,192 objects then fill 32 MiB.
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class OuterProductMemory:
    """W = sum over facts of u_a (e_x * e_r)^T with random signs e, unit u; logits U W (e_x * e_r)."""

    subjects: Float[np.ndarray, "subject width"]
    relations: Float[np.ndarray, "relation width"]
    objects: Float[np.ndarray, "object width"]
    memory: Float[np.ndarray, "width width"]


def outer_product_memory(
    table: FactTable, numbers: int, *, seed: int = 0, numbers_limit: int = NUMBERS_LIMIT
) -> OuterProductMemory:
    """One outer product per fact in a square matrix of at most `numbers` entries, the only fact weights.

    The key of a question is the product of two random sign vectors, so keys are nearly orthogonal. The noise
    on a wrong logit has variance about F / d^2 for F facts (derived here).

    Raises `InputError` for less than one number, or before it allocates more than `numbers_limit`.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(64, 2)
    >>> memory = outer_product_memory(table, 128 * 128)
    >>> recall_outer_products(memory, table).recall
    1.0
    """
    _check_positive(numbers)
    d = math.isqrt(numbers)
    total = sum(table.sizes) * d + d * d
    check_numbers(f"outer-product memory of the table {table.name!r}", total, numbers_limit)
    signs = random_signs(table.subject_count + table.relation_count, d, seed=seed)
    subjects, relations = signs[: table.subject_count], signs[table.subject_count :] * math.sqrt(d)
    objects = sphere_code(table.object_count, d, seed=seed)
    memory = np.zeros((d, d))
    for start in range(0, table.fact_count, _BLOCK):
        s, r, o = table.facts[start : start + _BLOCK].T
        memory += objects[o].T @ (subjects[s] * relations[r])
    return OuterProductMemory(subjects, relations, objects, memory)


def answer_outer_products(
    memory: OuterProductMemory,
    subjects: Int[np.ndarray, " question"],
    relations: Int[np.ndarray, " question"],
) -> Answers:
    """The object with the highest logit for every question, and its lead.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> memory = outer_product_memory(random_bijections(4, 2), 1024)
    >>> answer_outer_products(memory, np.array([0, 1]), np.array([1, 1])).objects.shape
    (2,)
    """
    logits = _outer_logits(memory, subjects, relations)
    best = logits.argmax(axis=1)
    return Answers(best, logit_margins(logits, best))


def recall_outer_products(memory: OuterProductMemory, table: FactTable) -> Recalled:
    """The answer to every fact and its margin, in blocks.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(64, 2)
    >>> recall_outer_products(outer_product_memory(table, 100), table).recall < 0.5
    True
    """
    objects, margins = np.zeros(table.fact_count, dtype=np.int64), np.zeros(table.fact_count)
    for start in range(0, table.fact_count, _BLOCK):
        block = slice(start, start + _BLOCK)
        s, r, o = table.facts[block].T
        logits = _outer_logits(memory, s, r)
        objects[block] = logits.argmax(axis=1)
        margins[block] = logit_margins(logits, o)
    return Recalled(objects, margins)


def key_value_network(
    table: FactTable,
    numbers: int,
    *,
    width: int | None = None,
    seed: int = 0,
    numbers_limit: int = NUMBERS_LIMIT,
) -> RecallConstruction:
    """A ReLU MLP over frozen random tables: random first layer, second layer by ridge regression.

        h = e_x + 2 e_r,    W_2 = argmin sum over facts |h + W_2 relu(W_1 h + b_1) - u_a|^2 + ridge

    The weights carry the names of the `Recall` model (uniform attention), so the same probes read them. The
    fact weights are W_2: `numbers` of them, so numbers / width neurons; the width is 2 log2 of the objects
    unless told. `margin` is the smallest one over the facts, measured.

    Raises `InputError` for fewer numbers than the width, or before it allocates more than `numbers_limit`.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(64, 2)
    >>> key_value_network(table, 12 * 128).margin > 0, key_value_network(table, 12 * 16).margin > 0
    (True, False)
    """
    d = 2 * binary_length(table.object_count) if width is None else width
    _check_positive(min(d, numbers // max(1, d)))
    w = numbers // d
    size = recall_size(sum(table.sizes), d, w, w * d, 64 * w * d)
    features = table.fact_count * w
    check_numbers(f"key-value network of the table {table.name!r}", size.numbers + features, numbers_limit)
    N, R = table.subject_count, table.relation_count
    tokens = sphere_code(N + R, d, seed=seed)
    objects = sphere_code(table.object_count, d, seed=seed + 1)
    generator = np.random.default_rng([seed, 7])
    expand, bias = generator.standard_normal((w, d)), generator.standard_normal(w)
    subjects, relations = tokens[:N], tokens[N:]
    s, r, o = table.facts.T
    h = subjects[s] + 2 * relations[r]
    features = np.maximum(h @ expand.T + bias, 0)
    contract = _ridge_map(features, objects[o] - h)
    mlp = (expand, bias, contract, np.zeros(d))
    weights = recall_weights(subjects, relations, objects, np.eye(d), mlp)
    made = RecallConstruction("key-value network", weights, objects, -math.inf, size)
    return replace(made, margin=float(recall_every_fact(weights, table).margins.min()))


def _outer_logits(
    memory: OuterProductMemory,
    subjects: Int[np.ndarray, " question"],
    relations: Int[np.ndarray, " question"],
) -> Float[np.ndarray, "question object"]:
    keys = memory.subjects[subjects] * memory.relations[relations]
    return keys @ memory.memory.T @ memory.objects.T


def _ridge_map(
    features: Float[np.ndarray, "fact neuron"], targets: Float[np.ndarray, "fact width"]
) -> Float[np.ndarray, "width neuron"]:
    """W that minimises |targets - features W^T|^2 + ridge |W|^2, by the smaller of its two systems."""
    facts, neurons = features.shape
    ridge = _RIDGE * max(1.0, float((features**2).sum()) / facts)
    if neurons <= facts:
        gram = features.T @ features + ridge * np.eye(neurons)
        return np.linalg.solve(gram, features.T @ targets).T
    return np.linalg.solve(features @ features.T + ridge * np.eye(facts), targets).T @ features


def _check_positive(numbers: int) -> None:
    if numbers < 1:
        raise InputError("An associative memory got no number for its facts; give at least one neuron's.")
