"""Claims: how Node2Vec's embedding and gradient move along the Laplacian's modes (Fig 7; N2, N3, N7, N9).

Glossary (arXiv 2510.26745, section 4): V embedding [node, width], C gradient matrix, P row softmax of V Vᵀ,
e_i eigenvectors of L = 2I - D⁻¹A - (D⁻¹A)ᵀ. "Fiedler set": the modes that survive training, trivial ones left
out. Numbers per mode are root mean squares over the modes of one eigenvalue.
"""

import numpy as np

from geomem.claims.check import check, draw_bands, paper
from geomem.claims.claim import claim, deviates, expects, expects_each, needs
from geomem.claims.counterexamples import geometric
from geomem.claims.evidence import FleetEvidence
from geomem.claims.memorize_geometrically.node2vec import count_survivors, needs_baseline, node2vec_fleets
from geomem.claims.memorize_geometrically.theory import targets_of
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS, expects_by_graph
from geomem.geometry import dynamics
from geomem.geometry.spectrum import fiedler_modes, laplacian_spectrum

PROJECTIONS = {"star": (6.083,), "grid": (5.37,), "cycle": (6.75,), "irregular": (5.03, 4.04)}
"""Per eigenvalue of the Fiedler set; the star's 6.10, 6.08, 6.07 are one eigenspace."""
PLATEAUS = (0.159, 0.063, 0.0, 0.112)
"""Largest ‖C e_i‖ on the Fiedler set, by graph."""

RESIDUALS = (0.42, 0.25, 5e-6, 0.22)

STILL = 1e-3
"""Below this ‖C e_i‖ counts as zero."""


def projection_name(graph: str, number: int) -> str:
    """The quantity of one eigenvalue's projection; numbered where there are several."""
    return f"projection{f' {number + 1}' * (len(PROJECTIONS[graph]) > 1)}, {graph}"


