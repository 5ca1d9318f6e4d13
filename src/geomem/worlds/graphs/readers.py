"""Graphs of the user's own: edge lists and graph files of many kinds, and graph objects of other libraries.

Nodes get their ids in numeric order if every label is a whole number, else in order of first appearance, so
that row i of an embedding matrix belongs to the label that a person expects.
"""

import io
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geomem.errors import InputError
from geomem.worlds.columns import Columns, FileLayout, describe_columns, read_columns
from geomem.worlds.facts.triple_files import is_ntriples
from geomem.worlds.graphs import formats as formats
from geomem.worlds.graphs import neighbour_lists as neighbours
from geomem.worlds.graphs.columns import choose_ends, known_ends, known_header, rows_of_relation
from geomem.worlds.graphs.end_labels import check_ends, doubt_ends
from geomem.worlds.graphs.graph import Graph, check_size, simple_graph
from geomem.worlds.graphs.json import (
    FIELDS,
    json_lines,
    json_table,
    parse_json,
    read_json,
    table_of_cells,
    tell_apart,
)
from geomem.worlds.graphs.labelled_edges import end_labels, graph_of_labels, labels_of, once_each, say_reading
from geomem.worlds.graphs.matrices import read_matrix
from geomem.worlds.graphs.roots import root_at
from geomem.worlds.objects import frame_columns, tuple_columns
from geomem.worlds.text_file import clean_label, kind_of_file, name_of_file, read_text

PARSERS = {
    ".adjlist": neighbours.parse_neighbours,
    ".sif": formats.parse_sif,
    ".tgf": formats.parse_tgf,
    ".metis": formats.parse_metis,
    ".net": formats.parse_pajek,
    ".paj": formats.parse_pajek,
    ".mtx": formats.parse_matrix_market,
    ".nt": formats.parse_n_triples,
    ".nq": formats.parse_n_triples,
    ".multiline_adjlist": neighbours.parse_multiline_neighbours,
}
"""What reads a file of an ending, beside those of networkx, JSON, and columns under any other."""

NOT_READ = {
    ".dot": "DOT",
    ".gv": "DOT",
    ".gdf": "GDF",
    ".lgl": "LGL",
    ".g6": "graph6",
    ".s6": "sparse6",
    ".ttl": "Turtle",
    ".rdf": "RDF/XML",
    ".owl": "OWL",
    ".xgmml": "XGMML",
    ".cx": "CX",
    ".cx2": "CX2",
    ".yaml": "YAML",
    ".yml": "YAML",
    ".xlsx": "a spreadsheet",
    ".ods": "a spreadsheet",
    ".parquet": "Parquet",
}
"""Endings of formats that are refused by their names."""

_FIRST_WORDS = (("%%matrixmarket", ".mtx"), ("*vertices", ".net"), ("nodedef>", ".gdf"), ("@prefix", ".ttl"))
_CONTENT = "both ends of an edge on every line"
_NETWORKX = {".graphml": "GraphML", ".gml": "GML", ".gexf": "GEXF"}


def read_graph(
    path: str | os.PathLike[str],
    *,
    columns: str | Sequence[str | int] | None = None,
    header: bool | None = None,
    separator: str | None = None,
    comment: str | None = None,
    relation: str | None = None,
    root: str | None = None,
) -> Graph:
    """Graph of a file: an edge list in columns, or a graph file known by its ending or its first words.

    Read are GraphML, GML, GEXF, Pajek, Matrix Market, node-link JSON, JSON lines, SIF, N-Triples, TGF, METIS,
    lists of neighbours (`.adjlist`), square matrices of numbers, and columns of text; each also packed by
    gzip. Of columns this is found out, or said:

    - `separator`: what splits all lines into equally many columns; quotes and brackets protect.
    - `comment`: what starts lines that are left out, or `none`; else `#`, `%`, `//` do before the data or on
      lines of another shape.
    - `header`: whether the first line names the columns: known names, or no number above numbers.
    - `columns`: the two ends of an edge, by name or by number from 1; else those that are named as ends, the
      only two of text, or the first two of numbers. Weights are left out; a column of names is not: the file
      is refused with the ways out.
    - `relation`: of triples, the relation whose edges are meant, or `all`.

    Labels lose blanks at their ends and are brought into Unicode's form NFC. Numbers that are equal are one
    node. Repeated edges are merged and self-loops dropped. `root` names the root of a path-star or tree-star.
    The graph's `notes` say first what was understood, then what else was decided.
    Raises `InputError` for a file that cannot be read as a graph, or can be in two ways.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "trip.csv"
    ...     _ = file.write_text("from,to,km\\nRome,Paris,1106\\nParis,Berlin,878\\n")
    ...     graph = read_graph(file)
    >>> graph.labels, graph.edges.tolist()
    (('Rome', 'Paris', 'Berlin'), [[0, 1], [1, 2]])
    >>> for note in graph.notes:
    ...     print(note)
    3 nodes, 2 edges from columns 1 and 2 ("from", "to"), separator comma, header yes; first edge Rome – Paris
    Column "km" (first value 1106) was left out, as weights are.
    """
    path = Path(path)
    layout = FileLayout(columns=columns, header=header, separator=separator, comment=comment)
    text = read_text(path, "one edge per line")
    graph = _read_text(path, text, layout, relation)
    return graph if root is None else root_at(graph, root)


