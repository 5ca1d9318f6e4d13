"""Array files written by strangers: lying headers, pickles and bombs end in one sentence, early."""

import contextlib
import io
import json
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.measure.vectors.reading import read_embeddings
from geomem.worlds.graphs.families import path

GRAPH = path(3)
ROWS = np.arange(6.0).reshape(3, 2)


NOT_UNICODE = np.array([2**31 - 1] * 3, dtype="<u4").view("<U1")


class Trap:
    """A pickle that ends the tests if it is ever opened."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was run')",))


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(text, numbers=b"\0" * 48):
    """A .npy file with this header, whatever it says."""
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + numbers


def promise(shape, descr="<f8"):
    return header(f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}")


def zipped(**parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name + ".npy", content)
    return buffer.getvalue()


def tensors(description, numbers=b"\0" * 48):
    text = description if isinstance(description, bytes) else json.dumps(description).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def tensor(shape=(3, 2), dtype="F64", offsets=(0, 48)):
    return {"rows": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.npy", b"", "is not a complete .npy file of numbers; write it with numpy.save"),
        ("v.npy", b"PK\x03\x04junk", "is not a complete .npy file"),
        ("v.npy", b"\x93NUMPY garbage", "is not a complete .npy file"),
        ("v.npy", pickle.dumps(Trap()), "is not a complete .npy file"),
        ("v.npy", saved(ROWS)[:-8], "promises 48 bytes and has 40; the file is damaged"),
        ("v.npy", saved(ROWS) + b"\0", "promises 48 bytes and has 49"),
        ("v.npy", promise((3, 10**11)), "promises 2,400,000,000,000 bytes and has 48"),
        ("v.npy", promise("(True, True)"), "is not a complete .npy file"),
        ("v.npy", promise((-3, -2)), "is not a complete .npy file"),
        ("v.npy", promise((10**30, 0)), "is not a complete .npy file"),
        ("v.npy", promise((10**9, 0)), "promises 0 bytes and has 48"),
        ("v.npy", promise("(" + "9" * 150 + ", " + "9" * 150 + ")"), "is not a complete .npy file"),
        ("v.npy", promise((1,) * 40), "is not a complete .npy file"),
        ("v.npy", promise((3, 2), "|S0"), "is not a complete .npy file"),
        (
            "v.npy",
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2"),
            "is not a complete .npy file",
        ),
        ("v.npy", header("(" * 110), "is not a complete .npy file"),
        ("v.npy", header("__import__('os').getcwd()"), "is not a complete .npy file"),
        (
            "v.npy",
            b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * 100,
            "is not a complete .npy file",
        ),
        ("v.npy", saved(np.array([[Trap()] * 2] * 3)), "holds Python objects, which are never unpickled"),
        ("v.npy", saved(np.array([["a", "b"]] * 3)), r"is <U1 of shape \[3, 2\]; give real numbers"),
        ("v.npy", saved(np.ones((3, 2), dtype=complex)), "give real numbers of shape"),
        ("v.npy", saved(np.ones((3, 2), dtype=bool)), "give real numbers of shape"),
        ("v.npy", saved(np.ones(3)), r"of shape \[3\]; give real numbers of shape \[node, width\]"),
        ("v.npy", saved(np.ones((3, 0))), "holds no number; give at least one row and one column"),
        ("v.npy", saved(np.ones((0, 3, 2))), "holds no number"),
        ("v.npy", saved(np.ones((12, 2))), "have 12 rows without labels but the graph has 3 nodes"),
        ("v.npy", saved(np.array([[1, 2], [3, np.nan], [np.inf, 1]])), "node '1' holds NaN or infinity"),
        ("v.npz", b"", "is not a complete .npz file of numbers; write it with numpy.savez"),
        ("v.npz", saved(ROWS), "is not a complete .npz file"),
        ("v.npz", zipped(a=saved(ROWS))[:-30], "is not a complete .npz file"),
        ("v.npz", zipped(a=promise((3, 10**11))), "promises 2,400,000,000,000 bytes and has 48"),
        ("v.npz", zipped(a=saved(np.array([[Trap()] * 2] * 3))), "holds Python objects"),
        (
            "v.npz",
            zipped(labels=saved(np.array([Trap()] * 3)), a=saved(ROWS)),
            r"objects.*labels.astype\(str\)",
        ),
        ("v.npz", zipped(), "holds no array"),
        ("v.npz", zipped(**{f"a{part}": saved(ROWS) for part in range(2001)}), "is not a complete .npz file"),
        ("v.npz", zipped(a=saved(ROWS)).replace(b"PK\x01\x02", b"PK\x01\x03"), "is not a complete .npz file"),
        ("v.npz", zipped(a=saved(ROWS), labels=saved(NOT_UNICODE)), "is not a complete .npz file"),
        (
            "v.npz",
            zipped(a=saved(np.ones(3))),
            r"holds the arrays 'a' \[3\], of which more than one or none has two",
        ),
        ("v.npz", zipped(a=saved(ROWS), words=saved(np.array(["0", "1"]))), "has 3 rows and --labels has 2"),
        (
            "v.npz",
            zipped(
                a=saved(ROWS), words=saved(np.array(["0", "1", "2"])), names=saved(np.array(["a", "b", "c"]))
            ),
            "has the arrays 'words' and 'names', which both could be labels",
        ),
        (
            "v.npz",
            zipped(a=saved(ROWS), words=saved(np.array(["x" * 5000] * 3))),
            "longer than 1,000 characters",
        ),
        ("v.safetensors", b"", "is not a complete .safetensors file"),
        ("v.safetensors", struct.pack("<Q", 2**62) + b"{}", "is not a complete .safetensors file"),
        ("v.safetensors", tensors(b"[" * 100_000), "is not a complete .safetensors file"),
        ("v.safetensors", tensors(b"[]"), "is not a complete .safetensors file"),
        ("v.safetensors", tensors({"rows": 5}), "is not a complete .safetensors file"),
        ("v.safetensors", tensors(tensor(shape=[True, 6])), "is not a complete .safetensors file"),
        ("v.safetensors", tensors(tensor(offsets=(0, 480))), "is not a complete .safetensors file"),
        ("v.safetensors", tensors(tensor(offsets=(-8, 40))), "is not a complete .safetensors file"),
        ("v.safetensors", tensors(tensor(shape=(3, 10**11))), "promises 2,400,000,000,000 bytes and has 48"),
        ("v.safetensors", tensors(tensor(dtype="C64")), "holds no array"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_embeddings(tmp_path / name, GRAPH)
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_before_it_unfolds(tmp_path, monkeypatch):
    monkeypatch.setattr("geomem.measure.vectors.array_file.LARGEST_UNPACKED", 1 << 20)
    np.savez_compressed(tmp_path / "v.npz", vectors=np.zeros((1 << 14, 1 << 10)))
    assert (tmp_path / "v.npz").stat().st_size < 1 << 20
    tracemalloc.start()
    with pytest.raises(InputError, match=r"unfolds to 0.1 GiB and at most"):
        read_embeddings(tmp_path / "v.npz", GRAPH)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_only_the_rows_that_are_asked_for_are_loaded(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((2_000, 3_200), dtype=np.float32))
    labels = [*(f"w{row}" for row in range(1_997)), "2", "0", "1"]
    tracemalloc.start()
    read = read_embeddings(tmp_path / "v.npy", GRAPH, labels=labels)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()
    assert read.embeddings.shape == (1, 3, 3_200)
    assert "1,997 rows belong to no node and are left out (such as 'w0')" in read.notes[1]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int32])
def test_tensors_as_the_library_writes_them(tmp_path, kind):
    arrays = {"bias": np.ones(3, dtype=np.float32), "token_embedding": ROWS.astype(kind)}
    safetensors.numpy.save_file(arrays, tmp_path / "v.safetensors", metadata={"format": "pt"})
    assert (read_embeddings(tmp_path / "v.safetensors", GRAPH).embeddings[0] == ROWS).all()


def test_tensors_in_bfloat16(tmp_path):
    upper_half = (ROWS.astype("<f4").view("<u4") >> 16).astype("<u2")
    description = {"rows": {"dtype": "BF16", "shape": [3, 2], "data_offsets": [0, 12]}}
    (tmp_path / "v.safetensors").write_bytes(tensors(description, upper_half.tobytes()))
    assert (read_embeddings(tmp_path / "v.safetensors", GRAPH).embeddings[0] == ROWS).all()


def test_labels_of_every_kind_that_numpy_has(tmp_path):
    for labels in (
        np.array([2, 0, 1]),
        np.array([2.0, 0.0, 1.0]),
        np.array([b"2", b"0", b"1"]),
        np.array(list("201")),
    ):
        np.savez(tmp_path / "v.npz", ids=labels, vectors=ROWS)
        assert (read_embeddings(tmp_path / "v.npz", GRAPH).embeddings[0] == ROWS[[1, 2, 0]]).all()


def test_whole_numbers_beside_the_vectors_are_ids_if_they_differ(tmp_path):
    np.savez(tmp_path / "v.npz", ROWS, np.array([2, 0, 1]))
    assert (read_embeddings(tmp_path / "v.npz", GRAPH).embeddings[0] == ROWS[[1, 2, 0]]).all()
    np.savez(tmp_path / "v.npz", node_embeddings=ROWS, features=ROWS, degree=np.array([1, 2, 1]))
    assert (read_embeddings(tmp_path / "v.npz", GRAPH).embeddings[0] == ROWS).all()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_arrays_are_read_or_refused_and_never_more(tmp_path_factory, data):
    packed = io.BytesIO()
    np.savez(packed, labels=np.array(["0", "1", "2"]), vectors=ROWS)
    whole = {
        "v.npy": saved(ROWS),
        "v.npz": packed.getvalue(),
        "v.safetensors": safetensors.numpy.save({"rows": ROWS}),
    }
    name = data.draw(st.sampled_from(sorted(whole)))
    content = bytearray(whole[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("damaged") / name
    file.write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    with contextlib.suppress(InputError):
        assert read_embeddings(file, GRAPH).embeddings.shape[1] == 3
