import networkx as nx
import numpy as np
import pytest

from geomem.geometry.nulls import draw_permutations
from geomem.geometry.reading import (
    READINGS,
    can_tell,
    decay_statistic,
    falls_strongly,
    majority_word,
    profile_tables,
    read_embeddings,
)
from geomem.geometry.similarity import centre, cosine_similarity, graph_shells, shell_means
from geomem.geometry.spectrum import fiedler_modes, laplacian_spectrum
from geomem.worlds.graphs.classics import karate_club
from geomem.worlds.graphs.families import complete, cycle, grid, irregular, path, path_star, tree_star
from geomem.worlds.graphs.graph import Graph, distance_matrix
from oracles import train_node2vec, two_coloured

GRAPHS = {
    graph.name: graph
    for graph in (path_star(), grid(), cycle(), irregular(), karate_club(), tree_star(), path(20))
}
BIPARTITE = [path_star(), grid(), tree_star(), path(20)]


def word_of(embedding, graph, *, permutations=399, seed=0):
    return read_embeddings(embedding[None], graph, permutations=permutations, seed=seed)[0].word


def disjoint(*parts):
    """Components side by side as one graph."""
    union = nx.disjoint_union_all(parts)
    return Graph("union", tuple(map(str, union)), np.array(union.edges))


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_tied_node2vec_is_geometric(graph):
    assert [word_of(train_node2vec(graph, seed=seed), graph) for seed in range(3)] == ["geometric"] * 3


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_untied_node2vec_is_a_zig_zag(graph):
    words = [word_of(train_node2vec(graph, tied=False, steps=4000, seed=seed), graph) for seed in range(3)]
    assert words == ["zig-zag"] * 3


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_laplacian_coordinates_are_geometric_and_the_other_end_a_zig_zag(graph):
    spectrum = laplacian_spectrum(graph)
    trivial_and_fiedler = spectrum.eigenvectors[:, : fiedler_modes(spectrum)[-1] + 1]
    assert word_of(trivial_and_fiedler, graph) == "geometric"
    assert word_of(spectrum.eigenvectors[:, -3:], graph) == "zig-zag"


@pytest.mark.parametrize("graph", BIPARTITE, ids=lambda graph: graph.name)
def test_two_colours_are_a_zig_zag(graph):
    noise = 0.2 * np.random.default_rng(0).normal(size=(graph.node_count, 8))
    assert word_of(np.outer(two_coloured(graph), np.ones(8)) + noise, graph) == "zig-zag"


@pytest.mark.parametrize("graph", [path_star(), cycle(), karate_club()], ids=lambda graph: graph.name)
@pytest.mark.parametrize("width", [4, 32, 512])
def test_random_embeddings_are_associative_in_95_percent_of_draws(graph, width):
    words = []
    for draw in range(200):
        embedding = np.random.default_rng([width, draw]).normal(size=(graph.node_count, width))
        words.append(word_of(embedding, graph, permutations=99, seed=draw))
    # 190 are expected at least, give or take 3: fewer than 183 would be no accident.
    assert words.count("associative") >= 183
    assert set(words) <= set(READINGS)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_one_place_is_collapsed_and_noise_around_it_reads_as_noise(graph):
    generator = np.random.default_rng(1)
    place, noise = generator.normal(size=32), generator.normal(size=(graph.node_count, 32))
    assert word_of(np.tile(place, (graph.node_count, 1)), graph) == "collapsed"
    assert word_of(np.zeros((graph.node_count, 3)), graph) == "collapsed"
    assert word_of(place + 0.15 * noise, graph) == word_of(noise, graph) == "associative"


def test_significant_but_negligible_structure_is_associative_unless_it_falls_strongly():
    graph = grid(6, 6)
    generator = np.random.default_rng(2)
    spectrum = laplacian_spectrum(graph)
    noise = generator.normal(size=(36, 4000))
    smooth = spectrum.eigenvectors[:, fiedler_modes(spectrum)] @ generator.normal(size=(2, 4000))
    shells = graph_shells(distance_matrix(graph))
    dealt = draw_permutations(399, 36)
    words = {}
    for strength in (0.5, 1, 12):
        embedding = noise + strength * smooth
        (reading,) = read_embeddings(embedding[None], graph, permutations=399)
        (profile,) = profile_tables(cosine_similarity(centre(embedding))[None], shells, dealt)
        falls = falls_strongly(profile, shells)
        words[strength] = (reading.word, falls, "within 0.1" in reading.reason)
    assert words == {
        0.5: ("associative", False, True),
        1: ("geometric", True, False),
        12: ("geometric", True, False),
    }


def test_graphs_that_cannot_tell_read_mixed():
    for graph in (complete(8), path(3), path(4)):
        shells = graph_shells(distance_matrix(graph))
        dealt = draw_permutations(399, graph.node_count)
        assert not can_tell(shells, graph.node_count, dealt)
        embedding = np.random.default_rng(3).normal(size=(graph.node_count, 6))
        (reading,) = read_embeddings(embedding[None], graph, permutations=399)
        assert reading.word == "mixed"
        assert "too small or too symmetric" in reading.reason
    shells = graph_shells(distance_matrix(path(6)))
    assert can_tell(shells, 6, draw_permutations(399, 6))


def test_components_without_inner_distance_are_read_by_what_separates_them():
    graph = disjoint(*[nx.complete_graph(4)] * 4)
    clusters = np.repeat(np.eye(4), 4, axis=0) + 0.05 * np.random.default_rng(4).normal(size=(16, 4))
    assert word_of(clusters, graph) == "geometric"


def test_components_each_in_one_place_are_not_geometric():
    graph = disjoint(nx.path_graph(12), nx.path_graph(12))
    places = np.repeat(np.eye(2), 12, axis=0) + 0.02 * np.random.default_rng(5).normal(size=(24, 2))
    assert word_of(places, graph) in ("mixed", "zig-zag")


def test_decay_is_minus_the_covariance_over_pairs_of_one_component():
    graph = irregular()
    distances = distance_matrix(graph)
    cosines = cosine_similarity(np.random.default_rng(6).normal(size=(16, 4)))
    shells = graph_shells(distances)
    pairs = np.triu(np.isfinite(distances), 1)
    # Per pair of the component; the statistic divides by all their number.
    expected = -np.cov(cosines[pairs], distances[pairs], bias=True)[0, 1]
    means = shell_means(cosines[shells.first, shells.second], shells)
    assert decay_statistic(means, shells) == pytest.approx(expected)


def test_majority_and_rules_are_text():
    assert majority_word(("zig-zag",)) == "zig-zag"
    assert majority_word(("zig-zag", "zig-zag", "geometric")) == "zig-zag"
    assert majority_word(("zig-zag", "geometric", "associative")) == "mixed"
    assert list(READINGS) == ["collapsed", "associative", "zig-zag", "geometric", "mixed"]
    assert all(rule.endswith(".") and len(rule) > 60 for rule in READINGS.values())
