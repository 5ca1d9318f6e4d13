"""How alike nodes are: cosines over all pairs, facts, graph distances, and from leaves to first hops.

Axis names: `node`, `width`, `fact`, `shell` (one graph distance), `pair` (two different nodes), `leaf`.
Functions accept one embedding [node, width] or many [..., node, width] and keep the leading axes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from geomem.errors import InputError
from geomem.geometry.measurement import PERMUTED, RANDOM, Definition, define, measurement
from geomem.geometry.random_rows import random_common_shares


def unit_rows(embeddings: Float[np.ndarray, "*run node width"]) -> Float[np.ndarray, "*run node width"]:
    """Every row divided by its length; a row of zeros points nowhere and stays zero.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    # Dividing by the largest entry first keeps the squares of very long and very short rows finite.
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0.0)
    scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
    lengths = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return np.divide(scaled, lengths, out=np.zeros_like(rows), where=lengths > 0)


ROUNDING = 4 * np.finfo(np.float64).eps
"""Rows that differ by no more than this share of the longest row are one row: computing loses some places."""

SINGLE_ROUNDING = float(np.finfo(np.float32).eps) / 2
"""The same of numbers that were rounded to float32, which moves no row farther."""


def centre(embeddings: Float[np.ndarray, "*run node width"]) -> Float[np.ndarray, "*run node width"]:
    """Every row less the mean row: what is left once the direction that all nodes share is taken out.

        v_u - m,    m = (1/n) sum_u v_u

    Adding one vector to all rows changes nothing of it until float precision is lost. What rounding alone
    leaves is set to zero: a row that is nearer to the mean than `ROUNDING` of the longest row, or than
    `SINGLE_ROUNDING` where the numbers look rounded to float32.

    >>> centre(np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 1.0]])).tolist()
    [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    centred = rows - rows.mean(axis=-2, keepdims=True)
    # The mean of many rows is itself rounded; a second pass takes out what the first left.
    centred = centred - centred.mean(axis=-2, keepdims=True)
    share = np.where(_rounded_to_single(rows), SINGLE_ROUNDING, ROUNDING)
    longest = np.linalg.norm(rows, axis=-1).max(axis=-1)
    rounded = np.linalg.norm(centred, axis=-1) <= (share * longest)[..., None]
    return np.where(rounded[..., None], 0.0, centred)


def _rounded_to_single(rows: Float[np.ndarray, "*run node width"]) -> Bool[np.ndarray, "*run"] | np.bool:
    """Whether all numbers are float32 and some use its last place; counts, signs and the like do not."""
    with np.errstate(over="ignore", under="ignore"):
        single = (rows.astype(np.float32) == rows).all(axis=(-2, -1))
    # In units of the last place but one, of float32's 24, of the largest number.
    exponents = np.frexp(np.abs(rows).max(axis=(-2, -1), keepdims=True))[1]
    places = np.ldexp(rows, 24 - 1 - exponents)
    return single & (places != np.rint(places)).any(axis=(-2, -1))


@measurement(
    "Share of a common direction",
    null=RANDOM,
    draw=random_common_shares,
    work=lambda rows: 0,
    section="spread",
)
def common_share(embeddings: Float[np.ndarray, "*run node width"]) -> Float[np.ndarray, "*run"] | float:
    """Of the similarity, what the mean row holds: near 1 raw cosines tell little of the graph.

        n ||m||^2 / sum_u ||v_u||^2,    m: the mean row

    The mean inner product of two nodes over the mean squared length, so it is also the part of ||V||^2 that
    `centre` takes out. Independent rows have about 1/n; 0 for an embedding of zeros.

    >>> float(common_share(np.array([[3.0, 1.0], [3.0, -1.0]])))
    0.9
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    total = (rows**2).sum(axis=(-2, -1))
    common = rows.shape[-2] * (rows.mean(axis=-2) ** 2).sum(axis=-1)
    return np.divide(common, total, out=np.zeros_like(total), where=total > 0)[()]


