"""Tables N1 to N6 and N8 of the paper file (E.3): Node2Vec on its closed-form gradient."""

import numpy as np
import pytest
from cells import SCALE, cell, outcome

from geomem.claims.evidence import final, shells
from geomem.claims.memorize_geometrically.node2vec import node2vec_fleets
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS as WORLDS
from geomem.claims.memorize_geometrically.tiny_graphs import WITH_SELF
from geomem.geometry.dynamics import node2vec_gradient_matrix
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.worlds.graphs.graph import adjacency_matrix

pytestmark = pytest.mark.science

GRAPHS = ("star", "grid", "cycle", "irregular")
FINAL_LOSS = {"star": 1.301, "grid": 1.836, "cycle": 1.435, "irregular": 1.504}
FINAL_LOSS_SELF = {"star": 1.159, "grid": 1.622, "cycle": 1.225, "irregular": 1.361}
SURVIVORS = {"star": 4, "grid": 3, "cycle": 3, "irregular": 4}
# Projections on the surviving modes beyond the trivial ones, measured once by an independent NumPy program
# with the release's settings (B.3.6). The trivial modes keep what the draw of the start gave them, 9 to 15.
PROJECTIONS = {
    "star": (6.10, 6.08, 6.07),
    "grid": (5.37, 5.37),
    "cycle": (6.75, 6.75),
    "irregular": (5.03, 4.04),
}
TRIVIAL = {"star": 1, "grid": 1, "cycle": 1, "irregular": 2}
# "Others at most about .8" fails on the star: its mode at eigenvalue 3.5 keeps 1.20 to 1.37 on every seed.
LARGEST_REST = {"star": 1.5, "grid": 0.8, "cycle": 0.8, "irregular": 0.8}
STAR_SHELLS = (0.971, 0.881, 0.756, 0.600, 0.476, 0.353, 0.225, 0.151)


def trained(graph, directory, **changes):
    """What Node2Vec did on a graph, with another width or task than the release's."""
    (request,) = node2vec_fleets(graphs=(graph,), **changes)(SCALE)
    return outcome(request, directory)


def target_matrix(graph) -> np.ndarray:
    """D^-1 A."""
    adjacency = adjacency_matrix(graph).toarray()
    return adjacency / adjacency.sum(axis=1, keepdims=True)


def mode_norms(result) -> np.ndarray:
    """Norm of V^T e over the modes, from the lowest Laplacian eigenvalue up, [run, mode]."""
    vectors = laplacian_spectrum(result.request.world).eigenvectors
    return np.linalg.norm(np.einsum("nm,rnw->rmw", vectors, result.embeddings), axis=2)


@pytest.mark.parametrize("graph", GRAPHS)
def test_n1_final_loss(graph, runs_directory, report):
    result = cell(f"node2vec/{graph}", runs_directory)
    loss = final(result, "loss")
    report("final loss", loss, np.abs(loss - FINAL_LOSS[graph]) <= 0.002)
    # At the start log p(i, i) is nearly 0, so the loss is the mean of |v_i|² - v_i · v_j: 100 ± 4 a seed.
    report("initial loss", result.metrics["loss"][0])
    assert result.metrics["loss"][0].mean() == pytest.approx(100, abs=6)
    assert np.abs(loss - FINAL_LOSS[graph]).max() <= 0.002


@pytest.mark.parametrize("graph", GRAPHS)
def test_n2_only_the_top_of_the_spectrum_survives(graph, runs_directory, report):
    norms = mode_norms(cell(f"node2vec/{graph}", runs_directory))
    kept, lost = norms[:, : SURVIVORS[graph]], norms[:, SURVIVORS[graph] :]
    report("smallest survivor", kept.min(axis=1))
    report("largest of the rest", lost.max(axis=1), lost.max(axis=1) <= 0.8)
    trivial = TRIVIAL[graph]
    for run in kept:
        assert run[trivial:] == pytest.approx(PROJECTIONS[graph], rel=0.025)
    assert ((kept[:, :trivial] > 8.5) & (kept[:, :trivial] < 15.5)).all()
    assert (lost.max(axis=1) <= LARGEST_REST[graph]).all()
    assert (kept.min(axis=1) >= 4 * lost.max(axis=1)).all()


