"""Claims: how Node2Vec's embedding and gradient move along the Laplacian's modes (Fig 7; N2, N3, N7, N9).

Glossary (arXiv 2510.26745, section 4): V embedding [node, width], C gradient matrix, P row softmax of V Vᵀ,
e_i eigenvectors of L = 2I - D⁻¹A - (D⁻¹A)ᵀ. "Fiedler set": the modes that survive training, trivial ones left
out.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from geomem.claims.claim import (
    Claim,
    Expected,
    Judgement,
    Picture,
    Quantity,
    judge_by_means,
    measure_quantity,
)
from geomem.claims.evidence import Evidence, FleetEvidence, imagine_fleets
from geomem.claims.modes import (
    SURVIVORS,
    eigenvector_residual,
    fiedler_set,
    project_on_modes,
    push_on_modes,
    relative_gradient,
    smooth_over_eigenspaces,
    targets_of,
)
from geomem.claims.node2vec import CONDITIONS, EVERY_GRAPH, request_baseline, request_node2vec
from geomem.claims.tiny_graphs import judge_deviation, measure_graphs
from geomem.geometry.dynamics import gradient_on_modes, mode_projections, node2vec_gradient_matrix
from geomem.geometry.spectrum import laplacian_spectrum

PROJECTIONS = {"star": (6.083,), "grid": (5.37,), "cycle": (6.75,), "irregular": (5.03, 4.04)}
"""Per eigenvalue of the Fiedler set; the star's 6.10, 6.08, 6.07 are one eigenspace."""
GRADIENTS = {"star": 0.159, "grid": 0.063, "cycle": 0.0, "irregular": 0.112}
"""Largest ‖C e_i‖ on the Fiedler set."""
RESIDUALS = {"star": 0.42, "grid": 0.25, "cycle": 5e-6, "irregular": 0.22}


