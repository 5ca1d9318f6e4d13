"""Graphs: what they refuse, and that their matrices do not depend on how nodes are numbered."""

import networkx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.graphs import graph as graph_module
from geomem.worlds.graphs.families import cycle, erdos_renyi, path_star, tree_star
from geomem.worlds.graphs.graph import (
    Graph,
    adjacency_matrix,
    component_labels,
    distance_matrix,
    induced_subgraph,
    leaves_and_first_hops,
    node_degrees,
    simple_graph,
)


def make(edges, **fields) -> Graph:
    fields = {"name": "g", "labels": ("a", "b", "c")} | fields
    return Graph(edges=np.array(edges), **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edges": np.zeros((0, 2), dtype=int)}, "has no edge"),
        ({"edges": [[0, 3]]}, "names node 3; use ids from 0 to 2"),
        ({"edges": [[-1, 0]]}, "names node -1"),
        ({"edges": [[0, 0]]}, "self-edge"),
        ({"edges": [[0, 1], [1, 0]]}, "twice"),
        ({"edges": [[0, 1]], "labels": ("a", "a")}, "same label"),
        ({"edges": [[0, 1]], "labels": ("a", "\ud800")}, "surrogate"),
        ({"edges": [[0, 1]], "root": 3}, "root 3"),
        ({"edges": [[0, 1]], "mutual": np.array([1])}, "from 0 to 0 in ascending order"),
        ({"edges": [[0, 1], [1, 2]], "mutual": np.array([1, 0])}, "ascending order"),
        ({"edges": [[0, 1]], "root": -1}, "root -1"),
        ({"edges": [[0, 1]], "coordinates": np.zeros((2, 2))}, "coordinates of shape"),
        ({"edges": [[0, 1]], "coordinates": np.full((3, 2), np.nan)}, "not finite"),
    ],
)
def test_refused_graphs(fields, message):
    with pytest.raises(InputError, match=message) as error:
        make(**fields)
    assert str(error.value).count(". ") == 0


def test_too_large_graph(monkeypatch):
    monkeypatch.setattr(graph_module, "MAXIMUM_NODES", 4)
    cycle(4)
    with pytest.raises(InputError, match="5 nodes and 5 edges"):
        cycle(5)


def test_graph_is_frozen_and_keeps_its_own_arrays():
    edges, places = np.array([[0, 1]]), np.zeros((3, 2))
    graph = make(edges, coordinates=places)
    edges[:], places[:] = 7, 7
    assert graph.edges.tolist() == [[0, 1]]
    assert (graph.coordinates == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        graph.edges[0, 0] = 2


def test_digest_covers_what_makes_a_world_and_nothing_else():
    base = make([[0, 1]])
    assert base.digest == make([[0, 1]], name="other", notes=("x",)).digest
    others = [
        make([[1, 0]]),
        make([[0, 2]]),
        make([[0, 1]], labels=("a", "b", "d")),
        make([[0, 1]], root=0),
        make([[0, 1]], mutual=np.array([0])),
        make([[0, 1]], coordinates=np.zeros((3, 2))),
    ]
    assert len({base.digest, *(graph.digest for graph in others)}) == 7


@given(st.integers(2, 12), st.floats(0.2, 1.0), st.integers(0, 5), st.randoms(use_true_random=False))
def test_relabelling_permutes_adjacency_distances_degrees_and_components(nodes, probability, seed, random):
    assume(networkx.fast_gnp_random_graph(nodes, probability, seed=seed).number_of_edges())
    graph = erdos_renyi(nodes, probability, world_seed=seed)
    order = list(range(nodes))
    random.shuffle(order)
    permutation = np.array(order)
    moved = Graph(
        "moved", tuple(graph.labels[node] for node in np.argsort(permutation)), permutation[graph.edges]
    )
    both = np.ix_(permutation, permutation)
    assert (adjacency_matrix(moved).toarray()[both] == adjacency_matrix(graph).toarray()).all()
    assert (distance_matrix(moved)[both] == distance_matrix(graph)).all()
    assert (node_degrees(moved)[permutation] == node_degrees(graph)).all()
    one, other = component_labels(graph), component_labels(moved)[permutation]
    assert ((one[:, None] == one) == (other[:, None] == other)).all()
    assert [moved.labels[node] for node in permutation] == list(graph.labels)


@given(st.integers(2, 14), st.floats(0.1, 1.0), st.integers(0, 5))
def test_distances_and_components_are_those_of_networkx(nodes, probability, seed):
    oracle = networkx.fast_gnp_random_graph(nodes, probability, seed=seed)
    assume(oracle.number_of_edges())
    graph = simple_graph("g", [str(node) for node in range(nodes)], np.array(list(oracle.edges)))
    expected = np.full((nodes, nodes), np.inf)
    for source, lengths in networkx.all_pairs_shortest_path_length(oracle):
        for target, length in lengths.items():
            expected[source, target] = length
    assert (distance_matrix(graph) == expected).all()
    assert component_labels(graph).max() + 1 == networkx.number_connected_components(oracle)


def test_adjacency_with_self_edges_has_ones_on_the_diagonal_only():
    graph = cycle(5)
    difference = adjacency_matrix(graph, self_edges=True) - adjacency_matrix(graph)
    assert (difference.toarray() == np.eye(5)).all()


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40).filter(
        lambda pairs: any(one != other for one, other in pairs)
    )
)
def test_simple_graph_counts_what_it_drops_and_keeps_the_first_direction(pairs):
    graph = simple_graph("g", list("abcdefg"), np.array(pairs))
    kept: dict[frozenset[int], tuple[int, int]] = {}
    for pair in pairs:
        if pair[0] != pair[1]:
            kept.setdefault(frozenset(pair), pair)
    assert [tuple(edge) for edge in graph.edges.tolist()] == list(kept.values())
    loops = sum(one == other for one, other in pairs)
    repeated = len(pairs) - loops - len(kept)
    notes = " ".join(graph.notes)
    assert (f"{loops} self-loop" in notes) == (loops > 0)
    assert (f"{repeated} repeated edge" in notes) == (repeated > 0)
    mutual = [number for number, (one, other) in enumerate(kept.values()) if (other, one) in pairs]
    assert graph.mutual.tolist() == mutual
    assert ("in both directions" in notes) == bool(mutual)
    components = component_labels(graph).max() + 1
    assert (f"{components} connected components" in notes) == (components > 1)


