"""One measurement and its assembly from values and a null; what exact and sampled portraits are made of.

Axis names: `run`, `node`, `width`, `shell` (one graph distance), `eigenspace`, `draw` (one of a null).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.alignment import map_coordinates, procrustes_correlation
from geomem.geometry.notes import find_notes
from geomem.geometry.nulls import bootstrap_interval, p_value, permutation_null
from geomem.geometry.random_rows import random_common_shares
from geomem.geometry.reading import STRONG_CORRELATION, STRONG_SIGNIFICANCE, Profile, Reading, majority_word
from geomem.geometry.signatures import Signature, find_in_embeddings
from geomem.geometry.similarity import Shells, common_share, distance_correlation
from geomem.geometry.spectrum import Spectrum
from geomem.worlds.graphs.graph import Graph

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
    """Mean cosine of the pairs at each finite graph distance, rows as they are."""
    centred_shells: Float[np.ndarray, "run shell"]
    """The same of centred rows, on which the reading rests."""
    shell_null_low: Float[np.ndarray, " shell"]
    """Central 95 % of the mean of `shells` over runs under permuted nodes."""
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
    """The word that more than half of the runs carry, else "mixed"; see `word_of_fleet`."""
    signatures: tuple[Signature, ...]
    """Signs of failure that were looked for, found or not."""
    notes: tuple[str, ...] = ()
    """What to know when reading the numbers, one sentence each."""
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


CENTRED_SHELLS = (
    ("centred_distance_correlation", "Correlation of cosine and distance, centred"),
    ("centred_neighbour_cosine", "Cosine of neighbours, centred"),
    ("centred_second_neighbour_cosine", "Cosine at distance 2, centred"),
)
"""Names and titles of `shell_measurements` of centred rows, on which the reading rests."""

RAW_SHELLS = (
    ("distance_correlation", "Correlation of cosine and distance"),
    ("geometric_level", "Geometric level (cosine of neighbours)"),
    ("second_neighbour_cosine", "Cosine at distance 2"),
)
"""The same of the rows as they are, as in the paper's figures."""


def shell_measurements(
    profiles: Sequence[Profile], shells: Shells, seed: int, *, named: Sequence[tuple[str, str]], said: str
) -> list[Measurement]:
    """Fall of similarity with distance, cosine of neighbours and of second neighbours; one profile per run.

    `named` has a name and a title for each of the three, and `said` ends their explanations.
    """
    means, squares, null_means, null_squares = (
        np.stack([getattr(profile, part.name) for profile in profiles]) for part in fields(Profile)
    )
    correlation, neighbours, second = named
    made = []
    if np.isfinite(shells.distances).sum() > 1:
        made.append(
            make_measurement(
                *correlation,
                "Over pairs of one component: -1 similarity falls in step with distance, 0 it does not. "
                f"{said}",
                np.asarray(distance_correlation(means, squares, shells)),
                seed=seed,
                null=PERMUTED,
                draws=np.asarray(distance_correlation(null_means, null_squares, shells)),
                alternative="less",
            )
        )
    made.append(
        make_measurement(
            *neighbours,
            "Mean cosine over edges: near 1 neighbours coincide, near 0 a lookup table, below 0 a zig-zag. "
            f"{said}",
            means[:, 0],
            seed=seed,
            null=PERMUTED,
            draws=null_means[:, :, 0],
            alternative="two-sided",
        )
    )
    if np.isfinite(shells.distances).sum() > 1:
        made.append(
            make_measurement(
                *second,
                f"Mean cosine of nodes two steps apart; above that of neighbours it marks a zig-zag. {said}",
                means[:, 1],
                seed=seed,
                null=PERMUTED,
                draws=null_means[:, :, 1],
                alternative="two-sided",
            )
        )
    return made


def similarity_measurements(
    raw: Sequence[Profile], centred: Sequence[Profile], shells: Shells, seed: int
) -> tuple[list[Measurement], list[Measurement]]:
    """`shell_measurements` of centred rows and of the rows as they are."""
    return (
        shell_measurements(centred, shells, seed, named=CENTRED_SHELLS, said="Of rows less their mean."),
        shell_measurements(raw, shells, seed, named=RAW_SHELLS, said="Of rows as they are."),
    )


def common_measurement(V: np.ndarray, permutations: int, seed: int) -> Measurement:
    """How much of the similarity one direction common to all nodes holds."""
    runs, nodes, width = V.shape
    return make_measurement(
        "common_share",
        "Share of a common direction",
        "Of the similarity, what the mean row holds: near 1 raw cosines tell little of the graph.",
        np.asarray(common_share(V)),
        seed=seed,
        null=RANDOM,
        draws=random_common_shares(nodes, width, count=permutations * runs, seed=seed).reshape(runs, -1),
    )


def word_of_fleet(readings: Sequence[Reading], measurements: Sequence[Measurement]) -> str:
    """The word that more than half of the runs carry, else "mixed".

    It never contradicts the table: where most runs are associative but a few others give the mean over runs a
    correlation below -`STRONG_CORRELATION` at p < `STRONG_SIGNIFICANCE`, the fleet is "mixed".
    """
    word = majority_word(tuple(reading.word for reading in readings))
    return "mixed" if word == "associative" and _fall(measurements, CENTRED_SHELLS[0][0]) else word


def _fall(measurements: Sequence[Measurement], name: str) -> Measurement | None:
    """The correlation of that name, if it is strong and significant."""
    for measured in measurements:
        if measured.name == name:
            strong = measured.mean < -STRONG_CORRELATION and measured.p_value < STRONG_SIGNIFICANCE
            return measured if strong else None
    return None


def describe_raw_fall(word: str, measurements: Sequence[Measurement]) -> str:
    """Says so where raw cosines fall strongly with distance and the word is "associative" all the same."""
    raw = _fall(measurements, RAW_SHELLS[0][0])
    if word != "associative" or raw is None:
        return ""
    return (
        f"Cosines of rows as they are fall with graph distance (correlation {raw.mean:.2f}), those of "
        "centred rows do not: where the origin lies makes the fall, and another common vector would undo it."
    )


def assemble_portrait(
    V: Float[np.ndarray, "run node width"],
    graph: Graph,
    measurements: Sequence[Measurement],
    profiles: tuple[Sequence[Profile], Sequence[Profile]],
    distances: Float[np.ndarray, " shell"],
    readings: Sequence[Reading],
    *,
    fiedler: Spectrum | None,
    **spectrum,
) -> Portrait:
    """A portrait from measurements, raw and centred profiles, readings, and the fields of the spectrum.

    `fiedler` lists the modes that the alignment is measured on, where it is.
    """
    finite = np.isfinite(distances)
    raw, centred = (np.stack([profile.means for profile in part])[:, finite] for part in profiles)
    null_means = np.mean([profile.null_means for profile in profiles[0]], axis=0)[:, finite]
    null_low, null_high = np.quantile(null_means, [0.025, 0.975], axis=0)
    words = tuple(reading.word for reading in readings)
    word = word_of_fleet(readings, measurements)
    raw_fall = describe_raw_fall(word, measurements)
    return Portrait(
        measurements=tuple(measurements),
        shell_distances=distances[finite],
        shells=raw,
        centred_shells=centred,
        shell_null_low=null_low,
        shell_null_high=null_high,
        readings=words,
        reasons=tuple(reading.reason for reading in readings),
        reading=word,
        signatures=find_in_embeddings(V, graph, words, centred),
        notes=(*([raw_fall] if raw_fall else []), *find_notes(V, graph, fiedler)),
        **spectrum,
    )


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
