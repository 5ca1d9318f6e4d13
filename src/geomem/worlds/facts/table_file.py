"""A fact table as JSON and back: the `facts.json` of a run directory, checked as a stranger's file is."""

from typing import Any

import numpy as np

from geomem.worlds.facts.table import FactTable
from geomem.worlds.stored import check_stored, damaged, stored_rows

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
    lists = ("subjects", "relations", "objects", "notes")
    check_stored(value, FORMAT, ("format", "name", "facts", *lists), lists=lists)
    facts = stored_rows(value["facts"], 3)
    if facts is None or not len(facts):
        raise damaged(FORMAT, "facts is not a list of triples of whole numbers, with at least one")
    subjects, relations, objects, notes = (tuple(value[field]) for field in lists)
    return FactTable(value["name"], subjects, relations, objects, facts.astype(np.int64), notes)
