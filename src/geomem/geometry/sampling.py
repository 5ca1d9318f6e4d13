"""Node pairs sampled by graph distance, for graphs whose pairs are too many to be taken one and all.

Axis names: `source` (a node whose distances to all others are known), `column` (a node that takes part),
`shell` (one graph distance), `pair`, `draw` (one of a null).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.similarity import Shells, graph_shells, shell_means, unit_rows
from geomem.worlds.graphs.graph import Graph, adjacency_matrix, distance_matrix, node_degrees

SOURCES = 256
"""Nodes from which distances are searched."""

HUBS = 16
"""So many sources are the nodes of highest degree: a hub holds a large part of the pairs at distance 1."""

TABLE_NUMBERS = 2**24
"""Most entries of the table of distances, 128 MB; beyond 65,000 nodes there are fewer sources."""

NEAR_PAIRS = 8192
"""Most pairs at each of the distances 1 and 2, which decide for the reading."""

FAR_PAIRS = 49_152
"""Pairs at all other distances together, the same number at each, and at most half of `NEAR_PAIRS`."""


@dataclass(frozen=True, eq=False)
class PairSample:
    """Pairs of a source and another node, stratified by graph distance."""

    shells: Shells
    """The sampled pairs; `first` counts along `source`, `second` along `column`."""
    pair_counts: Float[np.ndarray, " shell"]
    """Number of pairs at each distance in the whole graph, as the sample estimates it."""
    nodes: Int[np.ndarray, " column"]
    """The nodes that take part, the sources first."""
    distances: Float[np.ndarray, "source column"]


def sample_pairs(graph: Graph, *, sources: int = SOURCES, seed: int = 0) -> PairSample:
    """Draw pairs of nodes at every graph distance, each pair of one distance with the same chance.

    Distances are searched from the `HUBS` nodes of highest degree and from random others. An unordered pair
    {u, v} counts as often as it is expected to be met in all: w = 1 where a hub meets another node, 1/2 from
    either side of two hubs, and 1 / 2q from either side of two others, where q is the share of the others
    that are sources; a random source does not count the hubs, which count it. So the sums of w estimate the
    number of pairs at each distance without bias, and pairs are drawn in proportion to w. With all nodes as
    sources the counts are exact.

    Takes O(sources * edges) time and at most about three times `TABLE_NUMBERS` floats of memory.

    >>> from geomem.worlds.graphs.families import path
    >>> sample = sample_pairs(path(4))
    >>> sample.shells.distances.tolist(), sample.pair_counts.tolist()
    ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    """
    from scipy.sparse import csgraph

    generator = np.random.default_rng(seed)
    nodes = graph.node_count
    count = min(sources, max(HUBS, TABLE_NUMBERS // nodes), nodes)
    order = np.argsort(-node_degrees(graph), kind="stable")
    hubs = min(HUBS, count // 2)
    random = np.sort(generator.choice(order[hubs:], count - hubs, replace=False))
    chosen = np.concatenate([order[:hubs], random])
    distances = csgraph.dijkstra(adjacency_matrix(graph), directed=False, indices=chosen, unweighted=True)

    is_hub = np.zeros(nodes, dtype=np.int64)
    is_hub[order[:hubs]] = 1
    # [source is hub, other node is hub]
    weights = np.array([[(nodes - hubs) / (2 * (count - hubs)), 0.0], [1.0, 0.5]])
    reached = np.isfinite(distances)
    apart = int(distances[reached].max()) + 1
    # Small whole numbers sort by counting, in linear time; pairs of two components come last.
    codes = np.where(reached, distances, apart).astype(np.min_scalar_type(apart)).ravel()
    ranked = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=apart + 1))
    shares = np.full(apart + 1, min(NEAR_PAIRS // 2, max(1, FAR_PAIRS // apart)))
    shares[1:3] = NEAR_PAIRS
    picked, counts, met = [], [], []
    for distance in range(1, apart + 1):  # distance 0 is every source with itself
        entries = ranked[ends[distance - 1] : ends[distance]]
        weight = weights[is_hub[chosen[entries // nodes]], is_hub[entries % nodes]]
        entries, weight = entries[weight > 0], weight[weight > 0]
        if len(entries) == 0:
            continue
        # One draw in each of equal stretches of the cumulated weight: spread over all sources, in no step
        # with the order of the nodes.
        cumulated = np.cumsum(weight)
        draws = min(len(entries), int(shares[distance]))
        places = (np.arange(draws) + generator.random(draws)) / draws * cumulated[-1]
        picked.append(entries[np.minimum(np.searchsorted(cumulated, places, side="right"), len(entries) - 1)])
        counts.append(cumulated[-1])
        met.append(float(distance) if distance < apart else np.inf)
    pairs, sizes = np.concatenate(picked), np.array([len(part) for part in picked])
    others = np.setdiff1d(pairs % nodes, chosen)
    columns = np.concatenate([chosen, others])
    place = np.zeros(nodes, dtype=np.int64)
    place[columns] = np.arange(len(columns))
    shells = Shells(
        pairs // nodes, place[pairs % nodes], np.array(met), np.cumsum(sizes) - sizes, sizes.astype(np.int64)
    )
    return PairSample(shells, np.array(counts), columns, distances[:, columns])


def whole_sample(graph: Graph) -> PairSample:
    """All pairs of all nodes, in the form of a sample.

    >>> from geomem.worlds.graphs.families import path
    >>> whole_sample(path(4)).pair_counts.tolist()
    [3.0, 2.0, 1.0]
    """
    distances = distance_matrix(graph)
    shells = graph_shells(distances)
    return PairSample(shells, shells.sizes.astype(np.float64), np.arange(graph.node_count), distances)


def deal_columns(sample: PairSample, count: int, *, seed: int = 0) -> Iterator[Int[np.ndarray, " column"]]:
    """Permutations of a sample's columns: sources among themselves, and all others among themselves.

    >>> from geomem.worlds.graphs.families import path
    >>> [sorted(dealt.tolist()) for dealt in deal_columns(sample_pairs(path(3)), 1)]
    [[0, 1, 2]]
    """
    generator = np.random.default_rng(seed)
    sources, columns = sample.distances.shape
    for _ in range(count):
        yield np.concatenate(
            [generator.permutation(sources), sources + generator.permutation(columns - sources)]
        )


def sampled_cosines(
    embedding: Float[np.ndarray, "node width"], sample: PairSample
) -> Float[np.ndarray, "source column"]:
    """Cosine of every source with every node that takes part.

    >>> from geomem.worlds.graphs.families import path
    >>> sampled_cosines(np.ones((4, 2)), sample_pairs(path(4))).round(6).min()
    np.float64(1.0)
    """
    rows = unit_rows(embedding[sample.nodes])
    return np.clip(rows[: len(sample.distances)] @ rows.T, -1.0, 1.0)


def sampled_shell_means(
    table: Float[np.ndarray, "source column"], sample: PairSample
) -> tuple[Float[np.ndarray, " shell"], Float[np.ndarray, " shell"]]:
    """Mean over the pairs of each shell of a table's entries, and of their squares."""
    pairs = table[sample.shells.first, sample.shells.second]
    return shell_means(pairs, sample.shells), shell_means(pairs**2, sample.shells)


