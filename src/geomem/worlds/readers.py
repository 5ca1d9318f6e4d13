"""Graphs of the user's own: edge lists and graph files of many kinds, and graph objects of other libraries.

Nodes get their ids in numeric order if every label is a whole number, else in order of first appearance, so
that row i of an embedding matrix belongs to the label that a person expects.
"""

import itertools
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geomem.errors import InputError
from geomem.worlds.graph import Graph, check_size, simple_graph
from geomem.worlds.text_file import (
    MAXIMUM_LABEL_CHARACTERS,
    clean_label,
    content_lines,
    find_delimiter,
    name_of_file,
    read_text,
    split_lines,
)

HEADER_PAIRS = (
    ("source", "target"),
    ("from", "to"),
    ("src", "dst"),
    ("src", "dest"),
    ("tail", "head"),
    ("start", "end"),
    ("u", "v"),
    ("node1", "node2"),
    ("nodea", "nodeb"),
    ("node", "neighbour"),
    ("node", "neighbor"),
    ("country", "neighbour"),
    ("country", "neighbor"),
    ("state", "neighbour"),
    ("state", "neighbor"),
    ("fromnode", "tonode"),
    ("fromnodeid", "tonodeid"),
    ("sourcenode", "targetnode"),
    ("sourceid", "targetid"),
    ("id1", "id2"),
)
"""Column names of the two ends of an edge, without case, blanks, hyphens and underscores."""

_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_MISSING = ("None", "nan", "<NA>", "NaT")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")


def read_graph(path: str | os.PathLike[str]) -> Graph:
    """Graph of a file: GraphML (`.graphml`), GML (`.gml`), or an edge list under any other name.

    An edge list is UTF-8 text with one edge per line; forward is from the first label to the second:

    - Columns are separated by tabs if the first line and at least half of all have one, else so by commas,
      else so by semicolons, else by blanks. A label may stand in double quotes, with quotes inside doubled.
    - Lines that start with `#`, `%` or `//` are comments; blank lines do not count.
    - The first line is a header if two of its columns are named as in `HEADER_PAIRS` (source and target,
      from and to, ...), which then are the columns read, or if its first two labels are no numbers while all
      others are. Labels that occur again further down are never a header.
    - Columns beyond those two, such as weights, are left out.
    - Labels lose blanks at their ends and are brought into Unicode's form NFC, so that an accent typed in two
      ways is one node. Whatever else they hold, HTML for example, stays as it is.

    Repeated edges are merged and self-loops dropped; the graph's `notes` say so, and what else was decided.
    Raises `InputError` for a missing, empty, binary or too large file, a line with one column, an empty or
    too long label, and a graph without an edge between two nodes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "trip.csv"
    ...     _ = file.write_text("from,to,km\\nRome,Paris,1106\\nParis,Berlin,878\\n")
    ...     graph = read_graph(file)
    >>> graph.labels, graph.edges.tolist()
    (('Rome', 'Paris', 'Berlin'), [[0, 1], [1, 2]])
    >>> for note in graph.notes:
    ...     print(note)
    The first line (from, to) was read as a header.
    Columns beyond the two ends of an edge, such as weights, were left out.
    """
    path = Path(path)
    text = read_text(path, "one edge per line")
    kind = path.suffix.lower()
    if kind == ".graphml":
        return _read_graphml(path, text)
    if kind == ".gml":
        return _read_gml(path, text)
    return _read_edge_list(path, text)


