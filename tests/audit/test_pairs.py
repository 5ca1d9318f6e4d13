"""Mantel, AUC and partial correlations against plain definitions, in the exact and in the sampled form."""

import numpy as np
import pytest
from scipy.stats import rankdata

from geomem.audit import pairs, profile
from geomem.audit.pairs import (
    entity_pairs,
    mantel_form,
    neighbour_form,
    pair_distances,
    pair_weights,
    permuted_sums,
    standard_ranks,
    standard_scores,
)
from geomem.audit.profile import describe_look, laplacian_energy, principal_spread
from geomem.audit.rivals import frequency_likeness, measure_rewired, name_likeness, partial_correlations
from geomem.geometry.projection import pca
from geomem.geometry.similarity import centre, cosine_similarity, effective_rank
from geomem.worlds.graphs.families import barabasi_albert, erdos_renyi, path
from geomem.worlds.graphs.graph import distance_matrix, node_degrees


def spearman(one, other):
    """Correlation of ranks."""
    return np.corrcoef(rankdata(one), rankdata(other))[0, 1]


def all_pairs(graph, rows):
    """Distances and centred cosines of all unordered pairs."""
    upper = np.triu_indices(graph.node_count, 1)
    return distance_matrix(graph)[upper], cosine_similarity(centre(rows))[upper]


@pytest.fixture(params=[0, 1])
def look(request):
    graph = barabasi_albert(30, 2, world_seed=request.param)
    rows = np.random.default_rng(request.param).normal(size=(30, 6)) + 4
    rows[:, 0] += node_degrees(graph)
    return graph, rows


def test_mantel_is_spearman_over_all_pairs(look):
    graph, rows = look
    distances, cosines = all_pairs(graph, rows)
    found = describe_look(rows, graph, entity_pairs(graph))[0]
    assert found.mantel == pytest.approx(spearman(distances, cosines), abs=1e-9)


def test_auc_is_the_share_of_pairs_of_pairs_in_the_right_order(look):
    graph, rows = look
    distances, cosines = all_pairs(graph, rows)
    near, far = cosines[distances == 1], cosines[distances > 1]
    order = (near[:, None] > far).mean() + 0.5 * (near[:, None] == far).mean()
    assert describe_look(rows, graph, entity_pairs(graph))[0].neighbour_auc == pytest.approx(order, abs=1e-9)


def test_equal_rows_share_their_rank(look):
    graph, rows = look
    rows[1] = rows[0]
    rows[2] = rows[0]
    distances, cosines = all_pairs(graph, rows)
    found = describe_look(rows, graph, entity_pairs(graph))[0]
    assert found.mantel == pytest.approx(spearman(distances, cosines.round(12)), abs=1e-9)


def test_permuted_sums_are_those_of_permuted_rows(look):
    """One table and many orders, against computing everything again for each order."""
    graph, rows = look
    sample = entity_pairs(graph)
    form = mantel_form(pair_distances(sample), pair_weights(sample))
    table = standard_ranks(pairs.cosine_table(rows, sample, centred=True), sample)[0][:, None]
    sums = permuted_sums(table, form[None], sample, 5, seed=3)[:, 0, 0]
    orders = [np.arange(30), *pairs.deal_columns(sample, 5, seed=3)]
    slow = [describe_look(rows[order], graph, sample)[0].mantel for order in orders]
    assert sums == pytest.approx(slow, abs=1e-9)


