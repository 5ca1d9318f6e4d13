"""Lines of data: what frames all of them alike is taken off, and what separates their cells is found."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geomem.errors import InputError
from geomem.worlds.separators import (
    BLANK,
    MARKS,
    TAB,
    MisplacedQuoteError,
    Separator,
    find_separator,
    likely_separator,
    line_width,
    name_separator,
    split_line,
    try_separator,
)
from geomem.worlds.text_file import counted, show_label

_RULE_MARKS = re.compile(r"[-=+|: \t]+")
_BAR_AND_DASH = re.compile(r"\|[ :]*-")
_EXCEL = re.compile(r"sep=([^\s\w])[ \t]*", re.IGNORECASE)
_WRAPPED = re.compile(r"\(([^()\[\]{}]+)\)|\[([^()\[\]{}]+)\]|\{([^()\[\]{}]+)\}")


@dataclass(frozen=True)
class Lines:
    """Lines of data, with what their frame says about them."""

    texts: list[str]
    numbers: list[int]
    """The line of the file that each is, from 1."""
    separator: str | None = None
    """What a first line `sep=;`, as Excel reads it, names."""
    header: bool | None = None
    """True if a rule stands below the first line, or the first line lacks the name of the rows."""


def without_frame(texts: Sequence[str], numbers: Sequence[int]) -> Lines:
    """The lines without what all of them have around their cells.

    That is a first line `sep=;`; rules and outer bars, as tables in Markdown have; a comma or semicolon at
    the end of every line; a pair of brackets around every line. Where R writes names of rows without a name
    for them, the first line gets an empty cell.

    >>> without_frame(["| from | to |", "|------|----|", "| Rome | Bonn |"], [1, 2, 3]).texts
    ['from | to', 'Rome | Bonn']
    >>> without_frame(["(Rome, Bonn),", "(Bonn, Bern),"], [1, 2]).texts
    ['Rome, Bonn', 'Bonn, Bern']
    """
    lines = Lines(list(texts), list(numbers))
    if (excel := _EXCEL.fullmatch(lines.texts[0])) and len(texts) > 1:
        lines = replace(lines, texts=lines.texts[1:], numbers=lines.numbers[1:], separator=excel[1])
    lines = _without_rules(lines)
    for mark in ",;":
        if len(lines.texts) > 1 and all(line.rstrip(" \t").endswith(mark) for line in lines.texts):
            lines = replace(lines, texts=[line.rstrip(" \t" + mark) for line in lines.texts])
    if all(_WRAPPED.fullmatch(line.strip(" \t")) for line in lines.texts):
        lines = replace(lines, texts=[line.strip(" \t")[1:-1] for line in lines.texts])
    if separator := _lacks_name_of_rows(lines.texts):
        top = f'""{separator.text}{lines.texts[0].lstrip(" ")}'
        lines = replace(lines, texts=[top, *lines.texts[1:]], header=True)
    return lines


def _without_rules(lines: Lines) -> Lines:
    rules = [place for place, line in enumerate(lines.texts) if _is_rule(line)]
    if not rules or len(rules) > len(lines.texts) - 2:
        return lines
    kept = [place for place in range(len(lines.texts)) if place not in set(rules)]
    texts = [lines.texts[place].strip(" \t") for place in kept]
    if all(line.startswith("|") and line.endswith("|") and len(line) > 1 for line in texts):
        texts = [line[1:-1].strip(" \t") for line in texts]
    below_first = kept[0] + 1 in rules
    return replace(
        lines, texts=texts, numbers=[lines.numbers[place] for place in kept], header=below_first or None
    )


def _is_rule(line: str) -> bool:
    """Whether a line is a rule of a table: dashes, equal signs, bars and crosses alone."""
    if not _RULE_MARKS.fullmatch(line):  # one pattern for all of it would take the square of its length
        return False
    bars = "=" not in line and _BAR_AND_DASH.search(line) is not None
    return "---" in line or bars or ("===" in line and not set(line) & set("-|:"))


def _lacks_name_of_rows(texts: Sequence[str]) -> Separator | None:
    """The separator by which the first line has one cell fewer than all others, whose first cells count them.

    In a matrix they repeat the first line.
    """
    if len(texts) < 3:
        return None
    for separator in (TAB,) if "\t" in texts[1] else (*MARKS, BLANK):
        try:
            top, *below = (split_line(line, separator) for line in texts[:3])
        except MisplacedQuoteError:
            continue
        if len(top) < 2 or not all(len(row) == len(top) + 1 for row in below):
            continue
        columns = try_separator(texts[1:], separator)
        if columns is None:
            continue
        counts = [tuple(str(start + row) for row in range(len(texts) - 1)) for start in (0, 1)]
        labels = {cell for column in columns[1:] for cell in column}
        if (columns[0] in counts and not labels & {*top}) or list(columns[0]) == top:
            return separator
    return None


def split_columns(
    path: Path, lines: Lines, named: str | None, *, content: str, least: int
) -> tuple[Separator, list[tuple[str, ...]]]:
    """The separator, as `named` or as it fits all lines, and the columns, at least `least`.

    Raises `InputError` where none or more than one fits, with the first line of another width than most.

    >>> split_columns(Path("a"), Lines(["a,b", "c,d"], [1, 2]), None, content="edges", least=2)[1]
    [('a', 'c'), ('b', 'd')]
    """
    named = lines.separator if named is None else named
    found = find_separator(lines.texts, least=least) if named is None else (name_separator(named),)
    first = f"Line {lines.numbers[0]} of {path}"
    if len(found) > 1:
        ways = [
            f"by {one.name} line {lines.numbers[0]} is "
            f"{' | '.join(map(show_label, split_line(lines.texts[0], one)))} "
            f"(--separator {one.name if one.name.isalnum() else repr(one.name)})"
            for one in found[:2]
        ]
        raise InputError(f"{path} can be read in two ways: {' and '.join(ways)}; say which is meant.")
    separator = next(iter(found), None)
    columns = try_separator(lines.texts, separator, least=1) if separator else None
    if separator and columns and len(columns) >= least:
        return separator, columns
    likely = (separator, [line_width(line, separator) for line in lines.texts]) if separator else None
    likely = likely or likely_separator(lines.texts)
    if likely is None:
        raise InputError(
            f"{first} has 1 column ('{show_label(lines.texts[0])}'); give {content}, or name what stands "
            "between the columns with --separator."
        )
    separator, widths = likely
    if 0 in widths:
        raise InputError(
            f"Line {lines.numbers[widths.index(0)]} of {path} has a double quote out of place; "
            "put a label with quotes or separators in double quotes on one line, and double those inside."
        )
    usual = max(set(widths), key=lambda width: (widths.count(width), -widths.index(width)))
    odd = next((place for place, width in enumerate(widths) if width != usual), None)
    advice = f"(separator {separator.name}); give {content},"
    if odd is None:
        raise InputError(f"{first} has {counted(usual, 'column')} {advice} or name another --separator.")
    if usual < least <= widths[odd]:
        usual, odd = widths[odd], widths.index(usual)
    raise InputError(
        f"Line {lines.numbers[odd]} of {path} has {counted(widths[odd], 'column')} and most lines have "
        f"{usual} {advice} a label that holds the separator in double quotes, or name another --separator."
    )
