import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.spatial.distance import cosine as scipy_cosine
from scipy.stats import pearsonr

from geomem.errors import InputError
from geomem.geometry.nulls import draw_permutations
from geomem.geometry.similarity import (
    balance,
    cosine_similarity,
    distance_correlation,
    distance_shells,
    effective_rank,
    geometric_level,
    graph_shells,
    leaf_retrieval,
    mean_cosine,
    nearness,
    permuted_shell_means,
    shell_means,
    unit_rows,
)
from geomem.worlds.graphs.families import complete, cycle, grid, irregular, path_star, tree_star
from geomem.worlds.graphs.graph import distance_matrix, leaves_and_first_hops
from oracles import train_node2vec, two_coloured

MATRICES = arrays(np.float64, (6, 4), elements=st.floats(-100, 100, width=32))


@given(MATRICES)
@settings(max_examples=50, deadline=None)
def test_cosines_are_a_symmetric_matrix_of_cosines(embedding):
    cosines = cosine_similarity(embedding)
    assert np.allclose(cosines, cosines.T)
    assert np.abs(cosines).max() <= 1
    lengths = np.linalg.norm(embedding, axis=1)
    assert np.allclose(np.diag(cosines), lengths > 0)
    for u, v in ((0, 1), (2, 5)):
        if min(lengths[u], lengths[v]) > 1e-6:
            assert cosines[u, v] == pytest.approx(1 - scipy_cosine(embedding[u], embedding[v]), abs=1e-9)


