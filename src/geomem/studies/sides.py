"""Two tables of embeddings, what is read and what is answered with, and what can be read from both.

Axis names: `node`, `width`, `mode`, `pair`.
"""

import numpy as np
from jaxtyping import Bool, Float

from geomem.geometry.similarity import centre, unit_rows

MODES = 8
"""Directions that a linear map sees."""
FOLDS = 5


def two_sides(
    read: Float[np.ndarray, "node width"], answered: Float[np.ndarray, "node width"]
) -> dict[str, Float[np.ndarray, "mode node node"]]:
    """Products of the coordinates of every two nodes, by side; their sum over modes is a likeness.

    Rows are centred and of unit length. Coordinates are those of the strongest `MODES` directions of the two
    tables: with Eᵀ U = A S Bᵀ, a pair has (E A)_u (U B)_v in each direction, averaged over both orders.

    >>> E = np.random.default_rng(0).normal(size=(5, 3))
    >>> sides = two_sides(E, E)
    >>> sides["same"].shape, bool(np.allclose(sides["same"].sum(axis=0), sides["across"].sum(axis=0)))
    ((3, 5, 5), True)
    """
    E, U = unit_rows(centre(read)), unit_rows(centre(answered))
    return {"same": _products(E, E), "across": _products(E, U)}


def _products(E: np.ndarray, U: np.ndarray) -> np.ndarray:
    A, _, B = np.linalg.svd(E.T @ U)
    one, other = (E @ A[:, :MODES]).T, (U @ B[:MODES].T).T
    products = one[:, :, None] * other[:, None, :]
    return (products + products.swapaxes(1, 2)) / 2


def likeness(
    read: Float[np.ndarray, "node width"], answered: Float[np.ndarray, "node width"]
) -> dict[str, Float[np.ndarray, "node node"]]:
    """Cosine of every two nodes, by side; all directions count."""
    E, U = unit_rows(centre(read)), unit_rows(centre(answered))
    return {"same": E @ E.T, "across": (E @ U.T + U @ E.T) / 2}


def area(values: Float[np.ndarray, " pair"], right: Bool[np.ndarray, " pair"]) -> float:
    """How often a right pair has a higher value than a wrong one, a tie counting half; NaN without either.

    >>> area(np.array([0.9, 0.1, 0.5]), np.array([True, False, False]))
    1.0
    """
    from scipy.stats import rankdata

    count = int(right.sum())
    if not 0 < count < len(right):
        return float("nan")
    above = rankdata(values)[right].sum() - count * (count + 1) / 2
    return float(above / (count * (len(right) - count)))


def read_linearly(features: Float[np.ndarray, "pair feature"], target: Float[np.ndarray, " pair"]) -> float:
    """Share of a number's variance that a linear map finds in pairs it was not fitted to; below 0: nothing.

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> round(read_linearly(x, x[:, 0] + 1), 6)
    1.0
    """
    folds = np.random.default_rng(0).permutation(len(target)) % FOLDS
    X = np.column_stack([features, np.ones(len(target))])
    missed = np.empty(len(target))
    for fold in range(FOLDS):
        out = folds == fold
        weights = np.linalg.lstsq(X[~out], target[~out], rcond=None)[0]
        missed[out] = target[out] - X[out] @ weights
    return float(1 - np.square(missed).sum() / np.square(target - target.mean()).sum())
