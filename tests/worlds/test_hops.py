"""Hop queries: against chains followed by hand, one dictionary look-up after the other."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.facts import hops as hops_module
from geomem.worlds.facts.families import partial_facts, random_bijections, random_permutations
from geomem.worlds.facts.hops import (
    HopQueries,
    all_chains,
    chain_answers,
    composable_relations,
    composable_share,
    count_chains,
    describe_chain,
    follow_chains,
    has_chains,
    sample_chains,
    step_subjects,
)
from geomem.worlds.facts.table import FactTable, answers, find_answer

FAMILY = FactTable(
    "family",
    ("Ada", "Ben", "Cleo"),
    ("mother", "town", "friend"),
    ("Cleo", "Rome", "Ada", "Dora", "Oslo"),
    # Dora, Cleo's mother, is nobody the table describes; nor is a town.
    np.array([[0, 0, 0], [0, 1, 1], [1, 0, 2], [1, 2, 2], [2, 0, 3], [2, 1, 4]]),
)


@st.composite
def contents(draw) -> tuple[tuple[int, int, int], list[tuple[int, int, int]]]:
    """Sizes and facts of any table."""
    sizes = tuple(draw(st.integers(1, 4)) for _ in range(3))
    cells = [(s, r) for s in range(sizes[0]) for r in range(sizes[1])]
    asked = draw(st.lists(st.sampled_from(cells), min_size=1, unique=True))
    return sizes, [(*cell, draw(st.integers(0, sizes[2] - 1))) for cell in asked]


def build(content, shift: int = 0) -> FactTable:
    """The table of drawn contents; object i + shift is subject i."""
    (subjects, relations, objects), facts = content
    return FactTable(
        "any",
        tuple(f"e{i}" for i in range(subjects)),
        tuple(f"r{i}" for i in range(relations)),
        tuple(f"e{i - shift}" for i in range(objects)),
        np.array(facts),
    )


def chains_by_hand(table: FactTable, hops: int) -> list[tuple[str, tuple[int, ...], tuple[str, ...]]]:
    """Start, relations and answers of every chain, sorted by start and relations."""
    known = {(table.subjects[s], r): table.objects[o] for s, r, o in table.facts.tolist()}
    composable = composable_relations(table)
    found = []
    for start in table.subjects:
        for relations in itertools.product(range(table.relation_count), repeat=hops):
            said, current = [], start
            for relation in relations:
                current = known.get((current, relation))
                said.append(current)
            if current is not None and composable[list(relations[:-1])].all():
                found.append((start, relations, tuple(said)))
    return found


def in_words(table: FactTable, queries: HopQueries) -> list[tuple[str, tuple[int, ...], tuple[str, ...]]]:
    return [
        (table.subjects[s], tuple(relations), tuple(table.objects[o] for o in objects))
        for s, relations, objects in zip(
            queries.subjects.tolist(), queries.relations.tolist(), queries.answers.tolist(), strict=True
        )
    ]


def test_a_family_by_hand():
    assert composable_share(FAMILY).tolist() == pytest.approx([2 / 3, 0.0, 1.0])
    assert composable_relations(FAMILY).tolist() == [True, False, True]
    two = all_chains(FAMILY, 2)
    assert [describe_chain(FAMILY, two, query) for query in range(two.query_count)] == [
        "Ada, mother: Cleo, mother: Dora",
        "Ada, mother: Cleo, town: Oslo",
        "Ben, mother: Ada, mother: Cleo",
        "Ben, mother: Ada, town: Rome",
        "Ben, friend: Ada, mother: Cleo",
        "Ben, friend: Ada, town: Rome",
    ]
    assert two.last_answers.tolist() == two.answers[:, 1].tolist()
    assert step_subjects(FAMILY, two).tolist() == [[0, 2], [0, 2], [1, 0], [1, 0], [1, 0], [1, 0]]
    assert (two.query_count, two.hops) == (6, 2)
    asked = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0], [2, 0, 0]])
    said = follow_chains(FAMILY, np.array([1, 1, 0, 0]), asked)
    assert said.tolist() == [[2, 0, 4], [2, 0, 3], [1, -1, -1], [-1, -1, -1]]
    with pytest.raises(InputError, match="has no chain of 5 hops; give facts whose objects are subjects"):
        all_chains(FAMILY, 5)


@given(contents(), st.integers(0, 2), st.integers(1, 4))
def test_whether_any_chain_has_an_answer(content, shift, hops):
    table = build(content, shift)
    paths = np.array(list(itertools.product(range(table.relation_count), repeat=hops)))
    subjects = np.arange(table.subject_count).repeat(len(paths))
    found = chain_answers(table, subjects, np.tile(paths, (table.subject_count, 1)))
    assert has_chains(table, hops) == bool((found >= 0).any())


@given(contents(), st.integers(0, 2), st.integers(1, 4))
def test_all_chains_are_those_by_hand(content, shift, hops):
    table = build(content, shift)
    expected = chains_by_hand(table, hops)
    assert count_chains(table, hops) == len(expected)
    if expected:
        queries = all_chains(table, hops)
        assert in_words(table, queries) == expected
        assert (follow_chains(table, queries.subjects, queries.relations) == queries.answers).all()
        assert (chain_answers(table, queries.subjects, queries.relations) == queries.last_answers).all()


@given(contents(), st.integers(0, 2), st.integers(1, 3), st.integers(1, 30), st.integers(0, 3))
def test_samples_are_different_chains(content, shift, hops, count, seed):
    table = build(content, shift)
    expected = chains_by_hand(table, hops)
    if not expected:
        with pytest.raises(InputError, match="has no chain"):
            sample_chains(table, hops, count, seed=seed)
        return
    drawn = in_words(table, sample_chains(table, hops, count, seed=seed))
    assert len(drawn) == len(set(drawn)) == min(count, len(expected))
    assert set(drawn) <= set(expected)
    assert in_words(table, sample_chains(table, hops, count, seed=seed)) == drawn


@given(contents(), st.integers(0, 2), st.integers(1, 3))
def test_every_step_is_a_one_hop_question(content, shift, hops):
    table = build(content, shift)
    if count_chains(table, hops):
        queries = all_chains(table, hops)
        steps = step_subjects(table, queries)
        for query, hop in np.ndindex(steps.shape):
            asked = int(steps[query, hop]), int(queries.relations[query, hop])
            assert find_answer(table, *asked) == queries.answers[query, hop]


def test_permutations_have_all_chains_and_compose():
    table = random_permutations(16, 3)
    one = answers(table)
    queries = all_chains(table, 3)
    assert queries.query_count == count_chains(table, 3) == 16 * 3**3
    first, second, third = queries.relations.T
    assert (queries.last_answers == one[one[one[queries.subjects, first], second], third]).all()


def test_samples_of_long_chains_are_uniform():
    """Seven in ten facts of permutations: starts are drawn in ratio to how many chains they begin."""
    table = partial_facts(random_permutations(8, 4), 0.7)
    every, drawn = all_chains(table, 7), sample_chains(table, 7, 2000, seed=1)
    expected = np.bincount(every.subjects, minlength=8) / every.query_count * 2000
    counts = np.bincount(drawn.subjects, minlength=8)
    assert every.query_count > 4000  # so the draw is not all there is
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 1).all()
    assert expected.max() > 1.5 * expected.min()


@given(st.integers(2, 5), st.integers(1, 3), st.integers(1, 3), st.randoms(use_true_random=False))
def test_relabelling_does_not_change_where_chains_lead(entities, relations, hops, random):
    table = random_permutations(entities, relations)
    order = list(range(entities))
    random.shuffle(order)
    place = np.argsort(order)
    labels = tuple(table.subjects[i] for i in order)
    facts = table.facts.copy()
    facts[:, 0], facts[:, 2] = place[facts[:, 0]], place[facts[:, 2]]
    moved = FactTable("moved", labels, table.relations, labels, facts)
    before = in_words(table, all_chains(table, hops))
    assert sorted(in_words(moved, all_chains(moved, hops))) == sorted(before)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: count_chains(FAMILY, 0), "hops was 0; give 1 or more"),
        (lambda: has_chains(FAMILY, 0), "hops was 0; give 1 or more"),
        (lambda: sample_chains(FAMILY, 2, 0), "count was 0; give a number from 1"),
        (lambda: sample_chains(FAMILY, 2, 1, seed=-1), "seed was -1"),
        (lambda: all_chains(random_bijections(4, 2), 2), "has no chain of 2 hops"),
        (
            lambda: all_chains(random_permutations(4096, 64), 3),
            "1,073,741,824 chains of 3 hops; draw at most",
        ),
        (lambda: count_chains(random_permutations(4096, 64), 9), "over 2^62 chains of 9 hops"),
        (lambda: follow_chains(FAMILY, np.array([0]), np.array([[3]])), "A chain names relation 3"),
        (lambda: follow_chains(FAMILY, np.array([-1]), np.array([[0]])), "A chain names subject -1"),
        (lambda: HopQueries(np.zeros(1, int), np.zeros((1, 0), int), np.zeros((1, 0), int)), "shape (1, 0)"),
    ],
)
def test_refusals(ask, message):
    with pytest.raises(InputError) as error:
        ask()
    assert message in str(error.value)
    assert str(error.value).count(". ") == 0


def test_limits_come_before_memory(monkeypatch):
    table = random_permutations(16, 2)
    monkeypatch.setattr(hops_module, "MAXIMUM_CHAINS", 63)
    with pytest.raises(InputError, match="64 chains of 2 hops; draw at most 63"):
        all_chains(table, 2)
    with pytest.raises(InputError, match="count was 64"):
        sample_chains(table, 2, 64)
    assert sample_chains(table, 2, 63).query_count == 63
