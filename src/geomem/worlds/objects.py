"""Objects of other libraries as columns of labels: data frames, arrays, lists; labels cleaned and checked."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from geomem.errors import InputError
from geomem.worlds.text_file import MAXIMUM_LABEL_CHARACTERS, clean_label, what_is_wrong

_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def frame_columns(value: Any) -> tuple[list[str], list[list[Any]]] | None:
    """Names and columns of a pandas or polars data frame; None for anything else.

    >>> frame_columns([("a", "b")]) is None
    True
    """
    if not hasattr(value, "columns") or not (hasattr(value, "iloc") or hasattr(value, "to_series")):
        return None
    names = [str(name) for name in value.columns]
    pandas, places = hasattr(value, "iloc"), range(len(names))
    return names, [value.iloc[:, p].tolist() if pandas else value.to_series(p).to_list() for p in places]


def tuple_columns(
    value: Iterable[Any], count: int, *, noun: str, array_advice: str, advice: str
) -> list[list[Any]]:
    """The columns of an array or list of equally long tuples.

    Raises `InputError` with the advice for another shape, or an entry that is no such tuple.

    >>> tuple_columns([("a", "b"), ("c", "d")], 2, noun="edges", array_advice="", advice="")
    [['a', 'c'], ['b', 'd']]
    """
    if isinstance(value, np.ndarray):
        if value.ndim != 2 or value.shape[1] != count:
            raise InputError(f"The array has shape {value.shape}; {array_advice}.")
        return [value[:, column].tolist() for column in range(count)]
    rows = list(value)
    for number, row in enumerate(rows):
        whole = isinstance(row, Sequence | np.ndarray) and not isinstance(row, str | bytes)
        if not whole or len(row) != count:
            raise InputError(f"Entry {number} of the {noun} is {row!r:.80}; {advice}.")
    return [[row[column] for row in rows] for column in range(count)]


def is_missing(value: Any) -> bool:
    """Whether a value is missing, as data frames have them.

    >>> is_missing(None), is_missing(float("nan")), is_missing("nan")
    (True, True, False)
    """
    return not isinstance(value, str) and str(value) in ("None", "nan", "<NA>", "NaT")


def clean_labels(cells: Sequence[str], where: Callable[[int], str]) -> dict[str, str]:
    """The label of every different cell, without blanks at the ends and in form NFC.

    Raises `InputError` for a label that `what_is_wrong` refuses; `where` says in which row it stands.

    >>> clean_labels([" Rome", "Bonn", " Rome"], "Line {}".format)
    {' Rome': 'Rome', 'Bonn': 'Bonn'}
    """
    clean = {cell: clean_label(cell) for cell in dict.fromkeys(cells)}
    for cell, label in clean.items():
        if wrong := what_is_wrong(label):
            raise InputError(
                f"{where(cells.index(cell))} has a label that {wrong}; give labels of 1 to "
                f"{MAXIMUM_LABEL_CHARACTERS:,} characters in plain text."
            )
    return clean


def are_whole_numbers(labels: Iterable[str]) -> bool:
    """Whether all labels are whole numbers as they are counted: then their order is the numeric one.

    >>> are_whole_numbers(["0", "12"]), are_whole_numbers(["07"])
    (True, False)
    """
    return all(map(_WHOLE_NUMBER.fullmatch, labels))
