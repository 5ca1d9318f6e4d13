"""How a world is asked: tasks turn a graph into `Examples`, unique prefixes with exact targets."""

from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Predicate, doc
from jaxtyping import Float, Int

from geomem.fields import check_fields
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.vocabulary import Vocabulary

_WEIGHT = "a positive number, or leave out self-edges"


@dataclass(frozen=True)
class EdgeMemorization:
    """Memorise the edges of a graph: prefix `[EDGE] u`, target `v` (arXiv 2510.26745, notes B.1)."""

    directions: Literal["both", "forward", "reverse"] = "both"
    """Which directions of every edge are facts."""
    self_edges: bool = False
    """Also ask every node for itself, exactly once."""
    self_edge_weight: Annotated[float, Gt(0), Predicate(isfinite), doc(_WEIGHT)] = 1.0
    """Weight of each self-edge in the loss, where an edge has weight 1."""
    task_token: bool = True
    """Start the prefix with `[EDGE]`; without it the prefix is the node alone."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Unique prefixes and, for each, the exact distribution of its targets.

    With facts f = (prefix e_f, target t_f) of weight w_f, sum_f w_f = 1, the cross-entropy of one row per
    fact is sum_f w_f (logsumexp(logits[e_f]) - logits[e_f, t_f]): every prefix is computed once.
    Facts are sorted by example, then by target.
    """

    prefixes: Int[np.ndarray, "example seq"]
    fact_examples: Int[np.ndarray, " fact"]
    """Row of `prefixes` that each fact belongs to."""
    fact_targets: Int[np.ndarray, " fact"]
    """Token that each fact asks for."""
    fact_weights: Float[np.ndarray, " fact"]
    """Share of each fact in the loss; they sum to one."""
    vocabulary_size: int

    @property
    def example_count(self) -> int:
        """Number of unique prefixes."""
        return len(self.prefixes)

    @property
    def fact_count(self) -> int:
        """Number of facts."""
        return len(self.fact_targets)


def directed_facts(graph: Graph, task: EdgeMemorization) -> Int[np.ndarray, "fact 2"]:
    """Every (source, target) pair of the task, sorted: edges in the asked directions, self-edges once each.

    An edge that was given in both directions is a fact in both, whichever is asked for.

    Raises `InputError` if a field of the task is out of its bounds.

    >>> from geomem.worlds.graphs.families import path
    >>> directed_facts(path(2), EdgeMemorization(self_edges=True)).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    check_fields(task)
    parts = []
    if task.directions != "reverse":
        parts.append(graph.edges)
    if task.directions != "forward":
        parts.append(graph.edges[:, ::-1])
    if task.directions != "both":
        # Given in both directions: each is forward for one line of the file, and the reverse of the other's.
        mutual = graph.edges[graph.mutual]
        parts.append(mutual if task.directions == "reverse" else mutual[:, ::-1])
    if task.self_edges:
        parts.append(np.repeat(np.arange(graph.node_count)[:, None], 2, axis=1))
    sources, targets = np.concatenate(parts).T
    # No pair is listed twice, so one sort of source-major keys is all that is needed.
    return np.stack(np.divmod(np.sort(sources * graph.node_count + targets), graph.node_count), axis=1)


def edge_examples(graph: Graph, task: EdgeMemorization) -> Examples:
    """Examples of edge memorisation: one prefix per source node, its targets with equal weight per fact.

    A self-edge weighs `self_edge_weight` times as much as an edge. Raises `InputError` as `directed_facts`.

    >>> from geomem.worlds.graphs.families import path
    >>> examples = edge_examples(path(3), EdgeMemorization())
    >>> examples.prefixes.tolist(), examples.fact_targets.tolist()
    ([[10, 0], [10, 1], [10, 2]], [1, 0, 2, 1])
    """
    facts = directed_facts(graph, task)
    weights = np.where(facts[:, 0] == facts[:, 1], task.self_edge_weight, 1.0)
    vocabulary = Vocabulary(graph.labels)
    sources, fact_examples = np.unique(facts[:, 0], return_inverse=True)
    prefixes = sources[:, None]
    if task.task_token:
        prefixes = np.concatenate([np.full_like(prefixes, vocabulary.token("[EDGE]")), prefixes], axis=1)
    return Examples(
        prefixes=prefixes,
        fact_examples=fact_examples,
        fact_targets=facts[:, 1],
        fact_weights=weights / weights.sum(),
        vocabulary_size=vocabulary.size,
    )
