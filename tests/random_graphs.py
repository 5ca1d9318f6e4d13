"""Small graphs, connected or not, every node with an edge, drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from geomem.worlds.graphs.graph import Graph


@st.composite
def edge_lists(draw, max_nodes=14):
    """Edges of a graph of 2 to `max_nodes` nodes, for `graph_of`.

    Not the graph itself: types are checked while it is built, by a draw of Python's own random numbers, and
    those are not allowed inside a strategy.
    """
    count = draw(st.integers(2, max_nodes))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
        lambda pair: pair[0] != pair[1]
    )
    return draw(st.lists(pairs, min_size=1, max_size=3 * max_nodes, unique_by=frozenset))


def graph_of(edges):
    """The graph with these edges; numbers that no edge names are skipped."""
    edges = np.unique(np.array(edges), return_inverse=True)[1].reshape(-1, 2)
    return Graph(name="drawn", labels=tuple(str(node) for node in range(edges.max() + 1)), edges=edges)


def disjoint_union(*graphs):
    """All the graphs side by side, as one graph of several components."""
    starts = np.cumsum([0, *[graph.node_count for graph in graphs]])
    edges = np.vstack([graph.edges + start for graph, start in zip(graphs, starts, strict=False)])
    return Graph(name="union", labels=tuple(str(node) for node in range(starts[-1])), edges=edges)


def relabelled(graph, order):
    """The same graph with node `order[i]` of the old as node i of the new."""
    place = np.argsort(order)
    labels = tuple(graph.labels[node] for node in order)
    return Graph(name=graph.name, labels=labels, edges=place[graph.edges])
