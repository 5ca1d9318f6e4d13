"""Graphs of the same degrees, all equally likely."""

from collections import Counter

import numpy as np
import pytest

from geomem.worlds.graphs.families import barabasi_albert, complete, grid, path, path_star
from geomem.worlds.graphs.graph import node_degrees
from geomem.worlds.graphs.rewiring import rewire, rewired_graphs, shared_edges


@pytest.mark.parametrize("graph", [barabasi_albert(40, 2), grid(5, 6), path_star(4, 5)], ids=lambda g: g.name)
def test_degrees_stay_and_edges_change(graph):
    for other in rewired_graphs(graph, 5):
        assert (node_degrees(other) == node_degrees(graph)).all()
        assert other.labels == graph.labels
        assert other.root is None
        assert shared_edges(graph, other) < 0.5


def test_all_graphs_of_some_degrees_are_equally_likely():
    """Five nodes of degrees 1, 2, 2, 2, 1: six paths, and a triangle beside an edge."""
    count = 700
    found = Counter(
        tuple(sorted(map(tuple, np.sort(other.edges, axis=1).tolist())))
        for other in rewired_graphs(path(5), count)
    )
    assert len(found) == 7
    # Draws of a chain are not independent; four deviations of independent ones.
    assert max(abs(seen - count / 7) for seen in found.values()) < 4 * np.sqrt(count / 7)


def test_degrees_that_leave_no_choice_leave_the_graph():
    for graph in (complete(5), path(2), path(3)):
        assert shared_edges(graph, rewire(graph)) == 1
    assert (
        rewire(barabasi_albert(20, 2), seed=1).edges.tolist()
        == rewire(barabasi_albert(20, 2), seed=1).edges.tolist()
    )
