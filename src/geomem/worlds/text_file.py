"""Text files: read within limits, also packed by gzip or in UTF-16; labels made alike, and shown safely."""

import gzip
import io
import re
import unicodedata
import zlib
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from geomem.errors import InputError

MAXIMUM_FILE_BYTES = 2**28
"""Largest file that is read, and the largest text that a packed one may hold: 256 MiB."""
MAXIMUM_LABEL_CHARACTERS = 1000
"""Longest label that is taken from a file."""

COMMENT_MARKS = ("#", "%", "//")
"""What the first characters of a line must be for it to be a comment."""

_INVISIBLE = "\u200b\u200e\u200f\u2060\ufeff"
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]{1,3})?")
_PACKED = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}


def read_text(path: Path, content: str) -> str:
    """The file's text with line ends as newlines, without a byte-order mark; UTF-8, UTF-16, gzip of either.

    `content` says in errors what the file should hold.
    Raises `InputError` for a missing, unreadable, empty, binary or too large file, and for one that unpacks
    to more than `MAXIMUM_FILE_BYTES`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.tsv").write_bytes(b"Rome\\tParis\\r\\n")
    ...     read_text(Path(folder) / "a.tsv", "one edge per line")
    'Rome\\tParis\\n'
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a directory; give a file with {content}.")
        if not path.exists():
            raise InputError(f"There is no file {path}; give a file with {content}, or the name of a world.")
        with path.open("rb") as file:
            data = file.read(MAXIMUM_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a file that can.") from None
    if data[:2] == b"\x1f\x8b":
        data = _unpack(path, data)
    if len(data) > MAXIMUM_FILE_BYTES:
        raise InputError(f"{path} is larger than {MAXIMUM_FILE_BYTES:,} bytes; give a smaller file.")
    for start, packing in _PACKED.items():
        if data.startswith(start):
            raise InputError(f"{path} is packed by {packing}; unpack it, or pack it with gzip.")
    text = _decode(path, data, content)
    if _CONTROL_CHARACTER.search(text):
        raise InputError(f"{path} is a binary file; give UTF-8 text with {content}.")
    if not text.strip():
        raise InputError(f"{path} is empty; give {content}.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unpack(path: Path, data: bytes) -> bytes:
    """What gzip packed, one byte more than is allowed at most, so that a bomb takes no memory."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(MAXIMUM_FILE_BYTES + 1)
    except (EOFError, OSError, zlib.error):
        raise InputError(f"{path} is a damaged gzip file; pack it again, or give it unpacked.") from None


def _decode(path: Path, data: bytes, content: str) -> str:
    """The text of bytes in UTF-8 or UTF-16, whose order is known from its mark or from the zeros of ASCII."""
    coding = "utf-8-sig"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        coding = "utf-16"
    elif len(data) >= 4 and len(data) % 2 == 0 and 0 in data[:4]:
        first, second = data[:1000:2].count(0), data[1:1000:2].count(0)
        half = len(data[:1000:2]) / 2
        if first == 0 and second > half:
            coding = "utf-16-le"
        elif second == 0 and first > half:
            coding = "utf-16-be"
    try:
        return data.decode(coding)
    except UnicodeDecodeError as error:
        kind = "UTF-8" if coding == "utf-8-sig" else "UTF-16"
        raise InputError(
            f"{path} is not text in {kind} (byte {error.start}); save it as UTF-8 text with {content}."
        ) from None


def clean_label(cell: str) -> str:
    """A cell without blanks and invisible characters at its ends, in Unicode's form NFC.

    So an accent typed in two ways is one label.

    >>> clean_label(" e\u0301\u200b ") == "\u00e9"
    True
    """
    cell = cell.strip()
    while cell and (cell[0] in _INVISIBLE or cell[-1] in _INVISIBLE):
        cell = cell.strip(_INVISIBLE).strip()
    return unicodedata.normalize("NFC", cell)


def name_of_file(path: Path) -> str:
    """The file's name without its endings; a name that is not Unicode, which file systems allow, is mended.

    >>> name_of_file(Path("trips.tsv")), name_of_file(Path("trips.tsv.gz"))
    ('trips', 'trips')
    """
    return _unpacked_name(path).stem.encode(errors="replace").decode()


def kind_of_file(path: Path) -> str:
    """The file's ending in lower case, `.tsv` of both `trips.tsv` and `trips.TSV.gz`.

    >>> kind_of_file(Path("trips.TSV.gz"))
    '.tsv'
    """
    return _unpacked_name(path).suffix.lower()


def _unpacked_name(path: Path) -> Path:
    return Path(path.stem) if path.suffix.lower() == ".gz" else Path(path.name)


def show_label(label: str, longest: int = 60) -> str:
    """A label for a sentence: what does not print as an escape, and no more than its first characters.

    >>> show_label("Paris"), show_label("a\\x1b[31m"), show_label("x" * 100, 5)
    ('Paris', 'a\\\\x1b[31m', 'xxxxx…')
    """
    cut = label if len(label) <= longest else label[:longest] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "edge"), counted(2000, "edge")
    ('1 edge', '2,000 edges')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a point or a comma before its decimals.

    >>> is_number("1e-5"), is_number("0,5"), is_number("1.2.3")
    (True, True, False)
    """
    return _NUMBER.fullmatch(cell) is not None


def are_numbers(cells: Iterable[str]) -> bool:
    """Whether all cells are numbers, as `is_number` says.

    >>> are_numbers(["1", "0.5"])
    True
    """
    return all(map(_NUMBER.fullmatch, cells))


def equal_numbers(labels: Iterable[str]) -> dict[str, str]:
    """If all labels are numbers: those that are written otherwise than need be, each with its shortest form.

    Data frames turn ids into floats: `1`, `1.0` and `1.00` are one node. Numbers with zeros before them, as
    postal codes have, and whole numbers that follow from no float are left as they are.

    >>> equal_numbers(["1", "2.0", "0.50"]), equal_numbers(["a", "2.0"])
    ({'2.0': '2', '0.50': '0.5'}, {})
    """
    shorter: dict[str, str] = {}
    for label in labels:
        if label.isascii() and label.isdigit():
            continue
        if not is_number(label) or "," in label:
            return {}
        if not re.match(r"[+-]?0[0-9]", label) and not (label[0] == "-" and label[1:].isdigit()):
            value = Decimal(label.replace(",", "."))
            if abs(value.adjusted()) < 20 and (short := f"{value.normalize():f}") != label:
                shorter[label] = "0" if short == "-0" else short
    return shorter
