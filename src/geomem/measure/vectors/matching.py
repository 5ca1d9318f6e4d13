"""Rows of a file matched to names, as those of a graph's nodes: by their labels, however these are spelt."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from geomem.errors import InputError
from geomem.worlds.text_file import clean_label, equal_numbers

_LABEL_TITLE = re.compile(
    "(label|name|node|vertex|word|token|vocab|vocabulary|id|key|entity|entitie|item|country|state)s?"
)

VOCABULARY = 10
"""A file with so many times more rows than names is a vocabulary, whose rows stand in order of frequency."""

Row = TypeVar("Row")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Match(Generic[Row]):
    """Which row is whose, and what was left over."""

    rows: Mapping[int, Row]
    """The row of every name that has one."""
    row_count: int
    other_count: int
    """How many rows belong to no name."""
    other: str | None
    """The label of the first of these."""
    respelt: Mapping[int, str] = field(default_factory=dict)
    """How the row of a name is spelt where it differs from it by more than `label_key`."""

    def with_rows(self, rows: Mapping[int, Other]) -> "Match[Other]":
        """The same match with other rows, as after only those that are wanted were read."""
        return Match(rows, self.row_count, self.other_count, self.other, self.respelt)


def names_labels(title: str) -> bool:
    """Whether the title of a column, or the name of an array, says by its last word that it holds the labels.

    >>> names_labels("Nodes"), names_labels("node_ids"), names_labels("node_degree")
    (True, True, False)
    """
    return _LABEL_TITLE.fullmatch(re.split(r"[\s_.-]+", title.lower())[-1]) is not None


def label_key(label: str) -> str:
    """What two ways to write one label share: no blanks at the ends, Unicode's form NFC, equal numbers.

    >>> label_key(" 12.0 "), label_key("12"), label_key("1.50"), label_key("007"), label_key("1.2.0")
    ('12', '12', '1.5', '007', '1.2.0')
    """
    label = clean_label(label)
    return equal_numbers((label,)).get(label, label)


def match_rows(rows: Iterable[tuple[str, Row]], names: Sequence[str]) -> Match[Row]:
    """Find the row of every name by its label; rows of no name are counted and let go.

    A row spelt as the name comes first, then one with the same `label_key`, then one that differs in
    underscores for blanks, then one that differs in capitals too. Of several that differ so, or in a
    vocabulary of words have one `label_key`, the first in the file is taken. Raises `InputError` if two rows
    are equally right otherwise.

    >>> match = match_rows([("1.0", "b"), ("x", "c"), ("0", "a"), ("new_york", "d")], ["0", "1", "New York"])
    >>> match.rows, match.other_count, match.other, match.respelt
    ({1: 'b', 0: 'a', 2: 'd'}, 1, 'x', {2: 'new_york'})
    """
    known: list[dict[str, int | None]] = [{} for _ in SPELLINGS]
    for at, name in enumerate(names):
        for spelt, alike in zip(SPELLINGS, known, strict=True):
            key = spelt(name)
            alike[key] = None if key in alike else at
    found: dict[int, tuple[int, str, Row]] = {}
    count = others = 0
    other = twice = None
    for label, row in rows:
        count += 1
        closeness, at = 0, known[0].get(label)
        # Whatever is spelt alike in a closer way is so in the loosest; most words of a vocabulary are not.
        if at is None and SPELLINGS[-1](label) in known[-1]:
            closer = enumerate(zip(SPELLINGS, known, strict=True))
            hits = ((place, alike.get(spelt(label))) for place, (spelt, alike) in closer)
            closeness, at = next((hit for hit in hits if hit[1] is not None), (0, None))
        if at is None:
            others += 1
            other = label if other is None else other
            continue
        before = found.get(at)
        if before is not None and before[0] == closeness < LOOSE and (twice is None or closeness == 0):
            twice = before[1], label, names[at]
        if before is not None:
            others += 1
            other = (before[1] if closeness < before[0] else label) if other is None else other
        if before is None or closeness < before[0]:
            found[at] = closeness, label, row
    if twice is not None and (twice[0] == twice[1] or count < VOCABULARY * len(names)):
        raise InputError(
            f"The labels {twice[0][:80]!r} and {twice[1][:80]!r} of two rows both name the node "
            f"{twice[2][:80]!r}; give one row per node."
        )
    respelt = {at: label for at, (closeness, label, _) in found.items() if closeness >= LOOSE}
    return Match({at: row for at, (_, _, row) in found.items()}, count, others, other, respelt)


def _spaced(label: str) -> str:
    return label_key(label).replace("_", " ")


SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    label_key,
    _spaced,
    lambda label: _spaced(label).casefold(),
)
"""What two spellings of one name share, from the closest to the loosest."""

LOOSE = 2
"""From this place of `SPELLINGS` on, a vocabulary may hold several rows for one name."""
