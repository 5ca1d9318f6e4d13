"""Lists of neighbours: all of a node's on its line, or each on a line of its own."""

import re
from pathlib import Path

from geomem.errors import InputError
from geomem.worlds.graphs.formats import ParsedGraph, line_splitter
from geomem.worlds.text_file import COMMENT_MARKS

_LISTED = re.compile(r"([^:\t,;|\"]+):([ \t]+|$)")
_COUNT = re.compile("[0-9]{1,7}")
_DATA = re.compile(r"[ \t]\{")


def parse_neighbours(path: Path, text: str) -> ParsedGraph:
    """A list of neighbours: on every line a node, then its neighbours; a colon may stand behind every node.

    >>> parse_neighbours(Path("a.adjlist"), "1 2 3\\n2 3").heads
    ['2', '3', '3']
    >>> parse_neighbours(Path("a.adjlist"), "1: 2, 3\\n2: 3").heads
    ['2', '3', '3']
    """
    lines = _plain_lines(text)
    listed = [match for line in lines if (match := _LISTED.match(line))]
    if len(listed) == len(lines):
        nodes = [[match[1].strip()] for match in listed]
        lines = [line[match.end() :] for line, match in zip(lines, listed, strict=True)]
    else:
        nodes = [[] for _ in lines]
    split = line_splitter(lines)
    rows = [node + [cell for cell in split(line) if cell] for node, line in zip(nodes, lines, strict=True)]
    tails = [row[0] for row in rows if row for _ in row[1:]]
    heads = [cell for row in rows for cell in row[1:]]
    return ParsedGraph("a list of neighbours", tails, heads, alone=[r[0] for r in rows if r], undirected=True)


def may_be_neighbours(text: str) -> bool:
    """Whether a text may be a list of neighbours: each line starts with another node, and they are uneven.

    They are so too if a colon stands behind every node and several labels behind some colon.

    >>> [may_be_neighbours(text) for text in ("1 2 3\\n2 3", "1 2\\n2 3", "a: b, c\\nb: c, d")]
    [True, False, True]
    """
    lines = _plain_lines(text)
    listed = [match for line in lines if (match := _LISTED.match(line))]
    if len(listed) == len(lines):
        return any(
            re.search(r"[ ,;\[]", line[m.end() :].strip()) for line, m in zip(lines, listed, strict=True)
        )
    if re.search(r'[\t,;|"]', text[:100_000]):
        return False
    rows = [line.split() for line in lines]
    widths = {len(row) for row in rows}
    return len(widths) > 1 and max(widths) > 2 and len({row[0] for row in rows}) == len(rows)


def parse_multiline_neighbours(path: Path, text: str) -> ParsedGraph:
    """networkx's multi-line list of neighbours: a node and their number, then each on a line with its data.

    >>> parse_multiline_neighbours(Path("a.multiline_adjlist"), "a 2\\nb {}\\nc {}\\nb 0").heads
    ['b', 'c']
    """
    tails, heads, alone, left = [], [], [], 0
    for line in _plain_lines(text):
        # By hand, as a pattern with blanks on both sides of a label takes the square of a line's length.
        line = line.rstrip(" \t")
        if left:
            data = _DATA.search(line) if line.endswith("}") else None
            head = line[: data.start()].rstrip(" \t") if data else line
            tails.append(alone[-1])
            heads.append(head)
            left = left - 1 if data or not re.search(r"\s", head) else -1
        else:
            node, _, count = line.replace("\t", " ").rpartition(" ")
            left = int(count) if node and _COUNT.fullmatch(count) else -1
            alone.append(line[: len(node)].rstrip(" \t"))
        if left < 0:
            break
    if left or not tails:
        raise InputError(
            f"{path} is not a multi-line list of neighbours, with a node and their number before their "
            "lines; name it .adjlist if every line lists them, or .txt if it holds an edge."
        )
    return ParsedGraph("a multi-line list of neighbours", tails, heads, alone=alone, undirected=True)


def is_multiline(text: str) -> bool:
    """Whether a text reads as networkx's multi-line list of neighbours.

    >>> is_multiline("a 1\\nb {}\\nb 0"), is_multiline("1 2\\n2 3")
    (True, False)
    """
    try:
        parse_multiline_neighbours(Path("graph"), text)
    except InputError:
        return False
    return True


def _plain_lines(text: str) -> list[str]:
    """The lines of a text that are neither empty nor comments, without blanks before them."""
    lines = (line.lstrip(" \t") for line in text.split("\n"))
    return [line for line in lines if line.strip() and not line.lstrip().startswith(COMMENT_MARKS)]
