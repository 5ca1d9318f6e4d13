"""Which columns of a table are subject, relation and object: by name, by the shape of the data, or as told.

Where two readings are plausible the table is refused with both spelt out and the option for each.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from geomem.errors import InputError
from geomem.worlds.columns import Columns, FileLayout, by_number, counts_rows, find_columns, plain_name, words
from geomem.worlds.facts.builder import short_whole_numbers
from geomem.worlds.text_file import counted, is_number, show_label

_RELATIONS = words("relation rel r relationship predicate pred p property prop attribute verb")
_OBJECTS = words("object obj o value answer")
ROLES = (
    (words("subject subj sub s"), _RELATIONS, _OBJECTS | {"target"}),
    (words("head h headentity"), _RELATIONS | {"label"}, words("tail t tailentity")),
    (words("item entity resource"), _RELATIONS, _OBJECTS),
    (words("node1"), _RELATIONS | {"label"}, words("node2")),
    (words("entity1 e1"), _RELATIONS, words("entity2 e2")),
    (
        words("source src from"),
        _RELATIONS | words("label type edge interaction"),
        words("target dst dest to"),
    ),
    (words("start"), _RELATIONS | {"type"}, words("end")),
)
"""Names of the columns of subjects, relations and objects, as `plain_name` gives them; all three may end in
label, id or name."""

_ENDING = re.compile(r"(label|id|name|uri|iri)$")
_COUNTERS = ("", "index", "rowid", "unnamed: 0")
_IDENTIFIER = words("id index rowid edgeid statement statementid unnamed:0") | {""}


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

    cells: tuple[Sequence[str], Sequence[str], Sequence[str]]
    """Subjects, relations and objects."""
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
    plain = [plain_name(re.sub(r"\(.*\)|:", "", name[:200])) for name in names]
    for stripped in (plain, [_ENDING.sub("", name) or name for name in plain]):
        for roles in ROLES:
            found = [[place for place, name in enumerate(stripped) if name in role] for role in roles]
            if all(len(places) == 1 for places in found) and len({*map(tuple, found)}) == 3:
                return found[0][0], found[1][0], found[2][0]
    return None


def find_triples(columns: Columns, layout: FactLayout) -> Triples:
    """The facts of a table, by its layout, its names or its shape.

    Raises `InputError` where two readings are plausible, where a column of text would be left out, and for a
    layout that the table does not have.
    """
    least = 2 if layout.wide else 3
    if columns.width < least:
        raise InputError(
            f"{columns.path} has {counted(columns.width, 'column')} and needs {least}; give subject, "
            "relation and object, or a wide table with a column for each relation (--wide)."
        )
    if layout.wide:
        return _wide_triples(columns, layout)
    if layout.columns is not None:
        positions, left_out = find_columns(columns, layout, count=3), ()
    elif columns.header and (known := known_columns(columns.header)):
        positions, left_out = known, _left_out(columns, known)
    else:
        positions = _usual_columns(columns)
        _check_header(columns, positions, layout)
        left_out = _left_out(columns, positions)
        _check_order(columns, positions)
    subjects, relations, objects = (columns.cells[position] for position in positions)
    return Triples((subjects, relations, objects), range(columns.row_count), positions, left_out)


def _wide_triples(columns: Columns, layout: FactLayout) -> Triples:
    """Facts of a table of one subject per line: each other column is a relation."""
    path, header = columns.path, columns.header
    if header is None:
        raise InputError(
            f"The first line of {path} has to name the relations of a wide table; leave out --no-header, or "
            "give triples without --wide."
        )
    if layout.columns is not None:
        positions = find_columns(columns, layout)
    else:
        index = columns.width > 2 and header[0].casefold() in _COUNTERS and counts_rows(columns.cells[0])
        positions = tuple(range(int(index), columns.width))
    if len(positions) < 2:
        raise InputError(
            f"A wide table has a column of subjects and others, and {path} has {len(positions)}; "
            "name more with --columns."
        )
    names = [header[position] for position in positions[1:]]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if "" in names or twice:
        wrong = "has no name" if "" in names else f"is named {twice[0]!r} like another"
        raise InputError(f"A column of {path} {wrong}, and names of columns are relations; name each once.")
    whole = [columns.cells[position] for position in positions]
    for number, column in enumerate(whole):
        if short := short_whole_numbers(set(column) - {""}):
            whole[number] = tuple(short.get(cell, cell) for cell in column)
    facts = [
        (cells[0], name, cell, row)
        for row, cells in enumerate(zip(*whole, strict=True))
        for name, cell in zip(names, cells[1:], strict=True)
    ]
    full = [fact for fact in facts if fact[2]]
    subjects, relations, objects, rows = zip(*full, strict=True) if full else ((), (), (), ())
    empty = len(facts) - len(full)
    note = f"{counted(empty, 'empty cell')} {'hold' if empty > 1 else 'holds'} no fact."
    return Triples((subjects, relations, objects), rows, positions, (note,) if empty else ())


def _usual_columns(columns: Columns) -> tuple[int, int, int]:
    """The columns of a table whose names say nothing: the first three, or those behind an index.

    Raises `InputError` where the last column may hold objects behind an index, or weights.
    """
    if columns.width != 4 or not counts_rows(columns.cells[0]) or columns.is_numeric(1):
        return (0, 1, 2)
    if columns.is_numeric(3) and not (columns.header and columns.header[0].casefold() in _COUNTERS):
        row = [cells[0] for cells in columns.cells]
        raise InputError(
            f"{columns.path} can be read in two ways: the first fact {arrow(*row[:3])} (--columns 1,2,3) or, "
            f"behind a column that counts the rows, {arrow(*row[1:])} (--columns 2,3,4); say which is meant."
        )
    return (1, 2, 3)


def _left_out(columns: Columns, positions: tuple[int, ...]) -> tuple[str, ...]:
    """Says which columns are left out; raises `InputError` if one of them holds texts."""
    others = [p for p in range(columns.width) if p not in positions and any(columns.cells[p])]
    for position in others:
        name = plain_name(columns.header[position]) if columns.header else None
        cells = columns.cells[position]
        if columns.is_numeric(position) or (name in _IDENTIFIER and len(set(cells)) == len(cells)):
            continue
        behind = known_columns([columns.header[p] for p in others]) if columns.header else None
        instead = [others[p] for p in behind] if behind else [positions[0], positions[1], position]
        if columns.width == 4 and columns.is_numeric(0):
            instead = [1, 2, 3]
        example = show_label(next(cell for cell in cells if cell), 30)
        raise InputError(
            f"Column {columns.name(position)} of {columns.path} holds text ({example!r}) and is not subject, "
            f"relation or object; name the three to read, as in --columns {by_number(positions)} or "
            f"--columns {by_number(instead)}."
        )
    names = ", ".join(map(columns.name, others))
    s, were = ("s", "were") if len(others) > 1 else ("", "was")
    return (f"Column{s} {names} {were} left out.",) if others else ()


def _check_header(columns: Columns, positions: tuple[int, int, int], layout: FactLayout) -> None:
    """Raise `InputError` if the first line may name the columns of a wide table, or those of triples.

    A table is plausibly wide if every subject has one line and there are hardly fewer relations than lines.
    """
    if layout.header is not None or not (columns.header or columns.header_doubt):
        return
    parts = [columns.cells[position][columns.header_doubt :] for position in positions]
    names = columns.header or tuple(column[0] for column in columns.cells)
    subjects, relations = parts[0], Counter(parts[1])
    below = [part[0] for part in parts]
    # A data frame without names counts its columns, which says nothing.
    is_named = not all(names[position].isdigit() for position in positions)
    one_each = len(set(subjects)) == len(subjects) > 1 and is_named
    wide = f"a wide table with the fact {arrow(below[0], names[positions[1]], below[1])} (--wide)"
    plain = f"triples, the first {arrow(*(names[position] for position in positions))} (--no-header)"
    option = f"--columns {by_number(positions)}" if columns.header else "--header"
    headed = f"triples below a header, the first {arrow(*below)} ({option})"
    if one_each and 2 * len(relations) > len(subjects):
        ways = [wide, headed if columns.header else plain]
    elif columns.header is None and min(relations.values()) > 1:
        ways = [headed, plain, *([wide] if one_each else [])]
    else:
        return
    count = "two" if len(ways) == 2 else "three"
    said = f"{', '.join(ways[:-1])}, or {ways[-1]}"
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
    other = (1, 0, 2) if likely == 0 else (0, 2, 1)
    usual, moved = (
        f"the first fact {arrow(*(columns.cells[p][0] for p in order))} (--columns {by_number(order)})"
        for order in (positions, [positions[part] for part in other])
    )
    raise InputError(
        f"{columns.path} can be read in two ways: with {counts[1]:,} labels of relations, {usual}, or with "
        f"{counts[likely]:,}, {moved}; say which is meant."
    )


def arrow(subject: str, relation: str, answer: str) -> str:
    """A fact in a sentence.

    >>> arrow("Italy", "capital", "Rome")
    'Italy –capital→ Rome'
    """
    return f"{show_label(subject)} –{show_label(relation)}→ {show_label(answer)}"
