"""Slow, plain programs that say what the fast ones must give."""

import numpy as np

from geomem.worlds.graphs.graph import Graph, adjacency_matrix, distance_matrix


def train_node2vec(
    graph: Graph,
    *,
    tied: bool = True,
    steps: int = 2000,
    width: int = 100,
    self_edges: bool = False,
    seed: int = 0,
) -> np.ndarray:
    """Node2Vec by full-batch gradient ascent, [node, width]: tied a geometric memory, untied a zig-zag."""
    generator = np.random.default_rng(seed)
    adjacency = adjacency_matrix(graph, self_edges=self_edges).toarray()
    targets = adjacency / adjacency.sum(axis=1, keepdims=True)
    scale, rate = (1.0, 0.01) if tied else (0.1, 0.05)
    V = generator.normal(size=(graph.node_count, width)) * scale
    U = generator.normal(size=V.shape) * scale
    for _ in range(steps):
        scores = V @ (V if tied else U).T
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = targets - chances / chances.sum(axis=1, keepdims=True)
        if tied:
            V = V + rate * (error + error.T) @ V
        else:
            V, U = V + rate * error @ U, U + rate * error.T @ V
    return V


def two_coloured(graph: Graph) -> np.ndarray:
    """+1 and -1 by the parity of the distance from node 0, [node]: neighbours differ in a bipartite graph."""
    return 1.0 - 2.0 * (distance_matrix(graph)[0] % 2)
