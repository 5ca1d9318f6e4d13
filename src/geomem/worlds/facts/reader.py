"""Facts of the user's own: files of triples, data frames and lists; and fact tables written as such files."""

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from geomem.errors import InputError, unknown_name
from geomem.files import check_plain_file, replace_file, text_file
from geomem.worlds.columns import Columns, describe_columns, note_missing, read_columns
from geomem.worlds.facts.builder import build_facts, short_whole_numbers
from geomem.worlds.facts.columns import FactLayout, Triples, arrow, find_triples, known_columns
from geomem.worlds.facts.table import FactTable, check_table_size
from geomem.worlds.facts.triple_files import (
    JSON_KINDS,
    RDF_KINDS,
    is_ntriples,
    read_json_facts,
    read_ntriples,
    refuse_rdf,
)
from geomem.worlds.objects import frame_columns, is_missing, tuple_columns
from geomem.worlds.separators import Separator
from geomem.worlds.text_file import (
    COMMENT_MARKS,
    clean_label,
    counted,
    kind_of_file,
    name_of_file,
    read_text,
    what_is_wrong,
)

_CONTENT = "one fact per line: subject, relation and object, separated by tabs, commas or semicolons"
_WIDE_CONTENT = "a first line that names the columns, and a line for each subject"


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
    if kind in RDF_KINDS:
        check_plain_file(path, links=True)
        raise refuse_rdf(path, RDF_KINDS[kind])
    text = read_text(path, _CONTENT)
    if text.lstrip().startswith(("@prefix", "@base")):
        raise refuse_rdf(path, "Turtle")
    notes: tuple[str, ...] = ()
    if kind in JSON_KINDS or is_ntriples(text):
        is_json = kind in JSON_KINDS
        read = read_json_facts(path, text, lines=JSON_KINDS[kind]) if is_json else read_ntriples(path, text)
        columns, notes = read.columns, read.notes
        source = columns.separator.name
        for option in ("header", "separator", "comment"):
            if getattr(layout, option) is not None:
                raise InputError(f"{path} is {source}, where {option} has no meaning; leave it out.")
        triples = find_triples(columns, layout)
        if columns.header:
            source += f", keys {', '.join(map(columns.name, triples.positions))}"
    else:
        columns = _read_columns(path, text, layout)
        triples = find_triples(columns, layout)
        source = describe_columns(columns, triples.positions)
    name, word = name_of_file(path), "Entry" if kind == ".json" else "Line"
    check_table_size(name, subjects=0, relations=0, objects=0, facts=len(triples.rows))
    triples = replace(triples, notes=(*notes, *triples.notes))
    return _table_of(
        name, triples, layout, lambda row: f"{word} {columns.numbers[row]} of {path}", several, source
    )


