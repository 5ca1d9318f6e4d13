"""Which columns of a table are the two ends of an edge: by their names, by what they hold, or as is said."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from geomem.errors import InputError, unknown_name
from geomem.worlds.columns import (
    MISSING,
    Columns,
    FileLayout,
    by_number,
    counts_rows,
    find_columns,
    plain_name,
    words,
)
from geomem.worlds.text_file import counted, show_label

_PAIRS = """
source/target from/to src/dst src/dest src/tgt source/destination source/sink origin/destination tail/head
start/end u/v i/j ego/alter parent/child left/right first/second sender/receiver sender/recipient
follower/followee citing/cited node/neighbour node/neighbor country/neighbour country/neighbor country/border
state/neighbour state/neighbor region/border name/neighbour name/neighbor fromnode/tonode fromnodeid/tonodeid
subject/object
"""
HEADER_PAIRS = tuple((one, other) for one, _, other in (pair.partition("/") for pair in _PAIRS.split()))
"""Column names of the two ends of an edge, as `plain_name` gives them."""

ALL_RELATIONS = "all"
"""What `--relation` takes to read the edges of every relation."""

_RELATION_NAMES = words(
    "relation predicate property interaction relationship relationtype rel edge edgetype edgelabel p"
)
_NODE_KEY = words("id node nodeid nodename key name")
_NODE_TABLE = _NODE_KEY | words(
    "label x y z lat lon lng latitude longitude group size color colour type category timeset interval "
    "degree community class modularityclass value weight population"
)
_ATTRIBUTES = words(
    "id label weight timeset interval date time timestamp year key index description comment note"
)
_KINDS_OF_LABEL = words("code id name node nodeid key label iso abbr index number no")
_PARTS = _KINDS_OF_LABEL | words("state country region city")
_INDEX_NAMES = words("id index row no number unnamed:0 edge edgeid") | {""}
_NEIGHBOUR = words(
    "neighbor neighbour neighboring neighbouring adjacent bordering border other second next linked to"
)
_ENDINGS = (("1", "2"), ("0", "1"), ("a", "b"), ("x", "y"), ("i", "j"), ("from", "to"), ("source", "target"))
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_DATE = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}([-/.][0-9]{1,4}.*)?|[0-9]{1,2}:[0-9]{2}.*")


@dataclass(frozen=True)
class Ends:
    """Where a table has the ends of its edges."""

    tail: int
    head: int
    relation: int | None = None
    """The column of relations, where the table is one of triples."""

    @property
    def option(self) -> str:
        """These ends as an option."""
        return f"--columns {by_number((self.tail, self.head))}"


def known_ends(names: Sequence[str]) -> tuple[int, ...] | None:
    """Positions of the columns that are named as the ends of an edge, if there are such.

    Two names are the ends if they are a pair of `HEADER_PAIRS`, alone or with a part in common (`region_code`
    and `border_code`, `x_id` and `y_id`), or one name with two endings (`node1` and `node2`), or with and
    without a word such as neighbour.

    >>> known_ends(["km", "Source", "Target"]), known_ends(["StateCode", "NeighborStateCode"])
    ((1, 2), (0, 1))
    >>> known_ends(["region_code", "region_name", "border_code", "border_name"]), known_ends(["a", "c"])
    ((0, 2), None)
    """
    plain = [re.sub("(neighbou?r|border)s$", r"\1", plain_name(name)) for name in names]
    for first, second in HEADER_PAIRS:
        if first in plain and second in plain:
            return plain.index(first), plain.index(second)
    parts = [_words_of(name) for name in names[:200]]
    pairs = ((one, two) for one in range(len(parts)) for two in range(len(parts)) if one != two)
    return next((pair for pair in pairs if _are_ends(parts[pair[0]], parts[pair[1]])), None)


def _words_of(name: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in _WORD.findall(name))


def _are_ends(one: tuple[str, ...], two: tuple[str, ...]) -> bool:
    """Whether two names of columns, as words, differ in what tells the ends of an edge apart."""
    if not one or not two or one == two:
        return False
    if len(one) == len(two):
        differ = [place for place in range(len(one)) if one[place] != two[place]]
        pair = one[differ[0]], two[differ[0]]
        if len(differ) != 1:
            return False
        if pair in _ENDINGS:
            return len(one) > 1 or pair in (("from", "to"), ("source", "target"))
        return pair in HEADER_PAIRS and bool(({*one} - {pair[0]}) & _PARTS)
    return any(
        word in _NEIGHBOUR and (*two[:place], *two[place + 1 :]) == one for place, word in enumerate(two)
    )


def known_triple(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Positions of subject, relation and object among named columns, if one is named as a relation.

    >>> known_triple(["subject", "predicate", "object"]), known_triple(["node1", "label", "node2"])
    ((0, 1, 2), (0, 1, 2))
    """
    if not (ends := known_ends(names)):
        return None
    for place, name in enumerate(map(plain_name, names)):
        between = len(names) == 3 and place == 1 and ends == (0, 2) and name in ("label", "type", "kind")
        if place not in ends and (name in _RELATION_NAMES or between):
            return ends[0], place, ends[1]
    return None


