"""One measurement and its assembly from values and a null; what exact and sampled portraits are made of.

Axis names: `run`, `node`, `width`, `shell` (one graph distance), `eigenspace`, `draw` (one of a null).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.alignment import map_coordinates, procrustes_correlation
from geomem.geometry.nulls import bootstrap_interval, p_value, permutation_null
from geomem.geometry.signatures import Signature
from geomem.geometry.similarity import Shells, distance_correlation

PERMUTED = "permuted nodes"
"""Null model of what relates embeddings to the graph: their rows are dealt anew to the nodes."""

RANDOM = "random embeddings"
"""Null model of what does not look at the graph: independent N(0, 1) entries of the same shape."""

RANDOM_ROWS = "random rows"
"""Null model of spectra of large graphs: rows drawn anew from a normal distribution of their own moments."""

# Work allowed to one null, in numbers gathered or multiplied; about a second on one core. Large graphs get
# fewer permutations, never fewer than make p = 0.01 possible.
NULL_WORK = 200_000_000
FEWEST_DRAWS = 99


@dataclass(frozen=True, eq=False)
class Measurement:
    """One number per run, an interval over seeds and, where there is a null model, what chance gives."""

    name: str
    title: str
    values: Float[np.ndarray, " run"]
    mean: float
    low: float
    """Ends of the 95 % bootstrap interval of the mean over runs; NaN for a single run."""
    high: float
    null: str
    """Name of the null model; empty if there is none, and then the four numbers below are NaN."""
    null_mean: float
    """Of the mean over runs, when chance decides."""
    null_low: float
    """The null's central 95 %."""
    null_high: float
    p_value: float
    explanation: str


@dataclass(frozen=True, eq=False)
class Portrait:
    """Everything measured of a fleet's embeddings on one graph."""

    measurements: tuple[Measurement, ...]
    shell_distances: Float[np.ndarray, " shell"]
    shells: Float[np.ndarray, "run shell"]
    """Mean cosine of the pairs at each finite graph distance."""
    shell_null_low: Float[np.ndarray, " shell"]
    """Central 95 % of the shells' mean over runs under permuted nodes."""
    shell_null_high: Float[np.ndarray, " shell"]
    eigenvalues: Float[np.ndarray, " eigenspace"]
    """Distinct eigenvalues of the random-walk Laplacian, ascending."""
    multiplicities: Int[np.ndarray, " eigenspace"]
    energies: Float[np.ndarray, "run eigenspace"]
    """Share of ||V||^2 in each eigenspace; a random embedding has multiplicity over nodes there."""
    readings: tuple[str, ...]
    """One word per run; the rules are in `READINGS`."""
    reasons: tuple[str, ...]
    """The numbers that decided for each run's word."""
    reading: str
    """The word that more than half of the runs carry, else "mixed"."""
    signatures: tuple[Signature, ...]
    """Signs of failure that were looked for, found or not."""
    sampled: str = ""
    """What of a large graph was sampled, in words; empty if all pairs and the full spectrum were taken."""
    band_edges: Float[np.ndarray, " edge"] | None = None
    """Of a large graph: where the bands of the spectrum meet. `eigenvalues`, `multiplicities` and `energies`
    are then those of bands, all trivial modes together as the first of them: an eigenvalue is that of a band
    that is one eigenspace, and the middle of any other. None if they are those of all eigenspaces."""

    def __getitem__(self, name: str) -> Measurement:
        """The measurement of that name; raises `KeyError` if it was not made."""
        for measurement in self.measurements:
            if measurement.name == name:
                return measurement
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return any(measurement.name == name for measurement in self.measurements)


def affordable_draws(wanted: int, work: int) -> int:
    """How many draws of a null to make when each costs `work`."""
    return max(min(wanted, FEWEST_DRAWS), min(wanted, NULL_WORK // max(work, 1)))


def make_measurement(
    name: str,
    title: str,
    explanation: str,
    values: np.ndarray,
    *,
    seed: int,
    null: str = "",
    draws: np.ndarray | None = None,
    alternative: Literal["greater", "less", "two-sided"] = "greater",
) -> Measurement:
    """Assemble a measurement from values [run] and, where there is a null, its draws [run, draw]."""
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    low, high = bootstrap_interval(values, seed=seed)
    chance = np.empty(0) if draws is None else draws.mean(axis=0)
    chance = chance[np.isfinite(chance)]
    if not len(chance) or not np.isfinite(mean):
        nan = float("nan")
        return Measurement(name, title, values, mean, low, high, "", nan, nan, nan, nan, explanation)
    null_low, null_high = np.quantile(chance, [0.025, 0.975])
    p = p_value(mean, chance, alternative=alternative)
    return Measurement(
        name,
        title,
        values,
        mean,
        low,
        high,
        null,
        float(chance.mean()),
        float(null_low),
        float(null_high),
        p,
        explanation,
    )


def shell_measurements(
    means: np.ndarray,
    squares: np.ndarray,
    null_means: np.ndarray,
    null_squares: np.ndarray,
    shells: Shells,
    seed: int,
) -> list[Measurement]:
    """Similarity of neighbours and of second neighbours, and its fall with distance."""
    made = [
        make_measurement(
            "geometric_level",
            "Geometric level (cosine of neighbours)",
            "Mean cosine over edges: near 1 neighbours coincide, near 0 a lookup table, below 0 a zig-zag.",
            means[:, 0],
            seed=seed,
            null=PERMUTED,
            draws=null_means[:, :, 0],
            alternative="two-sided",
        )
    ]
    if np.isfinite(shells.distances).sum() > 1:
        made += [
            make_measurement(
                "second_neighbour_cosine",
                "Cosine at distance 2",
                "Mean cosine of nodes two steps apart; above the geometric level it marks a zig-zag.",
                means[:, 1],
                seed=seed,
                null=PERMUTED,
                draws=null_means[:, :, 1],
                alternative="two-sided",
            ),
            make_measurement(
                "distance_correlation",
                "Correlation of cosine and distance",
                "Over pairs of one component: -1 similarity falls in step with distance, 0 it does not.",
                np.asarray(distance_correlation(means, squares, shells)),
                seed=seed,
                null=PERMUTED,
                draws=np.asarray(distance_correlation(null_means, null_squares, shells)),
                alternative="less",
            ),
        ]
    return made


def permuted_draws(
    statistic: Callable[[np.ndarray], np.ndarray], V: np.ndarray, wanted: int, work: int, seed: int
) -> np.ndarray:
    """Null draws [run, draw] of a statistic, the same permutations for every run."""
    count = affordable_draws(wanted, work)
    return np.stack([permutation_null(statistic, run, count=count, seed=seed) for run in V])


def map_measurement(V: np.ndarray, coordinates: np.ndarray, permutations: int, seed: int) -> Measurement:
    """Procrustes correlation of the first two principal directions with the true map."""

    def statistic(x: np.ndarray) -> np.ndarray:
        return np.asarray(procrustes_correlation(x, coordinates))

    places = map_coordinates(V)
    return make_measurement(
        "map_correlation",
        "Correlation with the true map",
        "Procrustes correlation of the first two principal directions with the true places: 1 the same map.",
        statistic(places),
        seed=seed,
        null=PERMUTED,
        draws=permuted_draws(statistic, places, permutations, 10 * len(coordinates), seed),
    )
