"""Codes: one vector per object, by which a construction writes and reads it.

Lengths marked "derived here" come with a proof in this project; none of the constants is a result of
arXiv 2605.12426, whose abstract only says that the dimension is logarithmic in the number of subjects.
"""

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float

from geomem.errors import InputError

CodeKind = Literal["binary", "signs", "sphere", "gaussian", "circle"]
"""`binary` words, distinct random `signs`, the `sphere`, a `circle` (all of norm 1), `gaussian` N(0, I/m)."""

# Numbers of a block of inner products: 32 MiB in float64.
_BLOCK_NUMBERS = 2**22


def binary_code(count: int, length: int) -> Float[np.ndarray, "object length"]:
    """The binary words of 0 to count - 1 as signs over sqrt(m): distinct, of norm 1, for any m >= log2 count.

    Two words differ in a bit, so inner products of two objects are at most 1 - 2/m (derived here, S1).
    Bits beyond those that the words need repeat them in order, which spreads the words further.

    Raises `InputError` if the length is too small.

    >>> (binary_code(3, 2) * 2**0.5).round().astype(int).tolist()
    [[-1, -1], [1, -1], [-1, 1]]
    """
    needed = binary_length(count)
    _check_length("binary", count, length, needed)
    bits = np.arange(count)[:, None] >> (np.arange(length) % needed) & 1
    return (2.0 * bits - 1.0) / math.sqrt(length)


def random_signs(count: int, length: int, *, seed: int = 0) -> Float[np.ndarray, "object length"]:
    """Independent random signs over sqrt(m): of norm 1, and two rows may be equal.

    >>> np.abs(random_signs(5, 4)).tolist() == np.full((5, 4), 0.5).tolist()
    True
    """
    bits = np.random.default_rng([seed, 1]).integers(2, size=(count, length))
    return (2.0 * bits - 1.0) / math.sqrt(length)


def distinct_signs(count: int, length: int, *, seed: int = 0) -> Float[np.ndarray, "object length"]:
    """`random_signs` whose repeated rows are drawn again until all differ.

    Raises `InputError` if there are not that many words of this length.

    >>> len(np.unique(distinct_signs(8, 3), axis=0))
    8
    """
    _check_length("signs", count, length, binary_length(count))
    generator = np.random.default_rng([seed, 2])
    bits = generator.integers(2, size=(count, length), dtype=np.int8)
    while True:
        first = np.unique(bits, axis=0, return_index=True)[1]
        repeated = np.setdiff1d(np.arange(count), first)
        if not repeated.size:
            return (2.0 * bits - 1.0) / math.sqrt(length)
        bits[repeated] = generator.integers(2, size=(len(repeated), length))


def sphere_code(count: int, length: int, *, seed: int = 0) -> Float[np.ndarray, "object length"]:
    """Uniform on the unit sphere: independent directions.

    >>> np.linalg.norm(sphere_code(2, 3), axis=1).round(12).tolist()
    [1.0, 1.0]
    """
    code = np.random.default_rng([seed, 3]).standard_normal((count, length))
    return code / np.linalg.norm(code, axis=1, keepdims=True)


def gaussian_code(count: int, length: int, *, seed: int = 0) -> Float[np.ndarray, "object length"]:
    """Independent N(0, 1/m) entries: of norm 1 on average only.

    >>> gaussian_code(2, 3).shape
    (2, 3)
    """
    return np.random.default_rng([seed, 4]).standard_normal((count, length)) / math.sqrt(length)


def circle_code(count: int) -> Float[np.ndarray, "object 2"]:
    """Evenly spaced points of the unit circle: length 2 for any count, at the price of the margin.

    The margin is 1 - cos(2 pi / count), 3.0e-4 for 256 objects (derived here, S5).

    >>> circle_code(4).round(12).tolist()[1]
    [0.0, 1.0]
    """
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def object_code(
    kind: CodeKind, count: int, length: int | None = None, *, seed: int = 0
) -> Float[np.ndarray, "object length"]:
    """The code of a kind by its name; without a length, `default_length` of it.

    Raises `InputError` for a length that is too small, or other than 2 for a circle.

    >>> object_code("binary", 256).shape, object_code("circle", 256).shape
    ((256, 8), (256, 2))
    """
    _check_length(kind, count, 1 if length is None else length, 1)
    chosen = default_length(kind, count) if length is None else length
    match kind:
        case "binary":
            return binary_code(count, chosen)
        case "signs":
            return distinct_signs(count, chosen, seed=seed)
        case "sphere":
            return sphere_code(count, chosen, seed=seed)
        case "gaussian":
            return gaussian_code(count, chosen, seed=seed)
        case "circle":
            if chosen != 2:
                raise InputError(f"A circle code of length {chosen} was asked for; its length is 2.")
            return circle_code(count)


