"""Laplacians of a graph, their eigenvalues and eigenvectors, and which eigenvectors belong together.

    L_rw = (I - D^-1 A) + (I - D^-1 A)^T     random-walk, symmetrised by summing (arXiv 2510.26745, section 4)
    L_c  = D - A                             combinatorial
    L_n  = I - D^-1/2 A D^-1/2               normalized

A: adjacency, D: diagonal matrix of degrees. The paper speaks of -L_rw: its top is our bottom, with the sign
changed. Our graphs repeat eigenvalues massively, so a single eigenvector means nothing by itself: every mode
carries the number of its eigenspace.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from geomem.errors import InputError
from geomem.worlds.graphs.graph import Graph, adjacency_matrix, component_labels

LaplacianKind = Literal["random-walk", "combinatorial", "normalized"]

# Neighbouring eigenvalues closer than this, relative to the widest the spectrum can be, are one eigenvalue.
# Solvers err by about 1e-15 to 1e-13 of that width; the closest distinct eigenvalues we care for (the bottom
# of the spectrum of a path of 100,000 nodes) are 2e-10 of it apart.
EIGENSPACE_TOLERANCE = 1e-10

# Between smooth modes and rough ones: there neighbours are as often on opposite sides.
_MIDDLE = {"random-walk": 2.0, "normalized": 1.0}

SMOOTH_NODES = 4
"""The smallest connected graph with a smooth mode beyond the trivial one is the path of four nodes."""

LISTED_COMPONENTS = 4
"""Components named in a sentence at most."""

# All eigenvectors of 4,000 nodes fill 128 MB and take about half a minute on one core; both grow fast.
DENSE_NODE_LIMIT = 4000


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenpairs of a Laplacian in ascending order; every eigenvector is zero outside one component.

    Inside an eigenspace of several dimensions the choice of basis is the solver's: use the whole eigenspace.
    """

    kind: LaplacianKind
    eigenvalues: Float[np.ndarray, " mode"]
    eigenvectors: Float[np.ndarray, "node mode"]
    """Orthonormal columns; the first entry of more than half the largest magnitude is positive."""
    eigenspaces: Int[np.ndarray, " mode"]
    """Number of the distinct eigenvalue each mode belongs to, counted from 0 at the lowest."""
    components: Int[np.ndarray, " mode"]
    """The connected component each mode lives on, numbered as `component_labels` does."""


def laplacian_matrix(
    graph: Graph, kind: LaplacianKind = "random-walk", *, self_edges: bool = False
) -> sparse.csr_array:
    """The Laplacian of a graph, sparse and symmetric, [node, node].

    The formulas stand at the head of this module; with `self_edges` A has a diagonal of ones and every degree
    is one higher. Raises `InputError` if a node has no edge, since its row cannot be divided by its degree.

    >>> from geomem.worlds.graphs.families import path
    >>> laplacian_matrix(path(3), "combinatorial").toarray().tolist()
    [[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]]
    >>> laplacian_matrix(path(3)).toarray().tolist()
    [[2.0, -1.5, 0.0], [-1.5, 2.0, -1.5], [0.0, -1.5, 2.0]]
    """
    A = adjacency_matrix(graph, self_edges=self_edges)
    degrees = A.sum(axis=1)
    if (degrees == 0).any():
        label = graph.labels[int(np.argmin(degrees))]
        raise InputError(
            f"The graph {graph.name!r} has a node without an edge ({label!r}), and a Laplacian needs one for "
            "every node; leave such nodes out."
        )
    identity = sparse.eye_array(graph.node_count)
    if kind == "combinatorial":
        L = sparse.diags_array(degrees) - A
    elif kind == "normalized":
        scaling = sparse.diags_array(degrees**-0.5)
        L = identity - scaling @ A @ scaling
    else:
        walk = sparse.diags_array(1 / degrees) @ A
        L = 2 * identity - walk - walk.T
    return sparse.csr_array(L)


def laplacian_spectrum(
    graph: Graph, kind: LaplacianKind = "random-walk", *, self_edges: bool = False
) -> Spectrum:
    """All eigenpairs of the Laplacian, solved densely, one connected component after the other.

    Takes O(node³) time and node² floats. Raises `InputError` above `DENSE_NODE_LIMIT` nodes: there
    `lowest_modes` lists the bottom of the spectrum and `energy_by_band` needs no list.

    >>> from geomem.worlds.graphs.families import complete
    >>> spectrum = laplacian_spectrum(complete(4), "combinatorial")
    >>> spectrum.eigenvalues.round(6).tolist(), spectrum.eigenspaces.tolist()
    ([0.0, 4.0, 4.0, 4.0], [0, 1, 1, 1])
    """
    if graph.node_count > DENSE_NODE_LIMIT:
        raise InputError(
            f"The graph {graph.name!r} has {graph.node_count:,} nodes and a full spectrum is solved for at "
            f"most {DENSE_NODE_LIMIT:,}; ask lowest_modes for its bottom or energy_by_band for energies."
        )
    L = laplacian_matrix(graph, kind, self_edges=self_edges)
    labels = component_labels(graph)
    values, vectors, components = [], [], []
    for component in range(labels.max() + 1):
        nodes = np.flatnonzero(labels == component)
        component_values, component_vectors = np.linalg.eigh(L[nodes][:, nodes].toarray())
        # The lowest eigenvalue is exactly zero here; rounding would give it a sign.
        if kind != "random-walk":
            component_values[0] = 0.0
        padded = np.zeros((graph.node_count, len(nodes)))
        padded[nodes] = component_vectors
        values.append(component_values)
        vectors.append(padded)
        components.append(np.full(len(nodes), component))
    all_values = np.concatenate(values)
    width = spectral_width(L, kind, all_values.min())
    return assemble_spectrum(kind, all_values, np.hstack(vectors), np.concatenate(components), width)


