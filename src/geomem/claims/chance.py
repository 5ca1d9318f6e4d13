"""What embeddings know of their graph beyond chance: the tests the groups of trained models share.

Chance is what the same embeddings would show if their rows were dealt to the nodes at random. The word for an
embedding and its thresholds are those of `geomem.geometry.reading`.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from geomem.claims.evidence import FleetEvidence
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.nulls import draw_permutations, p_value
from geomem.geometry.reading import SIGNIFICANCE, read_embeddings
from geomem.geometry.similarity import centre, cosine_similarity, graph_shells, shell_means
from geomem.geometry.spectrum import Spectrum, laplacian_spectrum
from geomem.worlds.graphs.graph import Graph, distance_matrix

PERMUTATIONS = 199
"""Enough for the level of 0.05: p goes down to 1/200."""


def find_structure(embeddings: Float[np.ndarray, "run node width"], graph: Graph) -> Bool[np.ndarray, " run"]:
    """Whether similarity knows the graph: a reading other than "associative" and "collapsed".

    A geometry and a zig-zag both pass.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> noise = np.random.default_rng(0).normal(size=(15, 2))
    >>> find_structure(np.stack([circle, noise]), cycle(15)).tolist()
    [True, False]
    """
    words = [reading.word for reading in read_embeddings(embeddings, graph, permutations=PERMUTATIONS)]
    return ~np.isin(words, ("associative", "collapsed"))


def contrast(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """How far the mean centred cosine is from that over all pairs, at distance 1 or 2, the farther one."""
    shells = graph_shells(distance_matrix(fleet.request.world))
    cosines = cosine_similarity(centre(fleet.embeddings))
    means = shell_means(cosines[..., shells.first, shells.second], shells)
    everywhere = np.average(means, axis=1, weights=shells.sizes)
    return np.abs(means[:, :2] - everywhere[:, None]).max(axis=1)


def structured(fleet: FleetEvidence) -> Bool[np.ndarray, " run"]:
    """`find_structure` of the final embeddings."""
    return find_structure(fleet.embeddings, fleet.request.world)


def first_step_structured(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """The step of the first snapshot in which structure is found; infinity if there is none."""
    first = np.full(len(fleet.request.seeds), np.inf)
    for step, snapshot in zip(fleet.snapshot_steps, fleet.snapshots, strict=True):
        open_runs = np.flatnonzero(np.isinf(first))
        if not len(open_runs):
            break
        found = find_structure(snapshot[open_runs], fleet.request.world)
        first[open_runs[found]] = step
    return first


def alignment_curve(fleet: FleetEvidence) -> Float[np.ndarray, "snapshot run"]:
    """Fiedler alignment of every snapshot."""
    spectrum = laplacian_spectrum(fleet.request.world)
    return np.stack(
        [
            np.atleast_1d(fiedler_alignment(snapshot, spectrum))
            for snapshot in fleet.snapshots.astype(np.float64)
        ]
    )


def above_chance(
    fleet: FleetEvidence, statistic: Callable[[np.ndarray, Spectrum], np.ndarray | float]
) -> Bool[np.ndarray, " run"]:
    """Whether a spectral measurement of the final embeddings exceeds that of permuted nodes, p <= 0.05."""
    graph = fleet.request.world
    spectrum = laplacian_spectrum(graph)
    permutations = draw_permutations(PERMUTATIONS, graph.node_count)
    values = np.atleast_1d(statistic(fleet.embeddings, spectrum))
    return np.array(
        [
            p_value(float(value), np.asarray(statistic(embedding[permutations], spectrum))) <= SIGNIFICANCE
            for value, embedding in zip(values, fleet.embeddings, strict=True)
        ]
    )
