"""Square matrices of numbers in columns of text, with or without the labels of their rows and columns."""

import numpy as np
from jaxtyping import Int

from geomem.worlds.columns import Columns
from geomem.worlds.graphs.columns import is_index, known_ends
from geomem.worlds.text_file import are_numbers, is_number


def read_matrix(
    table: Columns,
) -> tuple[list[str], Int[np.ndarray, " edge"], Int[np.ndarray, " edge"]] | None:
    """Labels, rows and columns of the entries that are not zero, if the table is an adjacency matrix.

    It is one if it is square and its first row and first column name the same labels; or, without labels, if
    it has at least three rows and holds 0 and 1 alone, or has an empty diagonal. Where the header names the
    ends of edges or the first column counts the rows, an empty diagonal is not enough.
    """
    columns = [list(cells) for cells in table.cells]
    if table.header:
        columns = [[name, *cells] for name, cells in zip(table.header, columns, strict=True)]
    rows, width = len(columns[0]), len(columns)
    if rows not in (width, width + 1) or rows < 3:
        return None
    top = [column[0] for column in columns]
    labels: list[str] = []
    named = top[1:] == columns[0][1:] and len(set(top)) == width
    if rows == width and named and not is_number(top[0]) and rows > 3:
        labels, columns = top[1:], [column[1:] for column in columns[1:]]
    elif rows == width + 1 and table.header:
        labels, columns = top, [column[1:] for column in columns]
    elif rows != width:
        return None
    cells = [cell or "0" for column in columns for cell in column]
    size = len(columns)
    if not are_numbers(set(cells)):
        return None
    try:
        matrix = np.array(cells, dtype=np.float64).reshape(size, size).T
    except ValueError:  # a comma before decimals
        matrix = np.array([cell.replace(",", ".") for cell in cells], dtype=np.float64).reshape(size, size).T
    adjacent = set(np.unique(matrix).tolist()) <= {0.0, 1.0}
    listed = is_index(table, 0) or (table.header is not None and known_ends(table.header) is not None)
    hollow = not matrix.diagonal().any() and not listed
    if size < 3 or not ((rows == width and labels) or adjacent or hollow):
        return None
    tails, heads = np.nonzero(matrix)
    return labels or [str(row) for row in range(size)], tails, heads
