import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.constructions.answering import answer, recall_every_fact, recall_logits
from geomem.constructions.codes import binary_length
from geomem.constructions.one_hop import (
    block_superposition,
    length_for_width,
    rewrite_subjects,
    smallest_width,
)
from geomem.errors import InputError
from geomem.worlds.facts.families import many_to_one, partial_facts, random_bijections, zipf_facts
from geomem.worlds.facts.table import answers
from random_tables import answer_grids, table_of

CODES = ("binary", "signs", "sphere", "gaussian", "circle")


@given(answer_grids(), st.sampled_from(["binary", "signs", "circle"]), st.integers(0, 3))
def test_no_table_is_ever_answered_wrongly(drawn, code, seed):
    table = table_of(drawn)
    memory = block_superposition(table, code=code, seed=seed)
    for precision in (np.float64, np.float32):
        weights = {name: array.astype(precision) for name, array in memory.weights.items()}
        said = recall_every_fact(weights, table)
        assert said.recall == 1
        assert (said.objects == table.facts[:, 2]).all()
        assert said.margins.min() >= memory.margin - 1e-5
    # Every question without a fact leads nowhere.
    missing = np.argwhere(answers(table) < 0)
    if len(missing):
        assert (answer(memory.weights, missing[:, 0], missing[:, 1]).leads == 0).all()


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("subjects", "relations"), [(64, 2), (256, 8)])
def test_recall_on_fresh_bijections_with_only_the_subjects_rewritten(code, subjects, relations):
    """E1 and E2: all facts, for every code, and again on three more worlds."""
    memory = block_superposition(random_bijections(subjects, relations), code=code)
    for world_seed in range(4):
        table = random_bijections(subjects, relations, world_seed=world_seed)
        new = rewrite_subjects(memory, table)
        said = recall_every_fact(new.weights, table)
        assert said.recall == 1
        assert said.margins.min() >= memory.margin - 1e-12
        changed = {name for name, array in memory.weights.items() if new.weights[name] is not array}
        assert changed == {"subject_embedding"}


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 40), st.integers(0, 4))
def test_sizes_equal_their_formulas(subjects, relations, objects, spare):
    """E3: D = R m + R + m, MLP width 2 R m, and as many numbers as the arrays hold."""
    m = binary_length(objects) + spare
    memory = block_superposition(many_to_one(subjects, relations, objects), length=m)
    size, weights = memory.size, memory.weights
    assert size.residual_size == relations * m + relations + m == weights["subject_embedding"].shape[1]
    assert size.mlp_width == 2 * relations * m == len(weights["block_0.mlp.expand.weight"])
    assert size.numbers == sum(array.size for array in weights.values())
    assert size.fact_numbers == size.fact_bits == subjects * relations * m
    if objects > 1:
        assert memory.margin >= 2 / m


def test_measured_margins_are_those_of_the_notes():
    for subjects, expected in ((64, 0.33), (256, 0.25), (1024, 0.20)):
        table = random_bijections(subjects, 2)
        memory = block_superposition(table)
        assert memory.margin == pytest.approx(expected, abs=0.005)
        assert recall_every_fact(memory.weights, table).margins.min() == pytest.approx(memory.margin)


@pytest.mark.parametrize(
    "table",
    [zipf_facts(40, 3, 17), many_to_one(40, 3, 2), partial_facts(random_bijections(40, 3), 0.3)],
    ids=lambda table: table.name,
)
def test_skewed_many_to_one_and_partial_tables(table):
    memory = block_superposition(table)
    assert recall_every_fact(memory.weights, table).recall == 1


def test_the_gate_is_off_for_every_other_relation():
    table = random_bijections(16, 3)
    weights = block_superposition(table).weights
    h = weights["subject_embedding"][5] + weights["relation_embedding"][1]
    inputs = weights["block_0.mlp.expand.weight"] @ h + weights["block_0.mlp.expand.bias"]
    on = np.flatnonzero(np.maximum(inputs, 0))
    assert set(on // 8) == {1}
    assert len(on) == 4


def test_margin_survives_noise_below_one_over_m():
    """A logit moves by less than 1 / m if the block read moves by less than 1 / m in length."""
    table = random_bijections(64, 4)
    memory = block_superposition(table)
    weights = dict(memory.weights)
    noise = np.random.default_rng(0).normal(size=(64, 4, 6))
    noise *= 0.99 / 6 / np.linalg.norm(noise, axis=2, keepdims=True)
    weights["subject_embedding"] = weights["subject_embedding"].copy()
    weights["subject_embedding"][:, :24] += noise.reshape(64, 24)
    # The gate must know of the larger payload: M >= max |h|.
    flags = weights["block_0.mlp.expand.weight"].copy()
    flags[:, 24:28] *= 2
    weights |= {
        "block_0.mlp.expand.weight": flags,
        "block_0.mlp.expand.bias": 2 * weights["block_0.mlp.expand.bias"],
    }
    assert recall_every_fact(weights, table).recall == 1


def test_widths_and_lengths():
    table = random_bijections(100, 5)
    width = smallest_width(table)
    assert length_for_width(table, width) == 7
    assert block_superposition(table, length=length_for_width(table, width)).size.residual_size == width
    for spare in range(1, 20):
        length = length_for_width(table, width + spare)
        assert block_superposition(table, length=length).size.residual_size <= width + spare


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda t: length_for_width(t, 20), "A width of 20 is too small .* give 47 or more"),
        (lambda t: block_superposition(t, length=6), "give a length of 7 or more, a width of 47"),
        (
            lambda t: block_superposition(t, numbers_limit=100),
            "would hold .* numbers, .* GiB, more than the limit",
        ),
        (lambda t: block_superposition(t, code="gaussian", length=7), "does not tell the 100 objects apart"),
        (lambda t: rewrite_subjects(block_superposition(t), random_bijections(8, 5)), "has 8 subjects"),
    ],
)
def test_bad_input_is_refused(ask, sentence):
    with pytest.raises(InputError, match=sentence):
        ask(random_bijections(100, 5))


def test_a_table_too_large_is_refused_before_it_is_allocated():
    table = random_bijections(2, 2_000)
    with pytest.raises(InputError, match=r"GiB, more than the limit of 50,000,000"):
        block_superposition(table)


@settings(max_examples=30)
@given(answer_grids())
def test_blocked_answers_equal_the_plain_forward_pass(drawn):
    table = table_of(drawn)
    memory = block_superposition(table, code="sphere")
    questions = np.argwhere(answers(table) > -2)
    logits = recall_logits(memory.weights, questions[:, 0], questions[:, 1])
    said = answer(memory.weights, questions[:, 0], questions[:, 1])
    known = answers(table).ravel() >= 0
    assert (said.objects == logits.argmax(axis=1))[known].all()
    if table.object_count > 1:
        best = np.sort(logits, axis=1)
        assert np.allclose(said.leads, best[:, -1] - best[:, -2])
