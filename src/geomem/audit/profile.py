"""What one place of a model shows of a graph, in numbers without a null."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh

from geomem.audit.pairs import (
    cosine_table,
    mantel_form,
    neighbour_form,
    pair_distances,
    pair_entries,
    pair_weights,
    standard_ranks,
)
from geomem.geometry.sampling import PairSample
from geomem.geometry.similarity import common_share, participation_ratio, shell_means
from geomem.worlds.graphs.graph import Graph

Shell = tuple[float, float, float]
NOTHING = float("nan")


@dataclass(frozen=True)
class Profile:
    """The numbers of one layer under one template."""

    shells: Shell
    """Mean centred cosine of pairs at graph distance 1, 2, 3; NaN where there is none."""
    raw_shells: Shell
    """The same of rows as they are."""
    mantel: float
    """Correlation of similarity and graph distance, on ranks, of centred rows: -1 falls in step, 0 not."""
    raw_mantel: float
    neighbour_auc: float
    """Chance that two neighbours are more alike than two others, of centred rows: 1 always, .5 by chance."""
    rank_deviation: float
    """Deviation of the ranks of cosines, which run from 0 to 1: .29 unless many are equal."""
    laplacian_energy: float
    """Mean squared distance of neighbours over that of all pairs: 0 smooth, 1 as by chance."""
    effective_rank: float
    first_share: float
    """Share of the variance along the first principal direction."""
    common_share: float
    """The mean row's share of the squared norm."""


def describe_look(
    rows: Float[np.ndarray, "entity width"], graph: Graph, sample: PairSample
) -> tuple[Profile, Float[np.ndarray, " entry"], Float[np.ndarray, "entity 2"]]:
    """The profile of one place, the standardised ranks of its cosines, and two principal coordinates.

    >>> from geomem.audit.pairs import entity_pairs
    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> profile = describe_look(ring + 9, cycle(15), entity_pairs(cycle(15)))[0]
    >>> round(profile.mantel, 3), round(profile.neighbour_auc, 3), round(profile.effective_rank, 3)
    (-1.0, 1.0, 2.0)
    """
    weights, distances = pair_weights(sample), pair_distances(sample)
    pairs = pair_entries(sample)
    shells, mantels, ranks, deviation = [], [], np.zeros(0), 0.0
    for centred in (False, True):
        cosines = cosine_table(rows, sample, centred=centred)
        ranks, deviation = standard_ranks(cosines, sample)
        mantels.append(float(mantel_form(distances, weights) @ ranks[pairs]))
        means = shell_means(cosines.ravel()[pairs], sample.shells)
        known = dict(zip(sample.shells.distances.tolist(), means.tolist(), strict=True))
        shells.append(tuple(known.get(float(distance), NOTHING) for distance in (1, 2, 3)))
    spread, first, places = principal_spread(rows)
    profile = Profile(
        shells=shells[1],
        raw_shells=shells[0],
        mantel=mantels[1],
        raw_mantel=mantels[0],
        neighbour_auc=0.5 + deviation * float(neighbour_form(distances, weights) @ ranks[pairs]),
        rank_deviation=deviation,
        laplacian_energy=laplacian_energy(rows, graph),
        effective_rank=spread,
        first_share=first,
        common_share=float(common_share(rows)),
    )
    return profile, ranks, places


def laplacian_energy(rows: Float[np.ndarray, "entity width"], graph: Graph) -> float:
    """Mean squared distance of neighbours over that of all pairs: tr(X' L X), L the combinatorial Laplacian.

    0: neighbours coincide; 1: neighbours are as far apart as any two, as by chance; above: a zig-zag. 0 where
    all rows are equal.

    >>> from geomem.worlds.graphs.families import path
    >>> laplacian_energy(np.array([[0.0], [1.0], [2.0]]), path(3))
    0.5
    """
    tails, heads = graph.edges.T
    chunk = max(1, 20_000_000 // rows.shape[1])
    apart = sum(
        float(np.square(rows[tails[at : at + chunk]] - rows[heads[at : at + chunk]]).sum(dtype=np.float64))
        for at in range(0, len(tails), chunk)
    )
    nodes = len(rows)
    spread = float(np.square(rows - rows.mean(axis=0, dtype=np.float64)).sum()) * 2 / (nodes - 1)
    return apart / len(tails) / spread if spread > 0 else 0.0


def principal_spread(
    rows: Float[np.ndarray, "entity width"],
) -> tuple[float, float, Float[np.ndarray, "entity 2"]]:
    """Effective rank, the first direction's share of the variance, and coordinates along the first two.

    >>> rank, first, places = principal_spread(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    >>> round(rank, 6), round(first, 6), np.abs(places).sum().round(6)
    (2.0, 0.5, np.float64(4.0))
    """
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    scale = np.abs(centred).max()
    if scale == 0 or min(rows.shape) < 2:
        return float(scale > 0), float(scale > 0), np.pad(centred[:, :1], ((0, 0), (0, 1)))
    centred = (centred / scale).astype(rows.dtype)
    wide = centred.shape[1] > centred.shape[0]
    gram = (centred @ centred.T if wide else centred.T @ centred).astype(np.float64)
    values, vectors = eigh(gram, subset_by_index=[len(gram) - 2, len(gram) - 1])
    places = vectors * np.sqrt(np.maximum(values, 0.0)) if wide else centred @ vectors
    return float(participation_ratio(gram)), float(values[1] / np.trace(gram)), scale * places[:, ::-1]
