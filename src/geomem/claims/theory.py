"""Claims: the lemma, fact and bounds of the paper that need no training (A.5, A.6, N6).

Glossary (arXiv 2510.26745, section 4 and appendix F): V embedding [node, width], T target distribution D⁻¹A,
P row softmax of V Vᵀ, C = (T - P) + (T - P)ᵀ, L = 2I - T - Tᵀ.
"""

import numpy as np
from jaxtyping import Float

from geomem.claims.claim import Claim, Expected, Judgement, Scale, judge_by_means, measure_quantity
from geomem.claims.evidence import Evidence
from geomem.claims.tiny_graphs import GRAPHS, judge_deviation
from geomem.geometry.dynamics import node2vec_gradient_matrix, target_distribution
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization, edge_examples

CIRCULANT = "cycle"
OTHERS = tuple(name for name in GRAPHS if name != CIRCULANT)
EVERYWHERE = "the four tiny graphs"
QUICK = Scale("quick", (0, 1, 2))


def targets_of(graph: Graph) -> Float[np.ndarray, "node node"]:
    """D⁻¹A."""
    return target_distribution(edge_examples(graph, EdgeMemorization()), graph.node_count)


def compute_gradients(scale: Scale, *, sign: float = -1.0) -> dict[str, np.ndarray]:
    """Largest error of C V against central differences of J, relative to the largest entry, per seed.

    `sign` is that before P in C.
    """
    errors = {}
    for name, graph in GRAPHS.items():
        T, found = targets_of(graph), []
        for seed in scale.seeds:
            V = np.random.default_rng(seed).normal(size=(graph.node_count, 4))
            C = node2vec_gradient_matrix(V, T)
            if sign > 0:
                C = 2 * (T + T.T) - C
            numeric = differentiate_numerically(V, T)
            found.append(np.abs(C @ V - numeric).max() / np.abs(numeric).max())
        errors[f"error, {name}"] = np.array(found)
    return errors


def differentiate_numerically(
    V: Float[np.ndarray, "node width"], T: Float[np.ndarray, "node node"]
) -> Float[np.ndarray, "node width"]:
    """Central differences of J = sum_ij T_ij log P_ij."""

    def objective(embedding: np.ndarray) -> float:
        scores = embedding @ embedding.T
        highest = scores.max(axis=1, keepdims=True)
        log_sums = highest + np.log(np.exp(scores - highest).sum(axis=1, keepdims=True))
        return float((T * (scores - log_sums)).sum())

    gradient, h = np.empty_like(V), 1e-5
    for place in np.ndindex(V.shape):
        step = np.zeros_like(V)
        step[place] = h
        gradient[place] = (objective(V + step) - objective(V - step)) / (2 * h)
    return gradient


def judge_lemma(evidence: Evidence) -> Judgement:
    """That C V is the gradient."""
    quantities = [
        measure_quantity(name, values, held=values < 1e-6) for name, values in evidence.arrays.items()
    ]
    worst = max(float(quantity.values.max()) for quantity in quantities)
    return judge_by_means(
        *quantities,
        sentence=f"C V differs from central differences by {worst:.1e} of the largest entry at most.",
    )


def judge_plus_sign(evidence: Evidence) -> Judgement:
    """That C with a plus sign is not the gradient."""
    quantities = [
        measure_quantity(name, values, held=values > 0.5) for name, values in evidence.arrays.items()
    ]
    lowest = min(float(quantity.values.min()) for quantity in quantities)
    failing = all(quantity.held_share == 1 for quantity in quantities)
    return judge_deviation(
        *quantities,
        holds=all(float(quantity.values.max()) < 1e-6 for quantity in quantities),
        deviates=failing,
        sentence=f"With the plus sign printed in the proof, C V is off by {lowest:.1f} times the largest "
        "entry of the gradient at least.",
    )


def compute_starts(scale: Scale, *, deviation: float = 1.0, width: int = 100) -> dict[str, np.ndarray]:
    """‖C(0) + L‖ / ‖L‖ at a start of N(0, deviation²)."""
    errors = {}
    for name, graph in GRAPHS.items():
        L = laplacian_matrix(graph).toarray()
        V = [deviation * np.random.default_rng(s).normal(size=(graph.node_count, width)) for s in scale.seeds]
        C = node2vec_gradient_matrix(np.stack(V), targets_of(graph))
        errors[f"distance of C(0) from -L, {name}"] = np.linalg.norm(C + L, axis=(1, 2)) / np.linalg.norm(L)
    return errors


def judge_fact(evidence: Evidence) -> Judgement:
    """That C starts at -L."""
    quantities = [
        measure_quantity(name, values, held=values < 1e-6) for name, values in evidence.arrays.items()
    ]
    worst = max(float(quantity.values.max()) for quantity in quantities)
    return judge_by_means(*quantities, sentence=f"‖C(0) + L‖ is {worst:.1e} of ‖L‖ at most.")


def compute_walk_bounds(scale: Scale) -> dict[str, np.ndarray]:
    """Largest magnitude of an eigenvalue of D⁻¹A + (D⁻¹A)ᵀ."""
    return {
        f"largest |eigenvalue|, {name}": np.array([np.abs(2 - laplacian_spectrum(graph).eigenvalues).max()])
        for name, graph in GRAPHS.items()
    }


def judge_walk_bounds(evidence: Evidence) -> Judgement:
    """That the eigenvalues lie in [-2, 2]."""
    quantities = [measure_quantity(name, values) for name, values in evidence.arrays.items()]
    excess = {quantity.name.rpartition(", ")[2]: quantity.mean - 2 for quantity in quantities}
    outside = [name for name, value in excess.items() if value > 1e-9]
    listed = ", ".join(f"{2 + excess[name]:.3f} ({name})" for name in excess)
    return judge_deviation(
        *quantities,
        holds=not outside,
        deviates=set(outside) == set(OTHERS) and max(excess.values()) < 0.1,
        sentence=f"The largest magnitudes are {listed}: within [-2, 2] on regular graphs only, by Perron and "
        "Frobenius.",
    )


