"""What stands between the columns of a line: tabs, commas, arrows, blanks; quotes and brackets protect."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from geomem.errors import InputError
from geomem.worlds.text_file import is_number

_PATTERNS = {" ": r"[ \t]+", " - ": "[ \t][-\u2013\u2014][ \t]", ": ": r":[ \t]+"}


@dataclass(frozen=True)
class Separator:
    """One way to split a line into cells."""

    name: str
    """As `--separator` takes it."""
    text: str
    """The characters themselves."""
    arrow: bool = False
    """It stands between two labels only: a line has exactly one."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What is looked for in a line."""
        return re.compile(_PATTERNS.get(self.text, re.escape(self.text)))


TAB = Separator("tab", "\t")
BLANK = Separator("blank", " ")
COMMA = Separator("comma", ",")
MARKS = (COMMA, Separator("semicolon", ";"), Separator("pipe", "|"))
ARROWS = tuple(Separator(text, text, arrow=True) for text in ("<->", "-->", "->", "=>", "→", "--", "="))
DASH = Separator("-", " - ", arrow=True)
COLON = Separator("colon", ": ", arrow=True)
SEPARATORS = (TAB, *MARKS, *ARROWS, DASH, COLON, BLANK)

_PROTECTING = re.compile(r'["(\[{]')
_QUOTED = re.compile(r'[ ]*"((?:[^"]|"")*)"')
_BLANKS = re.compile(r"[ \t]*")
_OPENING = re.compile(r"[(\[{]")
_BRACKET = re.compile(r"[()\[\]{}]")
_BRACKET_OR_TEXT = re.compile(r"'[^'\\]*'|\"[^\"\\]*\"|[()\[\]{}]")
_CLOSES = {"(": ")", "[": "]", "{": "}"}


class MisplacedQuoteError(ValueError):
    """A cell that starts with a double quote does not end with one."""


def name_separator(name: str) -> Separator:
    """The separator that a person names: by a word, or by its characters.

    Raises `InputError` for a name that is neither.

    >>> name_separator("tab").text == name_separator("\\t").text == "\\t"
    True
    """
    given = {"\\t": "\t", "space": " ", "whitespace": " "}.get(name, name)
    for separator in SEPARATORS:
        if given in (separator.name, separator.text):
            return separator
    if not 0 < len(given) <= 3 or given.isalnum() or '"' in given or "\n" in given:
        known = ", ".join(separator.name for separator in SEPARATORS)
        raise InputError(f"The separator {name!r:.40} is not one of {known}, nor another mark; give one.")
    return Separator(given, given)


def split_line(line: str, separator: Separator) -> list[str]:
    """The cells of a line, without blanks at their ends; quotes as in CSV, and what brackets hold is one.

    A cell between tabs that only starts with a double quote is a label. Raises `MisplacedQuoteError` for such
    a cell between other separators.

    >>> split_line("Ann Bob {'weight': 1, 'kind': 'friend'}", BLANK)
    ['Ann', 'Bob', "{'weight': 1, 'kind': 'friend'}"]
    >>> split_line('"a, b",c', COMMA)
    ['a, b', 'c']
    """
    line = line.strip(" " if separator is TAB else " \t")
    pattern = separator.pattern
    if not _PROTECTING.search(line):
        return [cell.strip(" \t") for cell in pattern.split(line)]
    masked = line if separator is TAB else _mask_brackets(line)
    cells, start = [], 0
    while True:
        quoted = _QUOTED.match(line, start)
        if quoted:
            end = quoted.end()
            if separator is not BLANK and separator is not TAB and not separator.text.startswith(" "):
                end = _BLANKS.match(line, end).end()  # type: ignore[union-attr]
            after = pattern.match(line, end)
            if after or end == len(line):
                cells.append(quoted[1].replace('""', '"'))
                if not after:
                    return cells
                start = after.end()
                continue
        if separator is not TAB and line[start : start + 200].lstrip(" ").startswith('"'):
            raise MisplacedQuoteError(line[start : start + 40])
        found = pattern.search(masked, start)
        cells.append(line[start : found.start() if found else len(line)].strip(" \t"))
        if not found:
            return cells
        start = found.end()


