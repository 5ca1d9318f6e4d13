"""Roots: of every star the centre, found by its structure alone, and of no other graph."""

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.graphs.families import cycle, path, path_star, tree_star
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.graphs.readers import graph_from
from geomem.worlds.graphs.roots import find_root, root_at


@given(st.integers(3, 6), st.integers(2, 5), st.integers(0, 9))
def test_the_centre_of_a_star(arms, length, seed):
    star = path_star(arms, length, world_seed=seed)
    bare = Graph("star", star.labels, star.edges)
    found = find_root(bare)
    assert found.root == star.root
    assert found.labels[star.root] + " was taken for the root" in found.notes[-1]
    assert find_root(star) is star


def test_the_root_of_a_tree_is_the_node_equally_far_from_all_leaves():
    star = tree_star()
    assert find_root(Graph("tree", star.labels, star.edges)).root == star.root
    binary = graph_from(networkx.balanced_tree(2, 3))
    assert find_root(binary).root == 0


@pytest.mark.parametrize(
    "graph",
    [
        path(5),
        cycle(6),
        graph_from([("c", "a"), ("c", "b"), ("c", "d"), ("d", "e")]),
        graph_from([("a", "b"), ("b", "c"), ("d", "e")]),
        Graph("two", ("a", "b"), np.array([[0, 1]])),
    ],
)
def test_no_root_is_guessed(graph):
    assert find_root(graph) is graph


def test_a_root_is_named():
    assert root_at(path(5), "3").root == 3
    with pytest.raises(InputError, match="did you mean 3"):
        root_at(path(5), "33")
