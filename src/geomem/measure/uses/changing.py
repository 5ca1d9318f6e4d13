"""Uses that change a fact: a node is added, an edge forgotten, by training on these facts alone.

Axis names: `run`, `node`, `token`.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from geomem.geometry.similarity import cosine_similarity
from geomem.measure.uses.held import Held, Weights, ask, joined, make_examples, recalled, train
from geomem.training.configuration import Training
from geomem.worlds.graphs.graph import distance_matrix
from geomem.worlds.tasks import Examples

CHANGE_STEPS = (2, 4, 8, 16, 32, 64, 128)
"""After how many steps it is looked whether a changed fact is in place."""
CHANGE = Training(learning_rate=1e-3, schedule="constant", metric_every=128, snapshots=2)
CHANGES = 3
"""Nodes that are added and edges that are forgotten, each to a fresh copy of the runs."""


def change(
    held: Held, examples: Examples, in_place: Callable[[Held], Bool[np.ndarray, " run"]]
) -> tuple[Held, Bool[np.ndarray, " run"]]:
    """Train on some facts alone until each run has them in place; the runs, and whether each has."""
    weights: dict[str, np.ndarray] = {}
    done = np.zeros(len(held.seeds), dtype=bool)
    for steps in CHANGE_STEPS:
        after = train(held, examples, replace(CHANGE, steps=steps))
        for name, array in after.weights.items():
            weights[name] = np.where(done.reshape(-1, *[1] * (array.ndim - 1)), weights.get(name, 0), array)
        done |= in_place(after)
        if done.all():
            break
    return replace(held, weights=weights), done


def measure_adding(held: Held) -> dict[str, Float[np.ndarray, " run"]]:
    """A new node with one edge: facts that are kept, and whether it lands near its neighbour.

    Landing is the rank correlation of its cosines with all other nodes but the neighbour against their
    closeness to the neighbour.
    """
    graph, n = held.graph, held.graph.node_count
    distances, edges = distance_matrix(graph), np.zeros((n, held.vocabulary_size), dtype=bool)
    edges[:, :n] = joined(graph)
    kept, landed, placed = [], [], []
    for anchor in np.random.default_rng([0, 6]).permutation(n)[:CHANGES]:
        prompts = ask(graph, "[EDGE]", np.array([held.spare, anchor]))
        wanted = np.zeros((2, held.vocabulary_size), dtype=bool)
        wanted[0, anchor] = wanted[1, held.spare] = True
        allowed = wanted | np.stack([wanted[0], edges[anchor]])

        def in_place(after: Held, prompts=prompts, wanted=wanted, allowed=allowed):
            found = recalled(after.answers(prompts), allowed)[:, wanted[allowed]]
            return np.logical_and.reduce(found, axis=1)

        begun = replace(held, weights=redraw(held))
        after, done = change(begun, make_examples(prompts, wanted, held.vocabulary_size), in_place)
        whole = edges.copy()
        whole[anchor, held.spare] = True
        still = recalled(after.answers(ask(graph, "[EDGE]", np.arange(n))), whole)
        kept.append(still[:, edges[whole]].mean(axis=1))
        others = np.delete(np.arange(n), anchor)
        table = after.weights["token_embedding"]
        centred = table - table[:, :n].mean(axis=1, keepdims=True)
        cosines = np.stack([cosine_similarity(own[[held.spare, *others]])[0, 1:] for own in centred])
        near = rankdata(-distances[anchor, others])
        landed.append([np.corrcoef(rankdata(own), near)[0, 1] for own in cosines])
        placed.append(done)
    return {
        "adding-kept": np.mean(kept, axis=0),
        "adding-lands": np.mean(landed, axis=0),
        "adding-placed": np.mean(placed, axis=0),
    }


def redraw(held: Held) -> Weights:
    """The weights with a fresh row for the new node, as large as those of the nodes."""
    table = held.weights["token_embedding"].copy()
    for run, seed in enumerate(held.seeds):
        drawn = np.random.default_rng([seed, 7]).normal(size=table.shape[2])
        table[run, held.spare] = drawn * np.sqrt(np.square(held.embeddings()[run]).mean())
    return {**held.weights, "token_embedding": table}


def measure_forgetting(held: Held) -> dict[str, Float[np.ndarray, " run"]]:
    """One edge forgotten by training on the other neighbours of its ends: facts of others that are kept."""
    graph, edges = held.graph, joined(held.graph)
    degrees = edges.sum(axis=1)
    possible = [edge for edge in graph.edges if (degrees[edge] >= 2).all()]
    kept, placed = [], []
    for number in np.random.default_rng([0, 8]).permutation(len(possible))[:CHANGES]:
        ends = possible[number]
        prompts, wanted = ask(graph, "[EDGE]", ends), edges[ends].copy()
        wanted[[0, 1], ends[::-1]] = False

        def in_place(after: Held, prompts=prompts, ends=ends):
            logits = after.answers(prompts)[..., : graph.node_count]
            shares = np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
            return np.logical_and.reduce(shares[:, [0, 1], ends[::-1]] < 1 / graph.node_count, axis=1)

        after, done = change(held, make_examples(prompts, wanted, held.vocabulary_size), in_place)
        others = np.delete(np.arange(graph.node_count), ends)
        logits = after.answers(ask(graph, "[EDGE]", others))[..., : graph.node_count]
        kept.append(recalled(logits, edges[others]).mean(axis=1))
        placed.append(done)
    return {"forgetting-kept": np.mean(kept, axis=0), "forgetting-placed": np.mean(placed, axis=0)}
