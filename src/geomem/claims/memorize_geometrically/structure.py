"""What claims ask of a fleet's embeddings, and the checks that several groups share."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from geomem.claims.check import Check, Over, check
from geomem.claims.evidence import FleetEvidence, shells
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


def second_minus_first(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """How much more alike second neighbours are than neighbours: positive in a zig-zag."""
    means = shells(fleet)
    return means[:, 1] - means[:, 0]


def check_structure(
    name: str, fleet: FleetEvidence, *, known: bool = True, over: Over = "most seeds"
) -> Check:
    """The contrast of the final embeddings; passes where cosines by distance show the graph, or do not."""
    rule = "differs from permuted nodes (p at most 0.05, contrast at least 0.1)"
    held = structured(fleet) == known
    return check(
        name, contrast(fleet), held=held, rule=rule if known else "is that of permuted nodes", over=over
    )


def check_share(
    name: str, fleet: FleetEvidence, energy: Callable[[np.ndarray, Spectrum], np.ndarray | float]
) -> Check:
    """A share of the final embeddings' energy; passes where it exceeds that of permuted nodes."""
    graph = fleet.request.world
    return check(
        name,
        energy(fleet.embeddings, laplacian_spectrum(graph)),
        held=structure.exceeds_chance(fleet.embeddings, graph, energy),
        rule="above that of permuted nodes (p at most 0.05)",
    )
