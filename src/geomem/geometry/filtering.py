"""Energy of an embedding by band of the graph's spectrum, without listing a single eigenvector.

A path-star of 10,000 arms repeats each mode 9,999 times. No list of eigenvectors can be cut there and none is
needed: for one column v of the embedding, Lanczos started at v gives, step by step, a tridiagonal matrix
whose eigenvalues and first eigenvector components are the Gauss quadrature of the spectral measure of v,

    mu_v = sum over eigenspaces of ||P v||² at the eigenvalue,    P: the projector on the eigenspace

(Golub and Meurant, 1994). Repeated eigenvalues count once: the number of steps grows with the number of
distinct
eigenvalues and with how well the band edges are separated from them, not with the dimensions of eigenspaces.
Lanczos loses orthogonality and then repeats eigenvalues it has found; the weights of the repetitions add up
to the right one (Greenbaum, 1989), so no reorthogonalisation is done and three vectors per column are stored.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.linalg import eigh_tridiagonal
from scipy.sparse import linalg

from geomem.errors import InputError
from geomem.geometry.lowest_modes import (
    SMALL_COMPONENT,
    distinct_low_eigenvalues,
    fiedler_spectrum,
    lowest_modes,
)
from geomem.geometry.spectrum import (
    LaplacianKind,
    Spectrum,
    fiedler_modes,
    laplacian_matrix,
    laplacian_spectrum,
)
from geomem.geometry.trivial import trivial_eigenpairs, trivial_projection
from geomem.worlds.graphs.graph import Graph, component_labels

# A Fiedler eigenspace whose bracket stays open is listed after all if that takes no more modes than this.
SHORT_LIST = 64

# Columns handled together. Wide enough that the sparse product runs at memory speed; at 100,000 nodes one
# block is 26 MB and about six are alive.
BLOCK_COLUMNS = 32

# A Krylov space is complete when the next direction is this short, relative to the width of the spectrum.
# Dropping it changes the Laplacian by no more than that.
COMPLETE = 1e-12

# A quadrature node this close to an edge, on the same scale, is at the edge: rounding could put it on either
# side.
NODE_TOLERANCE = 1e-11


@dataclass(frozen=True, eq=False)
class BandEnergies:
    """Energy of an embedding in each band of a spectrum, lowest band first; the bands cover everything."""

    edges: Float[np.ndarray, " edge"]
    """Ascending ends of the bands; the first band reaches down, the last one up without end."""
    energies: Float[np.ndarray, " band"]
    """Squared norm of the embedding's part in each band; they add up to the squared norm of the embedding."""
    uncertainties: Float[np.ndarray, " band"]
    """Half the width of the bracket each energy is known to lie in, rounding (1e-11 of the whole) aside."""
    steps: int
    """Most Lanczos steps that a column took."""


@dataclass(frozen=True, eq=False)
class FiedlerShare:
    """Share of an embedding's energy, trivial modes removed, that lies in the Fiedler eigenspace."""

    share: float
    uncertainty: float
    """Half the width of the bracket the share is known to lie in, rounding (1e-11) aside."""
    eigenvalue: float
    dimension: int
    """Dimension of the Fiedler eigenspace."""
    chance: float
    """Expected share of an embedding that knows nothing of the graph: the part of all dimensions it has."""


