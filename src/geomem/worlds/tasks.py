"""How a world is asked: tasks turn a graph into `Examples`, unique prefixes with exact targets."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Predicate, doc
from jaxtyping import Float, Int

from geomem.fields import LATER, NonNegative, Share, WholeNumber, check_fields
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
    reverse_share: Share = field(default=1.0, metadata=LATER)
    """Share of the edges whose reverse is a fact too, if both directions are asked for."""
    zipf_exponent: NonNegative = field(default=0.0, metadata=LATER)
    """The edge of rank k weighs k to minus this in the loss; 0: all weigh the same."""
    noise_share: Share = field(default=0.0, metadata=LATER)
    """Share of the facts that name a wrong node, which is neither the node itself nor asked for otherwise."""
    task_seed: WholeNumber = field(default=0, metadata=LATER)
    """What reverses, ranks and wrong nodes are drawn from."""


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
    """Every true (source, target) pair of the task, sorted: edges in the asked directions, self-edges once.

    An edge that was given in both directions is a fact in both, whichever is asked for. A larger share of
    reverses has those of a smaller one.

    Raises `InputError` if a field of the task is out of its bounds.

    >>> from geomem.worlds.graphs.families import path
    >>> directed_facts(path(2), EdgeMemorization(self_edges=True)).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    check_fields(task)
    parts = [graph.edges[:, ::-1] if task.directions == "reverse" else graph.edges]
    if task.directions == "both":
        reverses = graph.edges[:, ::-1]
        if task.reverse_share < 1:
            told = _draws(task, 0).permutation(graph.edge_count) < task.reverse_share * graph.edge_count
            told[graph.mutual] = True
            reverses = reverses[told]
        parts.append(reverses)
    else:
        # Given in both directions: each is forward for one line of the file, and the reverse of the other's.
        mutual = graph.edges[graph.mutual]
        parts.append(mutual if task.directions == "reverse" else mutual[:, ::-1])
    if task.self_edges:
        parts.append(np.repeat(np.arange(graph.node_count)[:, None], 2, axis=1))
    # No pair is listed twice, so one sort of source-major keys is all that is needed.
    keys = np.sort(_keys(np.concatenate(parts), graph))
    return np.stack(np.divmod(keys, graph.node_count), axis=1)


def told_facts(graph: Graph, task: EdgeMemorization) -> Int[np.ndarray, "fact 2"]:
    """The pairs that a model is trained on, sorted: those of `directed_facts`, some with a wrong target.

    A larger share of noise has the wrong facts of a smaller one. A fact whose source has no wrong node left
    stays true. Raises `InputError` as `directed_facts`.

    >>> from geomem.worlds.graphs.families import path
    >>> told_facts(path(3), EdgeMemorization(noise_share=0.25, task_seed=1)).tolist()
    [[0, 1], [1, 0], [1, 2], [2, 0]]
    """
    return _tell(graph, task)[0]


def _tell(
    graph: Graph, task: EdgeMemorization
) -> tuple[Int[np.ndarray, "fact 2"], Float[np.ndarray, " fact"]]:
    """The pairs that are told, and what each weighs."""
    facts = directed_facts(graph, task)
    own = facts[:, 0] == facts[:, 1]
    weights = np.ones(len(facts))
    if task.zipf_exponent:
        ordered = np.sort(_keys(np.sort(graph.edges, axis=1), graph))
        ranks = 1 + _draws(task, 1).permutation(graph.edge_count)
        edges = np.searchsorted(ordered, _keys(np.sort(facts[~own], axis=1), graph))
        weights[~own] = ranks[edges] ** -task.zipf_exponent
    weights[own] = task.self_edge_weight
    if not task.noise_share:
        return facts, weights
    told = facts.copy()
    _mistake(told, np.flatnonzero(~own), graph.node_count, task)
    order = np.argsort(_keys(told, graph))
    return told[order], weights[order]


def _mistake(
    facts: Int[np.ndarray, "fact 2"], edges: Int[np.ndarray, " edge"], node_count: int, task: EdgeMemorization
) -> None:
    """Exchange the targets of some facts, in place."""
    generator = _draws(task, 2)
    taken: dict[int, set[int]] = {}
    for source, target in facts.tolist():
        taken.setdefault(source, {source}).add(target)
    for fact in generator.permutation(edges)[: round(task.noise_share * len(edges))].tolist():
        others = taken[int(facts[fact, 0])]
        while len(others) < node_count:
            target = int(generator.integers(node_count))
            if target not in others:
                others.add(target)
                facts[fact, 1] = target
                break


def _draws(task: EdgeMemorization, of: int) -> np.random.Generator:
    return np.random.default_rng((task.task_seed, of))


def _keys(pairs: Int[np.ndarray, "pair 2"], graph: Graph) -> Int[np.ndarray, " pair"]:
    return pairs @ np.array([graph.node_count, 1])


def edge_examples(graph: Graph, task: EdgeMemorization) -> Examples:
    """Examples of edge memorisation: one prefix per source node and the targets it is told, weighted by fact.

    A self-edge weighs `self_edge_weight` times as much as an edge of weight 1. Raises `InputError` as
    `directed_facts`.

    >>> from geomem.worlds.graphs.families import path
    >>> examples = edge_examples(path(3), EdgeMemorization())
    >>> examples.prefixes.tolist(), examples.fact_targets.tolist()
    ([[10, 0], [10, 1], [10, 2]], [1, 0, 2, 1])
    """
    facts, weights = _tell(graph, task)
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
