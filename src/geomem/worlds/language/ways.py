"""Ways from one node towards another: which pairs are told, which are held out, and every right next node.

Axis names: `pair` (subject, object), `step` (subject, object, next), `node`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from geomem.errors import InputError
from geomem.worlds.graphs.graph import Graph, distance_matrix

WAY_STREAM = 10
"""Second number of the seed that draws the pairs told."""
MOST_NUMBERS = 50_000_000
"""Told pairs times nodes, and nodes squared."""


@dataclass(frozen=True, eq=False)
class Ways:
    """Pairs of nodes two steps apart or more, in the order in which they were drawn."""

    distances: Float[np.ndarray, "node node"]
    told: Int[np.ndarray, "pair 2"]
    held_out: Int[np.ndarray, "other 2"]

    @property
    def steps(self) -> Int[np.ndarray, "step 3"]:
        """Every told pair with each of its right next nodes."""
        pairs, following = np.nonzero(next_nodes(self.distances, self.told))
        return np.column_stack([self.told[pairs], following])


def draw_ways(graph: Graph, share: float, *, seed: int) -> Ways:
    """A share of the ordered pairs two steps apart or more is told; the others are held out.

    The pairs follow from labels, edges and the seed, not from the order of the nodes; a larger share has
    those of a smaller one, and one pair is told at least. Raises `InputError` if there is no such pair, or
    too many.

    >>> from geomem.worlds.graphs.families import path
    >>> ways = draw_ways(path(4), 0.5, seed=0)
    >>> len(ways.told), len(ways.held_out), ways.steps.shape
    (3, 3, (3, 3))
    """
    nodes = graph.node_count
    _check_size(graph, nodes)
    distances = distance_matrix(graph)
    pairs = np.argwhere((distances >= 2) & np.isfinite(distances))
    if not len(pairs):
        raise InputError(
            f"No two nodes of {graph.name!r} are joined by a way of two steps or more; leave out ways_share."
        )
    ranks = np.argsort(np.argsort(np.array(graph.labels)))
    pairs = pairs[np.lexsort(ranks[pairs[:, ::-1]].T)]
    drawn = pairs[np.random.default_rng([seed, WAY_STREAM]).permutation(len(pairs))]
    count = max(1, round(share * len(drawn)))
    _check_size(graph, count)
    return Ways(distances, drawn[:count], drawn[count:])


def next_nodes(
    distances: Float[np.ndarray, "node node"], pairs: Int[np.ndarray, "pair 2"]
) -> Bool[np.ndarray, "pair node"]:
    """Which nodes are right after the subject on the way to the object: neighbours nearer to it by one.

    >>> from geomem.worlds.graphs.families import cycle
    >>> next_nodes(distance_matrix(cycle(4)), np.array([[0, 2]])).tolist()
    [[False, True, False, True]]
    """
    subjects, objects = pairs.T
    return (distances[subjects] == 1) & (distances[objects] == distances[subjects, objects][:, None] - 1)


def every_next(distances: Float[np.ndarray, "node node"]) -> Bool[np.ndarray, "node node node"]:
    """Whether [u, v, w] w is right after u on the way to v.

    >>> from geomem.worlds.graphs.families import path
    >>> every_next(distance_matrix(path(3)))[0, 2].tolist()
    [False, True, False]
    """
    nodes = len(distances)
    return next_nodes(distances, np.indices((nodes, nodes)).reshape(2, -1).T).reshape(nodes, nodes, nodes)


def _check_size(graph: Graph, count: int) -> None:
    if graph.node_count * count > MOST_NUMBERS:
        raise InputError(
            f"{graph.name!r} has {graph.node_count:,} nodes, too many for its ways; give a smaller graph "
            "or a smaller ways_share."
        )
