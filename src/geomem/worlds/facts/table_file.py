"""A fact table as JSON and back: the `facts.json` of a run directory, checked as a stranger's file is."""

from typing import Any

import numpy as np

from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable

FORMAT = "geomem-facts-1"
"""Value of the field `format`; a later layout gets a later number."""


def facts_to_json(table: FactTable) -> dict[str, Any]:
    """The table as a dictionary of plain JSON values: format, name, three lists of labels, facts, notes.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> facts_to_json(random_bijections(1, 2))["facts"]
    [[0, 0, 0], [0, 1, 0]]
    """
    return {
        "format": FORMAT,
        "name": table.name,
        "subjects": list(table.subjects),
        "relations": list(table.relations),
        "objects": list(table.objects),
        "facts": table.facts.tolist(),
        "notes": list(table.notes),
    }


def facts_from_json(value: Any) -> FactTable:
    """The table that `facts_to_json` wrote; the value may be anything that a JSON file can hold.

    Raises `InputError` if a field is missing, unknown or of a wrong type, and as `FactTable` does.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> facts_from_json(facts_to_json(random_bijections(4, 2))).digest == random_bijections(4, 2).digest
    True
    """
    fields = {"format", "name", "subjects", "relations", "objects", "facts", "notes"}
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise _damaged(f"it does not say that its format is {FORMAT!r}")
    if wrong := sorted(map(str, fields ^ set(value))):
        raise _damaged(f"the field {wrong[0]!r} is {'missing' if wrong[0] in fields else 'unknown'}")
    if not isinstance(value["name"], str):
        raise _damaged("name is not a text")
    for field in ("subjects", "relations", "objects", "notes"):
        if not isinstance(value[field], list) or not all(isinstance(entry, str) for entry in value[field]):
            raise _damaged(f"{field} is not a list of texts")
    rows = value["facts"]
    try:
        facts = np.array(rows) if isinstance(rows, list) else None
    except (ValueError, OverflowError):  # rows of unequal length, numbers beyond every integer type
        facts = None
    if facts is None or facts.dtype.kind != "i" or facts.ndim != 2 or facts.shape[1] != 3:
        raise _damaged("facts is not a list of triples of whole numbers, with at least one")
    return FactTable(
        name=value["name"],
        subjects=tuple(value["subjects"]),
        relations=tuple(value["relations"]),
        objects=tuple(value["objects"]),
        facts=facts.astype(np.int64),
        notes=tuple(value["notes"]),
    )


def _damaged(reason: str) -> InputError:
    return InputError(
        f"The facts file is damaged or no table of geomem: {reason}; write it again with geomem."
    )
