"""Graph files that are no table: TGF, METIS, SIF, Pajek, Matrix Market, N-Triples.

Every reader takes the path, for sentences, and the whole text, and gives a `ParsedGraph`.
"""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from geomem.errors import InputError
from geomem.worlds.facts.triple_files import statements, unescape
from geomem.worlds.graphs.columns import known_triple
from geomem.worlds.graphs.graph import MAXIMUM_NODES
from geomem.worlds.separators import BLANK, MARKS, TAB, MisplacedQuoteError, Separator, split_line
from geomem.worlds.text_file import show_label


@dataclass(frozen=True)
class ParsedGraph:
    """The edges that a file holds, by the labels of their ends."""

    format: str
    """Its name in a sentence."""
    tails: list[str]
    heads: list[str]
    relations: list[str] | None = None
    """What each edge is called, where the format has relations."""
    alone: list[str] = field(default_factory=list)
    """Nodes in the order of the file, where it lists them apart from their edges."""
    undirected: bool = False
    """Edges that are named from both of their ends have no direction of their own."""
    notes: tuple[str, ...] = ()


def is_ragged(text: str) -> bool:
    """Whether the lines of a text, apart from comments, hold different numbers of words.

    >>> is_ragged("1 2 3\\n2 3"), is_ragged("% a comment\\n1 2")
    (True, False)
    """
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith(("#", "%", "//"))]
    return len({len(line.split()) for line in lines}) > 1


def parse_sif(path: Path, text: str) -> ParsedGraph:
    """Simple interaction format: source, relation, one or several targets; a line with one cell is a node.

    >>> parse_sif(Path("a.sif"), "G1 pp G2 G3").heads
    ['G2', 'G3']
    """
    tails, heads, relations, alone, notes = [], [], [], [], ()
    lines = text.split("\n")
    split = line_splitter([line for line in lines if "\t" in line] or lines)
    for number, line in enumerate(lines, 1):
        if not (row := [cell for cell in split(line) if cell]):
            continue
        if not alone and len(row) == 3 and known_triple(row):
            notes = (f"Line {number} names the columns.",)
            continue
        if len(row) == 2:
            raise InputError(
                f"Line {number} of {path} has 2 columns; a line of SIF has a source, a relation and targets."
            )
        alone.append(row[0])
        for target in row[2:]:
            tails.append(row[0])
            relations.append(row[1])
            heads.append(target)
    return ParsedGraph("SIF", tails, heads, relations, alone, notes=notes)


def parse_tgf(path: Path, text: str) -> ParsedGraph:
    """Trivial graph format: lines of a node's id and label, a line with `#`, lines of two ids and a label.

    >>> parse_tgf(Path("a.tgf"), "1 Ada\\n2 Ben\\n#\\n1 2 knows").tails
    ['Ada']
    """
    lines = text.split("\n")
    names: dict[str, str] = {}
    edges: list[tuple[str, str]] = []
    inside = False
    for number, line in enumerate(lines, 1):
        cells = line.split(maxsplit=2 if inside else 1)
        if not cells:
            continue
        if cells == ["#"] and not inside:
            inside = True
        elif not inside:
            names[cells[0]] = " ".join(cells[1:]) or cells[0]
        elif len(cells) < 2 or cells[0] not in names or cells[1] not in names:
            raise InputError(f"Line {number} of {path} does not name two of the nodes above; mend it.")
        else:
            edges.append((cells[0], cells[1]))
    if not inside:
        raise InputError(f"{path} has no line with # between its nodes and its edges, as TGF has; add it.")
    return named_edges("TGF", names, edges)


def is_tgf(text: str) -> bool:
    """Whether a text reads as TGF: nodes, a line with `#` alone, edges between these nodes.

    >>> is_tgf("1 Ada\\n2 Ben\\n#\\n1 2"), is_tgf("# towns\\n#\\nRome Paris")
    (True, False)
    """
    nodes, _, edges = ("\n" + text).partition("\n#\n")
    if not edges.strip() or any(line.startswith(("#", "%")) for line in nodes.split("\n")):
        return False
    try:
        parse_tgf(Path("graph"), text)
    except InputError:
        return False
    return True


