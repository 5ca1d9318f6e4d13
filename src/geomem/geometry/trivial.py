"""The trivial modes: the lowest mode of every connected component, of one sign, nearly constant on it."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from geomem.geometry.inertia import factorize
from geomem.geometry.spectrum import LaplacianKind, laplacian_matrix
from geomem.worlds.graphs.graph import Graph, component_labels, node_degrees


def trivial_eigenpairs(
    graph: Graph, kind: LaplacianKind = "random-walk", *, self_edges: bool = False, accuracy: float = 1e-15
) -> tuple[Float[np.ndarray, " component"], Float[np.ndarray, " node"]]:
    """The lowest eigenvalue of every component, and its positive unit eigenvector on that component's nodes.

    Combinatorial: 0 and a constant. Normalized: 0 and the square root of the degrees. Random-walk: by inverse
    iteration on all components at once, each with its own shift. A bold shift is the quotient less the
    residual; where the solution then changes sign the shift was not below the lowest eigenvalue (the inverse
    of an M-matrix is positive), and that component repeats with Noda's shift min_i (L x)_i / x_i, which
    always is. It stops when the norm of L x - value x, relative to the width of the spectrum, is below
    `accuracy` or down to rounding. Raises `ArithmeticError` if it does not converge.

    >>> from geomem.worlds.graphs.families import irregular
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
        degrees = node_degrees(graph) + float(self_edges)
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
        if residual <= accuracy or 0.5 * last <= residual <= 1e-11:
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


def trivial_projection(
    vector: Float[np.ndarray, " node"], labels: Int[np.ndarray, " node"]
) -> Callable[[np.ndarray], np.ndarray]:
    """The function that takes the trivial modes out of vectors [node] or [node, width].

    `vector` holds the unit trivial mode of every component side by side, as `trivial_eigenpairs` gives it.
    """
    nodes = np.arange(len(vector))
    T = sparse.coo_array((vector, (nodes, labels)), shape=(len(vector), labels.max() + 1)).tocsr()
    return lambda x: x - T @ (T.T @ x)