def test_extreme_lengths_do_not_overflow():
    embedding = np.array([[1e200, 1e200], [1e-200, 1e-200], [0.0, 0.0]])
    assert np.allclose(cosine_similarity(embedding), [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_every_function_keeps_a_run_axis():
    graph = path_star(arms=3, length=4)
    runs = np.random.default_rng(0).normal(size=(3, 2, graph.node_count, 5))
    distances = distance_matrix(graph)
    leaves, hops = leaves_and_first_hops(graph)
    for function in (
        cosine_similarity,
        effective_rank,
        mean_cosine,
        lambda x: geometric_level(x, graph.edges),
        lambda x: distance_shells(x, distances)[1],
        lambda x: leaf_retrieval(x, leaves, hops),
    ):
        together = function(runs)
        assert together.shape[:2] == (3, 2)
        assert np.allclose(together[2, 1], function(runs[2, 1]))


def test_geometric_level_is_the_mean_over_facts_without_self_edges():
    embedding = np.random.default_rng(1).normal(size=(4, 3))
    facts = np.array([[0, 1], [1, 0], [2, 2], [2, 3]])
    cosines = cosine_similarity(embedding)
    expected = (cosines[0, 1] + cosines[1, 0] + cosines[2, 3]) / 3
    assert geometric_level(embedding, facts) == pytest.approx(expected)
    with pytest.raises(InputError, match="None of the 1 facts joins two different nodes"):
        geometric_level(embedding, facts[2:3])


@pytest.mark.parametrize(
    "graph", [cycle(7), grid(3, 4), irregular(), complete(5)], ids=lambda graph: graph.name
)
def test_shells_are_means_over_all_pairs_at_a_distance(graph):
    embedding = np.random.default_rng(2).normal(size=(graph.node_count, 6))
    distances = distance_matrix(graph)
    cosines = cosine_similarity(embedding)
    found, means = distance_shells(embedding, distances)
    off = ~np.eye(graph.node_count, dtype=bool)
    expected = sorted(set(distances[off & np.isfinite(distances)]))
    assert found.tolist() == expected
    for distance, mean in zip(found, means, strict=True):
        assert mean == pytest.approx(cosines[off & (distances == distance)].mean())


def test_pairs_of_two_components_are_the_last_shell():
    shells = graph_shells(distance_matrix(irregular()))
    assert np.isinf(shells.distances[-1])
    assert shells.sizes[-1] == 12 * 4
    assert shells.sizes.sum() == 16 * 15 // 2


def test_permuting_cosines_is_permuting_the_embedding():
    graph = grid(3, 3)
    embedding = np.random.default_rng(3).normal(size=(9, 4))
    distances = distance_matrix(graph)
    permutations = draw_permutations(5, 9)
    fast = permuted_shell_means(cosine_similarity(embedding), graph_shells(distances), permutations)
    slow = [distance_shells(embedding[permutation], distances)[1] for permutation in permutations]
    assert np.allclose(fast, slow)
    tables = np.stack([cosine_similarity(embedding), distances])
    both = permuted_shell_means(tables, graph_shells(distances), permutations)
    assert np.array_equal(both[0], fast)
    assert np.array_equal(both[1], permuted_shell_means(distances, graph_shells(distances), permutations))


def test_the_geometric_median_is_the_nearest_to_all_rows():
    generator = np.random.default_rng(6)
    rows = generator.normal(size=(12, 3)) * np.exp(2 * generator.normal(size=(12, 1)))
    balanced = balance(rows)
    assert np.abs(unit_rows(balanced).sum(axis=0)).max() < 1e-6
    median = minimize(lambda m: np.linalg.norm(rows - m, axis=1).sum(), rows.mean(axis=0), tol=1e-12).x
    assert rows - median == pytest.approx(balanced, abs=1e-4)
    assert balance(1e3 * rows + [1e5, 0, 7]) == pytest.approx(1e3 * balanced, abs=1e-4)
    assert not balance(np.full((5, 2), 0.1)).any()
    # Most rows are one row, which then is the median.
    assert balance(np.array([[1.0, 1.0]] * 3 + [[9.0, 1.0]])).round(6).tolist() == [[0, 0]] * 3 + [[8, 0]]


def test_nearness_falls_with_euclidean_distance_and_no_shift_changes_it():
    rows = np.random.default_rng(7).normal(size=(11, 4)) + 100
    distances = cdist(rows, rows)
    expected = -distances / (distances + np.median(distances[~np.eye(11, dtype=bool)]))
    assert nearness(rows) == pytest.approx(expected)
    assert nearness(1e-3 * rows - 3) == pytest.approx(expected, abs=1e-9)
    # Of fewer sources the median is that of their own distances.
    few = distances[:2] / np.median(distances[:2][~np.eye(2, 11, dtype=bool)])
    assert nearness(rows, 2) == pytest.approx(-few / (few + 1))
    assert not nearness(np.ones((4, 2))).any()


def test_distance_correlation_is_pearsons_over_pairs_of_one_component():
    graph = irregular()
    distances = distance_matrix(graph)
    cosines = cosine_similarity(np.random.default_rng(4).normal(size=(16, 3)))
    shells = graph_shells(distances)
    pairs = cosines[shells.first, shells.second]
    upper = np.triu(np.isfinite(distances), 1)
    expected = pearsonr(cosines[upper], distances[upper])[0]
    found = distance_correlation(shell_means(pairs, shells), shell_means(pairs**2, shells), shells)
    assert found == pytest.approx(expected)
    same = np.ones(len(shells.distances))
    assert np.isnan(distance_correlation(same, same, shells))


def test_mean_cosine_and_effective_rank():
    embedding = np.random.default_rng(5).normal(size=(7, 3))
    cosines = cosine_similarity(embedding)
    assert mean_cosine(embedding) == pytest.approx(cosines[~np.eye(7, dtype=bool)].mean())
    assert effective_rank(np.ones((5, 3))) == 0
    assert effective_rank(np.arange(5.0)[:, None] * np.ones(9)) == pytest.approx(1)
    # A simplex spreads equally in one direction fewer than it has corners.
    assert effective_rank(np.eye(6) + 3) == pytest.approx(5)
    assert effective_rank(np.eye(6)[:, :6] @ np.ones((6, 4)) * 0) == 0


def test_zig_zag_and_geometry_on_a_cycle():
    angles = 2 * np.pi * np.arange(14) / 14
    distances = distance_matrix(cycle(14))
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert np.allclose(distance_shells(circle, distances)[1], np.cos(angles[1:8]))
    zig_zag = two_coloured(cycle(14))[:, None]
    assert distance_shells(zig_zag, distances)[1].tolist() == [-1, 1, -1, 1, -1, 1, -1]


def test_node2vec_shells_of_the_paper_file():
    graph = path_star(arms=4, length=5)
    means = distance_shells(train_node2vec(graph, steps=10_000), distance_matrix(graph))[1]
    # B.3 and E.3 (N4) of the paper file, one seed of the release's settings.
    assert means == pytest.approx([0.971, 0.881, 0.756, 0.600, 0.476, 0.353, 0.225, 0.151], abs=0.03)


def test_leaves_find_their_first_hop_and_ties_lose():
    graph = tree_star(arms=3, length=4)
    leaves, hops = leaves_and_first_hops(graph)
    arms = np.zeros(graph.node_count, dtype=int)
    for arm, hop in enumerate(np.unique(hops)):
        arms[leaves[hops == hop]] = arms[hop] = arm
    clustered = np.eye(3)[arms]
    assert leaf_retrieval(clustered, leaves, hops) == 1.0
    assert leaf_retrieval(np.ones((graph.node_count, 2)), leaves, hops) == 0.0
    assert leaf_retrieval(np.roll(np.eye(3), 1, axis=1)[arms], leaves, hops) == 1.0
    wrong = clustered.copy()
    wrong[leaves[0]] = np.roll(clustered[leaves[0]], 1)
    assert leaf_retrieval(wrong, leaves, hops) == pytest.approx(1 - 1 / len(leaves))
