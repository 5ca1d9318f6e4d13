"""Fact tables: what they refuse, what they answer, and that their measures do not depend on numbering."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.facts import table as fact_table
from geomem.worlds.facts.changes import replace_fact, without_fact
from geomem.worlds.facts.families import disjoint_bijections, random_bijections
from geomem.worlds.facts.table import (
    FactTable,
    answers,
    entropy_bits,
    find_answer,
    find_object,
    find_relation,
    find_subject,
    frequency_bits,
    is_bijective,
    object_subjects,
    relation_bits,
    select_facts,
)


def make(facts, **fields) -> FactTable:
    fields = {
        "name": "t",
        "subjects": ("a", "b", "c"),
        "relations": ("r", "q"),
        "objects": ("x", "a"),
    } | fields
    return FactTable(facts=np.array(facts), **fields)


@st.composite
def contents(draw) -> tuple[tuple[int, int, int], list[tuple[int, int, int]]]:
    """Sizes and facts of any table: partial, many to one, with subjects and objects that no fact names."""
    subjects, relations, objects = (draw(st.integers(1, 5)) for _ in range(3))
    cells = [(s, r) for s in range(subjects) for r in range(relations)]
    asked = draw(st.lists(st.sampled_from(cells), min_size=1, unique=True))
    facts = [(*cell, draw(st.integers(0, objects - 1))) for cell in asked]
    return (subjects, relations, objects), facts


def build(content) -> FactTable:
    """The table of drawn contents; the smaller of the labels of subjects and objects are the same."""
    sizes, facts = content
    labels = [tuple(f"{letter}{i}" for i in range(size)) for letter, size in zip("ere", sizes, strict=True)]
    return FactTable("any", *labels, np.array(facts))


def named_facts(table: FactTable) -> set[tuple[str, str, str]]:
    return {(table.subjects[s], table.relations[r], table.objects[o]) for s, r, o in table.facts.tolist()}


@pytest.mark.parametrize(
    ("facts", "fields", "message"),
    [
        (np.zeros((0, 3), dtype=int), {}, "has no fact"),
        ([[3, 0, 0]], {}, "a fact names subject 3; use ids from 0 to 2"),
        ([[0, 2, 0]], {}, "a fact names relation 2; use ids from 0 to 1"),
        ([[0, 0, -1]], {}, "a fact names object -1"),
        ([[0, 0, 1], [1, 1, 1], [0, 0, 0], [0, 0, 1]], {}, "lists 'a', 'r', 'a' twice"),
        ([[0, 0, 0]], {"subjects": ("a", "a", "c")}, "two subjects with the same label"),
        ([[0, 0, 0]], {"relations": ("r", "r")}, "two relations with the same label"),
        ([[0, 0, 0]], {"objects": ("x", "")}, "object with an empty label"),
        ([[0, 0, 0]], {"objects": ("x", "\ud800")}, "object whose label is half a surrogate pair"),
    ],
)
def test_refused_tables(facts, fields, message):
    with pytest.raises(InputError) as error:
        make(facts, **fields)
    assert message in str(error.value)
    assert str(error.value).count(". ") == 0


def test_too_large_tables(monkeypatch):
    monkeypatch.setattr(fact_table, "MAXIMUM_FACTS", 2)
    make([[0, 0, 0], [0, 1, 0]])
    with pytest.raises(InputError, match="3 facts; give one with at most"):
        make([[0, 0, 0], [0, 1, 0], [1, 0, 0]])
    monkeypatch.setattr(fact_table, "MAXIMUM_LABELS", 2)
    with pytest.raises(InputError, match="3 subjects, 2 relations, 2 objects"):
        make([[0, 0, 0]])
    monkeypatch.setattr(fact_table, "MAXIMUM_LABELS", 3)
    monkeypatch.setattr(fact_table, "MAXIMUM_QUESTIONS", 5)
    with pytest.raises(InputError, match="whose answers would take"):
        answers(make([[0, 0, 0]]))


def test_tables_are_frozen_sorted_and_keep_their_own_facts():
    facts = np.array([[2, 0, 1], [0, 1, 0], [0, 0, 1]])
    table = make(facts)
    facts[:] = 7
    assert table.facts.tolist() == [[0, 0, 1], [0, 1, 0], [2, 0, 1]]
    with pytest.raises(ValueError, match="read-only"):
        table.facts[0, 0] = 2


def test_digest_covers_what_makes_a_table_and_nothing_else():
    base = make([[0, 0, 0], [1, 1, 1]])
    same = [make([[1, 1, 1], [0, 0, 0]]), make([[0, 0, 0], [1, 1, 1]], name="other", notes=("x",))]
    assert {base.digest} == {table.digest for table in same}
    others = [
        make([[0, 0, 0]]),
        make([[0, 0, 0], [1, 1, 0]]),
        make([[0, 0, 0], [1, 1, 1]], subjects=("a", "b", "d")),
        make([[0, 0, 0], [1, 1, 1]], relations=("r", "s")),
        make([[0, 0, 0], [1, 1, 1]], objects=("x", "y")),
    ]
    assert len({base.digest, *(table.digest for table in others)}) == 6


@given(contents())
def test_answers_are_the_facts(content):
    table = build(content)
    dense = answers(table)
    known = {(s, r): o for s, r, o in table.facts.tolist()}
    for subject, relation in np.ndindex(dense.shape):
        expected = known.get((subject, relation), -1)
        assert dense[subject, relation] == find_answer(table, subject, relation) == expected


@given(contents())
def test_objects_go_on_as_the_subject_of_the_same_label(content):
    table = build(content)
    for label, subject in zip(table.objects, object_subjects(table).tolist(), strict=True):
        assert label not in table.subjects if subject < 0 else table.subjects[subject] == label


@given(contents(), st.data())
def test_a_change_changes_one_answer(content, data):
    table = build(content)
    subject = data.draw(st.integers(0, table.subject_count - 1))
    relation = data.draw(st.integers(0, table.relation_count - 1))
    new = data.draw(st.integers(0, table.object_count - 1))
    expected = answers(table)
    expected[subject, relation] = new
    edited = replace_fact(table, subject, relation, new)
    assert (answers(edited) == expected).all()
    if edited.fact_count > 1:
        expected[subject, relation] = -1
        assert (answers(without_fact(edited, subject, relation)) == expected).all()
    if find_answer(table, subject, relation) < 0:
        with pytest.raises(InputError, match="name a fact that it has"):
            without_fact(table, subject, relation)


def test_changes_that_are_refused():
    table = make([[0, 0, 0]])
    for change, message in [
        (lambda: replace_fact(table, 3, 0, 0), "subject 3"),
        (lambda: replace_fact(table, 0, -1, 0), "relation -1"),
        (lambda: replace_fact(table, 0, 0, 2), "object 2"),
        (lambda: without_fact(table, 0, 0), "no fact; give at least one"),
        (lambda: select_facts(table, np.array([False])), "no fact; give at least one"),
    ]:
        with pytest.raises(InputError, match=message):
            change()


def test_unknown_names_offer_the_nearest():
    table = make([[0, 0, 0]], subjects=("Germany", "Greece", "Spain"))
    assert (find_subject(table, "Greece"), find_relation(table, "q"), find_object(table, "a")) == (1, 1, 1)
    with pytest.raises(InputError, match=r"no subject 'germany'; did you mean Germany\?"):
        find_subject(table, "germany")
    with pytest.raises(InputError, match="no relation 'capital'; its relations are r, q"):
        find_relation(table, "capital")
    many = random_bijections(20, 1)
    with pytest.raises(InputError, match="no object 'xyz'; it has 20 others"):
        find_object(many, "xyz")


def test_entropy_of_bijections_and_of_counted_functions():
    """log2 N! per bijection; else the number of functions with the same object counts, listed by hand."""
    assert entropy_bits(random_bijections(64, 3)) == pytest.approx(3 * math.log2(math.factorial(64)))
    assert entropy_bits(disjoint_bijections(64, 3)) == pytest.approx(3 * math.log2(math.factorial(64)))
    table = make([[0, 0, 0], [1, 0, 0], [2, 0, 1], [1, 1, 1]])
    assert relation_bits(table).tolist() == pytest.approx([math.log2(3), 0.0])  # xxa, xax, axx; one way
    assert frequency_bits(table) == pytest.approx(3 * (2 / 3 * math.log2(3 / 2) + 1 / 3 * math.log2(3)))


@given(contents())
def test_entropy_is_that_of_the_multinomial_and_below_the_frequencies(content):
    table = build(content)
    expected = []
    for relation in range(table.relation_count):
        objects = table.facts[table.facts[:, 1] == relation, 2]
        ways = math.factorial(len(objects))
        for count in np.bincount(objects, minlength=1).tolist():
            ways //= math.factorial(count)
        expected.append(math.log2(ways))
    assert relation_bits(table).tolist() == pytest.approx(expected, abs=1e-9)
    assert -1e-9 <= entropy_bits(table) <= frequency_bits(table) + 1e-9


def test_which_relations_are_bijections():
    table = make([[0, 0, 0], [1, 0, 1], [0, 1, 0], [1, 1, 0]], subjects=("a", "b"))
    assert is_bijective(table).tolist() == [True, False]
    assert is_bijective(without_fact(table, 0, 0)).tolist() == [False, False]
    assert is_bijective(disjoint_bijections(5, 3)).all()


@given(contents(), st.randoms(use_true_random=False))
def test_relabelling_moves_facts_and_keeps_bits(content, random):
    table = build(content)
    orders = []
    for count in (table.subject_count, table.relation_count, table.object_count):
        order = list(range(count))
        random.shuffle(order)
        orders.append(np.array(order))
    labels = [
        tuple(kind[i] for i in np.argsort(order))
        for kind, order in zip((table.subjects, table.relations, table.objects), orders, strict=True)
    ]
    moved = FactTable("moved", *labels, np.stack([orders[i][table.facts[:, i]] for i in range(3)], axis=1))
    assert named_facts(moved) == named_facts(table)
    assert entropy_bits(moved) == pytest.approx(entropy_bits(table))
    assert relation_bits(moved)[orders[1]].tolist() == pytest.approx(relation_bits(table).tolist())
    assert (answers(moved)[orders[0]][:, orders[1]] >= 0).tolist() == (answers(table) >= 0).tolist()
