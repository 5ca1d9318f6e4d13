"""One plain word for what an embedding knows of its graph, and the rule behind each word.

The rules look at cosines of centred rows: each row less the mean row (`centre`), so that a direction which
all nodes share, as vectors of most tools have one, neither hides a geometry nor makes one. Adding one vector
to all rows does not change the word. s_d is the mean centred cosine of node pairs at graph distance d; it is
held against what it is when the rows of the embedding are in random order (permutation null). The rules are
tried in the order of `READINGS`; the first that holds gives the word.

The mean has a weak spot: a few rows far longer than the others decide where it lies. So an embedding is
"associative" only if neither the cosines of rows about their geometric median (`balance`) nor the distances
between rows (`nearness`), which no shift changes either, have a strong correlation with graph distance.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.nulls import draw_permutations, p_value
from geomem.geometry.sampling import PairSample, permuted_sample_means, sampled_shell_means
from geomem.geometry.similarity import (
    Shells,
    balance,
    centre,
    cosine_similarity,
    distance_correlation,
    graph_shells,
    nearness,
    permuted_shell_means,
    shell_means,
    unit_rows,
)
from geomem.worlds.graphs.graph import Graph, distance_matrix

SIGNIFICANCE = 0.05
"""Level of the permutation tests."""

NEGLIGIBLE_COSINE = 0.1
"""Distance structure that moves the mean cosine by less than this counts as none, however significant: wide
embeddings make tiny differences significant, and trained associative memories stay within it (notes
T5)."""

STRONG_CORRELATION = 0.5
"""Cosines that fall with distance by a correlation beyond this are no lookup table, however small."""

STRONG_SIGNIFICANCE = 0.01
"""Level below which the p-value of such a correlation must be."""

ZIG_ZAG_MARGIN = 0.05
"""How far second neighbours must be more alike than neighbours for a zig-zag; nearer than that is a tie."""

READING_PERMUTATIONS = 199
"""Permutations of a reading without a portrait: enough for its level of 5 %, and for p = .005."""

READINGS: dict[str, str] = {
    "collapsed": (
        "All nodes are in one place: no row differs from the mean row by more than rounding, or all "
        "embeddings are zero."
    ),
    "associative": (
        "Similarity knows nothing of the graph: the mean centred cosines by graph distance differ no more "
        f"from each other than under permuted nodes (p > {SIGNIFICANCE}), or neither at distance 1 nor at "
        f"distance 2 is the mean {NEGLIGIBLE_COSINE} away from the mean over all pairs; and no correlation "
        f"beyond {STRONG_CORRELATION} at p < {STRONG_SIGNIFICANCE} ties graph distance to these cosines, to "
        "those of rows less their geometric median, or to the distances between rows."
    ),
    "zig-zag": (
        "Structured, but neighbours are on opposite sides: nodes at distance 2 are more alike than "
        f"neighbours, by a mean centred cosine of at least {ZIG_ZAG_MARGIN}."
    ),
    "geometric": (
        "Structured, and close in the graph is close in the embedding: neighbours are more alike than nodes "
        "at distance 2, and similarity falls with distance more than under permuted nodes "
        f"(p <= {SIGNIFICANCE}). Cosines are of centred rows."
    ),
    "mixed": (
        "None of the other words holds, or the graph is too small or too symmetric to tell: then even a "
        f"similarity that is exactly minus the graph distance is not significant (p > {SIGNIFICANCE})."
    ),
}
"""The words in the order in which their rules are tried, each with its rule."""


@dataclass(frozen=True)
class Reading:
    """A word of `READINGS` and the numbers that decided for it."""

    word: str
    reason: str


@dataclass(frozen=True, eq=False)
class Profile:
    """Cosines of one embedding by graph distance, and the same under permutations of the nodes."""

    means: Float[np.ndarray, " shell"]
    squares: Float[np.ndarray, " shell"]
    """Mean of the squared cosines."""
    null_means: Float[np.ndarray, "permutation shell"]
    null_squares: Float[np.ndarray, "permutation shell"]

    @property
    def flat(self) -> bool:
        """Whether no two rows have a cosine: all of them are zero."""
        return not self.squares.any()


def profile_tables(
    tables: Float[np.ndarray, "table node node"],
    shells: Shells,
    permutations: Int[np.ndarray, "permutation node"],
) -> tuple[Profile, ...]:
    """Cosines by distance of embeddings, from their tables, as they are and with nodes permuted, all alike.

    A table may hold any other likeness of every two nodes.

    >>> from geomem.worlds.graphs.families import path
    >>> shells = graph_shells(distance_matrix(path(3)))
    >>> [p.means.tolist() for p in profile_tables(np.ones((2, 3, 3)), shells, np.array([[0, 2, 1]]))]
    [[1.0, 1.0], [1.0, 1.0]]
    """
    pairs = tables[:, shells.first, shells.second]
    squares = shell_means(pairs**2, shells)
    null_means = permuted_shell_means(tables, shells, permutations)
    # Only the mean square over finite pairs is asked for; permuting a connected graph does not change it.
    null_squares = (
        np.broadcast_to(squares[:, None], null_means.shape)
        if np.isfinite(shells.distances).all()
        else permuted_shell_means(tables**2, shells, permutations)
    )
    return tuple(map(Profile, shell_means(pairs, shells), squares, null_means, null_squares))


def structure_statistic(
    means: Float[np.ndarray, "*permutation shell"], shells: Shells
) -> Float[np.ndarray, "*permutation"] | float:
    """How much the mean cosines by graph distance differ: sum_d n_d (s_d - s)^2.

    n_d pairs at distance d with mean cosine s_d, s the mean over all pairs: the part of the variance of the
    cosines that distance explains, times a number that no permutation changes. Large for a geometry and for a
    zig-zag alike.

    >>> from geomem.worlds.graphs.families import path
    >>> float(structure_statistic(np.array([1.0, 0.0]), graph_shells(distance_matrix(path(3))))).__round__(3)
    0.667
    """
    mean = (means * shells.sizes).sum(axis=-1, keepdims=True) / shells.sizes.sum()
    return ((means - mean) ** 2 * shells.sizes).sum(axis=-1)


def decay_statistic(
    means: Float[np.ndarray, "*permutation shell"], shells: Shells
) -> Float[np.ndarray, "*permutation"] | float:
    """How steeply similarity falls with distance: minus the covariance of cosine and distance over pairs.

    Mantel's (1967) statistic, on pairs of one component: two components that are far from each other say
    nothing about distances inside them. Where components have no distance beyond 1, pairs of two components
    count as distance 2. Positive: closer nodes are more alike.

    >>> from geomem.worlds.graphs.families import path
    >>> bool(decay_statistic(np.array([1.0, 0.0]), graph_shells(distance_matrix(path(3)))) > 0)
    True
    """
    finite = np.isfinite(shells.distances)
    if finite.sum() > 1:
        means, sizes, distances = means[..., finite], shells.sizes[finite], shells.distances[finite]
    else:
        sizes, distances = shells.sizes, np.where(finite, shells.distances, 2.0)
    weights = sizes * (distances - np.average(distances, weights=sizes))
    return -(means * weights).sum(axis=-1) / sizes.sum()


def can_tell(shells: Shells, node_count: int, permutations: Int[np.ndarray, "permutation node"]) -> bool:
    """Whether the graph is large and irregular enough for its distances to be recognised in an embedding.

    A similarity that is exactly minus the distance is put to the same permutation test. In a complete graph,
    or with four nodes, it does not pass, and no embedding could.

    >>> from geomem.worlds.graphs.families import complete, cycle
    >>> dealt = draw_permutations(199, 8)
    >>> [can_tell(graph_shells(distance_matrix(graph)), 8, dealt) for graph in (complete(8), cycle(8))]
    [False, True]
    """
    finite = np.isfinite(shells.distances)
    farthest = shells.distances[finite].max()
    ideal = np.zeros((node_count, node_count))
    ideal[shells.first, shells.second] = -np.repeat(
        np.where(finite, shells.distances, farthest + 1), shells.sizes
    )
    ideal += ideal.T
    observed = structure_statistic(shell_means(ideal[shells.first, shells.second], shells), shells)
    null = structure_statistic(permuted_shell_means(ideal, shells, permutations), shells)
    return p_value(float(observed), np.asarray(null)) <= SIGNIFICANCE


def can_tell_sampled(sample: PairSample, count: int, *, seed: int = 0) -> bool:
    """`can_tell` from sampled pairs, with `count` permutations.

    >>> from geomem.geometry.sampling import sample_pairs
    >>> from geomem.worlds.graphs.families import complete, cycle
    >>> [can_tell_sampled(sample_pairs(graph), 199) for graph in (complete(50), cycle(50))]
    [False, True]
    """
    apart = np.nanmax(np.where(np.isfinite(sample.distances), sample.distances, np.nan)) + 1
    ideal = -np.where(np.isfinite(sample.distances), sample.distances, apart)
    observed = structure_statistic(sampled_shell_means(ideal, sample)[0], sample.shells)
    null = structure_statistic(permuted_sample_means(ideal, sample, count, seed=seed)[0], sample.shells)
    return p_value(float(observed), np.asarray(null)) <= SIGNIFICANCE


def read_embeddings(
    embeddings: Float[np.ndarray, "run node width"],
    graph: Graph,
    *,
    permutations: int = READING_PERMUTATIONS,
    seed: int = 0,
) -> tuple[Reading, ...]:
    """The word for every run's embedding; the rules are in `READINGS`, all runs have the same permutations.

    Random embeddings read "associative" in about 95 % of draws, by the level of the test.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> noise = np.random.default_rng(0).normal(size=(15, 2))
    >>> [reading.word for reading in read_embeddings(np.stack([circle, circle + 1000, noise]), cycle(15))]
    ['geometric', 'geometric', 'associative']
    """
    shells = graph_shells(distance_matrix(graph))
    dealt = draw_permutations(permutations, graph.node_count, seed=seed)
    tellable = can_tell(shells, graph.node_count, dealt)
    tables = (cosine_similarity(centre(run))[None] for run in np.asarray(embeddings, dtype=np.float64))
    profiles = [profile_tables(table, shells, dealt)[0] for table in tables]
    return read_runs(embeddings, profiles, shells, dealt, tellable=tellable)


def read_runs(
    embeddings: Float[np.ndarray, "run node width"],
    profiles: Sequence[Profile],
    shells: Shells,
    permutations: Int[np.ndarray, "permutation node"],
    *,
    tellable: bool,
) -> tuple[Reading, ...]:
    """`read_embeddings` where the profiles of centred cosines are known already, as in a portrait."""

    def profile(table: Float[np.ndarray, "node node"]) -> Profile:
        return profile_tables(table[None], shells, permutations)[0]

    return tuple(
        uphold(read_profile(centred, shells, tellable=tellable), other_likeness(run), profile, shells)
        for run, centred in zip(np.asarray(embeddings, dtype=np.float64), profiles, strict=True)
    )


def other_likeness(
    embedding: Float[np.ndarray, "node width"], sources: int | None = None
) -> Iterator[Float[np.ndarray, "source node"]]:
    """Likeness that a shift does not change, beside centred cosines; of the first `sources` nodes or of all.

    >>> [table.shape for table in other_likeness(np.eye(4), 2)]
    [(2, 4), (2, 4)]
    """
    rows = unit_rows(balance(embedding))
    yield np.clip(rows[:sources] @ rows.T, -1.0, 1.0)
    yield nearness(embedding, sources)


def uphold(
    reading: Reading,
    tables: Iterable[Float[np.ndarray, "source column"]],
    profile: Callable[[Float[np.ndarray, "source column"]], Profile],
    shells: Shells,
    counted: Shells | None = None,
) -> Reading:
    """The reading of centred cosines; "mixed" for "associative" if another likeness falls strongly.

    `tables` are those of `other_likeness`. The costly null is drawn, by `profile`, for those alone that do
    fall with distance beyond `STRONG_CORRELATION`. `counted` is that of `read_profile`.

    >>> from geomem.worlds.graphs.families import cycle
    >>> shells, dealt = graph_shells(distance_matrix(cycle(15))), draw_permutations(199, 15)
    >>> ring = [-distance_matrix(cycle(15))]
    >>> def profile(table):
    ...     return profile_tables(table[None], shells, dealt)[0]
    >>> [uphold(Reading(word, ""), ring, profile, shells).word for word in ("associative", "zig-zag")]
    ['mixed', 'zig-zag']
    """
    if reading.word != "associative":
        return reading
    counted = shells if counted is None else counted
    for table in tables:
        pairs = table[shells.first, shells.second]
        falls = _correlates(shell_means(pairs, shells), shell_means(pairs**2, shells), counted)
        if falls and falls_strongly(profile(table), counted):
            said = "but cosines about the median, or distances between rows, follow graph distance"
            return Reading("mixed", f"{reading.reason}; {said}")
    return reading


def read_profile(
    profile: Profile,
    shells: Shells,
    *,
    tellable: bool = True,
    counted: Shells | None = None,
    overall: float | None = None,
) -> Reading:
    """The word for the centred cosines by distance of one embedding, given the same under permuted nodes.

    `tellable` is the answer of `can_tell`. Where the shells are a sample, `counted` has the sizes of all of
    the graph's, and `overall` is the mean cosine over all pairs; otherwise both follow from the shells.

    >>> from geomem.worlds.graphs.families import path
    >>> shells, nothing = graph_shells(distance_matrix(path(3))), np.zeros(2)
    >>> read_profile(Profile(nothing, nothing, nothing[None], nothing[None]), shells).word
    'collapsed'
    """
    means, null = profile.means, profile.null_means
    mean = float((means * shells.sizes).sum() / shells.sizes.sum()) if overall is None else overall
    if profile.flat:
        return Reading("collapsed", "no row differs from the mean row by more than rounding")
    if not tellable:
        return Reading("mixed", "the graph is too small or too symmetric to tell")
    structure = p_value(
        float(structure_statistic(means, shells)), np.asarray(structure_statistic(null, shells))
    )
    falls = falls_strongly(profile, shells if counted is None else counted)
    # Where no two nodes are at distance 2, the next shell, of pairs of two components, takes part in the size
    # of the effect but can make no zig-zag.
    near = means[:2]
    listed = ", ".join(
        f"{_short(float(value))} at distance {distance:.0f}"
        if np.isfinite(distance)
        else f"{_short(float(value))} across"
        for value, distance in zip(near, shells.distances[:2], strict=True)
    )
    listed = f"mean centred cosine {listed}"
    if structure > SIGNIFICANCE and not falls:
        return Reading("associative", f"{listed}; by chance so in {structure:.0%} of permutations")
    if np.abs(near - mean).max() < NEGLIGIBLE_COSINE and not falls:
        return Reading("associative", f"{listed}, within {NEGLIGIBLE_COSINE} of {_short(mean)} overall")
    if np.isfinite(shells.distances[1]) and near[1] - near[0] >= ZIG_ZAG_MARGIN:
        return Reading("zig-zag", f"{listed}; p = {structure:.3f}")
    decay = p_value(float(decay_statistic(means, shells)), np.asarray(decay_statistic(null, shells)))
    if near[0] > near[1] and decay <= SIGNIFICANCE:
        return Reading("geometric", f"{listed}, falling with distance; p = {decay:.3f}")
    if near[0] > near[1]:
        return Reading("mixed", f"{listed}, but no significant fall with distance; p = {decay:.3f}")
    return Reading("mixed", f"{listed}: structured, with neighbours and second neighbours about tied")


def falls_strongly(profile: Profile, shells: Shells) -> bool:
    """Whether cosine and distance correlate below -`STRONG_CORRELATION`, at p < `STRONG_SIGNIFICANCE`.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> shells = graph_shells(distance_matrix(cycle(15)))
    >>> (profile,) = profile_tables(
    ...     cosine_similarity(circle)[None], shells, draw_permutations(199, 15))
    >>> falls_strongly(profile, shells)
    True
    """
    if not _correlates(profile.means, profile.squares, shells):
        return False
    correlation = float(distance_correlation(profile.means, profile.squares, shells))
    null = np.asarray(distance_correlation(profile.null_means, profile.null_squares, shells))
    null = null[np.isfinite(null)]
    return len(null) > 0 and p_value(correlation, null, alternative="less") < STRONG_SIGNIFICANCE


def _correlates(
    means: Float[np.ndarray, " shell"], squares: Float[np.ndarray, " shell"], shells: Shells
) -> bool:
    if np.isfinite(shells.distances).sum() < 2:
        return False
    return bool(distance_correlation(means, squares, shells) < -STRONG_CORRELATION)


def _short(value: float) -> str:
    """A cosine with two digits and no leading zero, as papers print it."""
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:.2f}"


def majority_word(words: tuple[str, ...]) -> str:
    """The word that more than half of the runs carry; "mixed" if there is none.

    >>> majority_word(("geometric", "geometric", "zig-zag")), majority_word(("geometric", "zig-zag"))
    ('geometric', 'mixed')
    """
    for word in READINGS:
        if 2 * words.count(word) > len(words):
            return word
    return "mixed"