def energy_by_band(
    embedding: Float[np.ndarray, "node width"],
    graph: Graph,
    edges: Float[np.ndarray, " edge"],
    kind: LaplacianKind = "random-walk",
    *,
    self_edges: bool = False,
    tolerance: float = 1e-9,
    step_limit: int = 400,
) -> BandEnergies:
    """Energy of an embedding between the given edges of the Laplacian's spectrum.

        energy of band (a, b) = ||P V||_F²,    P: projector on all eigenvectors with eigenvalue between a and
        b

    Every edge carries a bracket that needs no knowledge of the spectrum: the quadrature with a node fixed at
    the edge (Gauss-Radau) bounds the energy below the edge from both sides, and its weight at the edge is the
    width of the bracket (Chebyshev, Markov, Stieltjes). For an edge in a gap of the spectrum the bracket
    closes exponentially fast and steps end when all columns have theirs below `tolerance` times the energy.
    For an edge inside a dense stretch of a large spectrum it closes only like 1 / steps: `step_limit` then
    ends the search and `uncertainties` says what is left. An edge at an eigenvalue leaves that eigenspace's
    energy undecided.

    Takes O(steps * edges of the graph * width) time; memory beyond the embedding is a few blocks of 32
    columns. Raises `InputError` if the rows do not match the graph, a value is not finite or the edges do not
    ascend.

    >>> from geomem.worlds.graphs.families import cycle
    >>> constant_and_zigzag = np.array([[1.0, 2.0], [1.0, -2.0]] * 3)
    >>> energy_by_band(constant_and_zigzag, cycle(6), np.array([0.5, 2.0])).energies.round(6).tolist()
    [6.0, 0.0, 24.0]
    """
    check_embedding(embedding, graph)
    if len(edges) == 0 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise InputError(
            f"Band edges were given as {np.asarray(edges).tolist()}; give one number or more, ascending."
        )
    L = laplacian_matrix(graph, kind, self_edges=self_edges)
    return _measure_bands(embedding, L, edges, lambda block: block, tolerance, step_limit)


def fiedler_share(
    embedding: Float[np.ndarray, "node width"],
    graph: Graph,
    kind: LaplacianKind = "random-walk",
    *,
    self_edges: bool = False,
    tolerance: float = 1e-9,
    step_limit: int = 400,
) -> FiedlerShare:
    """Share of an embedding's energy that lies on the Fiedler modes, trivial modes taken out.

        ||P V'||_F² / ||V'||_F²,    V' = V without trivial modes,    P: projector on the Fiedler modes

    The same number as from a list of eigenvectors, for graphs whose Fiedler eigenspace is too large to list.
    The band ends in the gap above the Fiedler eigenvalue. Where that gap is too narrow for `step_limit` steps
    the eigenspace is listed, if it is short, and otherwise `uncertainty` says what is left open. Raises
    `InputError` as `energy_by_band` does, and if nothing is left once the trivial modes are out. The Fiedler
    modes of several components (`fiedler_modes`) are always listed, and refused where they are too many.

    >>> from geomem.worlds.graphs.families import path_star
    >>> graph = path_star(arms=300, length=5)
    >>> noise = np.random.default_rng(0).standard_normal((graph.node_count, 8))
    >>> measured = fiedler_share(noise, graph)
    >>> measured.dimension, round(measured.chance, 3), abs(measured.share - measured.chance) < 0.02
    (299, 0.249, True)
    """
    check_embedding(embedding, graph)
    L = laplacian_matrix(graph, kind, self_edges=self_edges)
    labels = component_labels(graph)
    _, trivial_vector = trivial_eigenpairs(graph, kind, self_edges=self_edges)
    project = trivial_projection(trivial_vector, labels)
    if labels.max() > 0:
        # The Fiedler modes of several components are no band.
        listed = _listed_fiedler(graph, kind, self_edges)
        F = listed.eigenvectors[:, fiedler_modes(listed)]
        eigenvalue, dimension = float(listed.eigenvalues[fiedler_modes(listed)[0]]), F.shape[1]
        energy = float(np.square(project(np.asarray(embedding, dtype=np.float64))).sum())
        below, uncertainty = float(np.square(F.T @ embedding).sum()), 0.0
    else:
        fiedler = distinct_low_eigenvalues(graph, 1, kind, self_edges=self_edges)
        eigenvalue, dimension = float(fiedler.values[0]), int(fiedler.dimensions[0])
        bands = _measure_bands(embedding, L, fiedler.ends, project, tolerance, step_limit)
        energy = float(bands.energies.sum())
        below, uncertainty = float(bands.energies[0]), float(bands.uncertainties[0])
        if uncertainty > 10 * tolerance * energy and dimension < SHORT_LIST:
            # The gap is too narrow for the steps, as at the bottom of a large grid; but the list is short.
            listed = lowest_modes(graph, dimension + 1, kind, self_edges=self_edges)
            F = listed.eigenvectors[:, fiedler_modes(listed)]
            below, uncertainty = float(np.square(F.T @ embedding).sum()), 0.0
    if energy <= 1e-24 * float(np.square(embedding, dtype=np.float64).sum()):
        raise InputError(
            f"The embedding of the graph {graph.name!r} is made of trivial modes alone (the nodes of a "
            "component have the same vector), so no share can be taken; give an embedding whose nodes differ."
        )
    return FiedlerShare(
        share=below / energy,
        uncertainty=uncertainty / energy,
        eigenvalue=eigenvalue,
        dimension=dimension,
        chance=float(dimension / (graph.node_count - labels.max() - 1)),
    )


