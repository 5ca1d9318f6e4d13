"""Columns of a text file: separator, comments and header found out with their evidence, or as a person says.

The one reader of columns for graphs, facts and tables of vectors. A guess counts only if it fits every line;
where two fit, the file is refused with both spelt out.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from geomem.errors import InputError
from geomem.worlds.line_frames import split_columns, without_frame
from geomem.worlds.separators import MisplacedQuoteError, Separator, split_line
from geomem.worlds.text_file import COMMENT_MARKS, are_numbers, counted, is_number, show_label

MISSING = frozenset({"", "NA", "N/A", "na", "nan", "NaN", "null", "NULL", "None", "-", "?", "\\N"})
"""Cells of a column of numbers that hold no number."""

_ARROWS = frozenset({"->", "-->", "=>", "<->", "→", "--", "=", "-"})
_REMARK = re.compile(r"(;|--) [^\t,;|\"]*")
"""A comment in other languages, which is one only before the data: a label may begin so too."""
_NAME = re.compile(r"[^\W\d][\w .#/()-]*")

KnownNames = Callable[[Sequence[str]], tuple[int, ...] | None]
"""Positions of the columns whose names are known among those of a first line; None if it has none."""


@dataclass(frozen=True)
class FileLayout:
    """What a person says about a file of columns; what is None is found out.

    >>> FileLayout(columns="from,to", header=True).chosen_columns
    ('from', 'to')
    """

    columns: str | Sequence[str | int] | None = None
    """The columns to read, by name or by number from 1."""
    header: bool | None = None
    """Whether the first line names the columns."""
    separator: str | None = None
    """tab, comma, semicolon, pipe, blank, or the characters themselves."""
    comment: str | None = None
    """What comments start with, or `none`."""

    @property
    def chosen_columns(self) -> tuple[str, ...]:
        """The columns as texts; none if a person named none."""
        given = self.columns.split(",") if isinstance(self.columns, str) else self.columns or ()
        return tuple(str(column).strip() for column in given)


@dataclass(frozen=True, eq=False)
class Columns:
    """What was understood of a file of columns."""

    path: Path
    cells: tuple[tuple[str, ...], ...]
    """One column after the other, without the header; blanks at the ends of cells are off."""
    numbers: Sequence[int]
    """The line of the file that each row is, from 1."""
    header: tuple[str, ...] | None
    """The names of the columns."""
    separator: Separator
    comments: int = 0
    """Number of lines left out as comments."""
    first_comment: str = ""
    marked: str = ""
    """The first line that begins with a comment mark and was read as data, or nothing."""
    header_doubt: bool = False
    """No header was found, but the first line could be one: its cells appear nowhere else."""

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.cells)

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return len(self.numbers)

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds numbers alone, some of which may be missing."""
        return self._numeric[column]

    @cached_property
    def _numeric(self) -> tuple[bool, ...]:
        return tuple(map(_is_numeric, self.cells))

    def name(self, column: int) -> str:
        """What a column is called in a sentence: its name, or its number from 1."""
        named = self.header is not None and self.header[column]
        return f'"{show_label(named)}"' if named else str(column + 1)


