"""How a text of vectors is laid out: its separator, its header, and which column holds the labels."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from geomem.errors import InputError
from geomem.measure.vectors.lines import SNIFFED_LINES
from geomem.measure.vectors.matching import label_key, names_labels
from geomem.worlds.text_file import COMMENT_MARKS, counted

COUNTER_TITLES = ("", "index", "unnamed: 0")
"""Titles of a column, in lower case, that may count the rows: data frames write one."""

COVERED = 0.9
"""A first column of numbers holds labels if so many of them name nodes, or so many of the nodes are named."""

DECIMAL_COMMA = "[+-]?[0-9]+,[0-9]+"
"""A number that is not read."""

SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", " ": "blanks"}


@dataclass(frozen=True)
class Layout:
    """How the lines of one file are read."""

    separator: str
    """Tab, comma, semicolon, or a blank for any number of blanks and tabs."""
    width: int
    columns: int
    """Cells per line; a label with blanks may bring more where the separator is a blank."""
    label_column: int | None = None
    header_lines: int = 0
    """Lines at the beginning that hold no vector."""
    titles: tuple[str, ...] = ()
    """The cells of the header, if there is one."""
    promised: int | None = None
    """How many lines word2vec's first line says will follow."""
    row_number_column: int | None = None
    """A column that only counts the rows."""
    quoted: bool = False
    """Whether labels between blanks stand in double quotes."""


def find_layout(
    path: Path, lines: Sequence[str], names: Sequence[str], *, has_labels: bool = False
) -> Layout:
    """The layout of a text that begins with these lines.

    - The separator is the one of tab, comma, semicolon and blank that leaves numbers in most columns.
    - `count width`, word2vec's first line, is known by the columns of the lines below it.
    - The first line is a header if it has no number where the lines below have them, or if it counts
      0, 1, 2, ... there, as the columns of a data frame do, and the numbers below have decimals.
    - The labels are the column of text, else one titled as `label`, `node`, `word`, ... (`names_labels`),
      else a first column of whole numbers that are among the names. Between blanks a label is what
      stands before the last numbers.
    - A first column without a title that counts 0, 1, 2, ... and holds no labels counts the rows.

    With `has_labels` the labels come from elsewhere, and a column of them is refused. Raises `InputError` if
    there is no line, several columns hold text, or word2vec's first line contradicts the second.

    >>> layout = find_layout(Path("v.txt"), ["2 3", "New York 1 2 3", "Ohio 4 5 6"], ["Ohio", "New York"])
    >>> layout.separator, layout.width, layout.label_column, layout.promised
    (' ', 3, 0, 2)
    """
    lines, skipped = _without_comments(lines)
    if not lines:
        raise InputError(f"The file {str(path)!r} is empty; give one line of numbers per node.")
    below = lines[1:] or lines
    separator = max(SEPARATORS, key=lambda mark: _numbers_left(lines, mark))
    promised, width = _promise(path, lines, separator, is_part=skipped + len(lines) == SNIFFED_LINES)
    columns = _column_count(below, separator) if promised is None else width + 1
    rows = [_row(line, separator, columns) for line in lines]
    body = [row for row in rows[1:] or rows if len(row) == columns]
    texts = _text_columns(body)
    titles = _titles(rows, body, texts) if promised is None and len(rows) > 1 else []
    if promised is None and not titles and len(rows[0]) == columns:
        body = [rows[0], *body] if len(rows) > 1 else body
    label = _label_column(path, body, texts, titles, names, promised is not None)
    if has_labels and label is not None and (texts or titles):
        raise InputError(
            f"Column {label + 1} of {str(path)!r} holds labels, and --labels gives others; leave out one "
            "of them."
        )
    label = None if has_labels else label
    counts = columns > 1 and label != 0 and titles and titles[0].lower() in COUNTER_TITLES
    row_number = 0 if counts and [row[0] for row in body] == list(map(str, range(len(body)))) else None
    width = columns - (label is not None) - (row_number is not None)
    if width == 0:
        raise InputError(f"The file {str(path)!r} has no column of numbers; give a label and numbers a line.")
    return Layout(
        separator=separator,
        width=width,
        columns=columns,
        label_column=label,
        header_lines=skipped + (promised is not None or bool(titles)),
        titles=tuple(titles),
        promised=promised,
        row_number_column=row_number,
        quoted=separator == " " and label is not None and all(_is_quoted(row[label]) for row in body),
    )


