"""Ridge regression at every strength from one decomposition: what the probes of a recall memory fit with.

    W = argmin |Y - X W|² + λ |W|²

X = V S Qᵀ are the centred inputs [row input], Y the centred targets [row target].
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
"""Ridge strengths λ that are tried (notes D4 names the ends 0.1 and 3000)."""


@dataclass(frozen=True, eq=False)
class RidgePath:
    """Everything needed to write down the ridge solution of any strength."""

    input_mean: Float[np.ndarray, " input"]
    target_mean: Float[np.ndarray, " target"]
    directions: Float[np.ndarray, "input mode"]
    """Q: orthonormal directions of the inputs."""
    energies: Float[np.ndarray, " mode"]
    """S²: what the inputs have along each of them."""
    products: Float[np.ndarray, "mode target"]
    """Qᵀ Xᵀ Y."""


def fit_ridge_path(
    inputs: Float[np.ndarray, "row input"], targets: Float[np.ndarray, "row target"]
) -> RidgePath:
    """Decompose the centred inputs once, W(λ) = Q (Qᵀ Xᵀ Y) / (S² + λ); the intercept is never penalised.

    One symmetric eigendecomposition of XᵀX or of XXᵀ, whichever is smaller: min(row, input)³ operations.

    >>> path = fit_ridge_path(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]))
    >>> predict_ridge(path, np.array([[3.0]]), 0.0).round(6).tolist()
    [[7.0]]
    """
    X = np.array(inputs, dtype=np.float64)
    Y = np.asarray(targets, dtype=np.float64)
    if len(X) < 2:
        raise InputError(f"There are {len(X)} rows to fit; give at least 2.")
    input_mean, target_mean = X.mean(axis=0), Y.mean(axis=0)
    X -= input_mean
    wide = X.shape[0] < X.shape[1]
    energies, vectors = np.linalg.eigh(X @ X.T if wide else X.T @ X)
    # Directions in which the inputs do not move carry rounding alone, and the dual form would divide by it.
    kept = energies > energies.max(initial=0.0) * max(X.shape) * np.finfo(np.float64).eps
    energies, vectors = energies[kept], vectors[:, kept]
    directions = X.T @ vectors / np.sqrt(energies) if wide else vectors
    return RidgePath(input_mean, target_mean, directions, energies, directions.T @ (X.T @ (Y - target_mean)))


def ridge_weights(path: RidgePath, strength: float) -> Float[np.ndarray, "input target"]:
    """W(λ), so that the prediction is target mean + (x - input mean) W."""
    return path.directions @ _shrunk(path, strength)


def ridge_intercept(path: RidgePath, strength: float) -> Float[np.ndarray, " target"]:
    """What is predicted for an input of zeros."""
    return path.target_mean - path.input_mean @ path.directions @ _shrunk(path, strength)


def predict_ridge(
    path: RidgePath, inputs: Float[np.ndarray, "row input"], strength: float
) -> Float[np.ndarray, "row target"]:
    """Predictions of the ridge solution of one strength."""
    return path.target_mean + (inputs - path.input_mean) @ path.directions @ _shrunk(path, strength)


def held_out_scores(
    path: RidgePath,
    inputs: Float[np.ndarray, "row input"],
    targets: Float[np.ndarray, "row target"],
    strengths: Float[np.ndarray, " strength"],
) -> Float[np.ndarray, " strength"]:
    """R² of rows that were not fitted, at each strength: 1 - |Y - Ŷ|² / |Y - mean|², pooled over the columns.

    The mean is that of the fitted rows, so a useless fit scores 0 or less. NaN if the targets do not move.

    >>> path = fit_ridge_path(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]))
    >>> held_out_scores(path, np.array([[3.0]]), np.array([[7.0]]), np.array([0.0])).round(6).tolist()
    [1.0]
    """
    along = (inputs - path.input_mean) @ path.directions
    Y = targets - path.target_mean
    spread = (Y**2).sum()
    if spread == 0:
        return np.full(len(strengths), np.nan)
    return np.array([1 - ((Y - along @ _shrunk(path, lam)) ** 2).sum() / spread for lam in strengths])


def leave_one_out_matrix(
    path: RidgePath, inputs: Float[np.ndarray, "row input"], strength: float
) -> Float[np.ndarray, "row row"]:
    """What the targets of the fitted rows are multiplied by to predict each row from all others.

        L = diag(1 - h)^-1 (H - diag h),    H = 1 1' / n + X (X'X + lambda)^-1 X',    h = diag H

    `inputs` are those of the fit. It does not depend on the targets, so one matrix serves all shuffles.

    >>> X, Y = np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]])
    >>> (leave_one_out_matrix(fit_ridge_path(X, Y), X, 0.0) @ Y).round(6).ravel().tolist()
    [1.0, 3.0, 5.0]
    """
    along = (inputs - path.input_mean) @ path.directions
    H = 1 / len(inputs) + (along / (path.energies + strength)) @ along.T
    own = np.diag(H).copy()
    np.fill_diagonal(H, 0.0)
    return H / np.maximum(1 - own, 1e-12)[:, None]


def with_targets(
    path: RidgePath, inputs: Float[np.ndarray, "row input"], targets: Float[np.ndarray, "row target"]
) -> RidgePath:
    """The path of other targets for the same inputs, without a new decomposition."""
    mean = targets.mean(axis=0)
    products = path.directions.T @ ((inputs - path.input_mean).T @ (targets - mean))
    return RidgePath(path.input_mean, mean, path.directions, path.energies, products)


def split_subjects(
    count: int, *, held_out: float = 0.2, seed: int = 0
) -> tuple[Int[np.ndarray, " fitted"], Int[np.ndarray, " held"]]:
    """Deal the subjects at random into those a probe is fitted on and those it is scored on, each ascending.

    >>> fitted, held = split_subjects(10, seed=1)
    >>> len(fitted), len(held), sorted({*fitted.tolist(), *held.tolist()}) == list(range(10))
    (8, 2, True)
    """
    away = round(held_out * count)
    if away < 1 or count - away < 2:
        raise InputError(
            f"held_out is {held_out} of {count} subjects; at least 1 must be held out and 2 must be left."
        )
    order = np.random.default_rng([seed, 1]).permutation(count)
    return np.sort(order[away:]), np.sort(order[:away])


def _shrunk(path: RidgePath, strength: float) -> Float[np.ndarray, "mode target"]:
    return path.products / (path.energies + strength)[:, None]
