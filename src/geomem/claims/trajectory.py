"""Claims: what the paper proposes of Node2Vec's trajectory, followed exactly (propositions 6, 7, 9, 10; A.5).

Glossary (arXiv 2510.26745, appendix F): V embedding [node, width], T target distribution D⁻¹A,
P row softmax of V Vᵀ, C = (T - P) + (T - P)ᵀ, L = 2I - T - Tᵀ, e_i and E its eigenvectors, η learning rate.
The trajectory is ΔV = η C V in NumPy from orthogonal rows of length 10: assumption 1 to the letter.
"""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.claims.claim import Claim, Expected, Judgement, Picture, Scale, judge_by_means, measure_quantity
from geomem.claims.evidence import Evidence
from geomem.claims.theory import CIRCULANT, EVERYWHERE, OTHERS, QUICK, targets_of
from geomem.claims.tiny_graphs import GRAPHS, judge_deviation
from geomem.geometry.dynamics import node2vec_gradient_matrix
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum

LENGTH = 10.0
"""Length of every row at the start: that of N(0, 1) entries in the release's 100 dimensions."""
RATE, STEPS, KEPT = 0.01, 3000, 10


@cache
def ascend(name: str) -> Mapping[str, np.ndarray]:
    """Follow ΔV = η C V from orthogonal rows on one of the tiny graphs.

    Gives `steps` [snapshot], `rates` [snapshot, mode] (eᵢᵀ C eᵢ), `norms` [snapshot, mode] (‖Vᵀ eᵢ‖), and of
    the end `C`, `P`, `V`, and `gains` [mode], the product over all steps of 1 + η eᵢᵀ C eᵢ. All of it depends
    on V Vᵀ alone, so there is nothing to draw.
    """
    graph = GRAPHS[name]
    T, E = targets_of(graph), laplacian_spectrum(graph).eigenvectors
    V = LENGTH * np.eye(graph.node_count)
    gains = np.ones(graph.node_count)
    steps, rates, norms = [], [], []
    for step in range(STEPS):
        C = node2vec_gradient_matrix(V, T)
        along = np.einsum("nm,nk,km->m", E, C, E)
        if step % KEPT == 0:
            steps.append(step)
            rates.append(along)
            norms.append(np.linalg.norm(E.T @ V, axis=1))
        gains *= 1 + RATE * along
        V = V + RATE * C @ V
    C = node2vec_gradient_matrix(V, T)
    return {
        "steps": np.array(steps),
        "rates": np.array(rates),
        "norms": np.array(norms),
        "C": C,
        "P": row_softmax(V),
        "V": V,
        "gains": gains,
    }


def row_softmax(V: Float[np.ndarray, "node width"]) -> Float[np.ndarray, "node node"]:
    """P of an embedding."""
    scores = V @ V.T
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def commutator(A: Float[np.ndarray, "node node"], B: Float[np.ndarray, "node node"]) -> float:
    """‖AB - BA‖ / (‖A‖ ‖B‖): zero if and only if two symmetric matrices share their eigenvectors."""
    return float(np.linalg.norm(A @ B - B @ A) / (np.linalg.norm(A) * np.linalg.norm(B)))


def compute_shared(scale: Scale) -> dict[str, np.ndarray]:
    """Commutators of C, P + Pᵀ and V Vᵀ with L at the end of the trajectory."""
    found = {}
    for name, graph in GRAPHS.items():
        end, L = ascend(name), laplacian_matrix(graph).toarray()
        matrices = {"C": end["C"], "P + Pᵀ": end["P"] + end["P"].T, "V Vᵀ": end["V"] @ end["V"].T}
        for title, matrix in matrices.items():
            found[f"[{title}, L], {name}"] = np.array([commutator(matrix, L)])
    return found


def compute_powers(scale: Scale) -> dict[str, np.ndarray]:
    """Relative distance of V(T) from E Π(1 + ηΛ) Eᵀ V(0)."""
    found = {}
    for name, graph in GRAPHS.items():
        end, E = ascend(name), laplacian_spectrum(graph).eigenvectors
        predicted = (E * end["gains"]) @ E.T * LENGTH
        distance = np.linalg.norm(end["V"] - predicted) / np.linalg.norm(end["V"])
        found[f"distance from power iteration, {name}"] = np.array([distance])
    return found


def judge_circulant_only(small: float, large: float, what: str) -> Callable[[Evidence], Judgement]:
    """The judge of statements that are exact on the cycle and only there."""

    def judge(evidence: Evidence) -> Judgement:
        quantities = [measure_quantity(name, values) for name, values in evidence.arrays.items()]
        exact = [quantity for quantity in quantities if quantity.name.endswith(CIRCULANT)]
        rest = [quantity for quantity in quantities if not quantity.name.endswith(CIRCULANT)]
        on_cycle = max(quantity.mean for quantity in exact)
        low, high = min(quantity.mean for quantity in rest), max(quantity.mean for quantity in rest)
        return judge_deviation(
            *exact,
            *rest,
            holds=on_cycle < small and high < small,
            deviates=on_cycle < small and low > large,
            sentence=f"{what}: {on_cycle:.1e} on the cycle, {low:.3f} to {high:.3f} on star, grid and "
            "irregular.",
        )

    return judge


