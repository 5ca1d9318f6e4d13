"""All measurements of embeddings on a graph: values per run, intervals over seeds, nulls, a plain reading.

Axis names: `run`, `node`, `width`, `shell` (one graph distance), `eigenspace`, `draw` (one of a null).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.geometry.alignment import (
    bottom_energy,
    energy_by_eigenspace,
    fiedler_alignment,
    highest_modes_in_whole_eigenspaces,
    low_energy,
    lowest_modes_in_whole_eigenspaces,
    map_coordinates,
    procrustes_correlation,
)
from geomem.geometry.nulls import (
    PERMUTATIONS,
    bootstrap_interval,
    draw_permutations,
    p_value,
    permutation_null,
    random_null,
)
from geomem.geometry.reading import can_tell, majority_word, read_shells
from geomem.geometry.signatures import Signature, find_in_embeddings
from geomem.geometry.similarity import (
    Shells,
    cosine_similarity,
    distance_correlation,
    effective_rank,
    graph_shells,
    leaf_retrieval,
    mean_cosine,
    permuted_shell_means,
    shell_means,
)
from geomem.geometry.spectrum import Spectrum, distinct_eigenvalues, fiedler_modes, laplacian_spectrum
from geomem.worlds.graph import Graph, distance_matrix, leaves_and_first_hops

PERMUTED = "permuted nodes"
"""Null model of what relates embeddings to the graph: their rows are dealt anew to the nodes."""

RANDOM = "random embeddings"
"""Null model of what does not look at the graph: independent N(0, 1) entries of the same shape."""

# Work allowed to one null, in numbers gathered or multiplied; about a second on one core. Large graphs get
# fewer permutations, never fewer than make p = 0.01 possible.
NULL_WORK = 200_000_000
FEWEST_DRAWS = 99

FULL_MEASUREMENT_NODES = 4000
"""Up to this many nodes all pairs and the full spectrum are taken: 128 MB a matrix."""


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

    def __getitem__(self, name: str) -> Measurement:
        """The measurement of that name; raises `KeyError` if it was not made."""
        for measurement in self.measurements:
            if measurement.name == name:
                return measurement
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return any(measurement.name == name for measurement in self.measurements)


def measure_embeddings(
    embeddings: Float[np.ndarray, "run node width"] | Float[np.ndarray, "node width"],
    graph: Graph,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Portrait:
    """Measure node embeddings, of one run or several, against the graph they should know.

    Each measurement is a function of `geomem.geometry`; its definition, and how to read it, stand there. The
    same permutations serve all runs, so a p-value tests the mean over runs and stays exact whatever the runs
    share. Takes O(node³ + permutations * node²) time per run: a second for 50 nodes and five runs,
    a quarter of a minute for 1,000 nodes.

    Raises `InputError` if the embeddings hold NaN or infinity, if their rows do not match the graph, or if
    the graph has more than `FULL_MEASUREMENT_NODES` nodes.

    >>> from geomem.worlds.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> portrait = measure_embeddings(np.stack([np.cos(angles), np.sin(angles)], axis=1), cycle(15))
    >>> portrait.reading, round(portrait["fiedler_alignment"].mean, 6), portrait["fiedler_alignment"].p_value
    ('geometric', 1.0, 0.001)
    """
    V = _checked_embeddings(embeddings, graph)
    shells = graph_shells(distance_matrix(graph))
    spectrum = laplacian_spectrum(graph)
    # A gathered number costs about as much as five multiplied ones.
    count = _affordable(permutations, 5 * len(shells.first))
    dealt = draw_permutations(count, graph.node_count, seed=seed)
    finite = np.isfinite(shells.distances)

    means, squares = np.empty((2, len(V), len(shells.sizes)))
    null_means, null_squares = np.empty((2, len(V), len(dealt), len(shells.sizes)))
    for at, run in enumerate(V):  # one node by node matrix at a time
        cosines = cosine_similarity(run)
        pairs = cosines[shells.first, shells.second]
        means[at], squares[at] = shell_means(pairs, shells), shell_means(pairs**2, shells)
        null_means[at] = permuted_shell_means(cosines, shells, dealt)
        # Only the mean square over finite pairs is asked for; permuting a connected graph does not change it.
        null_squares[at] = squares[at] if finite.all() else permuted_shell_means(cosines**2, shells, dealt)

    measurements = [
        *_shell_measurements(means, squares, null_means, null_squares, shells, seed),
        *_spectral_measurements(V, spectrum, permutations, seed),
        *_spread_measurements(V, permutations, seed),
    ]
    if graph.root is not None:
        leaves, first_hops = leaves_and_first_hops(graph)
        if len(np.unique(first_hops)) > 1:
            measurements.append(_leafmake_measurement(V, leaves, first_hops, permutations, seed))
    if graph.coordinates is not None:
        measurements.append(_mapmake_measurement(V, graph.coordinates, permutations, seed))

    tellable = can_tell(shells, graph.node_count, dealt)
    readings = [
        read_shells(mean, null, shells, zero=not np.any(run), tellable=tellable)
        for run, mean, null in zip(V, means, null_means, strict=True)
    ]
    words = tuple(reading.word for reading in readings)
    eigenvalues, multiplicities = distinct_eigenvalues(spectrum)
    null_low, null_high = np.quantile(null_means.mean(axis=0), [0.025, 0.975], axis=0)
    return Portrait(
        measurements=tuple(measurements),
        shell_distances=shells.distances[finite],
        shells=means[:, finite],
        shell_null_low=null_low[finite],
        shell_null_high=null_high[finite],
        eigenvalues=eigenvalues,
        multiplicities=multiplicities,
        energies=np.asarray(energy_by_eigenspace(V, spectrum)),
        readings=words,
        reasons=tuple(reading.reason for reading in readings),
        reading=majority_word(words),
        signatures=find_in_embeddings(V, graph, words, means[:, finite]),
    )


def _checked_embeddings(embeddings: np.ndarray, graph: Graph) -> Float[np.ndarray, "run node width"]:
    V = np.asarray(embeddings, dtype=np.float64)
    V = V[None] if V.ndim == 2 else V
    if V.shape[0] == 0 or V.shape[2] == 0:
        raise InputError(
            f"The embeddings have shape {embeddings.shape}, which holds no number; "
            "give at least one run and one column."
        )
    if V.shape[1] != graph.node_count:
        raise InputError(
            f"The embeddings have {V.shape[1]} rows but the graph has {graph.node_count} nodes; "
            "give one row per node, in the order of the graph's nodes."
        )
    wrong = np.argwhere(~np.isfinite(V).all(axis=2))
    if len(wrong):
        run, node = wrong[0]
        raise InputError(
            f"The embedding of node {graph.labels[node]!r} in run {run} holds NaN or infinity; "
            "measure embeddings of finite numbers (a diverged training needs a smaller learning rate)."
        )
    if graph.node_count > FULL_MEASUREMENT_NODES:
        raise InputError(
            f"The graph has {graph.node_count:,} nodes and all pairs are measured for at most "
            f"{FULL_MEASUREMENT_NODES:,}; take geomem.geometry.filtering for energies, or a smaller graph."
        )
    # No measurement depends on the scale, and squares of very long or very short embeddings would overflow; a
    # power of two changes no digit.
    exponents = np.frexp(np.abs(V).max(axis=(1, 2), keepdims=True))[1]
    return np.ldexp(V, -exponents)


def _affordable(wanted: int, work: int) -> int:
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


def _shell_measurements(
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


def _permuted(
    statistic: Callable[[np.ndarray], np.ndarray], V: np.ndarray, wanted: int, work: int, seed: int
) -> np.ndarray:
    """Null draws [run, draw] of a statistic, the same permutations for every run."""
    count = _affordable(wanted, work)
    return np.stack([permutation_null(statistic, run, count=count, seed=seed) for run in V])


def _spectral_measurements(
    V: np.ndarray, spectrum: Spectrum, permutations: int, seed: int
) -> list[Measurement]:
    """Fiedler alignment and the energies at both ends of the spectrum."""
    nodes, width = V.shape[1:]
    if len(spectrum.eigenvalues) == len(np.unique(spectrum.components)):
        return []
    if width > nodes:
        # Turning the columns changes none of these numbers, and width - node of them can be turned to zero.
        V = np.stack([np.linalg.qr(run.T)[1].T for run in V])
    rank = V.shape[2]
    asked = (
        (
            "fiedler_alignment",
            "Fiedler alignment",
            "Share of the main directions in the graph's smoothest (Fiedler) eigenspace: 1 all, 0 none.",
            lambda x: np.asarray(fiedler_alignment(x, spectrum)),
            nodes * rank * (rank + len(fiedler_modes(spectrum))) + 8 * rank**3,
        ),
        (
            "low_energy",
            "Energy at the smooth end",
            "Share of squared length on the three lowest non-trivial Laplacian modes, in whole eigenspaces.",
            lambda x: np.asarray(low_energy(x, spectrum)),
            nodes * rank * len(lowest_modes_in_whole_eigenspaces(spectrum, 3)),
        ),
        (
            "bottom_energy",
            "Energy at the rough end",
            "The same on the highest modes, along which neighbours have opposite signs: high in a zig-zag.",
            lambda x: np.asarray(bottom_energy(x, spectrum)),
            nodes * rank * len(highest_modes_in_whole_eigenspaces(spectrum, 3)),
        ),
    )
    return [
        make_measurement(
            name,
            title,
            explanation,
            statistic(V),
            seed=seed,
            null=PERMUTED,
            draws=_permuted(statistic, V, permutations, work, seed),
        )
        for name, title, explanation, statistic, work in asked
    ]


def _spread_measurements(V: np.ndarray, permutations: int, seed: int) -> list[Measurement]:
    """Whether the nodes are spread at all; the graph takes no part, so the null is random embeddings."""
    runs, nodes, width = V.shape
    asked = (
        (
            "mean_cosine",
            "Mean cosine of all pairs",
            "Near 1 all nodes are in one place (collapsed), near 0 they are spread around the origin.",
            lambda x: np.asarray(mean_cosine(x)),
            4 * nodes * width,
        ),
        (
            "effective_rank",
            "Effective rank",
            "How many directions share the spread of the nodes: few in a geometry, many in a lookup table.",
            lambda x: np.asarray(effective_rank(x)),
            nodes * width * min(nodes, width),
        ),
    )
    made = []
    for name, title, explanation, statistic, work in asked:
        count = _affordable(permutations, runs * work)
        draws = random_null(statistic, (nodes, width), count=count * runs, seed=seed).reshape(runs, count)
        made.append(
            make_measurement(
                name,
                title,
                explanation,
                statistic(V),
                seed=seed,
                null=RANDOM,
                draws=draws,
                alternative="two-sided",
            )
        )
    return made


def _leafmake_measurement(
    V: np.ndarray, leaves: np.ndarray, first_hops: np.ndarray, permutations: int, seed: int
) -> Measurement:
    """Leaf to first-hop retrieval."""

    def statistic(x: np.ndarray) -> np.ndarray:
        return np.asarray(leaf_retrieval(x, leaves, first_hops))

    return make_measurement(
        "leaf_retrieval",
        "Leaf to first hop retrieval",
        "Share of leaves whose most similar first hop is their own path's: 1 path-finding in one step.",
        statistic(V),
        seed=seed,
        null=PERMUTED,
        draws=_permuted(statistic, V, permutations, 10 * V[0].size, seed),
    )


def _mapmake_measurement(V: np.ndarray, coordinates: np.ndarray, permutations: int, seed: int) -> Measurement:
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
        draws=_permuted(statistic, places, permutations, 10 * len(coordinates), seed),
    )