def read_columns(
    path: Path, text: str, layout: FileLayout, *, content: str, known: KnownNames, least: int = 2
) -> Columns:
    """The columns of a file's text, with `content` as what it should hold and at least `least` columns.

    - A *separator* splits all lines into equally many cells: a tab, else a comma, a semicolon, a bar or an
      arrow, else blanks; quotes protect what is inside, and so do brackets except from tabs.
    - What frames every line alike is not part of its cells (see `geomem.worlds.line_frames`).
    - *Comments* begin with `#`, `%` or `//` and stand before the data, or have another shape than they;
      before the data also with `;` or `--` and a blank.
    - The first line is a *header* if `known` knows its names and they do not come again, or if it has no
      number where all other lines have one, or if it counts 0, 1, 2, ... above texts.

    Raises `InputError` where no separator or more than one fits, where a line may be a comment or data, and
    for a layout that the file does not have.

    >>> text = "x,y,km\\nRome,Paris,9\\nParis,Bonn,4"
    >>> found = read_columns(Path("a.csv"), text, FileLayout(), content="rows", known=lambda names: None)
    >>> found.header, found.cells[1], describe_columns(found, (0, 1))
    (('x', 'y', 'km'), ('Paris', 'Bonn'), 'columns 1 and 2 ("x", "y"), separator comma, header yes')
    """
    lines = text.split("\n")
    numbers = [number for number, line in enumerate(lines, 1) if line.strip(" \t")]
    mark = layout.comment
    marks = COMMENT_MARKS if mark is None else () if mark == "none" else (mark,)
    marked = [n for n in numbers if lines[n - 1].lstrip(" \t").startswith(marks)] if marks else []
    if mark is None:
        remarks = itertools.takewhile(lambda n: n in marked or _REMARK.fullmatch(lines[n - 1]), numbers)
        marked = sorted({*marked, *remarks})
    numbers = sorted(set(numbers) - set(marked)) if marked else numbers
    if not numbers:
        raise InputError(
            f"{path} has only comments (line {marked[0]} is '{show_label(lines[marked[0] - 1])}'); "
            f"give {content}, or say --comment none if these lines are data."
        )
    framed = without_frame([lines[n - 1] for n in numbers], numbers)
    numbers = framed.numbers
    if layout.header is None:
        layout = replace(layout, header=framed.header)
    separator, columns = split_columns(path, framed, layout.separator, content=content, least=least)
    data: dict[int, tuple[str, ...]] = {}
    if marked and mark is None:
        data = _data_among_comments(path, marked, lines, separator, columns, numbers[0])
    comments = [n for n in marked if n not in data]
    if data:
        rows = dict(zip(numbers, zip(*columns, strict=True), strict=True)) | data
        numbers = sorted(rows)
        columns = list(zip(*(rows[n] for n in numbers), strict=True))
    if least == 2:  # of three, the one in the middle says something
        columns = _without_arrows(columns)
    header, doubt = _find_header(path, columns, layout, known)
    if header:
        if len(numbers) == 1:
            raise InputError(f"{path} has only a header; give {content} below it.")
        numbers, columns = numbers[1:], [column[1:] for column in columns]
    return Columns(
        path=path,
        cells=tuple(columns),
        numbers=numbers,
        header=header,
        separator=separator,
        comments=len(comments),
        first_comment=lines[comments[0] - 1].strip() if comments else "",
        marked=lines[min(data) - 1].strip() if data else "",
        header_doubt=doubt,
    )


