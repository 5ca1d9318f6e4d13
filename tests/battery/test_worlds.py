"""Whatever world is registered: written and read it is the same, ids carry no meaning, bounds hold."""

import json
from dataclasses import replace
from inspect import signature
from types import NoneType
from typing import get_args, get_type_hints

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.catalogue import FACT_WORLDS, WORLDS
from geomem.worlds.facts.reader import read_facts, write_facts
from geomem.worlds.facts.table import FactTable, relation_bits
from geomem.worlds.facts.table_file import facts_from_json, facts_to_json
from geomem.worlds.graphs.file import graph_from_json, graph_to_json
from geomem.worlds.graphs.graph import Graph, component_labels, node_degrees
from geomem.worlds.graphs.readers import read_graph


def bounds(name: str) -> dict[str, tuple[type, float, float]]:
    """Kind, least and most of every number among a world's parameters."""
    found = {}
    for parameter, hint in get_type_hints((WORLDS | FACT_WORLDS)[name], include_extras=True).items():
        hint = next((arm for arm in get_args(hint) if hint and NoneType in get_args(hint)), hint)
        kind, *limits = get_args(hint) or (hint,)
        if kind not in (int, float):
            continue
        low, high = -np.inf, np.inf
        for limit in limits:
            if isinstance(limit, Ge | Interval) and limit.ge is not None:
                low = limit.ge
            if isinstance(limit, Gt):
                low = np.nextafter(float(limit.gt), np.inf)  # pyright: ignore[reportArgumentType]
            if isinstance(limit, Le | Interval) and limit.le is not None:
                high = limit.le
        found[parameter] = (kind, low, high)
    return found


@st.composite
def arguments(draw, name: str):
    """Small arguments within the bounds of a world's parameters."""
    return {
        parameter: draw(
            st.integers(int(low), int(min(high, low + 9)))
            if kind is int
            else st.floats(float(low), float(min(high, low + 3)))
        )
        for parameter, (kind, low, high) in bounds(name).items()
    }


def edges_by_label(graph: Graph) -> set[tuple[str, str]]:
    forward = [(graph.labels[tail], graph.labels[head]) for tail, head in graph.edges.tolist()]
    return {*forward, *(forward[edge][::-1] for edge in graph.mutual.tolist())}


def facts_by_label(table: FactTable) -> list[tuple[str, str, str]]:
    return sorted(
        (table.subjects[s], table.relations[r], table.objects[o]) for s, r, o in table.facts.tolist()
    )


@pytest.mark.parametrize("name", WORLDS)
def test_a_graph_is_written_and_read_without_loss(name, tmp_path):
    graph = WORLDS[name]()
    again = graph_from_json(json.loads(json.dumps(graph_to_json(graph))))
    assert (again.digest, again.name, again.notes) == (graph.digest, graph.name, graph.notes)
    pairs = sorted(edges_by_label(graph))
    (tmp_path / "edges.tsv").write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in pairs))
    assert edges_by_label(read_graph(tmp_path / "edges.tsv")) == set(pairs)


@pytest.mark.parametrize("name", FACT_WORLDS)
def test_a_table_is_written_and_read_without_loss(name, tmp_path):
    table = FACT_WORLDS[name]()
    again = facts_from_json(json.loads(json.dumps(facts_to_json(table))))
    assert (again.digest, again.name, again.notes) == (table.digest, table.name, table.notes)
    write_facts(table, tmp_path / "facts.tsv")
    assert facts_by_label(read_facts(tmp_path / "facts.tsv")) == facts_by_label(table)


@pytest.mark.parametrize("name", WORLDS)
def test_the_digest_of_a_graph_is_of_what_is_learned(name):
    graph = WORLDS[name]()
    assert WORLDS[name]().digest == graph.digest
    assert replace(graph, name="other", notes=("other",)).digest == graph.digest
    assert replace(graph, labels=(*graph.labels[:-1], "renamed")).digest != graph.digest
    assert replace(graph, edges=graph.edges[::-1]).digest != graph.digest
    assert replace(graph, mutual=np.array([0])).digest != replace(graph, mutual=np.array([], int)).digest


@pytest.mark.parametrize("name", FACT_WORLDS)
def test_the_digest_of_a_table_is_of_what_is_learned(name):
    table = FACT_WORLDS[name]()
    assert FACT_WORLDS[name]().digest == table.digest
    assert replace(table, name="other", notes=("other",)).digest == table.digest
    assert replace(table, facts=table.facts[::-1]).digest == table.digest
    assert replace(table, facts=table.facts[1:]).digest != table.digest
    assert replace(table, objects=(*table.objects[:-1], "renamed")).digest != table.digest


@pytest.mark.parametrize("name", WORLDS)
def test_permuted_ids_are_the_same_graph(name):
    graph = WORLDS[name]()
    node = np.random.default_rng(1).permutation(graph.node_count)
    labels = tuple(graph.labels[old] for old in np.argsort(node))
    coordinates = None if graph.coordinates is None else graph.coordinates[np.argsort(node)]
    root = None if graph.root is None else int(node[graph.root])
    moved = replace(graph, labels=labels, edges=node[graph.edges], root=root, coordinates=coordinates)
    assert edges_by_label(moved) == edges_by_label(graph)
    assert moved.digest != graph.digest
    assert (node_degrees(moved)[node] == node_degrees(graph)).all()
    parts, before = component_labels(moved)[node], component_labels(graph)
    assert ((parts[:, None] == parts) == (before[:, None] == before)).all()


@pytest.mark.parametrize("name", FACT_WORLDS)
def test_permuted_ids_are_the_same_table(name):
    table = FACT_WORLDS[name]()
    generator = np.random.default_rng(1)
    subject, answer = (generator.permutation(count) for count in (table.subject_count, table.object_count))
    moved = replace(
        table,
        subjects=tuple(table.subjects[old] for old in np.argsort(subject)),
        objects=tuple(table.objects[old] for old in np.argsort(answer)),
        facts=np.stack([subject[table.facts[:, 0]], table.facts[:, 1], answer[table.facts[:, 2]]], axis=1),
    )
    assert facts_by_label(moved) == facts_by_label(table)
    np.testing.assert_allclose(relation_bits(moved), relation_bits(table))


@pytest.mark.parametrize("name", [name for name in WORLDS | FACT_WORLDS if bounds(name)])
def test_any_arguments_within_the_bounds_build_a_world_or_say_why_not(name):
    @given(arguments(name))
    def check(given):
        try:
            built, message = (WORLDS | FACT_WORLDS)[name](**given), "."
        except InputError as error:
            built, message = None, str(error)
        assert message.endswith(".")
        assert ". " not in message
        if built is not None:
            assert built.digest == (WORLDS | FACT_WORLDS)[name](**given).digest
            assert built.name.startswith(name)

    check()


@pytest.mark.parametrize("name", [name for name in WORLDS | FACT_WORLDS if bounds(name)])
def test_every_number_has_a_bound_and_every_bound_is_checked(name):
    function = (WORLDS | FACT_WORLDS)[name]
    assert set(bounds(name)) == set(signature(function).parameters)
    for parameter, (kind, low, high) in bounds(name).items():
        assert low > -np.inf, parameter
        for wrong in (low - 1, high + 1, np.nan, np.inf):
            if wrong == np.inf and kind is float and high == np.inf:
                wrong = -np.inf
            if kind is int and not np.isfinite(wrong):
                continue
            with pytest.raises(InputError, match=f"^{parameter} is "):
                function(**{parameter: kind(wrong)})
