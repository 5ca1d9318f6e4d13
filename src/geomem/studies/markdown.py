"""Sections of a page in Markdown that a command writes: tables and lines between two marks."""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import polars as pl

from geomem.errors import InputError
from geomem.files import read_bytes, replace_file, text_file

MISSING = "–"
LARGEST_PAGE = 1 << 22


def write_sections(path: Path, sections: Mapping[str, Sequence[str]]) -> None:
    """Exchange the lines between `<!-- name -->` and `<!-- end of name -->` for each section of a page.

    Raises `InputError` if the page cannot be read or lacks the marks.
    """
    replace_file(path, text_file(exchange_sections(path, sections)))


def exchange_sections(path: Path, sections: Mapping[str, Sequence[str]]) -> str:
    """What `write_sections` would write; raises `InputError` as it does."""
    try:
        page = read_bytes(path, LARGEST_PAGE).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8; give a page in Markdown.") from None
    for name, lines in sections.items():
        try:
            page = replace_section(page, name, lines)
        except ValueError:
            raise InputError(
                f"{path} has not one line <!-- {name} --> with <!-- end of {name} --> below it; add both."
            ) from None
    return page


def replace_section(page: str, name: str, lines: Sequence[str]) -> str:
    """A page with the lines between two marks exchanged; raises `ValueError` unless it has both once.

    >>> replace_section("<!-- a -->\\nold\\n<!-- end of a -->\\n", "a", ["new"])
    '<!-- a -->\\nnew\\n<!-- end of a -->\\n'
    """
    before, rest = page.split(f"<!-- {name} -->\n")
    _, after = rest.split(f"<!-- end of {name} -->\n")
    return f"{before}<!-- {name} -->\n" + "\n".join(lines) + f"\n<!-- end of {name} -->\n{after}"


def markdown_lines(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table.

    >>> markdown_lines(["a", "b"], [["1", "2"]])
    ['| a | b |', '| --- | --- |', '| 1 | 2 |']
    """
    lines = [titles, ["---"] * len(titles), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def frame_lines(table: pl.DataFrame) -> list[str]:
    """The lines of a frame; fractions have two digits and no zero before the point.

    >>> frame_lines(pl.DataFrame({"arm": ["noise"], "level": [0.25], "lead": [-0.5], "runs": [5]}))[-1]
    '| noise | .25 | −.50 | 5 |'
    """
    return markdown_lines(table.columns, [[format_cell(value) for value in row] for row in table.rows()])


def format_cell(value: Any, digits: int = 2) -> str:
    """One cell of a table: words and whole numbers as they are.

    >>> format_cell(None), format_cell(0.0321, 3), format_cell(float("nan")), format_cell(-0.001)
    ('–', '.032', '–', '.00')
    >>> format_cell(10.0), format_cell(-0.5)
    ('10.00', '−.50')
    """
    if value is None or (isinstance(value, float) and isnan(value)):
        return MISSING
    if not isinstance(value, float):
        return str(value)
    rounded = round(value, digits) + 0.0  # no minus before a zero
    sign, whole = "−" if rounded < 0 else "", f"{abs(rounded):.{digits}f}"
    return sign + (whole[1:] if whole.startswith("0.") else whole)