def compute_orders(scale: Scale) -> dict[str, np.ndarray]:
    """Of every mode of the cycle: eᵢᵀ C eᵢ at start and end, first step above -0.05, whether it stays.

    Modes in the order of L's eigenvalues; also the largest eᵢᵀ C eᵢ at the start on the other graphs.
    """
    found: dict[str, np.ndarray] = {"laplacian": laplacian_spectrum(GRAPHS[CIRCULANT]).eigenvalues}
    path = ascend(CIRCULANT)
    arrived = path["rates"] > -0.05
    found["start"], found["end"] = path["rates"][0], path["rates"][-1]
    found["steps"] = np.where(arrived.any(axis=0), path["steps"][arrived.argmax(axis=0)], np.inf)
    found["kept"] = np.array(
        [float(arrived[arrived[:, i].argmax() :, i].all()) for i in range(arrived.shape[1])]
    )
    for name in OTHERS:
        found[f"highest at start, {name}"] = np.array([ascend(name)["rates"][0].max()])
    return found


def judge_order(evidence: Evidence) -> Judgement:
    """That eigenvalues of C rise towards zero, the Fiedler-like first, and stay there."""
    arrays = evidence.arrays
    start, end, steps = arrays["start"], arrays["end"], arrays["steps"]
    # The trivial mode is at 0 from the start, the Fiedler pair comes next.
    first = float(steps[1:3].max())
    holds = (
        bool((start <= 1e-9).all())
        and bool((end >= start - 1e-9).all())
        and bool(np.isfinite(first))
        and bool((steps[3:] > first).all())
        and bool((arrays["kept"][1:3] == 1).all())
    )
    positive = [float(arrays[f"highest at start, {name}"][0]) for name in OTHERS]
    quantities = (
        measure_quantity("eigenvalue of C at the end, Fiedler pair", end[1:3]),
        measure_quantity("eigenvalue of C at the start, Fiedler pair", start[1:3]),
        measure_quantity("eigenvalue of C at the end, other modes", end[3:]),
        measure_quantity("eigenvalue of C at the start, other modes", start[3:]),
        *(
            measure_quantity(f"highest at start, {name}", arrays[f"highest at start, {name}"])
            for name in OTHERS
        ),
    )
    table = pl.DataFrame(
        {
            "eigenvalue of L": np.tile(arrays["laplacian"], 2),
            "eigenvalue of C": np.concatenate([start, end]),
            "when": ["at the start"] * len(start) + ["at the end"] * len(end),
        }
    )
    return judge_by_means(
        *quantities,
        holds=holds,
        sentence=f"On the cycle the eigenvalues of C start between {start.min():.2f} and {start.max():.2f}; "
        f"the Fiedler pair comes within .05 of 0 after {first:.0f} steps, of the others "
        f"{int(np.isfinite(steps[3:]).sum())} do in {STEPS:,} (they end between {end[3:].min():.2f} and "
        f"{end[3:].max():.2f}); off the cycle the highest starts at {min(positive):.3f} to "
        f"{max(positive):.3f}.",
        picture=Picture(table, "eigenvalue of L", "eigenvalue of C", series="when", kind="points"),
    )


def compute_softmax_bounds(scale: Scale) -> dict[str, np.ndarray]:
    """Trace over 2n, lowest and highest eigenvalue of P + Pᵀ along the end of the trajectory."""
    found = {}
    for name, graph in GRAPHS.items():
        P = ascend(name)["P"]
        values = np.linalg.eigvalsh(P + P.T)
        found[f"sum / 2n, {name}"] = np.array([values.sum() / (2 * graph.node_count)])
        found[f"lowest, {name}"] = values[:1]
        found[f"highest, {name}"] = values[-1:]
    return found


