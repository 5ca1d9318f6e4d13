"""Readers: what was written is read back in every format, and all else is refused in one sentence."""

import csv
import io
import re
import time
import unicodedata
from pathlib import Path

import networkx
import numpy as np
import pandas
import polars
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from geomem.errors import InputError
from geomem.worlds import text_file
from geomem.worlds.graphs import graph as graph_module
from geomem.worlds.graphs.atlas import europe, read_table
from geomem.worlds.graphs.columns import known_ends
from geomem.worlds.graphs.families import erdos_renyi
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.graphs.readers import graph_from, read_graph

LABELS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6).map(
    lambda text: unicodedata.normalize("NFC", text)
)
# 1, +1 and 1. are one node: no number but whole ones, written without need of another way.
LABELS = LABELS.filter(lambda label: label.isdecimal() or not re.fullmatch("[0-9.eE+-]+", label))
EDGE_LISTS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=12, unique_by=frozenset).filter(
    lambda edges: all(one != other for one, other in edges)
)
KINDS = ["gexf", "net", "tgf", "sif", "nt", "mtx", "metis", "graph", "adjlist", "json", "jsonl", "tsv.gz"]
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(folder: Path, text: str | bytes, name: str = "edges.tsv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def named_edges(graph: Graph) -> list[tuple[str, str]]:
    return [(graph.labels[tail], graph.labels[head]) for tail, head in graph.edges]


def refusal(path_or_object) -> str:
    with pytest.raises(InputError) as error:
        graph_from(path_or_object)
    message = str(error.value)
    assert message.endswith(".")
    assert ". " not in message.replace(". ,", "")
    assert "\n" not in message
    return message


# What is written is read back


@SHARED
@given(
    edges=EDGE_LISTS,
    delimiter=st.sampled_from("\t,; "),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    comments=st.booleans(),
    header=st.booleans(),
    weights=st.booleans(),
)
def test_edge_lists_survive_a_file(tmp_path, edges, delimiter, line_end, mark, comments, header, weights):
    """Every label in quotes, so that separators and comment signs inside labels are kept."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    rows = [("source", "target"), *edges] if header else edges
    assume(header or known_ends(rows[0]) is None)
    assume(not header or not {"source", "target"} & {label for edge in edges for label in edge})
    numbers = [all(label.isdecimal() for label in edge) for edge in edges]
    assume(header or len(edges) == 1 or not all(numbers[1:]))
    for number, row in enumerate(rows):
        if comments:
            text.write(f"  # comment {number}{line_end}{line_end}% and // more{line_end}//{line_end}")
        writer.writerow([*row, number + 0.5] if weights else row)
    data = ("\ufeff" if mark else "") + text.getvalue()
    file = write(tmp_path, data, "edges.txt")
    try:
        graph = read_graph(file)
    except InputError:  # a label looks like several: the columns have to be named
        assert named_edges(read_graph(file, columns="1,2", header=header)) == edges
        return
    assert named_edges(graph) == edges
    assert ("header yes" in graph.notes[0]) == header
    assert any("weights" in note for note in graph.notes) == weights
    # A line that is no more than a mark is a comment of any shape.
    assert ("comment lines" in graph.notes[0]) == comments


@SHARED
@given(edges=EDGE_LISTS, kind=st.sampled_from(["graphml", "gml"]), directed=st.booleans())
def test_graph_files_of_networkx_survive(tmp_path, edges, kind, directed):
    original = networkx.DiGraph(edges) if directed else networkx.Graph(edges)
    path = tmp_path / f"graph.{kind}"
    getattr(networkx, f"write_{kind}")(original, path)
    graph = read_graph(path)
    found = named_edges(graph)
    if directed:
        assert set(found) == set(edges)
    assert {frozenset(edge) for edge in found} == {frozenset(edge) for edge in edges}


@given(EDGE_LISTS)
def test_objects_of_other_libraries_say_the_same(edges):
    frame = {"weight": range(len(edges)), "from": [e[0] for e in edges], "to": [e[1] for e in edges]}
    expected = graph_from(edges)
    assert named_edges(expected) == edges
    for value in (pandas.DataFrame(frame), polars.DataFrame(frame), np.array(edges), networkx.DiGraph(edges)):
        graph = graph_from(value)
        assert {*named_edges(graph)} == {*edges}
        assert {*graph.labels} == {*expected.labels}
    for value in (pandas.DataFrame(edges), polars.DataFrame(edges, orient="row"), iter(edges)):
        assert graph_from(value).digest == expected.digest
    assert graph_from(expected) is expected


@given(st.integers(2, 12), st.integers(0, 20))
def test_sparse_matrices(nodes, seed):
    oracle = networkx.fast_gnp_random_graph(nodes, 0.5, seed=seed)
    assume(oracle.number_of_edges())
    expected = {frozenset(edge) for edge in oracle.edges}
    adjacency = networkx.to_scipy_sparse_array(oracle, weight=None)
    for matrix in (
        adjacency,
        sparse.csc_matrix(adjacency),
        sparse.triu(adjacency).todok(),
        adjacency.tolil(),
    ):
        graph = graph_from(matrix)
        assert {frozenset(edge) for edge in graph.edges.tolist()} == expected
        assert graph.node_count == nodes
        assert not any("repeated" in note for note in graph.notes)


def test_sparse_entries_that_cancel_are_no_edge():
    matrix = sparse.coo_array(([1.0, -1.0, 2.0, 0.0], ([0, 0, 1, 0], [1, 1, 2, 2])), shape=(3, 3))
    assert graph_from(matrix).edges.tolist() == [[1, 2]]


# What an edge list may look like


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("a b\nb c\n", [("a", "b"), ("b", "c")]),
        ("  a   b  \n\tb  \t  c\nc d", [("a", "b"), ("b", "c"), ("c", "d")]),
        ("a\tb\t1.5\nb\tc\t2", [("a", "b"), ("b", "c")]),
        ("New York\tNew Jersey\nOhio\tIndiana\n", [("New York", "New Jersey"), ("Ohio", "Indiana")]),
        ("a, b\nb ,c\n", [("a", "b"), ("b", "c")]),
        ('"a, b";"say ""hi"""\nc;d', [("a, b", 'say "hi"'), ("c", "d")]),
        ('"#cats" "#dogs"\n', [("#cats", "#dogs")]),
        ("Αθήνα\tРим\nРим\t北京\n北京\tدمشق", [("Αθήνα", "Рим"), ("Рим", "北京"), ("北京", "دمشق")]),
        ("<b>x</b>\t&amp;\n&amp;\t<script>", [("<b>x</b>", "&amp;"), ("&amp;", "<script>")]),
        ("e\u0301 a\n\u00e9 b", [("\u00e9", "a"), ("\u00e9", "b")]),
        ("a\u2028b\tc\xa0d\nx\ty", [("a\u2028b", "c\xa0d"), ("x", "y")]),
        ("# 3 nodes\n% x\n// y\n\na b\n   # z\n", [("a", "b")]),
        # headers
        ("Source,Target,Weight\n1,2,3\n2,3,4", [("1", "2"), ("2", "3")]),
        ("id,from_node,to_node\n7,a,b\n8,b,c", [("a", "b"), ("b", "c")]),
        ("station_one station_two\n1 2\n2 3", [("1", "2"), ("2", "3")]),
        ("from to\nto from2\n", [("from", "to"), ("to", "from2")]),
        ("u v\nv w\n", [("u", "v"), ("v", "w")]),
        ("u v\n1 2\n", [("1", "2")]),
        ("a b\n1 c\n", [("a", "b"), ("1", "c")]),
        ("x 1\n1 2\n", [("x", "1"), ("1", "2")]),
        ("source target", [("source", "target")]),
    ],
)
def test_dialects(tmp_path, text, edges):
    assert named_edges(read_graph(write(tmp_path, text))) == edges


