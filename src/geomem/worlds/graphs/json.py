"""Graphs as JSON: nodes and links, lists of neighbours, pairs, as networkx, D3 and Cytoscape write them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geomem.errors import InputError
from geomem.worlds.columns import Columns
from geomem.worlds.graphs.columns import known_ends
from geomem.worlds.graphs.formats import ParsedGraph, first_line, named_edges
from geomem.worlds.separators import Separator
from geomem.worlds.text_file import clean_label, show_label

FIELDS = Separator("fields", "")
"""What stands between the columns of a table that was never text."""

_TAILS, _HEADS = ("source", "from", "src", "u"), ("target", "to", "dst", "v")


def read_json(path: Path, text: str) -> Any:
    """The value of a JSON text. Raises `InputError` for a text that is not JSON, or nested beyond measure."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({first_line(error)}); check it.") from error


def parse_json(path: Path, value: Any) -> ParsedGraph:
    """JSON of nodes and links, of lists of neighbours, or of pairs.

    >>> links = [{"source": 0, "target": 1}]
    >>> parse_json(Path("a.json"), {"nodes": [{"id": 0}, {"id": 1}], "links": links}).heads
    ['1']
    """
    if isinstance(value, dict) and isinstance(value.get("graph"), dict) and "nodes" not in value:
        value = value["graph"]
    if isinstance(value, dict) and isinstance(value.get("elements"), dict):  # Cytoscape
        value = {
            kind: [entry.get("data") if isinstance(entry, dict) else entry for entry in entries]
            for kind, entries in value["elements"].items()
            if isinstance(entries, list)
        }
    if isinstance(value, dict) and "nodes" not in value and len(value) == 1:
        links = value.get("links", value.get("edges"))
        if isinstance(links, list) and all(isinstance(link, list | dict) for link in links):
            ends = [pair for number, link in enumerate(links) for pair in _ends_of(path, number, link)]
            value = {"nodes": list(dict.fromkeys(ends)), "links": links}
    if isinstance(value, dict) and isinstance(value.get("nodes"), list | dict):
        links = value.get("links", value.get("edges"))
        if isinstance(links, list):
            return _node_link(path, value["nodes"], links)
    if isinstance(value, dict) and value and all(isinstance(v, list | dict) for v in value.values()):
        pairs = [(one, other) for one, others in value.items() for other in others]
        listed = all(isinstance(v, list) for v in value.values())
        if all(isinstance(o, str | int) and (listed or o in value) for _, o in pairs):
            ends = [str(one) for one, _ in pairs], [str(other) for _, other in pairs]
            return ParsedGraph("JSON lists of neighbours", *ends, alone=list(value), undirected=True)
    if isinstance(value, list) and value and all(map(_is_pair, value)):
        listed = {(place, end) for place, pair in enumerate(value) for end in pair}
        if len(value) > 2 and all((end, place) in listed for place, end in listed):
            raise InputError(
                f"{path} can hold pairs, or two neighbours of every node; give objects of source and target."
            )
        return ParsedGraph("JSON pairs", [str(a) for a, _ in value], [str(b) for _, b in value])
    raise InputError(
        f"{path} is JSON in a form that is not read; give node-link JSON with nodes and links, as "
        "networkx.node_link_data makes it, or one object with source and target per line."
    )


def json_lines(path: Path, text: str) -> Columns:
    """The columns of a file with one JSON object per line.

    >>> json_lines(Path("a.jsonl"), '{"source": 1, "target": 2}').header
    ('source', 'target')
    """
    numbers, values = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = read_json(path, line)
        except InputError:
            value = None
        if not isinstance(value, dict):
            raise InputError(f"Line {number} of {path} is not a JSON object with source and target; mend it.")
        numbers.append(number)
        values.append(value)
    return _table_of_objects(path, values, numbers)


def _table_of_objects(path: Path, values: Sequence[dict[str, Any]], numbers: Sequence[int]) -> Columns:
    """The columns of JSON objects, one row each; an end that is an object counts by its `id`."""
    names = list(dict.fromkeys(name for value in values for name in value))
    if len(names) < 2:
        raise InputError(f"The objects of {path} have one name each; give source and target.")
    ends = [names[place] for place in known_ends(names) or ()]
    for number, value in zip(numbers, values, strict=True):
        kinds = {isinstance(value.get(name), list) for name in ends}
        if len(kinds) > 1:  # where both ends are lists, nodes are tuples of Python
            raise InputError(f"Object {number} of {path} lists several ends; give one edge per object.")

    def cell(name: str, value: Any) -> str:
        return "" if value is None else _node_key(path, value) if name in ends else str(value)

    columns = [[cell(name, value.get(name)) for value in values] for name in names]
    return table_of_cells(path, columns, names, numbers)


