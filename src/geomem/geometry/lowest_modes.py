"""The bottom of the spectrum of a large graph: sparse factorisations, counted by inertia, never a full solve.

Everything here factorises a shifted Laplacian. That is cheap for tree-like and map-like graphs (near linear
in the nodes) and grows dense for large random graphs, whose factors fill in.
"""

from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.linalg import eigh_tridiagonal
from scipy.sparse import linalg

from geomem.errors import InputError
from geomem.geometry.spectrum import (
    EIGENSPACE_TOLERANCE,
    LaplacianKind,
    Spectrum,
    assemble_spectrum,
    eigenspace_groups,
    laplacian_matrix,
    spectral_width,
)
from geomem.worlds.graph import Graph, component_labels

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

    Raises `InputError` if `count` is not between 1 and the number of nodes or `MODES_LIMIT`, or if the eigenspace at the cut
    is too large to list; `energy_by_band` then gives its energy without listing it. Raises `ArithmeticError`
    if a residual stays above `RESIDUAL_TOLERANCE`.

    >>> from geomem.worlds.families import grid
    >>> lowest_modes(grid(40, 40), 5, "combinatorial").eigenspaces.tolist()
    [0, 1, 1, 2, 3, 3]
    """
    most = min(graph.node_count, MODES_LIMIT)
    if not 1 <= count <= most:
        raise InputError(
            f"{count} lowest modes were asked of the graph {graph.name!r} with {graph.node_count:,} nodes; "
            f"ask for 1 to {most:,}."
        )
    L = laplacian_matrix(graph, kind, self_edges=self_edges)
    labels = component_labels(graph)
    lowest, _ = trivial_eigenpairs(graph, kind, self_edges=self_edges)
    width = spectral_width(L, kind, lowest.min())
    # Sorted by component the Laplacian is block diagonal, and a block is cut out at the cost of the block.
    order = np.argsort(labels, kind="stable")
    blocks = L[order][:, order]
    ends = np.cumsum(np.bincount(labels))
    nodes = np.split(order, ends[:-1])
    values, vectors = [], []
    for component, end in enumerate(ends):
        size = len(nodes[component])
        block = blocks[end - size : end, end - size : end]
        found = _component_modes(block, min(count, size), float(lowest[component]), width, graph.name)
        values.append(found[0])
        vectors.append(found[1])
    all_values = np.concatenate(values)
    components = np.repeat(np.arange(len(ends)), [len(part) for part in values])
    ranks = np.argsort(all_values, kind="stable")
    groups = eigenspace_groups(all_values[ranks], width)
    chosen = np.zeros(len(all_values), dtype=bool)
    chosen[ranks[groups <= groups[count - 1]]] = True
    _check_group_size(int(chosen.sum()), count, graph.name)
    padded = np.zeros((graph.node_count, int(chosen.sum())))
    for component in range(len(ends)):
        columns = np.flatnonzero(components[chosen] == component)
        padded[np.ix_(nodes[component], columns)] = vectors[component][:, chosen[components == component]]
    return assemble_spectrum(kind, all_values[chosen], padded, components[chosen], width)


def trivial_eigenpairs(
    graph: Graph, kind: LaplacianKind = "random-walk", *, self_edges: bool = False
) -> tuple[Float[np.ndarray, " component"], Float[np.ndarray, " node"]]:
    """The lowest eigenvalue of every component, and its positive unit eigenvector on that component's nodes.

    Combinatorial: 0 and a constant. Normalized: 0 and the square root of the degrees. Random-walk: by inverse
    iteration on all components at once, each with its own shift. A bold shift is the quotient less the
    residual; where the solution then changes sign the shift was not below the lowest eigenvalue (the inverse
    of an M-matrix is positive), and that component repeats with Noda's shift min_i (L x)_i / x_i, which
    always is. Raises `ArithmeticError` if it does not converge.

    >>> from geomem.worlds.families import irregular
    >>> (-trivial_eigenpairs(irregular())[0]).round(3).tolist()
    [0.024, -0.0]
    """
    L = laplacian_matrix(graph, kind, self_edges=self_edges)
    labels = component_labels(graph)
    sizes = np.bincount(labels)

    def normalize(x: Float[np.ndarray, " node"]) -> Float[np.ndarray, " node"]:
        return x / np.sqrt(np.bincount(labels, weights=x * x))[labels]

    if kind == "combinatorial":
        return np.zeros(len(sizes)), normalize(np.ones(graph.node_count))
    if kind == "normalized":
        degrees = np.bincount(graph.edges.ravel(), minlength=graph.node_count) + float(self_edges)
        return np.zeros(len(sizes)), normalize(np.sqrt(degrees))
    x = np.ones(graph.node_count)
    # A few steps of the power method first: they level what is local (corners, hubs) and cost next to
    # nothing.
    for _ in range(50):
        x = normalize(4 * x - L @ x)
    bold = np.ones(len(sizes), dtype=bool)
    last = np.inf
    for _ in range(100):
        Lx = L @ x
        quotients = np.bincount(labels, weights=x * Lx)
        residuals = np.sqrt(np.bincount(labels, weights=(Lx - quotients[labels] * x) ** 2))
        # Convergence is quadratic, so a residual that no longer halves is down to the rounding of L x.
        residual = residuals.max() / (4 - quotients.min())
        if residual <= 1e-15 or 0.5 * last <= residual <= 1e-11:
            return quotients, x
        last = residual
        bounds = np.full(len(sizes), np.inf)
        np.minimum.at(bounds, labels, Lx / x)
        shifts = np.where(bold, np.maximum(bounds, quotients - residuals), bounds) - 1e-14 * (4 - quotients)
        solution = factorize(L - sparse.diags_array(shifts[labels])).solve(x)
        largest, smallest = np.full(len(sizes), -np.inf), np.full(len(sizes), np.inf)
        np.maximum.at(largest, labels, solution)
        np.minimum.at(smallest, labels, solution)
        # One sign throughout, up to rounding. A shift within rounding of the eigenvalue turns all signs at
        # once.
        bold = np.minimum(largest, -smallest) <= 1e-12 * np.maximum(largest, -smallest)
        # Entries too small to matter are lifted, so that their quotients are not noise divided by noise.
        x = normalize(np.maximum(np.abs(np.where(bold[labels], solution, x)), 1e-100))
    raise ArithmeticError(
        f"The trivial modes of the graph {graph.name!r} did not settle in 100 steps: residual {last:.1e}; "
        "the combinatorial Laplacian has them in closed form."
    )


def distinct_low_eigenvalues(
    graph: Graph, count: int, kind: LaplacianKind = "random-walk", *, self_edges: bool = False
) -> tuple[Float[np.ndarray, " eigenspace"], Int[np.ndarray, " eigenspace"]]:
    """The `count` lowest distinct eigenvalues, trivial modes set aside, and the dimension of each eigenspace.

    A Krylov space grown from one random vector meets every eigenspace in a single direction, so shift-invert
    Lanczos lists each eigenvalue once, however often it is repeated; the dimensions come from inertia counts.
    No eigenvector is formed. Fewer are returned if the graph has fewer.

    >>> from geomem.worlds.families import path_star
    >>> values, dimensions = distinct_low_eigenvalues(path_star(arms=1000, length=5), 2, "combinatorial")
    >>> values.round(6).tolist(), dimensions.tolist()
    ([0.120615, 0.585536], [999, 1])
    """
    if count < 1:
        raise InputError(f"{count} distinct eigenvalues were asked for; ask for at least 1.")
    L = laplacian_matrix(graph, kind, self_edges=self_edges)
    trivial_values, _ = trivial = trivial_eigenpairs(graph, kind, self_edges=self_edges)
    width = spectral_width(L, kind, trivial_values.min())
    project = trivial_projection(trivial[1], component_labels(graph))
    shift = trivial_values.min() - SHIFT_MARGIN * width
    factors = factorize(L - shift * sparse.eye_array(graph.node_count))
    # One more than asked: the gap above the last is where its copies are counted.
    values = _distinct_lowest(
        lambda x: project(factors.solve(x)), project, graph.node_count, shift, width, count + 1
    )
    gaps = [_gap_between(low, high, trivial_values) for low, high in pairwise(values)]
    below = [count_below(L, *gap) - int((trivial_values <= gap[0]).sum()) for gap in gaps]
    if len(values) <= count:
        below.append(graph.node_count - len(trivial_values))
    return values[:count], np.diff([0, *below])[:count].astype(np.int64)


def trivial_projection(
    vector: Float[np.ndarray, " node"], labels: Int[np.ndarray, " node"]
) -> Callable[[np.ndarray], np.ndarray]:
    """The function that takes the trivial modes out of vectors [node] or [node, width].

    `vector` holds the unit trivial mode of every component side by side, as `trivial_eigenpairs` gives it.
    """
    nodes = np.arange(len(vector))
    T = sparse.coo_array((vector, (nodes, labels)), shape=(len(vector), labels.max() + 1)).tocsr()
    return lambda x: x - T @ (T.T @ x)


def factorize(matrix: sparse.csr_array) -> linalg.SuperLU:
    """L U factors of a sparse symmetric matrix, pivots on the diagonal so that U's diagonal shows inertia."""
    return linalg.splu(
        sparse.csc_array(matrix),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


def count_below(laplacian: sparse.csr_array, low: float, high: float) -> int:
    """Number of eigenvalues below a gap from `low` to `high`, copies included, without computing any.

    Sylvester's law of inertia: with L - x I = F D F^T, D diagonal, it is the number of negative entries of D.
    Any x inside the gap gives the same number, so where one meets a vanishing pivot another is tried. Raises
    `ArithmeticError` if none serves: then the gap is too narrow, or no gap at all.

    >>> from geomem.worlds.families import complete
    >>> count_below(laplacian_matrix(complete(50), "combinatorial"), 0.0, 50.0)
    1
    """
    size = len(laplacian.diagonal())
    probe = np.random.default_rng(0).standard_normal(size)
    # The middle first; then places that do not fall on the round numbers our graphs have on their diagonals.
    for fraction in (0.5, 0.4142, 0.6180, 0.2718, 0.7321):
        matrix = laplacian - (low + fraction * (high - low)) * sparse.eye_array(size)
        try:
            factors = factorize(matrix)
        except RuntimeError:  # SuperLU: exactly singular
            continue
        # A small residual says that no pivot was lost to cancellation; off-diagonal pivots would void the
        # count.
        residual = np.linalg.norm(matrix @ factors.solve(probe) - probe) / np.linalg.norm(probe)
        if residual <= 1e-4 and (factors.perm_r == factors.perm_c).all():
            return int((factors.U.diagonal() < 0).sum())
    raise ArithmeticError(
        f"The eigenvalues below {low:.6g} cannot be counted: others are too close above, up to {high:.6g}."
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
    solve: _Solve, project: _Solve, size: int, shift: float, width: float, count: int
) -> Float[np.ndarray, " eigenspace"]:
    """Up to `count` distinct eigenvalues nearest above `shift`, by Lanczos with full orthogonalisation."""
    v = project(np.random.default_rng(0).standard_normal(size))
    basis = [v / np.linalg.norm(v)]
    alphas, betas = [], []
    while True:
        w = solve(basis[-1])
        alphas.append(float(w @ basis[-1]))
        V = np.stack(basis)
        for _ in range(2):
            w = w - V.T @ (V @ w)
        beta = float(np.linalg.norm(w))
        ritz, vectors = eigh_tridiagonal(alphas, betas)
        # Largest of the inverse first. An error in theta moves the eigenvalue shift + 1 / theta by error /
        # theta².
        theta, errors = ritz[::-1], beta * np.abs(vectors[-1, ::-1])
        theta, errors = theta[theta > 0], errors[theta > 0]
        values = shift + 1 / theta
        groups = eigenspace_groups(values, width)
        exhausted = beta <= 1e-13 * theta[0] or len(basis) >= size
        needed = groups < count
        settled = (errors[needed] <= 1e-2 * EIGENSPACE_TOLERANCE * width * theta[needed] ** 2).all()
        if exhausted or (settled and groups[-1] >= count):
            return np.array([values[groups == group].mean() for group in range(min(count, groups[-1] + 1))])
        if len(basis) >= KRYLOV_LIMIT:
            raise ArithmeticError(
                f"The {count} lowest distinct eigenvalues did not settle within {KRYLOV_LIMIT} Lanczos steps."
            )
        betas.append(beta)
        basis.append(w / beta)


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