def spectral_width(laplacian: sparse.csr_array, kind: LaplacianKind, lowest: float) -> float:
    """An upper bound of the largest magnitude of an eigenvalue, at most about twice too large.

    Combinatorial: twice the highest degree. Normalized: 2. Random-walk: with S = D^-1 A + A D^-1 >= 0 the
    `lowest` eigenvalue is 2 - rho(S) and none exceeds 2 + rho(S) (Perron, Frobenius).
    """
    if kind == "combinatorial":
        return 2 * float(laplacian.diagonal().max())
    return 2.0 if kind == "normalized" else float(4.0 - lowest)


def assemble_spectrum(
    kind: LaplacianKind,
    values: Float[np.ndarray, " mode"],
    vectors: Float[np.ndarray, "node mode"],
    components: Int[np.ndarray, " mode"],
    width: float,
) -> Spectrum:
    """A `Spectrum` from eigenpairs in any order: sorted, in eigenspaces, with deterministic signs."""
    order = np.argsort(values, kind="stable")
    values, vectors = values[order], vectors[:, order]
    magnitudes = np.abs(vectors)
    # Not the largest entry: by symmetry several share its magnitude, and rounding would choose among them.
    anchors = (magnitudes > 0.5 * magnitudes.max(axis=0)).argmax(axis=0)
    signs = np.sign(vectors[anchors, np.arange(len(values))])
    return Spectrum(kind, values, vectors * signs, eigenspace_groups(values, width), components[order])


def eigenspace_groups(
    eigenvalues: Float[np.ndarray, " mode"], width: float | None = None
) -> Int[np.ndarray, " mode"]:
    """Number of the eigenspace of each of the ascending eigenvalues, counted from 0.

    A new eigenspace begins where the step to the next eigenvalue exceeds `EIGENSPACE_TOLERANCE` times
    `width`, which is the largest magnitude in the list unless given.

    >>> eigenspace_groups(np.array([0.0, 1.0, 1.0 + 1e-14, 3.0])).tolist()
    [0, 1, 1, 2]
    """
    if width is None:
        width = float(np.abs(eigenvalues).max())
    steps = np.diff(eigenvalues) > EIGENSPACE_TOLERANCE * width
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)


def distinct_eigenvalues(
    spectrum: Spectrum,
) -> tuple[Float[np.ndarray, " eigenspace"], Int[np.ndarray, " eigenspace"]]:
    """Each distinct eigenvalue in ascending order, and how many modes it has.

    >>> from geomem.worlds.graphs.families import cycle
    >>> values, multiplicities = distinct_eigenvalues(laplacian_spectrum(cycle(6), "combinatorial"))
    >>> values.round(6).tolist(), multiplicities.tolist()
    ([0.0, 1.0, 3.0, 4.0], [1, 2, 2, 1])
    """
    multiplicities = np.bincount(spectrum.eigenspaces)
    sums = np.bincount(spectrum.eigenspaces, weights=spectrum.eigenvalues)
    return sums / multiplicities, multiplicities


def trivial_modes(spectrum: Spectrum) -> Int[np.ndarray, " component"]:
    """Indices of the trivial modes: the lowest mode of every connected component, nearly constant on it.

    It has one sign on its component (Perron, Frobenius). Combinatorial: exactly constant, eigenvalue 0.
    Random-walk on a graph that is not regular: only nearly constant, eigenvalue slightly below 0.

    >>> from geomem.worlds.graphs.families import irregular
    >>> trivial_modes(laplacian_spectrum(irregular())).tolist()
    [0, 1]
    """
    return np.sort(np.unique(spectrum.components, return_index=True)[1])