def table_of_cells(
    path: Path,
    columns: Sequence[Sequence[str]],
    names: Sequence[str] | None,
    numbers: Sequence[int] | None = None,
) -> Columns:
    """Cells that stand in no file of columns, as such.

    >>> table_of_cells(Path("a"), [["a"], ["b"]], None).row_count
    1
    """
    return Columns(
        path=path,
        cells=tuple(map(tuple, columns)),
        numbers=numbers or range(1, len(columns[0]) + 1),
        header=tuple(names) if names else None,
        separator=FIELDS,
    )


def json_table(path: Path, value: Any) -> Columns | None:
    """The columns of a list of objects, or of an object with a list for each column; None for another value.

    >>> json_table(Path("a.json"), {"source": [1, 2], "target": [2, 3]}).cells
    (('1', '2'), ('2', '3'))
    """
    if isinstance(value, dict) and known_ends(list(value)):
        columns = list(value.values())
        listed = all(isinstance(column, list) and column for column in columns)
        if not listed or len(set(map(len, columns))) > 1:
            return None
        value = [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
        return None
    return _table_of_objects(path, value, range(1, len(value) + 1))


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(isinstance(v, str | int | float) for v in value)
    )


def _node_link(path: Path, nodes: list[Any] | dict[str, Any], links: list[Any]) -> ParsedGraph:
    if isinstance(nodes, dict):
        nodes = [{"id": key, **(value if isinstance(value, dict) else {})} for key, value in nodes.items()]
    ids: list[str] = []
    given: list[dict[str, Any]] = []
    for place, node in enumerate(nodes):
        entry = node if isinstance(node, dict) else {"id": node}
        if isinstance(attributes := entry.get("attributes"), dict):  # graphology
            entry = attributes | entry
        key = next((entry[name] for name in ("id", "name", "key", "label") if name in entry), place)
        ids.append(_node_key(path, key))
        given.append(entry)
    if len(set(ids)) < len(ids):
        raise InputError(f"{path} has two nodes with the same id; give every node its own.")
    names = dict(zip(ids, tell_apart(given, ids), strict=True))
    edges = []
    for number, link in enumerate(links):
        tail, head = _ends_of(path, number, link)
        by_place = [int(end) if re.fullmatch("[0-9]{1,9}", end) else -1 for end in (tail, head)]
        if tail not in names and head not in names and all(0 <= place < len(ids) for place in by_place):
            tail, head = (ids[place] for place in by_place)  # older D3: numbers of nodes
        for end in (tail, head):
            if end not in names:
                raise InputError(
                    f"Link {number} of {path} names '{show_label(end)}', which is not a node; add it."
                )
        edges.append((tail, head))
    return named_edges("node-link JSON", names, edges)


def _ends_of(path: Path, number: int, link: Any) -> tuple[str, str]:
    """The keys of the ends of a link, which is an object or a list."""
    pair = (
        [next((link[n] for n in names if n in link), None) for names in (_TAILS, _HEADS)]
        if isinstance(link, dict)
        else link
    )
    if not isinstance(pair, list) or len(pair) < 2 or None in pair[:2]:
        raise InputError(f"Link {number} of {path} has no source and target; give both for every link.")
    return _node_key(path, pair[0]), _node_key(path, pair[1])


def _node_key(path: Path, key: Any) -> str:
    if isinstance(key, dict) and "id" in key:
        key = key["id"]
    if isinstance(key, list):  # a tuple of Python
        return f"({', '.join(map(str, key))})"
    if not isinstance(key, str | int | float):
        raise InputError(f"{path} has a node whose id is not a text or a number; give such ids.")
    return str(key)


def tell_apart(nodes: Sequence[dict[str, Any]], ids: Sequence[str]) -> list[str]:
    """Names of nodes: their `label` or `name` if these tell all apart, else their ids.

    >>> tell_apart([{"label": "Ada"}, {"label": "Ben"}], ["0", "1"])
    ['Ada', 'Ben']
    """
    for attribute in ("label", "name"):
        # A line end in a name, as programs that draw write them, is a blank.
        labels = [clean_label(re.sub(r"[\t\n\r]+", " ", str(data.get(attribute, "")))) for data in nodes]
        if all(labels) and len(set(labels)) == len(labels):
            return labels
    return list(ids)
