"""The word for a relation, and the maps behind it against explicit loops."""

from dataclasses import replace

import numpy as np
import pytest
from calibration import audit_random_facts, share_of_geometry
from random_models import random_facts
from scipy.stats import binom

from geomem.audit.behaviour import Behaviour, judge_answers
from geomem.audit.facts import audit_facts
from geomem.audit.held_out import STRENGTHS, find_held_out, linear_maps
from geomem.audit.selection import measure_selection
from geomem.audit.states import Layer, States
from geomem.errors import InputError
from geomem.geometry.ridge import fit_ridge_path, leave_one_out_matrix, predict_ridge
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.facts.table import FactTable


@pytest.mark.parametrize("width", [3, 40])
def test_leaving_out_in_closed_form_is_leaving_out(width):
    """Fitting again without each row in turn, with fewer columns than rows and with more."""
    generator = np.random.default_rng(width)
    X, Y = generator.normal(size=(15, width)) + 3, generator.normal(size=(15, 2))
    matrix = leave_one_out_matrix(fit_ridge_path(X, Y), X, 0.7)
    for row in range(15):
        rest = np.arange(15) != row
        slow = predict_ridge(fit_ridge_path(X[rest], Y[rest]), X[row : row + 1], 0.7)
        assert (matrix @ Y)[row] == pytest.approx(slow[0], abs=1e-9)


def test_maps_on_held_out_subjects_against_an_explicit_loop():
    generator = np.random.default_rng(2)
    X, Y = generator.normal(size=(18, 5)), generator.normal(size=(6, 5))
    answers = generator.integers(6, size=18)
    X += 0.7 * Y[answers]
    order = generator.permutation(18)
    found = find_held_out(X, Y, answers, np.stack([np.arange(18), order]))
    energies = fit_ridge_path(X, np.zeros((18, 1))).energies
    things = Y - Y.mean(axis=0)
    unit = things / np.linalg.norm(things, axis=1, keepdims=True)
    for draw, right in enumerate((answers, answers[order])):
        for row in range(18):
            rest = np.arange(18) != row
            for number, strength in enumerate(STRENGTHS):
                path = fit_ridge_path(X[rest], things[right[rest]])
                made = predict_ridge(path, X[row : row + 1], strength * energies.mean())
                assert found[draw, number, row] == ((made @ unit.T).argmax() == right[row])
            moved = X[row] + (Y[right[rest]] - X[rest]).mean(axis=0) - Y.mean(axis=0)
            assert found[draw, -1, row] == ((unit @ moved).argmax() == right[row])
    assert len(linear_maps(X)) == len(STRENGTHS)


def relation(number=1, **keywords):
    table, pairs = random_facts(number, 40, **keywords)
    return table, *pairs[0]


def test_known_facts_that_maps_read_are_a_geometry_and_others_a_lookup():
    known = {"r0": Behaviour(40, 38, 1 / 40)}
    table, states, objects = relation(strength=2.0)
    known = {table.relations[0]: Behaviour(40, 38, 1 / 40)}
    found = audit_facts(states, table, objects, behaviours=known).relations[0]
    assert found.word == "geometry"
    assert found.hit > 0.9
    assert found.selectivity > 0.7
    assert found.trials[0].p == 0.01
    assert sum(answer.right for answer in found.held_out) / 40 == found.looks[found.best_linear].linear
    assert {answer.name: answer.wanted[0] for answer in found.held_out} == {
        table.subjects[subject]: table.objects[thing] for subject, _, thing in table.facts
    }
    assert all(answer.right == (answer.given in answer.wanted) for answer in found.held_out)
    table, states, objects = relation()
    assert audit_facts(states, table, objects).relations[0].word == "no geometry"
    lookup = audit_facts(states, table, objects, behaviours=known).relations[0]
    assert lookup.word == "lookup"
    assert lookup.smallest_effect < 0.3
    guessed = {table.relations[0]: Behaviour(40, 1, 1 / 40)}
    assert audit_facts(states, table, objects, behaviours=guessed).relations[0].word == "unknown"


def test_an_offset_is_found_where_widths_agree_and_left_out_elsewhere():
    table = random_bijections(30, 1)
    objects = np.random.default_rng(0).normal(size=(30, 8))
    things = States(table.objects, ("",), "mean", (Layer("vectors", objects[None]),))
    rows = objects[table.facts[:, 2]] + 5
    for vectors, offset in ((rows, 1.0), (np.c_[rows, rows], None)):
        states = States(table.subjects, ("",), "mean", (Layer("vectors", vectors[None]),))
        look = audit_facts(states, table, things).relations[0].looks[0]
        assert look.offset == offset if offset else np.isnan(look.offset)
        assert look.linear > 0.9


