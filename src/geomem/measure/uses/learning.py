"""Uses that learn a further task from some nodes or pairs, and are asked about the others.

Axis names: `run`, `node`, `pair` (of nodes).
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from geomem.measure.uses.held import Held, ask, fact_examples, join_examples, make_examples, recalled, train
from geomem.training.configuration import Training
from geomem.worlds.graphs.graph import distance_matrix
from geomem.worlds.language.ways import every_next

LEARNING = Training(steps=400, learning_rate=3e-3, metric_every=400, snapshots=2)
"""How a further task is learned."""
ASKED = 0.4
"""Share of the pairs of nodes whose paths are trained."""


def measure_two_hops(held: Held) -> Float[np.ndarray, " run"]:
    """Share of the nodes two steps away that are answered, for the half of the nodes never asked before."""
    graph = held.graph
    order = np.random.default_rng([0, 4]).permutation(graph.node_count)
    asked, held_out = np.split(order, [graph.node_count // 2])
    answers = distance_matrix(graph) == 2
    further = make_examples(ask(graph, "[PATH]", asked), answers[asked], held.vocabulary_size)
    learned = train(held, join_examples(fact_examples(graph, held.vocabulary_size), further), LEARNING)
    logits = learned.answers(ask(graph, "[PATH]", held_out))[..., : graph.node_count]
    return recalled(logits, answers[held_out]).mean(axis=1)


def measure_paths(held: Held) -> Float[np.ndarray, " run"]:
    """Share of the pairs never asked for whose path, one answer after the other, is a shortest one."""
    graph, distances = held.graph, distance_matrix(held.graph)
    right, pairs = every_next(distances), np.argwhere(distances >= 2)
    pairs = pairs[np.random.default_rng([0, 5]).permutation(len(pairs))]
    asked, held_out = np.split(pairs, [round(ASKED * len(pairs))])
    prompts = ask(graph, "[PATH]", asked[:, 0], asked[:, 1])
    further = make_examples(prompts, right[asked[:, 0], asked[:, 1]], held.vocabulary_size)
    learned = train(held, join_examples(fact_examples(graph, held.vocabulary_size), further), LEARNING)
    given = learned.answers(ask(graph, "[PATH]", pairs[:, 0], pairs[:, 1]))[..., : graph.node_count]
    steps = np.zeros((len(held.seeds), graph.node_count, graph.node_count), dtype=np.int64)
    steps[:, pairs[:, 0], pairs[:, 1]] = given.argmax(axis=-1)
    return np.array([follow(own, right, held_out).mean() for own in steps])


def follow(
    steps: Int[np.ndarray, "node node"],
    right: Bool[np.ndarray, "node node node"],
    pairs: Int[np.ndarray, "pair 2"],
) -> Bool[np.ndarray, " pair"]:
    """Whether steps[u, v], taken again and again from u, lead to v along a shortest path.

    The last step, along an edge, is a fact and is not asked for.
    """
    at, goal = pairs.T
    well = np.ones(len(pairs), dtype=bool)
    while (far := well & ~right[at, goal, goal]).any():
        step = steps[at, goal]
        well &= ~far | right[at, goal, step]
        at = np.where(far & well, step, at)
    return well
