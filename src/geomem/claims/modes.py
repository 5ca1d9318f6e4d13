"""What the claims about Node2Vec measure: its embedding and its gradient matrix on the Laplacian's modes.

Glossary (arXiv 2510.26745, section 4): V embedding [node, width], C gradient matrix, P row softmax of V Vᵀ,
e_i eigenvectors of L = 2I - D⁻¹A - (D⁻¹A)ᵀ. Numbers per mode are root mean squares over the modes of one
eigenvalue, which no choice of basis changes.
"""

import numpy as np
from jaxtyping import Float

from geomem.claims.evidence import FleetEvidence
from geomem.claims.tiny_graphs import GRAPHS
from geomem.geometry.dynamics import (
    gradient_on_modes,
    mode_projections,
    node2vec_gradient_matrix,
    target_distribution,
)
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import edge_examples

SURVIVORS = {"star": 4, "grid": 3, "cycle": 3, "irregular": 4}
"""Modes that survive, the trivial ones (one per component) included."""
TRIVIAL = {"star": 1, "grid": 1, "cycle": 1, "irregular": 2}


def project_on_modes(fleet: FleetEvidence) -> Float[np.ndarray, "run mode"]:
    """‖Vᵀ e_i‖ at the end, root mean square over each eigenspace, in the order of L's eigenvalues."""
    spectrum = laplacian_spectrum(fleet.request.world)
    return smooth_over_eigenspaces(
        mode_projections(fleet.embeddings, spectrum.eigenvectors), spectrum.eigenspaces
    )


def push_on_modes(fleet: FleetEvidence) -> Float[np.ndarray, "run mode"]:
    """‖C e_i‖ at the end, root mean square over each eigenspace."""
    spectrum = laplacian_spectrum(fleet.request.world)
    targets = targets_of(fleet)
    return smooth_over_eigenspaces(
        gradient_on_modes(fleet.embeddings, targets, spectrum.eigenvectors), spectrum.eigenspaces
    )


def smooth_over_eigenspaces(
    values: Float[np.ndarray, "*batch mode"], eigenspaces: np.ndarray
) -> Float[np.ndarray, "*batch mode"]:
    """Every value replaced by the root mean square over the modes of its eigenspace."""
    members = (eigenspaces[:, None] == eigenspaces[None, :]).astype(float)
    return np.sqrt(values**2 @ members / members.sum(axis=0))


def targets_of(fleet: FleetEvidence) -> Float[np.ndarray, "node node"]:
    """D⁻¹A, the targets of every node."""
    graph = fleet.request.world
    return target_distribution(edge_examples(graph, fleet.request.task), graph.node_count)


def relative_gradient(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """‖C V‖ / ‖V‖ at the end: how fast the embedding still moves, in units of the learning rate."""
    V = fleet.embeddings
    C = node2vec_gradient_matrix(V, targets_of(fleet))
    return np.linalg.norm(C @ V, axis=(1, 2)) / np.linalg.norm(V, axis=(1, 2))


def eigenvector_residual(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """How far the main eigenvectors u of V Vᵀ are from being eigenvectors of S = P + Pᵀ.

    max over u of ‖S u - (uᵀ S u) u‖, over as many leading eigenvectors as modes survive.
    """
    count = SURVIVORS[graph_name(fleet.request.world)]
    worst = []
    for V, C in zip(
        fleet.embeddings, node2vec_gradient_matrix(fleet.embeddings, targets_of(fleet)), strict=True
    ):
        S = targets_of(fleet) + targets_of(fleet).T - C
        U = np.linalg.svd(V)[0][:, :count]
        along = np.einsum("nm,nk,km->m", U, S, U)
        worst.append(np.linalg.norm(S @ U - U * along, axis=0).max())
    return np.array(worst)


def graph_name(graph: Graph) -> str:
    """The name the tables use for one of the tiny graphs."""
    return next(name for name, known in GRAPHS.items() if known.digest == graph.digest)


def fiedler_set(graph: str) -> slice:
    """The modes that survive, without the trivial ones."""
    return slice(TRIVIAL[graph], SURVIVORS[graph])
