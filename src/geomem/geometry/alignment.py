"""How an embedding lies in the graph's spectrum: alignment with eigenspaces, energies, and fit to a map.

    V: embedding [node, width];  e_1, e_2, ...: orthonormal eigenvectors of the Laplacian L, lowest eigenvalue
    first

Eigenvalues of our graphs repeat, so nothing here depends on the basis chosen inside an eigenspace. Functions
accept one embedding [node, width] or many [..., node, width].
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.measurement import measurement
from geomem.geometry.projection import pca
from geomem.geometry.spectrum import Spectrum, fiedler_modes, trivial_modes


def mode_energies(
    embeddings: Float[np.ndarray, "*run node width"], spectrum: Spectrum
) -> Float[np.ndarray, "*run mode"]:
    """Energy of an embedding along every listed eigenvector: ||V^T e_i||^2.

    Over a full spectrum they sum to ||V||^2. Inside an eigenspace single values depend on the solver's basis.

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import path
    >>> mode_energies(np.eye(3), laplacian_spectrum(path(3))).round(6).tolist()
    [1.0, 1.0, 1.0]
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    return ((spectrum.eigenvectors.T @ embeddings) ** 2).sum(axis=-1)


def energy_by_eigenspace(
    embeddings: Float[np.ndarray, "*run node width"], spectrum: Spectrum
) -> Float[np.ndarray, "*run eigenspace"]:
    """Share of the energy ||V||^2 in each eigenspace, from the lowest Laplacian eigenvalue up.

        ||P_g V||^2 / ||V||^2,    P_g: projector on eigenspace g

    Over a full spectrum the shares sum to 1 (all are 0 for an embedding of zeros). A geometry puts its energy
    on the first few, a zig-zag on the last, a lookup table on all in proportion to their dimensions.

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import cycle
    >>> energy_by_eigenspace(np.eye(6), laplacian_spectrum(cycle(6))).round(3).tolist()
    [0.167, 0.333, 0.333, 0.167]
    """
    energies = mode_energies(embeddings, spectrum)
    starts = np.unique(spectrum.eigenspaces, return_index=True)[1]
    total = (np.asarray(embeddings, dtype=np.float64) ** 2).sum(axis=(-2, -1))[..., None]
    groups = np.add.reduceat(energies, starts, axis=-1)
    return np.divide(groups, total, out=np.zeros_like(groups), where=total > 0)


def lowest_modes_in_whole_eigenspaces(spectrum: Spectrum, count: int) -> Int[np.ndarray, " mode"]:
    """The `count` lowest modes that are not trivial, rounded up to whole eigenspaces.

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import cycle
    >>> lowest_modes_in_whole_eigenspaces(laplacian_spectrum(cycle(6)), 3).tolist()
    [1, 2, 3, 4]
    """
    others = np.setdiff1d(np.arange(len(spectrum.eigenvalues)), trivial_modes(spectrum))
    last = spectrum.eigenspaces[others[: max(count, 1)]].max(initial=-1)
    return others[spectrum.eigenspaces[others] <= last]


def highest_modes_in_whole_eigenspaces(spectrum: Spectrum, count: int) -> Int[np.ndarray, " mode"]:
    """The `count` modes of highest Laplacian eigenvalue (the bottom of -L), rounded up to whole eigenspaces.

    Trivial modes are never among them.

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import cycle
    >>> highest_modes_in_whole_eigenspaces(laplacian_spectrum(cycle(6)), 2).tolist()
    [3, 4, 5]
    """
    others = np.setdiff1d(np.arange(len(spectrum.eigenvalues)), trivial_modes(spectrum))
    first = spectrum.eigenspaces[others[-max(count, 1) :]].min(initial=len(spectrum.eigenvalues))
    return others[spectrum.eigenspaces[others] >= first]


def _share_of_energy(
    embeddings: Float[np.ndarray, "*run node width"], vectors: Float[np.ndarray, "node mode"]
) -> Float[np.ndarray, "*run"] | float:
    embeddings = np.asarray(embeddings, dtype=np.float64)
    total = np.asarray((embeddings**2).sum(axis=(-2, -1)))
    energy = np.asarray(((vectors.T @ embeddings) ** 2).sum(axis=(-2, -1)))
    return np.divide(energy, total, out=np.zeros_like(total), where=total > 0)[()]