def parse_metis(path: Path, text: str) -> ParsedGraph:
    """METIS: a line with the numbers of nodes and edges, then on line i the neighbours of node i.

    >>> parse_metis(Path("a.graph"), "3 2\\n2\\n1 3\\n2").heads
    ['2', '1', '3', '2']
    """
    lines = [line.split() for line in text.rstrip("\n").split("\n") if not line.startswith("%")] or [[]]
    head, rows = lines[0], lines[1:]
    if not all(map(re.compile("[0-9]{1,18}").fullmatch, chain(*lines))) or len(head) < 2:
        raise InputError(f"{path} is not METIS, which holds whole numbers; name an edge list .tsv.")
    if len(head) > 2 and head[2].strip("0"):
        raise InputError(f"{path} is METIS with weights, which are not read; write it without them.")
    nodes, edges = int(head[0]), int(head[1])
    rows += [[]] * max(0, min(nodes, MAXIMUM_NODES) - len(rows))
    count = sum(map(len, rows))
    if len(rows) != nodes or count != 2 * edges:
        raise InputError(
            f"{path} is not METIS: its first line says {nodes:,} nodes and {edges:,} edges, but "
            f"{len(rows):,} lines with {count:,} neighbours follow; name the file .tsv if it is an edge list."
        )
    if any(not 1 <= int(cell) <= nodes for row in rows for cell in row):
        raise InputError(f"{path} names a node beyond the {nodes:,} of its first line; mend the METIS file.")
    tails = [str(number) for number, row in enumerate(rows, 1) for _ in row]
    heads = [str(int(cell)) for row in rows for cell in row]
    return ParsedGraph(
        "METIS", tails, heads, alone=[str(number) for number in range(1, nodes + 1)], undirected=True
    )


def says_its_size(text: str) -> bool:
    """Whether a text holds whole numbers alone and its first line says how many lines follow, as in METIS.

    >>> says_its_size("3 2\\n2\\n1 3\\n2"), says_its_size("1 2\\n2 3\\n3 4")
    (True, False)
    """
    first, *rest = [line for line in text.rstrip("\n").split("\n") if not line.startswith("%")] or [""]
    head = first.split()
    if (
        len(head) not in (2, 3)
        or not re.fullmatch("[0-9]{1,7}", head[0])
        or int(head[0]) != max(len(rest), 3)
    ):
        return False
    return re.fullmatch(r"[0-9 \t\n]*", "\n".join(rest)) is not None


def is_metis(text: str) -> bool:
    """Whether a text reads as METIS in every number, with each edge named by both of its ends.

    >>> is_metis("3 2\\n2\\n1 3\\n2"), is_metis("1 2\\n2 3")
    (True, False)
    """
    if not says_its_size(text):
        return False
    try:
        parsed = parse_metis(Path("graph"), text)
    except InputError:
        return False
    arcs = set(zip(parsed.tails, parsed.heads, strict=True))
    return len(arcs) == len(parsed.tails) and all((head, tail) in arcs for tail, head in arcs)