def _read_text(path: Path, text: str, layout: FileLayout, relation: str | None) -> Graph:
    said = layout != FileLayout()
    kind = "" if layout.separator else _format_of(path, text)
    if kind in NOT_READ:
        raise InputError(
            f"{path} is {NOT_READ[kind]}, which is not read; write GraphML, or one edge per line."
        )
    if kind in (".jsonl", ".ndjson"):
        return _from_table(path, json_lines(path, text), layout, relation)
    if kind == "" or (said and kind == ".sif"):
        return _read_table(path, text, layout, relation)
    if said:
        raise InputError(
            f"{path} was taken for {kind.removeprefix('.')}, which has no columns; leave out what was said "
            "of them, or name the --separator too."
        )
    if kind == ".json":
        value = read_json(path, text)
        table = json_table(path, value)
        return (
            _from_table(path, table, layout, relation)
            if table
            else _from_parsed(path, parse_json(path, value), relation)
        )
    if kind in PARSERS:
        return _from_parsed(path, PARSERS[kind](path, text), relation)
    if relation is not None:
        raise InputError(f"{path} has no column of relations; leave --relation out.")
    return _read_networkx(path, text, kind)


def graph_from(
    value: Any,
    *,
    name: str = "graph",
    columns: str | Sequence[str | int] | None = None,
    relation: str | None = None,
    root: str | None = None,
) -> Graph:
    """Graph of another library's object, of a path, or of a list of pairs; a `Graph` is returned as it is.

    - networkx and igraph graphs: nodes in their order, labels as `str(node)`; forward as its edges are.
    - scipy sparse matrices and arrays: an edge from row to column wherever the adjacency matrix is not zero.
    - pandas and polars data frames: the columns that `read_graph` would take.
    - NumPy arrays [edge, 2] and iterables of pairs: labels as `str(end)`.

    `columns` and `relation` are those of `read_graph`, for paths and data frames; so is `root`.
    Raises `InputError` for anything else, and as `read_graph` does.

    >>> graph_from([("a", "b"), ("b", "c"), ("b", "a")]).edges.tolist()
    [[0, 1], [1, 2]]
    """
    if isinstance(value, str | os.PathLike):
        return read_graph(value, columns=columns, relation=relation, root=root)
    frame = frame_columns(value)
    if not frame and (columns is not None or relation is not None):
        raise InputError("columns and relation are of files and data frames; leave them out.")
    graph = _from_frame(name, *frame, columns, relation) if frame else _from_object(name, value)
    return graph if root is None else root_at(graph, root)


def _from_object(name: str, value: Any) -> Graph:
    if isinstance(value, Graph):
        return value
    if "networkx" in sys.modules and isinstance(value, sys.modules["networkx"].Graph):
        return _from_networkx(name, value)
    if hasattr(value, "get_edgelist") and hasattr(value, "vs"):  # igraph
        named = "name" in value.vs.attributes()
        labels = [str(label) for label in (value.vs["name"] if named else range(value.vcount()))]
        return simple_graph(name, labels, np.array(value.get_edgelist(), dtype=np.int64).reshape(-1, 2))
    if "scipy.sparse" in sys.modules and sys.modules["scipy.sparse"].issparse(value):
        return _from_adjacency(name, value)
    if not isinstance(value, Iterable):
        raise InputError(
            f"A {type(value).__name__} is not a graph; give a networkx graph, a scipy sparse matrix, a "
            "pandas or polars data frame, an array [edge, 2], or a list of pairs."
        )
    tails, heads = tuple_columns(
        value,
        2,
        noun="edges",
        array_advice="give edges as [edge, 2], or an adjacency matrix as scipy.sparse.coo_array",
        advice="give pairs of two nodes",
    )
    return graph_of_labels(name, labels_of(name, tails), labels_of(name, heads))