def _listed_fiedler(graph: Graph, kind: LaplacianKind, self_edges: bool) -> Spectrum:
    if graph.node_count <= SMALL_COMPONENT:
        return laplacian_spectrum(graph, kind, self_edges=self_edges)
    return fiedler_spectrum(graph, kind, self_edges=self_edges)


def check_embedding(embedding: Float[np.ndarray, "node width"], graph: Graph) -> None:
    """Raise `InputError` unless the embedding has one row of finite numbers per node of the graph."""
    if len(embedding) != graph.node_count:
        raise InputError(
            f"The embedding has {len(embedding):,} rows and the graph {graph.name!r} {graph.node_count:,} "
            "nodes; give one row per node, in the order of the graph's labels."
        )
    if not np.isfinite(embedding).all():
        raise InputError("The embedding contains NaN or infinity; give finite numbers.")


def _measure_bands(
    embedding: Float[np.ndarray, "node width"],
    L: sparse.csr_array,
    edges: Float[np.ndarray, " edge"],
    project: Callable[[np.ndarray], np.ndarray],
    tolerance: float,
    step_limit: int,
) -> BandEnergies:
    """Add up the brackets of the energy below every edge over all columns of the projected embedding."""
    total = 0.0
    below, bracket, steps = np.zeros(len(edges)), np.zeros(len(edges)), 0
    # An infinity norm bounds the width; it only sets the scale of rounding here.
    scale = float(linalg.norm(L, np.inf))
    for first in range(0, embedding.shape[1], BLOCK_COLUMNS):
        block = project(embedding[:, first : first + BLOCK_COLUMNS].astype(np.float64))
        energies = np.einsum("nb,nb->b", block, block)
        present = energies > 0
        if not present.any():
            continue
        total += energies.sum()
        alphas, betas = _lanczos(L, block[:, present], edges, energies[present], tolerance, step_limit, scale)
        steps = max(steps, len(alphas))
        for column, energy in enumerate(energies[present]):
            lower, weight = _mass_below(alphas[:, column], betas[:, column], edges, scale)
            below += energy * (lower + weight / 2)
            bracket += energy * weight / 2
    cumulative = np.r_[0.0, below, total]
    uncertainties = np.r_[0.0, bracket] + np.r_[bracket, 0.0]
    return BandEnergies(edges, np.maximum(np.diff(cumulative), 0.0), uncertainties, steps)


