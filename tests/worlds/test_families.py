"""Graph families: exact sizes, degrees, directions, and that a seed only moves the ids."""

from collections import Counter

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.graphs.families import (
    barabasi_albert,
    communities,
    complete,
    cycle,
    erdos_renyi,
    grid,
    irregular,
    path,
    path_star,
    random_regular,
    tree_star,
    watts_strogatz,
)
from geomem.worlds.graphs.graph import Graph, component_labels, distance_matrix, node_degrees
from geomem.worlds.tasks import EdgeMemorization, directed_facts


def degree_counts(graph: Graph) -> dict[int, int]:
    return dict(Counter(node_degrees(graph).tolist()))


def is_isomorphic(graph: Graph, oracle: networkx.Graph) -> bool:
    own = networkx.Graph(graph.edges.tolist())
    return own.number_of_nodes() == graph.node_count and networkx.is_isomorphic(own, oracle)


@given(st.integers(1, 9), st.integers(2, 9), st.none() | st.integers(0, 3))
def test_path_star_sizes(arms, length, world_seed):
    graph = path_star(arms, length, world_seed=world_seed)
    assert graph.node_count == arms * (length - 1) + 1
    assert graph.edge_count == arms * (length - 1)
    assert graph.labels[graph.root] == "root"
    expected = Counter({1: arms, 2: arms * (length - 2)}) + Counter({arms: 1})
    assert degree_counts(graph) == dict(expected)
    assert distance_matrix(graph)[graph.root].max() == length - 1


@given(st.integers(1, 5), st.integers(2, 6), st.none() | st.integers(0, 3))
def test_tree_star_sizes(arms, length, world_seed):
    graph = tree_star(arms, length, world_seed=world_seed)
    assert graph.node_count == 1 + arms * (2 ** (length - 1) - 1)
    assert graph.edge_count == graph.node_count - 1
    assert component_labels(graph).max() == 0
    depths = Counter(distance_matrix(graph)[graph.root].astype(int).tolist())
    assert depths == {0: 1} | {depth: arms * 2 ** (depth - 1) for depth in range(1, length)}
    assert (node_degrees(graph)[graph.edges[:, 1]] != 2).all()


def test_the_tiny_graphs_of_the_paper():
    sizes = [
        (graph.node_count, graph.edge_count)
        for graph in (path_star(), grid(), cycle(), irregular(), tree_star())
    ]
    assert sizes == [(17, 16), (16, 24), (15, 15), (16, 20), (22, 21)]
    assert np.bincount(component_labels(irregular())).tolist() == [12, 4]
    k4 = irregular().edges[irregular().edges.min(axis=1) >= 12]
    assert len(k4) == 6


@pytest.mark.parametrize(
    ("graph", "best", "floor"),
    [
        (path_star(), 81.25, 0.3466),
        (grid(), 62.5, 0.5199),
        (cycle(), 100.0, 0.0),
        (irregular(), 70.0, 0.4421),
    ],
)
def test_forward_directions_are_those_of_the_release(graph, best, floor):
    """The best top-1 accuracy and the loss floor of forward-only edges, as printed in table B.3.2."""
    facts = directed_facts(graph, EdgeMemorization(directions="forward"))
    degrees = np.bincount(facts[:, 0], minlength=graph.node_count)
    assert 100 * (degrees > 0).sum() / len(facts) == best
    assert np.log(degrees[facts[:, 0]]).mean() == pytest.approx(floor, abs=5e-5)


@pytest.mark.parametrize(
    ("graph", "oracle"),
    [
        (grid(3, 5), networkx.grid_2d_graph(3, 5)),
        (grid(1, 4), networkx.path_graph(4)),
        (cycle(7), networkx.cycle_graph(7)),
        (path(2), networkx.path_graph(2)),
        (path(9), networkx.path_graph(9)),
        (complete(6), networkx.complete_graph(6)),
        (complete(2), networkx.path_graph(2)),
        (path_star(1, 6), networkx.path_graph(6)),
        (path_star(5, 2), networkx.star_graph(5)),
        (tree_star(2, 4), networkx.balanced_tree(2, 3)),
    ],
)
def test_families_against_networkx(graph, oracle):
    assert is_isomorphic(graph, oracle)


def test_grid_is_row_major_and_its_labels_are_row_and_column():
    graph = grid(2, 3)
    assert graph.labels == ("1.1", "1.2", "1.3", "2.1", "2.2", "2.3")
    assert graph.edges.tolist() == [[0, 1], [0, 3], [1, 2], [1, 4], [2, 5], [3, 4], [4, 5]]