def _format_of(path: Path, text: str) -> str:
    """The ending that a file should have by its ending and its first words; nothing for columns of text."""
    kind, start = kind_of_file(path), text[:2000].lstrip().casefold()
    if kind in ("", ".adjlist", ".txt", ".edgelist") and neighbours.is_multiline(text):
        return ".multiline_adjlist"
    if kind in (*_NETWORKX, *PARSERS, *NOT_READ, ".json", ".jsonl", ".ndjson"):
        return kind
    for words, known in _FIRST_WORDS:
        if start.startswith(words):
            return known
    if start.startswith("<"):
        for words, known in (("<graphml", ".graphml"), ("<gexf", ".gexf"), ("<rdf:", ".rdf")):
            if words in start:
                return known
    if re.match(r"(strict\s+)?(di)?graph\b[^\[\n]*\{", start):
        return ".dot"
    if re.match(r"(creator\s[^\n]*\n\s*)?graph\s*\[", start):
        return ".gml"
    if re.match(r'\{\s*"[^"]*"\s*:', start) or re.match(r"\[\s*[\[{]", start):
        first, _, second = text.lstrip().partition("\n")
        return ".jsonl" if first.rstrip().endswith("}") and second.lstrip().startswith("{") else ".json"
    if is_ntriples(text):
        return ".nt"
    if formats.is_tgf(text):
        return ".tgf"
    if formats.says_its_size(text) and (kind == ".graph" or formats.is_ragged(text)):
        return ".metis"
    if formats.is_metis(text):
        raise InputError(
            f"{path} can be METIS, with the neighbours of node i on line i + 1 (name it .metis), or an edge "
            "list (say --separator blank); say which it is."
        )
    return ""


def _read_table(path: Path, text: str, layout: FileLayout, relation: str | None) -> Graph:
    try:
        table = read_columns(path, text, layout, content=_CONTENT, known=known_header(path, layout))
    except InputError:
        if layout != FileLayout() or not neighbours.may_be_neighbours(text):
            raise
        raise InputError(
            f"{path} has lines as a list of neighbours has; name it .adjlist if it is one, or give both ends "
            "of an edge on every line and say with --separator what stands between them."
        ) from None
    if layout.columns is None and relation is None and (matrix := read_matrix(table)):
        labels, tails, heads = matrix
        graph = simple_graph(name_of_file(path), labels, once_each(np.stack([tails, heads], axis=1)))
        shape = f"a matrix of {len(labels):,} rows and columns, separator {table.separator.name}"
        return say_reading(graph, f"{shape} (--columns 1,2 for an edge list)")
    return _from_table(path, table, layout, relation)


def _from_table(path: Path, table: Columns, layout: FileLayout, relation: str | None) -> Graph:
    triples = kind_of_file(path) == ".sif"
    ends, notes = choose_ends(table, layout, relation=relation, triples=triples)
    rows, of_relation = rows_of_relation(table, ends, relation)
    source = describe_columns(table, (ends.tail, ends.head))
    if table.separator is FIELDS:
        source = f"JSON, fields {table.name(ends.tail)} and {table.name(ends.head)}"

    def where(row: int) -> str:
        return f"Line {table.numbers[row if rows is None else rows[row]]} of {path}"

    tails, heads = (
        end_labels(cells if rows is None else [cells[row] for row in rows], where)
        for cells in (table.cells[ends.tail], table.cells[ends.head])
    )
    check_ends(table, ends, tails, heads, where)
    if layout.columns is None and layout.separator is None:
        notes += doubt_ends(table, ends, tails, heads, where)
    graph = graph_of_labels(name_of_file(path), tails, heads, notes=notes)
    if len(tails) > 2 and graph.node_count == 2 * len(tails):
        apart = "No node is on two lines: give the table of edges if this is one of nodes."
        graph = replace(graph, notes=(apart, *graph.notes))
    return say_reading(graph, f"{source}, {of_relation}" if of_relation else source)


def _from_parsed(path: Path, parsed: formats.ParsedGraph, relation: str | None) -> Graph:
    tails, heads, alone, source = parsed.tails, parsed.heads, parsed.alone, parsed.format
    if relation is not None and parsed.relations is None:
        raise InputError(f"{path} is {parsed.format}, which has no relations; leave --relation out.")
    if parsed.relations is not None:
        table = table_of_cells(path, (tails, parsed.relations, heads), ("source", "relation", "target"))
        ends, _ = choose_ends(table, FileLayout(), relation=relation, triples=True)
        rows, of_relation = rows_of_relation(table, ends, relation)
        source += f", {of_relation}"
        if rows is not None:
            tails, heads, alone = [tails[row] for row in rows], [heads[row] for row in rows], []
    tails, heads = (end_labels(side, lambda row: f"Edge {row + 1} of {path}") for side in (tails, heads))
    alone = end_labels(alone, lambda row: f"Node {row + 1} of {path}")
    name = name_of_file(path)
    check_size(name, len(alone), len(tails))
    graph = graph_of_labels(name, tails, heads, notes=parsed.notes, alone=alone, undirected=parsed.undirected)
    return say_reading(graph, source)


