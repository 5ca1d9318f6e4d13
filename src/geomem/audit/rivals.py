"""What else could make similarity follow a graph: its degrees, names and frequencies, or text alone.

Axis names: `source`, `column`, `entry`, `pair`, `look` as in `geomem.audit.pairs`; `draw`: the graph or the
entities as they are first, then as they are rewired or resampled; `nuisance`: names, frequencies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from scipy.sparse import csgraph

from geomem.audit.pairs import counted_pairs, distance_ranks, mantel_form, pair_distances, pair_weights
from geomem.errors import InputError
from geomem.geometry.nulls import p_value
from geomem.geometry.sampling import PairSample
from geomem.worlds.graphs.graph import Graph, adjacency_matrix
from geomem.worlds.graphs.rewiring import rewired_graphs, shared_edges

REWIRED_SOURCES = 64
"""Of a sample, so many of its random sources: only from them distances are searched in rewired graphs."""

BOOTSTRAPS = 499


@dataclass(frozen=True, eq=False)
class Rewired:
    """Mantel's correlations on the graph and on graphs of the same degrees."""

    mantels: Float[np.ndarray, "draw look"]
    partials: Float[np.ndarray, "draw look"]
    """Given the nuisances; where there is none, the same as `mantels`."""
    shared: float
    """Mean share of the graph's edges that a rewired graph has as well: 1 if degrees leave no choice."""


def measure_rewired(
    table: Float[np.ndarray, "entry look"],
    nuisances: Float[np.ndarray, "nuisance entry"],
    graph: Graph,
    sample: PairSample,
    count: int,
    *,
    seed: int = 0,
) -> Rewired:
    """Mantel's correlation of every look on the graph and on `count` rewired ones, all found in one way.

    Over all pairs of a source and another entity. The partial correlation is that of ranks given the
    nuisances (Smouse, Long and Sokal 1986). Under permuted entities it finds too much where both sides are
    autocorrelated (Guillot and Rousset 2013); rewired graphs are its null here.
    """
    sources, columns = sample.distances.shape
    rows = np.arange(sources)[-REWIRED_SOURCES if sources < columns else 0 :]
    entries = (rows[:, None] * columns + np.arange(columns)).ravel()
    weights = (rows[:, None] != np.arange(columns)).astype(np.float64).ravel()
    Z, N = table[entries], nuisances[:, entries]
    mantels, of_graph, shared = [], [], []
    for other in (graph, *rewired_graphs(graph, count, seed=seed)):
        A = adjacency_matrix(other)
        found = csgraph.dijkstra(A, indices=sample.nodes[rows], unweighted=True)[:, sample.nodes]
        form = mantel_form(found.ravel(), weights)
        mantels.append(form.astype(Z.dtype) @ Z)
        of_graph.append(N @ form)
        shared.append(shared_edges(graph, other))
    rewired = shared[1:] or shared
    whole, shares = np.array(mantels, dtype=np.float64), N * weights / weights.sum()
    of_looks = (shares.astype(Z.dtype) @ Z).astype(np.float64)
    partials = partial_correlations(whole, np.array(of_graph), of_looks, shares @ N.T)
    return Rewired(whole, partials, float(np.mean(rewired)))


def partial_correlations(
    both: Float[np.ndarray, "draw look"],
    of_draws: Float[np.ndarray, "draw nuisance"],
    of_looks: Float[np.ndarray, "nuisance look"],
    among: Float[np.ndarray, "nuisance nuisance"],
) -> Float[np.ndarray, "draw look"]:
    """Correlations of draws and looks given the nuisances, from the plain ones of all with one another.

        (r_xy - r_xn R^-1 r_ny) / sqrt((1 - r_xn R^-1 r_nx) (1 - r_yn R^-1 r_ny))

    0 where the nuisances leave nothing.

    >>> two = [np.array([[0.5]])] * 3
    >>> float(partial_correlations(*two, np.array([[1.0]]))[0, 0].round(3))
    0.333
    """
    inverse = np.linalg.pinv(among)
    left_of_looks = 1 - (of_looks * (inverse @ of_looks)).sum(axis=0)
    left_of_draws = 1 - (of_draws @ inverse * of_draws).sum(axis=1)
    left = np.outer(left_of_draws, left_of_looks)
    over = both - of_draws @ inverse @ of_looks
    return np.divide(over, np.sqrt(np.abs(left)), out=np.zeros_like(over), where=left > 1e-9)


def name_likeness(
    names: Sequence[str], tokens: Mapping[str, Sequence[int]] | None, sample: PairSample
) -> Float[np.ndarray, "source column"]:
    """Share of tokens, or without them of runs of three letters, that every two names have in common (Dice).

        2 |a and b| / (|a| + |b|)

    Raises `InputError` for a name without tokens.

    >>> from geomem.audit.pairs import entity_pairs
    >>> from geomem.worlds.graphs.families import path
    >>> names = ("North Dakota", "South Dakota", "Texas")
    >>> name_likeness(names, None, entity_pairs(path(3)))[0].round(2).tolist()
    [1.0, 0.67, 0.0]
    """
    padded = [f" {name.casefold()} " for name in names]
    if tokens is None:
        parts = [{name[at : at + 3] for at in range(max(1, len(name) - 2))} for name in padded]
    elif missing := [name for name in names if name not in tokens]:
        raise InputError(
            f"There are no tokens of {missing[0]!r}; give those of every entity, or none at all."
        )
    else:
        parts = [set(tokens[name]) for name in names]
    numbers = {part: number for number, part in enumerate(sorted(set().union(*parts), key=str))}
    rows = np.repeat(np.arange(len(names)), [len(own) for own in parts])
    columns = np.array([numbers[part] for own in parts for part in own], dtype=np.int64)
    shape = (len(names), max(1, len(numbers)))
    held = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr()[sample.nodes]
    sizes = np.maximum(np.asarray(held.sum(axis=1)).ravel(), 0.5)
    sources = len(sample.distances)
    return 2 * (held[:sources] @ held.T).toarray() / (sizes[:sources, None] + sizes)


