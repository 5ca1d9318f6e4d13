import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from geomem.constructions.additive import (
    additive_recall_bound,
    additive_superposition,
    disjoint_superposition,
)
from geomem.constructions.answering import answer, recall_every_fact
from geomem.errors import InputError
from geomem.worlds.facts.families import disjoint_bijections, many_to_one, partial_facts, random_bijections
from geomem.worlds.facts.table import FactTable, answers


@pytest.mark.parametrize("relations", [1, 2, 4, 8])
def test_disjoint_objects_need_no_gate(relations):
    """E13, second half: 100 % without any MLP."""
    table = disjoint_bijections(64, relations)
    memory = disjoint_superposition(table)
    said = recall_every_fact(memory.weights, table)
    assert said.recall == 1
    assert said.margins.min() >= memory.margin - 1e-12
    assert not any("mlp" in name for name in memory.weights)
    assert memory.size.residual_size == relations * 6 + relations
    assert memory.size.numbers == sum(array.size for array in memory.weights.values())


@pytest.mark.parametrize("relations", [2, 4, 8])
def test_shared_objects_leave_one_in_r_to_addition(relations):
    """E13, first half: about 1 / R, far below what cycles alone forbid."""
    table = random_bijections(128, relations)
    memory = additive_superposition(table)
    recall = recall_every_fact(memory.weights, table).recall
    assert recall == pytest.approx(1 / relations, abs=0.08)
    assert recall <= additive_recall_bound(table) < 1
    assert memory.size.numbers == sum(array.size for array in memory.weights.values())


def best_additive_recall(table):
    """The highest recall of any additive model, by linear programming over sets of facts."""
    N, R = answers(table).shape
    facts = table.facts
    for lost in range(len(facts) + 1):
        for chosen in itertools.combinations(range(len(facts)), len(facts) - lost):
            rows = []
            for subject, relation, target in facts[list(chosen)]:
                for other in set(range(N)) - {int(target)}:
                    row = np.zeros(N * N + R * N)
                    row[[subject * N + other, N * N + relation * N + other]] = 1
                    row[[subject * N + target, N * N + relation * N + target]] = -1
                    rows.append(row)
            bounds = (None, None)
            if (
                linprog(np.zeros(N * N + R * N), np.array(rows), -np.ones(len(rows)), bounds=bounds).status
                == 0
            ):
                return 1 - lost / len(facts)
    raise AssertionError("an empty set of facts is always possible")


@settings(max_examples=8)
@given(st.permutations(range(4)), st.permutations(range(4)))
def test_no_additive_model_beats_the_bound_of_cycles(first, second):
    grid = np.array([first, second]).T
    facts = np.column_stack([np.argwhere(grid >= 0), grid.ravel()])
    labels = tuple("abcd")
    table = FactTable("drawn", labels, ("r0", "r1"), labels, facts)
    assert best_additive_recall(table) == pytest.approx(additive_recall_bound(table))


def test_equal_relations_lose_nothing():
    table = random_bijections(9, 1)
    assert additive_recall_bound(table) == 1
    twice = np.concatenate([table.facts, table.facts + np.array([0, 1, 0])])
    same = FactTable("same", table.subjects, ("r0", "r1"), table.objects, twice)
    assert additive_recall_bound(same) == 1


def test_missing_facts_lead_no_object_of_their_relation():
    table = partial_facts(disjoint_bijections(16, 2), 0.5)
    memory = disjoint_superposition(table)
    assert recall_every_fact(memory.weights, table).recall == 1
    missing = np.argwhere(answers(table) < 0)
    assert answer(memory.weights, missing[:, 0], missing[:, 1]).leads.max() < memory.margin


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: disjoint_superposition(random_bijections(4, 2)), "answers two relations"),
        (lambda: additive_recall_bound(many_to_one(8, 2, 3)), "has a relation that is not a bijection"),
        (
            lambda: additive_superposition(random_bijections(8, 2), numbers_limit=10),
            "more than the limit of 10",
        ),
        (lambda: disjoint_superposition(disjoint_bijections(8, 2), numbers_limit=10), "limit of 10"),
    ],
)
def test_bad_input_is_refused(ask, sentence):
    with pytest.raises(InputError, match=sentence):
        ask()