def _mask_brackets(line: str) -> str:
    """The line with other characters where brackets that close as they should hold it together."""
    if not _OPENING.search(line):
        return line
    # Inside brackets a text in quotes may hold brackets; an apostrophe may also be only that.
    for token in (_BRACKET_OR_TEXT, _BRACKET):
        pieces, place, start, open_brackets = [], 0, 0, []
        while match := (token if open_brackets else _BRACKET).search(line, place):
            place, mark = match.end(), match.group()
            if mark in _CLOSES:
                if not open_brackets:
                    pieces.append(line[start : match.start()])
                    start = match.start()
                open_brackets.append(_CLOSES[mark])
            elif len(mark) == 1:
                if not open_brackets or open_brackets.pop() != mark:
                    open_brackets.append("")
                    break
                if not open_brackets:
                    pieces.append("x" * (place - start))
                    start = place
        if not open_brackets:
            return "".join(pieces) + line[start:]
    return line


def try_separator(
    lines: Sequence[str], separator: Separator, *, least: int = 2
) -> list[tuple[str, ...]] | None:
    """The columns, if the separator splits every line into equally many cells, at least `least`.

    Cells that are missing at the ends of some lines count where they are empty in all others.

    >>> try_separator(["a,b", "c,d"], COMMA), try_separator(["a,b", "c,d,e"], COMMA)
    ([('a', 'c'), ('b', 'd')], None)
    """
    if len(lines) > 200 and try_separator(lines[:100], separator, least=least) is None:
        return None
    whole = "\n".join(lines)
    if (
        _PROTECTING.search(whole)
        or separator in (DASH, COLON)
        or (separator is BLANK and not whole.isascii())
    ):
        columns = _columns_of_rows(lines, separator)
    elif separator is BLANK:
        widths = {len(line.split()) for line in lines}
        # One flat list: a million small ones would take longer to look after than to make.
        columns = _columns_of_cells(whole.split(), widths.pop()) if len(widths) == 1 else None
    else:
        text = separator.text
        widths = {line.count(text) + 1 for line in lines}
        if len(widths) == 1:
            columns = _columns_of_cells(whole.replace("\n", text).split(text), widths.pop())
        else:
            columns = _columns_of_rows(lines, separator)
        if columns and re.search(r"[ \t]", whole):
            columns = [tuple(cell.strip(" \t") for cell in column) for column in columns]
    if columns is None or len(columns) < least:
        return None
    if separator.arrow and not (len(columns) == 2 and all(columns[0]) and all(columns[1])):
        return None
    return columns


def _columns_of_cells(cells: list[str], width: int) -> list[tuple[str, ...]]:
    return [tuple(cells[column::width]) for column in range(width)]


def _quoted_columns(lines: Sequence[str], separator: Separator) -> list[tuple[str, ...]] | None:
    """The columns of lines with quotes as in CSV, read at C speed; None if not all lines are such."""
    reader = csv.reader(lines, delimiter=separator.text, skipinitialspace=True, strict=True)
    widths: set[int] = set()
    cells: list[str] = []
    try:
        for row in reader:
            widths.add(len(row))
            cells += row
    except csv.Error:
        return None
    if len(widths) != 1 or len(cells) != len(lines) * (width := widths.pop()):
        return None
    return [tuple(cell.strip(" \t") for cell in cells[column::width]) for column in range(width)]


