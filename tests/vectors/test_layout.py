"""How texts of vectors are laid out: what tools write is recognised, what could be two things is refused."""

import contextlib
import gzip
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.measure.vectors.layout import find_layout
from geomem.measure.vectors.lines import read_lines
from geomem.measure.vectors.text_table import read_text_table
from geomem.worlds.graphs.families import cycle, path
from geomem.worlds.graphs.graph import Graph

NAMED = Graph("words", ("a", "b", "ü <i>"), np.array([[0, 1], [1, 2]]))
ROWS = [[1.0, 2.0], [3.0, 4.5], [-5.0, 6e-3]]


def written(folder, text, name="v.txt"):
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


@pytest.mark.parametrize(
    ("text", "separator", "label", "titles"),
    [
        ("1,2\n3,4.5\n-5,6e-3\n", ",", None, ()),
        ("x,y\n1,2\n3,4.5\n-5,6e-3\n", ",", None, ("x", "y")),
        ("0,1\n1,2.0\n3,4.5\n-5,6e-3\n", ",", None, ("0", "1")),
        ("\ufeff1,2\r\n3,4.5\r\n\r\n-5,6e-3", ",", None, ()),
        ("1 2\n3   4.5\n -5\t6e-3\n", " ", None, ()),
        ("# by hand\n1 2\n3 4.5\n-5 6e-3\n", " ", None, ()),
        (",0,1\n0,1,2\n1,3,4.5\n2,-5,6e-3\n", ",", None, ("", "0", "1")),
        ("a,1,2\nb,3,4.5\nü <i>,-5,6e-3\n", ",", 0, ()),
        ('label,x,y\n"a",1,2\nb,3,4.5\n"ü <i>",-5,6e-3\n', ",", 0, ("label", "x", "y")),
        ("x;y;name\n1;2;a\n3;4.5;b\n-5;6e-3;ü <i>\n", ";", 2, ("x", "y", "name")),
        ("x\ty\na\t1\t2\nb\t3\t4.5\nü <i>\t-5\t6e-3\n", "\t", 0, ("", "x", "y")),
        ("a\t1 2\nb\t3 4.5\nü <i>\t-5 6e-3\n", " ", 0, ()),
        ("3 2\nb 3 4.5\na 1 2\nü <i> -5 6e-3\n", " ", 0, ()),
    ],
)
def test_what_tools_write(tmp_path, text, separator, label, titles):
    file = written(tmp_path, text)
    layout = find_layout(file, [line for _, line in read_lines(file)], NAMED.labels)
    assert (layout.separator, layout.label_column, layout.titles) == (separator, label, titles)
    table = read_text_table(file, NAMED.labels)
    assert (table.match is None) == (label is None)
    order = range(3) if table.match is None else [table.match.rows[node] for node in range(3)]
    assert table.vectors[list(order)].tolist() == ROWS


def test_a_first_column_of_numbers_is_labels_only_where_it_names_nodes_or_stands_beside_decimals(tmp_path):
    for text, expected in (
        ("2,5,1\n0,2,2\n1,1,3\n", 0),
        ("id,x\n7,1\n8,2\n9,3\n", 0),
        ("7,.5\n8,.25\n9,.125\n", 0),
        ("7,5\n8,4\n9,3\n", None),
        ("7,.5\n8,.25\n8,.125\n", None),
        ("7\n8\n9\n", None),
        ("x\n7\n8\n9\n", None),
    ):
        file = written(tmp_path, text)
        lines = [line for _, line in read_lines(file)]
        assert find_layout(file, lines, path(3).labels).label_column == expected, text
        assert find_layout(file, lines, path(3).labels).columns == lines[-1].count(",") + 1


def test_word2vec_of_width_1_and_tables_whose_first_row_is_two_whole_numbers(tmp_path):
    for text, promised in (
        ("3 1\n0 .5\n1 .5\n2 .5\n", 3),
        ("4 1\n0 .5\n1 .5\n2 .5\n", None),
        ("1 2\n3 4\n5 6\n", None),
    ):
        file = written(tmp_path, text)
        assert find_layout(file, [line for _, line in read_lines(file)], path(3).labels).promised == promised


