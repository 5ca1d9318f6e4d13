"""Uses that learn nothing: distances, ancestors and unknown edges, read from what is held.

Axis names: `run`, `node`, `width`, `pair` (of nodes), `input` (of a linear reader).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from geomem.geometry.ridge import STRENGTHS, fit_ridge_path, held_out_scores
from geomem.geometry.similarity import centre, cosine_similarity
from geomem.measure.uses.held import Held, ask, joined
from geomem.worlds.graphs.graph import Graph, component_labels, distance_matrix

HIDDEN = 0.15
"""Share of the edges that the runs of link prediction never see."""


def pair_inputs(
    vectors: Float[np.ndarray, "node width"], pairs: Int[np.ndarray, "pair 2"]
) -> Float[np.ndarray, "pair input"]:
    """What a linear reader sees of two vectors: products and squared differences of their coordinates."""
    scaled = (vectors - vectors.mean(axis=0)) / np.sqrt(np.square(vectors - vectors.mean(axis=0)).mean())
    first, second = scaled[pairs[:, 0]], scaled[pairs[:, 1]]
    return np.concatenate([first * second, np.square(first - second)], axis=1)


def read_pairs(
    vectors: Float[np.ndarray, "run node width"],
    pairs: Int[np.ndarray, "pair 2"],
    values: Float[np.ndarray, " pair"],
    seeds: Sequence[int],
) -> Float[np.ndarray, " run"]:
    """R² on a quarter of the pairs of a ridge fitted on half of them, its strength chosen on the rest."""
    scores = []
    for own, seed in zip(vectors.astype(np.float64), seeds, strict=True):
        order = np.random.default_rng([seed, 2]).permutation(len(pairs))
        fitted, tuned, held_out = np.split(order, [len(order) // 2, 3 * len(order) // 4])
        inputs, targets = pair_inputs(own, pairs), values[:, None]
        path = fit_ridge_path(inputs[fitted], targets[fitted])
        tried = held_out_scores(path, inputs[tuned], targets[tuned], np.array(STRENGTHS))
        best = np.array([STRENGTHS[int(np.argmax(tried))]])
        scores.append(held_out_scores(path, inputs[held_out], targets[held_out], best)[0])
    return np.array(scores)


def far_pairs(graph: Graph) -> Int[np.ndarray, "pair 2"]:
    """Pairs of nodes two and more steps apart, each once: no fact says how far."""
    return np.argwhere(np.triu(distance_matrix(graph) >= 2))


def ancestor_depths(graph: Graph, pairs: Int[np.ndarray, "pair 2"]) -> Float[np.ndarray, " pair"]:
    """How far the nearest common ancestor of two nodes of a tree is from its root.

        (d(u, root) + d(v, root) - d(u, v)) / 2

    >>> from geomem.worlds.graphs.families import tree_star
    >>> tree = tree_star(2, 3, world_seed=None)
    >>> tree.labels, ancestor_depths(tree, np.array([[2, 3], [2, 5]])).tolist()
    (('root', '1', '1.0', '1.1', '2', '2.0', '2.1'), [1.0, 0.0])
    """
    distances = distance_matrix(graph)
    first, second = pairs.T
    return (distances[graph.root, first] + distances[graph.root, second] - distances[first, second]) / 2


def measure_reading(held: Held) -> dict[str, Float[np.ndarray, " run"]]:
    """Distances and, on a tree, nearest common ancestors, read from the vectors of two nodes."""
    graph, pairs = held.graph, far_pairs(held.graph)
    distances = distance_matrix(graph)[pairs[:, 0], pairs[:, 1]]
    states = held.states(ask(graph, "[EDGE]", np.arange(graph.node_count)))
    found = {
        "distance": read_pairs(held.embeddings(), pairs, distances, held.seeds),
        "distance-state": read_pairs(states, pairs, distances, held.seeds),
    }
    if graph.root is not None:
        found["ancestor"] = read_pairs(held.embeddings(), pairs, ancestor_depths(graph, pairs), held.seeds)
    return found


def hidden_edges(graph: Graph) -> Int[np.ndarray, " edge"]:
    """Numbers of edges without which the graph stays in one piece, drawn at random; none on a tree.

    >>> from geomem.worlds.graphs.families import cycle, path
    >>> len(hidden_edges(cycle(9))), len(hidden_edges(path(9)))
    (1, 0)
    """
    chosen: list[int] = []
    for edge in np.random.default_rng([0, 3]).permutation(graph.edge_count).tolist():
        if len(chosen) == round(HIDDEN * graph.edge_count):
            break
        if component_labels(without(graph, [*chosen, edge])).max() == 0:
            chosen.append(edge)
    return np.array(chosen, dtype=np.int64)


def without(graph: Graph, edges: Sequence[int] | np.ndarray) -> Graph:
    """A graph without some of its edges."""
    return Graph(graph.name, graph.labels, np.delete(graph.edges, edges, axis=0), root=graph.root)


def measure_links(held: Held, whole: Graph) -> Float[np.ndarray, " run"]:
    """How often an edge that was never a fact has higher answers than a pair that no edge joins (AUC).

    The answer of a pair is the sum of both directions' log-probabilities, or the cosine: the better of both.
    """
    logits = held.answers(ask(whole, "[EDGE]", np.arange(whole.node_count)))[..., : whole.node_count]
    spoken = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    apart = np.argwhere(np.triu(~joined(whole), 1))
    hidden = np.argwhere(np.triu(joined(whole) & ~joined(held.graph)))
    pairs = np.concatenate([hidden, apart])
    scores = []
    for table in (spoken + spoken.swapaxes(1, 2), cosine_similarity(centre(held.embeddings()))):
        ranks = rankdata(table[:, pairs[:, 0], pairs[:, 1]], axis=1)[:, : len(hidden)]
        scores.append((ranks.mean(axis=1) - (len(hidden) + 1) / 2) / len(apart))
    return np.maximum(*scores)