def fiedler_modes(spectrum: Spectrum) -> Int[np.ndarray, " mode"]:
    """Indices of the Fiedler modes: the slowest ones once trivial modes are set aside, in whole eigenspaces.

    Of a connected graph the eigenspace of the lowest eigenvalue. Of several components the slowest eigenspace
    of every component that has a smooth mode, along which neighbours are on one side on the whole (an
    eigenvalue below the middle of the spectrum: 2, or 1 of the normalized Laplacian). A component of at least
    `SMOOTH_NODES` nodes without one, such as a clique or a star, leaves its place to the next slowest mode of
    the graph; so does every component under the combinatorial Laplacian, which has no such middle.

    Raises `InputError` if the spectrum lists no mode beyond the trivial ones.

    >>> from geomem.worlds.graphs.families import irregular, path_star
    >>> fiedler_modes(laplacian_spectrum(path_star(arms=4, length=5))).tolist()
    [1, 2, 3]
    >>> fiedler_modes(laplacian_spectrum(irregular())).tolist()
    [2, 3]
    """
    others = np.setdiff1d(np.arange(len(spectrum.eigenvalues)), trivial_modes(spectrum))
    if len(others) == 0:
        raise InputError(
            f"The spectrum lists {len(spectrum.eigenvalues)} modes, all of them trivial, and the Fiedler "
            "eigenspace comes after those; compute more modes."
        )
    groups = spectrum.eigenspaces[others]
    taken = np.isin(groups, spectrum.eigenspaces[_smooth_slowest(spectrum)])
    left = open_places(spectrum)
    for group in np.unique(groups[~taken]):
        if left <= 0:
            break
        taken |= groups == group
        left -= int((groups == group).sum())
    return others[taken]


def open_places(spectrum: Spectrum) -> int:
    """How many Fiedler modes are to be chosen among the next slowest: one at least in all.

    >>> from geomem.worlds.graphs.families import complete, irregular, path
    >>> [open_places(laplacian_spectrum(graph)) for graph in (path(9), irregular(), complete(5))]
    [0, 1, 1]
    """
    places = max(1, int((component_sizes(spectrum) >= SMOOTH_NODES).sum()))
    return places - len(_smooth_slowest(spectrum))


def _smooth_slowest(spectrum: Spectrum) -> Int[np.ndarray, " component"]:
    """The slowest mode beyond the trivial one of every component where it is smooth."""
    others = np.setdiff1d(np.arange(len(spectrum.eigenvalues)), trivial_modes(spectrum))
    slowest = others[np.unique(spectrum.components[others], return_index=True)[1]]
    middle = _MIDDLE.get(spectrum.kind, -np.inf)
    # A star's eigenvalue is the middle itself, but for rounding.
    return slowest[spectrum.eigenvalues[slowest] < middle * (1 - 1e-9)]


def component_sizes(spectrum: Spectrum) -> Int[np.ndarray, " component"]:
    """Number of nodes of every component that has a mode in the list.

    >>> from geomem.worlds.graphs.families import irregular
    >>> component_sizes(laplacian_spectrum(irregular())).tolist()
    [12, 4]
    """
    first = np.unique(spectrum.components, return_index=True)[1]
    return (spectrum.eigenvectors[:, first] != 0).sum(axis=0)


def describe_fiedler_modes(spectrum: Spectrum) -> str:
    """One sentence that names the Fiedler modes of a graph of several components.

    Empty if it is connected, or if no mode is listed beyond the trivial ones.

    >>> from geomem.worlds.graphs.families import irregular
    >>> describe_fiedler_modes(laplacian_spectrum(irregular()))
    'Fiedler modes of 2 components: 2 on one of 12 nodes (eigenvalues 0.224, 0.410).'
    """
    components, sizes = np.unique(spectrum.components), component_sizes(spectrum)
    if len(components) in (1, len(spectrum.eigenvalues)):
        return ""
    modes = fiedler_modes(spectrum)
    owners = np.unique(spectrum.components[modes])
    parts = []
    for owner in owners[:LISTED_COMPONENTS]:
        own = modes[spectrum.components[modes] == owner]
        values = [f"{value:.3f}" for value in spectrum.eigenvalues[own]]
        shown = ", ".join(dict.fromkeys(values))
        size = sizes[np.searchsorted(components, owner)]
        parts.append(f"{len(values)} on one of {size:,} nodes (eigenvalue{'s' * (',' in shown)} {shown})")
    rest = f", and more on {len(owners) - len(parts)} others" if len(owners) > len(parts) else ""
    return f"Fiedler modes of {len(components):,} components: {', '.join(parts)}{rest}."


def component_spectra(spectrum: Spectrum) -> tuple[Spectrum, ...]:
    """The spectrum of every connected component, each with the rows of all nodes.

    The eigenspaces of each part are numbered from 0 again.

    >>> from geomem.worlds.graphs.families import irregular
    >>> [len(part.eigenvalues) for part in component_spectra(laplacian_spectrum(irregular()))]
    [12, 4]
    """
    parts = []
    for component in np.unique(spectrum.components):
        chosen = spectrum.components == component
        groups = np.unique(spectrum.eigenspaces[chosen], return_inverse=True)[1].astype(np.int64)
        parts.append(
            Spectrum(
                spectrum.kind,
                spectrum.eigenvalues[chosen],
                spectrum.eigenvectors[:, chosen],
                groups,
                spectrum.components[chosen],
            )
        )
    return tuple(parts)
