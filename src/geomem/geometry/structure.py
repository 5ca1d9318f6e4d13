"""Whether embeddings know their graph beyond chance, as one yes or no per run.

Chance is what the same embeddings show when their rows are permuted over the nodes. Words and thresholds are
those of `geomem.geometry.reading`.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from geomem.geometry.nulls import draw_permutations, p_value
from geomem.geometry.reading import READING_PERMUTATIONS, SIGNIFICANCE, read_embeddings
from geomem.geometry.similarity import centre, cosine_similarity, graph_shells, shell_means
from geomem.geometry.spectrum import Spectrum, laplacian_spectrum
from geomem.worlds.graphs.graph import Graph, distance_matrix


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
    words = [reading.word for reading in read_embeddings(embeddings, graph)]
    return ~np.isin(words, ("associative", "collapsed"))


def first_structured(
    snapshots: Float[np.ndarray, "snapshot run node width"], graph: Graph
) -> Int[np.ndarray, " run"]:
    """The first snapshot of each run in which `find_structure` is true; the number of snapshots if none is.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> noise = np.random.default_rng(0).normal(size=(15, 2))
    >>> first_structured(np.array([[noise, noise], [circle, noise]]), cycle(15)).tolist()
    [1, 2]
    """
    first = np.full(snapshots.shape[1], len(snapshots))
    for number, snapshot in enumerate(snapshots):
        open_runs = np.flatnonzero(first == len(snapshots))
        if not len(open_runs):
            break
        first[open_runs[find_structure(snapshot[open_runs], graph)]] = number
    return first


def contrast(embeddings: Float[np.ndarray, "run node width"], graph: Graph) -> Float[np.ndarray, " run"]:
    """How far the mean centred cosine at distance 1 or 2 is from that over all pairs, the farther one.

        max over d in {1, 2} of |s_d - s|,    s_d: mean centred cosine at distance d, s: over all pairs

    >>> from geomem.worlds.graphs.families import path
    >>> contrast(np.array([[[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]]), path(3)).round(3).tolist()
    [0.667]
    """
    shells = graph_shells(distance_matrix(graph))
    cosines = cosine_similarity(centre(embeddings))
    means = shell_means(cosines[..., shells.first, shells.second], shells)
    everywhere = np.average(means, axis=1, weights=shells.sizes)
    return np.abs(means[:, :2] - everywhere[:, None]).max(axis=1)


def exceeds_chance(
    embeddings: Float[np.ndarray, "run node width"],
    graph: Graph,
    statistic: Callable[[np.ndarray, Spectrum], np.ndarray | float],
) -> Bool[np.ndarray, " run"]:
    """Whether a spectral measurement exceeds that of permuted nodes, at p <= `SIGNIFICANCE`.

    >>> from geomem.geometry.alignment import low_energy
    >>> from geomem.worlds.graphs.families import path
    >>> exceeds_chance(np.arange(9.0)[None, :, None] - 4, path(9), low_energy).tolist()
    [True]
    """
    spectrum = laplacian_spectrum(graph)
    permutations = draw_permutations(READING_PERMUTATIONS, graph.node_count)
    values = np.atleast_1d(statistic(embeddings, spectrum))
    return np.array(
        [
            p_value(float(value), np.asarray(statistic(embedding[permutations], spectrum))) <= SIGNIFICANCE
            for value, embedding in zip(values, embeddings, strict=True)
        ]
    )