def _from_frame(name: str, names: list[str], cells: list[list[Any]], columns: Any, relation: Any) -> Graph:
    if len(names) < 2:
        raise InputError(f"The data frame {name!r} has {len(names)} column; give the two ends of an edge.")
    if not cells[0]:
        raise InputError(f"The data frame {name!r} has no row; give one per edge.")
    texts = [[str(cell) for cell in column] for column in cells]
    table = table_of_cells(Path(name), texts, names if known_ends(names) or columns else None)
    ends, notes = choose_ends(table, FileLayout(columns=columns), relation=relation, triples=False)
    rows, _ = rows_of_relation(table, ends, relation)
    tails, heads = (
        labels_of(name, cells[end] if rows is None else [cells[end][row] for row in rows])
        for end in (ends.tail, ends.head)
    )
    graph = graph_of_labels(name, tails, heads, notes=notes)
    return say_reading(graph, f"the columns {names[ends.tail]!r} and {names[ends.head]!r} of a data frame")


def _from_adjacency(name: str, matrix: Any) -> Graph:
    """The graph of a square sparse adjacency matrix; labels are the row numbers."""
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"The adjacency matrix has shape {matrix.shape}; give a square one.")
    check_size(name, matrix.shape[0], (matrix.nnz + 1) // 2)
    coordinates = matrix.tocsr().tocoo()  # entries given in parts are summed on the way
    if np.isnan(coordinates.data).any():
        raise InputError("The adjacency matrix has a NaN; give zero where there is no edge.")
    kept = coordinates.data != 0
    pairs = np.stack([coordinates.row[kept], coordinates.col[kept]], axis=1).astype(np.int64)
    labels = [str(row) for row in range(coordinates.shape[0])]
    return simple_graph(name, labels, once_each(pairs))


def _from_networkx(
    name: str, graph: Any, labels: list[str] | None = None, notes: Sequence[str] = ()
) -> Graph:
    """The graph of a networkx graph, whose nodes keep their order."""
    check_size(name, graph.number_of_nodes(), graph.number_of_edges())
    node = {label: number for number, label in enumerate(graph.nodes)}
    pairs = np.array([(node[tail], node[head]) for tail, head in graph.edges()], dtype=np.int64)
    if labels is None:
        whole = [int(n) if isinstance(n, float) and n.is_integer() else n for n in node]
        labels = [str(label) for label in whole]
    return simple_graph(name, labels, pairs.reshape(-1, 2), notes=notes)


def _read_networkx(path: Path, text: str, kind: str) -> Graph:
    import networkx

    # Entities of one kilobyte can unfold to gigabytes; graph files have no use for them.
    if kind != ".gml" and re.search(r"<!\s*(doctype|entity)", text, re.IGNORECASE):
        raise InputError(f"{path} has a document type or entities, which are not read; leave them out.")
    if kind != ".gml" and len(re.findall(r"<([a-z]+:)?graph[\s>]", text)) > 1:
        raise InputError(f"{path} holds several graphs or groups; write one graph without groups.")
    try:
        with warnings.catch_warnings(action="ignore"):  # on parts of a file that are no nodes or edges
            if kind == ".gml":
                graph = networkx.parse_gml(_as_multigraph(text), label="id")
            elif kind == ".gexf":
                first, *others = re.sub(r"^\s*<\?xml[^>]*\?>", "", text).split("<spells>")
                plain = first + "".join(part.partition("</spells>")[2] for part in others)
                graph = networkx.read_gexf(io.BytesIO(plain.encode()))
            else:
                graph = networkx.parse_graphml(text)
    except Exception as error:  # networkx lets whatever its parser stumbles over through
        raise InputError(
            f"{path} is no {_NETWORKX[kind]} that networkx can read ({formats.first_line(error)}); check it."
        ) from error
    nodes = [data for _, data in graph.nodes(data=True)]
    ids = [unicodedata.normalize("NFC", str(node)) for node in graph.nodes]
    labels = tell_apart(nodes, ids)
    by_label = [clean_label(str(data.get("label", ""))) for data in nodes]
    attribute = "label" if labels == by_label else "name"
    notes = () if labels == ids else (f"Nodes are named by their {attribute!r}.",)
    labels = end_labels(labels, lambda row: f"Node {row + 1} of {path}")
    return say_reading(_from_networkx(name_of_file(path), graph, labels, notes), _NETWORKX[kind])


def _as_multigraph(text: str) -> str:
    """GML that may repeat an edge: networkx refuses that unless the file says so itself."""
    if re.search(r"\bmultigraph\s+1\b", text):
        return text
    return re.sub(r"\bgraph(\s*)\[", r"graph\1[ multigraph 1 ", text, count=1)