def parse_pajek(path: Path, text: str) -> ParsedGraph:
    """Pajek: `*Vertices` with ids and labels, then `*Arcs`, `*Edges`, their lists, or a `*Matrix`.

    >>> parse_pajek(Path("a.net"), '*Vertices 2\\n1 "Ada"\\n2 "Ben"\\n*Arcs :1 "knows"\\n1 2 1').heads
    ['Ben']
    """
    section, size, row, first_column = "", 0, 0, 1
    names: dict[str, str] = {}
    edges: list[tuple[str, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        content = line.strip()
        if not content or content.startswith("%"):
            continue
        cells = re.findall(r'"[^"]*"|\S+', content)
        if content.startswith("*"):
            section, row = cells[0].lower(), 0
            if section == "*vertices":
                if names or len(cells) < 2 or not re.fullmatch("[0-9]{1,9}", cells[1]):
                    raise InputError(f"Line {number} of {path} does not count the vertices; mend it.")
                if (size := int(cells[1])) > MAXIMUM_NODES:
                    raise InputError(f"{path} has {size:,} vertices; give at most {MAXIMUM_NODES:,}.")
                names = {str(place): str(place) for place in range(1, size + 1)}
                if len(cells) > 2 and re.fullmatch("[0-9]{1,9}", cells[2]):
                    first_column = int(cells[2]) + 1  # of two modes: rows are the first, columns the second
            elif section not in ("*network", "*arcs", "*edges", "*arcslist", "*edgeslist", "*matrix"):
                section = ""  # partitions and vectors of Pajek's projects say nothing on edges
            continue
        found: Iterable[tuple[str, str]] = ()
        if section == "*vertices" and len(cells) > 1:
            if cells[0] not in names:
                raise InputError(f"Line {number} of {path} names a vertex beyond the {size:,}; mend it.")
            names[cells[0]] = cells[1].strip('"') or cells[0]
        elif section in ("*arcs", "*edges"):
            found = [(cells[0], cells[1] if len(cells) > 1 else "")]
        elif section in ("*arcslist", "*edgeslist"):
            found = [(cells[0].lstrip("-"), cell.lstrip("-")) for cell in cells[1:]]
        elif section == "*matrix":
            row += 1
            found = [
                (str(row), str(column)) for column, cell in enumerate(cells, first_column) if cell.strip("0.")
            ]
        for pair in found:
            if pair[0] not in names or pair[1] not in names:
                raise InputError(f"Line {number} of {path} does not name two of its vertices; mend the file.")
            edges.append(pair)
    if not names:
        raise InputError(f"{path} has no line *Vertices, as Pajek has; name it .txt if it is an edge list.")
    return named_edges("Pajek", names, edges, undirected=section == "*matrix")


def parse_matrix_market(path: Path, text: str) -> ParsedGraph:
    """Matrix Market: an edge from row to column wherever the square matrix is not zero; nodes from 1.

    >>> content = "%%MatrixMarket matrix coordinate pattern general\\n2 2 1\\n1 2\\n"
    >>> parse_matrix_market(Path("a.mtx"), content).heads
    ['2']
    """
    lines = text.split("\n")
    words = lines[0].lower().split()
    size = next((line.split() for line in lines[1:] if line.strip() and not line.startswith("%")), [])
    if len(words) != 5 or not all(re.fullmatch("[0-9]{1,9}", cell) for cell in size) or len(size) < 2:
        raise InputError(f"{path} has no complete heading of Matrix Market; write it with scipy.io.mmwrite.")
    rows, columns = int(size[0]), int(size[1])
    entries = int(size[2]) if len(size) > 2 else rows * columns // (1 if words[4] == "general" else 2)
    if rows != columns or rows > MAXIMUM_NODES:
        raise InputError(
            f"The matrix of {path} has {rows:,} rows and {columns:,} columns; give a square one."
        )
    if entries > len(lines) + rows or words[3] == "complex":
        raise InputError(f"{path} has fewer entries than it says, or complex ones; give an adjacency matrix.")
    from scipy import io as scipy_io
    from scipy import sparse

    try:
        matrix = sparse.coo_array(scipy_io.mmread(io.BytesIO(text.encode())))
    except Exception as error:  # scipy lets whatever its parser stumbles over through
        raise InputError(
            f"{path} cannot be read as Matrix Market ({first_line(error)}); check it."
        ) from error
    kept = matrix.data != 0
    return _of_numbers("Matrix Market", matrix.row[kept], matrix.col[kept], rows)


def _of_numbers(format: str, tails: np.ndarray, heads: np.ndarray, nodes: int) -> ParsedGraph:
    labels = [str(number) for number in range(1, nodes + 1)]
    ends = [[labels[place] for place in side.tolist()] for side in (tails, heads)]
    return ParsedGraph(format, *ends, alone=labels, undirected=True)


def parse_n_triples(path: Path, text: str) -> ParsedGraph:
    """N-Triples and N-Quads: subject, predicate and object as IRIs; statements about texts are left out.

    Nodes are named by the last piece of their IRI where that tells all of them apart, else by the whole.

    >>> parse_n_triples(Path("a.nt"), "<http://x.org/Alda> <http://x.org/by> <http://x.org/Bruna> .").heads
    ['Bruna']
    """
    whole = [terms for _, terms, _ in statements(path, text)]
    edges = [[unescape(term.strip("<>")) for term in terms] for terms in whole if terms[2][0] != '"']
    tails, relations, heads = zip(*edges, strict=True) if edges else ((), (), ())
    texts = len(whole) - len(edges)
    if not tails:
        raise InputError(f"{path} has no statement whose object is a node; give edges between IRIs.")
    notes = [f"{texts:,} statements about a text or number were left out."] if texts else []
    nodes = _short_names(dict.fromkeys([*tails, *heads]))
    kinds = _short_names(dict.fromkeys(relations))
    short = sum(name != iri for iri, name in nodes.items())
    notes.append(
        "Nodes are named by the last piece of their IRI."
        if short
        else "Nodes are named by their whole IRI, as its last piece does not tell them apart."
    )
    return ParsedGraph(
        "N-Triples",
        [nodes[iri] for iri in tails],
        [nodes[iri] for iri in heads],
        [kinds[iri] for iri in relations],
        notes=tuple(notes),
    )


def _short_names(iris: Iterable[str]) -> dict[str, str]:
    whole = list(iris)
    short = [re.split(r"[/#]", iri.rstrip("/#"))[-1] or iri for iri in whole]
    return dict(zip(whole, short if len(set(short)) == len(whole) else whole, strict=True))


def named_edges(
    format: str, names: dict[str, str], edges: Sequence[tuple[str, str]], *, undirected: bool = False
) -> ParsedGraph:
    """The graph of edges given by ids, with the nodes' labels if these tell all apart.

    >>> named_edges("TGF", {"1": "Ada", "2": "Ben"}, [("1", "2")]).tails
    ['Ada']
    """
    notes: tuple[str, ...] = ()
    if len(set(names.values())) < len(names):
        names = {key: key for key in names}
        notes = ("Nodes are named by their ids, as two have the same label.",)
    ends = [names[tail] for tail, _ in edges], [names[head] for _, head in edges]
    return ParsedGraph(format, *ends, alone=list(names.values()), undirected=undirected, notes=notes)


def first_line(error: Exception) -> str:
    """What an exception says, on one line and in brackets' length, with escapes for what does not print.

    >>> first_line(ValueError("wrong\\nthing"))
    'wrong thing'
    """
    return show_label(" ".join(str(error).split()), 120) or type(error).__name__


def line_splitter(lines: Sequence[str]) -> Callable[[str], list[str]]:
    """How lines of several widths split: at tabs if there are any, else at other marks, else at blanks.

    >>> line_splitter(["a,b", "c"])("d,e,f")
    ['d', 'e', 'f']
    """
    for separator in (TAB, *MARKS):
        if any(separator.text in line and len(_cells(line, separator)) > 1 for line in lines):
            return lambda line: _cells(line, separator)
    return lambda line: _cells(line, BLANK)


def _cells(line: str, separator: Separator) -> list[str]:
    try:
        return split_line(line, separator)
    except MisplacedQuoteError:
        raise InputError(
            f"The line {show_label(line)} has a double quote out of place; double the quotes inside a label."
        ) from None
