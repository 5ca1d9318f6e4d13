"""Pairs of entities: how far apart the graph has them, and how alike a place of a model holds them.

    Mantel = sum_p m_p z_p,        AUC = 1/2 + s sum_p a_p z_p

z_p: rank of the cosine of pair p, less the mean rank, over the ranks' deviation s (ranks run from 0 to 1);
m_p and a_p depend on the graph alone. So both are matrix products for all places of a model at once, and
under permuted entities only the order of the rows of z changes.
Axis names: `source`, `column` (as in `geomem.geometry.sampling`), `pair`, `entry` (of a table, source by
column), `look` (one layer under one template), `form`, `draw`.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from geomem.audit.states import States
from geomem.errors import InputError
from geomem.geometry.sampling import PairSample, deal_columns, sample_pairs, whole_sample
from geomem.geometry.similarity import centre, unit_rows
from geomem.worlds.graphs.graph import Graph

EXACT_ENTITIES = 300
"""Up to so many entities all pairs are taken, in double precision; beyond, pairs are sampled, in single."""

BINS = 65_536
"""Cosines of a sampled table are ranked in bins of this share of their range."""


def entity_pairs(graph: Graph, *, seed: int = 0) -> PairSample:
    """All pairs of a small graph, or a sample of those of a large one, stratified by graph distance.

    >>> from geomem.worlds.graphs.families import cycle
    >>> len(entity_pairs(cycle(10)).shells.first)
    45
    """
    return whole_sample(graph) if graph.node_count <= EXACT_ENTITIES else sample_pairs(graph, seed=seed)


def pair_weights(sample: PairSample) -> Float[np.ndarray, " pair"]:
    """How many pairs of the graph each pair of the sample stands for."""
    return np.repeat(sample.pair_counts / sample.shells.sizes, sample.shells.sizes)


def pair_distances(sample: PairSample) -> Float[np.ndarray, " pair"]:
    """The graph distance of each pair of the sample."""
    return np.repeat(sample.shells.distances, sample.shells.sizes)


def pair_entries(sample: PairSample) -> Int[np.ndarray, " pair"]:
    """Where each pair of the sample stands in a table of sources by columns."""
    return sample.shells.first * sample.distances.shape[1] + sample.shells.second


def each_look(states: States) -> Iterator[tuple[str, str, Shaped[np.ndarray, "entity width"]]]:
    """Every layer under every template: names and vectors.

    Raises `InputError` for vectors that are not one row of finite numbers for each entity.

    >>> from geomem.audit.states import Layer
    >>> places = (Layer("vectors", np.zeros((1, 2, 3))),)
    >>> [look[:2] for look in each_look(States(("a", "b"), ("The land of {}", "{}"), "last token", places))]
    [('vectors', '')]
    """
    for layer in states.layers:
        named = len(layer.vectors) == len(states.templates) and len(layer.vectors) > 1
        for template, vectors in enumerate(layer.vectors):
            if len(vectors) != len(states.entities) or not np.isfinite(vectors).all():
                raise InputError(
                    f"The vectors of {layer.name!r} have shape {vectors.shape} or hold NaN or infinity; give "
                    f"one row of finite numbers for each of the {len(states.entities)} entities."
                )
            yield layer.name, states.templates[template] if named else "", vectors


def check_twin(states: States, twin: States) -> None:
    """Raise `InputError` unless a re-initialised twin has the entities and the looks of the model.

    >>> check_twin(States(("a",), ("",), "last token", ()), States(("a",), ("",), "last token", ()))
    """
    looks, others = ([look[:2] for look in each_look(given)] for given in (states, twin))
    if twin.entities != states.entities or looks != others:
        raise InputError(
            "A re-initialised twin has other entities, layers or templates than the model; give states of "
            "the same architecture under the same templates."
        )


def cosine_table(
    rows: Float[np.ndarray, "entity width"], sample: PairSample, *, centred: bool
) -> Float[np.ndarray, "source column"]:
    """Cosine of every source and every column, of rows less their mean or of rows as they are.

    >>> from geomem.worlds.graphs.families import path
    >>> cosine_table(np.array([[2.0], [3.0], [1.0]]), entity_pairs(path(3)), centred=True).tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, -1.0], [0.0, -1.0, 1.0]]
    """
    if len(rows) <= EXACT_ENTITIES:
        directions = unit_rows(centre(rows) if centred else rows)
    else:
        directions = rows - rows.mean(axis=0, dtype=np.float64) if centred else rows
        directions = directions.astype(np.float32)
        lengths = np.linalg.norm(directions, axis=1, keepdims=True)
        directions = np.divide(directions, lengths, out=np.zeros_like(directions), where=lengths > 0)
    directions = directions[sample.nodes]
    return np.clip(directions[: len(sample.distances)] @ directions.T, -1.0, 1.0)


def standard_ranks(
    cosines: Float[np.ndarray, "source column"], sample: PairSample
) -> tuple[Float[np.ndarray, " entry"], float]:
    """Ranks of the entries, standardised, and the deviation of ranks that run from 0 to 1.

    Equal cosines have the mean of their ranks. An entity's cosine with itself has no rank but 0. Where all
    cosines are equal, all ranks and the deviation are 0.

    >>> from geomem.worlds.graphs.families import path
    >>> cosines = np.array([[1, 0.5, 0], [0.5, 1, 0.1], [0, 0.1, 1]])
    >>> ranks, deviation = standard_ranks(cosines, entity_pairs(path(3)))
    >>> ranks.reshape(3, 3)[0].round(3).tolist(), round(deviation, 3)
    ([0.0, 1.225, -1.225], 0.272)
    """
    sources, columns = cosines.shape
    if sources == columns:
        from scipy.stats import rankdata

        first, second = sample.shells.first, sample.shells.second
        # Cosines that are equal but for rounding are equal.
        ranks = (rankdata(cosines[first, second].round(12)) - 0.5) / len(first)
        deviation = float(ranks.std())
        ranks = (ranks - 0.5) / deviation if deviation > 0 else np.zeros_like(ranks)
        table = np.zeros_like(cosines)
        table[first, second] = table[second, first] = ranks
        return table.ravel(), deviation
    own = np.arange(sources) * (columns + 1)
    entries = np.delete(cosines.ravel(), own)
    low, high = float(entries.min()), float(entries.max())
    if low == high:
        return np.zeros(cosines.size, dtype=np.float32), 0.0
    bins = ((cosines.ravel() - low) * ((BINS - 1) / (high - low))).clip(0, BINS - 1).astype(np.int32)
    counts = np.bincount(bins, minlength=BINS) - np.bincount(bins[own], minlength=BINS)
    places = (np.cumsum(counts) - counts / 2) / counts.sum()
    deviation = float(np.sqrt(counts @ (places - 0.5) ** 2 / counts.sum()))
    ranks = ((places - 0.5) / deviation).astype(np.float32)[bins]
    ranks[own] = 0
    return ranks, deviation


def distance_ranks(
    distances: Float[np.ndarray, " pair"], weights: Float[np.ndarray, " pair"]
) -> Float[np.ndarray, " pair"]:
    """Ranks of graph distances, standardised, each pair as often as its weight says.

    Two components that are apart say nothing of distances inside them, so their pairs have the rank 0; where
    no component has two distances, they count as farther than any other pair. All 0 for equal distances.

    >>> distance_ranks(np.array([1.0, 2.0, np.inf]), np.ones(3)).round(3).tolist()
    [-1.0, 1.0, 0.0]
    """
    counted = counted_pairs(distances, weights)
    result = np.zeros(len(distances))
    _, place = np.unique(distances[counted], return_inverse=True)
    masses = np.bincount(place, weights=weights[counted])
    if len(masses) < 2:
        return result
    middles, shares = np.cumsum(masses) - masses / 2, masses / masses.sum()
    middles -= shares @ middles
    result[counted] = (middles / np.sqrt(shares @ middles**2))[place]
    return result


def counted_pairs(
    distances: Float[np.ndarray, " pair"], weights: Float[np.ndarray, " pair"]
) -> Bool[np.ndarray, " pair"]:
    """Pairs that Mantel's correlation is about: those of one component, or all where these are all alike."""
    finite = np.isfinite(distances) & (weights > 0)
    different = finite.any() and distances[finite].min() < distances[finite].max()
    return finite if different else weights > 0


