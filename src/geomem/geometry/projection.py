"""Few coordinates to look at: principal components of embeddings and snapshots, Laplacian coordinates.

Axis names: `snapshot`, `node`, `width`, `dimension`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from geomem.errors import InputError
from geomem.geometry.lowest_modes import lowest_modes
from geomem.worlds.graphs.graph import Graph


@dataclass(frozen=True, eq=False)
class Projection:
    """Nodes seen along the directions in which they vary most."""

    coordinates: Float[np.ndarray, "*snapshot node dimension"]
    explained: Float[np.ndarray, " dimension"]
    """Share of the variance along each direction; what is missing to 1 is not seen."""


def pca(embedding: Float[np.ndarray, "node width"], *, dimensions: int = 3) -> Projection:
    """Principal components of the nodes: centred, projected on the directions of largest variance.

    Signs are fixed by `column_signs`, so the same embedding always gives the same picture.
    If the embedding has fewer directions than asked for, the rest of the coordinates are 0.

    >>> view = pca(np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), dimensions=2)
    >>> view.coordinates[0].tolist(), view.explained.round(6).tolist()
    ([2.0, 0.0], [0.8, 0.2])
    """
    view = joint_pca(np.asarray(embedding)[None], dimensions=dimensions)
    return Projection(view.coordinates[0], view.explained)


def joint_pca(snapshots: Float[np.ndarray, "snapshot node width"], *, dimensions: int = 3) -> Projection:
    """Principal components of all snapshots together, so that one set of axes serves the whole of training.

    The snapshots are stacked, centred on their common mean and projected on the directions of largest
    variance of the stack; a node's movement between two snapshots is then a movement in the picture and never
    a turn of the axes.

    >>> still = np.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> joint_pca(np.stack([still, 3 * still]), dimensions=1).coordinates[:, 0, 0].tolist()
    [1.0, 3.0]
    """
    if dimensions < 1:
        raise InputError(f"dimensions was {dimensions}; give at least 1.")
    stacked = np.asarray(snapshots, dtype=np.float64)
    centred = stacked - stacked.mean(axis=(0, 1))
    rows = centred.reshape(-1, centred.shape[-1])
    if len(rows) < rows.shape[1]:
        _, values, directions = np.linalg.svd(rows, full_matrices=False)
        variances = values**2
    else:
        variances, vectors = np.linalg.eigh(rows.T @ rows)
        variances, directions = np.maximum(variances[::-1], 0.0), vectors[:, ::-1].T
    total = variances.sum()
    kept = min(dimensions, len(directions))
    coordinates = np.zeros((*stacked.shape[:-1], dimensions))
    explained = np.zeros(dimensions)
    # A direction holding no variance but rounding has no meaning and would show noise at the scale of the
    # picture.
    coordinates[..., :kept] = (centred @ directions[:kept].T) * (variances[:kept] > 1e-14 * total)
    explained[:kept] = variances[:kept] / total if total > 0 else 0.0
    return Projection(coordinates * column_signs(coordinates.reshape(-1, dimensions)), explained)


def column_signs(columns: Float[np.ndarray, "node dimension"]) -> Float[np.ndarray, " dimension"]:
    """For every column the sign that makes its first entry of more than half the largest magnitude positive.

    Not the largest entry itself: by symmetry several may share its magnitude, and rounding would choose among
    them.

    >>> column_signs(np.array([[0.1, 2.0], [-3.0, 2.0]])).tolist()
    [-1.0, 1.0]
    """
    magnitudes = np.abs(columns)
    anchors = (magnitudes > 0.5 * magnitudes.max(axis=0)).argmax(axis=0)
    return np.where(columns[anchors, np.arange(columns.shape[1])] < 0, -1.0, 1.0)


def laplacian_coordinates(graph: Graph, *, dimensions: int = 3) -> Float[np.ndarray, "node dimension"]:
    """Coordinates of the graph itself: the Laplacian's eigenvectors after the lowest.

    As in the release (`analysis_spectral`): column 1 is the eigenvector of the second lowest eigenvalue,
    and so on: the picture that an embedding of only the graph's smoothest modes would give. In a graph
    of several components the first columns tell the components apart. Columns beyond the number of nodes
    are 0. Raises `InputError` if an eigenspace at the cut is too large to list.

    >>> from geomem.worlds.graphs.families import path
    >>> laplacian_coordinates(path(4), dimensions=1).round(2).ravel().tolist()
    [0.57, 0.41, -0.41, -0.57]
    """
    available = min(dimensions, graph.node_count - 1)
    spectrum = lowest_modes(graph, available + 1)
    coordinates = np.zeros((graph.node_count, dimensions))
    coordinates[:, :available] = spectrum.eigenvectors[:, 1 : available + 1]
    return coordinates