def find_columns(columns: Columns, layout: FileLayout, *, count: int | None = None) -> tuple[int, ...]:
    """Positions, from 0, of the columns that a person names by name or by number from 1.

    Raises `InputError` for one that does not exist, one named twice, or another number of them than `count`.
    """
    positions = []
    folded = [name.casefold() for name in columns.header or ()]
    for given in layout.chosen_columns:
        if given.casefold() in folded:
            positions.append(folded.index(given.casefold()))
        elif given.isascii() and given.isdigit() and 1 <= int(given) <= columns.width:
            positions.append(int(given) - 1)
        else:
            near = get_close_matches(given, columns.header or (), n=1)
            there = ", ".join(map(show_label, columns.header or ())) or f"1 to {columns.width}"
            raise InputError(
                f"{columns.path} has no column '{show_label(given)}'; "
                + (f"did you mean {show_label(near[0])}?" if near else f"its columns are {there}.")
            )
    if len(set(positions)) < len(positions):
        raise InputError(f"--columns names a column of {columns.path} twice; name each once.")
    if count is not None and len(positions) != count:
        raise InputError(
            f"--columns names {counted(len(positions), 'column')} of {columns.path}; "
            f"name {count}, as in --columns {by_number(range(count))}."
        )
    return tuple(positions)


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set of names.

    >>> sorted(words("to from"))
    ['from', 'to']
    """
    return frozenset(text.split())


def plain_name(name: str) -> str:
    """A column's name without case, blanks, hyphens and underscores.

    >>> plain_name("From-Node ID")
    'fromnodeid'
    """
    return re.sub(r"[\s_-]", "", name).casefold()


def counts_rows(cells: Sequence[str]) -> bool:
    """Whether cells count the rows, from 0 or 1.

    >>> counts_rows(["1", "2", "3"]), counts_rows(["2", "3"])
    (True, False)
    """
    start = int(cells[0]) if cells and cells[0] in ("0", "1") else None
    return start is not None and all(cell == str(start + row) for row, cell in enumerate(cells))


def by_number(positions: Sequence[int]) -> str:
    """Columns as `--columns` takes them: by number from 1, which needs no quotes.

    >>> by_number((0, 2))
    '1,3'
    """
    return ",".join(str(position + 1) for position in positions)


def note_missing(cells: Sequence[str], noun: str) -> tuple[str, ...]:
    """A note if a label is written as missing values are.

    >>> note_missing(["Rome", "NaN"], "node")
    ("'NaN' is a node, on 1 line: delete such lines if it stands for a missing value.",)
    """
    found = [cell for cell in cells if cell in MISSING]
    a, lines = "an" if noun == "object" else "a", counted(len(found), "line")
    way = "delete such lines if it stands for a missing value"
    return (f"'{found[0]}' is {a} {noun}, on {lines}: {way}.",) if found else ()


def describe_columns(columns: Columns, positions: Sequence[int]) -> str:
    """What was understood, for one line: the columns read, separator, header, comments with one example."""
    places = [str(position + 1) for position in positions]
    several = f"{', '.join(places[:-1])} and {places[-1]}" if len(places) > 1 else places[0]
    parts = [f"column{'s' if len(places) > 1 else ''} {several}"]
    if columns.header:
        parts[0] += f" ({', '.join(columns.name(position) for position in positions)})"
    parts.append(f"separator {columns.separator.name}")
    doubt = "no header found (--header if the first line is one)" if columns.header_doubt else "header no"
    parts.append("header yes" if columns.header else doubt)
    if columns.comments:
        first = "" if columns.comments == 1 else "the first: "
        comments = f"{first}{show_label(columns.first_comment, 40)}"
        parts.append(f"{counted(columns.comments, 'comment line')} ({comments})")
    if columns.marked:
        parts.append(f"lines like {show_label(columns.marked, 40)} read as data (--comment leaves them out)")
    return ", ".join(parts)


def _data_among_comments(
    path: Path,
    marked: Sequence[int],
    lines: Sequence[str],
    separator: Separator,
    columns: Sequence[tuple[str, ...]],
    first_plain: int,
) -> dict[int, tuple[str, ...]]:
    """The marked lines that are data, by number: those of the data's shape that follow other data."""
    data: dict[int, tuple[str, ...]] = {}
    leading: list[tuple[int, str, list[str]]] = []
    for number in marked:
        try:
            cells = split_line(lines[number - 1], separator)
        except MisplacedQuoteError:
            continue
        mark = next((mark for mark in COMMENT_MARKS if cells[0].startswith(mark)), "")
        rest = cells[0][len(mark) :] if mark else ""
        if len(cells) != len(columns) or not all(cells) or not rest:
            continue
        if number < first_plain:
            leading.append((number, mark, cells))
        elif rest[0] in " \t":
            raise _doubt(path, number, lines, mark)
        else:
            data[number] = tuple(cells)
    known = {cell for column in columns for cell in column} if leading else set()
    marks = {cell[0] for cell in known if cell.startswith(COMMENT_MARKS)} | {
        row[0][0] for row in data.values()
    }
    numbers = _is_numeric(columns[0])
    labels = [
        number
        for number, mark, cells in leading
        if (rest := cells[0][len(mark) :])[0] not in " \t#%/"
        and rest[-1] != ":"
        and is_number(rest) == numbers
    ]
    for number, mark, cells in leading:
        alike = number in labels and (len(labels) > 1 or mark[0] in marks or known & set(cells[1:]))
        if alike or any(cell.startswith(mark) for cell in cells[1:]):
            raise _doubt(path, number, lines, mark)
    return data


