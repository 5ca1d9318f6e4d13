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
from geomem.files import read_bytes

MAXIMUM_FILE_BYTES = 2**28
"""Largest file that is read, and the largest text that a packed one may hold: 256 MiB."""
MOST_PACKED, FREELY_UNPACKED = 100, 2**24
"""How many times its bytes a packed file may hold, and how many bytes each may: texts pack to a fifth, long
lists of edges to a thirtieth, but a bomb to a thousandth."""
MAXIMUM_LINES = 2**24
"""Lines of a text that are read: a line takes more memory than its bytes, and a graph has fewer edges."""
MAXIMUM_LABEL_CHARACTERS = 1000
"""Longest label that is taken from a file."""

COMMENT_MARKS = ("#", "%", "//")
"""What the first characters of a line must be for it to be a comment."""

_JOINERS = "\u200c\u200d"
_INVISIBLE = "\u200b\u200e\u200f\u2060\ufeff"
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_BINARY = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]{1,3})?")
_PACKED = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}


def read_text(path: Path, content: str) -> str:
    """The file's text with line ends as newlines, without a byte-order mark; UTF-8, UTF-16, gzip of either.

    `content` says in errors what the file should hold.
    Raises `InputError` for a missing, unreadable, empty, binary or too large file, for one that unpacks to
    more than `MAXIMUM_FILE_BYTES` or `MOST_PACKED` times its size, and for more than `MAXIMUM_LINES`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.tsv").write_bytes(b"Rome\\tParis\\r\\n")
    ...     read_text(Path(folder) / "a.tsv", "one edge per line")
    'Rome\\tParis\\n'
    """
    data = read_bytes(path, MAXIMUM_FILE_BYTES, links=True)
    if data[:2] == b"\x1f\x8b":
        limit = min(MAXIMUM_FILE_BYTES, max(FREELY_UNPACKED, MOST_PACKED * len(data)))
        data = _unpack(path, data, limit)
        if len(data) > limit:
            way_out = "a smaller file" if limit == MAXIMUM_FILE_BYTES else "it unpacked"
            raise InputError(f"{path} unpacks to more than {limit:,} bytes; give {way_out}.")
    for start, packing in _PACKED.items():
        if data.startswith(start):
            raise InputError(f"{path} is packed by {packing}; unpack it, or pack it with gzip.")
    text = _decode(path, data, content)
    if _BINARY.search(text):
        raise InputError(f"{path} is a binary file; give UTF-8 text with {content}.")
    if not text or text.isspace():
        raise InputError(f"{path} is empty; give {content}.")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > MAXIMUM_LINES:
        raise InputError(f"{path} has more than {MAXIMUM_LINES:,} lines; give fewer.")
    return text


def _unpack(path: Path, data: bytes, limit: int) -> bytes:
    """What gzip packed, one byte more than is allowed at most, so that a bomb takes no memory."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(limit + 1)
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


def control_character(text: str) -> str | None:
    """The first character that would move a cursor or turn the text around, as Python writes it, or None.

    These are Unicode's controls (C0, with tab and line end, DEL, C1) and the embeddings, overrides and
    isolates of its bidirectional algorithm. Marks and joiners inside words, which scripts need, are none.

    >>> print(control_character("a" + chr(0x9B) + "31m"), control_character("Ada"))
    '\\x9b' None
    """
    found = _CONTROL_CHARACTER.search(text)
    return found and repr(found.group())


def what_is_wrong(label: str) -> str:
    """Why a label cannot be kept, as the end of "a label that ..."; nothing if it can.

    >>> what_is_wrong(""), what_is_wrong("Rome")
    ('is empty', '')
    """
    if not label:
        return "is empty"
    if len(label) > MAXIMUM_LABEL_CHARACTERS:
        return f"has {len(label):,} characters"
    found = control_character(label)
    return f"has the control character {found}" if found else ""


def name_of_file(path: Path) -> str:
    """The file's name without its endings; what is not Unicode or a control character, is a question mark.

    >>> name_of_file(Path("trips.tsv")), name_of_file(Path("trips.tsv.gz"))
    ('trips', 'trips')
    """
    return _CONTROL_CHARACTER.sub("?", _unpacked_name(path).stem.encode(errors="replace").decode())


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

    Joiners, which do not print either, stay: Persian and Hindi words have them.

    >>> show_label("Paris"), show_label("a\\x1b[31m"), show_label("x" * 100, 5)
    ('Paris', 'a\\\\x1b[31m', 'xxxxx…')
    """
    cut = label if len(label) <= longest else label[:longest] + "…"
    shown = (c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode() for c in cut)
    return "".join(shown)


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
