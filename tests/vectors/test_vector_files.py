"""Files of vectors, of every kind: their rows end up at the nodes they belong to, or the file is refused."""

import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_files import LABEL_FILES, LABELLED, UNLABELLED

from geomem.errors import InputError
from geomem.geometry.portrait import measure_embeddings
from geomem.measure.vectors.reading import read_embeddings
from geomem.worlds.graphs.families import cycle, path, path_star
from geomem.worlds.graphs.graph import Graph

NAMED = Graph("words", ("a", "b", "ü <i>"), np.array([[0, 1], [1, 2]]))
ROWS = np.array([[1.0, 2.0], [3.0, 4.5], [-5.0, 6e-3]])

words = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters='"'),
    min_size=1,
    max_size=8,
)
names = (
    st.lists(words, min_size=1, max_size=3)
    .map(" ".join)
    .filter(lambda name: not name.startswith(("#", "%", "//")))
)


def is_plain(name):
    """Whether a label cannot be taken for something else: a number, or a word that ends in numbers."""
    try:
        float(name.split(" ")[-1])
    except ValueError:
        return True
    return False


label_lists = st.lists(
    names.filter(is_plain).map(lambda name: unicodedata.normalize("NFC", name)),
    min_size=2,
    max_size=12,
    unique_by=lambda name: name.casefold().replace("_", " "),
)


@pytest.mark.parametrize("write", LABELLED, ids=lambda write: write.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_rows_with_labels_reach_their_nodes_in_any_order(write, data):
    labels = data.draw(label_lists)
    graph = Graph("names", tuple(labels), path(len(labels)).edges)
    width = data.draw(st.integers(2, 5))
    rows = np.random.default_rng(data.draw(st.integers(0, 9))).normal(size=(graph.node_count, width))
    order = data.draw(st.permutations(range(graph.node_count)))
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder), [graph.labels[node] for node in order], rows[order])
        read = read_embeddings(file, graph)
    assert (read.embeddings[0] == rows).all()
    assert read.graph is graph
    assert f"{graph.node_count} of {graph.node_count} nodes found by label" in read.notes[1]


@pytest.mark.parametrize("write", LABELLED, ids=lambda write: write.__name__)
@pytest.mark.parametrize("spell", [str, lambda node: f"{node}.0", lambda node: f" {node}"])
def test_numbers_are_labels_whichever_way_they_are_spelt(tmp_path, write, spell):
    graph, rows = cycle(9), np.random.default_rng(1).normal(size=(9, 3))
    order = np.random.default_rng(2).permutation(9)
    if spell(1).startswith(" ") and "tab" not in write.__name__:
        pytest.skip("a blank in front is a cell of its own, or part of a quoted label")
    read = read_embeddings(write(tmp_path, [spell(node) for node in order], rows[order]), graph)
    assert (read.embeddings[0] == rows).all()


@pytest.mark.parametrize("write", UNLABELLED, ids=lambda write: write.__name__)
@pytest.mark.parametrize("write_labels", LABEL_FILES, ids=lambda write: write.__name__)
def test_labels_beside_an_array(tmp_path, write, write_labels):
    rows = np.random.default_rng(0).normal(size=(4, 3))
    labels = ["ü <i>", "no node", "a", "b"]
    read = read_embeddings(write(tmp_path, rows), NAMED, labels=write_labels(tmp_path, labels))
    assert (read.embeddings[0] == rows[[2, 3, 0]]).all()
    assert "1 row belongs to no node and is left out (such as 'no node')" in read.notes[1]
    assert (read_embeddings(write(tmp_path, rows), NAMED, labels=labels).embeddings == read.embeddings).all()


@pytest.mark.parametrize("write", UNLABELLED, ids=lambda write: write.__name__)
def test_rows_without_labels_stand_in_the_order_that_is_said(tmp_path, write):
    rows = np.random.default_rng(0).normal(size=(3, 4))
    read = read_embeddings(write(tmp_path, rows), NAMED)
    assert (read.embeddings[0] == rows).all()
    assert "row 0 is 'a', row 1 is 'b', row 2 is 'ü <i>' (natural order)" in read.notes[1]


