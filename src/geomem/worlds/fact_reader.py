"""Facts of the user's own: files of triples, data frames and lists; and fact tables written as such files.

Subjects, relations and objects get their ids in numeric order if every label of the kind is a whole number,
else in order of first appearance, reading all facts of the first subject, then of the second, and so on: so a
table that is written and read again is the same.
"""

import itertools
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from geomem.errors import InputError
from geomem.worlds.fact_table import FactTable, check_table_size
from geomem.worlds.several_answers import describe_several
from geomem.worlds.text_file import (
    COMMENT_MARKS,
    MAXIMUM_LABEL_CHARACTERS,
    clean_label,
    content_lines,
    find_delimiter,
    name_of_file,
    read_text,
    split_lines,
)

HEADER_TRIPLES = (
    ("subject", "relation", "object"),
    ("subject", "predicate", "object"),
    ("subject", "property", "object"),
    ("subject", "property", "value"),
    ("subject", "relation", "answer"),
    ("subject", "attribute", "value"),
    ("entity", "attribute", "value"),
    ("head", "relation", "tail"),
    ("source", "relation", "target"),
)
"""Column names of the three parts of a fact, without case, blanks, hyphens and underscores."""

_CONTENT = "one fact per line: subject, relation and object, separated by tabs, commas or semicolons"
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_MISSING = ("None", "nan", "<NA>", "NaT")


def read_facts(
    path: str | os.PathLike[str],
    *,
    header: Literal["detect", "yes", "no"] = "detect",
    several: bool = False,
) -> FactTable:
    """Table of a file of triples: UTF-8 text, one fact per line with subject, relation and object.

    - Columns are separated by tabs if the first line and at least half of all have one, else so by commas,
      else by semicolons. A label may stand in double quotes, with quotes inside doubled.
    - Lines that start with `#`, `%` or `//` are comments; blank lines do not count.
    - The first line is a header if three of its columns are named as in `HEADER_TRIPLES` (subject, relation,
      object; head, relation, tail; ...), which then are the columns read; `header` says it outright.
    - Further columns are left out.
    - Labels lose blanks at their ends and are brought into Unicode's form NFC. Repeated facts are merged.
    - A second answer to the same subject and relation is an error, unless `several` allows it: then the
      question has several answers, in the order of the file.

    The table's `notes` say what was decided. Raises `InputError` for conflicting facts, a line without three
    columns, an empty or too long label or one with a control character, and a missing, empty, binary or too
    large file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "towns.csv"
    ...     _ = file.write_text("subject,relation,object\\nItaly,capital,Rome\\nItaly,currency,euro\\n")
    ...     table = read_facts(file)
    >>> table.relations, table.objects, table.notes
    (('capital', 'currency'), ('Rome', 'euro'), ('The first line was read as a header.',))
    """
    path = Path(path)
    numbers, lines = content_lines(read_text(path, _CONTENT))
    if not numbers:
        raise InputError(f"{path} has only comments; give {_CONTENT}, a label like #1 in double quotes.")
    check_table_size(name_of_file(path), subjects=0, relations=0, objects=0, facts=len(numbers))
    delimiter = find_delimiter(lines)
    rows = split_lines(path, numbers, lines, "\t" if delimiter == " " else delimiter)
    top = next(rows)
    named = _named_columns(top)
    notes = []
    if header == "yes" or (header == "detect" and named):
        notes.append("The first line was read as a header.")
        numbers = numbers[1:]
        if not numbers:
            raise InputError(f"{path} has only a header; give {_CONTENT}.")
    else:
        rows = itertools.chain([top], rows)
    columns = named if named and notes else (0, 1, 2)
    subjects, relations, objects = cells = ([], [], [])
    same: dict[str, str] = {}  # equal cells as one text: a file has many more cells than labels
    wide = False
    for number, row in zip(numbers, rows, strict=True):
        if len(row) <= max(columns):
            raise InputError(
                f"Line {number} of {path} has {len(row)} column{'s' if len(row) > 1 else ''}, but a fact has "
                "three; give subject, relation and object, separated by tabs, commas or semicolons."
            )
        wide = wide or (len(row) > 3 and sum(map(bool, row)) > 3)
        for column, cell in zip(cells, (row[column] for column in columns), strict=True):
            column.append(same.setdefault(cell, cell))
    if wide:
        notes.append("Columns beyond subject, relation and object were left out.")
    return _from_columns(
        name_of_file(path),
        (subjects, relations, objects),
        lambda row: f"Line {numbers[row]} of {path}",
        several=several,
        notes=notes,
    )