def _columns_of_rows(lines: Sequence[str], separator: Separator) -> list[tuple[str, ...]] | None:
    if (
        separator in MARKS
        and not any(map(_OPENING.search, lines))
        and (columns := _quoted_columns(lines, separator))
    ):
        return columns
    try:
        rows = [split_line(line, separator) for line in lines]
    except MisplacedQuoteError:
        return None
    if len(found := set(map(len, rows))) > 1:
        width = max(len(row) - next((n for n, cell in enumerate(reversed(row)) if cell), 0) for row in rows)
        if width > min(found):
            return None
        rows = [row[:width] for row in rows]
    return list(zip(*rows, strict=True))


def find_separator(lines: Sequence[str], *, least: int = 2) -> tuple[Separator, ...]:
    """The separator that splits all lines alike; several if they are equally plausible, none if none does.

    A tab goes before all others and blanks after them; a comma in decimal numbers does not separate.

    >>> [found.name for found in find_separator(["Berlin;Paris;0,5", "Paris;Rome;1,25"])]
    ['semicolon']
    >>> [found.name for found in find_separator(["a,b;c", "d,e;f"])]
    ['comma', 'semicolon']
    """
    if try_separator(lines, TAB, least=least):
        return (TAB,)
    marks = {mark: found for mark in MARKS if (found := try_separator(lines, mark, least=least))}
    if COMMA in marks:
        others = [columns for mark, columns in marks.items() if mark is not COMMA]
        if not others and (blank := try_separator(lines, BLANK, least=least)):
            others = [blank]
        for columns in others:
            cells = {cell for column in columns for cell in column if "," in cell}
            if cells and all(map(is_number, cells)):
                return tuple(mark for mark in marks if mark is not COMMA) or (BLANK,)
    arrows = [arrow for arrow in (*ARROWS, DASH, COLON) if least <= 2 and try_separator(lines, arrow)]
    arrows = [
        arrow for arrow in arrows if not any(arrow.text in other.text for other in arrows if other != arrow)
    ]
    if marks or len(arrows) > 1:
        return (*marks, *arrows)
    if arrows:
        # What stands behind an arrow or a colon may be more than a label if it has blanks.
        blank = try_separator(lines, BLANK)
        if arrows[0] is COLON:
            plain = blank is not None and len(blank) == 2
        elif arrows[0] is DASH or all(re.search(rf"\s{re.escape(arrows[0].text)}\s", line) for line in lines):
            plain = blank is None or len(blank) == 3
        else:
            plain = blank is None
        unsplit = any(line_width(line, BLANK) == 0 for line in lines)  # by a quote out of place
        return (arrows[0],) if plain or unsplit else (arrows[0], BLANK)
    return (BLANK,) if not _are_tabbed(lines) and try_separator(lines, BLANK, least=least) else ()


def likely_separator(lines: Sequence[str]) -> tuple[Separator, list[int]] | None:
    """Where no separator splits all lines alike: the one that does so with most, and the width of every line.

    A width of 0 says that a quote is out of place. None if no line has any.

    >>> likely_separator(["a,b", "c,d,e", "f,g"])[1]
    [2, 3, 2]
    """
    best: tuple[int, Separator, list[int]] | None = None
    for separator in (TAB, *MARKS) if _are_tabbed(lines) else (TAB, *MARKS, BLANK):
        found = [line_width(line, separator) for line in lines]
        wide = Counter(width for width in found if width > 1)
        if wide and (best is None or wide.most_common(1)[0][1] > best[0]):
            best = (wide.most_common(1)[0][1], separator, found)
    return best[1:] if best else None


def _are_tabbed(lines: Sequence[str]) -> bool:
    """Whether most lines have a tab inside: then blanks are part of labels."""
    return 2 * sum("\t" in line.strip() for line in lines) > len(lines)


def line_width(line: str, separator: Separator) -> int:
    """The number of cells in a line, 0 if a quote is out of place.

    >>> line_width("a,b", COMMA), line_width('"a" b,c', COMMA)
    (2, 0)
    """
    try:
        return len(split_line(line, separator))
    except MisplacedQuoteError:
        return 0
