"""Facts of the user's own: files of triples, data frames and lists; and fact tables written as such files."""

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geomem.errors import InputError, unknown_name
from geomem.worlds.columns import Columns, describe_columns, note_missing, read_columns
from geomem.worlds.facts.builder import build_facts, what_is_wrong
from geomem.worlds.facts.columns import FactLayout, Triples, find_triples, known_columns
from geomem.worlds.facts.table import FactTable, check_table_size
from geomem.worlds.facts.triple_files import (
    JSON_KINDS,
    RDF_KINDS,
    is_ntriples,
    read_json_facts,
    read_ntriples,
    refuse_rdf,
)
from geomem.worlds.separators import Separator
from geomem.worlds.text_file import (
    COMMENT_MARKS,
    clean_label,
    kind_of_file,
    name_of_file,
    read_text,
    show_label,
)

_CONTENT = "one fact per line: subject, relation and object, separated by tabs, commas or semicolons"
_WIDE_CONTENT = "a first line that names the columns, and a line for each subject"
_MISSING = ("None", "nan", "<NA>", "NaT")


def read_facts(
    path: str | os.PathLike[str],
    *,
    several: bool = False,
    columns: str | Sequence[str | int] | None = None,
    header: bool | None = None,
    separator: str | None = None,
    comment: str | None = None,
    wide: bool = False,
    relation: str | Sequence[str] | None = None,
) -> FactTable:
    """Table of a file of facts: text in columns, N-Triples, JSON lines (`.jsonl`) or JSON; gzip of any.

    - `columns` names those of subject, relation and object, by name or by number from 1. If not given, they
      are the columns with known names (subject, relation, object; head, relation, tail; item, property,
      value; node1, label, node2; ...), else the first three. Columns of numbers beyond them are left out.
    - `header` says whether the first line names the columns, `separator` what stands between them (`tab`,
      `comma`, `semicolon`, `pipe`, `blank`, or the characters), `comment` what comments start with (`none`:
      there are none); what is not given is found out, as `geomem.worlds.columns.read_columns` says.
    - With `wide` the first column holds subjects, and each other column is a relation; empty cells hold
      nothing. `relation` names the only relations that are read.
    - Labels lose blanks at their ends and are brought into Unicode's form NFC. Repeated facts are merged, and
      where all labels are whole numbers, `1` and `1.0` are one.
    - A second answer to the same subject and relation is an error, unless `several` allows it: then the
      question has several answers, in the order of the file.

    The first of the table's `notes` says what was understood, with the first fact; the others what was
    decided. Raises `InputError` where two readings are plausible, with both spelt out; for a column of text
    that would be left out; for conflicting facts, a line of another width, an empty or too long label or one
    with a control character; and for a missing, empty, binary or too large file, or one of another format.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "towns.csv"
    ...     _ = file.write_text("subject,relation,object\\nItaly,capital,Rome\\nItaly,currency,euro\\n")
    ...     table = read_facts(file)
    >>> table.relations, table.objects
    (('capital', 'currency'), ('Rome', 'euro'))
    >>> table.notes[0][:83]
    '1 subject, 2 relations, 2 objects, 2 facts from columns 1, 2 and 3 ("subject", "rel'
    """
    layout = FactLayout(columns, header, separator, comment, wide, relation)
    return read_fact_file(Path(path), layout, several=several)


def read_fact_file(path: Path, layout: FactLayout, *, several: bool = False) -> FactTable:
    """`read_facts` with a layout as one value."""
    if layout.header not in (None, True, False):
        raise InputError(f"header was {layout.header!r}; give True, False, or None to find it out.")
    kind = kind_of_file(path)
    if kind in RDF_KINDS and path.exists():
        raise refuse_rdf(path, RDF_KINDS[kind])
    text = read_text(path, _CONTENT)
    if text.lstrip().startswith(("@prefix", "@base")):
        raise refuse_rdf(path, "Turtle")
    notes: tuple[str, ...] = ()
    if kind in JSON_KINDS or is_ntriples(text):
        read = read_json_facts(path, text, lines=JSON_KINDS[kind]) if kind in JSON_KINDS else None
        read = read or read_ntriples(path, text)
        _refuse_layout(path, layout, read.columns.separator.name)
        columns, notes = read.columns, read.notes
        triples = find_triples(columns, layout)
        columns_said = f"from {columns.separator.name}"
        if columns.header:
            columns_said += f", keys {', '.join(columns.name(place) for place in triples.positions)}"
    else:
        columns = _read_columns(path, text, layout)
        triples = find_triples(columns, layout)
        columns_said = f"from {describe_columns(columns, triples.positions)}"
    check_table_size(name_of_file(path), subjects=0, relations=0, objects=0, facts=len(triples.subjects))
    numbers = columns.numbers
    word = "Entry" if kind == ".json" else "Line"
    return _table_of(
        name_of_file(path),
        triples,
        layout,
        lambda row: f"{word} {numbers[row]} of {path}",
        several=several,
        understood=columns_said,
        notes=notes,
    )