def cosine_similarity(
    embeddings: Float[np.ndarray, "*run node width"],
) -> Float[np.ndarray, "*run node node"]:
    """Cosine of the angle between the embeddings of every two nodes.

        S[u, v] = e_u . e_v / (||e_u|| ||e_v||)

    Not centred, as in the paper's heatmaps. A row of zeros has no direction: its cosines are 0, its own
    included. Read it beside the graph's distances: 1 same direction, 0 unrelated, -1 opposite.

    >>> cosine_similarity(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rows = unit_rows(embeddings)
    return np.clip(rows @ np.swapaxes(rows, -1, -2), -1.0, 1.0)


def geometric_level(
    embeddings: Float[np.ndarray, "*run node width"], facts: Int[np.ndarray, "fact 2"]
) -> Float[np.ndarray, "*run"] | float:
    """Mean cosine over the facts (u, v) with u != v (arXiv 2510.26745, release `analysis_curves`).

    Self-edges, which would each add 1, are left out. It says whether neighbours are alike and nothing about
    nodes further apart: near 1 in Node2Vec, near 0 in an associative memory, and below 0 in a zig-zag even
    where the global structure is perfect. Raises `InputError` if no fact joins two different nodes.

    >>> embedding = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> float(geometric_level(embedding, np.array([[0, 1], [1, 2], [2, 2]])))
    0.5
    """
    pairs = facts[facts[:, 0] != facts[:, 1]]
    if len(pairs) == 0:
        raise InputError(
            f"None of the {len(facts)} facts joins two different nodes; give at least one that does."
        )
    rows = unit_rows(embeddings)
    return np.einsum("...fw,...fw->...f", rows[..., pairs[:, 0], :], rows[..., pairs[:, 1], :]).mean(axis=-1)


MEDIAN_STEPS = 100
"""Steps at most to the geometric median."""


def balance(embedding: Float[np.ndarray, "node width"]) -> Float[np.ndarray, "node width"]:
    """Every row less the geometric median: the point from which the directions of the rows cancel.

        v_u - m,    m: sum_u (v_u - m) / ||v_u - m|| = 0

    Unlike the mean it does not follow a few rows far longer than the others. By Weiszfeld's (1937) steps from
    the mean; a row that is itself the median becomes zero.

    >>> balance(np.array([[1.0], [2.0], [1000.0]])).round(3).tolist()
    [[-1.0], [0.0], [998.0]]
    """
    rows = centre(embedding)
    scale = np.abs(rows).max(initial=0.0)
    median = np.zeros(rows.shape[1])
    for _ in range(MEDIAN_STEPS if scale > 0 else 0):
        lengths = np.maximum(np.linalg.norm(rows - median, axis=1), 1e-12 * scale)
        following = (1 / lengths) @ rows / (1 / lengths).sum()
        step, median = np.abs(following - median).max(), following
        if step < 1e-12 * scale:
            break
    balanced = rows - median
    return np.where(np.linalg.norm(balanced, axis=1, keepdims=True) > 1e-9 * scale, balanced, 0.0)


def nearness(
    embedding: Float[np.ndarray, "node width"], sources: int | None = None
) -> Float[np.ndarray, "source node"]:
    """How near the rows of every two nodes are: 0 in one place, -1/2 at the median distance, -1 far apart.

        N[u, v] = -d / (d + median d),    d = ||e_u - e_v||

    Unlike a cosine it sees the length of rows, and adding one vector to all of them does not change it. u is
    one of the first `sources` nodes, or any node.

    >>> nearness(np.array([[1.0, 0.0], [4.0, 4.0]])).tolist()
    [[0.0, -0.5], [-0.5, 0.0]]
    """
    rows = centre(embedding)
    squares = (rows**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:sources, None] + squares - 2 * (rows[:sources] @ rows.T), 0.0))
    # Of two equal rows rounding leaves something.
    distances[distances < 1e-7 * distances.max(initial=0.0)] = 0.0
    apart = distances[~np.eye(*distances.shape, dtype=bool)]
    total = distances + np.median(apart)
    return 0.0 - np.divide(distances, total, out=np.zeros_like(distances), where=total > 0)


@dataclass(frozen=True, eq=False)
class Shells:
    """All pairs of different nodes, sorted by graph distance; pairs of one distance form a shell.

    A pair of two components has distance `inf`; these pairs, if there are any, are the last shell.
    """

    first: Int[np.ndarray, " pair"]
    second: Int[np.ndarray, " pair"]
    distances: Float[np.ndarray, " shell"]
    starts: Int[np.ndarray, " shell"]
    """Where each shell's pairs begin."""
    sizes: Int[np.ndarray, " shell"]