def compute_tops(scale: Scale) -> dict[str, np.ndarray]:
    """The top eigenvalue of -L."""
    return {
        f"top of -L, {name}": -laplacian_spectrum(graph).eigenvalues[:1] for name, graph in GRAPHS.items()
    }


def judge_tops(evidence: Evidence) -> Judgement:
    """That -L's top eigenvalue is slightly above zero unless the graph is regular."""
    tops = {"star": 0.062, "grid": 0.021, "cycle": 0.0, "irregular": 0.024}
    quantities = [
        measure_quantity(
            f"top of -L, {name}",
            evidence.arrays[f"top of -L, {name}"],
            held=np.abs(evidence.arrays[f"top of -L, {name}"] - expected) <= 0.001,
        )
        for name, expected in tops.items()
    ]
    listed = ", ".join(
        f"{quantity.mean:z.3f} ({quantity.name.rpartition(', ')[2]})" for quantity in quantities
    )
    return judge_by_means(*quantities, sentence=f"The top eigenvalue of -L is {listed}.")


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="theory/gradient",
        aliases=("N6", "lemma-5"),
        title="The gradient is C V",
        statement="Full-batch ascent on the tied objective moves the embedding by η C V with C = (D⁻¹A - P) "
        "+ (D⁻¹A - P)ᵀ.",
        place="Lemma 5 (v2 Lemma 6), N6",
        conditions=f"{EVERYWHERE}, random embeddings of width 4, central differences in float64",
        rule="The largest error is below 1e-6 of the largest entry on most seeds of every graph.",
        expected=(Expected(0.0, "paper", "Lemma 5", "below 1e-6"),),
        compute=compute_gradients,
        judge=judge_lemma,
        wrong=lambda requests: Evidence(arrays=compute_gradients(QUICK, sign=1.0)),
    ),
    Claim(
        id="theory/plus-sign",
        aliases=("A.6-1",),
        title="The sign printed in the proof is wrong",
        statement="The proofs of propositions 6 and 7 write C = D⁻¹A + (D⁻¹A)ᵀ + (P + Pᵀ).",
        place="App F, proofs of Props 6 and 7",
        conditions=f"{EVERYWHERE}, random embeddings of width 4, central differences in float64",
        rule="Holds if C V with the plus sign is the gradient to 1e-6; deviates if it is off by half "
        "everywhere.",
        expected=(Expected(7.3, "replication", "A.6, erratum 1 (absolute)", "far from 0"),),
        deviation="The minus sign of Lemma 5 is right.",
        compute=lambda scale: compute_gradients(scale, sign=1.0),
        judge=judge_plus_sign,
        wrong=lambda requests: Evidence(arrays=compute_gradients(QUICK)),
    ),
    Claim(
        id="theory/fact-1",
        title="C starts at -L",
        statement="With a large initialisation V Vᵀ is nearly a multiple of the identity, so P(0) ≈ I and "
        "C(0) ≈ -L.",
        place="Assumption 1, Fact 1",
        conditions=f"{EVERYWHERE}, N(0, 1), width 100",
        rule="‖C(0) + L‖ is below 1e-6 of ‖L‖ on most seeds of every graph.",
        expected=(Expected(0.0, "paper", "Fact 1", "below 1e-6"),),
        compute=compute_starts,
        judge=judge_fact,
        wrong=lambda requests: Evidence(arrays=compute_starts(QUICK, deviation=0.1)),
    ),
    Claim(
        id="theory/remark-2",
        title="The top eigenvalue of -L is slightly above zero",
        statement="The asymmetric normalisation lifts the top eigenvalue of -L above 0 unless the graph is "
        "regular, so very long training could collapse.",
        place="Remark 2 (v2 Remark 5)",
        conditions=EVERYWHERE,
        rule="Every top eigenvalue is within .001 of the expected one.",
        expected=tuple(
            Expected(value, "own measurement", "B.3.6", "to .001", f"top of -L, {name}")
            for name, value in (("star", 0.062), ("grid", 0.021), ("cycle", 0.0), ("irregular", 0.024))
        ),
        compute=compute_tops,
        judge=judge_tops,
        wrong=lambda requests: Evidence(
            arrays={
                f"top of -L, {name}": -laplacian_spectrum(graph, "normalized").eigenvalues[:1]
                for name, graph in GRAPHS.items()
            }
        ),
    ),
    Claim(
        id="theory/walk-bounds",
        aliases=("prop-8",),
        title="Eigenvalues of D⁻¹A + (D⁻¹A)ᵀ lie in [-2, 2]",
        statement="Under assumption 2 the eigenvalues of D⁻¹A + (D⁻¹A)ᵀ are roughly in [-2, 2].",
        place="Prop 8",
        conditions=EVERYWHERE,
        rule="Holds if no magnitude exceeds 2; deviates if 2 is exceeded on every graph but the cycle, by "
        "less than .1.",
        expected=(Expected("on regular graphs only", "replication", "F.4", "less than .1 above 2"),),
        deviation="Exceeded, by 1 to 3 %, wherever degrees differ.",
        compute=compute_walk_bounds,
        judge=judge_walk_bounds,
        wrong=lambda requests: Evidence(
            arrays={name: np.minimum(values, 2.0) for name, values in compute_walk_bounds(QUICK).items()}
        ),
    ),
)