def _read_columns(path: Path, text: str, layout: FactLayout) -> Columns:
    """The columns of a file; a first line of known names is its header, even if these come again."""

    def read(header: bool | None) -> Columns:
        return read_columns(
            path,
            text,
            replace(layout, header=header),
            content=_WIDE_CONTENT if layout.wide else _CONTENT,
            known=known_columns,
            least=2 if layout.wide else 3,
        )

    if layout.header is not None or layout.wide:
        return read(layout.header is not False)
    columns = read(None)
    if columns.header:
        return columns
    return read(True) if known_columns([column[0] for column in columns.cells]) else columns


def facts_from(
    value: Any,
    *,
    name: str = "facts",
    several: bool = False,
    columns: str | Sequence[str | int] | None = None,
    wide: bool = False,
    relation: str | Sequence[str] | None = None,
) -> FactTable:
    """Table of a path, a data frame, an array or a list of triples; a `FactTable` is returned as it is.

    - pandas and polars data frames: columns as in `read_facts`, by their names.
    - NumPy arrays [fact, 3] and iterables of triples: labels as `str(part)`.

    The options and the labels are treated as in `read_facts`.
    Raises `InputError` for anything else, for missing values, and as `read_facts` does.

    >>> facts_from([("Italy", "capital", "Rome"), ("France", "capital", "Paris")]).subjects
    ('Italy', 'France')
    """
    layout = FactLayout(columns=columns, wide=wide, relation=relation)
    if isinstance(value, FactTable):
        return value
    if isinstance(value, str | os.PathLike):
        return read_fact_file(Path(value), layout, several=several)
    names: tuple[str, ...] | None = None
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # pandas
        names = tuple(map(str, value.columns))
        parts = [value.iloc[:, column].tolist() for column in range(len(names))]
    elif hasattr(value, "to_series") and hasattr(value, "columns"):  # polars
        names = tuple(value.columns)
        parts = [value.to_series(column).to_list() for column in range(len(names))]
    elif isinstance(value, np.ndarray):
        if value.ndim != 2 or value.shape[1] != 3:
            raise InputError(f"The array has shape {value.shape}; give facts as [fact, 3].")
        parts = [value[:, column].tolist() for column in range(3)]
    elif isinstance(value, Iterable):
        parts = _parts_of(list(value))
    else:
        raise InputError(
            f"A {type(value).__name__} is no table of facts; give a path, a pandas or polars data frame, "
            "an array [fact, 3], or a list of triples."
        )
    framed = names is not None
    if wide and not framed:
        raise InputError(
            f"A {type(value).__name__} cannot be a wide table; give triples, or a data frame or a file."
        )
    if framed and len(parts) < (2 if wide else 3):
        raise InputError(
            f"The data frame {name!r} has {len(parts)} column{'s' if len(parts) > 1 else ''}, but a fact "
            "has three; give subject, relation and object."
        )
    check_table_size(name, subjects=0, relations=0, objects=0, facts=len(parts[0]))
    texts = [_texts(part) for part in parts]
    rows = range(len(texts[0]))
    if framed or columns is not None:
        # A frame without names counts its columns from 0, which says nothing.
        named = None if names == tuple(map(str, range(len(parts)))) and not wide else names
        frame = Columns(Path(name), tuple(map(tuple, texts)), rows, named, Separator("frame", ""))
        triples = find_triples(frame, layout)
    else:
        subjects, relations, objects = texts
        triples = Triples(subjects, relations, objects, rows, (0, 1, 2), ())
    for position in () if wide else triples.positions:
        for row, part in enumerate(parts[position]):
            if _is_missing(part):
                raise InputError(f"Fact {row} of {name!r} lacks a part; give subject, relation and object.")
    return _table_of(
        name, triples, layout, lambda row: f"Fact {row} of {name!r}", several=several, understood="", notes=()
    )


