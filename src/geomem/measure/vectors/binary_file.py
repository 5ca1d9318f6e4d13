"""Vectors in word2vec's binary format: `count width`, then of every word its text, a blank and its numbers.

Axis names: `row`, `width`.
"""

import mmap
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from geomem.errors import InputError
from geomem.files import check_plain_file, system_errors
from geomem.measure.vectors.layout import is_number
from geomem.measure.vectors.matching import match_rows
from geomem.measure.vectors.text_table import VectorTable, check_kept
from geomem.worlds.text_file import MAXIMUM_LABEL_CHARACTERS

SNIFFED = 1 << 16
"""Bytes from which the format is known."""

_HEADER = re.compile(rb"([0-9]{1,12}) ([0-9]{1,12})\n")


def is_word2vec_binary(path: Path) -> bool:
    """Whether a file begins as one of this format: the same first line as of the text, and no text below.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "v.bin"
    ...     _ = file.write_bytes(b"1 2\\nmali " + np.array([0.5, -2], "<f4").tobytes())
    ...     is_word2vec_binary(file)
    True
    """
    with system_errors(path, "read"), path.open("rb") as file:
        block = file.read(SNIFFED)
    header = _HEADER.match(block)
    if header is None:
        return False
    line, _, _ = block[header.end() :].partition(b"\n")
    width = int(header[2])
    cells = line.split()[-width:]
    if width and len(cells) == width and all(is_number(cell.decode("latin-1")) for cell in cells):
        return False
    # Words of a vocabulary in text may hold any byte but these.
    return path.suffix.lower() == ".bin" or re.search(rb"[\x00-\x08\x0e-\x1f\x7f]", block) is not None


def read_word2vec_binary(
    path: Path, names: Sequence[str], *, labels: Sequence[str] | None = None
) -> VectorTable:
    """Vectors of names from a file of word2vec's binary format; all other rows stay in the file.

    The file is mapped and its words are walked through once. Raises `InputError` for a file that ends before
    its last row or goes on after it, a word that does not end, and `labels`, since it has its own.

    >>> import tempfile
    >>> numbers = np.arange(4, dtype="<f4").reshape(2, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "v.bin"
    ...     _ = file.write_bytes(b"2 2\\nmali " + numbers[0].tobytes() + b"\\nchad " + numbers[1].tobytes())
    ...     read_word2vec_binary(file, ["Chad"]).vectors.tolist()
    [[2.0, 3.0]]
    """
    if labels is not None:
        raise InputError(
            f"The file {str(path)!r} holds labels, and --labels gives others; leave out one of them."
        )
    size = check_plain_file(path, links=True).st_size
    with system_errors(path, "read"), path.open("rb") as file:
        header = _HEADER.match(file.readline(64))
        count, width = (int(header[1]), int(header[2])) if header else (0, 0)
        if header is None or not count or not width or count * (4 * width + 2) > size - header.end():
            raise InputError(
                f"The first line of {str(path)!r} promises {count:,} vectors of width {width:,}, and "
                f"{size:,} bytes cannot hold them; the file is cut off or damaged: write it again."
            )
        check_kept(path, names, width)
        with closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as content:
            match = match_rows(_places(path, content, header.end(), count, width), names)
            vectors = np.empty((len(match.rows), width))
            with np.errstate(all="ignore"):  # what is not finite is refused later
                for row, start in enumerate(match.rows.values()):
                    vectors[row] = np.frombuffer(content[start : start + 4 * width], "<f4")
    kept = match.with_rows({name: row for row, name in enumerate(match.rows)})
    return VectorTable(vectors, kept, count, "word2vec's binary format")


def _places(path: Path, content: mmap.mmap, start: int, count: int, width: int) -> Iterator[tuple[str, int]]:
    """Every word, and where its numbers begin."""
    longest, numbers = 4 * MAXIMUM_LABEL_CHARACTERS, 4 * width
    for row in range(count):
        end = content.find(b" ", start, start + longest)
        if end < 0 or end + 1 + numbers > len(content):
            raise InputError(
                f"Row {row + 1:,} of {count:,} of {str(path)!r} is no word with {width:,} numbers behind it; "
                "the file is cut off or damaged: write it again."
            )
        # The first word2vec ends every row with a line end, gensim with nothing.
        yield content[start:end].lstrip(b"\n").decode("utf-8", "replace"), end + 1
        start = end + 1 + numbers
    if content[start : start + 2] not in (b"", b"\n"):
        raise InputError(
            f"The first line of {str(path)!r} promises {count:,} vectors of width {width:,}, and more bytes "
            "follow; the first line is wrong or the file is damaged: write it again."
        )