@pytest.mark.parametrize("world_seed", [None, 0, 1])
@pytest.mark.parametrize(("arms", "length"), [(1, 2), (1, 4), (3, 2), (4, 5)])
def test_first_hops_of_path_stars(arms, length, world_seed):
    graph = path_star(arms, length, world_seed=world_seed)
    leaves, hops = leaves_and_first_hops(graph)
    found = {(graph.labels[leaf], graph.labels[hop]) for leaf, hop in zip(leaves, hops, strict=True)}
    assert found == {(f"{arm}.{length - 1}", f"{arm}.1") for arm in range(1, arms + 1)}


@pytest.mark.parametrize("world_seed", [None, 0, 1])
@pytest.mark.parametrize(("arms", "length"), [(1, 2), (2, 3), (3, 4), (5, 5)])
def test_first_hops_of_tree_stars(arms, length, world_seed):
    graph = tree_star(arms, length, world_seed=world_seed)
    leaves, hops = leaves_and_first_hops(graph)
    assert len(leaves) == arms * 2 ** (length - 2)
    for leaf, hop in zip(leaves, hops, strict=True):
        assert graph.labels[leaf].split(".")[0] == graph.labels[hop]
        assert graph.labels[leaf].count(".") == length - 2


def test_first_hops_need_a_rooted_tree():
    with pytest.raises(InputError, match="no root"):
        leaves_and_first_hops(cycle(4))
    with pytest.raises(InputError, match="not a tree"):
        leaves_and_first_hops(make([[0, 1], [1, 2], [2, 0]], root=0))
    with pytest.raises(InputError, match="not a tree"):
        leaves_and_first_hops(make([[0, 1], [1, 2], [2, 0]], labels=("a", "b", "c", "d"), root=0))


def test_an_induced_subgraph_keeps_what_was_given_in_both_directions():
    graph = simple_graph("small", list("abcd"), np.array([[0, 1], [1, 2], [2, 1], [2, 3], [3, 2]]))
    part = induced_subgraph(graph, np.array([1, 2, 3]))
    assert part.edges.tolist() == [[0, 1], [1, 2]]
    assert part.mutual.tolist() == [0, 1]
    assert induced_subgraph(graph, np.array([0, 1])).mutual.tolist() == []
