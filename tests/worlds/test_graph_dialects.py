"""A known graph written in every dialect is the graph that is read, or it is refused: never another graph."""

import csv
import gzip
import io
import json

import networkx
import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import io as scipy_io
from scipy import sparse

from geomem.errors import InputError
from geomem.worlds.graphs.readers import graph_from, read_graph

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)

WORDS = st.from_regex(r"[A-Z][a-z]{1,5}( [A-Z][a-z]{1,3})?", fullmatch=True)
HASHTAGS = WORDS.map(lambda word: "#" + word)
CODES = st.from_regex(r"[A-Z]{2}[0-9]{0,2}", fullmatch=True)
TUPLES = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(str)
NUMBERS = st.integers(0, 60).map(str)
HEADERS = [
    None,
    ("source", "target"),
    ("From Node", "To Node"),
    ("StateCode", "NeighborStateCode"),
    ("region_code", "border_code"),
    ("x_id", "y_id"),
    ("protein1", "protein2"),
    ("ego", "alter"),
]
SEPARATORS = ["\t", ",", ";", "|", " ", " -> ", "=>", " - ", "="]


@st.composite
def graphs(draw, labels=None):
    """Edges of a graph with at least three edges and a node on two of them; each edge once, no self-loops."""
    kind = draw(st.sampled_from([WORDS, HASHTAGS, CODES, TUPLES, NUMBERS])) if labels is None else labels
    names = draw(st.lists(kind, min_size=4, max_size=9, unique_by=lambda name: name.casefold()))
    ids = st.integers(0, len(names) - 1)
    pairs = draw(
        st.lists(
            st.tuples(ids, ids).filter(lambda p: p[0] != p[1]), min_size=3, max_size=14, unique_by=frozenset
        )
    )
    return [(names[one], names[other]) for one, other in pairs]


def named(graph):
    return [(graph.labels[tail], graph.labels[head]) for tail, head in graph.edges.tolist()]


