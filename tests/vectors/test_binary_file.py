"""word2vec's binary format: read as written, and refused where it lies."""

import gzip

import numpy as np
import pytest

from geomem.errors import InputError
from geomem.measure.vectors.binary_file import is_word2vec_binary
from geomem.measure.vectors.reading import read_named_vectors

WORDS = ("the", "ü", "mali", "new_york", "San", "Marino")
ROWS = np.random.default_rng(0).normal(size=(6, 3)).astype("<f4")


def content(words=WORDS, rows=ROWS, *, end=b"", promise=None):
    """As gensim writes it, or with line ends as the first word2vec does."""
    first = promise or f"{len(words)} {rows.shape[1]}\n".encode()
    parts = [word.encode() + b" " + row.tobytes() + end for word, row in zip(words, rows, strict=True)]
    return first + b"".join(parts)


def written(folder, data, name="v.bin"):
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["gensim", "word2vec"])
@pytest.mark.parametrize("name", ["v.bin", "v.vec", "vectors"])
def test_rows_of_names_are_read(tmp_path, end, name):
    file = written(tmp_path, content(end=end), name)
    read = read_named_vectors(file, ["New York", "Chad", "San Marino", "Ü"], multiword="mean")
    assert read.found.tolist() == [0, 2, 3]
    assert np.array_equal(read.vectors[0], [ROWS[3], ROWS[4:].astype(float).mean(axis=0), ROWS[1]])
    assert read.notes[0] == f"{name}: 6 rows of width 3 (word2vec's binary format)."


def test_numbers_that_look_like_line_ends_and_blanks(tmp_path):
    rows = np.frombuffer(b"\n\n\n\n    " * 3, "<f4").reshape(3, 2)
    file = written(tmp_path, content(("a", "b", "c"), rows, end=b"\n"))
    assert np.array_equal(read_named_vectors(file, ["c", "b"]).vectors[0], rows[[2, 1]])


def test_text_in_a_file_of_that_name_is_text(tmp_path):
    text = "2 3\nNew York 1 2 3\nOhio 4 5 6\n"
    file = written(tmp_path, text.encode())
    assert not is_word2vec_binary(file)
    assert read_named_vectors(file, ["Ohio", "New York"]).vectors[0].tolist() == [[4, 5, 6], [1, 2, 3]]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (content()[:-1], r"is no word with 3 numbers behind it|cannot hold them"),
        (content(promise=b"7 3\n"), "Row 7 of 7 of .* is no word with 3 numbers behind it; the file is"),
        (content(promise=b"5 3\n"), "promises 5 vectors of width 3, and more bytes follow"),
        (content(promise=b"6 4\n"), "is no word with 4 numbers|cannot hold them"),
        (content(promise=b"999999999999 999999999999\n"), "promises 999,999,999,999 vectors"),
        (content(promise=b"0 3\n"), "promises 0 vectors of width 3, and .* bytes cannot hold them"),
        (content(promise=b"6 0\n"), "promises 6 vectors of width 0, and .* bytes cannot hold them"),
        (content(("x" * 5000,), ROWS[:1]), "Row 1 of 1 of .* is no word with 3 numbers behind it"),
        (content(("mali",), np.full((1, 3), np.nan, "<f4")), "NaN or infinity"),
        (content(("mali", "mali"), ROWS[:2]), "two rows both name the node 'mali'"),
    ],
)
def test_what_a_header_promises_and_the_file_does_not_hold(tmp_path, data, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        read_named_vectors(written(tmp_path, data), ["mali"])
    assert "\n" not in str(caught.value)


def test_other_labels_and_packed_files_are_refused(tmp_path):
    file = written(tmp_path, content())
    with pytest.raises(InputError, match="holds labels, and --labels gives others"):
        read_named_vectors(file, ["mali"], labels=list(WORDS))
    packed = written(tmp_path, gzip.compress(content()), "v.bin.gz")
    with pytest.raises(InputError, match="is packed, and only text is read packed; unpack it"):
        read_named_vectors(packed, ["mali"])