def _fiedler_work(rows: np.ndarray, spectrum: Spectrum) -> int:
    rank = rows.shape[1]
    return rows.size * (rank + len(fiedler_modes(spectrum))) + 8 * rank**3


@measurement(
    "Fiedler alignment",
    of="seen rows",
    any_basis=True,
    work=_fiedler_work,
    curve=True,
    compared=True,
    section="spectrum",
)
def fiedler_alignment(
    embeddings: Float[np.ndarray, "*run node width"], spectrum: Spectrum
) -> Float[np.ndarray, "*run"] | float:
    """Share of the main directions in the graph's smoothest (Fiedler) eigenspace: 1 all, 0 none.

        (1/k) ||F^T U_k||^2,    F: basis of the Fiedler eigenspace, k its dimension,
                                U_k: top k left singular vectors of V with the trivial modes projected out

    The trivial modes are one per connected component; the Fiedler eigenspace belongs to the lowest eigenvalue
    of L after them (3 dimensions on a path-star of 4 arms, 2 on a cycle or a square grid). 1: the embedding's
    main directions are the Fiedler vectors; 0: orthogonal to them. Random embeddings of small graphs score
    anywhere from 0 to .5, so read it beside its null. A direction that is missing (V of lower rank than k)
    counts as 0; with singular values equal at the cut U_k is not unique and the solver's choice decides.

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> float(np.round(fiedler_alignment(circle, laplacian_spectrum(cycle(15))), 6))
    1.0
    """
    T = spectrum.eigenvectors[:, trivial_modes(spectrum)]
    F = spectrum.eigenvectors[:, fiedler_modes(spectrum)]
    V = np.asarray(embeddings, dtype=np.float64)
    k = F.shape[1]
    V = V - T @ (T.T @ V)
    # Only the top directions are wanted, and the Gram matrix of the smaller side has them: V R_k = U_k
    # diag(s_k).
    if V.shape[-1] > V.shape[-2]:
        squares, U = np.linalg.eigh(V @ np.swapaxes(V, -1, -2))
        projected = F.T @ U[..., -k:] * np.sqrt(np.maximum(squares[..., None, -k:], 0.0))
    else:
        squares, R = np.linalg.eigh(np.swapaxes(V, -1, -2) @ V)
        projected = F.T @ V @ R[..., -k:]
    squares = squares[..., -k:]
    # Rounding leaves about 1e-16 of the energy in directions that V does not have; those are missing, not
    # aligned.
    present = squares > 1e-12 * (np.asarray(embeddings, dtype=np.float64) ** 2).sum(axis=(-2, -1))[..., None]
    shares = (projected**2).sum(axis=-2)
    return np.divide(shares, squares, out=np.zeros_like(shares), where=present).sum(axis=-1) / k


@measurement(
    "Energy at the smooth end",
    of="seen rows",
    any_basis=True,
    work=lambda rows, spectrum: rows.size * len(lowest_modes_in_whole_eigenspaces(spectrum, 3)),
    section="spectrum",
)
def low_energy(
    embeddings: Float[np.ndarray, "*run node width"], spectrum: Spectrum, *, count: int = 3
) -> Float[np.ndarray, "*run"] | float:
    """Share of squared length on the three lowest non-trivial Laplacian modes, in whole eigenspaces.

    Three unless `count` says otherwise, or the last one's eigenspace has more. These are the paper's
    "Fiedler-like" vectors. Compare with the share a random embedding has there: the number of those modes
    over the number of nodes.

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import cycle
    >>> float(np.round(low_energy(np.eye(6), laplacian_spectrum(cycle(6))), 6))
    0.666667
    """
    return _share_of_energy(
        embeddings, spectrum.eigenvectors[:, lowest_modes_in_whole_eigenspaces(spectrum, count)]
    )


