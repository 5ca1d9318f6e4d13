"""Text files of labels in columns: read within limits, split into lines and cells, labels made alike."""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from geomem.errors import InputError

MAXIMUM_FILE_BYTES = 2**28
"""Largest file that is read: 256 MiB."""
MAXIMUM_LABEL_CHARACTERS = 1000
"""Longest label that is taken from a file."""

COMMENT_MARKS = ("#", "%", "//")
"""What the first characters of a line must be for it to be a comment."""

_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read_text(path: Path, content: str) -> str:
    """The file's text with line ends as newlines, without a byte-order mark.

    `content` says in errors what the file should hold.
    Raises `InputError` for a missing, unreadable, empty, binary or too large file.

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
            raise InputError(
                f"There is no file {path}; give the path of a file with {content}, or the name of a world."
            )
        with path.open("rb") as file:
            data = file.read(MAXIMUM_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a file that can.") from None
    if len(data) > MAXIMUM_FILE_BYTES:
        raise InputError(f"{path} is larger than {MAXIMUM_FILE_BYTES:,} bytes; give a smaller file.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not text in UTF-8 (byte {error.start}); save it as UTF-8 text with {content}."
        ) from None
    if _CONTROL_CHARACTER.search(text):
        raise InputError(f"{path} is a binary file; give UTF-8 text with {content}.")
    if not text.strip():
        raise InputError(f"{path} is empty; give {content}.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def content_lines(text: str) -> tuple[list[int], list[str]]:
    """Number, counted from 1, and text of every line that is neither blank nor a comment.

    >>> content_lines("# towns\\n\\nRome\\tParis")
    ([3], ['Rome\\tParis'])
    """
    lines = text.split("\n")
    numbers = [
        number
        for number, line in enumerate(lines, 1)
        if (content := line.strip(" \t")) and not content.startswith(COMMENT_MARKS)
    ]
    return numbers, [lines[number - 1] for number in numbers]


def find_delimiter(lines: Sequence[str]) -> str:
    """The first of tab, comma, semicolon that the first line and half of all lines have, else a blank.

    >>> find_delimiter(["New York,Ohio", "Texas,Utah"])
    ','
    """
    outside = [re.sub(r'"[^"]*"', "", line) if '"' in line else line for line in lines]
    for mark in "\t,;":
        if mark in outside[0] and 2 * sum(mark in line for line in outside) >= len(lines):
            return mark
    return " "


def split_lines(
    path: Path, numbers: Sequence[int], lines: Sequence[str], delimiter: str
) -> Iterator[list[str]]:
    """Columns of one line after the other, with quotes as in CSV; `numbers` count lines in the file.

    Raises `InputError` for a quote out of place or a label that is far too long.

    >>> list(split_lines(Path("a.csv"), [1], ['a,"b, c"'], ","))
    [['a', 'b, c']]
    """
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    for number in numbers[: len(lines)]:
        start = reader.line_num
        try:
            row = next(reader)
            if reader.line_num != start + 1:
                raise csv.Error("a quoted label goes on in the next line")
        except csv.Error as error:
            wrong = "a far too long label" if "limit" in str(error) else "a double quote out of place"
            raise InputError(
                f"Line {number} of {path} has {wrong}; "
                "put a label with quotes or separators in double quotes, and double those inside."
            ) from None
        yield row


def clean_label(cell: str) -> str:
    """A cell without blanks at its ends and in Unicode's form NFC: an accent typed in two ways is one label.

    >>> clean_label(" e\u0301 ") == "\u00e9"
    True
    """
    return unicodedata.normalize("NFC", cell.strip())


def name_of_file(path: Path) -> str:
    """The file's name without its ending; a name that is no Unicode, which file systems allow, is mended.

    >>> name_of_file(Path("trips.tsv"))
    'trips'
    """
    return path.stem.encode(errors="replace").decode()
