"""Which columns of a table are subject, relation and object: by name, by the shape of the data, or as told.

Where two readings are plausible the table is refused with both spelt out and the option for each.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from geomem.errors import InputError
from geomem.worlds.columns import Columns, FileLayout, find_columns
from geomem.worlds.facts.builder import short_whole_numbers
from geomem.worlds.text_file import is_number, show_label

_RELATIONS = frozenset(
    {
        "relation",
        "rel",
        "r",
        "relationship",
        "predicate",
        "pred",
        "p",
        "property",
        "prop",
        "attribute",
        "verb",
    }
)
_OBJECTS = frozenset({"object", "obj", "o", "value", "answer"})
ROLES = (
    (frozenset({"subject", "subj", "sub", "s"}), _RELATIONS, _OBJECTS | {"target"}),
    (frozenset({"head", "h", "headentity"}), _RELATIONS | {"label"}, frozenset({"tail", "t", "tailentity"})),
    (frozenset({"item", "entity", "resource"}), _RELATIONS, _OBJECTS),
    (frozenset({"node1"}), _RELATIONS | {"label"}, frozenset({"node2"})),
    (frozenset({"entity1", "e1"}), _RELATIONS, frozenset({"entity2", "e2"})),
    (
        frozenset({"source", "src", "from"}),
        _RELATIONS | {"label", "type", "edge", "interaction"},
        frozenset({"target", "dst", "dest", "to"}),
    ),
    (frozenset({"start"}), _RELATIONS | {"type"}, frozenset({"end"})),
)
"""Names of the columns of subjects, relations and objects, without case, blanks, hyphens and underscores; all
three may end in label, id or name."""

_ENDING = re.compile(r"(label|id|name|uri|iri)$")
_COUNTERS = ("", "index", "rowid", "unnamed: 0")
_IDENTIFIER = frozenset({"", "id", "index", "rowid", "edgeid", "statement", "statementid", "unnamed:0"})


@dataclass(frozen=True)
class FactLayout(FileLayout):
    """What a person says about a file of facts; what is left out is found out."""

    wide: bool = False
    """The first column holds subjects, and each other column is a relation named by the first line."""
    relation: str | Sequence[str] | None = None
    """The only relations that are read, by name; all if not given."""

    @property
    def chosen_relations(self) -> tuple[str, ...]:
        """The relations by name; none if all are read."""
        return (self.relation,) if isinstance(self.relation, str) else tuple(self.relation or ())


@dataclass(frozen=True)
class Triples:
    """The cells of every fact, with the row of the table it stands in."""

    subjects: list[str]
    relations: list[str]
    objects: list[str]
    rows: Sequence[int]
    positions: tuple[int, ...]
    """The columns that were read."""
    notes: tuple[str, ...]


def known_columns(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Positions of the columns that are named as subject, relation and object, if there are such.

    Where a part has two names, as in `item` and `itemLabel`, it is the one without an ending.

    >>> known_columns(["Object", "Note", "Subject", "Relation"]), known_columns(["land", "what", "answer"])
    ((2, 3, 0), None)
    """
    plain = [re.sub(r"\(.*\)|[\s_:-]", "", name).casefold() for name in names]
    for stripped in (plain, [_ENDING.sub("", name) or name for name in plain]):
        for roles in ROLES:
            found = [[i for i, name in enumerate(stripped) if name in role] for role in roles]
            subjects, relations, objects = found
            if len(subjects) == len(relations) == len(objects) == 1:
                triple = subjects[0], relations[0], objects[0]
                if len(set(triple)) == 3:
                    return triple
    return None


def find_triples(columns: Columns, layout: FactLayout) -> Triples:
    """The facts of a table, by its layout, its names or its shape.

    Raises `InputError` where two readings are plausible, where a column of text would be left out, and for a
    layout that the table does not have.
    """
    least = 2 if layout.wide else 3
    if columns.width < least:
        raise InputError(
            f"{columns.path} has {columns.width} column{'s' if columns.width > 1 else ''} and needs {least}; "
            "give subject, relation and object, or a wide table with a column for each relation (--wide)."
        )
    if layout.wide:
        return _wide_triples(columns, layout)
    if layout.columns is not None:
        positions, left_out = find_columns(columns, layout, count=3), ()
    else:
        known = known_columns(columns.header) if columns.header else None
        positions = known or _usual_columns(columns)
        if not known:
            _check_header(columns, positions, layout)
        left_out = _left_out(columns, positions)
        if not known:
            _check_order(columns, positions)
    subjects, relations, objects = (list(columns.cells[position]) for position in positions)
    return Triples(subjects, relations, objects, range(columns.row_count), positions, left_out)