def judge_projections(evidence: Evidence) -> Judgement:
    """That the Fiedler set keeps the projections of the reference and leads the rest by far."""
    quantities: list[Quantity] = []
    leads = []
    for graph, expected in PROJECTIONS.items():
        norms = project_on_modes(evidence[f"node2vec/{graph}"])
        kept, rest = norms[:, fiedler_set(graph)], norms[:, SURVIVORS[graph] :]
        distinct = kept[:, :: kept.shape[1] // len(expected)]
        for number, value in enumerate(expected):
            found = distinct[:, number]
            title = f"projection {number + 1}, {graph}" if len(expected) > 1 else f"projection, {graph}"
            quantities.append(measure_quantity(title, found, held=np.abs(found / value - 1) <= 0.02))
        quantities.append(measure_quantity(f"largest of the rest, {graph}", rest.max(axis=1)))
        leads.append(float((kept.min(axis=1) / rest.max(axis=1)).min()))
    means = [quantity for quantity in quantities if quantity.held is not None]
    close = all(
        abs(quantity.mean / value - 1) <= 0.02
        for quantity, value in zip(
            means, [value for values in PROJECTIONS.values() for value in values], strict=True
        )
    )
    listed = ", ".join(f"{quantity.mean:.2f} ({quantity.name})" for quantity in means)
    return judge_by_means(
        *quantities,
        holds=close and min(leads) >= 4,
        sentence=f"‖Vᵀe‖ ends at {listed}; the survivors are at least {min(leads):.1f} times the largest of "
        "the rest.",
    )


def judge_rest(evidence: Evidence) -> Judgement:
    """Whether ‖C e_i‖ goes to zero on the Fiedler set."""
    quantities = []
    for graph in EVERY_GRAPH:
        pushes = push_on_modes(evidence[f"node2vec/{graph}"])[:, fiedler_set(graph)].max(axis=1)
        held = pushes < 1e-3 if graph == "cycle" else np.abs(pushes - GRADIENTS[graph]) <= 0.01
        quantities.append(measure_quantity(f"largest ‖C e‖, {graph}", pushes, held=held))
    means = {quantity.name.rpartition(", ")[2]: quantity.mean for quantity in quantities}
    listed = ", ".join(f"{value:.3f} ({graph})" for graph, value in means.items())
    return judge_deviation(
        *quantities,
        holds=all(value < 1e-3 for value in means.values()),
        deviates=all(quantity.held_share > 0.5 for quantity in quantities),
        sentence=f"After 10,000 steps ‖C e‖ on the Fiedler set is {listed}.",
    )


def judge_commuting(evidence: Evidence) -> Judgement:
    """Whether P + Pᵀ and V Vᵀ share eigenvectors."""
    quantities = measure_graphs(evidence, "node2vec", "residual", eigenvector_residual)
    means = {quantity.name.rpartition(", ")[2]: quantity.mean for quantity in quantities}
    rest = [value for graph, value in means.items() if graph != "cycle"]
    listed = ", ".join(f"{means[graph]:.3g} ({graph})" for graph in EVERY_GRAPH)
    return judge_deviation(
        *quantities,
        holds=max(means.values()) < 1e-3,
        deviates=means["cycle"] < 1e-3 and min(rest) > 0.1,
        sentence=f"The leading eigenvectors of V Vᵀ miss those of P + Pᵀ by {listed}.",
    )


def judge_convergence(evidence: Evidence) -> Judgement:
    """That the cycle comes to rest while star and grid creep on."""
    quantities = [
        measure_quantity(f"‖C V‖ / ‖V‖, {graph}", relative_gradient(evidence[f"long/{graph}"]))
        for graph in ("cycle", "star", "grid")
    ]
    pushes = [
        measure_quantity(
            f"largest ‖C e‖, {graph}",
            push_on_modes(evidence[f"long/{graph}"])[:, fiedler_set(graph)].max(axis=1),
        )
        for graph in ("cycle", "star", "grid")
    ]
    cycle, *others = [quantity.mean for quantity in quantities]
    return judge_by_means(
        *quantities,
        *pushes,
        holds=cycle < 1e-5
        and min(others) > 1e-4
        and pushes[0].mean < 1e-3
        and min(p.mean for p in pushes[1:]) > 0.03,
        sentence=f"After 20,000 steps ‖C V‖ / ‖V‖ is {cycle:.0e} on the cycle, {others[0]:.0e} on the star "
        f"and {others[1]:.0e} on the grid, where ‖C e‖ on the Fiedler set stays at {pushes[1].mean:.3f} and "
        f"{pushes[2].mean:.3f}.",
    )


def follow_modes(fleet: FleetEvidence) -> tuple[np.ndarray, np.ndarray]:
    """‖Vᵀ e_i‖ and ‖C e_i‖ at every snapshot, each [snapshot, run, mode]."""
    spectrum, V = laplacian_spectrum(fleet.request.world), fleet.snapshots.astype(np.float64)
    lengths = mode_projections(V, spectrum.eigenvectors)
    pushes = gradient_on_modes(V, targets_of(fleet), spectrum.eigenvectors)
    return (
        smooth_over_eigenspaces(lengths, spectrum.eigenspaces),
        smooth_over_eigenspaces(pushes, spectrum.eigenspaces),
    )


def tabulate_modes(steps: np.ndarray, values: np.ndarray, title: str, modes: str) -> pl.DataFrame:
    """Mean and range over runs and modes at every snapshot, for a `Picture`."""
    return pl.DataFrame(
        {
            "step": steps,
            title: values.mean(axis=(1, 2)),
            "low": values.min(axis=(1, 2)),
            "high": values.max(axis=(1, 2)),
            "modes": [modes] * len(steps),
        }
    )


def judge_dynamics(evidence: Evidence) -> Judgement:
    """That over time the Fiedler set keeps its projections and the rest decays."""
    kept, lost, tables = [], [], []
    for graph in EVERY_GRAPH:
        fleet = evidence[f"node2vec/{graph}"]
        lengths = follow_modes(fleet)[0]
        shares = lengths[-1] / lengths[0]
        stays = shares[:, fiedler_set(graph)].min(axis=1)
        goes = shares[:, SURVIVORS[graph] :].mean(axis=1)
        kept.append(measure_quantity(f"kept, Fiedler set, {graph}", stays, held=stays >= 0.35))
        lost.append(measure_quantity(f"kept, the rest, {graph}", goes, held=goes <= 0.1))
        for title, chosen in (
            ("Fiedler set", fiedler_set(graph)),
            ("the rest", slice(SURVIVORS[graph], None)),
        ):
            tables.append(
                tabulate_modes(fleet.snapshot_steps, lengths[..., chosen], "‖Vᵀ e‖", f"{graph}, {title}")
            )
    stay, go = ([quantity.mean for quantity in quantities] for quantities in (kept, lost))
    return judge_by_means(
        *kept,
        *lost,
        sentence=f"The Fiedler set keeps {min(stay):.2f} to {max(stay):.2f} of its projections, the other "
        f"modes {min(go):.3f} to {max(go):.3f}.",
        picture=Picture(pl.concat(tables), "step", "‖Vᵀ e‖", series="modes", log_x=True),
    )


def judge_push(evidence: Evidence) -> Judgement:
    """Whether training takes ‖C e_i‖ down on the Fiedler set."""
    quantities, tables = [], []
    for graph in EVERY_GRAPH:
        fleet = evidence[f"node2vec/{graph}"]
        pushes = follow_modes(fleet)[1][..., fiedler_set(graph)]
        ratio = pushes[-1].max(axis=1) / pushes[0].max(axis=1)
        quantities.append(measure_quantity(f"‖C e‖ at the end / at the start, {graph}", ratio))
        tables.append(tabulate_modes(fleet.snapshot_steps, pushes, "‖C e‖", graph))
    star, grid, cycle, irregular = (quantity.mean for quantity in quantities)
    judged = judge_deviation(
        *quantities,
        holds=max(star, grid, cycle, irregular) < 0.1,
        deviates=cycle < 0.001 and grid < 0.4 and irregular < 0.4 and star > 1.2,
        sentence=f"From start to end ‖C e‖ on the Fiedler set changes by a factor of {star:.2f} (star), "
        f"{grid:.2f} (grid), {cycle:.1g} (cycle), {irregular:.2f} (irregular).",
    )
    return replace(judged, picture=Picture(pl.concat(tables), "step", "‖C e‖", series="modes", log_x=True))


def judge_nonzero(evidence: Evidence) -> Judgement:
    """That training ends with C V near zero and C not."""
    quantities = []
    for graph in EVERY_GRAPH:
        fleet = evidence[f"node2vec/{graph}"]
        C = node2vec_gradient_matrix(fleet.embeddings, targets_of(fleet))
        diagonal = -np.diagonal(C, axis1=1, axis2=2).max(axis=1)
        moving = relative_gradient(fleet)
        quantities.append(measure_quantity(f"lowest |C_ii|, {graph}", diagonal, held=diagonal > 0.1))
        quantities.append(measure_quantity(f"‖C V‖ / ‖V‖, {graph}", moving, held=moving < 0.01))
    lowest = min(quantity.mean for quantity in quantities[0::2])
    highest = max(quantity.mean for quantity in quantities[1::2])
    return judge_by_means(
        *quantities,
        sentence=f"At the end no entry of C's diagonal is nearer to 0 than {lowest:.2f}, while ‖C V‖ is at "
        f"most {highest:.4f} of ‖V‖.",
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="dynamics/projections",
        aliases=("N2",),
        title="Only the top of the spectrum survives",
        statement="The embedding's projections on the Fiedler-like eigenvectors converge to numbers that "
        "are not zero, the others' towards zero.",
        place="Obs 4, Fig 7; N2",
        conditions=CONDITIONS,
        rule="On every graph the mean projection on the Fiedler set is within 2 % of the reference, and "
        "every survivor is at least 4 times the largest of the rest.",
        expected=tuple(
            Expected(
                value,
                "own measurement",
                "B.3.6",
                "to 2 %",
                f"projection {number + 1}, {graph}" if len(values) > 1 else f"projection, {graph}",
            )
            for graph, values in PROJECTIONS.items()
            for number, value in enumerate(values)
        ),
        fleets=request_baseline,
        judge=judge_projections,
        wrong=lambda requests: imagine_fleets(requests, "associative"),
    ),
    Claim(
        id="dynamics/null-space",
        aliases=("N3",),
        title="C has the Fiedler-like vectors in its null space",
        statement="‖C e_i‖ goes to zero on the Fiedler-like eigenvectors.",
        place="Obs 4 and caption of Fig 7; N3, E.4 1",
        conditions=CONDITIONS,
        rule="Holds if the largest ‖C e‖ on the Fiedler set is below .001 everywhere; deviates if so on the "
        "cycle and within .01 of the plateaus expected elsewhere.",
        expected=tuple(
            Expected(value, "own measurement", "E.3, N3", "to .01", f"largest ‖C e‖, {graph}")
            for graph, value in GRADIENTS.items()
        ),
        deviation="Exact on the cycle only; star, grid and irregular graph come to rest near zero, not at "
        "it.",
        fleets=request_baseline,
        judge=judge_rest,
        wrong=lambda requests: imagine_fleets(requests, "associative"),
    ),
    Claim(
        id="dynamics/same-eigenvectors",
        aliases=("N7", "obs-8"),
        title="P + Pᵀ and V Vᵀ share their eigenvectors",
        statement="The eigenvectors of P + Pᵀ are nearly those of V Vᵀ, in the same order, at all times.",
        place="Obs 8 (assumed, not proved); N7, E.4 1",
        conditions=CONDITIONS
        + "; residual: max over the leading eigenvectors u of V Vᵀ of ‖S u - (uᵀSu) u‖, S = P + Pᵀ, as many "
        "as modes survive",
        rule="Holds if every residual is below .001; deviates if the cycle's is and every other exceeds .1.",
        expected=tuple(
            Expected(
                value,
                "replication",
                "E.3, N7; its residual's definition is not published",
                "below .001" if graph == "cycle" else "above .1",
                f"residual, {graph}",
            )
            for graph, value in RESIDUALS.items()
        ),
        deviation="True on circulant graphs only, of which the cycle is the one here.",
        fleets=request_baseline,
        judge=judge_commuting,
        wrong=lambda requests: imagine_fleets(requests, "associative"),
    ),
    Claim(
        id="dynamics/convergence",
        aliases=("N9",),
        title="The cycle converges, star and grid plateau",
        statement="Training comes to rest on the cycle, at about 15.9 thousand steps, and not on star and "
        "grid.",
        place="replication of v2; N9",
        conditions="cycle, star, grid; as node2vec/final-loss with 20,000 steps",
        rule="After 20,000 steps ‖CV‖/‖V‖ is below 1e-5 on the cycle and above 1e-4 on star and grid, and "
        "‖C e‖ on the Fiedler set below .001 on the cycle and above .03 on the others.",
        expected=(Expected("15,855 steps (cycle)", "replication", "E.3, N9", "at rest by 20,000"),),
        fleets=lambda scale: request_node2vec(
            "long", steps=20_000, graphs=("cycle", "star", "grid"), scale=scale
        ),
        judge=judge_convergence,
        wrong=lambda requests: imagine_fleets(requests, "geometric"),
    ),
    Claim(
        id="dynamics/over-time",
        aliases=("fig-7",),
        title="Projections over time",
        statement="Over training the Fiedler-like projections converge to numbers that are not zero, the "
        "others decay.",
        place="Fig 7, left (v2 Fig 9)",
        conditions=f"{CONDITIONS}; 24 snapshots",
        rule="On most seeds of every graph the Fiedler set keeps at least .35 of its projections at the "
        "start, the other modes at most .1 on average.",
        expected=(Expected("kept / lost", "paper", "Fig 7", "at least .35 / at most .1"),),
        fleets=request_baseline,
        judge=judge_dynamics,
        wrong=lambda requests: imagine_fleets(requests, "associative"),
    ),
    Claim(
        id="dynamics/push",
        title="Training takes ‖C e‖ to zero on the Fiedler-like vectors",
        statement="Over training ‖C e_i‖ falls to zero on the Fiedler-like eigenvectors.",
        place="Fig 7, right (v2 Fig 9); E.4 1",
        conditions=f"{CONDITIONS}; 24 snapshots",
        rule="Holds if the largest ‖C e‖ of the Fiedler set ends below .1 of where it starts on every "
        "graph; deviates if below .001 on the cycle, below .4 on grid and irregular graph, and above 1.2 on "
        "the star.",
        expected=(
            Expected("to 0", "paper", "Fig 7", "below .1 everywhere"),
            Expected(
                1.67, "derived", "B.3.6: .159 / .095", "above 1.2", "‖C e‖ at the end / at the start, star"
            ),
        ),
        deviation="Zero on the cycle only; on the star ‖C e‖ even rises, from L's eigenvalue .095 to .16.",
        fleets=request_baseline,
        judge=judge_push,
        wrong=lambda requests: imagine_fleets(requests, "associative"),
    ),
    Claim(
        id="dynamics/c-not-zero",
        title="The gradient vanishes through C V, not through C",
        statement="C can never be zero, which would need p(i, i) = 0; training must end at C V = 0 with C ≠ "
        "0.",
        place="App F, below Fact 1",
        conditions=CONDITIONS,
        rule="On most seeds every |C_ii| exceeds .1 and ‖C V‖ / ‖V‖ is below .01.",
        expected=(Expected("C V = 0, C ≠ 0", "paper", "App F", "‖CV‖/‖V‖ below .01"),),
        fleets=request_baseline,
        judge=judge_nonzero,
        wrong=lambda requests: imagine_fleets(requests, "associative"),
    ),
)
