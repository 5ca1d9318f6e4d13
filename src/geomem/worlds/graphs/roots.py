"""The root of a path-star or tree-star that a file or an object holds: named, or found by its structure."""

from dataclasses import replace

import numpy as np

from geomem.errors import unknown_name
from geomem.worlds.graphs.graph import Graph, adjacency_matrix, node_degrees
from geomem.worlds.text_file import show_label


def root_at(graph: Graph, label: str) -> Graph:
    """The graph with the node of this label as its root; raises `InputError`, with the nearest, for no node.

    >>> from geomem.worlds.graphs.families import path
    >>> root_at(path(3), "1").root
    1
    """
    if label not in graph.labels:
        raise unknown_name(
            f"The graph {graph.name!r} has no node '{show_label(label)}' to be its root",
            label,
            graph.labels,
            otherwise=f"name one of its nodes, such as {show_label(graph.labels[0])}",
        )
    return replace(graph, root=graph.labels.index(label))


def find_root(graph: Graph) -> Graph:
    """The graph with its root, recognised if it has none: the one node that is equally far from all leaves.

    A tree has at most one such node with two neighbours or more. A graph without one is returned as it is;
    so is a path, whose middle and both ends could be the root.

    >>> from geomem.worlds.graphs.readers import graph_from
    >>> graph = find_root(graph_from([("c", "a"), ("c", "b"), ("c", "d")]))
    >>> graph.labels[graph.root], graph.notes[-1]
    ('c', 'c was taken for the root: it is equally far from all 3 leaves (--root LABEL names another).')
    """
    if graph.root is not None or graph.edge_count != graph.node_count - 1 or graph.node_count < 3:
        return graph
    from scipy.sparse import csgraph

    adjacency = adjacency_matrix(graph)
    leaves = np.flatnonzero(node_degrees(graph) == 1)
    if len(leaves) < 3 or len(csgraph.breadth_first_order(adjacency, 0)[0]) < graph.node_count:
        return graph
    distances = csgraph.dijkstra(adjacency, indices=leaves[0], unweighted=True)
    far = leaves[np.argmax(distances[leaves])]
    distances, parents = csgraph.dijkstra(adjacency, indices=far, unweighted=True, return_predecessors=True)
    node = leaves[np.argmax(distances[leaves])]
    # The middle of a longest path; an odd one has no middle, and no node is equally far from its ends.
    length = int(distances[node])
    for _ in range(length // 2):
        node = parents[node]
    depths = csgraph.dijkstra(adjacency, indices=node, unweighted=True)[leaves]
    if length % 2 or (depths != depths[0]).any():
        return graph
    note = (
        f"{show_label(graph.labels[node])} was taken for the root: it is equally far from all "
        f"{len(leaves):,} leaves (--root LABEL names another)."
    )
    return replace(graph, root=int(node), notes=(*graph.notes, note))
