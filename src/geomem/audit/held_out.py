"""Maps from subjects to objects, judged on subjects they were not fitted on.

Axis names: `subject`, `width`, `object`, `other` (the objects' width), `map` (linear maps of several
strengths, then the offset), `draw` (orders of the answers).
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from geomem.geometry.ridge import fit_ridge_path, leave_one_out_matrix
from geomem.geometry.similarity import unit_rows

STRENGTHS = (0.01, 0.1, 1.0)
"""Ridge strengths of the linear maps, over the mean energy of the subjects' directions."""


def linear_maps(X: Float[np.ndarray, "subject width"]) -> list[Float[np.ndarray, "subject subject"]]:
    """The leave-one-out matrices of all strengths, from one decomposition."""
    path = fit_ridge_path(X, np.zeros((len(X), 1)))
    typical = path.energies.mean() if len(path.energies) else 1.0
    return [leave_one_out_matrix(path, X, strength * typical) for strength in STRENGTHS]


def find_held_out(
    X: Float[np.ndarray, "subject width"],
    Y: Float[np.ndarray, "object other"],
    answers: Int[np.ndarray, " subject"],
    orders: Int[np.ndarray, "draw subject"],
) -> Bool[np.ndarray, "draw map subject"]:
    """Whose object is found by maps fitted on all other subjects, with the answers in each of the orders.

    A linear map of each strength in `STRENGTHS` (ridge with intercept), and last, where widths agree, the
    offset:  x_i + mean_j (y_j - x_j),  j without i. The object found is the one with the largest cosine, both
    less the mean object.

    >>> X = np.random.default_rng(0).normal(size=(12, 4))
    >>> bool(find_held_out(X, X + 5, np.arange(12), np.arange(12)[None])[0, -1].all())
    True
    """
    things = Y - Y.mean(axis=0)
    directions = unit_rows(things)
    # Score of every object when one is predicted; a prediction is a weighted sum of objects.
    table = (things @ directions.T).astype(np.float32)
    maps = [matrix.astype(np.float32) for matrix in linear_maps(X)]
    others, ahead = np.float32(len(X) - 1), None
    if X.shape[1] == Y.shape[1]:
        own = (1 + 1 / others) * (X - X.mean(axis=0)) @ directions.T
        ahead = own.astype(np.float32) + table[answers].sum(axis=0) / others
    found = np.empty((len(orders), len(maps) + (ahead is not None), len(X)), dtype=bool)
    for draw, order in enumerate(orders):
        right = answers[order]
        targets = table[right]
        for number, matrix in enumerate(maps):
            found[draw, number] = (matrix @ targets).argmax(axis=1) == right
        if ahead is not None:
            found[draw, -1] = (ahead - targets / others).argmax(axis=1) == right
    return found


def predict_held_out(
    X: Float[np.ndarray, "subject width"],
    Y: Float[np.ndarray, "object other"],
    answers: Int[np.ndarray, " subject"],
) -> Float[np.ndarray, "subject other"]:
    """What the linear map that finds most predicts for every subject left out, less the mean object.

    >>> X = np.random.default_rng(0).normal(size=(12, 4))
    >>> bool(np.abs(predict_held_out(X, X, np.arange(12)) - (X - X.mean(axis=0))).max() < 0.5)
    True
    """
    things = Y - Y.mean(axis=0)
    directions = unit_rows(things)
    predictions = [matrix @ things[answers] for matrix in linear_maps(X)]
    hits = [((made @ directions.T).argmax(axis=1) == answers).sum() for made in predictions]
    return predictions[int(np.argmax(hits))]
