"""A graph to memorise: labelled nodes and undirected edges, each with a forward direction.

Axis names: `node`, `edge`; the second axis of `edges` is (tail, head).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.worlds.text_file import control_character, counted, show_label

if TYPE_CHECKING:  # it takes a tenth of a second to import, and the help of a command needs none of it
    import scipy.sparse

MAXIMUM_NODES = 1_000_000
"""Largest number of nodes a world may have."""
MAXIMUM_EDGES = 10_000_000
"""Largest number of undirected edges a world may have."""


@dataclass(frozen=True, eq=False)
class Graph:
    """An undirected graph whose every edge remembers which direction is forward.

    Equality of two graphs is equality of their `digest`, which covers labels, edges, root, coordinates and
    mutual edges but not the name and the notes.

    Raises `InputError` for fields that make no such graph, as self-edges, repeated edges and equal labels do,
    and for one larger than `MAXIMUM_NODES` and `MAXIMUM_EDGES`.

    >>> graph = Graph(name="triangle", labels=("a", "b", "c"), edges=np.array([[0, 1], [1, 2], [2, 0]]))
    >>> graph.node_count, graph.edge_count
    (3, 3)
    """

    name: str
    labels: tuple[str, ...]
    edges: Int[np.ndarray, "edge 2"]
    """Each undirected edge once, as (tail, head) of its forward direction; self-edges are a task's choice."""
    root: int | None = None
    """The root of a path-star or tree-star; every leaf then has a first hop."""
    coordinates: Float[np.ndarray, "node 2"] | None = None
    """True places of the nodes on a map (x to the east, y to the north), where the world has them."""
    notes: tuple[str, ...] = ()
    """What was found and accepted while the graph was built: duplicates, self-loops, components."""
    mutual: Int[np.ndarray, " mutual"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Numbers of the edges that were given in both directions, ascending: both of theirs are forward."""

    def __post_init__(self) -> None:
        edges = np.array(self.edges)
        if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
            raise InputError(
                f"The graph {self.name!r} was given edges of shape {edges.shape} and type {edges.dtype}; "
                "give whole numbers of shape [edge, 2]."
            )
        self._freeze("edges", edges.astype(np.int64))
        check_size(self.name, len(self.labels), len(edges))
        if len(edges) == 0:
            raise InputError(
                f"The graph {self.name!r} has no edge between two different nodes; give at least one."
            )
        if edges.min() < 0 or edges.max() >= len(self.labels):
            raise InputError(
                f"The graph {self.name!r} has {len(self.labels)} labels but an edge names node "
                f"{edges.max() if edges.max() >= len(self.labels) else edges.min()}; "
                f"use ids from 0 to {len(self.labels) - 1}."
            )
        if (edges[:, 0] == edges[:, 1]).any():
            raise InputError(f"The graph {self.name!r} lists a self-edge; ask the task for self-edges.")
        keys = np.sort(np.sort(edges, axis=1) @ np.array([len(self.labels), 1]))
        if (keys[1:] == keys[:-1]).any():
            raise InputError(f"The graph {self.name!r} lists an edge twice; give each undirected edge once.")
        check_labels(f"The graph {self.name!r}", "node", self.labels)
        if self.root is not None and not 0 <= self.root < len(self.labels):
            raise InputError(
                f"The graph {self.name!r} has {len(self.labels)} nodes but root {self.root}; "
                f"use an id from 0 to {len(self.labels) - 1}."
            )
        mutual = np.array(self.mutual)
        ascending = mutual.ndim == 1 and mutual.dtype.kind in "iu" and (mutual[1:] > mutual[:-1]).all()
        if not ascending or (len(mutual) and not 0 <= mutual[0] <= mutual[-1] < len(edges)):
            raise InputError(
                f"The graph {self.name!r} does not name the edges given in both directions by their numbers; "
                f"give whole numbers from 0 to {len(edges) - 1} in ascending order."
            )
        self._freeze("mutual", mutual.astype(np.int64))
        if self.coordinates is not None:
            coordinates = np.array(self.coordinates, dtype=np.float64)
            self._freeze("coordinates", coordinates)
            if coordinates.shape != (len(self.labels), 2):
                raise InputError(
                    f"The graph {self.name!r} has {len(self.labels)} nodes but coordinates of shape "
                    f"{coordinates.shape}; give one (x, y) row per node."
                )
            if not np.isfinite(coordinates).all():
                raise InputError(
                    f"The graph {self.name!r} has a coordinate that is not finite; give numbers only."
                )

    def _freeze(self, field: str, array: np.ndarray) -> None:
        array.setflags(write=False)
        object.__setattr__(self, field, array)

    @property
    def node_count(self) -> int:
        """Number of nodes."""
        return len(self.labels)

    @property
    def edge_count(self) -> int:
        """Number of undirected edges."""
        return len(self.edges)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of labels, edges, root, coordinates, mutual edges: what makes two graphs the same world."""
        sha = hashlib.sha256(json.dumps([self.labels, self.root], ensure_ascii=False).encode())
        sha.update(self.edges.astype("<i8").tobytes())
        if self.coordinates is not None:
            sha.update(np.ascontiguousarray(self.coordinates, dtype="<f8").tobytes())
        if len(self.mutual):
            sha.update(b"mutual" + self.mutual.astype("<i8").tobytes())
        return sha.hexdigest()


def check_size(name: str, nodes: int, edges: int) -> None:
    """Raise `InputError` if a graph of so many nodes and edges is larger than a world may be.

    Called before a graph is built, so that a slip of the hand does not fill the memory.

    >>> check_size("path", nodes=3, edges=2)
    """
    if nodes > MAXIMUM_NODES or edges > MAXIMUM_EDGES:
        raise InputError(
            f"The graph {name!r} would have {nodes:,} nodes and {edges:,} edges; "
            f"give one with at most {MAXIMUM_NODES:,} nodes and {MAXIMUM_EDGES:,} edges."
        )


def check_labels(owner: str, kind: str, labels: Sequence[str]) -> None:
    """Raise `InputError` for two equal labels, and for one with a control character or not valid Unicode.

    Every label of every world comes by here, from a file, an object of Python or a directory of a stranger.

    >>> check_labels("The graph 'towns'", "node", ["Rome", "Bonn"])
    """
    if len(set(labels)) < len(labels):
        raise InputError(f"{owner} has two {kind}s with the same label; labels must differ.")
    whole = "".join(labels)
    if found := control_character(whole):
        label = next(label for label in labels if control_character(label))
        raise InputError(
            f"{owner} has a {kind} whose label '{show_label(label)}' has the control character {found}; "
            "give labels of plain text."
        )
    try:
        whole.encode()
    except UnicodeEncodeError:
        sentence = f"{owner} has a {kind} whose label is half a surrogate pair; give valid Unicode."
        raise InputError(sentence) from None


def simple_graph(
    name: str, labels: Sequence[str], pairs: Int[np.ndarray, "pair 2"], *, notes: Sequence[str] = ()
) -> Graph:
    """Graph of any list of pairs: self-loops dropped, repeated edges merged, and the notes say so.

    An edge and its reverse are one edge; the direction of the first is its forward direction, and `mutual`
    says which edges have their reverse.
    Raises `InputError` as `Graph` does, and so for self-loops alone.

    >>> graph = simple_graph("small", ["a", "b"], np.array([[1, 0], [0, 1], [1, 1]]))
    >>> graph.edges.tolist(), graph.mutual.tolist()
    ([[1, 0]], [0])
    >>> for note in graph.notes:
    ...     print(note)
    1 self-loop was dropped; ask the task for self-edges to have every node name itself.
    1 repeated edge was merged; an edge and its reverse are one edge.
    1 edge is given in both directions.
    """
    notes = list(notes)
    check_size(name, len(labels), len(pairs))
    edges = pairs[pairs[:, 0] != pairs[:, 1]]
    if dropped := len(pairs) - len(edges):
        were = f"{counted(dropped, 'self-loop')} {'was' if dropped == 1 else 'were'}"
        notes.append(f"{were} dropped; ask the task for self-edges to have every node name itself.")
    base = np.array([len(labels), 1])
    _, first, edge_of = np.unique(np.sort(edges, axis=1) @ base, return_index=True, return_inverse=True)
    if merged := len(edges) - len(first):
        were = f"{counted(merged, 'repeated edge')} {'was' if merged == 1 else 'were'}"
        notes.append(f"{were} merged; an edge and its reverse are one edge.")
    reverse_of_first = ((edges != edges[first][edge_of]).any(axis=1)).nonzero()[0]
    has_reverse = np.zeros(len(first), dtype=bool)
    has_reverse[edge_of[reverse_of_first]] = True
    order = np.argsort(first)
    mutual = np.flatnonzero(has_reverse[order])
    if len(mutual):
        are = "is" if len(mutual) == 1 else "are"
        notes.append(f"{counted(len(mutual), 'edge')} {are} given in both directions.")
    graph = Graph(name, tuple(labels), edges[first[order]], mutual=mutual)
    sizes = np.bincount(component_labels(graph))
    if len(sizes) > 1:
        notes.append(
            f"The graph has {len(sizes)} connected components, the largest with {sizes.max()} of its "
            f"{graph.node_count} nodes."
        )
    if isolated := int((sizes == 1).sum()):
        notes.append(f"{isolated} of the nodes {'has' if isolated == 1 else 'have'} no neighbour.")
    return replace(graph, notes=tuple(notes))


def induced_subgraph(graph: Graph, nodes: Int[np.ndarray, " node"]) -> Graph:
    """The graph of some nodes, given by ascending id, and the edges between them.

    Raises `InputError` if no edge is left.

    >>> from geomem.worlds.graphs.families import path
    >>> part = induced_subgraph(path(4), np.array([1, 2, 3]))
    >>> part.labels, part.edges.tolist()
    (('1', '2', '3'), [[0, 1], [1, 2]])
    """
    place = np.full(graph.node_count, -1)
    place[nodes] = np.arange(len(nodes))
    ends = place[graph.edges]
    root = None if graph.root is None or place[graph.root] < 0 else int(place[graph.root])
    labels = tuple(graph.labels[node] for node in nodes.tolist())
    coordinates = None if graph.coordinates is None else graph.coordinates[nodes]
    kept = (ends >= 0).all(axis=1)
    mutual = np.flatnonzero(np.isin(np.flatnonzero(kept), graph.mutual))
    return Graph(graph.name, labels, ends[kept], root=root, coordinates=coordinates, mutual=mutual)


def adjacency_matrix(graph: Graph, *, self_edges: bool = False) -> "scipy.sparse.csr_array":
    """Symmetric 0/1 adjacency matrix, [node, node]; with `self_edges` the diagonal is one.

    >>> from geomem.worlds.graphs.families import path
    >>> adjacency_matrix(path(3)).toarray().astype(int).tolist()
    [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    from scipy import sparse

    tails, heads = graph.edges.T
    rows, columns = np.concatenate([tails, heads]), np.concatenate([heads, tails])
    shape = (graph.node_count, graph.node_count)
    adjacency = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr()
    return (adjacency + sparse.eye_array(graph.node_count)).tocsr() if self_edges else adjacency


def node_degrees(graph: Graph) -> Int[np.ndarray, " node"]:
    """Number of neighbours of every node.

    >>> from geomem.worlds.graphs.families import path
    >>> node_degrees(path(3)).tolist()
    [1, 2, 1]
    """
    return np.bincount(graph.edges.ravel(), minlength=graph.node_count)


def component_labels(graph: Graph) -> Int[np.ndarray, " node"]:
    """Number of the connected component each node belongs to, counted from 0.

    >>> from geomem.worlds.graphs.families import irregular
    >>> np.bincount(component_labels(irregular())).tolist()
    [12, 4]
    """
    from scipy.sparse import csgraph

    return csgraph.connected_components(adjacency_matrix(graph), directed=False)[1].astype(np.int64)


def distance_matrix(graph: Graph) -> Float[np.ndarray, "node node"]:
    """Length of the shortest path between every two nodes; `inf` between components.

    Takes O(node * edge) time and node² floats of memory: for graphs of at most a few thousand nodes.

    >>> from geomem.worlds.graphs.families import path
    >>> distance_matrix(path(3))[0].tolist()
    [0.0, 1.0, 2.0]
    """
    from scipy.sparse import csgraph

    return csgraph.shortest_path(adjacency_matrix(graph), method="D", directed=False, unweighted=True)


def leaves_and_first_hops(graph: Graph) -> tuple[Int[np.ndarray, " leaf"], Int[np.ndarray, " leaf"]]:
    """Every leaf of a rooted tree with the root's neighbour on its path: the first hop of the path task.

    Raises `InputError` if the graph has no root or is not a tree.

    >>> from geomem.worlds.graphs.families import path_star
    >>> leaves, first_hops = leaves_and_first_hops(path_star(arms=2, length=3, world_seed=None))
    >>> leaves.tolist(), first_hops.tolist()
    ([2, 4], [1, 3])
    """
    if graph.root is None:
        raise InputError(f"The graph {graph.name!r} has no root; give a path-star or tree-star.")
    from scipy.sparse import csgraph

    order, parents = csgraph.breadth_first_order(adjacency_matrix(graph), graph.root, directed=False)
    if len(order) < graph.node_count or graph.edge_count != graph.node_count - 1:
        raise InputError(f"The graph {graph.name!r} is not a tree; give a path-star or tree-star.")
    hops, parents = list(range(graph.node_count)), parents.tolist()
    # Breadth-first order puts parents before children: one pass hands every node its ancestor below the root.
    for node in order[1:].tolist():
        if parents[node] != graph.root:
            hops[node] = hops[parents[node]]
    leaves = np.flatnonzero((node_degrees(graph) == 1) & (np.arange(graph.node_count) != graph.root))
    return leaves, np.array(hops)[leaves]
