"""Families of graphs: those of arXiv 2510.26745 in their exact sizes (notes B.1, release), and random ones.

Star graphs permute their node ids by `world_seed`, as the release does, so that ids do not give the structure
away; `None` keeps the natural ids, and labels travel with their node. Random graphs are drawn from it.
The same seed gives the same world on every machine.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval, doc
from jaxtyping import Int

from geomem.errors import InputError
from geomem.fields import Count, WholeNumber
from geomem.worlds.graphs.graph import Graph, check_size, simple_graph
from geomem.worlds.registry import Probability, world

_Two = Annotated[int, Ge(2)]
_Three = Annotated[int, Ge(3)]
_AtMostHalf = Annotated[float, Interval(ge=0, le=0.5), doc("a share from 0 to 0.5")]


@world
def path_star(arms: Count = 4, length: _Two = 5, *, world_seed: WholeNumber | None = 0) -> Graph:
    """Path-star: a root with disjoint arms; `length` counts the nodes of an arm, the root included.

    n = d (l - 1) + 1 nodes for d arms of length l (arXiv 2510.26745, notes B.1). Label "2.1" is arm 2,
    position 1, the first hop; position l - 1 is the leaf. Forward is away from the root.

    Raises `InputError` for no arm, a length below 2, a negative seed, or too many nodes.

    >>> graph = path_star(arms=2, length=3, world_seed=None)
    >>> graph.labels
    ('root', '1.1', '1.2', '2.1', '2.2')
    >>> graph.edges.tolist()
    [[0, 1], [1, 2], [0, 3], [3, 4]]
    """
    name = f"path-star-{arms}-{length}"
    check_size(name, arms * (length - 1) + 1, arms * (length - 1))
    ids = 1 + np.arange(arms * (length - 1)).reshape(arms, length - 1)
    before = np.concatenate([np.zeros((arms, 1), dtype=np.int64), ids[:, :-1]], axis=1)
    labels = ["root", *(f"{arm}.{position}" for arm in range(1, arms + 1) for position in range(1, length))]
    return _permuted(name, labels, np.stack([before.ravel(), ids.ravel()], axis=1), world_seed)


@world
def tree_star(arms: Count = 3, length: _Two = 4, *, world_seed: WholeNumber | None = 0) -> Graph:
    """Tree-star: a root with binary trees as arms; `length` counts the nodes from root to leaf.

    n = 1 + d (2^(l - 1) - 1) nodes, d 2^(l - 2) of them leaves, for d arms of length l (notes B.0.1).
    Label "2" is the first hop of arm 2, and every further ".0" or ".1" goes to its first or second child.
    Forward is away from the root.

    Raises `InputError` for no arm, a length below 2, a negative seed, or too many nodes.

    >>> graph = tree_star(arms=1, length=3, world_seed=None)
    >>> graph.labels
    ('root', '1', '1.0', '1.1')
    >>> graph.edges.tolist()
    [[0, 1], [1, 2], [1, 3]]
    """
    name = f"tree-star-{arms}-{length}"
    edge_count = arms * (2 ** min(length - 1, 64) - 1)
    check_size(name, edge_count + 1, edge_count)
    labels = ["root"]
    tails = []
    for arm in range(1, arms + 1):
        first = len(labels)
        labels.append(str(arm))
        tails.append(0)
        # Below the first hop each arm is a binary heap: node h of it has the children 2h + 1 and 2h + 2.
        for below in range(1, 2 ** (length - 1) - 1):
            parent = first + (below - 1) // 2
            labels.append(f"{labels[parent]}.{(below - 1) % 2}")
            tails.append(parent)
    edges = np.stack([np.array(tails, dtype=np.int64), np.arange(1, len(labels))], axis=1)
    return _permuted(name, labels, edges, world_seed)


@world
def grid(rows: Count = 4, columns: Count = 4) -> Graph:
    """Grid: rows times columns nodes, row by row, each joined to the next in its row and in its column.

    2 rc - r - c edges; forward is right or down. Label "2.3" is row 2, column 3.

    Raises `InputError` for a side below 1, a grid of one node, or too many nodes.

    >>> grid(2, 2).edges.tolist()
    [[0, 1], [0, 2], [1, 3], [2, 3]]
    """
    name = f"grid-{rows}-{columns}"
    if rows * columns < 2:
        raise InputError("A grid of 1 row and 1 column has no edge; give at least two rows or two columns.")
    check_size(name, rows * columns, 2 * rows * columns - rows - columns)
    ids = np.arange(rows * columns).reshape(rows, columns)
    right = np.stack([ids[:, :-1].ravel(), ids[:, 1:].ravel()], axis=1)
    down = np.stack([ids[:-1].ravel(), ids[1:].ravel()], axis=1)
    edges = np.concatenate([right, down])
    labels = tuple(f"{row}.{column}" for row in range(1, rows + 1) for column in range(1, columns + 1))
    return Graph(name, labels, edges[np.lexsort((edges[:, 1], edges[:, 0]))])


@world
def cycle(nodes: _Three = 15) -> Graph:
    """Cycle: every node is joined to the next and the last to the first, which is the forward direction.

    Raises `InputError` for fewer than 3 nodes or too many.

    >>> cycle(3).edges.tolist()
    [[0, 1], [1, 2], [2, 0]]
    """
    check_size(f"cycle-{nodes}", nodes, nodes)
    ids = np.arange(nodes)
    return Graph(f"cycle-{nodes}", _numbers(nodes), np.stack([ids, (ids + 1) % nodes], axis=1))


@world
def path(nodes: _Two = 16) -> Graph:
    """Path: every node is joined to the next, which is the forward direction.

    Raises `InputError` for fewer than 2 nodes or too many.

    >>> path(3).edges.tolist()
    [[0, 1], [1, 2]]
    """
    check_size(f"path-{nodes}", nodes, nodes - 1)
    ids = np.arange(nodes - 1)
    return Graph(f"path-{nodes}", _numbers(nodes), np.stack([ids, ids + 1], axis=1))


@world
def complete(nodes: _Two = 8) -> Graph:
    """Complete graph: every two nodes are joined; forward is from the smaller id to the larger.

    Raises `InputError` for fewer than 2 nodes or too many.

    >>> complete(3).edges.tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    check_size(f"complete-{nodes}", nodes, nodes * (nodes - 1) // 2)
    return Graph(f"complete-{nodes}", _numbers(nodes), np.stack(np.triu_indices(nodes, k=1), axis=1))


@world
def irregular() -> Graph:
    """The fixed irregular graph of the paper: a ring of 12 nodes with two chords, and a complete graph of 4.

    16 nodes and 20 edges as in the authors' release (`build_in_weights_datasets.py`). Forward is from the
    smaller id to the larger: only so do the release's forward-only numbers come out (best top-1 accuracy
    70 %, loss floor 0.4421).

    >>> irregular().edge_count
    20
    """
    edges = [(0, 1), (0, 11), (1, 2), (1, 3), (2, 3), (3, 4), (4, 5), (5, 6), (5, 8), (6, 7)]
    edges += [(7, 8), (8, 9), (9, 10), (10, 11), (12, 13), (12, 14), (12, 15), (13, 14), (13, 15), (14, 15)]
    return simple_graph("irregular", _numbers(16), np.array(edges))


@world
def erdos_renyi(nodes: _Two = 32, probability: Probability = 0.15, *, world_seed: WholeNumber = 0) -> Graph:
    """Erdős–Rényi graph: every two nodes are joined with the same probability, independently.

    Raises `InputError` for fewer than 2 nodes, a probability outside 0 to 1, no edge, or a size too large.

    >>> erdos_renyi(10, 1.0).edge_count
    45
    """
    import networkx

    name = f"erdos-renyi-{nodes}-{probability:g}-seed{world_seed}"
    # Four standard deviations above the mean: what a draw of this size has practically never more of.
    mean = probability * nodes * (nodes - 1) / 2
    check_size(name, nodes, int(mean + 4 * mean**0.5))
    # networkx divides by log(1 - p), which is 0 for the smallest numbers.
    drawn = networkx.fast_gnp_random_graph(
        nodes, probability if probability > 1e-15 else 0.0, seed=world_seed
    )
    return _from_networkx(name, drawn)


@world
def barabasi_albert(nodes: _Two = 32, attachments: Count = 2, *, world_seed: WholeNumber = 0) -> Graph:
    """Barabási–Albert graph: nodes come one by one and attach to others, preferably to those of high degree.

    m (n - m) edges for m attachments, as networkx draws it.
    Raises `InputError` for fewer than 2 nodes, attachments outside 1 to nodes - 1, or a graph too large.

    >>> barabasi_albert(10, 2).edge_count
    16
    """
    import networkx

    if attachments >= nodes:
        raise InputError(f"attachments is {attachments} for {nodes} nodes; give fewer than nodes.")
    name = f"barabasi-albert-{nodes}-{attachments}-seed{world_seed}"
    check_size(name, nodes, attachments * (nodes - attachments))
    return _from_networkx(name, networkx.barabasi_albert_graph(nodes, attachments, seed=world_seed))


@world
def watts_strogatz(
    nodes: _Three = 32, neighbours: _Two = 4, rewiring: Probability = 0.1, *, world_seed: WholeNumber = 0
) -> Graph:
    """Watts–Strogatz small world: a ring of near neighbours whose edges are rewired with a probability.

    n k / 2 edges for k neighbours. Raises `InputError` for fewer than 3 nodes, neighbours that are odd or
    outside 2 to nodes - 1, a probability outside 0 to 1, or a size too large.

    >>> watts_strogatz(10, 4, 0.0).edge_count
    20
    """
    import networkx

    if neighbours >= nodes or neighbours % 2:
        raise InputError(
            f"neighbours is {neighbours} for {nodes} nodes; "
            f"give an even number from 2 to {(nodes - 1) // 2 * 2}."
        )
    name = f"watts-strogatz-{nodes}-{neighbours}-{rewiring:g}-seed{world_seed}"
    check_size(name, nodes, nodes * neighbours // 2)
    return _from_networkx(name, networkx.watts_strogatz_graph(nodes, neighbours, rewiring, seed=world_seed))


@world
def random_regular(nodes: _Two = 32, degree: Count = 3, *, world_seed: WholeNumber = 0) -> Graph:
    """Random regular graph: every node has the same number of neighbours.

    n k / 2 edges for degree k. Raises `InputError` for a degree outside 1 to nodes - 1, an odd product of
    the two, or a size too large.

    >>> random_regular(10, 3).edge_count
    15
    """
    import networkx

    if degree >= nodes:
        raise InputError(f"degree is {degree} for {nodes} nodes; give a degree below the number of nodes.")
    if nodes * degree % 2:
        raise InputError(f"No graph has {nodes} nodes of degree {degree}; give an even one of the two.")
    name = f"random-regular-{nodes}-{degree}-seed{world_seed}"
    check_size(name, nodes, nodes * degree // 2)
    return _from_networkx(name, networkx.random_regular_graph(degree, nodes, seed=world_seed))


@world
def communities(
    nodes: _Two = 64, degree: Count = 4, across: _AtMostHalf = 0.1, *, world_seed: WholeNumber = 0
) -> Graph:
    """Two communities: random regular graphs of half the nodes each, with some edges exchanged across.

    Two edges ab and cd, one of each half, become ac and bd: every node keeps its degree, and only the gap of
    the spectrum moves. `across` is the share of edges between the halves: 0 parts them, .5 leaves none.

    Raises `InputError` as `random_regular` does for one half, or for an odd number of nodes.

    >>> communities(16, 3, 0.25).edge_count
    24
    """
    import networkx

    name = f"communities-{nodes}-{degree}-{across:g}-seed{world_seed}"
    if nodes % 2:
        raise InputError(f"nodes is {nodes}, and both communities have half of them; give an even number.")
    check_size(name, nodes, nodes * degree // 2)
    generator = np.random.default_rng(world_seed)
    halves = [random_regular(nodes // 2, degree, world_seed=2 * world_seed + half).edges for half in (0, 1)]
    drawn = networkx.Graph([*halves[0].tolist(), *(halves[1] + nodes // 2).tolist()])
    pairs = zip(generator.permutation(halves[0]), generator.permutation(halves[1]) + nodes // 2, strict=True)
    left = round(across * drawn.number_of_edges() / 2)
    for (a, b), (c, d) in pairs:
        if left and not (drawn.has_edge(a, c) or drawn.has_edge(b, d)):
            drawn.remove_edges_from([(a, b), (c, d)])
            drawn.add_edges_from([(a, c), (b, d)])
            left -= 1
    return _from_networkx(name, drawn)


def shuffled_ids(node_count: int, *, world_seed: int) -> Int[np.ndarray, " node"]:
    """The id that a star graph with this seed gives to each node of the natural order.

    >>> graph = path_star(arms=2, length=3, world_seed=0)
    >>> [graph.labels[node] for node in shuffled_ids(5, world_seed=0)]
    ['root', '1.1', '1.2', '2.1', '2.2']
    """
    return np.random.default_rng(world_seed).permutation(node_count)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _permuted(
    name: str, labels: list[str], edges: Int[np.ndarray, "edge 2"], world_seed: int | None
) -> Graph:
    """The rooted graph (root 0) with node ids permuted by the seed; edges keep their order."""
    if world_seed is None:
        return Graph(name, tuple(labels), edges, root=0)
    permutation = shuffled_ids(len(labels), world_seed=world_seed)
    moved = [""] * len(labels)
    for label, node in zip(labels, permutation.tolist(), strict=True):
        moved[node] = label
    return Graph(f"{name}-seed{world_seed}", tuple(moved), permutation[edges], root=int(permutation[0]))


def _from_networkx(name: str, graph) -> Graph:
    """The graph that networkx drew: nodes 0 to n - 1, edges sorted, forward to the larger id."""
    pairs = np.array(sorted((min(pair), max(pair)) for pair in graph.edges), dtype=np.int64).reshape(-1, 2)
    return simple_graph(name, _numbers(graph.number_of_nodes()), pairs)