def permuted_sample_means(
    table: Float[np.ndarray, "source column"], sample: PairSample, count: int, *, seed: int = 0
) -> tuple[Float[np.ndarray, "draw shell"], Float[np.ndarray, "draw shell"]]:
    """`sampled_shell_means` under permutations of the nodes: `count` draws of means and of mean squares.

    The sources change places among themselves and so do the other nodes of the sample. Both keep every cosine
    needed in the one table, and the permutations that do so form a group, so a test with them is exact: if
    embeddings have nothing to do with the graph, the observed order is as likely as any other of the group.
    The same seed gives the same permutations for every table.

    >>> from geomem.worlds.graphs.families import path
    >>> sample = sample_pairs(path(6))
    >>> permuted_sample_means(np.ones((6, 6)), sample, 2)[0].tolist()
    [[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]]
    """
    columns = table.shape[1]
    flat = table.ravel()
    means, squares = np.empty((2, count, len(sample.shells.sizes)))
    for draw, dealt in enumerate(deal_columns(sample, count, seed=seed)):
        pairs = flat[dealt[sample.shells.first] * columns + dealt[sample.shells.second]]
        means[draw], squares[draw] = shell_means(pairs, sample.shells), shell_means(pairs**2, sample.shells)
    return means, squares


def edge_cosines_mean(embedding: Float[np.ndarray, "node width"], edges: Int[np.ndarray, "edge 2"]) -> float:
    """`geometric_level` of all edges, in chunks of edges.

    >>> edge_cosines_mean(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), np.array([[0, 1], [1, 2]]))
    0.5
    """
    rows = unit_rows(embedding)
    chunk = max(1, 2_000_000 // rows.shape[1])
    total = 0.0
    for at in range(0, len(edges), chunk):
        tails, heads = edges[at : at + chunk].T
        total += float(np.einsum("ew,ew->", rows[tails], rows[heads]))
    return total / len(edges)
