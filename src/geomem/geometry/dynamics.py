"""Node2Vec's training dynamics: the matrix C, and what it does to the graph's modes over time.

Glossary (arXiv 2510.26745, section 4 and appendix F): V embedding, P row softmax of V Vᵀ, T target
distribution of each node (D⁻¹A for edge memorisation), C the gradient matrix, e_i eigenvectors.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from geomem.geometry.spectrum import Spectrum
from geomem.worlds.tasks import Examples


def target_distribution(examples: Examples, node_count: int) -> Float[np.ndarray, "node node"]:
    """Row i holds the distribution of the targets asked of node i: D⁻¹A if all edges are; zeros if none is.

    >>> from geomem.worlds.graphs.families import path
    >>> from geomem.worlds.tasks import EdgeMemorization, edge_examples
    >>> target_distribution(edge_examples(path(3), EdgeMemorization()), 3).tolist()
    [[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]
    """
    targets = np.zeros((node_count, node_count))
    targets[examples.prefixes[examples.fact_examples, -1], examples.fact_targets] = examples.fact_weights
    totals = targets.sum(axis=1, keepdims=True)
    return np.divide(targets, totals, out=targets, where=totals > 0)


def node2vec_gradient_matrix(
    embedding: Float[np.ndarray, "*batch node width"], targets: Float[np.ndarray, "node node"]
) -> Float[np.ndarray, "*batch node node"]:
    """C = (T - P) + (T - P)ᵀ with P = row_softmax(V Vᵀ): the tied gradient of J is C V (Lemma 5).

    J = sum_i sum_j T_ij log P_ij over the nodes that are asked. The paper's proof of propositions 6 and 7
    prints a plus sign before P; the minus is right. Leading axes of `embedding` (snapshot, run) are carried
    along.

    >>> node2vec_gradient_matrix(np.zeros((2, 1)), np.array([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    V = embedding
    P = softmax(V @ V.swapaxes(-1, -2), axis=-1) * (targets.sum(axis=1, keepdims=True) > 0)
    return (targets - P) + (targets - P).swapaxes(-1, -2)


def mode_projections(
    embedding: Float[np.ndarray, "*batch node width"], eigenvectors: Float[np.ndarray, "node mode"]
) -> Float[np.ndarray, "*batch mode"]:
    """‖Vᵀ e_i‖: how much of the embedding lies along each mode.

    Inside an eigenspace single values depend on the basis; their root sum of squares does not.

    >>> mode_projections(np.array([[3.0, 4.0], [0.0, 0.0]]), np.eye(2)).tolist()
    [5.0, 0.0]
    """
    return np.linalg.norm(eigenvectors.T @ embedding, axis=-1)


def gradient_on_modes(
    embedding: Float[np.ndarray, "*batch node width"],
    targets: Float[np.ndarray, "node node"],
    eigenvectors: Float[np.ndarray, "node mode"],
) -> Float[np.ndarray, "*batch mode"]:
    """‖C e_i‖: how hard training still pushes each mode; zero where a mode has come to rest.

    >>> gradient_on_modes(np.zeros((2, 1)), np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2)).round(3).tolist()
    [1.414, 1.414]
    """
    return np.linalg.norm(node2vec_gradient_matrix(embedding, targets) @ eigenvectors, axis=-2)


def average_over_eigenspaces(
    values: Float[np.ndarray, "*batch mode"], spectrum: Spectrum
) -> Float[np.ndarray, "*batch mode"]:
    """Every value replaced by the root mean square over the modes of its eigenspace.

    Then lengths such as ‖Vᵀ e_i‖ and ‖C e_i‖ do not depend on the solver's basis.

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import cycle
    >>> average_over_eigenspaces(np.array([2.0, 1.0, 7.0]), laplacian_spectrum(cycle(3))).round(6).tolist()
    [2.0, 5.0, 5.0]
    """
    groups = spectrum.eigenspaces
    members = (groups[:, None] == groups[None, :]).astype(float)
    return np.sqrt(values**2 @ members / members.sum(axis=0))


def relative_gradient(
    embedding: Float[np.ndarray, "*batch node width"], targets: Float[np.ndarray, "node node"]
) -> Float[np.ndarray, "*batch"] | float:
    """‖C V‖ / ‖V‖: how fast the embedding still moves, in units of the learning rate.

    >>> round(float(relative_gradient(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]]))), 3)
    2.068
    """
    pushed = node2vec_gradient_matrix(embedding, targets) @ embedding
    return np.linalg.norm(pushed, axis=(-2, -1)) / np.linalg.norm(embedding, axis=(-2, -1))


def eigenvector_residual(
    embedding: Float[np.ndarray, "*batch node width"], targets: Float[np.ndarray, "node node"], count: int
) -> Float[np.ndarray, "*batch"] | float:
    """How far the `count` leading eigenvectors of V Vᵀ are from being eigenvectors of S = P + Pᵀ.

        max over u of ‖S u - (uᵀ S u) u‖

    Zero where observation 8 holds exactly.

    >>> round(float(eigenvector_residual(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]]), 2)), 3)
    0.538
    """
    S = targets + targets.T - node2vec_gradient_matrix(embedding, targets)
    U = np.linalg.svd(embedding)[0][..., :count]
    along = np.einsum("...nm,...nk,...km->...m", U, S, U)
    return np.linalg.norm(S @ U - U * along[..., None, :], axis=-2).max(axis=-1)


def commutator(first: Float[np.ndarray, "node node"], second: Float[np.ndarray, "node node"]) -> float:
    """‖AB - BA‖ / (‖A‖ ‖B‖): zero if and only if two symmetric matrices share their eigenvectors.

    >>> commutator(np.diag([1.0, 2.0]), np.diag([3.0, 4.0]))
    0.0
    """
    difference = first @ second - second @ first
    return float(np.linalg.norm(difference) / (np.linalg.norm(first) * np.linalg.norm(second)))


@dataclass(frozen=True, eq=False)
class Ascent:
    """Gradient ascent from orthogonal rows, seen along the eigenvectors e_i of L."""

    steps: Int[np.ndarray, " snapshot"]
    rates: Float[np.ndarray, "snapshot mode"]
    """e_iᵀ C e_i."""
    gains: Float[np.ndarray, " mode"]
    """Product over all steps of 1 + η e_iᵀ C e_i."""
    embedding: Float[np.ndarray, "node node"]
    """V after the last step."""
    gradient: Float[np.ndarray, "node node"]
    """C after the last step."""


def ascend(
    targets: Float[np.ndarray, "node node"],
    eigenvectors: Float[np.ndarray, "node mode"],
    *,
    length: float = 10.0,
    learning_rate: float = 0.01,
    steps: int = 3000,
    kept: int = 10,
) -> Ascent:
    """Follow ΔV = η C V in float64 from orthogonal rows of one length (assumption 1); keep every few steps.

    C depends on V Vᵀ alone, so any such start gives the same `rates` and nothing is drawn. The default length
    is that of N(0, 1) entries in the release's 100 dimensions.

    >>> ascend(np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2), steps=20).rates.round(3).tolist()
    [[-2.0, -2.0], [-2.0, -2.0]]
    """
    V, E = length * np.eye(len(targets)), eigenvectors
    gains, rates = np.ones(E.shape[1]), []
    for step in range(steps):
        C = node2vec_gradient_matrix(V, targets)
        along = np.einsum("nm,nk,km->m", E, C, E)
        if step % kept == 0:
            rates.append(along)
        gains *= 1 + learning_rate * along
        V = V + learning_rate * C @ V
    C = node2vec_gradient_matrix(V, targets)
    return Ascent(np.arange(0, steps, kept), np.array(rates), gains, V, C)
