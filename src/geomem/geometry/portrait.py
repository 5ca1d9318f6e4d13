"""All measurements of embeddings on a graph: values per run, intervals over seeds, nulls, a plain reading.

Axis names: `run`, `node`, `width`, `shell` (one graph distance), `eigenspace`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.geometry.large_graph import follow_large, measure_large
from geomem.geometry.measurement import PERMUTED as PERMUTED
from geomem.geometry.measurement import RANDOM as RANDOM
from geomem.geometry.measurement import Measurement, defined_measurements
from geomem.geometry.notes import find_notes
from geomem.geometry.nulls import PERMUTATIONS
from geomem.geometry.reading import STRONG_CORRELATION, STRONG_SIGNIFICANCE, Reading, majority_word
from geomem.geometry.signatures import Signature, find_in_embeddings
from geomem.geometry.similarity import centre
from geomem.geometry.whole_graph import Parts, follow_whole, measure_whole
from geomem.shown import shown_by
from geomem.worlds.graphs.graph import Graph

EXACT_NODES = 1500
"""Up to this many nodes all pairs and the full spectrum are taken: 20 s on one core for three runs of width
128. Above, pairs are sampled and the spectrum is measured in bands: 5 s for such runs on a path-star of 3,001
nodes."""


@shown_by("geomem.report.card:show_portrait")
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


def measure_embeddings(
    embeddings: Float[np.ndarray, "run node width"] | Float[np.ndarray, "node width"],
    graph: Graph,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Portrait:
    """Measure node embeddings, of one run or several, against the graph they should know.

    The measurements are those of `MEASUREMENTS`; the definition of each, and how to read it, stand at its
    function. The same permutations serve all runs, so a p-value tests the mean over runs and stays exact
    whatever the runs share. Takes O(node³ + permutations * node²) time per run: a second for 50 nodes and
    five runs, about three seconds for 1,000 nodes. Above `EXACT_NODES` nodes no node by node matrix is made:
    see `geomem.geometry.large_graph`. The order in which the nodes are numbered makes no difference: the
    draws of the null models follow the nodes' labels.

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


def measure_snapshots(
    snapshots: Float[np.ndarray, "snapshot run node width"], graph: Graph
) -> dict[str, Float[np.ndarray, "snapshot run"]]:
    """How the geometry came about: the measurements that are curves, of every snapshot of every run, by name.

    As in `measure_embeddings` but without nulls; those that the graph does not have are left out. A snapshot
    with NaN or infinity (a diverged run) gives NaN. Above `EXACT_NODES` nodes the cosine at distance 2 is
    that of sampled pairs, and there is no alignment where the Fiedler eigenspace has too many dimensions to
    be listed.

    >>> from geomem.worlds.graphs.families import cycle
    >>> curves = measure_snapshots(np.random.default_rng(0).normal(size=(3, 2, 6, 4)), cycle(6))
    >>> sorted(curves), curves["fiedler_alignment"].shape
    (['effective_rank', 'fiedler_alignment', 'geometric_level', 'second_neighbour_cosine'], (3, 2))
    """
    drawn = [definition for definition in defined_measurements() if definition.curve]
    if graph.node_count > EXACT_NODES:
        snapshots, graph = in_order_of_labels(snapshots, graph)
        follow = follow_large(graph, drawn)
    else:
        follow = follow_whole(graph, drawn)
    # Which of them the graph has, whatever the snapshots hold.
    probe = follow(np.random.default_rng(0).standard_normal((1, graph.node_count, 1)))
    curves = {
        name: np.full(snapshots.shape[:2], np.nan) for name, values in probe.items() if values is not None
    }
    for place in np.ndindex(*snapshots.shape[:2]):
        V = snapshots[place][None].astype(np.float64)
        if np.isfinite(V).all():
            found = follow(V)
            for name, values in curves.items():
                values[place] = np.asarray(found[name])[0]
    return curves


def _measure(
    V: Float[np.ndarray, "run node width"],
    seen: Float[np.ndarray, "run node width"],
    graph: Graph,
    permutations: int,
    seed: int,
) -> Portrait:
    """The portrait of `V`; spectrum and leaves are measured on `seen`."""
    take_parts = measure_whole if graph.node_count <= EXACT_NODES else measure_large
    return assemble_portrait(V, graph, take_parts(V, seen, graph, permutations, seed))


def assemble_portrait(V: Float[np.ndarray, "run node width"], graph: Graph, parts: Parts) -> Portrait:
    """Take all measurements, and put the portrait of `V` together."""
    finite = np.isfinite(parts.distances)
    raw, centred = (
        np.stack([profile.means for profile in part])[:, finite] for part in (parts.raw, parts.centred)
    )
    null_means = np.mean([profile.null_means for profile in parts.raw], axis=0)[:, finite]
    null_low, null_high = np.quantile(null_means, [0.025, 0.975], axis=0)
    made = [parts.measure(definition) for definition in defined_measurements()]
    measurements = tuple(measured for measured in made if measured is not None)
    words = tuple(reading.word for reading in parts.readings)
    word = word_of_fleet(parts.readings, measurements)
    raw_fall = describe_raw_fall(word, measurements)
    return Portrait(
        measurements=measurements,
        shell_distances=parts.distances[finite],
        shells=raw,
        centred_shells=centred,
        shell_null_low=null_low,
        shell_null_high=null_high,
        readings=words,
        reasons=tuple(reading.reason for reading in parts.readings),
        reading=word,
        signatures=find_in_embeddings(V, graph, words, centred),
        notes=(*([raw_fall] if raw_fall else []), *find_notes(V, graph, parts.fiedler)),
        **parts.spectrum,
    )


def word_of_fleet(readings: Sequence[Reading], measurements: Sequence[Measurement]) -> str:
    """The word that more than half of the runs carry, else "mixed".

    It never contradicts the table: where most runs are associative but a few others give the mean over runs a
    correlation below -`STRONG_CORRELATION` at p < `STRONG_SIGNIFICANCE`, the fleet is "mixed".
    """
    word = majority_word(tuple(reading.word for reading in readings))
    return "mixed" if word == "associative" and _fall(measurements, "centred_distance_correlation") else word


def _fall(measurements: Sequence[Measurement], name: str) -> Measurement | None:
    """The correlation of that name, if it is strong and significant."""
    for measured in measurements:
        if measured.name == name:
            strong = measured.mean < -STRONG_CORRELATION and measured.p_value < STRONG_SIGNIFICANCE
            return measured if strong else None
    return None


def describe_raw_fall(word: str, measurements: Sequence[Measurement]) -> str:
    """Says so where raw cosines fall strongly with distance and the word is "associative" all the same."""
    raw = _fall(measurements, "distance_correlation")
    if word != "associative" or raw is None:
        return ""
    return (
        f"Cosines of rows as they are fall with graph distance (correlation {raw.mean:.2f}), those of "
        "centred rows do not: where the origin lies makes the fall, and another common vector would undo it."
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