@SHARED
@given(
    edges=graphs(),
    separator=st.sampled_from(SEPARATORS),
    header=st.sampled_from(HEADERS),
    comments=st.sampled_from(["", "# Nodes: 5 Edges: 4\n", "% sym unweighted\n% 3 4 4\n", "// by hand\n\n"]),
    quote=st.booleans(),
    weights=st.sampled_from(["none", "decimal", "whole", "comma", "date", "dictionary"]),
    index=st.booleans(),
    floats=st.booleans(),
    coding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    packed=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_columns(
    tmp_path, edges, separator, header, comments, quote, weights, index, floats, coding, packed, line_end
):
    """What a data frame or a person with an editor would write, in any mixture of habits."""
    rows = [list(edge) for edge in edges]
    if floats and all(cell.isdigit() for row in rows for cell in row):
        rows = [[f"{cell}.0" for cell in row] for row in rows]
    names = list(header) if header else None
    further = {
        "none": lambda n: [],
        "decimal": lambda n: [f"{n}.25"],
        "whole": lambda n: ["1"],
        "comma": lambda n: [f"{n},25"],
        "date": lambda n: [f"2020-01-{n + 1:02}"],
        "dictionary": lambda n: ["{'weight': 1, 'kind': 'friend'}"],
    }[weights]
    arrow = separator.strip() in ("->", "=>", "-", "=")
    if not arrow:
        rows = [row + further(number) for number, row in enumerate(rows)]
        names = names and names + ["km"] * len(further(0))
        if index:
            rows = [[str(number), *row] for number, row in enumerate(rows)]
            names = names and ["", *names]
    # A star about a node 1 beside an index cannot be told from edges that all weigh 1.
    assume(not (index and not names and all(row[-1].split(".")[0] == "1" for row in rows)))
    table = ([names] if names else []) + rows
    # Whoever writes labels with the separator inside must quote them: so do the writers of all tools.
    text = io.StringIO()
    if len(separator) == 1:
        bare = any(separator in cell or "," in cell for row in table for cell in row)
        quoting = csv.QUOTE_ALL if quote or bare or "" in table[0] else csv.QUOTE_MINIMAL
        csv.writer(text, delimiter=separator, lineterminator="\n", quoting=quoting).writerows(table)
    else:
        text.write("".join(separator.join(row) + "\n" for row in table))
    data = (comments + text.getvalue()).replace("\n", line_end).encode(coding)
    path = tmp_path / ("edges.txt.gz" if packed else "edges.txt")
    path.write_bytes(gzip.compress(data) if packed else data)
    try:
        graph = read_graph(path)
    except InputError as error:
        ways_out = [
            way in str(error) for way in ("--columns", "--separator", "--comment", "name it", ".metis")
        ]
        if not any(ways_out):
            raise
        return
    if named(graph) != edges:
        # Only a header of words that are not known may be taken for an edge, and that is said.
        assert header is not None
        assert named(graph)[1:] == edges
        assert "no header found" in graph.notes[0]
    assert ("header yes" in graph.notes[0]) == (bool(header) and named(graph) == edges)


@SHARED
@given(edges=graphs(), header=st.sampled_from(HEADERS), separator=st.sampled_from(SEPARATORS[:5]))
def test_what_is_said_is_done(tmp_path, edges, header, separator):
    """With every option said, nothing is left to guess: the graph is the one meant, whatever its labels."""
    rows = [[f"{number}", "x", tail, "y z", head] for number, (tail, head) in enumerate(edges)]
    names = [["a", "b", "c", "d", "e"]] if header is None else [["a", "b", header[0], "d", header[1]]]
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(names + rows)
    (tmp_path / "edges").write_text(text.getvalue())
    said = {"separator": separator, "comment": "none", "header": True}
    assert named(read_graph(tmp_path / "edges", columns=(3, 5), **said)) == edges
    assert named(read_graph(tmp_path / "edges", columns=(names[0][2], names[0][4]), **said)) == edges


@SHARED
@given(edges=graphs(labels=WORDS | CODES), directed=st.booleans(), packed=st.booleans(), data=st.data())
def test_formats(tmp_path, edges, directed, packed, data):
    """Files that networkx and scipy write are the graph that they were given, node names and all."""
    kinds = ["graphml", "gml", "gexf", "net", "json", "adjlist", "edgelist", "csv", "mtx"]
    kind = data.draw(st.sampled_from(kinds))
    graph = networkx.DiGraph(edges) if directed else networkx.Graph(edges)
    path = tmp_path / f"graph.{kind}"
    if kind in ("adjlist", "edgelist"):
        write = networkx.write_adjlist if kind == "adjlist" else networkx.write_weighted_edgelist
        networkx.set_edge_attributes(graph, 1.5, "weight")
        write(graph, path, delimiter="\t")
    elif kind == "net":
        networkx.write_pajek(graph, path)
    elif kind == "json":
        path.write_text(json.dumps(networkx.node_link_data(graph)))
    elif kind == "csv":
        networkx.to_pandas_adjacency(graph, dtype=int).to_csv(path)
    elif kind == "mtx":
        scipy_io.mmwrite(path, sparse.coo_array(networkx.to_scipy_sparse_array(graph)))
    else:
        getattr(networkx, f"write_{kind}")(graph, path)
    if packed:
        path = tmp_path / f"graph.{kind}.gz"
        path.write_bytes(gzip.compress((tmp_path / f"graph.{kind}").read_bytes()))
    expected = {frozenset(edge) for edge in edges}
    if kind == "csv" and graph.number_of_nodes() < 3:
        return
    found = read_graph(path)
    pairs = named(found)
    if kind == "mtx":
        nodes = list(graph)
        pairs = [(nodes[int(tail) - 1], nodes[int(head) - 1]) for tail, head in pairs]
    assert {frozenset(pair) for pair in pairs} == expected
    if directed:
        assert set(pairs) == set(edges)
    assert not len(found.mutual)


@SHARED
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30))
def test_neighbours_in_metis_and_by_name(tmp_path, pairs):
    graph = networkx.Graph([pair for pair in pairs if pair[0] != pair[1]])
    graph.add_nodes_from(range(1, 10))
    if not graph.number_of_edges():
        return
    lines = [" ".join(map(str, sorted(graph[node]))) for node in range(1, 10)]
    (tmp_path / "graph.metis").write_text("\n".join([f"9 {graph.number_of_edges()}", *lines]) + "\n")
    found = read_graph(tmp_path / "graph.metis")
    assert {frozenset(map(int, pair)) for pair in named(found)} == {frozenset(edge) for edge in graph.edges}
    assert found.node_count == 9
    assert not len(found.mutual)


