import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.constructions.answering import answer, recall_every_fact
from geomem.constructions.associative import key_value_network
from geomem.constructions.dense import dense_superposition
from geomem.constructions.editing import edit_subject, forget_fact, relation_map
from geomem.constructions.one_hop import block_superposition
from geomem.errors import InputError
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.facts.table import answers
from random_tables import answer_grids, table_of


def everything_said(weights, table):
    questions = np.argwhere(answers(table) > -2)
    said = answer(weights, questions[:, 0], questions[:, 1])
    return np.column_stack([questions, said.objects]), said.leads


@settings(max_examples=40)
@given(answer_grids(), st.data())
def test_edits_and_forgetting_of_any_table(drawn, data):
    """The new answer is exact, one block of one subject differs, and no other answer or lead moves a bit."""
    table = table_of(drawn)
    weights = block_superposition(table, code=data.draw(st.sampled_from(["binary", "signs"]))).weights
    subject = data.draw(st.integers(0, table.subject_count - 1))
    relation = data.draw(st.integers(0, table.relation_count - 1))
    new = data.draw(st.integers(0, table.object_count - 1))
    known = answers(table)[subject, relation] >= 0
    changes = [edit_subject(weights, table, subject, relation, new)]
    if known and table.fact_count > 1:
        changes.append(forget_fact(weights, table, subject, relation))
    before, leads = everything_said(weights, table)
    for edit in changes:
        after, new_leads = everything_said(edit.weights, table)
        others = (before[:, 0] != subject) | (before[:, 1] != relation)
        assert np.array_equal(before[others], after[others])
        assert np.array_equal(leads[others], new_leads[others])
        assert recall_every_fact(edit.weights, edit.table).recall == 1
        length = weights["block_0.mlp.expand.bias"].size // (2 * table.relation_count)
        assert set(edit.coordinates // length) <= {relation}
        assert {n for n, a in weights.items() if edit.weights[n] is not a} == {"subject_embedding"}
        rows = (edit.weights["subject_embedding"] != weights["subject_embedding"]).any(axis=1)
        assert set(np.flatnonzero(rows)) <= {subject}
    if len(changes) == 2:
        said = answer(changes[1].weights, np.array([subject]), np.array([relation]))
        assert said.leads.tolist() == [0.0]


def test_an_edited_block_equals_one_written_anew():
    table = random_bijections(32, 3)
    edit = edit_subject(block_superposition(table).weights, table, 7, 2, 30)
    anew = block_superposition(edit.table).weights
    assert np.array_equal(edit.weights["subject_embedding"], anew["subject_embedding"])
    back = edit_subject(edit.weights, edit.table, 7, 2, int(answers(table)[7, 2]))
    assert back.table.digest == table.digest
    original = block_superposition(table).weights["subject_embedding"]
    assert np.array_equal(back.weights["subject_embedding"], original)


@pytest.mark.parametrize(("quality", "left"), [("sum", 1.0), ("optimised", 0.95)])
def test_a_dense_memory_of_enough_width_can_be_edited_everywhere(quality, left):
    table = random_bijections(24, 3)
    weights = dense_superposition(table, 110, quality=quality).weights
    generator = np.random.default_rng(0)
    for subject, relation, _ in table.facts[generator.permutation(72)[:30]]:
        edit = edit_subject(weights, table, int(subject), int(relation), int(generator.integers(24)))
        weights, table = edit.weights, edit.table
    assert recall_every_fact(weights, table).recall >= left


def test_the_map_of_a_relation_has_orthonormal_columns():
    table = random_bijections(16, 3)
    for memory in (block_superposition(table), dense_superposition(table, 20)):
        for relation in range(3):
            W = relation_map(memory.weights, relation)
            assert np.allclose(W.T @ W, np.eye(W.shape[1]))


def test_bad_input_is_refused():
    table = random_bijections(16, 2)
    weights = block_superposition(table).weights
    with pytest.raises(InputError, match="names object 16"):
        edit_subject(weights, table, 0, 0, 16)
    with pytest.raises(InputError, match="names subject -1"):
        forget_fact(weights, table, -1, 0)
    gone = forget_fact(weights, table, 0, 0)
    with pytest.raises(InputError, match="has no answer to 's0', 'r0'"):
        forget_fact(gone.weights, gone.table, 0, 0)
    with pytest.raises(InputError, match="The weights have no gate"):
        edit_subject(key_value_network(table, 640).weights, table, 0, 0, 1)
