"""Rows without labels: the order in which they stand for nodes, and whether another one fits far better.

Axis names: `node`, `width`, `pair`.
"""

import re

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.sampling import sample_pairs
from geomem.geometry.similarity import centre, graph_shells, unit_rows
from geomem.worlds.graphs.families import shuffled_ids
from geomem.worlds.graphs.graph import Graph, distance_matrix

SOURCES = 64
"""Nodes from which pairs are drawn for the check."""

CHECKED_PAIRS = 20_000
"""Pairs whose similarity is looked at."""

FAR_BETTER = 2.0
"""Another order is named if it explains this many times as much of the similarity as the order used."""

RANDOM_ORDERS = 999
"""The other order must also explain more than every one of these."""


def describe_order(graph: Graph) -> str:
    """Which row is which node, with the name of that order if it has one.

    >>> from geomem.worlds.graphs.families import path_star
    >>> describe_order(path_star(arms=1, length=3, world_seed=None))
    "row 0 is 'root', row 1 is '1.1', row 2 is '1.2' (natural order)"
    """
    own = np.arange(graph.node_count)
    name = next((name for name, nodes in plausible_orders(graph).items() if np.array_equal(nodes, own)), None)
    return _shown(graph, own) + (f" ({name})" if name else "")


def plausible_orders(graph: Graph) -> dict[str, Int[np.ndarray, " node"]]:
    """Orders in which people write the rows of a graph: for each the node of row 0, 1, 2, ...

    Numeric order, which for labels like `n2`, `n10` or `1.2` is natural order (their numbers by value, a root
    first); alphabetical order; the order in which labels first appear in the list of edges; and, where
    there is a root, the shuffled ids of a built-in star with world seed 0, in which runs keep their
    embeddings.

    >>> from geomem.worlds.graphs.readers import graph_from
    >>> graph = graph_from([("n10", "n2"), ("n2", "n1")])
    >>> {name: [graph.labels[node] for node in nodes] for name, nodes in plausible_orders(graph).items()}
    {'natural order': ['n1', 'n2', 'n10'], 'alphabetical order': ['n1', 'n10', 'n2'], \
'order of first appearance in the edges': ['n10', 'n2', 'n1']}
    """
    labels, nodes = graph.labels, range(graph.node_count)
    natural = sorted(nodes, key=lambda node: (node != graph.root, _natural_key(labels[node])))
    ends, first = np.unique(graph.edges.ravel(), return_index=True)
    appearing = ends[np.argsort(first)]
    first_seen = [*appearing, *np.setdiff1d(nodes, appearing)]
    orders = {
        "numeric order" if all(map(str.isdecimal, labels)) else "natural order": natural,
        "alphabetical order": sorted(nodes, key=labels.__getitem__),
        "order of first appearance in the edges": first_seen,
    }
    if graph.root is not None:
        ids = shuffled_ids(graph.node_count, world_seed=0)
        orders["order of a built-in star with --world-seed 0"] = np.array(first_seen)[np.argsort(ids)]
    return {name: np.array(order, dtype=np.int64) for name, order in orders.items()}


def find_better_order(vectors: Float[np.ndarray, "node width"], graph: Graph, *, seed: int = 0) -> str | None:
    """A sentence that names another plausible order of the rows if it fits the graph far better, else None.

    An order is judged by how much of the similarity of nodes their graph distance explains: of the cosines
    c of centred rows over pairs, eta^2 = sum_d n_d (mean_d - mean)^2 / sum (c - mean)^2 (the correlation
    ratio, Fisher 1925), which is blind to the kind of structure. Another order is named if its eta^2 is at
    least `FAR_BETTER` times that of the order used, and above that of every one of `RANDOM_ORDERS` random
    orders. Takes at most 20,000 pairs however large the graph is.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> find_better_order(ring, cycle(15)) is None
    True
    """
    # A plain seed would deal the very ids of a built-in star first, which are one of the plausible orders.
    generator = np.random.default_rng([seed, graph.node_count])
    first, second, shells = _checked_pairs(graph, generator)
    if shells[-1] == 0:
        return None
    # As for all measurements: a power of two changes no digit and keeps squares finite.
    rows = unit_rows(centre(np.ldexp(vectors, -np.frexp(np.abs(vectors).max())[1])))

    def explained(nodes: Int[np.ndarray, " node"]) -> float:
        """eta^2 if row i were node nodes[i]."""
        row = np.empty(len(nodes), dtype=np.int64)
        row[nodes] = np.arange(len(nodes))
        return _correlation_ratio(np.einsum("pw,pw->p", rows[row[first]], rows[row[second]]), shells)

    used = explained(np.arange(graph.node_count))
    fits = {name: (explained(nodes), nodes) for name, nodes in plausible_orders(graph).items()}
    name, (best, nodes) = max(fits.items(), key=lambda fit: fit[1][0])
    if best < FAR_BETTER * used or best == 0:
        return None
    if any(explained(generator.permutation(graph.node_count)) >= best for _ in range(RANDOM_ORDERS)):
        return None
    return (
        f"Another order of the rows fits the graph far better: in {name} ({_shown(graph, nodes)}) "
        f"distance explains {best:.2f} of the similarity, in the order used {used:.2f}; "
        "name the rows with --labels FILE."
    )


def _checked_pairs(
    graph: Graph, generator: np.random.Generator
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Both nodes and the number of their distance, of all pairs or of some at each distance; sorted by it."""
    if graph.node_count * (graph.node_count - 1) <= 2 * CHECKED_PAIRS:
        every = graph_shells(distance_matrix(graph))
        return every.first, every.second, np.repeat(np.arange(len(every.sizes)), every.sizes)
    sample = sample_pairs(graph, sources=SOURCES)
    shells = np.repeat(np.arange(len(sample.shells.sizes)), sample.shells.sizes)
    chosen = np.arange(len(shells))
    if len(chosen) > CHECKED_PAIRS:
        chosen = np.sort(generator.choice(chosen, CHECKED_PAIRS, replace=False))
    first, second = sample.shells.first[chosen], sample.shells.second[chosen]
    return sample.nodes[first], sample.nodes[second], shells[chosen]


def _correlation_ratio(cosines: Float[np.ndarray, " pair"], shells: Int[np.ndarray, " pair"]) -> float:
    sizes = np.bincount(shells)
    means = np.bincount(shells, cosines) / np.maximum(sizes, 1)
    total = ((cosines - cosines.mean()) ** 2).sum()
    between = (sizes * (means - cosines.mean()) ** 2).sum()
    return float(between / total) if total > 1e-12 * len(cosines) else 0.0


def _natural_key(label: str) -> list[tuple[bool, int, str]]:
    """Numbers inside a label by their value."""
    parts = re.split(r"([0-9]{1,18})", label)
    return [(at % 2 == 0, int(part) if at % 2 else 0, part) for at, part in enumerate(parts) if part]


def _shown(graph: Graph, nodes: Int[np.ndarray, " node"]) -> str:
    places = range(len(nodes)) if len(nodes) <= 4 else (0, 1, len(nodes) - 1)
    said = [f"row {place} is {graph.labels[nodes[place]][:40]!r}" for place in places]
    return ", ".join(said if len(nodes) <= 4 else [*said[:2], "…", said[2]])
