"""A graph as JSON and back: the `world.json` of a run directory, which is checked as a stranger's file is."""

from typing import Any

import numpy as np

from geomem.errors import InputError
from geomem.worlds.graphs.graph import Graph

FORMAT = "geomem-graph-1"
"""Value of the field `format`; a later layout gets a later number."""


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """The graph as a dictionary of plain JSON values: format, name, labels, edges, root, coordinates, notes.

    Where edges were given in both directions, `mutual` has their numbers.

    >>> from geomem.worlds.graphs.families import path
    >>> graph_to_json(path(2))["edges"]
    [[0, 1]]
    """
    return {
        "format": FORMAT,
        "name": graph.name,
        "labels": list(graph.labels),
        "edges": graph.edges.tolist(),
        "root": graph.root,
        "coordinates": None if graph.coordinates is None else graph.coordinates.tolist(),
        "notes": list(graph.notes),
        **({"mutual": graph.mutual.tolist()} if len(graph.mutual) else {}),
    }


def graph_from_json(value: Any) -> Graph:
    """The graph that `graph_to_json` wrote; the value may be anything that a JSON file can hold.

    Raises `InputError` if a field is missing, unknown or of a wrong type, and as `Graph` does.

    >>> from geomem.worlds.graphs.families import path
    >>> graph_from_json(graph_to_json(path(2))).digest == path(2).digest
    True
    """
    fields = {"format", "name", "labels", "edges", "root", "coordinates", "notes"}
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise _damaged(f"it does not say that its format is {FORMAT!r}")
    if wrong := sorted(map(str, fields ^ (set(value) - {"mutual"}))):
        raise _damaged(f"the field {wrong[0]!r} is {'missing' if wrong[0] in fields else 'unknown'}")
    if not isinstance(value["name"], str):
        raise _damaged("name is not a text")
    for field in ("labels", "notes"):
        if not isinstance(value[field], list) or not all(isinstance(entry, str) for entry in value[field]):
            raise _damaged(f"{field} is not a list of texts")
    mutual = value.get("mutual", [])
    if not isinstance(mutual, list) or not all(type(entry) is int for entry in mutual):
        raise _damaged("mutual is not a list of whole numbers")
    root = value["root"]
    if root is not None and type(root) is not int:
        raise _damaged("root is neither null nor a whole number")
    coordinates = value["coordinates"]
    return Graph(
        name=value["name"],
        labels=tuple(value["labels"]),
        edges=_pairs("edges", value["edges"], "i").astype(np.int64),
        root=root,
        coordinates=None
        if coordinates is None
        else _pairs("coordinates", coordinates, "if").astype(np.float64),
        notes=tuple(value["notes"]),
        mutual=np.array(mutual) if mutual else np.zeros(0, dtype=np.int64),
    )


def _pairs(field: str, rows: Any, kinds: str) -> np.ndarray:
    """The rows as an array [row, 2] whose NumPy kind is one of the letters in `kinds`."""
    try:
        array = np.array(rows) if isinstance(rows, list) else None
    except (ValueError, OverflowError):  # rows of unequal length, numbers beyond every integer type
        array = None
    if array is not None and array.size == 0:
        array = np.zeros((0, 2), dtype=np.int64)
    if array is None or array.dtype.kind not in kinds or array.ndim != 2 or array.shape[1] != 2:
        raise _damaged(f"{field} is not a list of pairs of {'whole ' if kinds == 'i' else ''}numbers")
    return array


def _damaged(reason: str) -> InputError:
    return InputError(
        f"The world file is damaged or no world of geomem: {reason}; write it again with geomem."
    )