def test_one_odd_line_does_not_change_the_separator(tmp_path):
    assert "Line 3 of" in refusal(write(tmp_path, "a\tb\nc\td\ne f\ng\th\n"))


def test_a_missing_first_end_is_not_taken_from_the_next_column(tmp_path):
    assert "Line 2 of" in refusal(write(tmp_path, "a\tb\t1\n\tc\t2\n"))


def test_whole_numbers_are_nodes_in_their_order(tmp_path):
    graph = read_graph(write(tmp_path, "10 2\n2 1\n1 10\n"))
    assert graph.labels == ("1", "2", "10")
    assert graph.edges.tolist() == [[2, 1], [1, 0], [0, 2]]
    assert read_graph(write(tmp_path, "10 2\n2 01\n")).labels == ("10", "2", "01")
    assert graph_from([(2, 1), (1, 0)]).labels == ("0", "1", "2")


def test_what_was_accepted_is_said(tmp_path):
    graph = read_graph(write(tmp_path, "from,to,km\na,b,1\nb,a,2\na,b,3\nc,c,4\nd,e,5\n"))
    assert named_edges(graph) == [("a", "b"), ("d", "e")]
    notes = "\n".join(graph.notes)
    assert notes.startswith(
        '5 nodes, 2 edges from columns 1 and 2 ("from", "to"), separator comma, header yes'
    )
    assert 'Column "km" (first value 1) was left out, as weights are.' in notes
    assert "1 edge is given in both directions" in notes
    assert "1 self-loop was dropped; ask the task for self-edges" in notes
    assert "2 repeated edges were merged" in notes
    assert "3 connected components, the largest with 2 of its 5 nodes" in notes
    assert "1 of the nodes has no neighbour" in notes
    assert read_graph(write(tmp_path, "a b\nb c\n")).notes == (
        "3 nodes, 2 edges from columns 1 and 2, separator blank, header no; first edge a – b",
    )


