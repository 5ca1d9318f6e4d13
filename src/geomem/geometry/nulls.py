"""What a measurement would be by chance: permuted nodes, random embeddings, p-values, intervals over seeds.

Axis names: `permutation`, `draw`, `run`, `node`, `width`.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError

PERMUTATIONS = 999
"""Permutations per null unless the graph is large; p-values go down to 1/1000."""

CHUNK_NUMBERS = 4_000_000
"""How many float64 numbers of rearranged embeddings are held at once: 32 MB."""


def draw_permutations(count: int, node_count: int, *, seed: int = 0) -> Int[np.ndarray, "permutation node"]:
    """Independent uniform permutations of the nodes, one per row.

    >>> sorted(draw_permutations(1, 4)[0].tolist())
    [0, 1, 2, 3]
    """
    generator = np.random.default_rng(seed)
    return generator.permuted(np.tile(np.arange(node_count), (count, 1)), axis=1)


def permutation_null(
    statistic: Callable[[np.ndarray], np.ndarray],
    embedding: Float[np.ndarray, "node width"],
    *,
    count: int = PERMUTATIONS,
    seed: int = 0,
) -> Float[np.ndarray, "permutation ..."]:
    """Values of a statistic under random permutations of the nodes.

    The null hypothesis: the embedding has nothing to do with the graph, so any assignment of its rows was as
    likely. Lengths, angles and spread of the rows stay as they are. `statistic` takes embeddings [..., node,
    width] and keeps the leading axis, as every function of `similarity` and `alignment` does; it is called on
    chunks.

    >>> from geomem.geometry.similarity import geometric_level
    >>> edges = np.array([[0, 1], [2, 3]])
    >>> pairs = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> null = permutation_null(lambda rows: geometric_level(rows, edges), pairs, count=999)
    >>> bool(0.28 < null.mean() < 0.38)
    True
    """
    permutations = draw_permutations(count, len(embedding), seed=seed)
    chunk = max(1, CHUNK_NUMBERS // max(1, embedding.size))
    parts = [statistic(embedding[permutations[at : at + chunk]]) for at in range(0, count, chunk)]
    return np.concatenate(parts)


def random_null(
    statistic: Callable[[np.ndarray], np.ndarray],
    shape: tuple[int, int],
    *,
    count: int = PERMUTATIONS,
    seed: int = 0,
) -> Float[np.ndarray, "draw ..."]:
    """Values of a statistic on random embeddings: independent N(0, 1) entries, shape (node, width).

    The null hypothesis: the embedding is as it may have been before training. It serves measurements that do
    not look at the graph and so cannot be tested by permuting its nodes.

    >>> from geomem.geometry.similarity import effective_rank
    >>> bool(random_null(effective_rank, (10, 1), count=5).max() < 1 + 1e-9)
    True
    """
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_NUMBERS // max(1, shape[0] * shape[1]))
    parts = [
        statistic(generator.standard_normal((min(chunk, count - at), *shape)))
        for at in range(0, count, chunk)
    ]
    return np.concatenate(parts)


def p_value(
    value: float,
    null: Float[np.ndarray, " permutation"],
    *,
    alternative: Literal["greater", "less", "two-sided"] = "greater",
) -> float:
    """Chance of a value at least as extreme under the null: (1 + number as extreme) / (1 + number drawn).

    The observed assignment counts as one of the draws, so the test is exact and p is never 0 (Phipson and
    Smyth 2010). Two-sided: twice the smaller of both sides, at most 1. Values equal but for rounding count as
    extreme.

    >>> p_value(2.0, np.array([0.0, 1.0, 3.0]))
    0.5
    """
    if len(null) == 0:
        raise InputError("The null has no draw, and a p-value compares with at least one; raise its count.")
    slack = 1e-9 * max(1.0, abs(value))
    greater = (1 + int((null >= value - slack).sum())) / (1 + len(null))
    less = (1 + int((null <= value + slack).sum())) / (1 + len(null))
    if alternative == "two-sided":
        return min(1.0, 2 * min(greater, less))
    return greater if alternative == "greater" else less


def bootstrap_interval(
    values: Float[np.ndarray, " run"], *, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over seeds: (low, high).

    Runs are drawn with replacement and averaged; the interval holds the central `confidence` of those means.
    It is too narrow for very few seeds (with three it cannot leave their range), so look at the values as
    well. One run alone has no interval: both ends are NaN. Runs that all agree give an interval of no width.

    >>> bootstrap_interval(np.array([1.0, 1.0, 1.0])), bootstrap_interval(np.array([1.0]))
    ((1.0, 1.0), (nan, nan))
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence was {confidence}; give a share between 0 and 1, such as 0.95.")
    if len(values) < 2 or not np.isfinite(values).all():
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    means = np.asarray(values, dtype=np.float64)[
        generator.integers(0, len(values), size=(resamples, len(values)))
    ].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
