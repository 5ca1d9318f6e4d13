"""Path finding in context: every prompt shows a fresh small path-star and asks for one path of it."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Int

from geomem.errors import InputError
from geomem.fields import Count, check_fields
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.path_finding import PathRows, Target, answer_rows
from geomem.worlds.vocabulary import Vocabulary

NAME_STREAM, ORDER_STREAM = 2, 3
"""Second number of the seeds that draw the names of nodes and the order of edges."""
TEST_PROMPTS = 1000
"""Fresh prompts that a fleet is tested with: the deviation of a share is at most 0.016."""


@dataclass(frozen=True)
class InContextPathFinding:
    """Name the path to a leaf of a path-star that the prompt lists by edges (arXiv 2510.26745, notes B.2)."""

    arms: Annotated[Count, Le(1_000_000)] = 2
    length: Annotated[int, Ge(2)] = 5
    """Nodes of an arm, the root included."""
    node_tokens: Annotated[Count, Le(1_000_000)] = 50
    """Tokens that the nodes of a prompt are drawn from, without repetition."""
    target: Target = "path"
    """What is asked for: the path from the root, the node after the root alone, the path from the leaf, or
    the path with every token of it hidden from the input."""


def check_in_context(task: InContextPathFinding) -> None:
    """Raise `InputError` if a field is out of its bounds, or there are fewer tokens than nodes.

    >>> check_in_context(InContextPathFinding(arms=20, length=5, node_tokens=50))
    Traceback (most recent call last):
    geomem.errors.InputError: A path-star of 20 arms and length 5 has 81 nodes but node_tokens is 50; give \
node_tokens of at least 81.
    """
    check_fields(task)
    nodes = node_count(task)
    if task.node_tokens < nodes:
        raise InputError(
            f"A path-star of {task.arms} arms and length {task.length} has {nodes} nodes but node_tokens is "
            f"{task.node_tokens}; give node_tokens of at least {nodes}."
        )


def node_count(task: InContextPathFinding) -> int:
    """Nodes of the path-star in every prompt: d (l - 1) + 1 for d arms of length l.

    >>> node_count(InContextPathFinding(arms=2, length=5))
    9
    """
    return task.arms * (task.length - 1) + 1


def in_context_vocabulary(task: InContextPathFinding) -> Vocabulary:
    """The vocabulary of all prompts: `node_tokens` nodes named by their number, then the special tokens.

    >>> in_context_vocabulary(InContextPathFinding()).size
    59
    """
    return Vocabulary(tuple(str(node) for node in range(task.node_tokens)))


def in_context_rows(task: InContextPathFinding, count: int, *, seed: int, step: int) -> PathRows:
    """Fresh prompts `u v | u v | ... u v / root leaf [PAUSE]` with their answers.

    Edges are in random order, each directed away from the root, as in the data of Bachmann and Nagarajan
    (2024, repository Next-Token-Failures); the release gives its "=" the id of `[PAUSE]`. A larger count
    continues the same prompts. Training takes the steps from 1 on: step 0 is left for prompts to test with.

    Raises `InputError` as `check_in_context` does.

    >>> task = InContextPathFinding(arms=2, length=3, node_tokens=5)
    >>> rows = in_context_rows(task, 1, seed=0, step=0)
    >>> " ".join(in_context_vocabulary(task).text(token) for token in rows.inputs[0].tolist())
    '4 0 | 2 1 | 4 2 | 0 3 / 4 1 [PAUSE] 4 2'
    >>> rows.targets.tolist(), rows.first_read
    ([[4, 2, 1]], 14)
    """
    check_in_context(task)
    vocabulary = in_context_vocabulary(task)
    nodes = node_count(task)
    # Node 0 is the root and nodes 1 + a (l - 1) ... are those of arm a; every prompt names them anew.
    names = _permutations(task.node_tokens, count, [seed, NAME_STREAM, step])[:, :nodes]
    arms = 1 + np.arange(nodes - 1).reshape(task.arms, task.length - 1)
    tails = np.concatenate([np.zeros((task.arms, 1), dtype=np.int64), arms[:, :-1]], axis=1).ravel()
    edges = _permutations(nodes - 1, count, [seed, ORDER_STREAM, step])
    prefixes = np.full((count, 3 * (nodes - 1) + 3), vocabulary.token("|"), dtype=np.int64)
    listed = prefixes[:, : 3 * (nodes - 1)]
    listed[:, 0::3] = np.take_along_axis(names, tails[edges], axis=1)
    listed[:, 1::3] = np.take_along_axis(names, 1 + edges, axis=1)
    listed[:, -1] = vocabulary.token("/")
    # Names and order are random: the first arm is as good a goal as one drawn.
    paths = names[:, : task.length]
    prefixes[:, -3], prefixes[:, -2] = paths[:, 0], paths[:, -1]
    prefixes[:, -1] = vocabulary.token("[PAUSE]")
    return answer_rows(prefixes, paths, task.target, hidden=vocabulary.token("$"))


def in_context_graph(task: InContextPathFinding, *, seed: int = 0) -> Graph:
    """The path-star of the first test prompt, among all node tokens: the world of a run directory.

    Raises `InputError` as `check_in_context` does.

    >>> graph = in_context_graph(InContextPathFinding(arms=2, length=3, node_tokens=5))
    >>> graph.name, graph.root, graph.edges.tolist()
    ('in-context-2-3', 4, [[4, 0], [2, 1], [4, 2], [0, 3]])
    """
    rows = in_context_rows(task, 1, seed=seed, step=0)
    edges = rows.prefixes[0, :-3].reshape(-1, 3)[:, :2]
    name = f"in-context-{task.arms}-{task.length}"
    return Graph(name, in_context_vocabulary(task).labels, edges, root=int(rows.prefixes[0, -3]))


def _permutations(size: int, count: int, seed: list[int]) -> Int[np.ndarray, "prompt size"]:
    """Rows 0 to size - 1, each in an order of its own."""
    return np.random.default_rng(seed).permuted(np.tile(np.arange(size), (count, 1)), axis=1)