def judge_softmax_bounds(evidence: Evidence) -> Judgement:
    """That the eigenvalues of P + Pᵀ sum to at most 2n and lie in [0, 2]."""
    quantities = [measure_quantity(name, values) for name, values in evidence.arrays.items()]
    means = {quantity.name: quantity.mean for quantity in quantities}
    sums = all(means[f"sum / 2n, {name}"] <= 1 + 1e-12 for name in GRAPHS)
    inside = {
        name: means[f"lowest, {name}"] >= -1e-3 and means[f"highest, {name}"] <= 2 + 1e-3 for name in GRAPHS
    }
    highs = ", ".join(f"{means[f'highest, {name}']:.3f} ({name})" for name in GRAPHS)
    lows = ", ".join(f"{means[f'lowest, {name}']:z.3f} ({name})" for name in GRAPHS)
    return judge_deviation(
        *quantities,
        holds=sums and all(inside.values()),
        deviates=sums and inside[CIRCULANT] and not any(inside[name] for name in OTHERS),
        sentence=f"The sum never exceeds 2n; the highest eigenvalue is {highs}, the lowest {lows}.",
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="trajectory/shared-eigenvectors",
        aliases=("prop-6",),
        title="C, P + Pᵀ and V Vᵀ share the eigenvectors of L",
        statement="Given assumption 1 and observation 8, all three keep -L's eigenvectors at all times.",
        place="Prop 6, App F.3",
        conditions=f"{EVERYWHERE}, orthogonal rows of length 10, lr .01, 3,000 steps of ΔV = η C V in "
        "float64",
        rule="Holds if every commutator with L is below 1e-9 of the norms; deviates if so on the cycle "
        "alone and above .005 on each other graph.",
        expected=(
            Expected("on the cycle only", "replication", "E.4, 1", "cycle below 1e-9, others above .005"),
        ),
        deviation="Exact on the cycle, whose matrices are circulant, and on no other of the graphs.",
        compute=compute_shared,
        judge=judge_circulant_only(1e-9, 0.005, "Commutators with L, relative to the norms"),
        wrong=lambda requests: Evidence(arrays={name: np.zeros(1) for name in compute_shared(QUICK)}),
    ),
    Claim(
        id="trajectory/power-iteration",
        aliases=("prop-10",),
        title="Columns follow a power iteration",
        statement="Every column obeys r(T) = E Π(I + ηΛ(t)) Eᵀ r(0), so that low eigen-directions decay and "
        "the top ones survive.",
        place="Prop 10",
        conditions=f"{EVERYWHERE}, orthogonal rows of length 10, lr .01, 3,000 steps, Λ(t) the diagonal of "
        "Eᵀ C(t) E",
        rule="Holds if V(T) is within 1e-6 of the formula everywhere; deviates if on the cycle alone and "
        ".02 off on each other graph.",
        expected=(Expected("on the cycle only", "derived", "Prop 10 needs Prop 6", "cycle below 1e-6"),),
        deviation="Exact on the cycle only, as proposition 6 is.",
        compute=compute_powers,
        judge=judge_circulant_only(1e-6, 0.02, "Distance of V(T) from the formula, relative to ‖V(T)‖"),
        wrong=lambda requests: Evidence(arrays={name: np.zeros(1) for name in compute_powers(QUICK)}),
    ),
    Claim(
        id="trajectory/order",
        aliases=("prop-9",),
        title="Eigenvalues of C rise to zero, the Fiedler-like first",
        statement="The eigenvalues of C start at or below 0, rise towards it, the largest get there first "
        "and stay.",
        place="Prop 9 (the authors flag that 'first' is not proved)",
        conditions="cycle, orthogonal rows of length 10, lr .01, 3,000 steps, eᵢᵀ C eᵢ every 10",
        rule="On the cycle no eᵢᵀ C eᵢ starts above 0 or ends lower than it started, and the Fiedler pair "
        "passes -.05 before every lower mode and stays above.",
        expected=(Expected("the Fiedler pair first", "paper", "Prop 9", "before every other mode"),),
        compute=compute_orders,
        judge=judge_order,
        wrong=lambda requests: Evidence(
            arrays={
                name: values[::-1] for name, values in compute_orders(QUICK).items() if name != "laplacian"
            }
            | {"laplacian": compute_orders(QUICK)["laplacian"]}
        ),
    ),
    Claim(
        id="trajectory/softmax-bounds",
        aliases=("prop-7",),
        title="Eigenvalues of P + Pᵀ lie in [0, 2]",
        statement="Under assumption 2 the eigenvalues of P + Pᵀ sum to at most 2n and each is roughly in "
        "[0, 2].",
        place="Assumption 2, Prop 7",
        conditions=f"{EVERYWHERE}, at the end of 3,000 steps from orthogonal rows",
        rule="Holds if the sums are at most 2n and all eigenvalues in [0, 2] to .001; deviates if the sums "
        "hold and the interval on the cycle alone.",
        expected=(Expected("on the cycle only", "replication", "F.4", "outside [0, 2] off the cycle"),),
        deviation="The sum is a trace and always holds; the interval fails off circulant graphs.",
        compute=compute_softmax_bounds,
        judge=judge_softmax_bounds,
        wrong=lambda requests: Evidence(
            arrays={name: np.clip(values, 0.0, 2.0) for name, values in compute_softmax_bounds(QUICK).items()}
        ),
    ),
)
