"""Labels at the ends of edges held against what they may be instead: several in one cell, remarks, sizes."""

import re
from collections.abc import Callable, Sequence

from geomem.errors import InputError
from geomem.worlds.columns import MISSING, Columns, note_missing
from geomem.worlds.graphs.columns import Ends, known_ends
from geomem.worlds.text_file import show_label

_SEVERAL = re.compile("[;,|]")
_REMARK = re.compile(r"[ \t](#|//)[ \t]?")


def check_ends(
    table: Columns, ends: Ends, tails: Sequence[str], heads: Sequence[str], where: Callable[[int], str]
) -> None:
    """Raise `InputError` for an end that is missing, for several in one cell, and for two kinds of nodes."""
    if table.first_comment.split()[:2] == ["%", "bip"]:
        raise InputError(
            f"{table.path} says that it is bipartite, so that a number is one node in one column and another "
            "in the other; give the two kinds of nodes labels of their own."
        )
    labels = {*tails, *heads}
    for end, cells in ((ends.tail, tails), (ends.head, heads)):
        if table.is_numeric(end) and (missing := next((cell for cell in cells if cell in MISSING), None)):
            raise InputError(f"{where(cells.index(missing))} lacks an end ({missing}); name both per line.")
        plural = table.header is not None and table.header[end].casefold().endswith("s")
        for cell in dict.fromkeys(filter(_SEVERAL.search, cells)):
            parts = _parts(cell)
            known = [part in labels for part in parts]
            if len(parts) > 1 and (all(known) or (plural and any(known))):
                raise _several(where(cells.index(cell)), cell)


def doubt_ends(
    table: Columns, ends: Ends, tails: Sequence[str], heads: Sequence[str], where: Callable[[int], str]
) -> list[str]:
    """Notes on ends that nobody named and that may mean something else.

    Raises `InputError` where the cells of one end alone hold lists or end in a mark, for a label with a
    remark behind it, and for a first line that gives the numbers of nodes and edges.
    """
    way = f"say --columns {ends.tail + 1},{ends.head + 1} if"
    for cells, others in ((tails, heads), (heads, tails)):
        lists = [cell for cell in _holding(_SEVERAL, cells) if len(_parts(cell)) > 1]
        beside = any(len(_parts(cell)) > 1 for cell in _holding(_SEVERAL, others))
        if 2 * len(lists) > len(cells) and not beside:
            raise _several(where(cells.index(lists[0])), lists[0], f", or {way} it is one label")
        mark = cells[0][-1]
        alike = len(set(cells)) > 1 and all(cell.endswith(mark) for cell in cells)
        if mark in ":;,." and alike and not any(cell.endswith(mark) for cell in others):
            raise InputError(
                f"{where(0)} has '{mark}' behind the label '{show_label(cells[0])}', as all lines have; "
                f"delete it there, or {way} it is part of the label."
            )
    labels = {*tails, *heads}
    for cells in (tails, heads):
        remarks = _holding(_REMARK, cells)
        for cell in remarks:
            if len(remarks) == len(cells) or _REMARK.split(cell)[0].strip() in labels:
                raise InputError(
                    f"{where(cells.index(cell))} may have a remark behind a label ('{show_label(cell)}'); "
                    f"delete it, or {way} it is part of the label."
                )
    if _gives_sizes(table, tails, heads):
        raise InputError(
            f"{where(0)} may give the numbers of nodes and edges ({' '.join(c[0] for c in table.cells)}); "
            f"delete it if it does, or {way} it is an edge."
        )
    return [*note_missing([*tails, *heads], "node"), *_two_kinds(table, ends)]


def _gives_sizes(table: Columns, tails: Sequence[str], heads: Sequence[str]) -> bool:
    """Whether the first of lines of numbers says how many nodes and lines the others have."""
    first, lines = [column[0] for column in table.cells], str(table.row_count - 1)
    square = len(first) == 3 and first[0] == first[1] and first[2] == lines
    numbers = 2 <= len(first) <= 3 and all(re.fullmatch("[0-9]{1,9}", cell) for cell in first)
    if table.header or table.row_count < 4 or not numbers or not (square or first[1] == lines):
        return False
    labels = {*tails[1:], *heads[1:]}
    largest = max((int(label) for label in labels if re.fullmatch("[0-9]{1,9}", label)), default=0)
    return int(first[0]) >= max(largest, len(labels))


def _two_kinds(table: Columns, ends: Ends) -> list[str]:
    """A note on numbers in two columns whose names are not those of the ends of an edge."""
    numeric = table.is_numeric(ends.tail) and table.is_numeric(ends.head)
    shared = numeric and set(table.cells[ends.tail]) & set(table.cells[ends.head])
    if not table.header or not shared or known_ends(table.header):
        return []
    return [
        f"A number is the same node in the columns {table.name(ends.tail)} and {table.name(ends.head)}; "
        "give labels of their own if they hold two kinds of nodes."
    ]


def _holding(pattern: re.Pattern[str], cells: Sequence[str]) -> list[str]:
    """The cells in which a pattern is found; one search tells of most files that there are none."""
    return [cell for cell in cells if pattern.search(cell)] if pattern.search("\n".join(cells)) else []


def _parts(cell: str) -> list[str]:
    """The labels that a cell lists, without brackets and quotes."""
    parts = [part.strip(" \t'\"") for part in _SEVERAL.split(cell.strip("[](){} "))]
    return parts if all(parts) else [cell]


def _several(place: str, cell: str, otherwise: str = "") -> InputError:
    return InputError(
        f"{place} has several labels in one cell ({show_label(cell)}); give one edge per line{otherwise}."
    )