def test_the_measurements_do_not_depend_on_the_kind_of_file(tmp_path):
    graph = cycle(12)
    rows = np.random.default_rng(3).normal(size=(12, 4))
    expected = measure_embeddings(rows, graph, permutations=19)
    order = np.random.default_rng(4).permutation(12)
    for write in LABELLED:
        read = read_embeddings(write(tmp_path, [f"{node}" for node in order], rows[order]), graph)
        found = measure_embeddings(read.embeddings, read.graph, permutations=19)
        assert found.reading == expected.reading, write.__name__
        assert np.array_equal(found.shells, expected.shells), write.__name__


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ">f4", np.int32, np.uint8])
def test_arrays_of_any_real_kind_become_float64(tmp_path, dtype):
    np.save(tmp_path / "v.npy", np.arange(6).reshape(3, 2).astype(dtype))
    found = read_embeddings(tmp_path / "v.npy", NAMED).embeddings
    assert found.dtype == np.float64
    assert found.tolist() == [[[0, 1], [2, 3], [4, 5]]]


def test_arrays_with_a_run_axis_and_in_fortran_order(tmp_path):
    runs = np.random.default_rng(0).normal(size=(4, 3, 5))
    np.save(tmp_path / "v.npy", np.asfortranarray(runs))
    assert (read_embeddings(tmp_path / "v.npy", NAMED).embeddings == runs).all()
    labelled = read_embeddings(tmp_path / "v.npy", NAMED, labels=["b", "a", "ü <i>"])
    assert (labelled.embeddings == runs[:, [1, 0, 2]]).all()
    np.savez(tmp_path / "v.npz", vectors=np.asfortranarray(runs))
    assert (read_embeddings(tmp_path / "v.npz", NAMED).embeddings == runs).all()


def test_rows_of_no_node_are_counted_and_left_out(tmp_path):
    lines = ["7 2", *(f"{word} 9 9" for word in ("the", "of", "#", '"')), "b 3 4.5", "ü 1 1", "a 1 2"]
    (tmp_path / "v.txt").write_text("\n".join(lines), encoding="utf-8")
    read = read_embeddings(tmp_path / "v.txt", Graph("two", ("a", "b"), np.array([[0, 1]])))
    assert read.embeddings[0].tolist() == [[1, 2], [3, 4.5]]
    assert read.notes == (
        "v.txt: 7 rows of width 2 (separated by blanks, word2vec's first line, labels in column 1).",
        "2 of 2 nodes found by label; 5 rows belong to no node and are left out (such as 'the').",
    )


def test_few_missing_nodes_leave_the_graph_of_the_others(tmp_path):
    rows = np.random.default_rng(0).normal(size=(20, 3))
    np.save(tmp_path / "v.npy", rows)
    read = read_embeddings(tmp_path / "v.npy", cycle(20), labels=[*map(str, range(19)), "x"])
    assert read.graph.labels == tuple(map(str, range(19)))
    assert read.graph.edges.tolist() == path(19).edges.tolist()
    assert (read.embeddings[0] == rows[:19]).all()
    assert read.notes[2] == (
        "1 node without a row is left out ('19'): measured is the graph of the other 19, "
        "with 18 of 20 edges in 1 component."
    )
    with pytest.raises(
        InputError, match=r"3 of 20 nodes have no row in .*, such as '17' and 3 rows belong to no node"
    ):
        read_embeddings(tmp_path / "v.npy", cycle(20), labels=[*map(str, range(17)), "x", "y", "z"])


def test_a_star_that_falls_apart_has_no_root(tmp_path):
    star = path_star(arms=4, length=6, world_seed=None)
    np.save(tmp_path / "v.npy", np.eye(21))
    read = read_embeddings(
        tmp_path / "v.npy", star, labels=["elsewhere" if x == "1.3" else x for x in star.labels]
    )
    assert read.graph.root is None
    assert read.graph.node_count == 20
    assert "in 2 components" in read.notes[2]
    measure_embeddings(read.embeddings, read.graph, permutations=9)


STATES = Graph("states", ("New York", "Ohio", "New Mexico"), np.array([[0, 1], [1, 2]]))


def test_underscores_and_capitals_count_only_where_a_closer_spelling_is_there(tmp_path):
    (tmp_path / "v.txt").write_text("new_york 1 2\nOHIO 5 5\nohio 3 4\nNew_Mexico 1 1\nNew_York 7 8\n")
    read = read_embeddings(tmp_path / "v.txt", STATES)
    # Of rows that differ alike the first in the file is taken: vocabularies stand in order of frequency.
    assert read.embeddings[0].tolist() == [[7, 8], [5, 5], [1, 1]]
    assert read.notes[1:] == (
        "3 of 3 nodes found by label; 2 rows belong to no node and are left out (such as 'ohio').",
        "3 nodes found in another spelling (such as 'New_York' for 'New York').",
    )


