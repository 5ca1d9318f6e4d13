"""The matrix C and its projections."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.geometry.dynamics import (
    ascend,
    average_over_eigenspaces,
    commutator,
    eigenvector_residual,
    gradient_on_modes,
    mode_projections,
    node2vec_gradient_matrix,
    relative_gradient,
    target_distribution,
)
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum
from geomem.worlds.graphs.families import cycle, irregular, path_star
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


def known_targets(graph):
    return target_distribution(edge_examples(graph, EdgeMemorization()), graph.node_count)


@pytest.mark.parametrize("graph", [path_star(arms=4, length=5), cycle(nodes=15), irregular()])
def test_a_trajectory_follows_the_gradient_and_depends_on_products_alone(graph):
    targets, spectrum = known_targets(graph), laplacian_spectrum(graph)
    E, L = spectrum.eigenvectors, laplacian_matrix(graph).toarray()
    path = ascend(targets, E, steps=6, kept=2)
    assert path.steps.tolist() == [0, 2, 4]
    np.testing.assert_allclose(path.rates[0], np.diag(-E.T @ L @ E), atol=1e-9)
    np.testing.assert_allclose(path.gradient, node2vec_gradient_matrix(path.embedding, targets))
    turned = 10 * np.linalg.qr(np.random.default_rng(0).normal(size=E.shape))[0]
    for _ in range(6):
        turned = turned + 0.01 * node2vec_gradient_matrix(turned, targets) @ turned
    np.testing.assert_allclose(turned @ turned.T, path.embedding @ path.embedding.T, atol=1e-9)
    if graph.name == cycle(nodes=15).name:  # circulant: every column follows the power iteration
        np.testing.assert_allclose(path.embedding, (E * path.gains) @ E.T * 10, atol=1e-9)


def test_lengths_do_not_depend_on_the_basis_of_an_eigenspace():
    spectrum = laplacian_spectrum(cycle(nodes=5))
    averaged = average_over_eigenspaces(np.array([[1.0, 3.0, 4.0, 2.0, 2.0]]), spectrum)
    np.testing.assert_allclose(averaged, [[1.0, np.sqrt(12.5), np.sqrt(12.5), 2.0, 2.0]])


def test_residual_and_gradient_on_embeddings_that_are_known():
    graph = cycle(nodes=15)
    targets, spectrum = known_targets(graph), laplacian_spectrum(graph)
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 3)))[0]
    kept = spectrum.eigenvectors[:, :3] * [7.0, 5.0, 5.0] @ turned.T
    uneven = kept * np.linspace(0.2, 1, 15)[:, None]
    # All matrices of `kept` are circulant: P + Pᵀ keeps every eigenvector of V Vᵀ.
    regular, irregular_ = eigenvector_residual(np.stack([kept, uneven]), targets, 3)
    assert regular < 1e-9 < 0.01 < irregular_
    assert relative_gradient(kept, targets) > 0
    V = np.sqrt(spectrum.eigenvalues.clip(0)) * spectrum.eigenvectors
    C = node2vec_gradient_matrix(V, targets)
    assert relative_gradient(V, targets) == pytest.approx(np.linalg.norm(C @ V) / np.linalg.norm(V))


def test_a_commutator_vanishes_for_shared_eigenvectors_alone():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    first, second = (basis * np.arange(1.0, 6)) @ basis.T, (basis * [3, 1, 4, 1, 5]) @ basis.T
    assert commutator(first, second) < 1e-12
    assert commutator(first, np.diag(np.arange(5.0))) > 0.01
