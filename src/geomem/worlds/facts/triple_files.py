"""Files of triples in other formats than columns: N-Triples and JSON, as columns with a row for each fact."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomem.errors import InputError
from geomem.worlds.columns import Columns
from geomem.worlds.separators import Separator
from geomem.worlds.text_file import show_label

JSON_KINDS = {".jsonl": True, ".ndjson": True, ".json": False}
"""Endings of JSON files, and whether every line is a value of its own."""

RDF_KINDS = {
    ".ttl": "Turtle",
    ".trig": "TriG",
    ".n3": "Notation 3",
    ".rdf": "RDF/XML",
    ".owl": "OWL",
    ".jsonld": "JSON-LD",
}
"""Formats of triples that are refused by name."""

_TERM = r'<[^<>"{}|^`\\\x00-\x20]*(?:\\u[0-9A-Fa-f]{4}[^<>"{}|^`\\\x00-\x20]*)*>|_:[^\s<>"]+'
_LITERAL = r'"(?:[^"\\]|\\.)*"(?:@[A-Za-z]+(?:-[A-Za-z0-9]+)*|\^\^<[^<>\s]*>)?'
_STATEMENT = re.compile(
    rf"[ \t]*({_TERM})[ \t]*({_TERM})[ \t]*({_TERM}|{_LITERAL})[ \t]*({_TERM})?[ \t]*\.[ \t]*(?:#.*)?"
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPED = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"}


@dataclass(frozen=True, eq=False)
class TripleFile:
    """The columns of a file, and what was understood of it beside them."""

    columns: Columns
    notes: tuple[str, ...] = ()


def is_ntriples(text: str) -> bool:
    """Whether the first line besides comments is a statement of N-Triples.

    >>> is_ntriples("# towns\\n<http://x.org/Italy> <http://x.org/capital> <http://x.org/Rome> .")
    True
    """
    lines = (line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#"))
    return _STATEMENT.fullmatch(next(lines, "")) is not None


def statements(path: Path, text: str) -> Iterator[tuple[int, tuple[str, str, str], bool]]:
    """Line, terms, and whether a graph is named, of every statement of N-Triples or N-Quads.

    Raises `InputError` for a line that is neither a statement nor a comment, and if there is no statement.

    >>> next(statements(Path("towns.nt"), '<http://x.org/Italy> <http://x.org/capital> "Rome"@en .'))
    (1, ('<http://x.org/Italy>', '<http://x.org/capital>', '"Rome"@en'), False)
    """
    number = found = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _STATEMENT.fullmatch(line) if len(line) < 100_000 else None
        if not match:
            raise InputError(
                f"Line {number} of {path}, {show_label(line.strip())!r}, is not a statement of N-Triples; "
                'give lines such as <http://x.org/Italy> <http://x.org/capital> "Rome" .'
            )
        found += 1
        yield number, (match[1], match[2], match[3]), match[4] is not None
    if not found:
        raise InputError(f"{path} has only comments; give statements of N-Triples.")


def read_ntriples(path: Path, text: str) -> TripleFile:
    """Subject, relation and object of every statement of N-Triples or N-Quads.

    An IRI is called by its last piece, if nothing else of the file is called so, else by all of it; a literal
    by its text, without language and type; a blank node by its name with `_:`.

    Raises `InputError` as `statements` does.

    >>> text = '<http://x.org/Italy> <http://x.org/capital> "Rome"@en .'
    >>> read_ntriples(Path("towns.nt"), text).columns.cells
    (('Italy',), ('capital',), ('Rome',))
    """
    numbers, parts, named = zip(*statements(path, text), strict=True)
    labels, whole = _labels_of(parts)
    cells = tuple(tuple(labels[term] for term in column) for column in zip(*parts, strict=True))
    notes = ["Statements of N-Triples; an IRI is called by its last piece."]
    if whole:
        are = "s are" if whole > 1 else " is"
        notes.append(f"{whole:,} IRI{are} called by all of it, for others end alike.")
    if graphs := sum(named):
        notes.append(f"The graph's name was left out of {graphs:,} statement{'s' * (graphs > 1)}.")
    if comments := sum(line.lstrip().startswith("#") for line in text.split("\n")):
        notes.append(f"{comments:,} comment line{'s were' if comments > 1 else ' was'} left out.")
    return TripleFile(Columns(path, cells, numbers, None, Separator("N-Triples", "")), tuple(notes))


def read_json_facts(path: Path, text: str, *, lines: bool) -> TripleFile:
    """Columns of JSON: objects, whose keys name the columns, or lists of equally many parts.

    With `lines` every line is a value, else the file is one list of them. Raises `InputError` for anything
    else, and for a part that is neither text nor number.

    >>> found = read_json_facts(Path("a.jsonl"), '{"s": "Italy", "p": "capital", "o": "Rome"}', lines=True)
    >>> found.columns.header, found.columns.cells
    (('s', 'p', 'o'), (('Italy',), ('capital',), ('Rome',)))
    """
    if lines:
        numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        values = [(number, _parse(path, line, f"Line {number} of {path}")) for number, line in numbered]
    else:
        whole = _parse(path, text, str(path))
        if not isinstance(whole, list):
            raise InputError(f"{path} is not a list in JSON; give one of triples or of objects.")
        values = list(enumerate(whole, 1))
    if not values:
        raise InputError(f"{path} has no fact; give at least one.")
    kind, word = type(values[0][1]), "Line" if lines else "Entry"
    if kind not in (dict, list):
        raise InputError(
            f"{word} {values[0][0]} of {path} is neither an object nor a list; "
            "give subject, relation and object."
        )
    names = tuple(dict.fromkeys(key for _, value in values if isinstance(value, dict) for key in value))
    rows = []
    for number, value in values:
        where = f"{word} {number} of {path}"
        if type(value) is not kind or (kind is list and len(value) != len(values[0][1])):
            raise InputError(f"{where} has another shape than the first; give all facts alike.")
        parts = [value.get(name) for name in names] if isinstance(value, dict) else value
        rows.append([_text(part, where) for part in parts])
    cells, separator = tuple(zip(*rows, strict=True)), Separator("JSON lines" if lines else "JSON", "")
    return TripleFile(Columns(path, cells, [number for number, _ in values], names or None, separator))


def refuse_rdf(path: Path, kind: str) -> InputError:
    """The error for a file of triples in a format that is not read."""
    return InputError(
        f"{path} is {kind}, which is not read; convert it to N-Triples, for example with rdflib: "
        f"Graph().parse({path.name!r}).serialize({path.stem + '.nt'!r}, format='nt')."
    )


def _labels_of(parts: Sequence[tuple[str, str, str]]) -> tuple[dict[str, str], int]:
    """The label of every term, and how many IRIs need all of theirs."""
    labels: dict[str, str] = {}
    whole = 0
    for terms in (
        dict.fromkeys(term for subject, _, answer in parts for term in (subject, answer)),
        dict.fromkeys(relation for _, relation, _ in parts),
    ):
        short = {term: _short_label(term) for term in terms}
        # Literals that differ in language alone are one label; an IRI shares its label with nothing.
        texts = {label for term, label in short.items() if term.startswith('"')}
        count = Counter(label for term, label in short.items() if term.startswith("<"))
        for term, label in short.items():
            if term.startswith("<") and (not label or count[label] > 1 or label in texts):
                label = unescape(term[1:-1])
                whole += 1
            labels[term] = label
    return labels, whole


def _short_label(term: str) -> str:
    if term.startswith("<"):
        return re.split(r"[/#:]", unescape(term[1:-1]).rstrip("/#"))[-1]
    return unescape(term[1 : term.rindex('"')]) if term.startswith('"') else term


def unescape(text: str) -> str:
    """The text with its escapes resolved; raises `InputError` for an invalid one.

    >>> unescape("Caf\\\\u00e9") == "Caf\u00e9"
    True
    """

    def character(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] not in "uU":
            return _ESCAPED.get(code, code)
        if len(code) == 1 or int(code[1:], 16) > 0x10FFFF or 0xD800 <= int(code[1:], 16) < 0xE000:
            raise InputError(f"{show_label(text)!r} has an escape that is not a character; mend it.")
        return chr(int(code[1:], 16))

    return _ESCAPE.sub(character, text) if "\\" in text else text


def _parse(path: Path, text: str, where: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        way = "with one object or list a line" if path.suffix != ".json" else "that holds one list"
        raise InputError(f"{where} is not valid JSON; give a file of JSON {way}.") from None


def _text(part: Any, where: str) -> str:
    """A part of a fact as its label; nothing for null."""
    if part is None:
        return ""
    if isinstance(part, bool):
        return "true" if part else "false"
    if isinstance(part, str | int | float):
        return str(part)
    raise InputError(f"{where} holds a list or an object where a label is expected; give texts and numbers.")
