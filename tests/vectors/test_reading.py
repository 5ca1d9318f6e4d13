import io
import pickle

import numpy as np
import pytest

from geomem.errors import InputError
from geomem.vectors.reading import read_embeddings
from geomem.worlds.families import path
from geomem.worlds.graph import Graph

GRAPH = Graph(name="words", labels=("a", "b", "ü <i>"), edges=np.array([[0, 1], [1, 2]]))
ROWS = np.array([[1.0, 2.0], [3.0, 4.5], [-5.0, 6e-3]])


def write(folder, name, text, encoding="utf-8"):
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, np.uint8])
def test_arrays_of_any_real_kind(tmp_path, dtype):
    np.save(tmp_path / "one.npy", np.arange(6).reshape(3, 2).astype(dtype))
    found = read_embeddings(tmp_path / "one.npy", GRAPH)
    assert found.dtype == np.float64
    assert found.tolist() == [[[0, 1], [2, 3], [4, 5]]]


def test_arrays_with_a_run_axis_and_in_fortran_order(tmp_path):
    runs = np.random.default_rng(0).normal(size=(4, 3, 5))
    np.save(tmp_path / "runs.npy", np.asfortranarray(runs))
    assert (read_embeddings(tmp_path / "runs.npy", GRAPH) == runs).all()


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4.5\n-5,6e-3\n",
        "x,y\n1,2\n3,4.5\n-5,6e-3\n",
        "\ufeff1,2\r\n3,4.5\r\n\r\n-5,6e-3",
        "a,1,2\nb,3,4.5\nü <i>,-5,6e-3\n",
        "b,3,4.5\nü <i>,-5,6e-3\na,1,2\n",
        'label,x,y\n"ü <i>",-5,6e-3\nb,3,4.5\na,1,2\n',
    ],
)
def test_tables_with_and_without_header_and_labels(tmp_path, text):
    assert np.allclose(read_embeddings(write(tmp_path, "t.csv", text), GRAPH), ROWS[None])
    assert np.allclose(read_embeddings(write(tmp_path, "t.TSV", text.replace(",", "\t")), GRAPH), ROWS[None])


def test_a_single_column_of_numbers_and_number_labels(tmp_path):
    assert read_embeddings(write(tmp_path, "t.csv", "7\n8\n9\n"), GRAPH)[0].tolist() == [[7], [8], [9]]
    assert read_embeddings(write(tmp_path, "t.csv", "x\n7\n8\n9\n"), GRAPH)[0].tolist() == [[7], [8], [9]]
    # Ids of the graph's nodes in the first column are labels, whatever their order.
    text = "2,0.5,1\n0,0.25,2\n1,0.125,3\n"
    assert read_embeddings(write(tmp_path, "t.csv", text), path(3))[0].tolist() == [
        [0.25, 2],
        [0.125, 3],
        [0.5, 1],
    ]


def numpy_bytes(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def promise(shape):
    """A header that promises more numbers than any machine has, with none behind it."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.txt", b"1 2", r"ends in '.txt'; give the embeddings as"),
        ("e.npy", b"", "is not a NumPy array of numbers; write it with"),
        ("e.npy", b"\x93NUMPY garbage", "is not a NumPy array of numbers"),
        ("e.npy", pickle.dumps({"a": 1}), "is not a NumPy array of numbers"),
        ("e.npy", promise((3, 1 << 50)), "is not a NumPy array of numbers"),
        ("e.npy", numpy_bytes(np.array([[object()] * 2] * 3)), "is not a NumPy array of numbers"),
        ("e.npy", numpy_bytes(np.array([["a", "b"]] * 3)), "does not hold real numbers"),
        ("e.npy", numpy_bytes(np.ones((3, 2), dtype=complex)), "does not hold real numbers"),
        ("e.npy", numpy_bytes(np.ones(3)), "has 1 axes; give"),
        ("e.npy", numpy_bytes(np.ones((3, 0))), "give at least one column"),
        ("e.npy", numpy_bytes(np.ones((0, 3, 2))), "give at least one column"),
        (
            "e.npy",
            numpy_bytes(np.ones((12, 2))),
            "have 12 rows but the graph has 3 nodes; give one row per node",
        ),
        (
            "e.npy",
            numpy_bytes(np.array([[1, 2], [3, np.nan], [np.inf, 1]])),
            r"Row 2 .*'b'\) holds NaN or infinity",
        ),
        ("e.csv", b"", "is empty; give one line of numbers per node"),
        ("e.csv", b"\n \n", "is empty"),
        ("e.csv", b"\xff\xfe\x00\x01", "is not a text table"),
        ("e.csv", b"1,2\n3\n4,5\n", "Row 2 of .* has 1 columns and the first has 2"),
        ("e.csv", b"1,2\n3,x\n4,5\n", "Row 2 of .* holds 'x' where a number is expected"),
        ("e.csv", b"1,2\n3,\n4,5\n", "Row 2 of .* holds '' where a number is expected"),
        ("e.csv", b"1,2\n3,4\n", "have 2 rows but the graph has 3 nodes"),
        ("e.csv", b"a,2\nb,4\nz,4\n", "have no row for the node 'ü <i>'"),
        ("e.csv", b"a,2\na,4\nb,4\n", "have no row for the node 'ü <i>'"),
        ("e.csv", b"1,2\n3,-inf\n4,5\n", "Row 2 .* holds NaN or infinity"),
        ("e.csv", b"a\nb\nc\n", "holds 'b' where a number is expected"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_embeddings(file, GRAPH)
    assert "\n" not in str(caught.value)


def test_missing_files_directories_and_giants(tmp_path, monkeypatch):
    for place in (tmp_path / "none.npy", tmp_path):
        with pytest.raises(InputError, match="There is no file"):
            read_embeddings(place, GRAPH)
    np.save(tmp_path / "e.npy", ROWS)
    monkeypatch.setattr("geomem.vectors.reading.LARGEST_FILE", 100)
    with pytest.raises(InputError, match="keep only the rows"):
        read_embeddings(tmp_path / "e.npy", GRAPH)


def test_no_pickle_is_ever_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit('a pickle was run')",))

    for content in (pickle.dumps(Trap()), numpy_bytes(np.array([Trap()], dtype=object))):
        (tmp_path / "trap.npy").write_bytes(content)
        with pytest.raises(InputError):
            read_embeddings(tmp_path / "trap.npy", GRAPH)