def _lanczos(
    L: sparse.csr_array,
    block: Float[np.ndarray, "node column"],
    edges: Float[np.ndarray, " edge"],
    energies: Float[np.ndarray, " column"],
    tolerance: float,
    step_limit: int,
    scale: float,
) -> tuple[Float[np.ndarray, "step column"], Float[np.ndarray, "step column"]]:
    """Lanczos started at every column at once: diagonals and off-diagonals of the tridiagonal matrices.

    Stops when, for every column c and edge x, w_c(x) <= tolerance: the weight at x in the Gauss-Radau rule
    is 1 / sum_i p_i(x)² (Christoffel), with p_i the orthonormal polynomials of the measure,

        beta_k p_k(x) = (x - alpha_k) p_{k-1}(x) - beta_{k-1} p_{k-2}(x),    p_0 = 1
    """
    v = block / np.sqrt(energies)
    previous = np.zeros_like(v)
    beta = np.zeros(v.shape[1])
    alphas, betas = [], []
    p, p_previous = np.ones((len(edges), v.shape[1])), np.zeros((len(edges), v.shape[1]))
    sum_of_squares = p**2
    live = np.ones(v.shape[1], dtype=bool)
    for _ in range(step_limit):
        w = L @ v
        previous *= beta
        w -= previous
        alpha = np.einsum("nc,nc->c", v, w)
        np.multiply(v, alpha, out=previous)
        w -= previous
        next_beta = np.sqrt(np.einsum("nc,nc->c", w, w))
        # p grows without bound at edges that are settled; it stands still there before it overflows.
        growing = live & (sum_of_squares < 1e100)
        p_next = ((edges[:, None] - alpha) * p - beta * p_previous) / np.maximum(next_beta, COMPLETE * scale)
        p, p_previous = np.where(growing, p_next, p), np.where(growing, p, p_previous)
        sum_of_squares += np.where(growing, p**2, 0.0)
        # A complete column goes on as zeros, which decouples the rest of its matrix and weighs nothing.
        live &= next_beta > COMPLETE * scale
        beta = np.where(live, next_beta, 0.0)
        alphas.append(alpha)
        betas.append(beta)
        if (~live | (1 / sum_of_squares <= tolerance).all(axis=0)).all():
            break
        previous, v = v, np.multiply(w, np.where(live, 1 / np.where(live, next_beta, 1.0), 0.0), out=w)
    return np.array(alphas), np.array(betas)


def _mass_below(
    alphas: Float[np.ndarray, " step"],
    betas: Float[np.ndarray, " step"],
    edges: Float[np.ndarray, " edge"],
    scale: float,
) -> tuple[Float[np.ndarray, " edge"], Float[np.ndarray, " edge"]]:
    """Share of one column's energy that is surely below each edge, and the share undecided at the edge."""
    lower, undecided = np.zeros(len(edges)), np.zeros(len(edges))
    complete = np.flatnonzero(betas == 0)
    if len(complete):
        # The space is complete: the quadrature is the measure itself, and only a node at the edge is
        # undecided.
        alphas, betas = alphas[: complete[0] + 1], betas[: complete[0] + 1]
    for number, edge in enumerate(edges):
        diagonal, off_diagonal = alphas, betas[:-1]
        if betas[-1] > 0:
            # Gauss-Radau: one more row, its diagonal entry chosen so that the edge is an eigenvalue (Golub
            # 1973).
            pivot = alphas[0] - edge
            for alpha, beta in zip(alphas[1:], betas[:-1], strict=True):
                pivot = alpha - edge - beta**2 / (pivot or np.finfo(float).tiny)
            last = edge + betas[-1] ** 2 / (pivot or np.finfo(float).tiny)
            # Without bound where the edge is a Gauss node already; the matrix then needs no further row.
            if abs(last) < 1e3 * scale:
                diagonal, off_diagonal = np.r_[alphas, last], betas
        nodes, vectors = eigh_tridiagonal(diagonal, off_diagonal)
        weights = vectors[0] ** 2
        at_edge = np.abs(nodes - edge) <= NODE_TOLERANCE * scale
        lower[number] = weights[(nodes < edge) & ~at_edge].sum()
        undecided[number] = weights[at_edge].sum()
    return lower, undecided
