"""Lines of a text file that may be gzipped and far larger than memory, and what is not text, by its name."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from geomem.errors import InputError

LARGEST_TEXT = 8 << 30
"""Bytes of text that are read, after unpacking: four million lines of 300 numbers."""

LARGEST_LINE = 4 << 20
"""Bytes accepted of one line: 200,000 numbers of 20 digits."""

MOST_LINES = 20_000_000
"""Lines that are looked at, blank ones too: a small packed file may unfold to billions of them."""

BLOCK = 1 << 20
"""Bytes read at once."""

SNIFFED_LINES = 256
"""Lines at the beginning from which a layout is found."""


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, counted from 1, and text of every line that is not blank, without its end.

    Text is UTF-8; what is not becomes U+FFFD, since vocabularies of words hold such debris. Names ending in
    .gz are unpacked. Raises `InputError` if the file is binary or larger than `LARGEST_TEXT`, or a line too
    long.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "v.txt").write_bytes(b"a 1\\r\\n\\nb 2")
    ...     list(read_lines(Path(folder) / "v.txt"))
    [(1, 'a 1'), (3, 'b 2')]
    """
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            number, read, rest = 1, 0, b""
            while block := file.read(BLOCK):
                if read == 0:
                    _refuse_binary(path, block)
                    block = block.removeprefix(b"\xef\xbb\xbf")
                read += len(block)
                *lines, rest = (rest + block).split(b"\n")
                if read > LARGEST_TEXT or number > MOST_LINES:
                    raise InputError(
                        f"The file {str(path)!r} has more than {LARGEST_TEXT >> 30} GiB of text or "
                        f"{MOST_LINES:,} lines; keep only the lines of the graph's nodes."
                    )
                if len(rest) > LARGEST_LINE:
                    raise InputError(
                        f"Line {number + len(lines)} of {str(path)!r} is longer than "
                        f"{LARGEST_LINE >> 20} MiB; give one line per node."
                    )
                yield from _texts(lines, number)
                number += len(lines)
            yield from _texts([rest], number)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"The file {str(path)!r} is not a complete gzip file; pack it again.") from error


def _texts(lines: list[bytes], number: int) -> Iterator[tuple[int, str]]:
    for at, line in enumerate(lines, number):
        text = line.decode("utf-8", "replace").rstrip("\r")
        if text and not text.isspace():
            yield at, text


def first_lines(path: Path) -> list[str]:
    """The lines that decide how a file is read: `SNIFFED_LINES`, or fewer where they are long."""
    found, length = [], 0
    for _, line in read_lines(path):
        found.append(line)
        length += len(line)
        if len(found) == SNIFFED_LINES or length > LARGEST_LINE:
            break
    return found


def _refuse_binary(path: Path, block: bytes) -> None:
    kinds = {
        b"\xff\xfe": "is text in UTF-16; save it in UTF-8",
        b"\xfe\xff": "is text in UTF-16; save it in UTF-8",
        b"\x80": "is a pickle, which is never opened; save the vectors as text, .npz or safetensors",
        b"PK": "is a zip archive, such as PyTorch writes; save the vectors as text, .npz or safetensors",
        b"\x93NUMPY": "is a NumPy array; let its name end in .npy",
        b"\xba\x16\x4f\x2f": "is a model of fastText; give the vectors that it wrote beside it, .vec",
        b"\x1f\x8b": "is gzipped; let its name end in .gz",
    }
    for mark, what in kinds.items():
        if block.startswith(mark):
            raise InputError(f"The file {str(path)!r} {what}.")
    if b"\0" in block:
        raise InputError(
            f"The file {str(path)!r} is not text; give vectors as text, .csv, .tsv, .npy, .npz or "
            ".safetensors."
        )