def is_node_table(names: Sequence[str]) -> bool:
    """Whether names of columns are those of a table of nodes.

    >>> is_node_table(["Id", "Label"]), is_node_table(["source", "target"])
    (True, False)
    """
    plain = set(map(plain_name, names))
    return len(plain) > 1 and bool(plain & _NODE_KEY) and plain <= _NODE_TABLE


def choose_ends(
    table: Columns, layout: FileLayout, *, relation: str | None, triples: bool
) -> tuple[Ends, list[str]]:
    """Where the ends of an edge stand, and notes on the columns that are left out.

    `triples` says that the file is one of subject, relation and object. Raises `InputError` where that is not
    plain, and where a column of text would be lost that is neither constant nor belongs to one of the ends.
    """
    if layout.columns is not None:
        positions = find_columns(table, layout)
        if relation is not None and len(positions) == 3:
            return Ends(positions[0], positions[2], positions[1]), []
        find_columns(table, layout, count=2)
        if relation is None:
            return Ends(*positions), []
        rest = [column for column in range(table.width) if column not in positions]
        if len(rest) != 1:
            raise _which_relation(table)
        return Ends(*positions, relation=rest[0]), []
    named = known_ends(table.header) if table.header else None
    if relation is not None or triples:
        return _triple(table, named), []
    if not named:
        ends = _unnamed(table)
        return ends, _left_out(table, ends)
    ends = Ends(named[0], named[1])
    lost = [column for column in _texts(table, ends) if not _belongs(table, column, ends)]
    if lost and (known := known_triple(table.header or ())) and known[1] in lost:
        raise _is_triples(table, Ends(known[0], known[2], known[1]))
    if lost:
        raise _lost(table, lost[0], ends, "--relation NAME")
    return ends, _left_out(table, ends)


def _unnamed(table: Columns) -> Ends:
    """The ends of a table whose columns have no known names."""
    if table.width == 2:
        labels = {*table.cells[0], *table.cells[1]}
        mixed = table.is_numeric(0) != table.is_numeric(1)
        if mixed and table.row_count > 1 and len(labels) == 2 * table.row_count:
            raise _node_table(table.path)
        return Ends(0, 1)
    texts = _texts(table, None)
    numbers = [column for column in range(table.width) if table.is_numeric(column)]
    varied = [column for column in texts if len(set(table.cells[column])) > 1]
    # A mark that stands on every line is a separator; a word there is part of what the lines say.
    said = [column for column in texts if re.search(r"\w", table.cells[column][0]) or column in varied]
    for two in (texts, said):
        if len(two) == 2:
            return Ends(*two)
    # One text in a column may be the relation of all edges, or the one object of all triples.
    if len(varied) == 2 and table.header and set(table.cells[varied[0]]) & set(table.cells[varied[1]]):
        return Ends(*varied)
    if not said and len(numbers) >= 2 and (table.header or len(numbers) < 5):
        return _numbers_as_ends(table, numbers)
    if table.width == 3 and (len(texts) == 3 or texts == [1]):
        raise _is_triples(table, Ends(0, 2, 1))
    if len(varied) == 1 and len(numbers) >= 2 and varied[0] > numbers[1]:
        first, second = numbers[:2]
        option = f"--relation NAME with --columns {by_number((first, varied[0], second))}"
        raise _lost(table, varied[0], Ends(first, second), option)
    names = f" ({', '.join(map(show_label, table.header))})" if table.header else ""
    raise InputError(
        f"{table.path} has {table.width} columns{names}, {len(texts)} of them text, and which two are the "
        "ends of an edge is not plain; name them, as in --columns 1,3."
    )