def test_the_atlas_reads_as_an_edge_list(tmp_path):
    from importlib import resources

    text = (resources.files("geomem.worlds") / "data" / "europe_borders.tsv").read_text(encoding="utf-8")
    graph = read_graph(write(tmp_path, text, "borders.tsv"))
    assert graph.name == "borders"
    assert named_edges(graph) == [tuple(row) for row in read_table("europe_borders")]
    assert {frozenset(edge) for edge in named_edges(europe())} < {
        frozenset(edge) for edge in named_edges(graph)
    }


def test_graph_files_use_labels_that_tell_nodes_apart(tmp_path):
    text = 'graph [ node [ id 7 label "α &#60;b&#62;" ] node [ id 3 label "y" ] edge [ source 7 target 3 ] ]'
    graph = read_graph(write(tmp_path, text, "g.gml"))
    assert named_edges(graph) == [("α <b>", "y")]
    assert "'label'" in graph.notes[1]
    assert named_edges(read_graph(write(tmp_path, text.replace('"y"', '"α <b>"'), "g.gml"))) == [("7", "3")]
    original = networkx.Graph()
    original.add_nodes_from([("n0", {"name": "Ada"}), ("n1", {"name": "Bob"})])
    original.add_edge("n0", "n1")
    networkx.write_graphml(original, tmp_path / "g.graphml")
    assert named_edges(read_graph(tmp_path / "g.graphml")) == [("Ada", "Bob")]


def test_a_hundred_thousand_edges_take_about_a_second(tmp_path):
    graph = erdos_renyi(2000, 0.05)
    text = "\n".join(f"{one},{other},0.5" for one, other in named_edges(graph))
    path = write(tmp_path, text)
    start = time.process_time()
    again = read_graph(path)
    assert time.process_time() - start < 3
    assert again.edge_count == graph.edge_count > 90_000


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\ufeff", "is empty"),
        (" \n\t\r\n", "is empty"),
        ("# a b\n% c d\n// e\n", "only comments"),
        ("a b\nc\n", "Line 2 of"),
        ("# note\n\na b\nc d\n\nlonely\n", "Line 6 of"),
        ("a,b\nc\n", "Line 2 of"),
        ("a\n", "Line 1 of"),
        ("a,b\n,c\n", "Line 2 of"),
        ("a,b\nc,\n", "a label that is empty"),
        ('a,b\nc,""\n', "a label that is empty"),
        ("a a\nb b\n", "no edge between two different nodes"),
        ('a,"b\nc,d\n', "Line 1 of"),
        ('a,b\nc,"d" e\n', "Line 2 of"),
        ('a,b\n"c\nd",e\n', "Line 2 of"),
        ("%%MatrixMarket matrix coordinate\n3 3 1\n1 2 1\n", "Matrix Market"),
        (f"a b\n{'x' * 1001} c\n", "Line 2 of"),
        (f"a,{'x' * 200_000}\n", "Line 1 of"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "UTF-8"),
        (b"PK\x03\x04\x00\x00", "packed by zip"),
        (b"\xff\xfea", "UTF-16"),
        (b"\x1f\x8b\x08", "damaged gzip"),
        (b"a\x00b\x00\x00\x01", "binary"),
        ("é b\n".encode("latin-1"), "UTF-8"),
        ("a \x1b[31mred\n", "binary"),
    ],
)
def test_bad_edge_lists(tmp_path, text, message):
    assert message in refusal(write(tmp_path, text))