@measurement(
    "Energy at the rough end",
    of="seen rows",
    any_basis=True,
    work=lambda rows, spectrum: rows.size * len(highest_modes_in_whole_eigenspaces(spectrum, 3)),
    section="spectrum",
)
def bottom_energy(
    embeddings: Float[np.ndarray, "*run node width"], spectrum: Spectrum, *, count: int = 3
) -> Float[np.ndarray, "*run"] | float:
    """The same on the highest modes, along which neighbours have opposite signs: high in a zig-zag.

    At least the `count` lowest modes of -L, in whole eigenspaces: "bottom-eigenvector energy" of notes D.

    >>> from geomem.geometry.spectrum import laplacian_spectrum
    >>> from geomem.worlds.graphs.families import path
    >>> signs = np.array([[1.0], [-1.0], [1.0], [-1.0], [1.0], [-1.0]])
    >>> bool(bottom_energy(signs, laplacian_spectrum(path(6)), count=1) > 0.9)
    True
    """
    return _share_of_energy(
        embeddings, spectrum.eigenvectors[:, highest_modes_in_whole_eigenspaces(spectrum, count)]
    )


@dataclass(frozen=True, eq=False)
class MapFit:
    """Learned coordinates laid over the true ones."""

    correlation: float
    """Procrustes correlation, 0 to 1."""
    aligned: Float[np.ndarray, "node axis"]
    """Learned coordinates shifted, scaled, turned and if need be mirrored onto the true ones."""


def normalized_shape(coordinates: Float[np.ndarray, "*run node axis"]) -> Float[np.ndarray, "*run node axis"]:
    """Coordinates with mean zero and sum of squares one; all zeros if the points coincide."""
    centred = np.asarray(coordinates, dtype=np.float64)
    centred = centred - centred.mean(axis=-2, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=(-2, -1), keepdims=True))
    return np.divide(centred, size, out=np.zeros_like(centred), where=size > 0)


def procrustes_correlation(
    learned: Float[np.ndarray, "*run node axis"], true: Float[np.ndarray, "*#run node axis"]
) -> Float[np.ndarray, "*run"] | float:
    """How well points fit others after shift, scale, rotation and reflection (Jackson 1995, PROTEST).

        sqrt(1 - m^2) = sum of the singular values of X^T Y,    X, Y: both sets centred, with sum of squares 1

    1: the same shape; even unrelated points score well above 0, so read it against permuted nodes.

    >>> square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    >>> float(np.round(procrustes_correlation(square, 3 * square[:, ::-1] - 7), 6))
    1.0
    """
    cross = np.swapaxes(normalized_shape(learned), -1, -2) @ normalized_shape(true)
    return np.minimum(np.linalg.svd(cross, compute_uv=False).sum(axis=-1), 1.0)


def map_coordinates(embeddings: Float[np.ndarray, "*run node width"]) -> Float[np.ndarray, "*run node 2"]:
    """The coordinates that are compared with a map: the first two principal directions of every embedding.

    >>> map_coordinates(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]])).tolist()
    [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]]
    """
    flat = np.reshape(embeddings, (-1, *embeddings.shape[-2:]))
    places = np.stack([pca(embedding, dimensions=2).coordinates for embedding in flat])
    return places.reshape((*embeddings.shape[:-1], 2))


@measurement(
    "Correlation with the true map",
    prepare=map_coordinates,
    work=lambda places, true: 10 * len(places),
    compared=True,
    section="places",
)
def map_correlation(
    places: Float[np.ndarray, "*run node 2"], coordinates: Float[np.ndarray, "node 2"]
) -> Float[np.ndarray, "*run"] | float:
    """Procrustes correlation of the first two principal directions with the true places: 1 the same map.

    `places` are the `map_coordinates` of embeddings.

    >>> square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    >>> float(np.round(map_correlation(map_coordinates(square @ np.ones((2, 2))), square), 3))
    0.707
    """
    return procrustes_correlation(places, coordinates)


def fit_to_map(learned: Float[np.ndarray, "node axis"], true: Float[np.ndarray, "node axis"]) -> MapFit:
    """Lay learned coordinates over the true ones: the best shift, scale, rotation and reflection.

    Minimises the sum of squared distances; the correlation is `procrustes_correlation`'s. For an embedding
    give its `map_coordinates`. Use it to draw the two maps side by side.

    >>> square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    >>> fit = fit_to_map(3 * square[:, ::-1] - 7, square)
    >>> bool(np.allclose(fit.aligned, square))
    True
    """
    X, Y = normalized_shape(learned), normalized_shape(true)
    left, values, right = np.linalg.svd(X.T @ Y)
    correlation = min(float(values.sum()), 1.0)
    centre = np.asarray(true, dtype=np.float64).mean(axis=0)
    size = np.linalg.norm(true - centre)
    return MapFit(correlation, X @ (left @ right) * values.sum() * size + centre)