def _wide_triples(columns: Columns, layout: FactLayout) -> Triples:
    """Facts of a table of one subject per line: each other column is a relation."""
    if columns.header is None:
        raise InputError(
            f"The first line of {columns.path} has to name the relations of a wide table; leave out "
            "--no-header, or give triples without --wide."
        )
    if layout.columns is not None:
        positions = find_columns(columns, layout)
    else:
        index = (
            columns.width > 2 and columns.header[0].casefold() in _COUNTERS and _is_running(columns.cells[0])
        )
        positions = tuple(range(int(index), columns.width))
    if len(positions) < 2:
        raise InputError(
            f"A wide table has a column of subjects and others, and {columns.path} has {len(positions)}; "
            "name more with --columns."
        )
    names = [columns.header[position] for position in positions[1:]]
    if "" in names or len(set(names)) < len(names):
        wrong = "has no name" if "" in names else f"is named {_twice(names)!r} like another"
        raise InputError(
            f"A column of {columns.path} {wrong}, and names of columns are relations; name every column once."
        )
    subjects, relations, objects, rows = [], [], [], []
    empty = 0
    whole = [columns.cells[position] for position in positions]
    for number, column in enumerate(whole):
        if short := short_whole_numbers(set(column) - {""}):
            whole[number] = tuple(short.get(cell, cell) for cell in column)
    for row, cells in enumerate(zip(*whole, strict=True)):
        for name, cell in zip(names, cells[1:], strict=True):
            if not cell:
                empty += 1
                continue
            subjects.append(cells[0])
            relations.append(name)
            objects.append(cell)
            rows.append(row)
    note = () if not empty else (f"{empty:,} empty cell{'s hold' if empty > 1 else ' holds'} no fact.",)
    return Triples(subjects, relations, objects, rows, positions, note)


def _usual_columns(columns: Columns) -> tuple[int, int, int]:
    """The columns of a table whose names say nothing: the first three, or those behind an index.

    Raises `InputError` where the last column may hold objects behind an index, or weights.
    """
    if columns.width == 4 and _is_running(columns.cells[0]) and not columns.is_numeric(1):
        if columns.is_numeric(3) and not (columns.header and columns.header[0].casefold() in _COUNTERS):
            row = [cells[0] for cells in columns.cells]
            raise InputError(
                f"{columns.path} can be read in two ways: the first fact {_arrow(*row[:3])} "
                f"(--columns 1,2,3) or, behind a column that counts the rows, {_arrow(*row[1:])} "
                "(--columns 2,3,4); say which is meant."
            )
        return (1, 2, 3)
    return (0, 1, 2)


def _left_out(columns: Columns, positions: tuple[int, ...]) -> tuple[str, ...]:
    """Says which columns are left out; raises `InputError` if one of them holds texts."""
    others = [p for p in range(columns.width) if p not in positions and any(columns.cells[p])]
    for position in others:
        name = re.sub(r"[\s_-]", "", columns.header[position]).casefold() if columns.header else None
        cells = columns.cells[position]
        if columns.is_numeric(position) or (name in _IDENTIFIER and len(set(cells)) == len(cells)):
            continue
        chosen = _by_number(positions)
        behind = known_columns([columns.header[p] for p in others]) if columns.header else None
        instead = (others[p] for p in behind) if behind else (positions[0], positions[1], position)
        if columns.width == 4 and columns.is_numeric(0):
            instead = (1, 2, 3)
        instead = _by_number(tuple(instead))
        example = show_label(next(cell for cell in cells if cell), 30)
        raise InputError(
            f"Column {columns.name(position)} of {columns.path} holds text ({example!r}) and is not subject, "
            f"relation or object; name the three to read, as in --columns {chosen} or --columns {instead}."
        )
    if not others:
        return ()
    said = ", ".join(columns.name(position) for position in others)
    return (
        f"Column{'s' if len(others) > 1 else ''} {said} {'were' if len(others) > 1 else 'was'} left out.",
    )