def _read_columns(path: Path, text: str, layout: FactLayout) -> Columns:
    """The columns of a file; a first line of known names is its header, even if these come again."""
    content, least = (_WIDE_CONTENT, 2) if layout.wide else (_CONTENT, 3)
    if layout.wide:
        layout = replace(layout, header=layout.header is not False)
    columns = read_columns(path, text, layout, content=content, known=known_columns, least=least)
    if layout.header is None and not columns.header and known_columns([cells[0] for cells in columns.cells]):
        layout = replace(layout, header=True)
        return read_columns(path, text, layout, content=content, known=known_columns, least=least)
    return columns


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
    frame = frame_columns(value)
    if frame is None and not isinstance(value, Iterable):
        raise InputError(
            f"A {type(value).__name__} is not a table of facts; give a path, a pandas or polars data frame, "
            "an array [fact, 3], or a list of triples."
        )
    if frame is None:
        parts = tuple_columns(
            value,
            3,
            noun="facts",
            array_advice="give facts as [fact, 3]",
            advice="give triples of subject, relation and object",
        )
        if wide:
            raise InputError(
                f"A {type(value).__name__} cannot be a wide table; give triples, or a data frame or a file."
            )
    else:
        parts = frame[1]
        if len(parts) < (2 if wide else 3):
            raise InputError(
                f"The data frame {name!r} has {counted(len(parts), 'column')}, but a fact has three; "
                "give subject, relation and object."
            )
    check_table_size(name, subjects=0, relations=0, objects=0, facts=len(parts[0]))
    texts = tuple(tuple("" if is_missing(part) else str(part) for part in column) for column in parts)
    rows, names = range(len(texts[0])), frame and tuple(frame[0])
    if frame or columns is not None:
        # A frame without names counts its columns from 0, which says nothing.
        counts = names == tuple(map(str, range(len(parts)))) and not wide
        table = Columns(Path(name), texts, rows, None if counts else names, Separator("frame", ""))
        triples = find_triples(table, layout)
    else:
        triples = Triples((texts[0], texts[1], texts[2]), rows, (0, 1, 2), ())
    for position in () if wide else triples.positions:
        for row, part in enumerate(parts[position]):
            if is_missing(part):
                raise InputError(f"Fact {row} of {name!r} lacks a part; give subject, relation and object.")
    return _table_of(name, triples, layout, lambda row: f"Fact {row} of {name!r}", several)


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
    numbers = {label for labels in kinds for label in short_whole_numbers(labels)}
    for label in itertools.chain(*kinds):
        wrong = what_is_wrong(label)
        if not wrong and clean_label(label) != label:
            wrong = "has blanks at its ends or is not in Unicode's form NFC"
        wrong = wrong or ("is a whole number with decimals" if label in numbers else "")
        if wrong:
            raise InputError(
                f"The label {label!r:.80} of the table {table.name!r} {wrong}, so it would not be read back; "
                "rename it."
            )
    subjects, relations, objects = ([_quoted(label) for label in labels] for labels in kinds)
    lines = [f"{subjects[s]}\t{relations[r]}\t{objects[o]}\n" for s, r, o in table.facts.tolist()]
    replace_file(Path(path), text_file("subject\trelation\tobject\n" + "".join(lines)))


def _table_of(
    name: str,
    triples: Triples,
    layout: FactLayout,
    where: Callable[[int], str],
    several: bool,
    source: str = "",
) -> FactTable:
    """The table of the facts that were found; its first note is what was understood of a file."""
    cells, rows, notes = triples.cells, triples.rows, triples.notes
    if wanted := {clean_label(label) for label in layout.chosen_relations}:
        there = {clean_label(cell) for cell in cells[1]}
        if missing := sorted(wanted - there):
            few = f"its relations are {', '.join(sorted(there))}"
            raise unknown_name(
                f"{name!r} has no relation {missing[0]!r}",
                missing[0],
                there,
                otherwise=few if len(there) <= 12 else f"it has {len(there):,}",
            )
        kept = [fact for fact, cell in enumerate(cells[1]) if clean_label(cell) in wanted]
        notes = (f"{len(kept):,} of {len(cells[1]):,} facts are of the relations asked for.", *notes)
        subjects, relations, objects = ([part[fact] for fact in kept] for part in cells)
        cells, rows = (subjects, relations, objects), [rows[fact] for fact in kept]
    notes = (*notes, *note_missing(cells[0], "subject"), *note_missing(cells[2], "object"))
    table = build_facts(name, cells, lambda fact: where(rows[fact]), several=several, notes=notes)
    if not source:
        return table
    sizes = (table.subject_count, table.relation_count, table.object_count, table.fact_count)
    counts = ", ".join(map(counted, sizes, ("subject", "relation", "object", "fact")))
    first = arrow(*(clean_label(part[0]) for part in cells))
    return replace(table, notes=(f"{counts} from {source}; first: {first}", *table.notes))


def _quoted(label: str) -> str:
    """The label as a cell: in double quotes if it has one, or could be taken for a comment or a rule."""
    if '"' in label or label.startswith(COMMENT_MARKS) or not label.strip("-=+|: "):
        return '"' + label.replace('"', '""') + '"'
    return label