def lengths_on_modes(fleet: FleetEvidence, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """‖Vᵀ e_i‖ on the Fiedler set and on the modes that follow it, [..., mode]."""
    spectrum = laplacian_spectrum(fleet.request.world)
    lengths = dynamics.mode_projections(embeddings, spectrum.eigenvectors)
    lengths = dynamics.average_over_eigenspaces(lengths, spectrum)
    fiedler = fiedler_modes(spectrum)
    return lengths[..., fiedler], lengths[..., fiedler[-1] + 1 :]


def pushes_on_fiedler_set(fleet: FleetEvidence, embeddings: np.ndarray) -> np.ndarray:
    """‖C e_i‖ on the Fiedler set, [..., mode]."""
    spectrum, targets = laplacian_spectrum(fleet.request.world), targets_of(fleet.request.world)
    pushes = dynamics.gradient_on_modes(embeddings, targets, spectrum.eigenvectors)
    return dynamics.average_over_eigenspaces(pushes, spectrum)[..., fiedler_modes(spectrum)]


def largest_push(fleet: FleetEvidence) -> np.ndarray:
    """The largest ‖C e_i‖ on the Fiedler set at the end, [run]."""
    return pushes_on_fiedler_set(fleet, fleet.embeddings).max(axis=1)


@claim("dynamics/projections", "N2", place="Obs 4, Fig 7; N2")
@needs_baseline
@expects_each(
    (value, "own measurement", "B.3.6", projection_name(graph, number), "to 2 %")
    for graph, values in PROJECTIONS.items()
    for number, value in enumerate(values)
)
def projections(runs):
    """Only the top of the spectrum survives.

    The embedding's projections on the Fiedler-like eigenvectors converge to numbers that are not zero, the
    others' towards zero.
    """
    for graph, expected in PROJECTIONS.items():
        fleet = runs[f"node2vec/{graph}"]
        kept, rest = lengths_on_modes(fleet, fleet.embeddings)
        for number, value in enumerate(expected):
            lengths = kept[:, number * (kept.shape[1] // len(expected))]
            name, near = projection_name(graph, number), abs(lengths.mean() / value - 1) <= 0.02
            yield check(name, lengths, held=near, rule="within 2 % of the reference", over="mean")
        lead = kept.min(axis=1) / rest.max(axis=1)
        yield check(f"lowest survivor / largest of the rest, {graph}", lead, at_least=4, over="every seed")
        yield check(f"largest of the rest, {graph}", rest.max(axis=1))


@claim("dynamics/null-space", "N3", place="Obs 4 and caption of Fig 7; N3, E.4 1")
@needs_baseline
@deviates("Exact on the cycle only; star, grid and irregular graph come to rest near zero, not at it.")
@expects_by_graph("largest ‖C e‖", PLATEAUS, "own measurement", "E.3, N3")
def null_space(runs):
    """C has the Fiedler-like vectors in its null space.

    ‖C e_i‖ goes to zero on the Fiedler-like eigenvectors.
    """
    for graph, plateau in zip(GRAPHS, PLATEAUS, strict=True):
        name, push = f"largest ‖C e‖, {graph}", largest_push(runs[f"node2vec/{graph}"])
        plateaued = check(name, push, held=np.abs(push - plateau) <= 0.01, rule="within 0.01 of its plateau")
        yield check(name, push, below=STILL) if graph == "cycle" else plateaued
        yield paper(check(name, push, below=STILL, over="mean"))


@claim("dynamics/same-eigenvectors", "N7", "obs-8", place="Obs 8 (assumed, not proved); N7, E.4 1")
@needs_baseline
@deviates("True on circulant graphs only, of which the cycle is the one here.")
@expects_by_graph(
    "residual", (0.42, 0.25, 5e-6, 0.22), "replication", "E.3, N7; its definition is not published"
)
def same_eigenvectors(runs):
    """P + Pᵀ and V Vᵀ share their eigenvectors.

    The eigenvectors of P + Pᵀ are nearly those of V Vᵀ, in the same order, at all times.
    """
    for graph, world in GRAPHS.items():
        V, count = runs[f"node2vec/{graph}"].embeddings, count_survivors(world)
        values = dynamics.eigenvector_residual(V, targets_of(world), count)
        same = check(f"residual, {graph}", values, below=STILL, over="mean")
        yield same if graph == "cycle" else check(f"residual, {graph}", values, above=0.1, over="mean")
        yield paper(same)


@claim("dynamics/convergence", "N9", place="replication of v2; N9")
@needs(node2vec_fleets("long", steps=20_000, graphs=("cycle", "star", "grid")), counterexample=geometric)
@expects("15,855 steps (cycle)", "replication", "E.3, N9", tolerance="at rest by 20,000")
def convergence(runs):
    """The cycle converges, star and grid plateau.

    Training comes to rest on the cycle, at about 15.9 thousand steps, and not on star and grid.
    """
    for graph in ("cycle", "star", "grid"):
        fleet, rests = runs[f"long/{graph}"], graph == "cycle"
        moving = dynamics.relative_gradient(fleet.embeddings, targets_of(fleet.request.world))
        for name, values, zero, plateau in (
            ("‖C V‖ / ‖V‖", moving, 1e-5, 1e-4),
            ("largest ‖C e‖", largest_push(fleet), STILL, 0.03),
        ):
            below, above = (zero, None) if rests else (None, plateau)
            yield check(f"{name}, {graph}", values, below=below, above=above, over="mean")


@claim("dynamics/over-time", "fig-7", place="Fig 7, left (v2 Fig 9)")
@needs_baseline
@expects("kept / lost", "paper", "Fig 7")
def over_time(runs):
    """Projections over time.

    Over training the Fiedler-like projections converge to numbers that are not zero, the others decay.
    """
    curves = []
    for graph, fleet in runs.of("node2vec"):
        fiedler, rest = lengths_on_modes(fleet, fleet.snapshots.astype(np.float64))
        stays, goes = (fiedler[-1] / fiedler[0]).min(axis=1), (rest[-1] / rest[0]).mean(axis=1)
        yield check(f"kept, Fiedler set, {graph}", stays, at_least=0.35)
        yield check(f"kept, the rest, {graph}", goes, at_most=0.1)
        for modes, lengths in (("Fiedler set", fiedler), ("the rest", rest)):
            curves.append((f"{graph}, {modes}", fleet.snapshot_steps, lengths))
    yield draw_bands(curves, "step", "‖Vᵀ e‖", series="modes", log_x=True)


@claim("dynamics/push", place="Fig 7, right (v2 Fig 9); E.4 1")
@needs_baseline
@deviates("Zero on the cycle only; on the star ‖C e‖ even rises, from L's eigenvalue .095 to .16.")
@expects("to 0", "paper", "Fig 7")
@expects(1.67, "derived", "B.3.6: .159 / .095", "‖C e‖ at the end / at the start, star")
def push(runs):
    """Training takes ‖C e‖ to zero on the Fiedler-like vectors.

    Over training ‖C e_i‖ falls to zero on the Fiedler-like eigenvectors.
    """
    curves = []
    for graph, fleet in runs.of("node2vec"):
        pushes = pushes_on_fiedler_set(fleet, fleet.snapshots.astype(np.float64))
        name = f"‖C e‖ at the end / at the start, {graph}"
        ratio = pushes[-1].max(axis=1) / pushes[0].max(axis=1)
        above, below = {"star": (1.2, None), "cycle": (None, 0.001)}.get(graph, (None, 0.4))
        yield check(name, ratio, above=above, below=below, over="mean")
        yield paper(check(name, ratio, below=0.1, over="mean"))
        curves.append((graph, fleet.snapshot_steps, pushes))
    yield draw_bands(curves, "step", "‖C e‖", series="modes", log_x=True)


@claim("dynamics/c-not-zero", place="App F, below Fact 1")
@needs_baseline
@expects("C V = 0, C ≠ 0", "paper", "App F")
def c_not_zero(runs):
    """The gradient vanishes through C V, not through C.

    C can never be zero, which would need p(i, i) = 0; training must end at C V = 0 with C ≠ 0.
    """
    for graph, world in GRAPHS.items():
        V, targets = runs[f"node2vec/{graph}"].embeddings, targets_of(world)
        diagonal = np.diagonal(dynamics.node2vec_gradient_matrix(V, targets), axis1=1, axis2=2)
        yield check(f"lowest |C_ii|, {graph}", -diagonal.max(axis=1), above=0.1)
        yield check(f"‖C V‖ / ‖V‖, {graph}", dynamics.relative_gradient(V, targets), below=0.01)