def describe_layout(layout: Layout) -> str:
    """What was understood, in words.

    >>> describe_layout(Layout(",", width=2, columns=3, label_column=0, titles=("id", "x", "y")))
    "separated by commas, header yes, labels in column 1 ('id')"
    """
    said = [f"separated by {SEPARATORS[layout.separator]}"] if layout.columns > 1 else ["one column"]
    said.append(
        "word2vec's first line"
        if layout.promised is not None
        else f"header {'yes' if layout.titles else 'no'}"
    )
    if layout.label_column is not None:
        title = layout.titles[layout.label_column] if layout.titles else ""
        said.append(f"labels in column {layout.label_column + 1}" + (f" ({title[:40]!r})" if title else ""))
    if layout.row_number_column is not None:
        said.append(f"column {layout.row_number_column + 1} counts the rows and is left out")
    return ", ".join(said)


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of a line; a cell may stand in double quotes, with quotes inside doubled.

    >>> cells_of('"a, b",1', ","), cells_of('",1', ",")
    (['a, b', '1'], ['"', '1'])
    """
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter=separator, strict=True))
        except csv.Error:
            pass  # a quotation mark that is the label itself, as in vocabularies of words
    return line.split(separator)


def one_blank(line: str) -> str:
    """The line with single blanks between its cells and none around them.

    >>> one_blank(" a\\t1   2 ")
    'a 1 2'
    """
    line = line.strip(" \t")
    return re.sub("[ \t]+", " ", line) if "  " in line or "\t" in line else line


def is_number(cell: str) -> bool:
    """Whether Python reads the cell as a number.

    >>> is_number("1e-3"), is_number("0,5")
    (True, False)
    """
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _without_comments(lines: Sequence[str]) -> tuple[list[str], int]:
    """The lines after the comments at the beginning, and how many those are."""
    shapes = [_shape(re.split(r"[\t,; ]+", line.strip())) for line in lines]
    usual = Counter(shapes).most_common(1)[0][0] if shapes else None
    for at, line in enumerate(lines):
        # A word of a vocabulary may begin with # as well: then it has the shape of the others.
        is_vector = shapes[at] == usual and shapes[at][0] > 0
        if is_vector or not line.lstrip().startswith(COMMENT_MARKS):
            return list(lines[at:]), at
    return [], len(lines)


def _shape(cells: Sequence[str]) -> tuple[int, bool]:
    """How many numbers stand at the end of a line, and whether something else stands before them."""
    numbers = next((at for at, cell in enumerate(reversed(cells)) if not is_number(cell)), len(cells))
    return numbers, numbers < len(cells)


def _row(line: str, separator: str, columns: int) -> list[str]:
    if separator != " ":
        return cells_of(line, separator)
    return one_blank(line).rsplit(" ", columns - 1)


def _numbers_left(lines: Sequence[str], separator: str) -> int:
    """How many cells stand in columns of numbers in the lines that a separator splits alike."""
    columns = _column_count(lines, separator)
    rows = [row for line in lines if len(row := _row(line, separator, columns)) == columns]
    return len(rows) * (columns - len(_text_columns(rows)))


def _column_count(lines: Sequence[str], separator: str) -> int:
    """The most common number of cells; between blanks a label of several words is one cell."""
    if separator != " ":
        return _most_common(len(cells_of(line, separator)) for line in lines)
    rows = [one_blank(line).split(" ") for line in lines]
    behind = [_shape(row)[0] for row in rows]
    if all(count == len(row) for count, row in zip(behind, rows, strict=True)):
        return _most_common(map(len, rows))
    return 1 + _most_common(min(count, len(row) - 1) for count, row in zip(behind, rows, strict=True))


def _most_common(counts: Iterable[int]) -> int:
    found = Counter(counts)
    return max(found, key=lambda count: (found[count], count))


def _text_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    columns = len(rows[0]) if rows else 0
    return [at for at in range(columns) if 2 * sum(is_number(row[at]) for row in rows) < len(rows)]


def _promise(path: Path, lines: Sequence[str], separator: str, *, is_part: bool) -> tuple[int | None, int]:
    """Count and width as word2vec's first line gives them; None if the first line is another."""
    first = re.fullmatch(r"([0-9]{1,12})[\t,; ]+([0-9]{1,12})", lines[0].strip())
    if first is None or len(lines) == 1:
        return None, 0
    count, width = int(first[1]), int(first[2])
    columns = _column_count(lines[1:], separator)
    if columns == 2 and (width != 1 or not (is_part or count == len(lines) - 1)):
        return None, 0
    cells = len(one_blank(lines[1]).split(" ")) if separator == " " else columns
    if width < 1 or cells < width + 1 or (separator != " " and cells != width + 1):
        raise InputError(
            f"The first line of {str(path)!r} promises vectors of width {width:,}, and the next line has "
            f"{counted(cells, 'column')}; give a label and numbers on every line, or no first line."
        )
    return count, width