def _check_header(columns: Columns, positions: tuple[int, int, int], layout: FactLayout) -> None:
    """Raise `InputError` if the first line may name the columns of a wide table, or those of triples.

    A table is plausibly wide if every subject has one line and there are hardly fewer relations than lines.
    """
    if layout.header is not None or not (columns.header or columns.header_doubt):
        return
    parts = [columns.cells[position] for position in positions]
    names = columns.header or tuple(column[0] for column in columns.cells)
    if columns.header_doubt:
        parts = [part[1:] for part in parts]
    subjects, relations = parts[0], Counter(parts[1])
    below = [part[0] for part in parts]
    # A data frame without names counts its columns, which says nothing.
    counted = all(names[position].isdigit() for position in positions)
    one_each = len(set(subjects)) == len(subjects) and len(subjects) > 1 and not counted
    wide = f"a wide table with the fact {_arrow(below[0], names[positions[1]], below[1])} (--wide)"
    plain = f"triples, the first {_arrow(*(names[position] for position in positions))} (--no-header)"
    option = f"--columns {_by_number(positions)}" if columns.header else "--header"
    headed = f"triples below a header, the first {_arrow(*below)} ({option})"
    if one_each and 2 * len(relations) > len(subjects):
        ways = [wide, headed if columns.header else plain]
    elif columns.header is None and min(relations.values()) > 1:
        ways = [headed, plain, *([wide] if one_each else [])]
    else:
        return
    said = f"{', '.join(ways[:-1])}, or {ways[-1]}"
    count = "two" if len(ways) == 2 else "three"
    raise InputError(f"{columns.path} can be read in {count} ways: {said}; say which is meant.")


def _check_order(columns: Columns, positions: tuple[int, int, int]) -> None:
    """Raise `InputError` if another column than the middle one looks like that of relations.

    Subjects and objects share labels, and relations share none with either; and there are few relations: a
    middle column that hardly repeats a label above a last one of few holds objects.
    """
    labels = [set(columns.cells[position]) for position in positions]
    if columns.row_count < 3:
        return
    counts = [len(found) for found in labels]
    # Numbers are shared by chance: relations are numbered from 0 as subjects are.
    names = [{label for label in found if not is_number(label)} for found in labels]
    sharing = [part for part in range(3) if not names[(part + 1) % 3].isdisjoint(names[(part + 2) % 3])]
    likely = 1
    if len(sharing) == 1 and counts[sharing[0]] <= counts[1]:
        likely = sharing[0]
    elif counts[1] >= 10 and counts[1] >= 5 * min(counts[0], counts[2]) and 1 not in sharing:
        likely = 0 if counts[0] <= counts[2] else 2
    elif columns.row_count >= 5 and 5 * counts[1] >= 3 * columns.row_count and 2 * counts[2] <= counts[1]:
        likely = 2
    if likely == 1:
        return
    row = [columns.cells[position][0] for position in positions]
    other = (1, 0, 2) if likely == 0 else (0, 2, 1)
    moved = tuple(positions[part] for part in other)
    raise InputError(
        f"{columns.path} can be read in two ways: with {counts[1]:,} labels of relations, the first fact "
        f"{_arrow(*row)} (--columns {_by_number(positions)}), or with {counts[likely]:,}, the first fact "
        f"{_arrow(*(row[part] for part in other))} (--columns {_by_number(moved)}); "
        "say which is meant."
    )


def _arrow(subject: str, relation: str, answer: str) -> str:
    """A fact in a sentence."""
    return f"{show_label(subject)} –{show_label(relation)}→ {show_label(answer)}"


def _by_number(positions: Sequence[int]) -> str:
    """Columns as `--columns` takes them: by number, which needs no quotes."""
    return ",".join(str(position + 1) for position in positions)


def _is_running(cells: Sequence[str]) -> bool:
    """Whether a column counts its rows, from 0 or 1."""
    first = cells[0] if cells else ""
    start = int(first) if first in ("0", "1") else None
    return start is not None and all(cell == str(start + row) for row, cell in enumerate(cells))


def _twice(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)
