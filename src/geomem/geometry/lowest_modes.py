"""The bottom of the spectrum of a large graph: sparse factorisations, counted by inertia, never a full solve.

Everything here factorises a shifted Laplacian. That is cheap for tree-like and map-like graphs (near linear
in the nodes) and grows dense for large random graphs, whose factors fill in.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.linalg import eigh_tridiagonal
from scipy.sparse import linalg

from geomem.errors import InputError
from geomem.geometry.inertia import count_below, factorize
from geomem.geometry.spectrum import (
    EIGENSPACE_TOLERANCE,
    SMOOTH_NODES,
    LaplacianKind,
    Spectrum,
    assemble_spectrum,
    eigenspace_groups,
    laplacian_matrix,
    open_places,
    spectral_width,
)
from geomem.geometry.trivial import trivial_eigenpairs, trivial_projection
from geomem.worlds.graphs.graph import Graph, component_labels

# Largest accepted norm of L v - value v for a listed eigenpair, relative to the width of the spectrum.
RESIDUAL_TOLERANCE = 1e-9

# A component of at most this many nodes is solved densely, which takes less than a second.
SMALL_COMPONENT = 1000

# Most modes that are listed: the work grows with their square, the memory with nodes times modes.
MODES_LIMIT = 1000

# How far below the lowest eigenvalue to shift, relative to the width of the spectrum. Small, so that the
# lowest eigenvalues are far apart after inversion; not smaller, so that solves with the shifted matrix keep
# ten digits.
SHIFT_MARGIN = 1e-5

# Modes found beyond those asked for, to see the gap behind the last eigenspace.
SPARE = 8

# Most vectors a Krylov space may hold; on 100,000 nodes they fill 240 MB.
KRYLOV_LIMIT = 300

_Solve = Callable[[np.ndarray], np.ndarray]


def lowest_modes(
    graph: Graph, count: int, kind: LaplacianKind = "random-walk", *, self_edges: bool = False
) -> Spectrum:
    """The `count` lowest eigenpairs, rounded up so that no eigenspace is cut.

    Shift-invert Lanczos on each connected component. Nothing is taken on trust: residuals are checked, and
    the number of eigenvalues below the cut is counted independently by Sylvester's law of inertia, so a
    missed copy of a repeated eigenvalue is noticed and searched for among the vectors orthogonal to those
    found.

    Raises `InputError` if `count` is below 1 or above the number of nodes or `MODES_LIMIT`, or if the
    eigenspace at the cut is too large to list; `energy_by_band` then gives its energy without listing it.
    Raises `ArithmeticError` if a residual stays above `RESIDUAL_TOLERANCE`.

    >>> from geomem.worlds.graphs.families import grid
    >>> lowest_modes(grid(40, 40), 5, "combinatorial").eigenspaces.tolist()
    [0, 1, 1, 2, 3, 3]
    """
    most = min(graph.node_count, MODES_LIMIT)
    if not 1 <= count <= most:
        raise InputError(
            f"{count} lowest modes were asked of the graph {graph.name!r} with {graph.node_count:,} nodes; "
            f"ask for 1 to {most:,}."
        )
    listed = _list_components(graph, count, kind, self_edges)
    all_values = np.concatenate(listed.values)
    ranks = np.argsort(all_values, kind="stable")
    groups = eigenspace_groups(all_values[ranks], listed.width)
    chosen = np.zeros(len(all_values), dtype=bool)
    chosen[ranks[groups <= groups[count - 1]]] = True
    _check_group_size(int(chosen.sum()), count, graph.name)
    return _join_components(listed, chosen, kind)


def fiedler_spectrum(
    graph: Graph, kind: LaplacianKind = "random-walk", *, self_edges: bool = False
) -> Spectrum:
    """The lowest modes of every component of at least `SMOOTH_NODES` nodes, as `fiedler_modes` needs them.

    The slowest mode of a small component may have thousands of a large one below it, so that the lowest modes
    of the whole graph would not reach it. Raises `InputError` if there are too many to list, or if no
    component is so large.

    >>> from geomem.geometry.spectrum import fiedler_modes
    >>> from geomem.worlds.graphs.families import irregular
    >>> spectrum = fiedler_spectrum(irregular())
    >>> spectrum.eigenvalues[fiedler_modes(spectrum)].round(3).tolist()
    [0.224, 0.41]
    """
    places = int((np.bincount(component_labels(graph)) >= SMOOTH_NODES).sum())
    if not 1 <= 2 * places <= MODES_LIMIT:
        raise InputError(
            f"The graph {graph.name!r} has {places:,} components of at least {SMOOTH_NODES} nodes and the "
            f"slowest modes are listed for 1 to {MODES_LIMIT // 2}; ask for their energy with energy_by_band."
        )
    # Places left open are filled by the next slowest modes, which may all be those of one component.
    for count in (2, 2 + places):
        listed = _list_components(graph, count, kind, self_edges, smallest=SMOOTH_NODES)
        modes = sum(len(values) for values in listed.values)
        _check_group_size(modes, count, graph.name)
        spectrum = _join_components(listed, np.ones(modes, dtype=bool), kind)
        if not open_places(spectrum):
            break
    return spectrum


@dataclass(frozen=True, eq=False)
class _Listed:
    """Lowest modes of components: of each its nodes [member], values [mode], vectors [member, mode]."""

    node_count: int
    components: list[int]
    nodes: list[np.ndarray]
    values: list[np.ndarray]
    vectors: list[np.ndarray]
    width: float


def _list_components(
    graph: Graph, count: int, kind: LaplacianKind, self_edges: bool, *, smallest: int = 1
) -> _Listed:
    """At least the `count` lowest modes of every component of at least `smallest` nodes."""
    L = laplacian_matrix(graph, kind, self_edges=self_edges)
    labels = component_labels(graph)
    # Only to place the shift below them; the trivial modes themselves come out with the others.
    lowest, _ = trivial_eigenpairs(graph, kind, self_edges=self_edges, accuracy=0.1 * SHIFT_MARGIN)
    width = spectral_width(L, kind, lowest.min())
    # Sorted by component the Laplacian is block diagonal, and a block is cut out at the cost of the block.
    order = np.argsort(labels, kind="stable")
    blocks = L[order][:, order]
    sizes = np.bincount(labels)
    ends = np.cumsum(sizes)
    chosen = np.flatnonzero(sizes >= smallest).tolist()
    nodes, values, vectors = [], [], []
    for component in chosen:
        end, size = int(ends[component]), int(sizes[component])
        block = blocks[end - size : end, end - size : end]
        found = _component_modes(block, min(count, size), float(lowest[component]), width, graph.name)
        nodes.append(order[end - size : end])
        values.append(found[0])
        vectors.append(found[1])
    return _Listed(graph.node_count, chosen, nodes, values, vectors, width)


def _join_components(listed: _Listed, chosen: Bool[np.ndarray, " mode"], kind: LaplacianKind) -> Spectrum:
    """The chosen modes, counted through all components, as one spectrum over all nodes."""
    owners = np.repeat(np.arange(len(listed.values)), [len(part) for part in listed.values])
    padded = np.zeros((listed.node_count, int(chosen.sum())))
    for owner, (nodes, vectors) in enumerate(zip(listed.nodes, listed.vectors, strict=True)):
        columns = np.flatnonzero(owners[chosen] == owner)
        padded[np.ix_(nodes, columns)] = vectors[:, chosen[owners == owner]]
    return assemble_spectrum(
        kind,
        np.concatenate(listed.values)[chosen],
        padded,
        np.array(listed.components)[owners[chosen]],
        listed.width,
    )


@dataclass(frozen=True, eq=False)
class LowEigenspaces:
    """The lowest distinct eigenvalues beyond the trivial modes, without their eigenvectors."""

    values: Float[np.ndarray, " eigenspace"]
    dimensions: Int[np.ndarray, " eigenspace"]
    ends: Float[np.ndarray, " eigenspace"]
    """A number inside the gap above each value, before the next one: where a band can end."""


def distinct_low_eigenvalues(
    graph: Graph, count: int, kind: LaplacianKind = "random-walk", *, self_edges: bool = False
) -> LowEigenspaces:
    """The `count` lowest distinct eigenvalues, trivial modes set aside, and the dimension of each eigenspace.

    A Krylov space grown from one random vector meets every eigenspace in a single direction, so shift-invert
    Lanczos lists each eigenvalue once, however often it is repeated; the dimensions come from inertia counts.
    No eigenvector is formed. Fewer are returned if the graph has fewer. Raises `InputError` if `count` is
    below 1, or if the eigenvalues lie too close together for `KRYLOV_LIMIT` steps.

    >>> from geomem.worlds.graphs.families import path_star
    >>> low = distinct_low_eigenvalues(path_star(arms=1000, length=5), 2, "combinatorial")
    >>> low.values.round(6).tolist(), low.dimensions.tolist()
    ([0.120615, 0.585536], [999, 1])
    """
    if count < 1:
        raise InputError(f"{count} distinct eigenvalues were asked for; ask for at least 1.")
    L = laplacian_matrix(graph, kind, self_edges=self_edges)
    trivial_values, _ = trivial = trivial_eigenpairs(graph, kind, self_edges=self_edges)
    width = spectral_width(L, kind, trivial_values.min())
    project = trivial_projection(trivial[1], component_labels(graph))
    return _low_eigenspaces(L, trivial_values, project, float(trivial_values.min()), width, count, graph.name)


def distinct_high_eigenvalues(graph: Graph, count: int) -> LowEigenspaces:
    """The `count` highest distinct eigenvalues of the random-walk Laplacian: the lowest of its negative.

    As `distinct_low_eigenvalues`, with all signs turned: values ascend from minus the highest eigenvalue, and
    the ends lie in the gaps. Trivial modes are not set aside; there is none up there unless the list reaches
    the bottom of the spectrum.

    >>> from geomem.worlds.graphs.families import path_star
    >>> high = distinct_high_eigenvalues(path_star(arms=1000, length=5), 2)
    >>> (-high.values).round(3).tolist(), high.dimensions.tolist()
    ([17.875, 3.905], [1, 999])
    """
    L = laplacian_matrix(graph)
    lowest, _ = trivial_eigenpairs(graph, accuracy=0.1 * SHIFT_MARGIN)
    # No eigenvalue of D^-1 A + A D^-1 is larger in magnitude than the one of the trivial mode.
    bound, width = float(lowest.min()) - 4.0, spectral_width(L, "random-walk", float(lowest.min()))
    return _low_eigenspaces(-L, np.empty(0), lambda x: x, bound, width, count, graph.name)


def highest_modes(
    graph: Graph, count: int
) -> tuple[Float[np.ndarray, " mode"], Float[np.ndarray, "node mode"]]:
    """The `count` highest eigenpairs of the random-walk Laplacian, descending, in whole eigenspaces.

    With the checks of `lowest_modes`, and its errors.

    >>> from geomem.worlds.graphs.families import grid
    >>> highest_modes(grid(40, 40), 2)[0].round(4).tolist()
    [4.0013, 3.9987, 3.9987]
    """
    L = laplacian_matrix(graph)
    lowest, _ = trivial_eigenpairs(graph, accuracy=0.1 * SHIFT_MARGIN)
    bound, width = float(lowest.min()) - 4.0, spectral_width(L, "random-walk", float(lowest.min()))
    values, vectors = _component_modes(sparse.csr_array(-L), count, bound, width, graph.name)
    return -values, vectors


def _low_eigenspaces(
    L: sparse.csr_array,
    trivial_values: Float[np.ndarray, " component"],
    project: _Solve,
    lowest: float,
    width: float,
    count: int,
    name: str,
) -> LowEigenspaces:
    """Distinct eigenvalues above `lowest`, a lower bound of them all, within what `project` leaves."""
    shift = lowest - SHIFT_MARGIN * width
    size = len(L.diagonal())
    factors = factorize(L - shift * sparse.eye_array(size))
    # One more than asked: below it is the gap in which the copies of the last are counted.
    values = _distinct_lowest(
        lambda x: project(factors.solve(x)),
        project(np.random.default_rng(0).standard_normal(size)),
        shift,
        width,
        count + 1,
    )
    if len(values) == 0:
        raise InputError(
            f"The {count} lowest distinct eigenvalues of the graph {name!r} lie too close together for "
            f"{KRYLOV_LIMIT} Lanczos steps; use the combinatorial Laplacian or a smaller graph."
        )
    gaps = [_gap_between(low, high, trivial_values) for low, high in pairwise(values)]
    below = [count_below(L, *gap) - int((trivial_values <= gap[0]).sum()) for gap in gaps]
    ends = [(low + high) / 2 for low, high in gaps]
    if len(values) <= count:
        below.append(size - len(trivial_values))
        ends.append(float(values[-1]) + width)
    return LowEigenspaces(
        values[:count], np.diff([0, *below])[:count].astype(np.int64), np.array(ends[:count])
    )


def _component_modes(
    L: sparse.csr_array, count: int, lowest: float, width: float, name: str
) -> tuple[Float[np.ndarray, " mode"], Float[np.ndarray, "node mode"]]:
    """At least the `count` lowest eigenpairs of one component, ending at the end of an eigenspace."""
    size = len(L.diagonal())
    if size <= SMALL_COMPONENT:
        values, vectors = np.linalg.eigh(L.toarray())
        groups = eigenspace_groups(values, width)
        end = int((groups <= groups[count - 1]).sum())
        # A copy, not a view that keeps the whole square alive: there may be thousands of components.
        return values[:end], vectors[:, :end].copy()
    shift = lowest - SHIFT_MARGIN * width
    factors = factorize(L - shift * sparse.eye_array(size))
    values, vectors = np.empty(0), np.empty((size, 0))
    wanted = count + SPARE
    while True:
        # The Lanczos solver cannot list nearly all of them.
        if wanted >= size - 1:
            values, vectors = np.linalg.eigh(L.toarray())
            return values, vectors
        values, vectors = _extend_lowest(L, factors.solve, shift, vectors, wanted)
        end, total = _find_cut(L, values, count, width)
        if total == end:
            break
        if total < end:
            raise ArithmeticError(
                f"Of the lowest modes of the graph {name!r} {end} were found where only {total} can be."
            )
        _check_group_size(total, count, name)
        wanted = len(values) + total - end + SPARE
    values, vectors = values[:end], vectors[:, :end]
    residuals = np.linalg.norm(L @ vectors - vectors * values, axis=0)
    if residuals.max() > RESIDUAL_TOLERANCE * width:
        raise ArithmeticError(
            f"The lowest modes of the graph {name!r} have a residual of {residuals.max():.1e}, above "
            f"{RESIDUAL_TOLERANCE * width:.1e}; compute the full spectrum instead."
        )
    return values, vectors


def _find_cut(
    L: sparse.csr_array, values: Float[np.ndarray, " mode"], count: int, width: float
) -> tuple[int, int]:
    """Where the eigenspace of the `count`-th mode ends: in the list of `values`, and among all eigenvalues.

    The two differ as long as the list lacks copies.
    """
    ends = np.flatnonzero(np.diff(values) > EIGENSPACE_TOLERANCE * width) + 1
    gaps = [(int(end), float(values[end - 1]), float(values[end])) for end in ends]
    # Nothing is known above the list; a place just far enough above it to clear rounding stands for the gap.
    gaps.append((len(values), float(values[-1]) + 1e-7 * width, float(values[-1]) + 2e-7 * width))
    first = next(number for number, gap in enumerate(gaps) if gap[0] >= count)
    end, low, high = gaps[first]
    total = count_below(L, low, high)
    if total > end:
        # Copies are missing, so the `count`-th mode may come earlier than it does in the list.
        cut = bisect_left(gaps[:first], count, key=lambda gap: count_below(L, gap[1], gap[2]))
        end, low, high = gaps[cut]
        total = count_below(L, low, high)
    return end, total


def _extend_lowest(
    L: sparse.csr_array, solve: _Solve, shift: float, found: Float[np.ndarray, "node known"], wanted: int
) -> tuple[Float[np.ndarray, " mode"], Float[np.ndarray, "node mode"]]:
    """`wanted` eigenpairs of L: those found before, and the lowest of what is orthogonal to them."""
    size, known = found.shape

    def deflate(x: np.ndarray) -> np.ndarray:
        return x - found @ (found.T @ x) if known else x

    inverse = linalg.LinearOperator(  # pyright: ignore[reportCallIssue] (made by __new__, which it overlooks)
        shape=(size, size),
        matvec=lambda x: deflate(solve(deflate(x.ravel()))),  # pyright: ignore[reportCallIssue]
        dtype=np.float64,
    )
    start = np.random.default_rng(known).standard_normal(size)
    _, new = linalg.eigsh(inverse, wanted - known, which="LM", v0=deflate(start))
    # Rayleigh-Ritz on everything at once: orthonormal to rounding, and errors of the eigenvalues squared.
    basis = np.linalg.qr(np.hstack([found, new]))[0]
    values, rotation = np.linalg.eigh(basis.T @ (L @ basis))
    return values, basis @ rotation


def _distinct_lowest(
    solve: _Solve, start: Float[np.ndarray, " node"], shift: float, width: float, count: int
) -> Float[np.ndarray, " eigenspace"]:
    """Up to `count` distinct eigenvalues nearest above `shift`, by Lanczos with full orthogonalisation.

    The last one only bounds the gap below it, so a hundredth of that gap is accurate enough; what is returned
    for it is a lower estimate. Empty if they do not settle.
    """
    basis = np.empty((KRYLOV_LIMIT, len(start)))
    basis[0] = start / np.linalg.norm(start)
    alphas, betas = [], []
    for step in range(1, min(KRYLOV_LIMIT, len(start)) + 1):
        w = solve(basis[step - 1])
        alphas.append(float(w @ basis[step - 1]))
        for _ in range(2):
            w = w - basis[:step].T @ (basis[:step] @ w)
        beta = float(np.linalg.norm(w))
        ritz, vectors = eigh_tridiagonal(alphas, betas)
        # Largest of the inverse first. An error in theta moves shift + 1 / theta by error / theta².
        theta, residuals = ritz[::-1], beta * np.abs(vectors[-1, ::-1])
        # In a complete space what `project` removed comes back as rounding, as if infinitely far above.
        possible = theta * (1.01 * width - shift) >= 1
        residuals, theta = residuals[possible], theta[possible]
        values, errors = shift + 1 / theta, residuals / theta**2
        groups = eigenspace_groups(values, width)
        firsts = np.unique(groups, return_index=True)[1][:count]
        if beta <= 1e-13 * theta[0] or step == len(start):
            return values[firsts]
        asked = groups < count - 1
        if len(firsts) == count and (errors[asked] <= 1e-2 * EIGENSPACE_TOLERANCE * width).all():
            last = firsts[-1]
            if errors[last] <= 1e-2 * (values[last] - values[last - 1]):
                return np.r_[values[firsts[:-1]], values[last] - errors[last]]
        if step < KRYLOV_LIMIT:
            betas.append(beta)
            basis[step] = w / beta
    return np.empty(0)


def _gap_between(low: float, high: float, others: Float[np.ndarray, " component"]) -> tuple[float, float]:
    """The widest stretch between `low` and `high` that is free of `others`."""
    inside = np.sort(np.r_[low, others[(others > low) & (others < high)], high])
    widest = int(np.argmax(np.diff(inside)))
    return float(inside[widest]), float(inside[widest + 1])


def _check_group_size(modes: int, count: int, name: str) -> None:
    if modes > MODES_LIMIT:
        raise InputError(
            f"The {count} lowest modes of the graph {name!r} end inside an eigenspace that reaches to mode "
            f"{modes:,}, too many to list; ask for fewer modes, or for its energy with energy_by_band."
        )