def facts_from(value: Any, *, name: str = "facts", several: bool = False) -> FactTable:
    """Table of a path, a data frame, an array or a list of triples; a `FactTable` is returned as it is.

    - pandas and polars data frames: the columns named as in `HEADER_TRIPLES`, else the first three.
    - NumPy arrays [fact, 3] and iterables of triples: labels as `str(part)`.

    `several` and the labels are treated as in `read_facts`.
    Raises `InputError` for anything else, for missing values, and as `read_facts` does.

    >>> facts_from([("Italy", "capital", "Rome"), ("France", "capital", "Paris")]).subjects
    ('Italy', 'France')
    """
    if isinstance(value, FactTable):
        return value
    if isinstance(value, str | os.PathLike):
        return read_facts(value, several=several)
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # pandas
        columns = _frame_columns(name, [str(column) for column in value.columns])
        parts = [value.iloc[:, column].tolist() for column in columns]
    elif hasattr(value, "to_series") and hasattr(value, "columns"):  # polars
        columns = _frame_columns(name, list(value.columns))
        parts = [value.to_series(column).to_list() for column in columns]
    elif isinstance(value, np.ndarray):
        if value.ndim != 2 or value.shape[1] != 3:
            raise InputError(f"The array has shape {value.shape}; give facts as [fact, 3].")
        parts = [value[:, column].tolist() for column in range(3)]
    elif isinstance(value, Iterable):
        triples = list(value)
        for number, triple in enumerate(triples):
            whole = isinstance(triple, Sequence | np.ndarray) and not isinstance(triple, str | bytes)
            if not whole or len(triple) != 3:
                raise InputError(
                    f"Entry {number} of the facts is {triple!r:.80}; "
                    "give triples of subject, relation and object."
                )
        parts = [[triple[column] for triple in triples] for column in range(3)]
    else:
        raise InputError(
            f"A {type(value).__name__} is no table of facts; give a path, a pandas or polars data frame, "
            "an array [fact, 3], or a list of triples."
        )
    check_table_size(name, subjects=0, relations=0, objects=0, facts=len(parts[0]))
    subjects, relations, objects = (_texts(name, part) for part in parts)
    return _from_columns(
        name, (subjects, relations, objects), lambda row: f"Fact {row} of {name!r}", several=several, notes=()
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
        wrong = _what_is_wrong(label)
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


def _from_columns(
    name: str,
    cells: tuple[list[str], list[str], list[str]],
    where: Callable[[int], str],
    *,
    several: bool,
    notes: Sequence[str],
) -> FactTable:
    """The table of facts given by their labels; `where` says in errors where a fact stands."""
    if not cells[0]:
        raise InputError(f"The table {name!r} has no fact; give at least one.")
    notes = list(notes)
    (subjects, subject), (relations, relation), (objects, answer) = (_encode(part, where) for part in cells)
    check_table_size(
        name, subjects=len(subjects), relations=len(relations), objects=len(objects), facts=len(subject)
    )
    question = subject * len(relations) + relation
    # Keep the first of equal facts, in the order of the file.
    kept = np.sort(np.unique(question * len(objects) + answer, return_index=True)[1])
    if repeated := len(question) - len(kept):
        notes.append(
            f"{'1 repeated fact was' if repeated == 1 else f'{repeated:,} repeated facts were'} merged."
        )
    if not several:
        _check_conflicts(where, (subjects, relations, objects), (subject, relation, answer), kept, question)
    table = _in_reading_order(
        name, subjects, relations, objects, subject[kept], relation[kept], answer[kept], notes
    )
    return replace(table, notes=(*notes, describe_several(table))) if table.several else table


def _check_conflicts(
    where: Callable[[int], str],
    labels: tuple[list[str], list[str], list[str]],
    ids: tuple[np.ndarray, np.ndarray, np.ndarray],
    kept: Int[np.ndarray, " kept"],
    question: Int[np.ndarray, " fact"],
) -> None:
    """Raise `InputError` that names the first fact whose question has another answer already."""
    _, first, index = np.unique(question[kept], return_index=True, return_inverse=True)
    further = np.flatnonzero(first[index] != np.arange(len(kept)))
    if not further.size:
        return
    row, earlier = int(kept[further[0]]), int(kept[first[index[further[0]]]])
    subject, relation, answer = (kind[part[row]] for kind, part in zip(labels, ids, strict=True))
    raise InputError(
        f"{where(row)} answers {subject!r}, {relation!r} with {answer!r}, but "
        f"{where(earlier)[0].lower()}{where(earlier)[1:]} with {labels[2][ids[2][earlier]]!r}; keep one of "
        "them, or allow several answers with several=True (--several on the command line)."
    )


def _in_reading_order(
    name: str,
    subjects: list[str],
    relations: list[str],
    objects: list[str],
    subject: Int[np.ndarray, " fact"],
    relation: Int[np.ndarray, " fact"],
    answer: Int[np.ndarray, " fact"],
    notes: Sequence[str],
) -> FactTable:
    """The table with ids in the module's order."""
    subjects, subject = _by_appearance(subjects, subject, np.arange(len(subject)))
    relations, relation = _by_appearance(relations, relation, np.argsort(subject, kind="stable"))
    objects, answer = _by_appearance(objects, answer, np.lexsort((relation, subject)))
    facts = np.stack([subject, relation, answer], axis=1)
    return FactTable(name, tuple(subjects), tuple(relations), tuple(objects), facts, tuple(notes))


def _by_appearance(
    labels: list[str], ids: Int[np.ndarray, " fact"], order: Int[np.ndarray, " fact"]
) -> tuple[list[str], Int[np.ndarray, " fact"]]:
    """Labels and ids renumbered: in numeric order, or as they first appear in the facts in this order."""
    used, first = np.unique(ids[order], return_index=True)
    old = used[np.argsort(first)].tolist()
    if all(map(_WHOLE_NUMBER.fullmatch, labels)):
        old.sort(key=lambda number: int(labels[number]))
    new = np.empty(len(labels), dtype=np.int64)
    new[old] = np.arange(len(old))
    return [labels[number] for number in old], new[ids]


def _encode(cells: list[str], where: Callable[[int], str]) -> tuple[list[str], Int[np.ndarray, " fact"]]:
    """Labels of a column and, for every cell, the number of its label."""
    clean = {cell: clean_label(cell) for cell in dict.fromkeys(cells)}
    for cell, label in clean.items():
        if wrong := _what_is_wrong(label):
            raise InputError(
                f"{where(cells.index(cell))} has a label that {wrong}; "
                f"give labels of 1 to {MAXIMUM_LABEL_CHARACTERS:,} characters in plain text."
            )
    number = {label: place for place, label in enumerate(dict.fromkeys(clean.values()))}
    of_cell = {cell: number[label] for cell, label in clean.items()}
    return list(number), np.fromiter(map(of_cell.__getitem__, cells), dtype=np.int64, count=len(cells))


def _what_is_wrong(label: str) -> str:
    """Why a label cannot be kept, as the end of "a label that ..."; nothing if it can."""
    if not label:
        return "is empty"
    if len(label) > MAXIMUM_LABEL_CHARACTERS:
        return f"has {len(label):,} characters"
    if found := _CONTROL_CHARACTER.search(label):
        return f"has the control character {found.group()!r}"
    return ""


def _quoted(label: str) -> str:
    """The label as a cell: in double quotes if it has one, or could be taken for the start of a comment."""
    if '"' in label or label.startswith(COMMENT_MARKS):
        return '"' + label.replace('"', '""') + '"'
    return label


def _named_columns(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Positions of the columns that are named as the parts of a fact, if there are such."""
    plain = [re.sub(r"[\s_-]", "", name).casefold() for name in names]
    for first, second, third in HEADER_TRIPLES:
        if {first, second, third} <= set(plain):
            return plain.index(first), plain.index(second), plain.index(third)
    return None


def _frame_columns(name: str, columns: Sequence[str]) -> tuple[int, int, int]:
    """The columns of a data frame that hold the three parts of a fact."""
    if len(columns) < 3:
        raise InputError(
            f"The data frame {name!r} has {len(columns)} column{'s' if len(columns) > 1 else ''}, but a fact "
            "has three; give subject, relation and object."
        )
    return _named_columns(columns) or (0, 1, 2)


def _texts(name: str, parts: Sequence[Any]) -> list[str]:
    """Labels of objects as `str` writes them; missing values, as data frames have them, are refused."""
    texts = [str(part) for part in parts]
    for number, (text, part) in enumerate(zip(texts, parts, strict=True)):
        if text in _MISSING and not isinstance(part, str):
            raise InputError(f"Fact {number} of {name!r} lacks a part; give subject, relation and object.")
    return texts
