"""Claims: the lemma, fact and bounds of the paper that need no training (A.5, A.6, N6).

Glossary (arXiv 2510.26745, section 4 and appendix F): V embedding [node, width], T target distribution D⁻¹A,
P row softmax of V Vᵀ, C = (T - P) + (T - P)ᵀ, L = 2I - T - Tᵀ.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.special import log_softmax

from geomem.claims.check import check, paper
from geomem.claims.claim import claim, conditions, deviates, expects, needs
from geomem.claims.counterexamples import altered, imagine_numbers
from geomem.claims.evidence import Evidence
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS, expects_by_graph
from geomem.claims.need import Scale, computed
from geomem.geometry.dynamics import node2vec_gradient_matrix, target_distribution
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization, edge_examples

CIRCULANT = "cycle"
"""The one graph all of whose matrices commute: statements that need a shared eigenbasis are exact on it."""

EVERYWHERE = "the four tiny graphs"
TOPS = (0.062, 0.021, 0.0, 0.024)
"""Top eigenvalue of -L by graph (B.3.6)."""


def imagine_everywhere(quantity: str, value: float) -> Evidence:
    """The same value on every graph, made up."""
    return imagine_numbers({f"{quantity}, {name}": value for name in GRAPHS})


def targets_of(graph: Graph) -> Float[np.ndarray, "node node"]:
    """D⁻¹A."""
    return target_distribution(edge_examples(graph, EdgeMemorization()), graph.node_count)


def gradient_errors(scale: Scale, *, sign: float = -1.0) -> Iterator[tuple[str, float]]:
    """Largest error of C V against central differences of J, relative to the largest entry, per seed.

    `sign` is that before P in C.
    """
    for name, graph in GRAPHS.items():
        T = targets_of(graph)
        for seed in scale.seeds:
            V = np.random.default_rng(seed).normal(size=(graph.node_count, 4))
            C = node2vec_gradient_matrix(V, T)
            C = 2 * (T + T.T) - C if sign > 0 else C
            numeric = differentiate_numerically(V, T)
            yield f"error, {name}", np.abs(C @ V - numeric).max() / np.abs(numeric).max()


def differentiate_numerically(
    V: Float[np.ndarray, "node width"], T: Float[np.ndarray, "node node"]
) -> Float[np.ndarray, "node width"]:
    """Central differences of J = sum_ij T_ij log P_ij."""
    gradient, h = np.empty_like(V), 1e-5
    for place in np.ndindex(V.shape):
        step = np.zeros_like(V)
        step[place] = h
        above, below = ((T * log_softmax(W @ W.T, axis=1)).sum() for W in (V + step, V - step))
        gradient[place] = (above - below) / (2 * h)
    return gradient


def start_distances(scale: Scale, *, deviation: float = 1.0, width: int = 100) -> Iterator[tuple[str, float]]:
    """‖C(0) + L‖ / ‖L‖ at a start of N(0, deviation²)."""
    for name, graph in GRAPHS.items():
        L = laplacian_matrix(graph).toarray()
        for seed in scale.seeds:
            V = deviation * np.random.default_rng(seed).normal(size=(graph.node_count, width))
            C = node2vec_gradient_matrix(V, targets_of(graph))
            yield f"distance of C(0) from -L, {name}", float(np.linalg.norm(C + L) / np.linalg.norm(L))


def top_eigenvalues(scale: Scale) -> Iterator[tuple[str, float]]:
    """The top eigenvalue of -L."""
    for name, graph in GRAPHS.items():
        yield f"top of -L, {name}", -laplacian_spectrum(graph).eigenvalues[0]


def largest_magnitudes(scale: Scale) -> Iterator[tuple[str, float]]:
    """Largest magnitude of an eigenvalue of D⁻¹A + (D⁻¹A)ᵀ."""
    for name, graph in GRAPHS.items():
        yield f"largest |eigenvalue|, {name}", np.abs(2 - laplacian_spectrum(graph).eigenvalues).max()


@claim("theory/gradient", "N6", "lemma-5", place="Lemma 5 (v2 Lemma 6), N6")
@needs(computed(gradient_errors), counterexample=altered(gradient_errors, sign=1.0))
@conditions(f"{EVERYWHERE}, random embeddings of width 4, central differences in float64")
@expects(0.0, "paper", "Lemma 5")
def gradient(runs):
    """The gradient is C V.

    Full-batch ascent on the tied objective moves the embedding by η C V with C = (D⁻¹A - P) + (D⁻¹A - P)ᵀ.
    """
    for name, values in runs.arrays.items():
        yield check(name, values, below=1e-6)


@claim("theory/plus-sign", "A.6-1", place="App F, proofs of Props 6 and 7")
@needs(computed(lambda scale: gradient_errors(scale, sign=1.0)), counterexample=altered(gradient_errors))
@conditions(f"{EVERYWHERE}, random embeddings of width 4, central differences in float64")
@deviates("The minus sign of Lemma 5 is right.")
@expects(7.3, "replication", "A.6, erratum 1 (absolute)", tolerance="far from 0")
def plus_sign(runs):
    """The sign printed in the proof is wrong.

    The proofs of propositions 6 and 7 write C = D⁻¹A + (D⁻¹A)ᵀ + (P + Pᵀ).
    """
    for name, values in runs.arrays.items():
        yield check(name, values, above=0.5, over="every seed")
        yield paper(check(name, values, below=1e-6, over="every seed"))


@claim("theory/fact-1", place="Assumption 1, Fact 1")
@needs(computed(start_distances), counterexample=altered(start_distances, deviation=0.1))
@conditions(f"{EVERYWHERE}, N(0, 1), width 100")
@expects(0.0, "paper", "Fact 1")
def fact_1(runs):
    """C starts at -L.

    With a large initialisation V Vᵀ is nearly a multiple of the identity, so P(0) ≈ I and C(0) ≈ -L.
    """
    for name, values in runs.arrays.items():
        yield check(name, values, below=1e-6)


@claim("theory/remark-2", place="Remark 2 (v2 Remark 5)")
@needs(computed(top_eigenvalues), counterexample=imagine_everywhere("top of -L", 0.0))
@conditions(EVERYWHERE)
@expects_by_graph("top of -L", TOPS, "own measurement", "B.3.6")
def remark_2(runs):
    """The top eigenvalue of -L is slightly above zero.

    The asymmetric normalisation lifts the top eigenvalue of -L above 0 unless the graph is regular, so very
    long training could collapse.
    """
    for graph, top in zip(GRAPHS, TOPS, strict=True):
        name = f"top of -L, {graph}"
        close = np.abs(runs.arrays[name] - top) <= 0.001
        yield check(name, runs.arrays[name], held=close, rule="within 0.001 of the expected")


@claim("theory/walk-bounds", "prop-8", place="Prop 8")
@needs(computed(largest_magnitudes), counterexample=imagine_everywhere("largest |eigenvalue|", 2.0))
@conditions(EVERYWHERE)
@deviates("Exceeded, by 1 to 3 %, wherever degrees differ.")
@expects("on regular graphs only", "replication", "F.4")
def walk_bounds(runs):
    """Eigenvalues of D⁻¹A + (D⁻¹A)ᵀ lie in [-2, 2].

    Under assumption 2 the eigenvalues of D⁻¹A + (D⁻¹A)ᵀ are roughly in [-2, 2].
    """
    exactly = 2 + 1e-9
    for name, values in runs.arrays.items():
        if name.endswith(CIRCULANT):
            yield check(name, values, at_most=exactly)
        else:
            yield check(name, values, above=exactly, below=2.1)
        yield paper(check(name, values, at_most=exactly))
