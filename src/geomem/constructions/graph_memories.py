"""Memories of a graph's edges written down in closed form (propositions 1 to 4 of arXiv 2510.26745).

Glossary (appendix E of the paper): Φ embedding [node, width], A adjacency matrix, m dimensions of Δ cells
each. The associative memory is W = A over one-hot embeddings; the others are geometric.
"""

import numpy as np
from jaxtyping import Float

from geomem.errors import InputError
from geomem.worlds.graphs.graph import Graph, adjacency_matrix


def adjacency_table(graph: Graph, *, forward: bool = False) -> Float[np.ndarray, "node node"]:
    """W[u, v] = 1 for edges u v: the associative memory of margin 1 over one-hot embeddings (proposition 3).

    Its norm is √(2|E|); with `forward` only edges as listed are in it, and it is √|E|.

    >>> from geomem.worlds.graphs.families import path
    >>> adjacency_table(path(3), forward=True).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    if not forward:
        return adjacency_matrix(graph).toarray().astype(float)
    table = np.zeros((graph.node_count, graph.node_count))
    table[graph.edges[:, 0], graph.edges[:, 1]] = 1
    return table


def smallest_margin(
    logits: Float[np.ndarray, "node node"], neighbours: Float[np.ndarray, "node node"]
) -> float:
    """min over u of (lowest logit of a neighbour - highest of another node but u), over nodes with both.

    `neighbours` is an `adjacency_table`. A node's logit with itself is left out: in a tied table no node
    could exceed it (2 Φ(u)·Φ(v) is at most ‖Φ(u)‖² + ‖Φ(v)‖²).

    >>> from geomem.worlds.graphs.families import path
    >>> smallest_margin(3 * adjacency_table(path(3)), adjacency_table(path(3)))
    3.0
    """
    A = neighbours > 0
    others = ~A & ~np.eye(len(A), dtype=bool)
    rows = A.any(axis=1) & others.any(axis=1)
    lowest = np.where(A, logits, np.inf).min(axis=1)[rows]
    return float((lowest - np.where(others, logits, -np.inf).max(axis=1)[rows]).min())


def incidence(graph: Graph) -> Float[np.ndarray, "node edge"]:
    """Φ(u)_i = 1 if u is an end of edge i: the dual encoder of |E| dimensions (proposition 4).

    Φ(u)·Φ(v) is 1 for edges and 0 for other pairs.

    >>> from geomem.worlds.graphs.families import path
    >>> (incidence(path(3)) @ incidence(path(3)).T).tolist()
    [[1.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 1.0]]
    """
    Phi = np.zeros((graph.node_count, graph.edge_count))
    for ends in graph.edges.T:
        Phi[ends, np.arange(graph.edge_count)] = 1
    return Phi


def circle(nodes: int) -> Float[np.ndarray, "node 2"]:
    """The cycle on a circle, just large enough for a margin of 1: r² = 1 / (cos 2π/n - cos 4π/n).

    Raises `InputError` for fewer than four nodes, which have no second neighbours.

    >>> round(float(np.linalg.norm(circle(15))) / 30 ** 0.5, 2)
    1.43
    """
    if nodes < 4:
        raise InputError(f"A circle of {nodes} nodes has no second neighbours; give at least 4 nodes.")
    angles = 2 * np.pi * np.arange(nodes) / nodes
    radius = 1 / np.sqrt(np.cos(2 * np.pi / nodes) - np.cos(4 * np.pi / nodes))
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def arm_lattice(arms: int, length: int) -> Float[np.ndarray, "node arm"]:
    """The path-star with an axis per arm and a node's position on it: m = arms, Δ = length (proposition 2).

    Rows are in the order of `path_star(arms, length, world_seed=None)`.

    >>> arm_lattice(2, 3).tolist()
    [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 2.0]]
    """
    return np.concatenate([np.zeros((1, arms)), np.kron(np.eye(arms), np.arange(1.0, length)[:, None])])


def diamond(nodes: int) -> Float[np.ndarray, "node 2"]:
    """The cycle of 4k nodes on the lattice points |x| + |y| = k: m = 2, Δ = |V| / 2 + 1 (proposition 2).

    Raises `InputError` unless the number of nodes is a positive multiple of 4.

    >>> diamond(4).tolist()
    [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
    """
    if nodes < 4 or nodes % 4:
        raise InputError(f"A diamond of {nodes} nodes has unequal sides; give a multiple of 4 nodes.")
    k = nodes // 4
    corners = k * np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
    sides = [corners[i] + (corners[(i + 1) % 4] - corners[i]) * j // k for i in range(4) for j in range(k)]
    return np.array(sides, dtype=float)


def count_wrong_pairs(code: Float[np.ndarray, "node width"], graph: Graph) -> int:
    """Pairs at the smallest distance that are no edge, and edges that are not at it.

    >>> from geomem.worlds.graphs.families import cycle
    >>> count_wrong_pairs(diamond(8), cycle(8)), count_wrong_pairs(diamond(8)[:, :1], cycle(8))
    (0, 11)
    """
    first, second = np.triu_indices(len(code), 1)
    distances = ((code[first] - code[second]) ** 2).sum(axis=1)
    return int(((distances == distances.min()) != (adjacency_table(graph)[first, second] > 0)).sum())
