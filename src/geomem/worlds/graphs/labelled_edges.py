"""Edges by the labels of their ends, from any file or object: labels made alike, nodes numbered, all said."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from geomem.errors import InputError
from geomem.worlds.graphs.graph import Graph, simple_graph
from geomem.worlds.objects import are_whole_numbers, clean_labels, is_missing
from geomem.worlds.text_file import counted, equal_numbers, show_label


def graph_of_labels(
    name: str,
    tails: Sequence[str],
    heads: Sequence[str],
    *,
    notes: Sequence[str] = (),
    alone: Sequence[str] = (),
    undirected: bool = False,
) -> Graph:
    """The graph of edges given by the labels of their ends, and of nodes that may stand `alone`.

    Nodes are in numeric order if every label is a whole number, else in order of first appearance. If all
    labels are numbers, those that are equal, `2` and `2.0`, are one node. `undirected` says that an edge
    named from both of its ends is the format's way, and has no direction of its own.

    >>> graph_of_labels("trip", ["2", "1.0"], ["1", "3"]).labels
    ('1', '2', '3')
    """
    notes = list(notes)
    labels = dict.fromkeys([*alone, *itertools.chain.from_iterable(zip(tails, heads, strict=True))])
    if shorter := equal_numbers(labels):
        example, short = next(iter(shorter.items()))
        ids = f"{counted(len(shorter), 'id')} {'is' if len(shorter) == 1 else 'are'}"
        notes.append(
            f"{ids} written in another way than whole numbers are, as {example} for {short}; "
            "numbers that are equal are one node."
        )
    nodes = {label: shorter.get(label, label) for label in labels}
    labels = list(dict.fromkeys(nodes.values()))
    if are_whole_numbers(labels):
        labels.sort(key=int)
    else:
        notes += [*_zeros_before(labels), *_capitals(labels)]
    place = {label: number for number, label in enumerate(labels)}
    node = {label: place[short] for label, short in nodes.items()}
    ends = [np.fromiter(map(node.__getitem__, side), np.int64, count=len(side)) for side in (tails, heads)]
    pairs = np.stack(ends, axis=1)
    return simple_graph(name, labels, once_each(pairs) if undirected else pairs, notes=notes)


def once_each(pairs: np.ndarray) -> np.ndarray:
    """The pairs without those that are the reverse of an earlier one, if every pair has its reverse.

    A symmetric matrix or list of neighbours says every edge twice; that is its way, not a repetition.

    >>> once_each(np.array([[0, 1], [1, 0]])).tolist(), once_each(np.array([[0, 1], [1, 0], [1, 2]])).tolist()
    ([[0, 1]], [[0, 1], [1, 0], [1, 2]])
    """
    size = int(pairs.max(initial=0)) + 1
    forward, backward = (np.unique(side @ np.array([size, 1])) for side in (pairs, pairs[:, ::-1]))
    if not np.array_equal(forward, backward):
        return pairs
    _, first = np.unique(np.sort(pairs, axis=1) @ np.array([size, 1]), return_index=True)
    return pairs[np.sort(first)]


def say_reading(graph: Graph, source: str) -> Graph:
    """The graph with one line before its notes: nodes, edges, what they were read from, and the first edge.

    >>> graph = say_reading(graph_of_labels("trip", ["Rome"], ["Bonn"]), "columns 1 and 2")
    >>> graph.notes[0]
    '2 nodes, 1 edge from columns 1 and 2; first edge Rome – Bonn'
    """
    tail, head = (show_label(graph.labels[end]) for end in graph.edges[0].tolist())
    counts = f"{graph.node_count:,} nodes, {counted(graph.edge_count, 'edge')}"
    return replace(graph, notes=(f"{counts} from {source}; first edge {tail} – {head}", *graph.notes))


def end_labels(cells: Sequence[str], where: Callable[[int], str]) -> list[str]:
    """Cells as labels, without blanks at the ends and in form NFC; `where` says in errors where one stands.

    Raises `InputError` for an empty or far too long one, or one with a control character.

    >>> end_labels([" Rome"], "line {}".format)
    ['Rome']
    """
    return list(map(clean_labels(cells, where).__getitem__, cells))


def labels_of(name: str, ends: Sequence[Any]) -> list[str]:
    """Labels of objects as `str` writes them; missing values, as data frames have them, are refused.

    >>> labels_of("trip", ["Rome", 3])
    ['Rome', '3']
    """
    labels = [str(end) for end in ends]
    for number, (label, end) in enumerate(zip(labels, ends, strict=True)):
        if not label or is_missing(end):
            raise InputError(f"Edge {number} of {name!r} lacks an end; name both ends of every edge.")
    return labels


def _zeros_before(labels: Sequence[str]) -> list[str]:
    """A note if two labels are one number with and without zeros before it, as postal codes may have."""
    digits = [label for label in labels if label.isascii() and label.isdigit()]
    bare = Counter(label.lstrip("0") or "0" for label in digits)
    twice = next((label for label in digits if bare[label.lstrip("0") or "0"] > 1), None)
    if twice is None:
        return []
    other = next(label for label in digits if label != twice and int(label) == int(twice))
    return [f"{twice} and {other} are two nodes: zeros before a number count, as in a postal code."]


def _capitals(labels: Sequence[str]) -> list[str]:
    """A note if two labels differ in capitals alone."""
    folded: dict[str, str] = {}
    for label in labels:
        other = folded.setdefault(label.casefold(), label)
        if other != label:
            return [f"{show_label(other)} and {show_label(label)} are two nodes: capitals count."]
    return []