def test_bad_paths(tmp_path, monkeypatch):
    assert "There is no file" in refusal(tmp_path / "nothing.tsv")
    assert "is not a name that a file can have" in refusal("no\0file")
    assert "directory" in refusal(tmp_path)
    assert "could not be read (File name too long)" in refusal("x" * 5000)
    monkeypatch.setattr(text_file, "MAXIMUM_FILE_BYTES", 10)
    assert len(read_graph(write(tmp_path, "aaaa bbbb\n")).labels) == 2
    assert "larger than 10 bytes" in refusal(write(tmp_path, "aaaa bbbbb\n"))


def test_too_many_nodes(tmp_path, monkeypatch):
    monkeypatch.setattr(graph_module, "MAXIMUM_NODES", 3)
    assert "4 nodes" in refusal(write(tmp_path, "a b\nc d\n"))
    assert "4 nodes" in refusal(networkx.path_graph(4))
    assert "4 nodes" in refusal(sparse.eye_array(4, k=1).tocsr())


BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<graphml><graph edgedefault="undirected"><node id="&b;"/></graph></graphml>"""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.graphml", BILLION_LAUGHS, "document type or entities"),
        ("g.graphml", BILLION_LAUGHS.encode("utf-16"), "document type or entities"),
        ("g.graphml", "<graphml>", "no GraphML that networkx can read"),
        ("g.graphml", "a b\nb c\n", "no GraphML that networkx can read"),
        ("g.graphml", "<graphml xmlns='http://graphml.graphdrawing.org/xmlns'/>", "no GraphML"),
        ("g.GML", "graph [", "no GML that networkx can read"),
        ("g.gml", "a b", "no GML that networkx can read"),
        ("g.gml", "graph [ node [ id 0 ] edge [ source 0 target 1 ] ]", "no GML that networkx can read"),
        ("g.gml", "graph " + "[ a " * 5000 + "1" + " ]" * 5000, "no GML that networkx can read"),
        ("g.gml", "graph [ node [ id 0 label 5 ] ]", "no edge"),
        ("g.gml", "", "is empty"),
    ],
)
def test_bad_graph_files(tmp_path, name, text, message):
    assert message in refusal(write(tmp_path, text, name))


@SHARED
@given(
    data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode),
    name=st.sampled_from(["t", "graphml", "gml", *KINDS]),
)
def test_no_file_at_all_ends_in_anything_but_a_graph_or_one_sentence(tmp_path, data, name):
    try:
        graph = read_graph(write(tmp_path, data, f"any.{name}"))
    except InputError:
        return
    assert graph.edge_count > 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "A int is not a graph"),
        (None, "A NoneType is not a graph"),
        (np.zeros((3, 3)), "shape (3, 3)"),
        (np.zeros(4), "shape (4,)"),
        ([("a", "b"), ("c",)], "Entry 1 of the edges"),
        (["ab", "cd"], "Entry 0 of the edges"),
        ([("a", "b", "c")], "Entry 0 of the edges"),
        ([("a", None)], "Edge 0 of"),
        ([("a", "")], "Edge 0 of"),
        ([("a", "a")], "no edge between two different nodes"),
        ([], "no edge between two different nodes"),
        ({"a": ["b"]}, "Entry 0 of the edges"),
        (pandas.DataFrame({"a": [1]}), "1 column"),
        (pandas.DataFrame({"a": ["x", "y"], "b": ["z", None]}), "Edge 1 of"),
        (pandas.DataFrame({"a": ["x", "y"], "b": pandas.array([1, None], dtype="Int64")}), "Edge 1 of"),
        (polars.DataFrame({"a": ["x", None], "b": ["z", "y"]}), "Edge 1 of"),
        (sparse.coo_array((2, 3)), "shape (2, 3)"),
        (sparse.coo_array(([float("nan")], ([0], [1])), shape=(2, 2)), "has a NaN"),
        (sparse.coo_array((3, 3)), "no edge between two different nodes"),
        (networkx.Graph(), "no edge between two different nodes"),
        (networkx.Graph([(1, "1"), (1, 2)]), "same label"),
        (networkx.Graph([("\ud800", "b")]), "surrogate"),
    ],
)
def test_bad_objects(value, message):
    assert message in refusal(value)