def write_facts(table: FactTable, path: str | os.PathLike[str]) -> None:
    """Write a table as tab-separated triples below a header, sorted by subject and relation.

    `read_facts` reads the same facts from it, under the same labels; labels that no fact names are not
    written. A table that `read_facts` or `facts_from` made is read back with the same digest.

    Raises `InputError` for a label that would not be read back as it is, or a file that cannot be written.

    >>> import tempfile
    >>> table = facts_from([("Italy", "capital", "Rome")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_facts(table, Path(folder) / "towns.tsv")
    ...     read_facts(Path(folder) / "towns.tsv").digest == table.digest
    True
    """
    kinds = (table.subjects, table.relations, table.objects)
    for label in itertools.chain(*kinds):
        wrong = what_is_wrong(label)
        if not wrong and clean_label(label) != label:
            wrong = "has blanks at its ends or is not in Unicode's form NFC"
        if wrong:
            raise InputError(
                f"The label {label!r:.80} of the table {table.name!r} {wrong}, so it would not be read back; "
                "rename it."
            )
    subjects, relations, objects = ([_quoted(label) for label in labels] for labels in kinds)
    lines = [f"{subjects[s]}\t{relations[r]}\t{objects[o]}\n" for s, r, o in table.facts.tolist()]
    try:
        Path(path).write_text("subject\trelation\tobject\n" + "".join(lines), encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); give a file that can.") from None


def _table_of(
    name: str,
    triples: Triples,
    layout: FactLayout,
    where: Any,
    *,
    several: bool,
    understood: str,
    notes: tuple[str, ...],
) -> FactTable:
    """The table of the facts that were found; its first note is what was understood of a file."""
    cells = (triples.subjects, triples.relations, triples.objects)
    rows = triples.rows
    chosen = layout.chosen_relations
    if chosen:
        cells, rows, said = _only(name, cells, rows, chosen)
        notes = (*notes, said)
    table = build_facts(
        name,
        cells,
        lambda fact: where(rows[fact]),
        several=several,
        notes=(*notes, *triples.notes, *note_missing(cells[0], "subject"), *note_missing(cells[2], "object")),
    )
    if not understood:
        return table
    counts = ", ".join(
        f"{count:,} {kind}{'' if count == 1 else 's'}"
        for count, kind in (
            (table.subject_count, "subject"),
            (table.relation_count, "relation"),
            (table.object_count, "object"),
            (table.fact_count, "fact"),
        )
    )
    first = [show_label(clean_label(part[0])) for part in cells]
    line = f"{counts} {understood}; first: {first[0]} –{first[1]}→ {first[2]}"
    return replace(table, notes=(line, *table.notes))


def _only(
    name: str, cells: tuple[list[str], list[str], list[str]], rows: Sequence[int], chosen: tuple[str, ...]
) -> tuple[tuple[list[str], list[str], list[str]], Sequence[int], str]:
    """The facts of some relations alone, and a note."""
    wanted, there = {clean_label(label) for label in chosen}, {clean_label(cell) for cell in cells[1]}
    if missing := sorted(wanted - there):
        few = (
            f"its relations are {', '.join(sorted(there))}" if len(there) <= 12 else f"it has {len(there):,}"
        )
        raise unknown_name(f"{name!r} has no relation {missing[0]!r}", missing[0], there, otherwise=few)
    kept = [fact for fact, cell in enumerate(cells[1]) if clean_label(cell) in wanted]
    subjects, relations, objects = ([part[fact] for fact in kept] for part in cells)
    note = f"{len(kept):,} of {len(cells[1]):,} facts are of the relations asked for."
    return (subjects, relations, objects), [rows[fact] for fact in kept], note


def _refuse_layout(path: Path, layout: FactLayout, kind: str) -> None:
    """Raise `InputError` for options on columns of text, where a file has none."""
    for option in ("header", "separator", "comment"):
        if getattr(layout, option) is not None:
            raise InputError(f"{path} is {kind}, where {option} has no meaning; leave it out.")


def _parts_of(triples: list[Any]) -> list[list[Any]]:
    for number, triple in enumerate(triples):
        whole = isinstance(triple, Sequence | np.ndarray) and not isinstance(triple, str | bytes)
        if not whole or len(triple) != 3:
            raise InputError(
                f"Entry {number} of the facts is {triple!r:.80}; "
                "give triples of subject, relation and object."
            )
    return [[triple[column] for triple in triples] for column in range(3)]


def _texts(parts: Sequence[Any]) -> list[str]:
    """Labels of objects as `str` writes them, nothing for a missing value."""
    return ["" if _is_missing(part) else str(part) for part in parts]


def _is_missing(part: Any) -> bool:
    """Whether a value is missing, as data frames have them."""
    return not isinstance(part, str) and str(part) in _MISSING


def _quoted(label: str) -> str:
    """The label as a cell: in double quotes if it has one, or could be taken for the start of a comment."""
    if '"' in label or label.startswith(COMMENT_MARKS):
        return '"' + label.replace('"', '""') + '"'
    return label
