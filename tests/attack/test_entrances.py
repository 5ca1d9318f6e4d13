"""Where a person's files come in: only plain files are opened, and no label moves a cursor."""

import json
import os
import socket
from pathlib import Path

import networkx
import numpy as np
import pytest

from geomem.cli.options import read_configuration
from geomem.errors import InputError
from geomem.measure.vectors.reading import read_embeddings
from geomem.worlds.facts.reader import facts_from, read_facts
from geomem.worlds.facts.table_file import facts_from_json, facts_to_json
from geomem.worlds.graphs.families import path
from geomem.worlds.graphs.file import graph_from_json, graph_to_json
from geomem.worlds.graphs.readers import graph_from, read_graph

GRAPH = path(3)


def read_labels_of_rows(place):
    return read_embeddings(place.parent / "rows.npy", GRAPH, labels=place)


READERS = {
    "graph": (read_graph, ".tsv"),
    "gml": (read_graph, ".gml"),
    "facts": (read_facts, ".tsv"),
    "turtle": (read_facts, ".ttl"),
    "text vectors": (lambda place: read_embeddings(place, GRAPH), ".txt"),
    "packed vectors": (lambda place: read_embeddings(place, GRAPH), ".txt.gz"),
    "npy": (lambda place: read_embeddings(place, GRAPH), ".npy"),
    "npz": (lambda place: read_embeddings(place, GRAPH), ".npz"),
    "safetensors": (lambda place: read_embeddings(place, GRAPH), ".safetensors"),
    "labels": (read_labels_of_rows, ".txt"),
    "npy labels": (read_labels_of_rows, ".npy"),
    "options": (read_configuration, ".toml"),
}


@pytest.fixture
def place(tmp_path, request):
    np.save(tmp_path / "rows.npy", np.eye(3))
    return tmp_path / ("file" + READERS[request.node.callspec.params["kind"]][1])


def refusal(kind, place):
    with pytest.raises(InputError) as caught:
        READERS[kind][0](place)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", READERS)
def test_what_is_not_a_plain_file_is_never_opened(kind, place):
    assert "is not" in refusal(kind, place.with_name("a\0" + place.name))
    assert "There is no file" in refusal(kind, place)
    assert "could not be read (File name too long)" in refusal(kind, place.with_name("a" * 300 + place.name))
    place.mkdir()
    assert "is a directory; give a file" in refusal(kind, place)
    place.rmdir()
    if os.name != "posix":
        return
    os.mkfifo(place)  # opening it would wait for a writer until the end of days
    assert "is a device or a pipe; write its content to a file" in refusal(kind, place)
    place.unlink()
    place.symlink_to("/dev/zero")
    assert "is a device or a pipe" in refusal(kind, place)
    place.unlink()
    place.symlink_to(place)
    assert "could not be read" in refusal(kind, place)


@pytest.mark.skipif(os.name != "posix", reason="sockets, modes and names of bytes")
@pytest.mark.parametrize("kind", READERS)
def test_what_the_system_refuses_is_one_sentence(kind, place, monkeypatch):
    monkeypatch.chdir(place.parent)  # a socket's name has a hundred characters at most
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place.name)
    assert "is a device or a pipe" in refusal(kind, place)
    place.unlink()
    place.write_text("junk")
    place.chmod(0)
    if not os.access(place, os.R_OK):  # root may read it
        assert "could not be read (Permission denied)" in refusal(kind, place)
    strange = Path(os.fsdecode(b"M\xfcller" + os.fsencode(place.suffix)))
    assert "There is no file" in refusal(kind, place.with_name(strange.name))


SAID = "control character|is a binary file|invalid character number"
EVIL = ["\x1b", "\x07", "\x7f", "\x9b", "\x85", "\u202e", "\u2066"]


def evil_graphs(folder, evil):
    """The same label, and a plain one, by every way into a graph."""
    label = f"a{evil}31mred"
    yield lambda: graph_from([(label, "b")])
    yield lambda: graph_from(networkx.Graph([(label, "b")]))
    yield lambda: graph_from_json(graph_to_json(path(2)) | {"labels": [label, "b"]})
    yield lambda: graph_from_json(graph_to_json(path(2)) | {"name": label})
    yield lambda: graph_from_json(graph_to_json(path(2)) | {"notes": [label]})
    code = ord(evil)
    escaped = json.dumps(label)
    files = {
        "a.tsv": f"{label}\tb\nb\tc\n",
        "a.json": json.dumps({"nodes": [{"id": label}, {"id": "b"}], "links": []})[:-3]
        + f'[{{"source": {escaped}, "target": "b"}}]}}',
        "a.jsonl": f'{{"source": {escaped}, "target": "b"}}\n',
        "a.nt": f"<http://x.org/a\\u{code:04X}red> <http://x.org/r> <http://x.org/b> .\n",
        "a.graphml": f'<graphml><graph edgedefault="directed"><node id="a&#{code};z"/><node id="b"/>'
        f'<edge source="a&#{code};z" target="b"/></graph></graphml>',
        "a.gml": f'graph [ node [ id 0 label "a&#{code};b" ] node [ id 1 label "b" ]'
        " edge [ source 0 target 1 ] ]",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        yield lambda name=name: read_graph(folder / name)


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_no_label_of_a_graph_holds_a_control_character(tmp_path, evil):
    for read in evil_graphs(tmp_path, evil):
        with pytest.raises(InputError, match=SAID) as caught:
            read()
        assert evil not in str(caught.value)


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_no_label_of_a_fact_holds_a_control_character(tmp_path, evil):
    label, plain = f"a{evil}31mred", facts_from([("a", "r", "x")])
    (tmp_path / "a.tsv").write_text(f"{label}\tr\tx\n", encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps([[label, "r", "x"]]))
    ways = [
        lambda: facts_from([(label, "r", "x")]),
        lambda: facts_from_json(facts_to_json(plain) | {"objects": [label]}),
        lambda: facts_from_json(facts_to_json(plain) | {"name": label}),
        lambda: read_facts(tmp_path / "a.json"),
        lambda: read_facts(tmp_path / "a.tsv"),
    ]
    for read in ways:
        with pytest.raises(InputError, match=SAID) as caught:
            read()
        assert evil not in str(caught.value)


def test_joiners_and_marks_of_real_scripts_stay(tmp_path):
    persian, hebrew, hindi = "می\u200cخواهم", "של\u200fום", "क्\u200dष"
    (tmp_path / "a.tsv").write_text(f"{persian}\t{hebrew}\n{hebrew}\t{hindi}\n", encoding="utf-8")
    assert read_graph(tmp_path / "a.tsv").labels == (persian, hebrew, hindi)


def test_a_label_on_two_lines_is_on_one(tmp_path):
    graph = networkx.Graph([(0, 1)])
    networkx.set_node_attributes(graph, {0: "New\nYork", 1: "Bonn"}, "label")
    networkx.write_graphml(graph, tmp_path / "a.graphml")
    assert read_graph(tmp_path / "a.graphml").labels == ("New York", "Bonn")