@pytest.mark.parametrize("family", [path_star, tree_star])
def test_a_seed_moves_ids_and_labels_together(family):
    natural, moved = family(3, 4, world_seed=None), family(3, 4, world_seed=1)
    assert family(3, 4).digest == family(3, 4, world_seed=0).digest
    assert len({natural.digest, moved.digest, family(3, 4).digest}) == 3
    named = [[(g.labels[tail], g.labels[head]) for tail, head in g.edges.tolist()] for g in (natural, moved)]
    assert named[0] == named[1]


def test_seeds_give_the_same_world_for_ever():
    """Digests written down once: a change here would silently change everybody's experiments."""
    assert path_star().digest[:16] == "6f1f00ce85f6297c"
    assert erdos_renyi().digest[:16] == "b6d23977937c14a8"
    assert random_regular().digest[:16] == "5383a777281c10c6"


@given(st.integers(4, 20), st.integers(0, 50))
def test_random_families(nodes, seed):
    regular = random_regular(2 * (nodes // 2), 3, world_seed=seed)
    assert (node_degrees(regular) == 3).all()
    assert barabasi_albert(nodes, 2, world_seed=seed).edge_count == 2 * (nodes - 2)
    if nodes > 4:
        assert watts_strogatz(nodes, 4, 0.3, world_seed=seed).edge_count == 2 * nodes
    assert erdos_renyi(nodes, 1.0, world_seed=seed).edge_count == nodes * (nodes - 1) // 2
    assert erdos_renyi(nodes, 0.7, world_seed=seed).digest == erdos_renyi(nodes, 0.7, world_seed=seed).digest
    graph = erdos_renyi(nodes, 0.7, world_seed=seed)
    oracle = networkx.fast_gnp_random_graph(nodes, 0.7, seed=seed)
    assert {frozenset(edge) for edge in graph.edges.tolist()} == {frozenset(edge) for edge in oracle.edges}


@pytest.mark.parametrize("across", [0.0, 0.1, 0.5])
def test_communities_keep_degrees_and_move_edges_across(across):
    graph = communities(32, 4, across, world_seed=3)
    assert (node_degrees(graph) == 4).all()
    assert (graph.edges // 16 == [0, 1]).all(axis=1).sum() == 2 * round(across * 32)


@pytest.mark.parametrize(
    ("family", "arguments"),
    [
        (path_star, {"arms": 0}),
        (path_star, {"length": 1}),
        (path_star, {"world_seed": -1}),
        (path_star, {"arms": 10**9}),
        (tree_star, {"arms": 0}),
        (tree_star, {"length": 1}),
        (tree_star, {"length": 10**6}),
        (grid, {"rows": 1, "columns": 1}),
        (grid, {"rows": 0}),
        (grid, {"columns": -3}),
        (grid, {"rows": 10**5, "columns": 10**5}),
        (cycle, {"nodes": 2}),
        (cycle, {"nodes": 10**12}),
        (path, {"nodes": 1}),
        (complete, {"nodes": 1}),
        (complete, {"nodes": 10**5}),
        (erdos_renyi, {"nodes": 1}),
        (erdos_renyi, {"probability": 1.5}),
        (erdos_renyi, {"probability": float("nan")}),
        (erdos_renyi, {"probability": 0.0}),
        (erdos_renyi, {"nodes": 10**6, "probability": 0.5}),
        (barabasi_albert, {"attachments": 0}),
        (barabasi_albert, {"nodes": 5, "attachments": 5}),
        (watts_strogatz, {"neighbours": 3}),
        (watts_strogatz, {"nodes": 4, "neighbours": 4}),
        (watts_strogatz, {"rewiring": -0.1}),
        (random_regular, {"nodes": 5, "degree": 3}),
        (random_regular, {"nodes": 5, "degree": 5}),
        (random_regular, {"degree": 0}),
        (random_regular, {"world_seed": -2}),
        (communities, {"nodes": 15}),
        (communities, {"across": 0.6}),
        (communities, {"nodes": 6, "degree": 3}),
    ],
)
def test_bad_parameters_are_one_sentence(family, arguments):
    with pytest.raises(InputError) as error:
        family(**arguments)
    message = str(error.value)
    assert message.endswith(".")
    assert ". " not in message
    assert "\n" not in message