@SHARED
@given(
    st.lists(st.tuples(WORDS, st.sampled_from(["likes", "knows", "is near"]), WORDS), min_size=2, max_size=12)
)
def test_triples(tmp_path, triples):
    """Subject and relation are never an edge: the relation has to be said, or the file named SIF."""
    triples = [triple for triple in dict.fromkeys(triples) if triple[0] != triple[2]]
    relations = {relation for _, relation, _ in triples}
    if len(relations) < 2:
        return
    text = "".join("\t".join(triple) + "\n" for triple in triples)
    (tmp_path / "triples.tsv").write_text(text)
    (tmp_path / "triples.sif").write_text(text)
    with pytest.raises(InputError, match="--relation NAME"):
        read_graph(tmp_path / "triples.tsv")
    for relation in ("all", *relations):
        meant = [(s, o) for s, r, o in triples if relation in ("all", r)]
        graph = read_graph(tmp_path / "triples.tsv", relation=relation)
        assert set(named(graph)) <= set(meant)
        assert {frozenset(pair) for pair in named(graph)} == {frozenset(pair) for pair in meant}
        assert set(named(read_graph(tmp_path / "triples.sif", relation=relation))) == set(named(graph))
    assert set(named(read_graph(tmp_path / "triples.sif"))) == set(
        named(read_graph(tmp_path / "triples.tsv", relation="all"))
    )


@given(edges=graphs(labels=NUMBERS))
@settings(deadline=None, max_examples=30)
def test_a_data_frame_reads_as_its_file(tmp_path_factory, edges):
    frame = pandas.DataFrame(np.array(edges, dtype=float), columns=["source", "target"])
    frame["km"] = 1.5
    path = tmp_path_factory.mktemp("frames") / "edges.csv"
    frame.to_csv(path)
    assert named(read_graph(path)) == named(graph_from(frame)) == edges


def test_a_bomb_of_zeros_is_refused(tmp_path, monkeypatch):
    from geomem.worlds import text_file

    monkeypatch.setattr(text_file, "MAXIMUM_FILE_BYTES", 10_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"a b\n" * 1_000_000))
    with pytest.raises(InputError, match="unpacks to more than 10,000 bytes"):
        read_graph(tmp_path / "bomb.gz")


def test_a_small_packed_file_is_not_unpacked_to_a_hundred_times_its_size(tmp_path, monkeypatch):
    from geomem.worlds import text_file

    monkeypatch.setattr(text_file, "FREELY_UNPACKED", 1000)
    (tmp_path / "a.gz").write_bytes(packed := gzip.compress(b"Rome\tBonn\n" * 100_000))
    with pytest.raises(
        InputError, match=f"unpacks to more than {100 * len(packed):,} bytes; give it unpacked"
    ):
        read_graph(tmp_path / "a.gz")


@pytest.mark.parametrize("lines", ["0 0 2\n1 0 3\n2 1 2\n", "0 1 3\n1 0 3\n2 2 4\n", "1 2 5\n2 1 6\n3 3 7\n"])
def test_an_index_beside_edges_of_two_kinds_of_nodes_is_not_an_end(tmp_path, lines):
    (tmp_path / "edges.txt").write_text(lines.replace(" ", "\t"))
    with pytest.raises(InputError, match="column 1 counts the lines; say which"):
        read_graph(tmp_path / "edges.txt")


def test_a_weighted_path_is_no_index_beside_edges(tmp_path):
    (tmp_path / "edges.txt").write_text("0\t1\t5\n1\t2\t6\n2\t3\t7\n")
    assert named(read_graph(tmp_path / "edges.txt")) == [("0", "1"), ("1", "2"), ("2", "3")]
