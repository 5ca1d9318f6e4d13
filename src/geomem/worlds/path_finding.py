"""Path finding: from a leaf, name the path of the root to it, with the edges held in the weights.

Rows of tokens for arXiv 2510.26745, notes B.0.2 and B.1; no array has an axis of batches here.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Lt, doc
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.fields import NonNegative, WholeNumber, check_fields
from geomem.worlds.graphs.graph import Graph, adjacency_matrix, component_labels, node_degrees
from geomem.worlds.tasks import EdgeMemorization, directed_facts
from geomem.worlds.vocabulary import Vocabulary

SPLIT_STREAM = 1
"""Second number of the seed that draws which paths are held out."""

Target = Literal["path", "first-hop", "reverse", "teacherless"]

_SOME_PATHS = "a share above 0 and below 1, so that paths are left both to train and to test"


@dataclass(frozen=True)
class PathFinding:
    """Name the path from root to leaf, with every edge a fact as well (arXiv 2510.26745, notes B.0.2)."""

    target: Target = "path"
    """What is asked for: the path from the root, the node after the root alone, the path from the leaf, or
    the path with every token of it hidden from the input."""
    pauses: WholeNumber = 3
    """Pause tokens between the leaf and the answer."""
    held_out: Annotated[float, Gt(0), Lt(1), doc(_SOME_PATHS)] = 0.25
    """Share of the paths that are never trained; their edges are."""
    split: Literal["leaf", "first-hop"] = "leaf"
    """Hold out single leaves, or every leaf below a first hop."""
    split_seed: WholeNumber = 0
    """Which paths are held out; the same for all runs of a fleet."""
    directions: Literal["both", "forward", "reverse"] = "both"
    """Which directions of every edge are facts."""
    self_edges: bool = False
    """Also ask every node for itself, exactly once."""
    edge_weight: NonNegative = 1.0
    """Weight of one edge in the loss; 0 trains paths only."""
    path_weight: NonNegative = 1.0
    """Weight of one token of a path in the loss; 0 trains edges only."""


@dataclass(frozen=True, eq=False)
class PathRows:
    """One row per path: what is read, and what is asked for at the last positions of it."""

    prefixes: Int[np.ndarray, "path prefix"]
    """What a free-running answer starts from."""
    inputs: Int[np.ndarray, "path seq"]
    """The prefix, then the answer without its last token (or as many `$` for teacherless)."""
    targets: Int[np.ndarray, "path read"]
    """What is asked for at the positions `first_read` to the last."""
    first_read: int


@dataclass(frozen=True, eq=False)
class EdgeRows:
    """Edges by source: a prefix is computed once for all the targets of its row."""

    prefixes: Int[np.ndarray, "row 2"]
    targets: Int[np.ndarray, "row slot"]
    """Targets of the prefix's source; 0 in a slot that is not used."""
    weights: Float[np.ndarray, "row slot"]
    """1 for a fact and 0 for a slot that is not used; the task's `edge_weight` is not in it."""


def check_path_finding(task: PathFinding) -> None:
    """Raise `InputError` if a field is out of its bounds, or nothing is in the loss.

    >>> check_path_finding(PathFinding(held_out=1.0))
    Traceback (most recent call last):
    geomem.errors.InputError: held_out is 1.0; give a share above 0 and below 1, so that paths are left both \
to train and to test.
    """
    check_fields(task)
    if task.edge_weight == task.path_weight == 0:
        raise InputError("edge_weight and path_weight are both 0; give at least one of them more.")


def root_paths(graph: Graph) -> Int[np.ndarray, "path seq"]:
    """The path from the root to every leaf, [root, first hop, ..., leaf], sorted by leaf.

    Raises `InputError` where path finding is ill-posed: a cycle, no root, nodes that the root does
    not reach, or leaves at different distances from it (answers would differ in length).

    >>> from geomem.worlds.graphs.families import path_star
    >>> root_paths(path_star(arms=2, length=3, world_seed=None)).tolist()
    [[0, 1, 2], [0, 3, 4]]
    """
    components = component_labels(graph).max() + 1
    if graph.edge_count > graph.node_count - components:
        raise _ill_posed(graph, "it has a cycle, so that more than one path joins two nodes of it")
    if graph.root is None:
        advice = "name it with --root LABEL (root=... in Python), or "
        raise _ill_posed(graph, "it has no root that every path starts from", advice)
    if components > 1:
        raise _ill_posed(graph, "no path leads from the root to some of its nodes")
    from scipy.sparse import csgraph

    _, parents = csgraph.breadth_first_order(adjacency_matrix(graph), graph.root, directed=False)
    leaves = np.flatnonzero((node_degrees(graph) == 1) & (np.arange(graph.node_count) != graph.root))
    # From all leaves towards the root at once, one step per position of a path.
    nodes = [leaves]
    while (nodes[-1] != graph.root).all():
        nodes.append(parents[nodes[-1]].astype(np.int64))
    if (nodes[-1] != graph.root).any():
        why = "its leaves are at different distances from the root, so that answers differ in length"
        raise _ill_posed(graph, why)
    return np.stack(nodes[::-1], axis=1)


def _ill_posed(graph: Graph, why: str, advice: str = "") -> InputError:
    give = f"{advice}give a path-star or tree-star"
    return InputError(f"Path finding is ill-posed on {graph.name!r}: {why}; {give}.")


