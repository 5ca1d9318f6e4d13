"""Node2Vec's training dynamics: the matrix C, and what it does to the graph's modes over time.

Glossary (arXiv 2510.26745, section 4 and appendix F): V embedding, P row softmax of V Vᵀ, T target
distribution of each node (D⁻¹A for edge memorisation), C the gradient matrix, e_i eigenvectors.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

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
