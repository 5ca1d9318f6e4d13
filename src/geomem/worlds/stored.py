"""What the JSON files of graphs and tables of facts share: fields and arrays, checked as a stranger's are."""

from collections.abc import Collection
from typing import Any

import numpy as np

from geomem.errors import InputError
from geomem.worlds.text_file import MAXIMUM_LABEL_CHARACTERS, control_character, show_label


def check_stored(
    value: Any, format: str, fields: Collection[str], *, lists: Collection[str], optional: str = ""
) -> None:
    """Raise `InputError` unless a JSON value is an object of these fields, and those in `lists` hold texts.

    >>> check_stored({"format": "a-1", "name": "x"}, "a-1", ("format", "name"), lists=())
    """
    if not isinstance(value, dict) or value.get("format") != format:
        raise damaged(format, f"it does not say that its format is {format!r}")
    if wrong := sorted(map(str, set(fields) ^ (set(value) - {optional}))):
        field = show_label(wrong[0])
        raise damaged(format, f"the field '{field}' is {'missing' if field in fields else 'unknown'}")
    if not isinstance(value["name"], str) or len(value["name"]) > MAXIMUM_LABEL_CHARACTERS:
        raise damaged(format, "name is not a text, or is too long")
    for field in lists:
        if not isinstance(value[field], list) or not all(isinstance(entry, str) for entry in value[field]):
            raise damaged(format, f"{field} is not a list of texts")
    if found := next(filter(None, map(control_character, [value["name"], *value.get("notes", ())])), None):
        raise damaged(format, f"its name or a note has the control character {found}")


def stored_rows(rows: Any, width: int, kinds: str = "i") -> np.ndarray | None:
    """The rows of a JSON list as an array [row, width] of a NumPy kind among `kinds`; None if it is not one.

    >>> stored_rows([[0, 1], [1, 2]], 2).shape, stored_rows([[0, 1], [1]], 2)
    ((2, 2), None)
    """
    try:
        array = np.array(rows) if isinstance(rows, list) else None
    except (ValueError, OverflowError):  # rows of unequal length, numbers beyond every integer type
        return None
    if array is not None and array.size == 0:
        return np.zeros((0, width), dtype=np.int64)
    fits = array is not None and array.dtype.kind in kinds and array.shape[1:] == (width,)
    return array if fits else None


def damaged(format: str, reason: str) -> InputError:
    """The error for a file that is not what geomem wrote.

    >>> print(damaged("geomem-graph-1", "name is not a text"))
    The graph file is damaged or not written by geomem: name is not a text; write it again with geomem.
    """
    kind = format.split("-")[1]
    return InputError(
        f"The {kind} file is damaged or not written by geomem: {reason}; write it again with geomem."
    )