def test_names_of_several_words_as_their_mean(tmp_path):
    (tmp_path / "v.txt").write_text("the 9 9\nnew 1 2\nYork 3 4\nohio 5 6\nmexico 7 0\n")
    with pytest.raises(InputError, match=r"2 of 3 nodes have no row .*, such as 'New York'"):
        read_embeddings(tmp_path / "v.txt", STATES)
    read = read_embeddings(tmp_path / "v.txt", STATES, multiword="mean")
    assert read.embeddings[0].tolist() == [[2, 3], [5, 6], [4, 1]]
    assert read.notes[1].startswith("3 of 3 nodes found by label; 1 row belongs to no node")
    assert "2 nodes as the mean of the words ('New York', 'New Mexico')." in read.notes
    # A row of its own comes before its words, and a word may be a name.
    (tmp_path / "v.txt").write_text("new_york 0 0\nOhio 5 6\nnew 1 2\n")
    graph = Graph("names", ("New York", "Ohio", "New Ohio"), np.array([[0, 1], [1, 2]]))
    read = read_embeddings(tmp_path / "v.txt", graph, multiword="mean")
    assert read.embeddings[0].tolist() == [[0, 0], [5, 6], [3, 4]]


def test_a_person_may_leave_out_more_nodes(tmp_path):
    (tmp_path / "v.txt").write_text("Ohio 5 6\nNew_York 1 2\n")
    read = read_embeddings(tmp_path / "v.txt", STATES, missing_share=0.5)
    assert read.graph.labels == ("New York", "Ohio")
    assert "1 node without a row is left out ('New Mexico')" in read.notes[-1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"node": ["a"], "x": [1.0]}, "2 of 3 nodes have no row"),
        ({"node": ["a"], "name": ["b"], "x": [1.0]}, "columns 'node' and 'name' of .* both hold text"),
        ({"node": ["a"]}, "has 0 columns of lists and 0 columns of numbers"),
        ({"node": ["a", "b", "\u00fc <i>"], "x": [[1.0], [1.0, 2.0], [1.0]]}, "are not equally long"),
        ({"node": ["a", "b", "\u00fc <i>"], "x": [[1.0], None, [1.0]]}, "are not equally long"),
        ({"node": ["a", "b", "\u00fc <i>"], "x": [1.0, None, 2.0]}, "node 'b' holds NaN or infinity"),
        ({"x": [1.0]}, "have 1 row without labels but the graph has 3 nodes"),
        ({"node": [], "x": []}, "has 0 rows, and 1 to 20,000,000 are read"),
    ],
)
def test_frames_that_cannot_be_used(tmp_path, columns, message):
    pl.DataFrame(columns).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(InputError, match=message):
        read_embeddings(tmp_path / "v.parquet", NAMED)


def test_a_frame_that_is_cut_off(tmp_path):
    (tmp_path / "v.parquet").write_bytes(b"PAR1" + bytes(20))
    with pytest.raises(InputError, match="not a complete Parquet file"):
        read_embeddings(tmp_path / "v.parquet", NAMED)


def test_a_label_spelt_as_the_node_comes_first(tmp_path):
    (tmp_path / "v.txt").write_text("1.0 5 5\n0 1 1\n1 2 2\n1.00 6 6\n")
    read = read_embeddings(tmp_path / "v.txt", path(2))
    assert read.embeddings[0].tolist() == [[1, 1], [2, 2]]
    assert "2 rows belong to no node" in read.notes[1]
    (tmp_path / "v.txt").write_text("1.0 5 5\n0 1 1\n1.00 6 6\n")
    with pytest.raises(
        InputError, match=r"labels '1.0' and '1.00' of two rows both name the node '1'; give one row"
    ):
        read_embeddings(tmp_path / "v.txt", path(2))


