"""One hop in 2 R + 1 dimensions for any number of subjects: polynomials on a moment curve.

So the dimension alone has no lower bound that grows with N: the logarithm is a statement about margin and
precision, and lower bounds must be stated in bits (derived here: S5; not a result of arXiv 2605.12426).
"""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Int, Shaped

from geomem.constructions.one_hop import (
    NUMBERS_LIMIT,
    RecallConstruction,
    check_numbers,
    gate_size,
    gate_weights,
)
from geomem.worlds.facts.table import FactTable, answers


def moment_curve(table: FactTable, *, numbers_limit: int = NUMBERS_LIMIT) -> RecallConstruction:
    """A subject is a polynomial that is 0 at its answers and negative at every other object.

        p_x(t) = - prod_r (t - T_r - t_{a(x, r)})^2,    logit_y = p_x(T_r + t_y),   a_y = (1, t_y, .., t_y^2R)

    The numbers t_y are whole and near 0, T_r = r A moves each relation to its own stretch of the line, and
    the selector of relation r is the matrix of binomials that turns p(t) into p(T_r + t). All weights are
    whole numbers, so the margin is at least 1. Where every sum is below 2^53 they are stored as float64,
    which is then exact, otherwise as Python integers in arrays of objects. `fact_bits` counts the longest
    coefficient (measured by us: 2.0 to 2.3 R log2 N bits).

    A missing fact cannot be told from others: its logits are some polynomial's values.

    Raises `InputError` before it allocates more than `numbers_limit` numbers.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> memory = moment_curve(random_bijections(16, 2))
    >>> memory.size.residual_size, memory.code.shape, memory.margin
    (12, (16, 5), 1.0)
    """
    R, A = table.relation_count, table.object_count
    m = 2 * R + 1
    size = gate_size(table.subject_count, R, A, payload=m, length=m)
    # A Python integer of this length and its reference take as much as about six float64 numbers.
    check_numbers(f"moment curve of the table {table.name!r}", 6 * size.numbers, numbers_limit)
    found = answers(table)
    places = np.arange(A) - A // 2
    starts = [(r - R // 2) * A for r in range(R)]
    code = np.array([[int(t) ** j for j in range(m)] for t in places], dtype=object)
    shifts = np.array([_shift_matrix(start, m) for start in starts], dtype=object)
    payloads = np.array(
        [_polynomial([starts[r] + int(places[y]) for r, y in enumerate(row) if y >= 0], m) for row in found],
        dtype=object,
    )
    moved = np.abs(payloads) @ np.abs(shifts).transpose(0, 2, 1)
    bound = int(moved.max())
    largest = int((moved @ np.abs(code).max(axis=0)).max()) + 2 * bound
    longest = max(int(value).bit_length() + 1 for value in payloads.ravel())
    if largest < 2**53:
        code, shifts, payloads = (array.astype(np.float64) for array in (code, shifts, payloads))
        bound = float(bound)
    weights = gate_weights(shifts, code, bound, payloads)
    return RecallConstruction(
        "moment curve", weights, code, 1.0, replace(size, fact_bits=size.fact_numbers * longest)
    )


def _shift_matrix(start: int, length: int) -> list[list[int]]:
    """Row j: the coefficient of t^j in p(start + t) for each coefficient of p."""
    return [
        [math.comb(i, j) * start ** (i - j) if i >= j else 0 for i in range(length)] for j in range(length)
    ]


def _polynomial(roots: list[int], length: int) -> list[int]:
    """Coefficients, lowest first, of - prod (t - root)^2; all 0 if there is no root."""
    if not roots:
        return [0] * length
    product: list[int] = [-1]
    for root in roots * 2:
        product = [below - root * here for below, here in zip([0, *product], [*product, 0], strict=True)]
    return product + [0] * (length - len(product))


def exact_logits(
    construction: RecallConstruction, subject: int, relation: int
) -> Shaped[np.ndarray, " object"] | Int[np.ndarray, " object"]:
    """Logits of one question of a moment curve as Python integers, straight from the polynomial.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(16, 2)
    >>> int(exact_logits(moment_curve(table), 3, 1).max())
    0
    """
    m = construction.code.shape[1]
    A, R = len(construction.code), len(construction.weights["relation_embedding"])
    coefficients = [int(value) for value in construction.weights["subject_embedding"][subject, :m]]
    values = []
    for place in range(A):
        t = (relation - R // 2) * A + place - A // 2
        values.append(sum(c * t**j for j, c in enumerate(coefficients)))
    return np.array(values, dtype=object)
