"""Does the relation choose which map reads the subject? Statistics of Jacobians and of gates (notes D10).

    J_r(x) = d y / d s_x [out, width]: how the state y that meets the unembedding moves with the subject

An ideal selector has one J_r for each relation, the same for all subjects, and the J_r share nothing.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# A gate that is almost always on, or almost always off, has next to no variance for a relation to explain.
LEAST_VARIANCE = 0.01
FIXED = 0.98
"""A gate is fixed by a relation that opens it, or shuts it, for more than this share of subjects."""


@dataclass(frozen=True, eq=False)
class JacobianSummary:
    """What the statistics need of the Jacobians, so that all subjects' never have to be held at once."""

    means: Float[np.ndarray, "relation out width"]
    """Mean of J_r(x) over subjects."""
    squares: Float[np.ndarray, " relation"]
    """Mean of |J_r(x)|² over subjects."""


def summarize_jacobians(jacobians: Float[np.ndarray, "relation subject out width"]) -> JacobianSummary:
    """Means over subjects of J and of |J|² (squared Frobenius norm).

    >>> summary = summarize_jacobians(np.array([[[[3.0]], [[1.0]]]]))
    >>> summary.means.tolist(), summary.squares.tolist()
    ([[[2.0]]], [5.0])
    """
    J = np.asarray(jacobians, dtype=np.float64)
    return JacobianSummary(J.mean(axis=1), (J**2).sum(axis=(2, 3)).mean(axis=1))


def constancy(summary: JacobianSummary) -> Float[np.ndarray, " relation"]:
    """How far the network is one linear map per relation: 1 - Σ_x |J_r(x) - J_r|² / Σ_x |J_r(x)|².

    Equal to |J_r|² / mean of |J_r(x)|². 1: the same for all subjects. NaN where all Jacobians are 0.

    >>> constancy(summarize_jacobians(np.array([[[[3.0]], [[1.0]]]]))).tolist()
    [0.8]
    """
    return _ratio((summary.means**2).sum(axis=(1, 2)), summary.squares)


def map_cosines(maps: Float[np.ndarray, "relation out width"]) -> Float[np.ndarray, "relation relation"]:
    """Cosines between the maps of all relations, taken as long vectors; NaN for a map of zeros.

    >>> map_cosines(np.array([[[1.0, 0.0]], [[1.0, 1.0]]])).round(3).tolist()
    [[1.0, 0.707], [0.707, 1.0]]
    """
    return _cosines(np.einsum("row,sow->rs", maps, maps, optimize=True))


def read_out_cosines(
    maps: Float[np.ndarray, "relation out width"], unembedding: Float[np.ndarray, "object out"]
) -> Float[np.ndarray, "relation relation"]:
    """Cosines between U J_r of all relations: only what moves a logit counts.

    A residual stream carries the whole subject on to the unembedding, where most of it may move no logit; the
    plain cosine counts that as shared. On the superposition of notes B1 with R relations the plain cosine is
    R / (R + 1) and this one 0. U is centred: the same vector added to all its rows changes no answer.

    >>> maps = np.array([[[1.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]])
    >>> read_out_cosines(maps, np.array([[1.0, 0.0], [-1.0, 0.0]])).round(6).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return _cosines(np.einsum("row,op,spw->rs", maps, _gram(unembedding), maps, optimize=True))


def mean_between_relations(cosines: Float[np.ndarray, "relation relation"]) -> float:
    """Mean of the cosines between different relations; NaN if there is one relation only.

    >>> mean_between_relations(np.array([[1.0, 0.5], [0.5, 1.0]]))
    0.5
    """
    pairs = cosines[np.triu_indices(len(cosines), 1)]
    return float(pairs.mean()) if len(pairs) else float("nan")


def participation_ranks(
    maps: Float[np.ndarray, "relation out width"], unembedding: Float[np.ndarray, "object out"]
) -> Float[np.ndarray, " relation"]:
    """How many directions of the subject each relation reads: (Σ σ)² / Σ σ² over singular values σ of U J_r.

    U is centred, as in `read_out_cosines`. Costs one decomposition [width, width] per relation.

    >>> participation_ranks(np.array([np.diag([1.0, 1.0, 0.0])]), np.eye(3) * 9).round(3).tolist()
    [1.866]
    """
    gram = _gram(unembedding)
    values = np.linalg.eigvalsh(np.einsum("row,op,rpv->rwv", maps, gram, maps, optimize=True))
    sigma = np.sqrt(np.maximum(values, 0.0))
    return _ratio(sigma.sum(axis=1) ** 2, values.sum(axis=1))


def gate_rates(gates: Bool[np.ndarray, "relation subject neuron"]) -> Float[np.ndarray, "relation neuron"]:
    """Share of subjects for which a neuron is on under each relation.

    >>> gate_rates(np.array([[[True, False], [True, True]]])).tolist()
    [[1.0, 0.5]]
    """
    return gates.mean(axis=1)


def gate_variance_explained(rates: Float[np.ndarray, "relation neuron"]) -> float:
    """How much of the variance of open and shut the relation explains, mean over neurons that do vary.

        1 - mean_r p_r (1 - p_r) / (p (1 - p)),    p_r: share of subjects open under r,  p: mean of p_r

    Over neurons with p (1 - p) > 0.01; NaN if there is none. 1: the relation alone decides. A pair of neurons
    relu(±h) opens by the sign of h, so the superposition of notes B1 scores (R - 1) / (2R - 1) although its
    selection is exact; with the flag counted three times, relu(±h + 3 M flag - M), the same network scores 1.

    >>> gate_variance_explained(np.array([[1.0, 0.5], [0.0, 0.5]]))
    0.5
    """
    overall = rates.mean(axis=0)
    total = overall * (1 - overall)
    varied = total > LEAST_VARIANCE
    if not varied.any():
        return float("nan")
    within = (rates * (1 - rates)).mean(axis=0)
    return float((1 - within[varied] / total[varied]).mean())


def fixed_gates(rates: Float[np.ndarray, "relation neuron"]) -> float:
    """Share of (relation, neuron) pairs that are on, or off, for more than 98 % of subjects.

    >>> fixed_gates(np.array([[1.0, 0.5], [0.0, 0.99]]))
    0.75
    """
    return float((np.maximum(rates, 1 - rates) > FIXED).mean())


def _gram(unembedding: np.ndarray) -> Float[np.ndarray, "out out"]:
    U = np.asarray(unembedding, dtype=np.float64) - np.mean(unembedding, axis=0, dtype=np.float64)
    return U.T @ U


def _cosines(products: np.ndarray) -> Float[np.ndarray, "relation relation"]:
    lengths = np.sqrt(np.maximum(np.diag(products), 0.0))
    return _ratio(products, np.outer(lengths, lengths))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
