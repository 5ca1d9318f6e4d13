"""What to know when reading the numbers of a portrait: what is weak in the input, and what was taken out.

Axis names: `run`, `node`, `width`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from geomem.geometry.similarity import common_share
from geomem.geometry.spectrum import Spectrum, describe_fiedler_modes
from geomem.worlds.graphs.graph import Graph

FEW_NODES = 8
"""Graphs of fewer nodes leave little that chance could not do."""

LISTED = 6
"""Nodes named in a sentence at most."""


def find_notes(
    V: Float[np.ndarray, "run node width"], graph: Graph, fiedler: Spectrum | None = None
) -> tuple[str, ...]:
    """One sentence each for a common direction, weak rows, a small graph, and the Fiedler modes taken.

    `fiedler` lists the modes that the alignment is measured on, where it is.

    >>> from geomem.worlds.graphs.families import cycle
    >>> find_notes(np.random.default_rng(0).normal(size=(1, 9, 4)), cycle(9))
    ()
    >>> find_notes(np.zeros((1, 9, 4)), cycle(9))
    ('All rows are zero: there is nothing to measure.',)
    """
    found = (
        describe_common_direction(V),
        describe_zero_rows(V, graph.labels),
        describe_equal_rows(V, graph.labels),
        f"The graph has {graph.node_count} nodes: with fewer than {FEW_NODES} chance alone reaches far, so "
        "trust p-values more than sizes."
        if graph.node_count < FEW_NODES
        else "",
        "" if fiedler is None else describe_fiedler_modes(fiedler),
    )
    return tuple(sentence for sentence in found if sentence)


def describe_common_direction(V: Float[np.ndarray, "run node width"]) -> str:
    """Says so where one direction common to all nodes holds most of the similarity in most runs.

    >>> describe_common_direction(np.array([[[3.0, 1.0], [3.0, -1.0]]]))[:46]
    'A common direction holds 90 % of the similarit'
    """
    shares = np.atleast_1d(common_share(V))
    if 2 * (shares > 0.5).sum() <= len(shares):
        return ""
    return (
        f"A common direction holds {_percent(float(shares.mean()))} of the similarity; it is taken out for "
        "the reading and the centred numbers."
    )


def describe_zero_rows(V: Float[np.ndarray, "run node width"], labels: Sequence[str]) -> str:
    """Names the nodes whose row is zero in some run.

    >>> describe_zero_rows(np.array([[[1.0], [0.0]]]), ("a", "b"))
    "1 row is zero ('b'): without direction, raw cosines count as 0."
    """
    zero = (V == 0).all(axis=2)
    if zero.all():
        return "All rows are zero: there is nothing to measure."
    return _said(zero, labels, "zero", "without direction, raw cosines count as 0")


def describe_equal_rows(V: Float[np.ndarray, "run node width"], labels: Sequence[str]) -> str:
    """Names the nodes whose row, not zero, is exactly that of another node in some run.

    >>> describe_equal_rows(np.array([[[1.0], [2.0], [1.0]]]), ("a", "b", "c"))
    "2 rows are equal to another's ('a', 'c'): nothing tells such nodes apart."
    """
    equal = np.zeros(V.shape[:2], dtype=bool)
    for at, run in enumerate(V):
        rows = np.ascontiguousarray(run + 0.0)  # minus zero is zero
        keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
        _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
        equal[at] = (counts[place.ravel()] > 1) & ~(run == 0).all(axis=1)
    if equal.all():
        return "All rows are equal: they do not vary from node to node, and there is nothing to measure."
    return _said(equal, labels, "equal to another's", "nothing tells such nodes apart")


def _said(found: Bool[np.ndarray, "run node"], labels: Sequence[str], what: str, why: str) -> str:
    nodes = np.flatnonzero(found.any(axis=0))
    if not len(nodes):
        return ""
    runs = f" in {found.any(axis=1).sum()} of {len(found)} runs" if len(found) > 1 else ""
    named = ", ".join(repr(labels[node]) for node in nodes[:LISTED])
    rest = f" and {len(nodes) - LISTED:,} more" if len(nodes) > LISTED else ""
    count = "1 row is" if len(nodes) == 1 else f"{len(nodes):,} rows are"
    return f"{count} {what}{runs} ({named}{rest}): {why}."


def _percent(share: float) -> str:
    """A share with as many digits as keep it below 100 %.

    >>> _percent(0.9), _percent(0.9994), _percent(0.9999999)
    ('90 %', '99.9 %', 'more than 99.99 %')
    """
    for digits in (0, 1, 2):
        if float(f"{share:.{digits + 2}f}") < 1:
            return f"{100 * share:.{digits}f} %"
    return "more than 99.99 %"
