"""Vectors in text: word2vec's and GloVe's layouts, and tables with commas, semicolons or tabs.

Axis names: `row` (a line with a vector), `width`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from geomem.errors import InputError
from geomem.measure.vectors.layout import (
    DECIMAL_COMMA,
    Layout,
    cells_of,
    describe_layout,
    find_layout,
    is_number,
    one_blank,
)
from geomem.measure.vectors.lines import first_lines, read_lines
from geomem.measure.vectors.matching import Match, match_rows
from geomem.worlds.text_file import counted

LARGEST_KEPT = 1 << 28
"""Numbers that are kept, 2 GiB in float64."""

PARSED_LINES = 4096
"""Lines whose numbers are read at once: their cells, as Python's texts, take more memory than the numbers."""


@dataclass(frozen=True)
class VectorTable:
    """Vectors found in a file: those of the matched rows, or all in the order of the lines."""

    vectors: Float[np.ndarray, "row width"]
    match: Match[int] | None
    """Which row of `vectors` belongs to which name; None where the lines have no labels."""
    row_count: int
    layout: str
    """How the file was read, in words."""


def read_text_table(path: Path, names: Sequence[str], *, labels: Sequence[str] | None = None) -> VectorTable:
    """Vectors of a text file; rows with labels are matched to the names and all others let go.

    How columns, header and labels are found is said in `find_layout`. `labels` come from elsewhere, one per
    row.
    Raises `InputError` for a file that is binary, too large, empty or cut off, a line of another width, a
    word where a number is expected, and two rows for one node.
    """
    first = first_lines(path)
    layout = find_layout(path, first, names, has_labels=labels is not None)
    check_kept(path, names, layout.width)
    rows = _rows(path, layout)
    if labels is not None:
        rows = _relabelled(path, rows, labels)
    elif layout.label_column is None:
        return _in_order(path, layout, rows, len(names))
    match = match_rows(rows, names)
    vectors = _numbers(path, layout, list(match.rows.values()))
    places = {node: row for row, node in enumerate(match.rows)}
    kept = match.with_rows(places)
    return VectorTable(vectors, kept, match.row_count, describe_layout(layout))


def check_kept(path: Path, names: Sequence[str], width: int) -> None:
    """Raise `InputError` for more numbers than are kept."""
    if len(names) * width > LARGEST_KEPT:
        raise InputError(
            f"The file {str(path)!r} has {width:,} numbers for each of {len(names):,} nodes, "
            f"and at most {LARGEST_KEPT:,} numbers are kept; give narrower vectors."
        )


def _in_order(
    path: Path, layout: Layout, rows: Iterable[tuple[str, tuple[int, str]]], most: int
) -> VectorTable:
    kept, count = [], 0
    for _, line in rows:
        count += 1
        if count <= most:
            kept.append(line)
    # Where there are more rows than names nothing is measured, and their number is all that is asked for.
    return VectorTable(_numbers(path, layout, kept), None, count, describe_layout(layout))


def _rows(path: Path, layout: Layout) -> Iterator[tuple[str, tuple[int, str]]]:
    """Label, and number and text, of every line that holds a vector; the label may be empty."""
    separator, column, count = layout.separator, layout.label_column, 0
    for at, (number, line) in enumerate(read_lines(path)):
        if at < layout.header_lines:
            continue
        count += 1
        label = ""
        if separator == " ":
            line = one_blank(line)
            cells = line.count(" ") + 1
            # A label may hold blanks: what stands before the last numbers is the label.
            if column is not None and cells > layout.columns:
                label, cells = line.rsplit(" ", layout.columns - 1)[0], layout.columns
            elif column is not None:
                label = line.partition(" ")[0]
            if layout.quoted:
                label = label.strip('"')
        elif '"' in line:
            parts = cells_of(line, separator)
            cells = len(parts)
            label = parts[column] if column is not None and column < cells else ""
        else:
            cells = line.count(separator) + 1
            if column is not None and column < cells:
                label = line.split(separator, column + 1)[column]
        if cells != layout.columns:
            raise InputError(
                f"Line {number} of {str(path)!r} has {counted(cells, 'column')} and the lines before it have "
                f"{layout.columns}; give every node as many numbers as the first."
            )
        yield label, (number, line)
    if layout.promised not in (None, count):
        raise InputError(
            f"The first line of {str(path)!r} promises {layout.promised:,} vectors and {count:,} follow; "
            "the file is cut off, or its first line is to be mended."
        )


def _relabelled(
    path: Path, rows: Iterable[tuple[str, tuple[int, str]]], labels: Sequence[str]
) -> Iterator[tuple[str, tuple[int, str]]]:
    count = 0
    for _, line in rows:
        if count < len(labels):
            yield labels[count], line
        count += 1
    if count != len(labels):
        raise wrong_label_count(path, count, len(labels))


def wrong_label_count(path: Path, rows: int, labels: int) -> InputError:
    """The error for labels that are not as many as the rows."""
    return InputError(
        f"The file {str(path)!r} has {rows:,} rows and --labels has {labels:,} labels; "
        "give one label per row, without a title line."
    )


def _numbers(path: Path, layout: Layout, kept: Sequence[tuple[int, str]]) -> Float[np.ndarray, "row width"]:
    others = {layout.label_column, layout.row_number_column}
    table = np.empty((len(kept), layout.width))
    for start in range(0, len(kept), PARSED_LINES):
        lines = kept[start : start + PARSED_LINES]
        if layout.separator == " ":
            rows = [line.rsplit(" ", layout.width)[-layout.width :] for _, line in lines]
        else:
            split = [cells_of(line, layout.separator) for _, line in lines]
            rows = [[cell for column, cell in enumerate(row) if column not in others] for row in split]
        try:
            table[start : start + len(lines)] = np.array(rows, dtype=np.float64)
        except ValueError:
            raise _no_number(path, lines, rows) from None
    return table


def _no_number(path: Path, lines: Sequence[tuple[int, str]], rows: Sequence[Sequence[str]]) -> InputError:
    number, cell = next(
        (number, cell)
        for (number, _), row in zip(lines, rows, strict=True)
        for cell in row
        if not is_number(cell)
    )
    advice = "write decimals with a point" if re.fullmatch(DECIMAL_COMMA, cell) else "give numbers only"
    return InputError(
        f"Line {number} of {str(path)!r} holds {cell[:40]!r} where a number is expected; {advice}."
    )