words = st.text(
    st.characters(codec="ascii", categories=["L", "P"], exclude_characters='"'), min_size=1, max_size=5
)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.lists(words, min_size=1, max_size=3).map(" ".join), min_size=2, max_size=8, unique_by=str.casefold
    ),
    width=st.integers(2, 6),
    header=st.booleans(),
    seed=st.integers(0, 9),
)
def test_a_vocabulary_keeps_labels_with_blanks_marks_and_words_like_nan(
    tmp_path_factory, names, width, header, seed
):
    names = [*names, "nan", "#", ",", ";", "0.5", "-", "x nan"]
    names = list(dict.fromkeys(name for name in names if not name.startswith(("//", "%"))))
    rows = np.random.default_rng(seed).normal(size=(len(names), width))
    graph = Graph("names", tuple(names), path(len(names)).edges)
    lines = [f"{name} {' '.join(map(repr, row))}" for name, row in zip(names, rows.tolist(), strict=True)]
    text = "\n".join([f"{len(names)} {width}", *lines] if header else lines)
    file = written(tmp_path_factory.mktemp("glove"), text)
    table = read_text_table(file, graph.labels)
    assert (table.vectors[[table.match.rows[node] for node in range(len(names))]] == rows).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; give one line of numbers per node"),
        (b"\n \n", "is empty"),
        (b"# only\n# this\n", "is empty"),
        (b"1,2\n3\n4,5\n", "Line 2 of .* has 1 column and the lines before it have 2; give every node"),
        (b"a 1 2\nb 3\nc 4 5\n", "Line 2 of .* has 2 columns and the lines before it have 3"),
        (b"1,2\n3,x\n4,5\n", "Line 2 of .* holds 'x' where a number is expected; give numbers only"),
        (b"1,2\n3,\n4,5\n", "Line 2 of .* holds '' where a number is expected"),
        (b"a\nb\nc\n", "holds 'a' where a number is expected"),
        (b"a;0,5;1,5\nb;1,5;2,5\n", "write decimals with a point|hold text|where a number"),
        (b"a,x,1\nb,y,2\nc,z,3\n", r"Columns 1 \('a'\) and 2 \('x'\) of .* both hold text"),
        (b"3 2\na 1 2\nb 3 4\n", "promises 3 vectors and 2 follow; the file is cut off"),
        (b"3 5\na 1 2\nb 3 4\nc 5 6\n", "promises vectors of width 5, and the next line has 3 columns"),
        (b"3 999999999999\na 1 2\nb 3 4\nc 5 6\n", "promises vectors of width 999,999,999,999"),
        (b"\xba\x16\x4f\x2f\x0c\x00", "is a model of fastText; give the vectors that it wrote beside it"),
        (b"\x80\x04\x95", "is a pickle, which is never opened"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"\xff\xfe1\x00", "UTF-16; save it in UTF-8"),
        (b"\x93NUMPY\x01\x00", "is a NumPy array; let its name end in .npy"),
        (b"\x1f\x8b\x08", "is gzipped; let its name end in .gz"),
        (b"\x7fELF\x00", "is not text"),
    ],
)
def test_what_is_no_table_of_vectors_is_refused_in_one_sentence(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read_text_table(written(tmp_path, content), NAMED.labels)
    assert "\n" not in str(caught.value)


def test_long_lines_and_large_texts_are_refused_before_they_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("geomem.measure.vectors.lines.BLOCK", 64)
    file = written(tmp_path, "1 2 3\n" * 40)
    assert len(list(read_lines(file))) == 40
    monkeypatch.setattr("geomem.measure.vectors.lines.LARGEST_TEXT", 200)
    with pytest.raises(InputError, match="keep only the lines of the graph's nodes"):
        list(read_lines(file))
    monkeypatch.setattr("geomem.measure.vectors.lines.LARGEST_LINE", 100)
    with pytest.raises(InputError, match=r"Line 1 of .* is longer than"):
        list(read_lines(written(tmp_path, "1 " * 90)))
    monkeypatch.setattr("geomem.measure.vectors.text_table.LARGEST_KEPT", 5)
    with pytest.raises(InputError, match="at most 5 numbers are kept"):
        read_text_table(written(tmp_path, "1 2\n3 4\n5 6\n"), path(3).labels)


def test_a_packed_file_of_endless_blank_lines_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("geomem.measure.vectors.lines.MOST_LINES", 1000)
    monkeypatch.setattr("geomem.measure.vectors.lines.BLOCK", 512)
    file = written(tmp_path, gzip.compress(b"0 1\n1 2\n" + b"\n" * 100_000), "v.txt.gz")
    with pytest.raises(InputError, match="1,000 lines; keep only the lines"):
        read_text_table(file, path(2).labels)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_text_is_read_or_refused_and_never_more(tmp_path_factory, data):
    lines = ["15 2", *(f"{node} {np.cos(node):.4f} {np.sin(node):.4f}" for node in range(15))]
    content = bytearray("\n".join(lines).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(
            st.sampled_from([b"", b"\n", b" ", b",", b"\t", b'"', b"\x00", b"\xff", b"e", b"-", b"#"])
        )
        content[at : at + data.draw(st.integers(0, 4))] = piece
        content = content or bytearray(b"x")
    file = written(tmp_path_factory.mktemp("damaged"), bytes(content))
    with contextlib.suppress(InputError):
        assert read_text_table(file, cycle(15).labels).vectors.ndim == 2


def test_the_lines_of_a_text_do_not_depend_on_the_size_of_the_blocks(tmp_path, monkeypatch):
    text = "a 1\r\n\n  \nb 2\nü 3"
    expected = [(1, "a 1"), (4, "b 2"), (5, "ü 3")]
    for block in itertools.chain(range(1, 9), [1 << 20]):
        monkeypatch.setattr("geomem.measure.vectors.lines.BLOCK", block)
        assert list(read_lines(written(tmp_path, text))) == expected