def test_partial_mantel_is_the_correlation_of_residuals(look):
    """Least squares on both sides, pair by pair."""
    graph, rows = look
    names = tuple(f"{'North' if node % 3 else 'South'} {node}" for node in range(30))
    frequencies = {name: float(degree) for name, degree in zip(names, node_degrees(graph), strict=True)}
    sample = entity_pairs(graph)
    likeness = [name_likeness(names, None, sample), frequency_likeness(names, frequencies, sample)]
    nuisances = np.stack([standard_ranks(table, sample)[0] for table in likeness])
    ranks = standard_ranks(pairs.cosine_table(rows, sample, centred=True), sample)[0][:, None]
    rewired = measure_rewired(ranks, nuisances, graph, sample, 2)
    distances, cosines = all_pairs(graph, rows)
    upper = np.triu_indices(30, 1)
    given = [np.ones(len(distances)), *(rankdata(table[upper].round(12)) for table in likeness)]
    design = np.stack(given, axis=1)
    left = [
        side - design @ np.linalg.lstsq(design, side, rcond=None)[0]
        for side in (rankdata(distances), rankdata(cosines))
    ]
    assert rewired.partials[0, 0] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-6)
    assert rewired.mantels[0, 0] == pytest.approx(spearman(distances, cosines), abs=1e-9)


def test_a_nuisance_that_explains_all_leaves_nothing():
    one = np.array([[1.0]])
    assert partial_correlations(0.5 * one, 0.5 * one, one, one).tolist() == [[0.0]]


def test_a_sample_agrees_with_all_pairs(monkeypatch):
    """Sampled and in single precision, against all pairs in double precision."""
    graph = erdos_renyi(420, 0.01, world_seed=1)
    rows = np.random.default_rng(0).normal(size=(420, 20)) + 10
    rows[:, :2] += 3 * np.stack([np.cos(np.arange(420) / 50), np.sin(np.arange(420) / 50)], axis=1)
    graph_rows = rows.astype(np.float32)
    sampled = describe_look(graph_rows, graph, entity_pairs(graph))[0]
    monkeypatch.setattr(pairs, "EXACT_ENTITIES", 1000)
    exact = describe_look(rows, graph, entity_pairs(graph))[0]
    for name in ("mantel", "raw_mantel", "neighbour_auc"):
        assert getattr(sampled, name) == pytest.approx(getattr(exact, name), abs=0.03), name
    for name in ("laplacian_energy", "effective_rank", "first_share", "common_share", "rank_deviation"):
        assert getattr(sampled, name) == pytest.approx(getattr(exact, name), rel=2e-3), name
    assert sampled.shells == pytest.approx(exact.shells, abs=0.02)


def test_spread_is_that_of_the_principal_components(look):
    _, rows = look
    for given in (rows, rows[:5]):
        rank, first, places = principal_spread(given)
        view = pca(given, dimensions=2)
        assert rank == pytest.approx(float(effective_rank(given)))
        assert first == pytest.approx(view.explained[0])
        assert np.abs(places) == pytest.approx(np.abs(view.coordinates))


def test_laplacian_energy_is_one_by_chance_and_sums_over_edges(look):
    graph, rows = look
    squares = ((rows[:, None] - rows) ** 2).sum(axis=2)
    tails, heads = graph.edges.T
    expected = squares[tails, heads].mean() / squares[np.triu_indices(30, 1)].mean()
    assert laplacian_energy(rows, graph) == pytest.approx(expected)


def test_components_apart_say_nothing_of_distances():
    two = np.array([1.0, 2.0, np.inf])
    assert mantel_form(two, np.ones(3))[2] == 0
    assert neighbour_form(two, np.ones(3))[2] < 0


def test_one_distance_gives_no_correlation():
    assert not mantel_form(np.ones(3), np.ones(3)).any()
    assert not neighbour_form(np.ones(3), np.ones(3)).any()


def test_looks_that_do_not_vary_score_nothing():
    assert not standard_scores(np.full((5, 2), 0.3), -1).any()


def test_all_rows_equal_have_no_ranks():
    graph = path(5)
    found, ranks, _ = describe_look(np.ones((5, 3)), graph, entity_pairs(graph))
    assert not ranks.any()
    assert (found.mantel, found.neighbour_auc, found.first_share) == (0, 0.5, 0)
    assert profile.laplacian_energy(np.ones((5, 3)), graph) == 0
