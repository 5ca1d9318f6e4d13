"""Dense superposition: rotated codes of all relations added up in the same dimensions.

    s_x = sum_r Q_r a_{a(x, r)},    read out by Q_r^T,    logit_y = <a_y, Q_r^T s_x>

Derived and measured in this project (notes S3, S4, B2 on arXiv 2605.12426); the paper states
that such superpositions exist, not these constants.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from geomem.constructions.answering import logit_margins
from geomem.constructions.codes import sphere_code
from geomem.constructions.one_hop import (
    NUMBERS_LIMIT,
    RecallConstruction,
    check_numbers,
    gate_size,
    gate_weights,
)
from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable, answers

Quality = Literal["sum", "least squares", "optimised"]
"""How the subject vectors are found, in order of cost."""

# Adam for `optimised_vectors`: codes have norm 1, so a logit scale of 10 makes a lead of 0.3 count as known.
_STEPS, _RATE, _SHARPNESS = 400, 0.1, 10.0


@dataclass(frozen=True, eq=False)
class DenseCode:
    """Unit codes of the objects and one rotation per relation: v_{r, y} = Q_r a_y."""

    objects: Float[np.ndarray, "object width"]
    rotations: Float[np.ndarray, "relation width width"]


def dense_code(relations: int, objects: int, width: int, *, seed: int = 0) -> DenseCode:
    """Random unit codes and independent, uniformly random rotations.

    Raises `InputError` for a width below 1.

    >>> Q = dense_code(2, 5, 3).rotations
    >>> np.allclose(Q @ Q.transpose(0, 2, 1), np.eye(3))
    True
    """
    if width < 1:
        raise InputError(f"A dense code of width {width} was asked for; give 1 or more.")
    normal = np.random.default_rng([seed, 5]).standard_normal((relations, width, width))
    Q, upper = np.linalg.qr(normal)
    # Signs of the diagonal make the distribution uniform instead of dependent on the solver.
    return DenseCode(
        sphere_code(objects, width, seed=seed), Q * np.sign(np.diagonal(upper, 0, 1, 2))[:, None]
    )


def sum_vectors(table: FactTable, code: DenseCode) -> Float[np.ndarray, "subject width"]:
    """Plain addition: s_x = sum_r Q_r a_{a(x, r)}; a missing fact adds nothing.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> sum_vectors(random_bijections(4, 2), dense_code(2, 4, 6)).shape
    (4, 6)
    """
    total = np.zeros((table.subject_count, code.objects.shape[1]))
    for Q, found in zip(code.rotations, answers(table).T, strict=True):
        total += np.where(found[:, None] >= 0, code.objects[found], 0) @ Q.T
    return total


def least_squares_vectors(table: FactTable, code: DenseCode) -> Float[np.ndarray, "subject width"]:
    """s_x = argmin_s sum_r |Q_r^T s - a_{a(x, r)}|^2 over the facts of x.

    As the Q_r are rotations this is the mean over those facts, the plain sum up to a factor.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table, code = random_bijections(4, 2), dense_code(2, 4, 6)
    >>> np.allclose(2 * least_squares_vectors(table, code), sum_vectors(table, code))
    True
    """
    counts = (answers(table) >= 0).sum(axis=1, keepdims=True)
    return sum_vectors(table, code) / np.maximum(counts, 1)


def optimised_vectors(table: FactTable, code: DenseCode) -> Float[np.ndarray, "subject width"]:
    """The vectors that fit the facts best for fixed codes: one convex softmax problem per subject.

        s_x = argmin_s sum_r [ log sum_y exp(b <v_{r,y}, s>) - b <v_{r,t}, s> ],    t = a(x, r), b = 10

    All subjects at once by Adam from the plain sum, then each scaled to norm sqrt(R). Found numerically, so
    the smallest width at which it succeeds is an upper estimate of the true threshold (notes S4).

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table, code = random_bijections(16, 4), dense_code(4, 16, 20)
    >>> [round(float((dense_margins(vectors, table, code) > 0).mean()), 2)
    ...  for vectors in (sum_vectors(table, code), optimised_vectors(table, code))]
    [0.7, 1.0]
    """
    R = table.relation_count
    found = answers(table)
    # One row per relation and object: [R A, d].
    V = np.concatenate([code.objects @ Q.T for Q in code.rotations]) * _SHARPNESS
    targets = np.flatnonzero(found.T.ravel() >= 0)
    relation, subject = np.divmod(targets, table.subject_count)
    target = found[subject, relation]
    known = (found >= 0)[:, :, None]
    s = sum_vectors(table, code)
    mean, square = np.zeros_like(s), np.zeros_like(s)
    for step in range(1, _STEPS + 1):
        logits = (s @ V.T).reshape(len(s), R, -1)
        logits -= logits.max(axis=2, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=2, keepdims=True)
        logits *= known
        logits[subject, relation, target] -= 1
        gradient = logits.reshape(len(s), -1) @ V
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.98 * square + 0.02 * gradient**2
        rate = _RATE * (1 - (step - 1) / _STEPS)
        s -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.98**step)) + 1e-8)
    norms = np.linalg.norm(s, axis=1, keepdims=True)
    return s * math.sqrt(R) / np.where(norms > 0, norms, 1)


VECTORS: dict[Quality, Callable[[FactTable, DenseCode], Float[np.ndarray, "subject width"]]] = {
    "sum": sum_vectors,
    "least squares": least_squares_vectors,
    "optimised": optimised_vectors,
}
"""The function behind each quality."""


def dense_margins(
    vectors: Float[np.ndarray, "subject width"], table: FactTable, code: DenseCode
) -> Float[np.ndarray, " fact"]:
    """Right logit minus best wrong one for every fact, without the network around it.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table, code = random_bijections(4, 1), dense_code(1, 4, 8)
    >>> bool((dense_margins(sum_vectors(table, code), table, code) > 0).all())
    True
    """
    margins = np.zeros(table.fact_count)
    for r, Q in enumerate(code.rotations):
        facts: Int[np.ndarray, " some"] = np.flatnonzero(table.facts[:, 1] == r)
        logits = vectors[table.facts[facts, 0]] @ Q @ code.objects.T
        margins[facts] = logit_margins(logits, table.facts[facts, 2])
    return margins


def dense_superposition(
    table: FactTable,
    width: int,
    *,
    quality: Quality = "sum",
    seed: int = 0,
    numbers_limit: int = NUMBERS_LIMIT,
) -> RecallConstruction:
    """The gated memory of `block_superposition` with overlapping codes: payload `width`, read by rotations.

    Residual size 2 d + R, MLP width 2 R d. The gate's bound is 3 R: a sum of R unit codes stays below R,
    optimised vectors of which every fact was edited below 3 R, so new facts need a new subject table only.
    `margin` is the smallest one measured over the facts: negative where the width is too small, see
    `dense_width`.

    Raises `InputError` for a width below 1, or before it allocates more than `numbers_limit` numbers.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> memory = dense_superposition(random_bijections(16, 2), 40)
    >>> memory.size.residual_size, memory.size.mlp_width, memory.margin > 0
    (82, 160, True)
    """
    R = table.relation_count
    size = gate_size(table.subject_count, R, table.object_count, payload=width, length=width)
    check_numbers(f"dense superposition of the table {table.name!r}", size.numbers, numbers_limit)
    code = dense_code(R, table.object_count, width, seed=seed)
    vectors = VECTORS[quality](table, code)
    weights = gate_weights(code.rotations.transpose(0, 2, 1), code.objects, 3.0 * R, vectors)
    margin = float(dense_margins(vectors, table, code).min())
    size = replace(size, fact_bits=64 * size.fact_numbers)
    return RecallConstruction(f"dense superposition ({quality})", weights, code.objects, margin, size)


def dense_width(subjects: int, relations: int, objects: int) -> int:
    """Width at which a plain sum is expected to get all facts right.

        d = (sqrt(2 ln A) + sqrt(2 ln(N R)))^2 (R - 1)    derived here (notes S3): noise variance (R - 1) / d

    To leading order 8 (R - 1) ln N for A = N objects. Measured by us: 7.95 (R - 1) ln N for all facts, 5.24
    for 99 %, 3.87 for 95 %.

    >>> dense_width(256, 4, 256)
    150
    """
    reach = math.sqrt(2 * math.log(objects)) + math.sqrt(2 * math.log(subjects * relations))
    return max(1, math.ceil(reach**2 * (relations - 1)))


def dense_failure(subjects: int, relations: int, objects: int, width: int) -> float:
    """Union bound on the chance that a plain sum gets any fact wrong: N A R exp(-d / (2 (2 R - 1))).

    Derived here; 1 where the bound says nothing.

    >>> dense_failure(256, 4, 256, 150), round(dense_failure(256, 4, 256, 300), 6)
    (1.0, 0.000129)
    """
    return min(1.0, subjects * objects * relations * math.exp(-width / (2 * (2 * relations - 1))))
