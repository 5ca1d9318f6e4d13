"""Level predicted from a graph's spectrum and rate times steps: heat that flows, and what nodes keep apart.

Axis names: `graph`, `depth`, `own` (share of one's own), `moment` (a rate and a snapshot).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares

from geomem.geometry.heat import heat_energies, heat_levels
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.studies.bias_cases import REAL, Case

DEPTHS = np.concatenate([[0.0], np.geomspace(0.003, 300.0, 60)])
OWN = np.concatenate([[0.0], np.geomspace(0.003, 300.0, 40)])
CONSTANTS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "node2vec": ((0.05, 0.99), (0.1, 1.0)),
    "transformer": ((0.9, 300.0), (12.0, 1e4), (1.0, 5.0)),
}
"""Where the search for each constant begins, and the largest it may be."""


@dataclass(frozen=True, eq=False)
class Curve:
    """What was measured of a graph."""

    case: Case
    time: Float[np.ndarray, " moment"]
    """Rate times steps."""
    level: Float[np.ndarray, "moment run"]

    @property
    def density(self) -> float:
        """Share of all pairs of nodes that are edges."""
        nodes = self.case.graph.node_count
        return 2 * self.case.graph.edge_count / (nodes * (nodes - 1))


@lru_cache(256)
def _heat(case: Case) -> tuple[np.ndarray, np.ndarray]:
    spectrum = laplacian_spectrum(case.graph)
    energies = heat_energies(spectrum, DEPTHS)
    return heat_levels(case.graph, spectrum, DEPTHS, OWN), np.minimum(energies, 1e9)


@dataclass(frozen=True, eq=False)
class Graphs:
    """Curves of the same moments, with what heat makes of their graphs."""

    curves: tuple[Curve, ...]
    levels: Float[np.ndarray, "graph depth own"]
    energies: Float[np.ndarray, "graph depth"]

    @property
    def time(self) -> Float[np.ndarray, "graph moment"]:
        """Rate times steps."""
        return np.array([curve.time for curve in self.curves])

    @property
    def measured(self) -> Float[np.ndarray, "graph moment"]:
        """Mean level over seeds."""
        return np.array([curve.level.mean(axis=1) for curve in self.curves])

    @property
    def nodes(self) -> Float[np.ndarray, "graph 1"]:
        """Their numbers."""
        return np.array([[curve.case.graph.node_count] for curve in self.curves], dtype=float)

    @property
    def density(self) -> Float[np.ndarray, " graph"]:
        """Share of all pairs of nodes that are edges."""
        return np.array([curve.density for curve in self.curves])


def gather(curves: Sequence[Curve]) -> Graphs:
    """Curves with what heat makes of their graphs."""
    found = [_heat(curve.case) for curve in curves]
    return Graphs(tuple(curves), np.array([one[0] for one in found]), np.array([one[1] for one in found]))


def predict_node2vec(graphs: Graphs, constants: Float[np.ndarray, " two"]) -> np.ndarray:
    """Heat flows for rate times steps until the mean energy is down to c; from there time counts to the b.

    depth = t up to d, then d (t / d)^b, with d where the mean of exp(-2 d λ) is c; constants c and b.
    """
    c, b = constants
    below = graphs.energies <= c
    first = np.where(below.any(axis=1), below.argmax(axis=1), len(DEPTHS) - 1)
    here, before = (np.take_along_axis(graphs.energies, at[:, None], 1)[:, 0] for at in (first, first - 1))
    share = np.clip((before - c) / np.maximum(before - here, 1e-12), 0, 1)
    ends = (DEPTHS[first - 1] + share * (DEPTHS[first] - DEPTHS[first - 1]))[:, None]
    return _look(graphs, np.where(graphs.time <= ends, graphs.time, ends * (graphs.time / ends) ** b), 0.0)


def predict_transformer(graphs: Graphs, constants: Float[np.ndarray, " three"]) -> np.ndarray:
    """Heat has flowed for a depth a, and every node has (k t / n)^b of its own; constants a, k and b.

    t is rate times steps and n the number of nodes: one node's share of the training.
    """
    a, k, b = constants
    return _look(graphs, a, (k * graphs.time / graphs.nodes) ** b)


PREDICTORS: Mapping[str, Callable[[Graphs, np.ndarray], np.ndarray]] = {
    "node2vec": predict_node2vec,
    "transformer": predict_transformer,
}


def _look(
    graphs: Graphs, depths: Float[np.ndarray, "graph moment"] | float, own: np.ndarray | float
) -> Float[np.ndarray, "graph moment"]:
    """The levels at depths and shares of one's own, by lines between the entries of the tables."""
    shape = graphs.time.shape
    places = [
        np.broadcast_to(np.arange(shape[0])[:, None], shape),
        np.broadcast_to(np.interp(depths, DEPTHS, np.arange(len(DEPTHS))), shape),
        np.broadcast_to(np.interp(own, OWN, np.arange(len(OWN))), shape),
    ]
    return map_coordinates(graphs.levels, places, order=1)


def fit(model: str, graphs: Graphs) -> Float[np.ndarray, " constant"]:
    """The constants of a model's predictor, by least squares in which outliers weigh little (soft L1)."""
    predict = PREDICTORS[model]
    start, most = np.transpose(CONSTANTS[model])

    def constants(logarithms: np.ndarray) -> np.ndarray:
        return np.exp(np.minimum(logarithms, np.log(most)))

    def misses(logarithms: np.ndarray) -> np.ndarray:
        return (predict(graphs, constants(logarithms)) - graphs.measured).ravel()

    return constants(least_squares(misses, np.log(start), diff_step=1e-2, loss="soft_l1", f_scale=0.1).x)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is said of the graphs of a family by what was fitted to the other families."""

    family: str
    graphs: Graphs
    constants: Float[np.ndarray, " constant"]
    spectrum: Float[np.ndarray, "graph moment"]
    """By the predictor."""
    mean: Float[np.ndarray, "graph moment"]
    """The mean level of the fitted graphs at the same moment."""
    density: Float[np.ndarray, "graph moment"]
    """A line over the logarithm of the density, through the fitted graphs at the same moment."""


def predict_families(model: str, curves: Sequence[Curve]) -> tuple[Prediction, ...]:
    """Every family, predicted by what was fitted to the others; real graphs are never fitted to."""
    families = dict.fromkeys(curve.case.dial for curve in curves)
    found = []
    for family in families:
        others = gather([curve for curve in curves if curve.case.dial not in (family, REAL)])
        own = gather([curve for curve in curves if curve.case.dial == family])
        constants = fit(model, others)
        line = np.polynomial.polynomial.polyfit(np.log(others.density), others.measured, 1)
        found.append(
            Prediction(
                family=family,
                graphs=own,
                constants=constants,
                spectrum=PREDICTORS[model](own, constants),
                mean=np.broadcast_to(others.measured.mean(axis=0), own.time.shape),
                density=line[0] + np.log(own.density)[:, None] * line[1],
            )
        )
    return tuple(found)
