"""What is left of random embeddings once heat has flowed along the edges of a graph.

Gradient descent on one-hop Node2Vec begins so: while every node still answers itself, P ≈ I and dV = -L V
with L = 2I - T - Tᵀ, the random-walk Laplacian. After rate times steps s an embedding is exp(-s L) times what
it was, and the mean of V Vᵀ over random starts is exp(-2 s L).
"""

import numpy as np
from jaxtyping import Float

from geomem.errors import InputError
from geomem.geometry.spectrum import Spectrum
from geomem.worlds.graphs.graph import Graph


def heat_levels(
    graph: Graph, spectrum: Spectrum, depths: Float[np.ndarray, " depth"], own: Float[np.ndarray, " own"]
) -> Float[np.ndarray, "depth own"]:
    """Mean cosine over the edges once heat has flowed for a depth and every node has something of its own.

        K = exp(-2 s L),    mean over edges of K_uv / √((K_uu + o k) (K_vv + o k)),    k: mean of K_uu

    s is the depth and o the share of one's own: a random direction per node, of squared length o k.

    Raises `InputError` for a spectrum of another graph, or a depth or share below 0.

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import cycle
    >>> ring, depths = cycle(15), np.array([0.0, 0.1, 1.0])
    >>> heat_levels(ring, laplacian_spectrum(ring), depths, np.array([0.0, 1.0])).round(2).tolist()
    [[0.0, 0.0], [0.2, 0.1], [0.86, 0.43]]
    """
    values, U = spectrum.eigenvalues, spectrum.eigenvectors
    if len(U) != graph.node_count:
        raise InputError(
            f"The spectrum is of {len(U)} nodes and the graph of {graph.node_count}; give that of the graph."
        )
    if min(depths.min(), own.min()) < 0:
        raise InputError("A depth or a share of one's own is below 0; give numbers of at least 0.")
    first, second = graph.edges.T
    levels = np.empty((len(depths), len(own)))
    for number, depth in enumerate(depths):
        # A factor leaves the cosines as they are; so none overflows where an eigenvalue is negative.
        half = U * np.exp(-depth * (values - values.min()))
        energies = np.einsum("nm,nm->n", half, half)
        products = np.einsum("em,em->e", half[first], half[second])
        lengths = np.sqrt(energies[:, None] + own * energies.mean())
        levels[number] = (products[:, None] / (lengths[first] * lengths[second])).mean(axis=0)
    return levels


def heat_energies(spectrum: Spectrum, depths: Float[np.ndarray, " depth"]) -> Float[np.ndarray, " depth"]:
    """Mean energy that random embeddings, of 1 at first, have once heat has flowed: mean of exp(-2 s λ).

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import cycle
    >>> heat_energies(laplacian_spectrum(cycle(15)), np.array([0.0, 0.1, 1.0])).round(2).tolist()
    [1.0, 0.7, 0.21]
    """
    with np.errstate(over="ignore"):
        return np.exp(-2 * depths[:, None] * spectrum.eigenvalues).mean(axis=1)