def default_length(kind: CodeKind, count: int, *, failure: float = 0.1) -> int:
    """The length a code is given when none is asked for: the smallest one with a guarantee.

    log2 for binary words; `sign_length` for signs; `gaussian_length` for Gaussian rows and the sphere; 2 for
    a circle.

    >>> [default_length(kind, 256) for kind in ("binary", "signs", "gaussian")]
    [8, 19, 39]
    """
    match kind:
        case "binary":
            return binary_length(count)
        case "signs":
            return max(sign_length(count, failure), binary_length(count))
        case "sphere" | "gaussian":
            return gaussian_length(count, failure)
        case "circle":
            return 2


def binary_length(count: int) -> int:
    """Smallest length of distinct binary words: ceil(log2 count), and 1 for a single object.

    >>> [binary_length(count) for count in (1, 2, 3, 4096)]
    [1, 1, 2, 12]
    """
    return max(1, (count - 1).bit_length())


def sign_length(count: int, failure: float) -> int:
    """Length at which random signs are all distinct with probability at least 1 - failure.

        m = ceil(2 log2 N - 1 + log2(1 / failure)) derived here (notes S2): N^2 / 2 pairs, equal w.p. 2^-m

    Measured by us, the smallest length with success 0.9 is 2.0 to 2.5 log2 N.

    >>> sign_length(64, 0.1)
    15
    """
    _check_failure(failure)
    return max(1, math.ceil(2 * math.log2(count) - 1 - math.log2(failure)))


def gaussian_length(count: int, failure: float) -> int:
    """Length at which each of N Gaussian rows is nearest to itself with probability at least 1 - failure.

        m = ceil(4 log2 N + 2 log2(1 / failure)) derived here (notes S2): <a_y, a_t> >= |a_t|^2 p <= 2^(-m/2)

    Measured by us, the smallest length with success 0.9 is 4.0 to 4.3 log2 N.

    >>> gaussian_length(64, 0.1)
    31
    """
    _check_failure(failure)
    return max(1, math.ceil(4 * math.log2(count) - 2 * math.log2(failure)))


def coherence_length(count: int, coherence: float, failure: float) -> int:
    """Length at which all inner products of random signs stay below `coherence`, so the margin above 1 - it.

        m = ceil((2 / rho^2) (2 ln N + ln(1 / failure)))   derived here (notes S2), Hoeffding, union bound

    Raises `InputError` for a coherence outside 0 to 1.

    >>> coherence_length(64, 0.5, 0.1)
    85
    """
    _check_failure(failure)
    if not 0.0 < coherence <= 1.0:
        raise InputError(f"coherence was {coherence}; give a number above 0 and at most 1.")
    return math.ceil(2 / coherence**2 * (2 * math.log(count) - math.log(failure)))


def largest_inner_product(code: Float[np.ndarray, "object length"]) -> float:
    """The largest inner product of two different objects, in blocks; -inf for a single object.

    >>> round(largest_inner_product(binary_code(16, 4)), 12)
    0.5
    """
    return max(float(products.max()) for products in _other_products(code))


def code_margin(code: Float[np.ndarray, "object length"]) -> float:
    """How far every object's product with itself leads the others: min over y of |c_y|^2 - max_t <c_t, c_y>.

    Positive exactly if the argmax of C c_y is y for every y; for a single object its |c|^2. In blocks.

    >>> round(code_margin(circle_code(256)), 6)
    0.000301
    """
    own = (code**2).sum(axis=1)
    if len(code) == 1:
        return float(own[0])
    best = np.concatenate([products.max(axis=1) for products in _other_products(code)])
    return float((own - best).min())


def _other_products(code: Float[np.ndarray, "object length"]) -> Iterator[Float[np.ndarray, "row object"]]:
    """Rows of the inner products of all objects, block by block, -inf on the diagonal."""
    rows = max(1, _BLOCK_NUMBERS // len(code))
    for start in range(0, len(code), rows):
        products = code[start : start + rows] @ code.T
        own = np.arange(len(products))
        products[own, start + own] = -np.inf
        yield products


def _check_length(kind: str, count: int, length: int, needed: int) -> None:
    if count < 1:
        raise InputError(f"A {kind} code of {count} objects was asked for; give 1 object or more.")
    if length < needed:
        raise InputError(
            f"A {kind} code of length {length} cannot tell {count:,} objects apart; "
            f"give a length of {needed} or more."
        )


def _check_failure(failure: float) -> None:
    if not 0.0 < failure < 1.0:
        raise InputError(f"failure was {failure}; give a probability above 0 and below 1.")