def _numbers_as_ends(table: Columns, numbers: Sequence[int]) -> Ends:
    """The ends of a table of numbers: two columns of whole numbers, or the first two columns."""
    whole = [column for column in numbers if _are_ids(table, column)]
    first, second = whole if len(whole) == 2 else numbers[:2]
    usual = Ends(*numbers[:2])
    if (first, second) != (usual.tail, usual.head):
        same, other = (usual.tail, usual.head) if usual.head == first else (usual.head, usual.tail)
        if table.cells[same][0].isdigit() and len(set(table.cells[other])) == table.row_count:
            raise _two_ways(table, f"column {table.name(same)} holds one number", Ends(first, second), usual)
    third = whole[2] if len(whole) > 2 and whole[:2] == [first, second] else None
    if third is None:
        # A star beside an index looks like weighted edges; the weight of edges that all weigh the same is 1.
        alike = numbers[2] if len(numbers) == 3 and is_index(table, first) and second == numbers[1] else None
        if alike is not None and table.cells[alike][0].isdigit() and table.cells[alike][0] != "1":
            one = f"column {table.name(alike)} holds one number"
            raise _two_ways(
                table, f"column {table.name(first)} counts the lines and {one}", Ends(second, alike), usual
            )
        return Ends(first, second)
    one, two, three = (set(table.cells[column]) for column in (first, second, third))
    if is_index(table, first) and (
        two & three or not one & two or _may_be_edges(table, first, second, third)
    ):
        if table.header and plain_name(table.header[first]) in _INDEX_NAMES:
            return Ends(second, third)
        raise _two_ways(table, f"column {table.name(first)} counts the lines", Ends(second, third), usual)
    if 4 * len(one) >= 3 * table.row_count > 6 and len(one & two) < len(two & three):
        shared = f"column {table.name(second)} shares more numbers with column {table.name(third)}"
        raise _two_ways(table, shared, Ends(second, third), usual)
    return Ends(first, second)


def _may_be_edges(table: Columns, counting: int, tail: int, head: int) -> bool:
    """Whether columns beside one that counts the lines may be the ends, and not an end and a weight.

    They hardly are where no two of those edges share a node, unless the count itself as an end would join a
    node to itself.
    """
    counts, tails, heads = (table.cells[column] for column in (counting, tail, head))
    share = len(set(tails)) < table.row_count or len(set(heads)) < table.row_count
    return share or any(map(operator.eq, counts, tails))


def _triple(table: Columns, named: tuple[int, ...] | None) -> Ends:
    """Subject, object and relation of a table of triples."""
    if table.header and (known := known_triple(table.header)):
        return Ends(known[0], known[2], known[1])
    texts = _texts(table, None)
    if named:
        lost = [column for column in texts if column not in named]
        if len(lost) == 1:
            return Ends(named[0], named[1], lost[0])
    elif table.width == 3:
        return Ends(0, 2, 1)
    elif len(texts) == 3:
        return Ends(texts[0], texts[2], texts[1])
    raise _which_relation(table)


def _node_table(path: Path) -> InputError:
    return InputError(
        f"{path} is a table of nodes and not of edges; give the table of edges, or name the two columns "
        "that are the ends of an edge, as in --columns 1,2."
    )


def _lost(table: Columns, column: int, ends: Ends, relation_option: str) -> InputError:
    return InputError(
        f"Column {table.name(column)} of {table.path} is text and would be left out; say {ends.option} to "
        f"leave it out, or {relation_option} if it names the relation of an edge."
    )


def _two_ways(table: Columns, why: str, one: Ends, other: Ends) -> InputError:
    """The error for columns of numbers of which one may be a weight, a time or an index, or an end."""
    ways = [f"columns {ends.tail + 1} and {ends.head + 1} (say {ends.option})" for ends in (one, other)]
    return InputError(f"The ends of edges in {table.path} may be {' or '.join(ways)}, as {why}; say which.")


def _which_relation(table: Columns) -> InputError:
    if table.width < 3:
        return InputError(f"{table.path} has no column of relations; leave --relation out.")
    return InputError(
        f"Which of the {table.width} columns of {table.path} names the relation is not plain; name subject, "
        "relation and object, as in --columns 1,2,3."
    )


def _is_triples(table: Columns, ends: Ends) -> InputError:
    relations = list(dict.fromkeys(table.cells[ends.relation or 0]))
    return InputError(
        f"{table.path} looks like triples whose column {table.name(ends.relation or 0)} names a relation "
        f"({_few(relations, 3, 20)}); give --relation NAME for the edges of one, --relation all for those of "
        f"all, or {ends.option} to leave it out."
    )


