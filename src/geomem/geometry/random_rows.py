"""What measurements are for embeddings whose rows are random, drawn without the embeddings.

Axis names: `draw`, `width`. Draws follow the exact distribution or, where said, its limit for many nodes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import linalg


@dataclass(frozen=True, eq=False)
class RowMoments:
    """Mean and covariance of an embedding's rows, along the principal directions."""

    mean: Float[np.ndarray, " width"]
    variances: Float[np.ndarray, " width"]


def row_moments(embedding: Float[np.ndarray, "node width"]) -> RowMoments:
    """Mean and variances of the rows along the directions in which they vary independently.

    >>> moments = row_moments(np.array([[1.0, 1.0], [3.0, 1.0]]))
    >>> np.abs(moments.mean).tolist(), moments.variances.tolist()
    ([1.0, 2.0], [0.0, 1.0])
    """
    mean = embedding.mean(axis=0)
    covariance = embedding.T @ embedding / len(embedding) - np.outer(mean, mean)
    variances, directions = np.linalg.eigh(covariance)
    return RowMoments(mean @ directions, np.maximum(variances, 0.0))


def random_shares(
    moments: RowMoments,
    dimension: int,
    total: int,
    *,
    constant_inside: float,
    constant_total: float,
    count: int,
    seed: int,
) -> Float[np.ndarray, " draw"]:
    """Draws of the share of energy in a subspace, for independent normal rows of given moments.

        ||P X||² / ||Q X||²,    rows of X ~ N(mean, covariance),  P, Q: projectors on `dimension` dimensions,
                                and on the `total` that hold them

    `constant_inside` and `constant_total` are ||P 1||² and ||Q 1||²: what the subspaces see of the mean.
    Along every principal direction the energies are noncentral chi-square.

    >>> flat = RowMoments(np.zeros(8), np.ones(8))
    >>> shares = random_shares(
    ...     flat, 25, 100, constant_inside=0.0, constant_total=0.0, count=999, seed=0)
    >>> float(shares.mean().round(2))
    0.25
    """
    generator = np.random.default_rng(seed)
    deviations = np.sqrt(moments.variances)

    def energies(dimensions: int, constant: float) -> np.ndarray:
        if dimensions == 0:
            return np.zeros(count)
        shape = (count, len(deviations))
        along = deviations * generator.standard_normal(shape) + moments.mean * np.sqrt(max(constant, 0.0))
        across = generator.chisquare(dimensions - 1, shape) if dimensions > 1 else np.zeros(shape)
        return (along**2 + moments.variances * across).sum(axis=1)

    inside = energies(dimension, constant_inside)
    whole = inside + energies(total - dimension, constant_total - constant_inside)
    return np.divide(inside, whole, out=np.zeros(count), where=whole > 0)


def random_alignments(
    moments: RowMoments,
    constant_inside: Float[np.ndarray, " mode"],
    constant_rest: float,
    total: int,
    *,
    count: int,
    seed: int,
) -> Float[np.ndarray, " draw"]:
    """Draws of `fiedler_alignment`, for independent normal rows of given moments.

        (1/k) ||F^T U_k||²,    U_k: top k left singular vectors of X without trivial modes

    `constant_inside` is F^T 1, one entry per Fiedler mode, `constant_rest` what is left of ||1||² outside of
    F and the trivial modes: where those are not constant the mean is seen. `total` dimensions are not
    trivial. Only F^T X, the part of X along the constant, and the Wishart matrix of all else are drawn.

    >>> flat = RowMoments(np.zeros(8), np.ones(8))
    >>> draws = random_alignments(flat, np.zeros(2), 0.0, 1000, count=199, seed=0)
    >>> bool(abs(draws.mean() - 0.002) < 0.0005)
    True
    """
    generator = np.random.default_rng(seed)
    deviations, modes = np.sqrt(moments.variances), len(constant_inside)
    width = len(deviations)
    kept = min(modes, width)
    draws = np.zeros(count)
    for draw in range(count):
        inside = deviations * generator.standard_normal((modes, width))
        inside += np.outer(constant_inside, moments.mean)
        gram = deviations[:, None] * _wishart(width, max(total - modes - 1, 0), generator) * deviations
        if total > modes:
            along = deviations * generator.standard_normal(width)
            along += moments.mean * np.sqrt(max(constant_rest, 0.0))
            gram += np.outer(along, along)
        gram += inside.T @ inside
        squares, directions = linalg.eigh(gram, subset_by_index=[width - kept, width - 1])
        parts = np.square(inside @ directions).sum(axis=0)
        present = squares > 1e-12 * np.trace(gram)
        draws[draw] = (parts[present] / squares[present]).sum() / modes
    return draws


def random_mean_cosines(nodes: int, width: int, *, count: int, seed: int) -> Float[np.ndarray, " draw"]:
    """Draws of `mean_cosine` for independent N(0, 1) entries.

    The sum of the unit rows is normal in the limit of many nodes, with covariance nodes / width.

    >>> bool(abs(random_mean_cosines(5000, 16, count=999, seed=0).mean()) < 1e-4)
    True
    """
    lengths = np.random.default_rng(seed).chisquare(width, count) / width
    return (lengths - 1) / (nodes - 1)


def random_effective_ranks(nodes: int, width: int, *, count: int, seed: int) -> Float[np.ndarray, " draw"]:
    """Draws of `effective_rank` for independent N(0, 1) entries, from the Wishart matrix of its smaller side.

    >>> float(random_effective_ranks(5000, 16, count=9, seed=0).mean().round(1))
    15.9
    """
    generator = np.random.default_rng(seed)
    small, large = sorted((nodes - 1, width))
    draws = np.empty(count)
    for draw in range(count):
        gram = _wishart(small, large, generator)
        draws[draw] = np.trace(gram) ** 2 / (gram**2).sum()
    return draws


def _wishart(size: int, freedom: int, generator: np.random.Generator) -> Float[np.ndarray, "size size"]:
    """A Wishart matrix, by Bartlett's decomposition where it has full rank."""
    if freedom < size:
        rows = generator.standard_normal((freedom, size))
        return rows.T @ rows
    triangle = np.tril(generator.standard_normal((size, size)), -1)
    np.fill_diagonal(triangle, np.sqrt(generator.chisquare(freedom - np.arange(size))))
    return triangle @ triangle.T


def random_common_shares(nodes: int, width: int, *, count: int, seed: int) -> Float[np.ndarray, " draw"]:
    """Draws of `common_share` for independent N(0, 1) entries.

    n ||m||^2 and the rest of ||V||^2 are independent, chi-squared of width and of (node - 1) width degrees of
    freedom, so their share has a beta distribution.

    >>> random_common_shares(20, 8, count=999, seed=0).mean().round(2)
    np.float64(0.05)
    """
    return np.random.default_rng(seed).beta(width / 2, (nodes - 1) * width / 2, size=count)