def mantel_form(
    distances: Float[np.ndarray, " pair"], weights: Float[np.ndarray, " pair"]
) -> Float[np.ndarray, " pair"]:
    """What the standardised ranks of cosines are multiplied by and summed to give Mantel's correlation.

    Spearman's correlation of cosine and graph distance over pairs of one component (Mantel 1967 on ranks): -1
    similarity falls in step with distance, 0 it does not.

    >>> float(mantel_form(np.array([1.0, 2.0]), np.ones(2)) @ np.array([1.0, -1.0]))
    -1.0
    """
    mass = weights[counted_pairs(distances, weights)].sum()
    return weights * distance_ranks(distances, weights) / mass


def neighbour_form(
    distances: Float[np.ndarray, " pair"], weights: Float[np.ndarray, " pair"]
) -> Float[np.ndarray, " pair"]:
    """The same for the neighbour AUC less 1/2, once it is multiplied by the deviation of the ranks.

    AUC: chance that two neighbours are more alike than two entities that are none. All 0 where all or none
    are neighbours.

    >>> float(neighbour_form(np.array([1.0, 2.0]), np.ones(2)) @ np.array([1.0, -1.0])) * 0.25 + 0.5
    1.0
    """
    near, far = weights * (distances == 1), weights * (distances > 1)
    if not near.any() or not far.any():
        return np.zeros(len(distances))
    return near / near.sum() - far / far.sum()