def test_accents_typed_in_two_ways_are_one_label(tmp_path):
    (tmp_path / "v.txt").write_text("e\u0301 1 2\nb 3 4\n", encoding="utf-8")
    graph = Graph("accents", ("b", "\u00e9"), np.array([[0, 1]]))
    assert read_embeddings(tmp_path / "v.txt", graph).embeddings[0].tolist() == [[3, 4], [1, 2]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", b"a,2\na,4\nb,4\n", "labels 'a' and 'a' of two rows both name the node 'a'"),
        ("v.csv", b"a,2\nb,4\nz,4\n", "1 of 3 nodes have no row .*, such as 'ü <i>'"),
        (
            "v.csv",
            b"1,2\n3,4\n",
            "have 2 rows without labels but the graph has 3 nodes; give one row per node",
        ),
        ("v.csv", b"1,2\n3,-inf\n4,5\n", "node 'b' holds NaN or infinity"),
        ("v.pt", b"PK", "is PyTorch's format, which is a pickle"),
        ("v.kv", b"\x80", "is gensim's own format, which is a pickle"),
        ("v.npy.gz", b"", "only text is read packed; unpack it"),
        ("v.txt.gz", b"a 1 2", "not a complete gzip file"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_embeddings(tmp_path / name, NAMED)
    assert "\n" not in str(caught.value)


def test_missing_files_directories_and_giants(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"There is no file .*v.npy; give one that exists"):
        read_embeddings(tmp_path / "v.npy", NAMED)
    with pytest.raises(InputError, match="is a directory"):
        read_embeddings(tmp_path, NAMED)
    np.save(tmp_path / "v.npy", ROWS)
    monkeypatch.setattr("geomem.measure.vectors.reading.LARGEST_FILE", 100)
    with pytest.raises(InputError, match="keep only the rows"):
        read_embeddings(tmp_path / "v.npy", NAMED)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("a\nb\n", "has 3 rows and --labels has 2 labels; give one label per row"),
        (
            "node\na\nb\nü <i>\n",
            "has 3 rows and --labels has 4 labels; give one label per row, without a title",
        ),
        ("a\n\nb\n", "Line 2 of .* is empty; give one label per line"),
        ("", "is empty"),
        ('["a", ["b"], "c"]', "holds no list of labels"),
        ('{"a": 0, "b": 2, "c": 3}', "does not number its labels 0, 1, 2"),
        ('["a", ', "has 3 rows and --labels has 1 label"),
        ("[" * 100_000, "has 3 rows and --labels has 1 label"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path, labels, message):
    np.save(tmp_path / "v.npy", ROWS)
    (tmp_path / "labels.txt").write_text(labels, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_embeddings(tmp_path / "v.npy", NAMED, labels=tmp_path / "labels.txt")


def test_labels_that_are_no_json(tmp_path):
    np.save(tmp_path / "v.npy", ROWS)
    (tmp_path / "vocab.txt").write_text("[UNK]\nb\na\n")
    graph = Graph("words", ("a", "b", "[UNK]"), NAMED.edges)
    assert (
        read_embeddings(tmp_path / "v.npy", graph, labels=tmp_path / "vocab.txt").embeddings[0]
        == ROWS[[2, 1, 0]]
    ).all()
    (tmp_path / "labels.txt").write_text("[2, 1.0, 0]")
    assert (
        read_embeddings(tmp_path / "v.npy", path(3), labels=tmp_path / "labels.txt").embeddings[0]
        == ROWS[[2, 1, 0]]
    ).all()
    for content in ("[" * 100_000, "5", '"a"', "nothing"):
        (tmp_path / "labels.json").write_text(content)
        with pytest.raises(InputError, match=r"is not JSON|holds no list of labels"):
            read_embeddings(tmp_path / "v.npy", NAMED, labels=tmp_path / "labels.json")


def test_labels_are_given_once(tmp_path):
    np.savez(tmp_path / "v.npz", labels=np.array(["a", "b", "ü <i>"]), vectors=ROWS)
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\nc 5 6\n")
    for name in ("v.npz", "v.txt"):
        with pytest.raises(
            InputError, match="holds labels, and --labels gives others; leave out one of them"
        ):
            read_embeddings(tmp_path / name, NAMED, labels=["a", "b", "ü <i>"])


def test_the_array_that_is_meant_can_be_named(tmp_path):
    np.savez(tmp_path / "v.npz", first=ROWS, second=2 * ROWS)
    assert (read_embeddings(tmp_path / "v.npz", NAMED, array="second").embeddings[0] == 2 * ROWS).all()
    with pytest.raises(InputError, match=r"holds the arrays 'first' \[3, 2\], 'second' \[3, 2\], .* --array"):
        read_embeddings(tmp_path / "v.npz", NAMED)
    with pytest.raises(InputError, match=r"none is called 'third'; name the one .* with --array"):
        read_embeddings(tmp_path / "v.npz", NAMED, array="third")
    np.savez(tmp_path / "v.npz", biases=ROWS, embeddings=2 * ROWS)
    assert (read_embeddings(tmp_path / "v.npz", NAMED).embeddings[0] == 2 * ROWS).all()
    np.save(tmp_path / "v.npy", ROWS)
    with pytest.raises(InputError, match="leave out --array"):
        read_embeddings(tmp_path / "v.npy", NAMED, array="first")