def _few(labels: Sequence[str], most: int, longest: int) -> str:
    """The first of some labels."""
    shown = ", ".join(show_label(label, longest) for label in labels[:most])
    return shown + ", …" * (len(labels) > most)


def rows_of_relation(table: Columns, ends: Ends, relation: str | None) -> tuple[list[int] | None, str]:
    """The rows of a relation, or None for all rows, and what was read in words.

    Raises `InputError` for a relation that the table does not have, with the nearest.
    """
    if ends.relation is None:
        return None, ""
    cells = table.cells[ends.relation]
    relations = list(dict.fromkeys(cells))
    if relation is None or (relation == ALL_RELATIONS and relation not in relations):
        way = "; --relation NAME reads one" if relation is None and len(relations) > 1 else ""
        return None, f"{counted(len(relations), 'relation')} ({_few(relations, 3, 30)}){way}"
    if relation not in relations:
        sentence = f"{table.path} has no relation '{show_label(relation)}'"
        raise unknown_name(
            sentence, relation, relations, otherwise=f"its relations are {_few(relations, 5, 30)}"
        )
    return [row for row, cell in enumerate(cells) if cell == relation], f"relation {show_label(relation)}"


def _texts(table: Columns, ends: Ends | None) -> list[int]:
    """Columns, other than the ends, of labels: neither numbers nor dates nor dictionaries, and not empty."""
    taken = (ends.tail, ends.head) if ends else ()
    others = [column for column in range(table.width) if column not in taken and not table.is_numeric(column)]
    return [column for column in others if not _is_attribute(table.cells[column])]


def _is_attribute(cells: Sequence[str]) -> bool:
    """Whether all cells are dates, true or false, or dictionaries as networkx writes them, or missing."""
    values = set(cells) - MISSING
    return (
        all(map(_DATE.fullmatch, values))
        or {value.casefold() for value in values} <= {"true", "false"}
        or all(value.startswith("{") and value.endswith("}") for value in values)
    )


def _belongs(table: Columns, column: int, ends: Ends) -> bool:
    """Whether a column may be left out beside named ends: an attribute, one text, or a name of an end."""
    cells, header = table.cells[column], table.header or ("",) * table.width
    name = plain_name(header[column])
    if len(set(cells)) == 1 or (name in _ATTRIBUTES and name != "type"):
        return name != "label" or known_triple(header) is None
    if name == "type" and {cell.casefold() for cell in cells} <= {"directed", "undirected", "mutual", ""}:
        return True
    own = {*_words_of(header[column])}
    return not own & _RELATION_NAMES and any(
        own & ({*_words_of(header[end])} - _KINDS_OF_LABEL)
        or len(set(zip(table.cells[end], cells, strict=True))) == len(set(table.cells[end])) < table.row_count
        for end in (ends.tail, ends.head)
    )


def _left_out(table: Columns, ends: Ends) -> list[str]:
    others = (column for column in range(table.width) if column not in (ends.tail, ends.head))
    columns = [column for column in others if any(table.cells[column])]
    if not columns:
        return []
    names = ", ".join(map(table.name, columns[:5])) + (", …" if len(columns) > 5 else "")
    example = f"(first value {show_label(table.cells[columns[0]][0], 30)})"
    if len(columns) > 1:
        return [f"Columns {names} {example} were left out, as weights and other attributes are."]
    kinds = "weights" if table.is_numeric(columns[0]) else "weights and other attributes"
    return [f"Column {names} {example} was left out, as {kinds} are."]


def is_index(table: Columns, column: int) -> bool:
    """Whether a column counts the rows, of which there are at least three, from 0 or 1."""
    return table.row_count > 2 and counts_rows(table.cells[column])


def _are_ids(table: Columns, column: int) -> bool:
    """Whether a column of numbers could be ids of nodes: whole and not all the same."""
    values = set(table.cells[column])
    return len(values) > 1 and all(re.fullmatch(r"[0-9]+(\.0*)?", value) for value in values)


def known_header(path: Path, layout: FileLayout) -> Callable[[Sequence[str]], tuple[int, ...] | None]:
    """For `read_columns`: the ends among the names of a first line; refuses those of a table of nodes."""

    def known(names: Sequence[str]) -> tuple[int, ...] | None:
        ends = known_ends(names)
        if not ends and layout.columns is None and is_node_table(names):
            raise _node_table(path)
        return ends

    return known