def permuted_sums(
    table: Float[np.ndarray, "entry look"],
    forms: Float[np.ndarray, "form pair"],
    sample: PairSample,
    count: int,
    *,
    seed: int = 0,
) -> Float[np.ndarray, "draw form look"]:
    """Sums of forms times entries: first as observed, then under `count` permutations of the entities.

    The same permutations for all forms and looks. A sample's sources change places among themselves and its
    other entities among theirs, which keeps the test exact (`permuted_sample_means`).
    """
    columns = sample.distances.shape[1]
    forms = forms.astype(table.dtype)
    sums = np.empty((1 + count, len(forms), table.shape[1]))

    def sum_of(dealt: np.ndarray) -> np.ndarray:
        entries = dealt[sample.shells.first] * columns + dealt[sample.shells.second]
        return forms @ np.take(table, entries, axis=0)

    sums[0] = sum_of(np.arange(columns))
    for draw, dealt in enumerate(deal_columns(sample, count, seed=seed)):
        sums[1 + draw] = sum_of(dealt)
    return sums


def standard_scores(draws: Float[np.ndarray, "draw look"], sign: int) -> Float[np.ndarray, "draw look"]:
    """Every column less its mean, over its deviation, times `sign`; 0 where nothing varies.

    The observed value is one of the draws, the first, so that all are treated alike and a test on the largest
    over the looks stays exact (Westfall and Young 1993).

    >>> standard_scores(np.array([[3.0, 1.0], [1.0, 1.0]]), 1).tolist()
    [[1.0, 0.0], [-1.0, 0.0]]
    """
    deviations = draws.std(axis=0)
    varied = deviations > 1e-9 * np.maximum(1.0, np.abs(draws).max(axis=0))
    return sign * (draws - draws.mean(axis=0)) * varied / np.where(varied, deviations, 1.0)