def frequency_likeness(
    names: Sequence[str], frequencies: Mapping[str, float], sample: PairSample
) -> Float[np.ndarray, "source column"]:
    """Minus the difference of the log ranks of how frequent every two entities are.

    Raises `InputError` for an entity without a frequency.

    >>> from geomem.audit.pairs import entity_pairs
    >>> from geomem.worlds.graphs.families import path
    >>> frequency_likeness(("a", "b"), {"a": 9.0, "b": 1.0}, entity_pairs(path(2))).round(2).tolist()
    [[0.0, -0.69], [-0.69, 0.0]]
    """
    from scipy.stats import rankdata

    if missing := [name for name in names if name not in frequencies]:
        raise InputError(
            f"There is no frequency of {missing[0]!r}; give that of every entity, or none at all."
        )
    logs = np.log(rankdata([-frequencies[name] for name in names]))[sample.nodes]
    return 0.0 - np.abs(logs[: len(sample.distances), None] - logs)


@dataclass(frozen=True, eq=False)
class Lead:
    """By how much each look is ahead of the baseline; the bootstrap is over entities."""

    mantel: Float[np.ndarray, " look"]
    """The baseline's correlation less the look's: positive if the look follows the graph more closely."""
    mantel_error: Float[np.ndarray, " look"]
    mantel_p: float
    """Of no look being ahead, by the largest ratio of lead and error over all looks."""
    auc: Float[np.ndarray, " look"]
    auc_error: Float[np.ndarray, " look"]
    auc_p: float


def measure_lead(
    table: Float[np.ndarray, "entry look"],
    deviations: Float[np.ndarray, " look"],
    shared: Bool[np.ndarray, " column"],
    sample: PairSample,
    *,
    count: int = BOOTSTRAPS,
    seed: int = 0,
) -> Lead:
    """The lead of every look over the last, which is the baseline, on the entities that both have.

    Entities are drawn with replacement, and pairs count as often as their two entities together; a pair of an
    entity with itself is left out. p is the share of resamples whose largest (lead - observed lead) / error
    reaches the largest observed lead / error: a simultaneous bound, so that choosing the best of many looks
    does not help.
    """
    times = np.zeros((1 + count, len(shared)))
    times[:, shared] = draw_resamples(int(shared.sum()), count, seed=seed)
    weights, distances = pair_weights(sample), pair_distances(sample)
    pairs = sample.shells.first * sample.distances.shape[1] + sample.shells.second
    Z = table[pairs]
    D = distance_ranks(distances, weights)
    counted = weights * counted_pairs(distances, weights)
    near, far = weights * (distances == 1), weights * (distances > 1)
    mantels, aucs = np.empty((2, 1 + count, Z.shape[1]))
    for at in range(0, 1 + count, 50):
        chosen = times[at : at + 50]
        drawn = chosen[:, sample.shells.first] * chosen[:, sample.shells.second]
        mantels[at : at + 50] = _weighted_correlation(drawn * counted, D, Z)
        aucs[at : at + 50] = 0.5 + deviations * (_mean(drawn * near, Z) - _mean(drawn * far, Z))
    ahead = mantels[:, -1:] - mantels[:, :-1]
    better = aucs[:, :-1] - aucs[:, -1:]
    return Lead(
        ahead[0],
        ahead[1:].std(axis=0),
        bound_of_leads(ahead),
        better[0],
        better[1:].std(axis=0),
        bound_of_leads(better),
    )


def draw_resamples(size: int, count: int, *, seed: int = 0) -> Float[np.ndarray, "draw entity"]:
    """How often each of `size` is in `count` draws with replacement; first once each, as observed.

    >>> draw_resamples(3, 2).sum(axis=1).tolist()
    [3.0, 3.0, 3.0]
    """
    generator = np.random.default_rng(seed)
    drawn = [np.bincount(generator.integers(0, size, size), minlength=size) for _ in range(count)]
    return np.array([np.ones(size), *drawn])


def _mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    totals = weights.sum(axis=1, keepdims=True)
    return (weights.astype(values.dtype) @ values) / np.where(totals > 0, totals, np.inf)


def _weighted_correlation(weights: np.ndarray, D: np.ndarray, Z: np.ndarray) -> np.ndarray:
    D = D.astype(Z.dtype)[:, None]
    of_D, of_Z = _mean(weights, D), _mean(weights, Z)
    variances = (_mean(weights, D**2) - of_D**2) * (_mean(weights, Z**2) - of_Z**2)
    product = _mean(weights, D * Z) - of_D * of_Z
    return np.divide(product, np.sqrt(np.abs(variances)), out=np.zeros_like(product), where=variances > 1e-9)


def bound_of_leads(leads: Float[np.ndarray, "draw look"]) -> float:
    """p of no lead: share of resamples whose largest (lead - observed) / error reaches the largest observed.

    >>> leads = np.random.default_rng(0).normal([0, 4], size=(500, 2))
    >>> leads[0] = 0, 4
    >>> bound_of_leads(leads) < 0.01
    True
    """
    errors = leads[1:].std(axis=0)
    varied = errors > 0
    if not varied.any():
        return 1.0
    scores = leads[:, varied] / errors[varied]
    return p_value(float(scores[0].max()), (scores[1:] - scores[0]).max(axis=1))