def _titles(rows: Sequence[Sequence[str]], body: Sequence[Sequence[str]], texts: Sequence[int]) -> list[str]:
    """The cells of the header, if the first row is one."""
    columns = len(body[0])
    # R leaves out the title of the names of rows.
    top = ["", *rows[0]] if len(rows[0]) == columns - 1 else list(rows[0])
    if len(top) != columns:
        return []
    top = [title.strip().strip('"') for title in top]
    numbers = [
        at
        for at, title in enumerate(top)
        if at not in texts and not names_labels(title) and title.lower() not in COUNTER_TITLES
    ]
    titles = [top[at] for at in numbers]
    counted = titles == list(map(str, range(len(titles))))
    has_decimals = any(_has_decimals(row[at]) for row in body for at in numbers)
    if titles and (not any(map(is_number, titles)) or (counted and has_decimals)):
        return top
    return []


def _label_column(
    path: Path,
    body: Sequence[Sequence[str]],
    texts: Sequence[int],
    titles: Sequence[str],
    names: Sequence[str],
    is_word2vec: bool,
) -> int | None:
    if len(body[0]) == 1:
        return None
    if len(texts) > 1:
        if all(re.search(rf"[;\t]{DECIMAL_COMMA}([;\t]|$)", ",".join(row)) for row in body):
            raise InputError(
                f"The numbers of {str(path)!r} have commas before their decimals, as in "
                f"{','.join(body[0])[:60]!r}; write decimals with a point."
            )
        columns = " and ".join(f"{at + 1} ({body[0][at][:40]!r})" for at in texts[:2])
        raise InputError(
            f"Columns {columns} of {str(path)!r} both hold text; keep one column of labels beside the "
            "numbers."
        )
    if texts or is_word2vec:
        return texts[0] if texts else 0
    titled = [at for at, title in enumerate(titles) if names_labels(title)]
    if len(titled) == 1:
        return titled[0]
    keys = [label_key(row[0]) for row in body]
    if len({row[0] for row in body}) < len(body) or not all(re.fullmatch("[0-9]+", key) for key in keys):
        return None
    named = len(set(map(label_key, names)).intersection(keys))
    if named >= COVERED * min(len(keys), len(names)):
        return 0
    counts = titles and titles[0].lower() in COUNTER_TITLES
    beside = sum(any(map(_has_decimals, row[1:])) for row in body)
    return 0 if not counts and beside >= COVERED * len(body) else None


def _has_decimals(cell: str) -> bool:
    return "." in cell or "e" in cell.lower()


def _is_quoted(label: str) -> bool:
    return len(label) > 2 and label[0] == label[-1] == '"'
