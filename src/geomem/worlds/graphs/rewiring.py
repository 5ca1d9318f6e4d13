"""Random graphs with the degrees of a given one: what a graph's degrees alone would make of it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from geomem.worlds.graphs.graph import Graph

SWEEPS = 40
"""Rounds of swaps before the first graph; a tree of five nodes needs them, larger graphs mix in fewer."""

SWEEPS_BETWEEN = 10
LARGE_EDGES, LARGE_SWEEPS = 5_000, 3
"""With so many edges a round leaves hardly one in its place, so that few lie between two graphs."""


def rewire(graph: Graph, *, seed: int = 0) -> Graph:
    """The first of `rewired_graphs`.

    >>> from geomem.worlds.graphs.families import cycle, complete
    >>> from geomem.worlds.graphs.graph import node_degrees
    >>> set(node_degrees(rewire(cycle(9))).tolist()), rewire(complete(4)).edges.tolist()[0]
    ({2}, [0, 1])
    """
    return next(rewired_graphs(graph, 1, seed=seed))


def rewired_graphs(graph: Graph, count: int, *, seed: int = 0) -> Iterator[Graph]:
    """Graphs with the same labels and every node's degree, edges otherwise uniformly at random.

    A Markov chain that starts at the graph itself. In each round the edges are paired at random, and (a, b),
    (c, d) become (a, d), (c, b) (Maslov and Sneppen 2002) unless that makes a self-edge, an edge that is
    there, or one that another pair has or makes. Where degrees allow no other graph, as those of a star or of
    a complete graph, it comes back unchanged. Places on a map are kept, the root is not.
    """
    generator = np.random.default_rng(seed)
    edges, nothing = graph.edges.copy(), np.zeros(0, dtype=np.int64)
    between = SWEEPS_BETWEEN if graph.edge_count <= LARGE_EDGES else LARGE_SWEEPS
    for number in range(count):
        for _ in range(between if number else SWEEPS):
            edges = _swap(edges, graph.node_count, generator)
        yield replace(graph, name=f"{graph.name}, rewired", edges=edges, root=None, mutual=nothing)


def _swap(edges: np.ndarray, nodes: int, generator: np.random.Generator) -> np.ndarray:
    """One round; shapes are not checked in it, since thousands follow one another."""
    half = len(edges) // 2
    order = generator.permutation(len(edges))
    tops, bottoms = order[:half], order[half : 2 * half]
    first, second = edges[tops], edges[bottoms]
    # Which end is exchanged must not depend on how an edge is written down.
    second = np.where(generator.random((half, 1)) < 0.5, second[:, ::-1], second)
    made = np.stack([first[:, 0], second[:, 1]], axis=1), np.stack([second[:, 0], first[:, 1]], axis=1)
    # Old and new edges alike must occur once, so that a round and the one that undoes it are equally likely.
    keys = [_keys(pairs, nodes) for pairs in (first, second, *made, edges[order[2 * half :]])]
    _, place, counts = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    fine = (counts[place[: 4 * half]] == 1).reshape(4, half).all(axis=0)
    for pairs in made:
        fine &= pairs[:, 0] != pairs[:, 1]
    swapped = edges.copy()
    swapped[tops[fine]], swapped[bottoms[fine]] = made[0][fine], made[1][fine]
    return swapped


def shared_edges(graph: Graph, other: Graph) -> float:
    """Share of a graph's edges that another graph of the same nodes has as well.

    >>> from geomem.worlds.graphs.families import cycle, path
    >>> shared_edges(path(4), cycle(4))
    1.0
    """
    nodes = graph.node_count
    return float(np.isin(_keys(graph.edges, nodes), _keys(other.edges, nodes)).mean())


def _keys(edges: np.ndarray, nodes: int) -> np.ndarray:
    """A number for every undirected edge."""
    return edges.min(axis=1) * nodes + edges.max(axis=1)
