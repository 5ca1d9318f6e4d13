"""`geomem.geometry.structure` asked of fleets: what their embeddings know beyond chance."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from geomem.claims.evidence import FleetEvidence
from geomem.geometry import structure
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.spectrum import Spectrum, laplacian_spectrum


def contrast(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """`structure.contrast` of the final embeddings."""
    return structure.contrast(fleet.embeddings, fleet.request.world)


def structured(fleet: FleetEvidence) -> Bool[np.ndarray, " run"]:
    """`structure.find_structure` of the final embeddings."""
    return structure.find_structure(fleet.embeddings, fleet.request.world)


def first_step_structured(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """The step of the first snapshot in which structure is found; infinity if there is none."""
    first = structure.first_structured(fleet.snapshots, fleet.request.world)
    return np.append(fleet.snapshot_steps, np.inf)[first]


def alignment_curve(fleet: FleetEvidence) -> Float[np.ndarray, "snapshot run"]:
    """Fiedler alignment of every snapshot."""
    spectrum = laplacian_spectrum(fleet.request.world)
    return np.asarray(fiedler_alignment(fleet.snapshots.astype(np.float64), spectrum))


def above_chance(
    fleet: FleetEvidence, statistic: Callable[[np.ndarray, Spectrum], np.ndarray | float]
) -> Bool[np.ndarray, " run"]:
    """`structure.exceeds_chance` of the final embeddings."""
    return structure.exceeds_chance(fleet.embeddings, fleet.request.world, statistic)