def _doubt(path: Path, number: int, lines: Sequence[str], mark: str) -> InputError:
    return InputError(
        f"Line {number} of {path}, '{show_label(lines[number - 1].strip())}', may be a comment (--comment "
        f"'{mark}' leaves out every line that starts with {mark}) or data (--comment none); say which it is."
    )


def _without_arrows(columns: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The columns without one of arrows between the first two labels, which are as the arrows point."""
    if len(columns) > 2 and set(columns[1]) <= {"<-", "<--", "←"}:
        return [columns[2], columns[0], *columns[3:]]
    if len(columns) > 2 and _ARROWS.issuperset(set(columns[1])):
        return [columns[0], *columns[2:]]
    return columns


def _find_header(
    path: Path, columns: Sequence[tuple[str, ...]], layout: FileLayout, known: KnownNames
) -> tuple[tuple[str, ...] | None, bool]:
    """The names of the columns if the first line has them, else None and whether it could have."""
    top = tuple(column[0] for column in columns)
    if layout.header is not None:
        return (top if layout.header else None), False
    folded = [cell.casefold() for cell in top]
    named = [name for name in layout.chosen_columns if not (name.isascii() and name.isdigit())]
    if any(name.casefold() in folded for name in named):
        return top, False
    if len(columns[0]) == 1:
        return None, False
    if _names_columns(columns, 0, known):
        return top, False
    for row in range(1, min(4, len(columns[0]))):
        if _names_columns(columns, row, known):
            names = ", ".join(show_label(column[row]) for column in columns)
            raise InputError(
                f"{path} names its columns below its first line ({names}); delete what stands above them, or "
                "say --no-header if these are labels."
            )
    numeric = [number for number, column in enumerate(columns) if _is_numeric(column[1:])]
    if not numeric and top == tuple(map(str, range(len(top)))):
        return top, False  # a data frame without names
    if numeric[:1] == [0] and top[0] == "" and all(top[1:]) and len(top) > 2:
        return top, False  # a data frame writes its index below an empty name
    if any(is_number(top[number]) for number in numeric):
        return None, False
    texts = [number for number in range(len(columns)) if number not in numeric]
    repeated = {cell for number in texts for cell in columns[number][1:]} & set(top)
    enough = len(numeric) == len(columns) or len(columns[0]) > 2
    if numeric and enough and not repeated and not any(top[number] in MISSING for number in numeric):
        return top, False
    return None, not repeated and len(columns[0]) > 2 and all(_NAME.fullmatch(cell) for cell in top)


def _names_columns(columns: Sequence[tuple[str, ...]], row: int, known: KnownNames) -> bool:
    """Whether a row has names that are known, and no other row has such in the same columns."""
    positions = known([column[row] for column in columns])
    if not positions:
        return False
    names = {columns[position][row] for position in positions}
    others = {
        cell for position in positions for cell in (*columns[position][:row], *columns[position][row + 1 :])
    }
    stems = {stem for name in names if (stem := _stem(name)) not in ("", name)}
    return not others & names and not any(_stem(cell) in stems for cell in others if stems)


def _stem(name: str) -> str:
    """A name without the number or word at its end: `gene1` and `gene2` are nodes if `gene3` follows."""
    return re.sub(r"([0-9]+|[\s_-][^\s_-]*)$", "", name) if len(name) < 100 else name


def _is_numeric(cells: Sequence[str]) -> bool:
    """Whether cells are numbers, some of which may be missing."""
    few = set(cells[:1000]) - MISSING
    if few and not are_numbers(few):
        return False
    values = set(cells) - MISSING
    return bool(values) and are_numbers(values)
