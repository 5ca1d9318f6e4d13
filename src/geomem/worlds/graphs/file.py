"""A graph as JSON and back: the `world.json` of a run directory, which is checked as a stranger's file is."""

from typing import Any

import numpy as np

from geomem.worlds.graphs.graph import Graph
from geomem.worlds.stored import check_stored, damaged, stored_rows

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
    fields = ("format", "name", "labels", "edges", "root", "coordinates", "notes")
    check_stored(value, FORMAT, fields, lists=("labels", "notes"), optional="mutual")
    mutual, root, coordinates = value.get("mutual", []), value["root"], value["coordinates"]
    if not isinstance(mutual, list) or not all(type(entry) is int for entry in mutual):
        raise damaged(FORMAT, "mutual is not a list of whole numbers")
    if root is not None and type(root) is not int:
        raise damaged(FORMAT, "root is neither null nor a whole number")
    edges = stored_rows(value["edges"], 2)
    places = None if coordinates is None else stored_rows(coordinates, 2, "if")
    if edges is None:
        raise damaged(FORMAT, "edges is not a list of pairs of whole numbers")
    if coordinates is not None and places is None:
        raise damaged(FORMAT, "coordinates is not a list of pairs of numbers")
    return Graph(
        name=value["name"],
        labels=tuple(value["labels"]),
        edges=edges.astype(np.int64),
        root=root,
        coordinates=None if places is None else places.astype(np.float64),
        notes=tuple(value["notes"]),
        mutual=np.array(mutual or np.zeros(0, dtype=np.int64)),
    )