def graph_from(value: Any, *, name: str = "graph") -> Graph:
    """Graph of another library's object, of a path, or of a list of pairs; a `Graph` is returned as it is.

    - networkx graphs: nodes in networkx's order, labels as `str(node)`; forward as a directed graph says.
    - scipy sparse matrices and arrays: an edge from row to column wherever the adjacency matrix is not zero.
    - pandas and polars data frames: the columns named as in `HEADER_PAIRS`, else the first two.
    - NumPy arrays [edge, 2] and iterables of pairs: labels as `str(end)`.

    Raises `InputError` for anything else, and as `read_graph` does.

    >>> graph_from([("a", "b"), ("b", "c"), ("b", "a")]).edges.tolist()
    [[0, 1], [1, 2]]
    """
    if isinstance(value, Graph):
        return value
    if isinstance(value, str | os.PathLike):
        return read_graph(value)
    if "networkx" in sys.modules and isinstance(value, sys.modules["networkx"].Graph):
        return _from_networkx(name, value)
    if "scipy.sparse" in sys.modules and sys.modules["scipy.sparse"].issparse(value):
        return _from_adjacency(name, value)
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # pandas
        first, second = _edge_columns(name, [str(column) for column in value.columns])
        return _from_ends(name, value.iloc[:, first].tolist(), value.iloc[:, second].tolist())
    if hasattr(value, "to_series") and hasattr(value, "columns"):  # polars
        first, second = _edge_columns(name, list(value.columns))
        return _from_ends(name, value.to_series(first).to_list(), value.to_series(second).to_list())
    if isinstance(value, np.ndarray):
        if value.ndim != 2 or value.shape[1] != 2:
            raise InputError(
                f"The array has shape {value.shape}; give edges as [edge, 2], "
                "or an adjacency matrix as scipy.sparse.coo_array."
            )
        return _from_ends(name, value[:, 0].tolist(), value[:, 1].tolist())
    if isinstance(value, Iterable):
        pairs = list(value)
        for number, pair in enumerate(pairs):
            if not isinstance(pair, Sequence | np.ndarray) or isinstance(pair, str | bytes) or len(pair) != 2:
                raise InputError(f"Entry {number} of the edges is {pair!r:.80}; give pairs of two nodes.")
        return _from_ends(name, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    raise InputError(
        f"A {type(value).__name__} is no graph; give a networkx graph, a scipy sparse matrix, a pandas or "
        "polars data frame, an array [edge, 2], or a list of pairs."
    )


def _read_edge_list(path: Path, text: str) -> Graph:
    if text.startswith("%%MatrixMarket"):
        raise InputError(f"{path} is a MatrixMarket file; read it with scipy.io.mmread and pass the matrix.")
    numbers, lines = content_lines(text)
    if not numbers:
        raise InputError(
            f"{path} has only comments; give one edge per line, with a label like #1 in double quotes."
        )
    delimiter = find_delimiter(lines)
    if delimiter == " ":
        lines = [line.replace("\t", " ").strip(" ") for line in lines]
    top = next(split_lines(path, numbers, lines[:1], delimiter))
    named = _named_columns(top) or (0, 1)
    tails, heads, wide = _read_columns(path, numbers, lines, delimiter, named)
    header = _is_header(tails, heads, by_name=_named_columns(top) is not None)
    if not header and named != (0, 1):
        tails, heads, wide = _read_columns(path, numbers, lines, delimiter, (0, 1))
    notes = []
    if header:
        notes.append(f"The first line ({tails[0]}, {heads[0]}) was read as a header.")
        numbers, tails, heads = numbers[1:], tails[1:], heads[1:]
    if wide:
        notes.append("Columns beyond the two ends of an edge, such as weights, were left out.")
    return _from_labels(name_of_file(path), *_clean_labels(path, numbers, tails, heads), notes)


def _read_columns(
    path: Path, numbers: Sequence[int], lines: Sequence[str], delimiter: str, columns: tuple[int, int]
) -> tuple[list[str], list[str], bool]:
    """Two columns of all lines, and whether there are lines with more."""
    tails: list[str] = []
    heads: list[str] = []
    first, second = columns
    needed = max(columns) + 1
    wide = False
    for row in split_lines(path, numbers, lines, delimiter):
        if len(row) < needed:
            raise InputError(
                f"Line {numbers[len(tails)]} of {path} has {len(row)} column{'s' if len(row) > 1 else ''}; "
                "give both ends of an edge on every line."
            )
        wide = wide or (len(row) > 2 and sum(map(bool, row)) > 2)
        tails.append(row[first])
        heads.append(row[second])
    return tails, heads, wide


def _is_header(tails: Sequence[str], heads: Sequence[str], *, by_name: bool) -> bool:
    """Whether the first row is a header: by its names, or by its labels alone not being numbers."""
    if len(tails) < 2:
        return False
    top, others = {tails[0].strip(), heads[0].strip()}, {cell.strip() for cell in {*tails[1:], *heads[1:]}}
    if top & others:
        return False
    numbers = (_NUMBER.fullmatch(cell) is not None for cell in others)
    return by_name or (not any(map(_NUMBER.fullmatch, top)) and all(numbers))


def _named_columns(names: Sequence[str]) -> tuple[int, int] | None:
    """Positions of the two columns that are named as the ends of an edge, if there are such."""
    plain = [re.sub(r"[\s_-]", "", name).casefold() for name in names]
    for first, second in HEADER_PAIRS:
        if first in plain and second in plain:
            return plain.index(first), plain.index(second)
    return None


def _edge_columns(name: str, columns: Sequence[str]) -> tuple[int, int]:
    """The columns of a data frame that hold the two ends of an edge."""
    if len(columns) < 2:
        raise InputError(f"The data frame {name!r} has {len(columns)} column; give the two ends of an edge.")
    return _named_columns(columns) or (0, 1)


def _clean_labels(
    path: Path, numbers: Sequence[int], tails: list[str], heads: list[str]
) -> tuple[list[str], list[str]]:
    """Both columns without blanks at the ends and in form NFC."""
    cells = dict.fromkeys(itertools.chain(tails, heads))
    clean = {cell: clean_label(cell) for cell in cells}
    for cell, label in clean.items():
        if not 0 < len(label) <= MAXIMUM_LABEL_CHARACTERS:
            number = numbers[(tails if cell in tails else heads).index(cell)]
            wrong = f"a label of {len(label):,} characters" if label else "an empty label"
            raise InputError(
                f"Line {number} of {path} has {wrong}; "
                f"give labels of 1 to {MAXIMUM_LABEL_CHARACTERS:,} characters."
            )
    return [clean[cell] for cell in tails], [clean[cell] for cell in heads]


def _from_labels(name: str, tails: list[str], heads: list[str], notes: Sequence[str] = ()) -> Graph:
    """The graph of edges given by their labels."""
    labels = list(dict.fromkeys(itertools.chain.from_iterable(zip(tails, heads, strict=True))))
    if all(map(_WHOLE_NUMBER.fullmatch, labels)):
        labels.sort(key=int)
    node = {label: number for number, label in enumerate(labels)}
    ends = (
        np.fromiter(map(node.__getitem__, side), dtype=np.int64, count=len(side)) for side in (tails, heads)
    )
    return simple_graph(name, labels, np.stack(tuple(ends), axis=1), notes=notes)


def _from_ends(name: str, tails: Sequence[Any], heads: Sequence[Any]) -> Graph:
    """The graph of edges given by any two objects each."""
    return _from_labels(name, _labels_of(name, tails), _labels_of(name, heads))


def _labels_of(name: str, ends: Sequence[Any]) -> list[str]:
    """Labels of objects as `str` writes them; missing values, as data frames have them, are refused."""
    labels = [str(end) for end in ends]
    for number, (label, end) in enumerate(zip(labels, ends, strict=True)):
        if not label or (label in _MISSING and not isinstance(end, str)):
            raise InputError(f"Edge {number} of {name!r} lacks an end; name both ends of every edge.")
    return labels


def _from_adjacency(name: str, matrix: Any) -> Graph:
    """The graph of a square sparse adjacency matrix; labels are the row numbers."""
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"The adjacency matrix has shape {matrix.shape}; give a square one.")
    check_size(name, matrix.shape[0], (matrix.nnz + 1) // 2)
    coordinates = matrix.tocsr().tocoo()  # entries given in parts are summed on the way
    if np.isnan(coordinates.data).any():
        raise InputError(
            "The adjacency matrix has an entry that is not a number; give zero where there is no edge."
        )
    kept = coordinates.data != 0
    pairs = np.stack([coordinates.row[kept], coordinates.col[kept]], axis=1).astype(np.int64)
    # A symmetric matrix says every edge twice; that is its way, not a repetition to report.
    above = np.sort(pairs, axis=1)
    _, first = np.unique(above @ np.array([coordinates.shape[0], 1]), return_index=True)
    return simple_graph(name, [str(row) for row in range(coordinates.shape[0])], pairs[np.sort(first)])


def _from_networkx(
    name: str, graph: Any, labels: list[str] | None = None, notes: Sequence[str] = ()
) -> Graph:
    """The graph of a networkx graph, whose nodes keep their order."""
    check_size(name, graph.number_of_nodes(), graph.number_of_edges())
    node = {label: number for number, label in enumerate(graph.nodes)}
    pairs = np.array([(node[tail], node[head]) for tail, head in graph.edges()], dtype=np.int64).reshape(
        -1, 2
    )
    return simple_graph(name, labels or [str(label) for label in node], pairs, notes=notes)


def _read_graphml(path: Path, text: str) -> Graph:
    # Entities of one kilobyte can unfold to gigabytes; graph files have no use for them.
    if re.search(r"<!\s*(doctype|entity)", text, re.IGNORECASE):
        raise InputError(f"{path} has a document type or entities, which are not read; write plain GraphML.")
    import networkx

    try:
        graph = networkx.parse_graphml(text)
    except Exception as error:  # networkx lets whatever its parser stumbles over through
        raise InputError(
            f"{path} is no GraphML that networkx can read ({_first_line(error)}); check it."
        ) from error
    return _from_file(path, graph)


def _read_gml(path: Path, text: str) -> Graph:
    import networkx

    try:
        graph = networkx.parse_gml(text, label="id")
    except Exception as error:  # as above; deep nesting even ends in a RecursionError
        raise InputError(
            f"{path} is no GML that networkx can read ({_first_line(error)}); check it."
        ) from error
    return _from_file(path, graph)


def _from_file(path: Path, graph: Any) -> Graph:
    """A graph that networkx read, named by `label` or `name` if these tell all nodes apart, else by id."""
    for attribute in ("label", "name"):
        values = [str(data.get(attribute, "")) for _, data in graph.nodes(data=True)]
        labels = [clean_label(value) for value in values]
        if all(labels) and len(set(labels)) == len(labels):
            return _from_networkx(
                name_of_file(path), graph, labels, (f"Nodes are named by their {attribute!r}.",)
            )
    labels = [unicodedata.normalize("NFC", str(node)) for node in graph.nodes]
    return _from_networkx(name_of_file(path), graph, labels)


def _first_line(error: Exception) -> str:
    """What an exception says, on one line and in brackets' length."""
    return " ".join(str(error).split())[:120] or type(error).__name__