def graph_shells(distances: Float[np.ndarray, "node node"]) -> Shells:
    """The unordered pairs of different nodes grouped by their graph distance.

    >>> from geomem.worlds.graphs.families import path
    >>> from geomem.worlds.graphs.graph import distance_matrix
    >>> shells = graph_shells(distance_matrix(path(4)))
    >>> shells.distances.tolist(), shells.sizes.tolist()
    ([1.0, 2.0, 3.0], [3, 2, 1])
    """
    first, second = np.triu_indices(len(distances), 1)
    pair_distances = distances[first, second]
    order = np.argsort(pair_distances, kind="stable")
    values, starts, sizes = np.unique(pair_distances[order], return_index=True, return_counts=True)
    return Shells(first[order], second[order], values, starts, sizes)


def shell_means(
    pair_values: Float[np.ndarray, "*run pair"], shells: Shells
) -> Float[np.ndarray, "*run shell"]:
    """Mean over each shell of values given per pair, in the order of `shells`."""
    return np.add.reduceat(pair_values, shells.starts, axis=-1) / shells.sizes


def permuted_shell_means(
    tables: Float[np.ndarray, "*table node node"],
    shells: Shells,
    permutations: Int[np.ndarray, "permutation node"],
) -> Float[np.ndarray, "*table permutation shell"]:
    """Shell means when the embedding of node u is replaced by that of node permutation[u].

    `tables` has a number for every two nodes, such as their cosine; all tables have the same permutations.
    Permuting gathers numbers instead of computing them again: node² per permutation, taken in chunks.

    >>> from geomem.worlds.graphs.families import path
    >>> from geomem.worlds.graphs.graph import distance_matrix
    >>> cosines = cosine_similarity(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    >>> shells = graph_shells(distance_matrix(path(3)))
    >>> permuted_shell_means(cosines, shells, np.array([[0, 1, 2], [0, 2, 1]])).tolist()
    [[0.5, 0.0], [0.0, 1.0]]
    """
    nodes = tables.shape[-1]
    flat = tables.reshape(-1, nodes * nodes)
    means = np.empty((len(flat), len(permutations), len(shells.sizes)))
    # Of this size the gathered numbers stay in the cache until their means are taken.
    chunk = max(1, 200_000 // len(shells.first))
    for at in range(0, len(permutations), chunk):
        rows = permutations[at : at + chunk]
        pairs = np.take(rows * nodes, shells.first, axis=1) + np.take(rows, shells.second, axis=1)
        for table, found in zip(flat, means, strict=True):
            found[at : at + chunk] = shell_means(np.take(table, pairs), shells)
    return means.reshape(*tables.shape[:-2], *means.shape[1:])


def distance_shells(
    embeddings: Float[np.ndarray, "*run node width"], distances: Float[np.ndarray, "node node"]
) -> tuple[Float[np.ndarray, " shell"], Float[np.ndarray, "*run shell"]]:
    """Mean cosine of the pairs at each finite graph distance 1, 2, 3, ...: (the distances, the means).

        s_d = mean of S[u, v] over unordered pairs u != v with distance(u, v) = d

    Falling with distance: a global geometry. Second above first: a zig-zag, neighbours on opposite sides.
    Flat: the similarity knows nothing of the graph (notes D).

    >>> from geomem.worlds.graphs.families import path
    >>> from geomem.worlds.graphs.graph import distance_matrix
    >>> line = np.array([[2.0, 0.0], [2.0, 1.0], [1.0, 2.0], [0.0, 2.0]])
    >>> shell_distances, means = distance_shells(line, distance_matrix(path(4)))
    >>> shell_distances.tolist(), means.round(2).tolist()
    ([1.0, 2.0, 3.0], [0.86, 0.45, 0.0])
    """
    shells = graph_shells(distances)
    means = shell_means(cosine_similarity(embeddings)[..., shells.first, shells.second], shells)
    finite = np.isfinite(shells.distances)
    return shells.distances[finite], means[..., finite]


def distance_correlation(
    means: Float[np.ndarray, "*run shell"], squares: Float[np.ndarray, "*run shell"], shells: Shells
) -> Float[np.ndarray, "*run"] | float:
    """Pearson correlation of cosine and graph distance over pairs of one component, from shell means.

    `means` and `squares` are the `shell_means` of the cosines and of their squares. -1: similarity falls in
    step with distance; 0: it does not fall, or falls and rises again as in a zig-zag. NaN if all cosines or
    all distances are equal.

    >>> from geomem.worlds.graphs.families import path
    >>> from geomem.worlds.graphs.graph import distance_matrix
    >>> means = np.array([0.5, 0.0, -0.5])
    >>> float(np.round(distance_correlation(means, means**2, graph_shells(distance_matrix(path(4)))), 6))
    -1.0
    """
    finite = np.isfinite(shells.distances)
    weights = shells.sizes[finite] / shells.sizes[finite].sum()
    distances = shells.distances[finite] - weights @ shells.distances[finite]
    covariance = means[..., finite] @ (weights * distances)
    variance = np.asarray(squares[..., finite] @ weights - (means[..., finite] @ weights) ** 2)
    product = variance * (weights @ distances**2)
    # Cosines equal but for rounding have no correlation with anything.
    varied = product > 1e-14
    deviation = np.sqrt(np.where(varied, product, 1.0))
    return np.where(varied, covariance / deviation, np.nan)[()]


def fall_of_similarity(
    means: Float[np.ndarray, "*run shell"], squares: Float[np.ndarray, "*run shell"], shells: Shells
) -> Float[np.ndarray, "*run"] | float | None:
    """`distance_correlation`; None where all pairs of one component are neighbours."""
    return distance_correlation(means, squares, shells) if _has_second(shells) else None


def neighbour_cosine(
    means: Float[np.ndarray, "*run shell"], squares: Float[np.ndarray, "*run shell"], shells: Shells
) -> Float[np.ndarray, "*run"]:
    """Mean cosine at distance 1, of which `geometric_level` is the plain definition."""
    return means[..., 0]


def second_neighbour_cosine(
    means: Float[np.ndarray, "*run shell"], squares: Float[np.ndarray, "*run shell"], shells: Shells
) -> Float[np.ndarray, "*run"] | None:
    """Mean cosine at distance 2; None where no two nodes are two steps apart."""
    return means[..., 1] if _has_second(shells) else None


def _has_second(shells: Shells) -> bool:
    return bool(np.isfinite(shells.distances).sum() > 1)


# Of centred rows, on which the reading rests, and of rows as they are, as in the paper's figures.
for _prefix, _ending, _rows in (("centred_", ", centred", "less their mean"), ("", "", "as they are")):
    _common: dict[str, Any] = {
        "of": "centred cosines" if _prefix else "cosines",
        "null": PERMUTED,
        "section": "reading" if _prefix else "raw cosines",
    }
    define(
        Definition(
            f"{_prefix}distance_correlation",
            f"Correlation of cosine and distance{_ending}",
            "Over pairs of one component: -1 similarity falls in step with distance, 0 it does not. "
            f"Of rows {_rows}.",
            fall_of_similarity,
            alternative="less",
            compared=bool(_prefix),
            **_common,
        )
    )
    define(
        Definition(
            "centred_neighbour_cosine" if _prefix else "geometric_level",
            "Cosine of neighbours, centred" if _prefix else "Geometric level (cosine of neighbours)",
            "Mean cosine over edges: near 1 neighbours coincide, near 0 a lookup table, below 0 a zig-zag. "
            f"Of rows {_rows}.",
            neighbour_cosine,
            alternative="two-sided",
            curve=not _prefix,
            compared=not _prefix,
            **_common,
        )
    )
    define(
        Definition(
            f"{_prefix}second_neighbour_cosine",
            f"Cosine at distance 2{_ending}",
            "Mean cosine of nodes two steps apart; above that of neighbours it marks a zig-zag. "
            f"Of rows {_rows}.",
            second_neighbour_cosine,
            alternative="two-sided",
            curve=not _prefix,
            **_common,
        )
    )


@measurement(
    "Mean cosine of all pairs",
    null=RANDOM,
    alternative="two-sided",
    work=lambda rows: 4 * rows.size,
    section="spread",
)
def mean_cosine(embeddings: Float[np.ndarray, "*run node width"]) -> Float[np.ndarray, "*run"] | float:
    """Near 1 all nodes are in one place (collapsed), near 0 they are spread around the origin.

    The mean is over pairs of different nodes, from the sum of the unit rows without a node by node matrix.

    >>> float(mean_cosine(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])).round(6))
    0.333333
    """
    rows = unit_rows(embeddings)
    nodes = rows.shape[-2]
    return ((rows.sum(axis=-2) ** 2).sum(axis=-1) - (rows**2).sum(axis=(-2, -1))) / (nodes * (nodes - 1))


@measurement(
    "Effective rank",
    null=RANDOM,
    alternative="two-sided",
    work=lambda rows: rows.size * min(rows.shape),
    curve=True,
    section="spread",
)
def effective_rank(embeddings: Float[np.ndarray, "*run node width"]) -> Float[np.ndarray, "*run"] | float:
    """How many directions share the spread of the nodes: few in a geometry, many in a lookup table.

        (sum_i s_i^2)^2 / sum_i s_i^4,    s: singular values of the centred embedding

    The participation ratio of the variances: 1 on a line, m if m directions share the variance equally, at
    most min(node - 1, width); 0 if all nodes coincide.

    >>> float(np.round(effective_rank(np.eye(3)), 6))
    2.0
    """
    rows = embeddings - embeddings.mean(axis=-2, keepdims=True, dtype=np.float64)
    if rows.shape[-1] <= rows.shape[-2]:
        rows = np.swapaxes(rows, -1, -2)
    return participation_ratio(rows @ np.swapaxes(rows, -1, -2))


def participation_ratio(gram: Float[np.ndarray, "*run row row"]) -> Float[np.ndarray, "*run"] | float:
    """How many eigenvalues of a Gram matrix share its trace: (sum_i l_i)^2 / sum_i l_i^2; 0 if all are zero.

    >>> float(participation_ratio(np.diag([2.0, 2.0, 0.0])))
    2.0
    """
    total = np.trace(gram, axis1=-2, axis2=-1)
    fourth = (gram**2).sum(axis=(-2, -1))
    return np.divide(total**2, fourth, out=np.zeros_like(total), where=fourth > 0)[()]


@measurement("Leaf to first hop retrieval", of="seen rows", section="places")
def leaf_retrieval(
    embeddings: Float[np.ndarray, "*run node width"],
    leaves: Int[np.ndarray, " leaf"],
    first_hops: Int[np.ndarray, " leaf"],
) -> Float[np.ndarray, "*run"] | float:
    """Share of leaves whose most similar first hop is their own path's: 1 path-finding in one step.

    Ties count against the leaf. By chance it is one over the number of first hops; 1 means that finding the
    start of any path is a single similarity query.

    >>> float(leaf_retrieval(np.eye(2)[[0, 1, 0, 1]], np.array([0, 1]), np.array([2, 3])))
    1.0
    """
    hops, own = np.unique(first_hops, return_inverse=True)
    rows = unit_rows(embeddings)
    cosines = rows[..., leaves, :] @ np.swapaxes(rows[..., hops, :], -1, -2)
    # Several leaves of a tree-star share a first hop, so it must beat the other hops, not the other leaves.
    mine = np.take_along_axis(cosines, np.broadcast_to(own[:, None], (*cosines.shape[:-1], 1)), axis=-1)
    others = np.arange(len(hops)) != own[:, None]
    return (~((cosines >= mine) & others).any(axis=-1)).mean(axis=-1)