def test_maps_of_one_relation_are_asked_for_another():
    """Two relations that are one, and one of its own."""
    generator = np.random.default_rng(1)
    table = random_bijections(30, 2)
    facts = table.facts.copy()
    facts = np.concatenate([facts, [[s, 2, o] for s, r, o in facts.tolist() if r == 0]])
    table = FactTable("three", table.subjects, ("a", "b", "c"), table.objects, facts)
    objects = generator.normal(size=(30, 12))
    first, second = (facts[facts[:, 1] == r][:, 2] for r in (0, 1))
    rows = np.c_[objects[first], objects[second]]
    states = States(table.subjects, ("",), "mean", (Layer("vectors", rows[None]),))
    things = States(table.objects, ("",), "mean", (Layer("vectors", objects[None]),))
    audit = audit_facts(states, table, things)
    assert audit.crossed[0, 2] > 0.9
    assert audit.crossed[2, 0] > 0.9
    assert audit.crossed[0, 1] < 0.2
    fit = audit.superposition[0]
    assert fit.score > 0.5 > fit.shuffled
    assert len(fit.shares) == 3


def test_the_order_of_subjects_and_objects_changes_nothing():
    table, states, objects = relation(number=2, strength=0.7)
    turned = [
        replace(
            given,
            entities=given.entities[::-1],
            layers=tuple(Layer(layer.name, layer.vectors[:, ::-1].copy()) for layer in given.layers),
        )
        for given in (states, objects)
    ]
    one, other = audit_facts(states, table, objects), audit_facts(turned[0], table, turned[1])
    assert repr(one.relations) == repr(other.relations)  # NaN is not equal to itself


def test_what_has_no_vector_is_left_out_and_said():
    table, states, objects = relation(strength=2.0)
    part = replace(
        states,
        entities=states.entities[:30],
        layers=tuple(Layer(layer.name, layer.vectors[:, :30]) for layer in states.layers),
    )
    audit = audit_facts(part, table, objects)
    assert audit.relations[0].facts == 30
    assert audit.notes[0].startswith("10 of 40 subjects")


def test_bad_input_is_one_sentence():
    table, states, objects = relation()
    few = replace(
        states,
        entities=states.entities[:4],
        layers=tuple(Layer(layer.name, layer.vectors[:, :4]) for layer in states.layers),
    )
    with pytest.raises(InputError, match=r"No relation of the table .* has 5 facts"):
        audit_facts(few, table, objects)
    several = replace(table, facts=np.concatenate([table.facts, [[0, 0, (table.facts[0, 2] + 1) % 40]]]))
    with pytest.raises(InputError, match="several answers"):
        audit_facts(states, several, objects)
    with pytest.raises(InputError, match="same architecture"):
        audit_facts(states, table, objects, twins=[(few, objects)])


def test_selection_wants_a_template_for_each_relation():
    states = States(("a", "b"), ("{}",), "last token", ())
    with pytest.raises(InputError, match="1 templates for 2 relations"):
        measure_selection(states, np.eye(2), np.zeros((2, 2), dtype=np.int64))


def test_answers_that_begin_alike_count_as_one():
    """Candidates 1 and 2 begin with one token, which candidate 1 stands for."""
    found = judge_answers(
        np.array([0, 1, 2, 2]),
        top=np.array([0, 1, 1, -1]),
        among=np.array([0, 1, 1, 0]),
        same=np.array([0, 1, 1]),
    )
    assert found == Behaviour(asked=4, right=3, chance=0.75, first=0.75)


@pytest.mark.parametrize("misled", ["nothing", "shared tokens"])
def test_random_facts_are_called_a_geometry_no_more_often_than_the_level(misled):
    audits = [audit_random_facts(number, misled=misled, subjects=24, shuffles=19) for number in range(60)]
    called = sum(audit.word == "geometry" for audit in audits)
    assert binom.sf(called - 1, len(audits), 0.05) > 0.01, called


def test_planted_facts_are_found():
    assert share_of_geometry(audit_random_facts(number, strength=2.0) for number in range(10))[0] >= 0.9
