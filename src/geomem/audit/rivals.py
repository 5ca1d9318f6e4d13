"""What else could make similarity follow a graph: its degrees, or how names look and how frequent they are.

Axis names: `source`, `column`, `entry`, `look` as in `geomem.audit.pairs`; `draw` (the graph as it is first,
then rewired); `nuisance` (names, frequencies).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.sparse import csgraph

from geomem.audit.pairs import mantel_form
from geomem.errors import InputError
from geomem.geometry.sampling import PairSample
from geomem.worlds.graphs.graph import Graph, adjacency_matrix
from geomem.worlds.graphs.rewiring import rewired_graphs, shared_edges

REWIRED_SOURCES = 64
"""Of a sample, so many of its random sources: only from them distances are searched in rewired graphs."""


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
