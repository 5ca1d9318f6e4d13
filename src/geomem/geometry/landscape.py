"""The landscape of a loss about its solutions: sharpness, barriers on the way, embeddings turned onto others.

What is asked of the loss is a function that multiplies by its Hessian H; `geomem.measure.landscape` has that
of models. Axis names: `point` on a segment, `direction`, `parameter`, `node`, `width`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import orthogonal_procrustes

Product = Callable[[Float[np.ndarray, "direction parameter"]], Float[np.ndarray, "direction parameter"]]
"""H v for every row v."""


def largest_curvature(product: Product, parameters: int, *, seed: int = 0) -> float:
    """The largest eigenvalue of H by Lanczos' method, to four digits.

    >>> round(largest_curvature(lambda rows: rows * np.arange(50.0), 50), 3)
    49.0
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    def multiply(vector: np.ndarray) -> np.ndarray:
        return product(vector.reshape(1, -1))[0]

    # A LinearOperator is made by its __new__, which a type checker does not see.
    operator = LinearOperator((parameters, parameters), matvec=multiply, dtype=np.float64)  # pyright: ignore
    start = np.random.default_rng(seed).normal(size=parameters)
    options: dict[str, Any] = {"tol": 1e-4, "v0": start}
    found = eigsh(operator, k=1, which="LA", return_eigenvectors=False, **options)
    return float(found[0])


def estimate_trace(product: Product, parameters: int, *, probes: int = 64, seed: int = 0) -> float:
    """The trace of H, the sum of all curvatures, as a mean over random signs z (Hutchinson 1990).

        tr H ≈ mean of zᵀ H z

    Exact if H is diagonal; else its standard error is at most ‖H‖ √(2 / probes).

    >>> estimate_trace(lambda rows: rows * np.arange(5.0), 5)
    10.0
    """
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(probes, parameters))
    return float((signs * product(signs)).sum() / probes)


def barrier(losses: Float[np.ndarray, "*segment point"]) -> Float[np.ndarray, "*segment"]:
    """How far the loss on a segment rises above the line between its ends: 0 if it never does.

    The points are evenly spaced, the ends among them (Frankle et al. 2020).

    >>> float(barrier(np.array([1.0, 3.0, 2.0])))
    1.5
    """
    shares = np.linspace(0, 1, losses.shape[-1])
    line = (1 - shares) * losses[..., :1] + shares * losses[..., -1:]
    return np.asarray((losses - line).max(axis=-1))


def turn_onto(
    embedding: Float[np.ndarray, "node width"], other: Float[np.ndarray, "node width"]
) -> Float[np.ndarray, "width width"]:
    """The orthogonal R that brings E R nearest to another embedding: R = U Vᵀ of Eᵀ E' = U S Vᵀ (Schönemann).

    >>> square = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> bool(np.allclose(square @ turn_onto(square, square[::-1]), square[::-1]))
    True
    """
    return orthogonal_procrustes(embedding, other)[0]