def split_paths(
    graph: Graph, task: PathFinding
) -> tuple[Int[np.ndarray, "train seq"], Int[np.ndarray, "test seq"]]:
    """Paths to train and paths held out, both sorted by leaf; the edges of both are facts.

    `split="first-hop"` holds out every leaf below some of the root's neighbours. The share is met to the
    nearest leaf or first hop, and at least one stays on each side.

    Raises `InputError` as `root_paths` and `check_path_finding` do, and if there is only one to split.

    >>> from geomem.worlds.graphs.families import path_star
    >>> train, held_out = split_paths(path_star(arms=100, length=4), PathFinding())
    >>> train.shape, held_out.shape
    ((75, 4), (25, 4))
    """
    check_path_finding(task)
    paths = root_paths(graph)
    groups = paths[:, -1] if task.split == "leaf" else paths[:, 1]
    kinds, group_of = np.unique(groups, return_inverse=True)
    if len(kinds) < 2:
        noun = "leaf" if task.split == "leaf" else "first hop"
        raise InputError(
            f"The graph {graph.name!r} has only one {noun}, and some have to be held out; give more arms."
        )
    count = min(max(round(task.held_out * len(kinds)), 1), len(kinds) - 1)
    drawn = np.random.default_rng([task.split_seed, SPLIT_STREAM]).permutation(len(kinds))[:count]
    held_out = np.isin(group_of, drawn)
    return paths[~held_out], paths[held_out]


def path_rows(graph: Graph, task: PathFinding, paths: Int[np.ndarray, "path seq"]) -> PathRows:
    """Rows of tokens for some root paths: `[PATH] leaf [PAUSE]...`, then what the task asks for.

    Raises `InputError` as `check_path_finding` does.

    >>> from geomem.worlds.graphs.families import path_star
    >>> world = path_star(arms=2, length=3, world_seed=None)
    >>> rows = path_rows(world, PathFinding(pauses=1), root_paths(world))
    >>> rows.inputs.tolist(), rows.targets.tolist(), rows.first_read
    ([[13, 2, 6, 0, 1], [13, 4, 6, 0, 3]], [[0, 1, 2], [0, 3, 4]], 2)
    """
    check_path_finding(task)
    vocabulary = Vocabulary(graph.labels)
    prefixes = np.full((len(paths), 2 + task.pauses), vocabulary.token("[PAUSE]"), dtype=np.int64)
    prefixes[:, 0] = vocabulary.token("[PATH]")
    prefixes[:, 1] = paths[:, -1]
    return answer_rows(prefixes, paths, task.target, hidden=vocabulary.token("$"))


def answer_rows(
    prefixes: Int[np.ndarray, "path prefix"],
    paths: Int[np.ndarray, "path seq"],
    target: Target,
    *,
    hidden: int,
) -> PathRows:
    """Rows that ask, after each prefix, for the target of each root path; `hidden` is the token `$`.

    >>> rows = answer_rows(np.array([[9, 2]]), np.array([[0, 1, 2]]), "teacherless", hidden=8)
    >>> rows.inputs.tolist(), rows.targets.tolist(), rows.first_read
    ([[9, 2, 8, 8]], [[0, 1, 2]], 1)
    """
    targets = paths
    if target == "first-hop":
        targets = paths[:, 1:2]
    elif target == "reverse":
        targets = paths[:, ::-1].copy()
    given = targets[:, :-1]
    if target == "teacherless":
        given = np.full_like(given, hidden)
    return PathRows(
        prefixes=prefixes,
        inputs=np.concatenate([prefixes, given], axis=1),
        targets=targets,
        first_read=prefixes.shape[1] - 1,
    )


def edge_rows(graph: Graph, task: PathFinding, *, slots: int = 32) -> EdgeRows:
    """Rows of tokens for all edges, `[EDGE] u` with up to `slots` targets; a larger degree takes more rows.

    Raises `InputError` as `check_path_finding` does.

    >>> from geomem.worlds.graphs.families import path_star
    >>> rows = edge_rows(path_star(arms=3, length=2, world_seed=None), PathFinding(), slots=2)
    >>> rows.prefixes[:, 1].tolist(), rows.targets.tolist()
    ([0, 0, 1, 2, 3], [[1, 2], [3, 0], [0, 0], [0, 0], [0, 0]])
    >>> rows.weights.sum()
    np.float64(6.0)
    """
    check_path_finding(task)
    facts = directed_facts(graph, EdgeMemorization(directions=task.directions, self_edges=task.self_edges))
    sources, first, counts = np.unique(facts[:, 0], return_index=True, return_counts=True)
    rows_of_source = -(-counts // slots)
    first_rows = np.cumsum(rows_of_source) - rows_of_source
    # Facts are sorted by source: the place of each among its source's own is its number less the first's.
    own = np.arange(len(facts)) - np.repeat(first, counts)
    rows, columns = np.repeat(first_rows, counts) + own // slots, own % slots
    row_sources = np.repeat(sources, rows_of_source)
    targets = np.zeros((len(row_sources), slots), dtype=np.int64)
    weights = np.zeros((len(row_sources), slots))
    targets[rows, columns] = facts[:, 1]
    weights[rows, columns] = 1.0
    prefixes = np.stack(
        [np.full_like(row_sources, Vocabulary(graph.labels).token("[EDGE]")), row_sources], axis=1
    )
    return EdgeRows(prefixes=prefixes, targets=targets, weights=weights)
