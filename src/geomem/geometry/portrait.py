"""All measurements of embeddings on a graph: values per run, intervals over seeds, nulls, a plain reading.

Axis names: `run`, `node`, `width`, `shell` (one graph distance), `eigenspace`, `draw` (one of a null).
"""

import re
from dataclasses import replace

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
    assemble_portrait,
    common_measurement,
    map_measurement,
    permuted_draws,
    similarity_measurements,
)
from geomem.geometry.measurement import make_measurement as make_measurement
from geomem.geometry.nulls import PERMUTATIONS, draw_permutations, random_null
from geomem.geometry.reading import (
    Profile,
    can_tell,
    other_likeness,
    profile_tables,
    read_profile,
    strong_candidates,
    uphold,
)
from geomem.geometry.similarity import (
    centre,
    cosine_similarity,
    effective_rank,
    graph_shells,
    leaf_retrieval,
    mean_cosine,
)
from geomem.geometry.spectrum import Spectrum, distinct_eigenvalues, fiedler_modes, laplacian_spectrum
from geomem.worlds.graphs.graph import Graph, distance_matrix, leaves_and_first_hops

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
    about three seconds for 1,000 nodes. Above `EXACT_NODES` nodes no node by node matrix is made: see
    `geomem.geometry.large_portrait`. The order in which the nodes are numbered makes no difference: the draws
    of the null models follow the nodes' labels.

    For embeddings that this library trained, as they are. For vectors from elsewhere see `measure_vectors`.
    Raises `InputError` if the embeddings hold NaN or infinity, or if their rows do not match the graph.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> portrait = measure_embeddings(np.stack([np.cos(angles), np.sin(angles)], axis=1), cycle(15))
    >>> portrait.reading, round(portrait["fiedler_alignment"].mean, 6), portrait["fiedler_alignment"].p_value
    ('geometric', 1.0, 0.001)
    """
    V, graph = in_order_of_labels(_checked_embeddings(embeddings, graph), graph)
    return _measure(V, V, graph, permutations, seed)


def measure_vectors(
    vectors: Float[np.ndarray, "run node width"] | Float[np.ndarray, "node width"],
    graph: Graph,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Portrait:
    """Measure vectors that were made elsewhere: centred, with the raw cosines beside.

    As `measure_embeddings`, but the spectrum and the leaves, too, are measured on the rows less their mean:
    vectors of most tools share a direction that has nothing to do with the graph, and left in it becomes the
    main direction that the Fiedler alignment looks at, by chance as well.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> portrait = measure_vectors(ring + 20, cycle(15))
    >>> portrait.reading, portrait.notes[0][:47]
    ('geometric', 'A common direction holds 99.9 % of the similari')
    """
    V, graph = in_order_of_labels(_checked_embeddings(vectors, graph), graph)
    return _measure(V, centre(V), graph, permutations, seed)


def _measure(
    V: Float[np.ndarray, "run node width"],
    seen: Float[np.ndarray, "run node width"],
    graph: Graph,
    permutations: int,
    seed: int,
) -> Portrait:
    """The portrait of `V`; spectrum and leaves are measured on `seen`."""
    if graph.node_count > EXACT_NODES:
        return measure_large(V, graph, permutations=permutations, seed=seed, seen=seen)
    shells = graph_shells(distance_matrix(graph))
    spectrum = laplacian_spectrum(graph)
    # A gathered number costs about as much as five multiplied ones.
    count = affordable_draws(permutations, 5 * len(shells.first))
    dealt = draw_permutations(count, graph.node_count, seed=seed)

    def profile(table: np.ndarray) -> Profile:
        return profile_tables(table[None], shells, dealt)[0]

    # The cosines of rows as they are and of centred rows, a run at a time.
    profiles = [
        profile_tables(cosine_similarity(np.stack([run, rows])), shells, dealt)
        for run, rows in zip(V, centre(V), strict=True)
    ]
    raw, centred = zip(*profiles, strict=True)
    similarity, as_they_are = similarity_measurements(raw, centred, shells, seed)
    measurements = similarity
    if graph.coordinates is not None:
        measurements.append(map_measurement(V, graph.coordinates, permutations, seed))
    if graph.root is not None:
        leaves, first_hops = leaves_and_first_hops(graph)
        if len(np.unique(first_hops)) > 1:
            measurements.append(_leaf_measurement(seen, leaves, first_hops, permutations, seed))
    measurements += as_they_are
    measurements += [common_measurement(V, permutations, seed), *_spread_measurements(V, permutations, seed)]
    measurements += _spectral_measurements(seen, spectrum, permutations, seed)

    tellable = can_tell(shells, graph.node_count, dealt)
    readings = [
        uphold(
            read_profile(about_mean, shells, tellable=tellable),
            strong_candidates(other_likeness(run), profile, shells),
            shells,
        )
        for run, about_mean in zip(V, centred, strict=True)
    ]
    eigenvalues, multiplicities = distinct_eigenvalues(spectrum)
    return assemble_portrait(
        V,
        graph,
        measurements,
        (raw, centred),
        shells.distances,
        readings,
        fiedler=spectrum,
        eigenvalues=eigenvalues,
        multiplicities=multiplicities,
        energies=np.asarray(energy_by_eigenspace(seen, spectrum)),
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


def in_order_of_labels(
    V: Float[np.ndarray, "*run node width"], graph: Graph
) -> tuple[Float[np.ndarray, "*run node width"], Graph]:
    """Embeddings and graph with nodes and edges in the order of the labels, whole numbers by their size.

    So draws of a null model, and pairs that are sampled, do not depend on how nodes happen to be numbered.

    >>> graph = Graph("two", ("10", "9"), np.array([[0, 1]]))
    >>> V, ordered = in_order_of_labels(np.array([[[1.0], [2.0]]]), graph)
    >>> V.tolist(), ordered.labels, ordered.edges.tolist()
    ([[[2.0], [1.0]]], ('9', '10'), [[1, 0]])
    """
    numbered = all(re.fullmatch(r"[+-]?[0-9]{1,18}", label) for label in graph.labels)
    keys = [(int(label) if numbered else 0, label) for label in graph.labels]
    order = np.array(sorted(range(graph.node_count), key=keys.__getitem__))
    place = np.argsort(order)
    edges = place[graph.edges]
    ordered = replace(
        graph,
        labels=tuple(graph.labels[node] for node in order),
        edges=edges[np.lexsort(np.sort(edges, axis=1).T)],
        root=None if graph.root is None else int(place[graph.root]),
        coordinates=None if graph.coordinates is None else graph.coordinates[order],
    )
    return V[..., order, :], ordered


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


def _leaf_measurement(
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
