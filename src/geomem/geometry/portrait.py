"""All measurements of embeddings on a graph: values per run, intervals over seeds, nulls, a plain reading.

Axis names: `run`, `node`, `width`, `shell` (one graph distance), `eigenspace`, `draw` (one of a null).
"""

import numpy as np
from jaxtyping import Float

from geomem.errors import InputError
from geomem.geometry.alignment import (
    bottom_energy,
    energy_by_eigenspace,
    fiedler_alignment,
    highest_modes_in_whole_eigenspaces,
    low_energy,
    lowest_modes_in_whole_eigenspaces,
)
from geomem.geometry.large_portrait import measure_large
from geomem.geometry.measurement import PERMUTED as PERMUTED
from geomem.geometry.measurement import RANDOM as RANDOM
from geomem.geometry.measurement import Measurement as Measurement
from geomem.geometry.measurement import Portrait as Portrait
from geomem.geometry.measurement import (
    affordable_draws,
    map_measurement,
    permuted_draws,
    shell_measurements,
)
from geomem.geometry.measurement import make_measurement as make_measurement
from geomem.geometry.nulls import PERMUTATIONS, draw_permutations, random_null
from geomem.geometry.reading import can_tell, majority_word, read_shells
from geomem.geometry.signatures import find_in_embeddings
from geomem.geometry.similarity import (
    cosine_similarity,
    effective_rank,
    graph_shells,
    leaf_retrieval,
    mean_cosine,
    permuted_shell_means,
    shell_means,
)
from geomem.geometry.spectrum import Spectrum, distinct_eigenvalues, fiedler_modes, laplacian_spectrum
from geomem.worlds.graph import Graph, distance_matrix, leaves_and_first_hops

EXACT_NODES = 1500
"""Up to this many nodes all pairs and the full spectrum are taken: 20 s on one core for three runs of width
128. Above, pairs are sampled and the spectrum is measured in bands: 5 s for such runs on a path-star of 3,001
nodes."""


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
    a quarter of a minute for 1,000 nodes. Above `EXACT_NODES` nodes no node by node matrix is made: see
    `geomem.geometry.large_portrait`.

    Raises `InputError` if the embeddings hold NaN or infinity, or if their rows do not match the graph.

    >>> from geomem.worlds.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> portrait = measure_embeddings(np.stack([np.cos(angles), np.sin(angles)], axis=1), cycle(15))
    >>> portrait.reading, round(portrait["fiedler_alignment"].mean, 6), portrait["fiedler_alignment"].p_value
    ('geometric', 1.0, 0.001)
    """
    V = _checked_embeddings(embeddings, graph)
    if graph.node_count > EXACT_NODES:
        return measure_large(V, graph, permutations=permutations, seed=seed)
    shells = graph_shells(distance_matrix(graph))
    spectrum = laplacian_spectrum(graph)
    # A gathered number costs about as much as five multiplied ones.
    count = affordable_draws(permutations, 5 * len(shells.first))
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
        *shell_measurements(means, squares, null_means, null_squares, shells, seed),
        *_spectral_measurements(V, spectrum, permutations, seed),
        *_spread_measurements(V, permutations, seed),
    ]
    if graph.root is not None:
        leaves, first_hops = leaves_and_first_hops(graph)
        if len(np.unique(first_hops)) > 1:
            measurements.append(_leafmake_measurement(V, leaves, first_hops, permutations, seed))
    if graph.coordinates is not None:
        measurements.append(map_measurement(V, graph.coordinates, permutations, seed))

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
    # No measurement depends on the scale, and squares of very long or very short embeddings would overflow; a
    # power of two changes no digit.
    exponents = np.frexp(np.abs(V).max(axis=(1, 2), keepdims=True))[1]
    return np.ldexp(V, -exponents)


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
            draws=permuted_draws(statistic, V, permutations, work, seed),
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
        count = affordable_draws(permutations, runs * work)
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
        draws=permuted_draws(statistic, V, permutations, 10 * V[0].size, seed),
    )
