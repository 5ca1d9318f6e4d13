"""Claims: what the paper proposes of Node2Vec's trajectory, followed exactly (propositions 6, 7, 9, 10; A.5).

Glossary (arXiv 2510.26745, appendix F): V embedding [node, width], T target distribution D⁻¹A,
P row softmax of V Vᵀ, C = (T - P) + (T - P)ᵀ, L = 2I - T - Tᵀ, e_i and E its eigenvectors, η learning rate.
The trajectory is ΔV = η C V in NumPy from orthogonal rows of length 10: assumption 1 to the letter.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.claims.check import Picture, check, measured, paper
from geomem.claims.claim import claim, conditions, deviates, expects, needs
from geomem.claims.counterexamples import imagine_numbers
from geomem.claims.memorize_geometrically.theory import CIRCULANT, EVERYWHERE, imagine_everywhere, targets_of
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.claims.need import Scale, computed
from geomem.geometry.dynamics import Ascent, ascend, commutator
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum

OTHERS = tuple(name for name in GRAPHS if name != CIRCULANT)
LENGTH = 10.0
FOLLOWED = f"{EVERYWHERE}, orthogonal rows of length 10, lr .01, 3,000 steps of ΔV = η C V in float64"


@cache
def follow(name: str) -> Ascent:
    """The trajectory on one of the tiny graphs."""
    return ascend(targets_of(GRAPHS[name]), laplacian_spectrum(GRAPHS[name]).eigenvectors, length=LENGTH)


def softmax_matrix(name: str) -> Float[np.ndarray, "node node"]:
    """P + Pᵀ at the end of the trajectory: T + Tᵀ - C."""
    targets = targets_of(GRAPHS[name])
    return targets + targets.T - follow(name).gradient


def commutators(scale: Scale) -> Iterator[tuple[str, float]]:
    """Commutators of C, P + Pᵀ and V Vᵀ with L at the end of the trajectory."""
    for name, graph in GRAPHS.items():
        end, L = follow(name), laplacian_matrix(graph).toarray()
        V = end.embedding
        for title, matrix in (("C", end.gradient), ("P + Pᵀ", softmax_matrix(name)), ("V Vᵀ", V @ V.T)):
            yield f"[{title}, L], {name}", commutator(matrix, L)


def power_iteration_distances(scale: Scale) -> Iterator[tuple[str, float]]:
    """Relative distance of V(T) from E Π(1 + ηΛ) Eᵀ V(0)."""
    for name, graph in GRAPHS.items():
        end, E = follow(name), laplacian_spectrum(graph).eigenvectors
        predicted = (E * end.gains) @ E.T * LENGTH
        distance = np.linalg.norm(end.embedding - predicted) / np.linalg.norm(end.embedding)
        yield f"distance from power iteration, {name}", float(distance)


def circulant_checks(runs, small: float, large: float):
    """That statements which the paper makes of every graph are exact on the cycle and only there."""
    for name, values in runs.arrays.items():
        exact = name.endswith(CIRCULANT)
        yield check(name, values, below=small if exact else None, above=None if exact else large)
        yield paper(check(name, values, below=small))


@claim("trajectory/shared-eigenvectors", "prop-6", place="Prop 6, App F.3")
@needs(
    computed(commutators),
    counterexample=imagine_numbers(
        {f"[{title}, L], {name}": 0.0 for title in ("C", "P + Pᵀ", "V Vᵀ") for name in GRAPHS}
    ),
)
@conditions(f"{FOLLOWED}; commutators with L, relative to the norms")
@deviates("Exact on the cycle, whose matrices are circulant, and on no other of the graphs.")
@expects("on the cycle only", "replication", "E.4, 1")
def shared_eigenvectors(runs):
    """C, P + Pᵀ and V Vᵀ share the eigenvectors of L.

    Given assumption 1 and observation 8, all three keep -L's eigenvectors at all times.
    """
    yield from circulant_checks(runs, 1e-9, 0.005)


@claim("trajectory/power-iteration", "prop-10", place="Prop 10")
@needs(
    computed(power_iteration_distances),
    counterexample=imagine_everywhere("distance from power iteration", 0.0),
)
@conditions(f"{FOLLOWED}; Λ(t) the diagonal of Eᵀ C(t) E; distance relative to ‖V(T)‖")
@deviates("Exact on the cycle only, as proposition 6 is.")
@expects("on the cycle only", "derived", "Prop 10 needs Prop 6")
def power_iteration(runs):
    """Columns follow a power iteration.

    Every column obeys r(T) = E Π(I + ηΛ(t)) Eᵀ r(0), so that low eigen-directions decay and the top ones
    survive.
    """
    yield from circulant_checks(runs, 1e-6, 0.02)


def arrivals(scale: Scale) -> dict[str, np.ndarray]:
    """Of every mode of the cycle: eᵢᵀ C eᵢ at start and end, first step above -0.05, whether it stays.

    Modes in the order of L's eigenvalues; also the largest eᵢᵀ C eᵢ at the start on the other graphs.
    """
    path = follow(CIRCULANT)
    arrived = path.rates > -0.05
    first = arrived.argmax(axis=0)
    return {
        "laplacian": laplacian_spectrum(GRAPHS[CIRCULANT]).eigenvalues,
        "start": path.rates[0],
        "end": path.rates[-1],
        "steps": np.where(arrived.any(axis=0), path.steps[first], np.inf),
        "kept": np.array([float(arrived[step:, mode].all()) for mode, step in enumerate(first)]),
    } | {f"highest at start, {name}": follow(name).rates[0].max(keepdims=True) for name in OTHERS}


@claim("trajectory/order", "prop-9", place="Prop 9 (the authors flag that 'first' is not proved)")
@needs(
    computed(arrivals),
    # The fastest modes arrive first, and nothing else is wrong.
    counterexample=imagine_numbers(
        {"laplacian": np.linspace(0, 4, 15), "start": np.linspace(0, -4, 15), "end": np.zeros(15)}
        | {"steps": np.arange(15.0)[::-1], "kept": np.ones(15)}
        | {f"highest at start, {name}": 0.0 for name in OTHERS}
    ),
)
@conditions("cycle, orthogonal rows of length 10, lr .01, 3,000 steps, eᵢᵀ C eᵢ every 10")
@expects("the Fiedler pair first", "paper", "Prop 9", tolerance="before every other mode")
def order(runs):
    """Eigenvalues of C rise to zero, the Fiedler-like first.

    The eigenvalues of C start at or below 0, rise towards it, the largest get there first and stay.
    """
    start, end, steps, kept = (runs.arrays[name] for name in ("start", "end", "steps", "kept"))
    # The trivial mode is at 0 from the start, the Fiedler pair comes next.
    pair, rest = slice(1, 3), slice(3, None)
    others = measured("those of every other mode", steps[rest].min())
    yield check("eigenvalue of C at the end, Fiedler pair", end[pair])
    yield check("eigenvalue of C at the end, other modes", end[rest])
    yield check("eigenvalue of C at the start, all modes", start, at_most=1e-9, over="everywhere")
    yield check("rise from start to end, all modes", end - start, at_least=-1e-9, over="everywhere")
    yield check("steps to -0.05, Fiedler pair", steps[pair], below=others, over="everywhere")
    yield check("stays above -0.05, Fiedler pair", kept[pair], at_least=1, over="everywhere")
    for name in OTHERS:
        yield check(f"highest at start, {name}", runs.arrays[f"highest at start, {name}"])
    when = ["at the start"] * len(start) + ["at the end"] * len(end)
    columns = {"eigenvalue of L": np.tile(runs.arrays["laplacian"], 2)}
    columns |= {"eigenvalue of C": np.concatenate([start, end]), "when": when}
    yield Picture(pl.DataFrame(columns), "eigenvalue of L", "eigenvalue of C", series="when", kind="points")


def softmax_eigenvalues(scale: Scale) -> dict[str, np.ndarray]:
    """Eigenvalues of P + Pᵀ at the end of the trajectory, by graph."""
    return {name: np.linalg.eigvalsh(softmax_matrix(name)) for name in GRAPHS}


@claim("trajectory/softmax-bounds", "prop-7", place="Assumption 2, Prop 7")
@needs(
    computed(softmax_eigenvalues),
    counterexample=imagine_numbers(
        {name: np.linspace(0, 1, graph.node_count) for name, graph in GRAPHS.items()}
    ),
)
@conditions(f"{EVERYWHERE}, at the end of 3,000 steps from orthogonal rows")
@deviates("The sum is a trace and always holds; the interval fails off circulant graphs.")
@expects("on the cycle only", "replication", "F.4", tolerance="outside [0, 2] off the cycle")
def softmax_bounds(runs):
    """Eigenvalues of P + Pᵀ lie in [0, 2].

    Under assumption 2 the eigenvalues of P + Pᵀ sum to at most 2n and each is roughly in [0, 2].
    """
    for graph, values in runs.arrays.items():
        total = check(f"sum / 2n, {graph}", values.mean() / 2, at_most=1 + 1e-12)
        name, outside = f"farthest outside [0, 2], {graph}", max(-values.min(), values.max() - 2)
        inside = graph == CIRCULANT
        yield from (total, paper(total))
        yield check(name, outside, at_most=1e-3 if inside else None, above=None if inside else 1e-3)
        yield paper(check(name, outside, at_most=1e-3))
        yield check(f"lowest, {graph}", values.min())
        yield check(f"highest, {graph}", values.max())
