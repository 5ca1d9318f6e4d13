"""Rows of a file matched to the nodes of a graph: by their labels, or by their order where they have none.

Axis names: `run`, `node`, `width`; a row belongs to the file, a node to the graph.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from geomem.errors import InputError
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.text_file import clean_label, equal_numbers

_LABEL_TITLE = re.compile(
    "(label|name|node|vertex|word|token|vocab|vocabulary|id|key|entity|entitie|item|country|state)s?"
)

Row = TypeVar("Row")


@dataclass(frozen=True)
class Match(Generic[Row]):
    """Which row is whose, and what was left over."""

    rows: Mapping[int, Row]
    """The row of every node that has one."""
    row_count: int
    other_count: int
    """How many rows belong to no node."""
    other: str | None
    """The label of the first of these."""
    near: tuple[str, str] | None = None
    """A label among these and a node that differ only in capitals and underscores, if there are such."""


def names_labels(title: str) -> bool:
    """Whether the title of a column, or the name of an array, says by its last word that it holds the labels.

    >>> names_labels("Nodes"), names_labels("node_ids"), names_labels("node_degree")
    (True, True, False)
    """
    return _LABEL_TITLE.fullmatch(re.split(r"[\s_.-]+", title.lower())[-1]) is not None


def label_key(label: str) -> str:
    """What two ways to write one label share: no blanks at the ends, Unicode's form NFC, equal numbers.

    >>> label_key(" 12.0 "), label_key("12"), label_key("1.50"), label_key("007"), label_key("1.2.0")
    ('12', '12', '1.5', '007', '1.2.0')
    """
    label = clean_label(label)
    return equal_numbers((label,)).get(label, label)


def match_rows(rows: Iterable[tuple[str, Row]], graph: Graph) -> Match[Row]:
    """Find the row of every node by its label; rows of no node are counted and let go.

    A label spelt as the graph's comes before one that only has the same `label_key`. Raises `InputError` if
    two rows are equally right for one node.

    >>> from geomem.worlds.graphs.families import path
    >>> match = match_rows([("1.0", "b"), ("x", "c"), ("0", "a")], path(2))
    >>> match.rows, match.other_count, match.other
    ({1: 'b', 0: 'a'}, 1, 'x')
    """
    exact = {label: node for node, label in enumerate(graph.labels)}
    alike: dict[str, int | None] = {}
    for label, node in exact.items():
        key = label_key(label)
        alike[key] = None if key in alike else node
    folded = {_fold(label): label for label in graph.labels}
    found: dict[int, tuple[str, Row]] = {}
    near = None
    count = others = 0
    other = None
    for label, row in rows:
        count += 1
        node = exact.get(label)
        if node is None:
            node = alike.get(label_key(label))
        if node is None:
            others += 1
            other = label if other is None else other
            if near is None and (fold := _fold(label)) in folded:
                near = label, folded[fold]
            continue
        before, own = found.get(node), graph.labels[node]
        if before is not None and (before[0] == own) == (label == own):
            raise InputError(
                f"The labels {before[0][:80]!r} and {label[:80]!r} of two rows both name the node "
                f"{own[:80]!r}; give one row per node."
            )
        if before is not None:
            others += 1
            other = (before[0] if label == own else label) if other is None else other
        if before is None or label == own:
            found[node] = (label, row)
    return Match({node: row for node, (_, row) in found.items()}, count, others, other, near)


def _fold(label: str) -> str:
    return label.casefold().replace("_", " ")
