"""Columns of text: what separates, what is a comment, what is a header; and what a person says instead."""

import contextlib
from pathlib import Path

import pytest

from geomem.errors import InputError
from geomem.worlds.columns import FileLayout, describe_columns, find_columns, read_columns
from geomem.worlds.graphs.readers import read_graph
from geomem.worlds.separators import find_separator, name_separator, split_line


def columns(text, **said):
    return read_columns(Path("a"), text, FileLayout(**said), content="rows", known=lambda names: None)


@pytest.mark.parametrize(
    ("line", "separator", "cells"),
    [
        ("a\tb, c\t", "tab", ["a", "b, c", ""]),
        ('"Star" (song)\tby', "tab", ['"Star" (song)', "by"]),
        ('"a\tb"\t"c ""d"""', "tab", ["a\tb", 'c "d"']),
        ('"a, b" ,c', "comma", ["a, b", "c"]),
        ("f(a, b), [c, d], {'e': 'x, } y'}", "comma", ["f(a, b)", "[c, d]", "{'e': 'x, } y'}"]),
        ("smile :), frown :(", "comma", ["smile :)", "frown :("]),
        ("L'Île (d'en, haut),b", "comma", ["L'Île (d'en, haut)", "b"]),
        ('"New York"  Rome\tBonn', "blank", ["New York", "Rome", "Bonn"]),
        ("a -> b", "->", ["a", "b"]),
        ("a-b - c-d", "-", ["a-b", "c-d"]),
        ("a::b", "::", ["a", "b"]),
    ],
)
def test_split_line(line, separator, cells):
    assert split_line(line, name_separator(separator)) == cells


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["a\tb,c", "d\te,f"], ["tab"]),
        (["a b,c", "d e,f"], ["comma"]),
        (["a b 0,5", "c d 1,5"], ["blank"]),
        (["a;b;0,5", "c;d;1"], ["semicolon"]),
        (["a,b;c", "d,e;f"], ["comma", "semicolon"]),
        (["a --> b", "c --> d"], ["-->"]),
        (["a -> b, 1", "c -> d, 2"], ["comma", "->"]),
        (["a->b 1", "c->d 2"], ["->", "blank"]),
        (["a|b", "c|d"], ["pipe"]),
        (["a b", "c"], []),
        (["a\tb", "c\td", "e f"], []),
        (["a,b,", "c,d"], ["comma"]),
    ],
)
def test_find_separator(lines, names):
    assert [separator.name for separator in find_separator(lines)] == names


def test_a_comment_of_another_shape_is_left_out_and_data_are_not():
    found = columns("a,b\n# note\n#c,d\n")
    assert found.cells == (("a", "#c"), ("b", "d"))
    assert (found.comments, found.first_comment, found.marked) == (1, "# note", "#c,d")
    assert "1 comment line (# note), lines like #c,d read as data" in describe_columns(found, (0, 1))
    assert columns("a,b\n#c,d\n", comment="#").cells == (("a",), ("b",))
    assert columns("#a,b\n#c,d\n", comment="none").numbers == [1, 2]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n3,4", ("a", "b")),
        ("a,1\n1,2\n3,4", None),
        ("x,y,km\nRome,Bonn,3\nBonn,Rome,4", ("x", "y", "km")),
        ("Rome,Oslo,NA\nRome,Bonn,3\nBonn,Rome,4", None),
        (",x,y\n0,Rome,Bonn\n1,Bonn,Oslo", ("", "x", "y")),
        ("x,y\nRome,Bonn\nBonn,Oslo", None),
    ],
)
def test_headers(text, header):
    assert columns(text).header == header
    assert columns(text, header=False).header is None
    assert columns(text, header=True).header == tuple(text.partition("\n")[0].split(","))


def test_names_and_numbers_of_columns():
    table = columns("x,y,2\nRome,Bonn,3\nBonn,Rome,4", header=True)
    assert find_columns(table, FileLayout(columns=("Y", 1))) == (1, 0)
    assert find_columns(table, FileLayout(columns="2")) == (2,)  # a name goes before a number
    for wrong, message in [("z", "its columns are x, y, 2"), ("x,x", "twice"), ("x", "name 2, as in")]:
        with pytest.raises(InputError, match=message):
            find_columns(table, FileLayout(columns=wrong), count=2)


def test_quoted_labels_around_a_colon_and_lines_of_separators_alone(tmp_path):
    (tmp_path / "quoted.txt").write_text('"Rome": "Bonn"\n"Bonn": "Bern"\n')
    assert read_graph(tmp_path / "quoted.txt").labels == ("Rome", "Bonn", "Bern")
    (tmp_path / "a.sif").write_text("Rome,road,Bonn\n,,\n")
    assert read_graph(tmp_path / "a.sif").edge_count == 1


@pytest.mark.parametrize("run", [" ", "\t", "-", "=", "| ", "a "])
@pytest.mark.parametrize("line", ["{}x", "x{}y", "x{}"])
def test_a_long_run_of_one_mark_takes_no_square_of_its_length(tmp_path, run, line):
    """A pattern that goes back over the run would take minutes: more than any machine's patience."""
    for name in ("a.txt", "a.adjlist", "a.multiline_adjlist", "a.csv"):
        (tmp_path / name).write_text("a\tb\n" + line.format(run * 200_000) + "\tc\n")
        with contextlib.suppress(InputError):
            read_graph(tmp_path / name)
