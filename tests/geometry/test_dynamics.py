"""The matrix C and its projections."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geomem.geometry.dynamics import (
    gradient_on_modes,
    mode_projections,
    node2vec_gradient_matrix,
    target_distribution,
)
from geomem.worlds.graphs.families import cycle, path_star
from geomem.worlds.graphs.graph import adjacency_matrix
from geomem.worlds.tasks import EdgeMemorization, edge_examples


def test_targets_are_the_random_walk():
    for graph in (path_star(arms=3, length=4), cycle(nodes=5)):
        A = adjacency_matrix(graph).toarray()
        targets = target_distribution(edge_examples(graph, EdgeMemorization()), graph.node_count)
        np.testing.assert_allclose(targets, A / A.sum(axis=1, keepdims=True), atol=1e-15)


@given(st.integers(0, 1000))
def test_c_by_its_entries(seed):
    """C_ij = T_ij - P_ij + T_ji - P_ji, also for a node that is asked nothing."""
    generator = np.random.default_rng(seed)
    V, T = generator.normal(size=(4, 3)), generator.dirichlet(np.ones(4), size=4)
    T[2] = 0
    C = node2vec_gradient_matrix(V, T)
    for i in range(4):
        for j in range(4):
            P = [
                np.exp(V[a] @ V[b]) / sum(np.exp(V[a] @ V[k]) for k in range(4)) for a, b in ((i, j), (j, i))
            ]
            G = [T[i, j] - P[0] * (i != 2), T[j, i] - P[1] * (j != 2)]
            np.testing.assert_allclose(C[i, j], sum(G), rtol=1e-10)


def test_large_embeddings_start_at_minus_the_laplacian():
    """Fact 1: P is the identity when embeddings are long and nearly orthogonal, so C = T + Tᵀ - 2 I."""
    targets = target_distribution(edge_examples(cycle(nodes=5), EdgeMemorization()), 5)
    expected = targets + targets.T - 2 * np.eye(5)
    np.testing.assert_allclose(node2vec_gradient_matrix(20 * np.eye(5), targets), expected, atol=1e-12)


def test_trajectories_keep_their_leading_axes():
    generator = np.random.default_rng(0)
    V = generator.normal(size=(6, 2, 5, 3))
    targets = target_distribution(edge_examples(cycle(nodes=5), EdgeMemorization()), 5)
    modes = np.linalg.eigh(targets + targets.T)[1]
    projections, pushes = mode_projections(V, modes), gradient_on_modes(V, targets, modes)
    assert projections.shape == pushes.shape == (6, 2, 5)
    e = modes[:, 1]
    C = node2vec_gradient_matrix(V[4, 1], targets)
    np.testing.assert_allclose(projections[4, 1, 1], np.linalg.norm(V[4, 1].T @ e))
    np.testing.assert_allclose(pushes[4, 1, 1], np.linalg.norm(C @ e))
