"""Files of fact tables: what is written is read back, and what a stranger wrote is checked."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.catalogue import FACT_WORLDS
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.facts.reader import facts_from
from geomem.worlds.facts.table import FactTable
from geomem.worlds.facts.table_file import facts_from_json, facts_to_json

FIELDS = ["format", "name", "subjects", "relations", "objects", "facts", "notes"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", FACT_WORLDS)
def test_every_table_survives_a_file(name):
    table = FACT_WORLDS[name]()
    again = facts_from_json(json.loads(json.dumps(facts_to_json(table))))
    assert again.digest == table.digest
    assert (again.name, again.notes) == (table.name, table.notes)


@given(st.lists(st.tuples(*[st.text("abc é\u0301<\"'", min_size=1).filter(str.strip)] * 3), min_size=1))
def test_any_facts_survive_a_file(triples):
    table = facts_from(triples, several=True)
    again = facts_from_json(json.loads(json.dumps(facts_to_json(table))))
    assert again.digest == table.digest
    assert again.notes == table.notes


@given(st.sampled_from([*FIELDS, "new"]), JSON)
def test_any_value_in_any_field_is_read_or_refused(field, value):
    written = facts_to_json(random_bijections(4, 2)) | {field: value}
    with contextlib.suppress(InputError):
        assert isinstance(facts_from_json(written), FactTable)


@given(JSON)
def test_any_value_is_refused(value):
    with pytest.raises(InputError, match="format"):
        facts_from_json(value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "geomem-facts-9", "format"),
        ("name", 3, "name is not a text"),
        ("subjects", "abcd", "subjects is not a list"),
        ("objects", ["0", "1", "2", 3], "objects is not a list"),
        ("relations", ["0", "\ud800"], "surrogate"),
        ("subjects", ["0", "1"], "names subject 3"),
        ("facts", [[0, 1]], "facts is not a list of triples"),
        ("facts", [[0, 1, 2], [2]], "facts is not a list of triples"),
        ("facts", [[0.5, 1, 1]], "facts is not a list of triples"),
        ("facts", [[True, False, True]], "facts is not a list of triples"),
        ("facts", [[0, 0, 2**70]], "facts is not a list of triples"),
        ("facts", [], "facts is not a list of triples"),
        ("facts", {}, "facts is not a list of triples"),
        ("facts", [[0, 0, 0], [0, 0, 0]], "twice"),
        ("notes", [1], "notes is not a list"),
        ("extra", 1, "'extra' is unknown"),
    ],
)
def test_damaged_files_are_one_sentence(field, value, message):
    written = facts_to_json(random_bijections(4, 2)) | {field: value}
    with pytest.raises(InputError, match=message) as error:
        facts_from_json(written)
    assert ". " not in str(error.value)


@pytest.mark.parametrize("field", FIELDS[1:])
def test_missing_fields_are_named(field):
    written = facts_to_json(random_bijections(4, 2))
    del written[field]
    with pytest.raises(InputError, match=f"'{field}' is missing"):
        facts_from_json(written)