@pytest.mark.parametrize("graph", GRAPHS)
def test_n3_gradient_on_the_fiedler_set_is_small_but_zero_only_on_the_cycle(graph, runs_directory, report):
    result = cell(f"node2vec/{graph}", runs_directory)
    targets = target_matrix(result.request.world)
    vectors = laplacian_spectrum(result.request.world).eigenvectors[:, 1 : SURVIVORS[graph]]
    norms = np.array(
        [
            np.linalg.norm(node2vec_gradient_matrix(embedding, targets) @ vectors, axis=0)
            for embedding in result.embeddings
        ]
    )
    report("||C e||", norms.max(axis=1))
    if graph == "cycle":
        assert norms.max() < 1e-3
    elif graph == "irregular":
        # The four-node component's own trivial vector (eigenvalue 0) is in the set and is exactly null.
        assert norms.max() == pytest.approx(0.112, abs=0.01)
        assert norms.min(axis=1).max() < 1e-3
    else:
        assert norms == pytest.approx({"grid": 0.063, "star": 0.159}[graph], abs=0.005)


@pytest.mark.parametrize("graph", GRAPHS)
def test_n4_neighbours_align_and_similarity_falls_with_distance(graph, runs_directory, report):
    result = cell(f"node2vec/{graph}", runs_directory)
    level, means = final(result, "geometric_level"), shells(result).mean(axis=0)
    report("geometric level", level, (level >= 0.93) & (level <= 0.98))
    assert ((level >= 0.92) & (level <= 0.98)).all()
    if graph == "star":
        assert means == pytest.approx(STAR_SHELLS, abs=0.03)
    assert (np.diff(means) < 0).all()


@pytest.mark.parametrize("graph", GRAPHS)
def test_n5_width_below_the_node_count_finds_the_same_eigenspace(graph, runs_directory, report):
    count = SURVIVORS[graph]
    wide, narrow = cell(f"node2vec/{graph}", runs_directory), trained(graph, runs_directory, width=10)
    overlaps = []
    for embedding_a, embedding_b in zip(wide.embeddings, narrow.embeddings, strict=True):
        directions_a = np.linalg.svd(embedding_a)[0][:, :count]
        directions_b = np.linalg.svd(embedding_b)[0][:, :count]
        overlaps.append(np.linalg.norm(directions_a.T @ directions_b) ** 2 / count)
    report("shared subspace", overlaps, np.array(overlaps) > 0.95)
    assert np.median(overlaps) > 0.95


def test_n6_gradient_is_c_times_v_and_the_plus_sign_is_wrong(report):
    graph = WORLDS["star"]
    generator = np.random.default_rng(0)
    embedding = generator.normal(size=(graph.node_count, 6))
    targets = target_matrix(graph)

    def objective(matrix: np.ndarray) -> float:
        scores = matrix @ matrix.T
        log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return float((targets * log_probabilities).sum())

    numeric = np.zeros_like(embedding)
    for index in np.ndindex(embedding.shape):
        step = np.zeros_like(embedding)
        step[index] = 1e-5
        numeric[index] = (objective(embedding + step) - objective(embedding - step)) / 2e-5
    closed = node2vec_gradient_matrix(embedding, targets) @ embedding
    error = np.abs(closed - numeric).max() / np.abs(numeric).max()
    report("relative error", error)
    assert error < 1e-6
    walk = targets + targets.T
    plus = (2 * walk - node2vec_gradient_matrix(embedding, targets)) @ embedding
    assert np.abs(plus - numeric).max() / np.abs(numeric).max() > 0.5


@pytest.mark.parametrize("graph", GRAPHS)
def test_n8_final_loss_with_self_edges(graph, runs_directory, report):
    loss = final(trained(graph, runs_directory, task=WITH_SELF), "loss")
    report("final loss", loss, np.abs(loss - FINAL_LOSS_SELF[graph]) <= 0.002)
    assert np.abs(loss - FINAL_LOSS_SELF[graph]).max() <= 0.002
