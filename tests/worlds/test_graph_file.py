"""World files: what is written is read back, and what a stranger wrote is checked."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.catalogue import WORLDS
from geomem.worlds.graphs.file import graph_from_json, graph_to_json
from geomem.worlds.graphs.graph import Graph

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_survives_a_file(name):
    graph = WORLDS[name]()
    again = graph_from_json(json.loads(json.dumps(graph_to_json(graph))))
    assert again.digest == graph.digest
    assert (again.name, again.notes) == (graph.name, graph.notes)


@given(st.data())
def test_any_graph_survives_a_file(data):
    text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=8)
    labels = data.draw(st.lists(text, min_size=2, max_size=8, unique=True))
    ids = st.integers(0, len(labels) - 1)
    pairs = st.tuples(ids, ids).filter(lambda pair: pair[0] != pair[1])
    edges = data.draw(st.lists(pairs, min_size=1, max_size=12, unique_by=frozenset))
    places = st.lists(
        st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2),
        min_size=len(labels),
        max_size=len(labels),
    )
    coordinates = data.draw(st.none() | places)
    graph = Graph(
        data.draw(text),
        tuple(labels),
        np.array(edges),
        root=data.draw(st.none() | ids),
        coordinates=None if coordinates is None else np.array(coordinates, dtype=np.float64),
        notes=tuple(data.draw(st.lists(text, max_size=3))),
        mutual=np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=len(edges), max_size=len(edges)))),
    )
    again = graph_from_json(json.loads(json.dumps(graph_to_json(graph))))
    assert again.digest == graph.digest
    assert (again.name, again.notes, again.root) == (graph.name, graph.notes, graph.root)


@given(
    st.sampled_from(["format", "name", "labels", "edges", "root", "coordinates", "notes", "mutual", "new"]),
    JSON,
)
def test_any_value_in_any_field_is_read_or_refused(field, value):
    written = graph_to_json(WORLDS["path"](4))
    written[field] = value
    with contextlib.suppress(InputError):
        assert isinstance(graph_from_json(written), Graph)


@given(JSON)
def test_any_value_is_refused(value):
    with pytest.raises(InputError, match="format"):
        graph_from_json(value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "geomem-graph-9", "format"),
        ("name", 3, "name is not a text"),
        ("labels", "abcd", "labels is not a list"),
        ("labels", ["0", "1", "2", 3], "labels is not a list"),
        ("labels", ["0", "1", "2", "\ud800"], "surrogate"),
        ("labels", ["0", "1"], "names node"),
        ("edges", [[0, 1, 2]], "edges is not a list of pairs"),
        ("edges", [[0, 1], [2]], "edges is not a list of pairs"),
        ("edges", [[0.5, 1]], "edges is not a list of pairs"),
        ("edges", [["0", "1"]], "edges is not a list of pairs"),
        ("edges", [[True, False]], "edges is not a list of pairs"),
        ("edges", [[0, 2**70]], "edges is not a list of pairs"),
        ("edges", [], "no edge"),
        ("edges", {}, "edges is not a list of pairs"),
        ("edges", [[0, 9]], "names node 9"),
        ("root", True, "root"),
        ("root", 1.0, "root"),
        ("root", 4, "root 4"),
        ("coordinates", [["1.0", "2.0"]] * 4, "coordinates is not a list of pairs"),
        ("coordinates", [[0.0, float("inf")]] * 4, "not finite"),
        ("coordinates", [[0.0, 1.0]], "coordinates of shape"),
        ("coordinates", [[None, 1.0]] * 4, "coordinates is not a list of pairs"),
        ("notes", [1], "notes is not a list"),
        ("extra", 1, "'extra' is unknown"),
    ],
)
def test_damaged_files_are_one_sentence(field, value, message):
    written = graph_to_json(WORLDS["path"](4))
    written[field] = value
    with pytest.raises(InputError, match=message) as error:
        graph_from_json(written)
    assert ". " not in str(error.value)


@pytest.mark.parametrize("field", ["name", "labels", "edges", "root", "coordinates", "notes"])
def test_missing_fields_are_named(field):
    written = graph_to_json(WORLDS["path"](4))
    del written[field]
    with pytest.raises(InputError, match=f"'{field}' is missing"):
        graph_from_json(written)
