import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.constructions import hop_model
from geomem.constructions.hop_model import answer_hops
from geomem.constructions.multihop import chain_ends, chain_of_thought, deep, flat, wide
from geomem.errors import InputError
from geomem.worlds.facts.families import random_permutations
from geomem.worlds.facts.hops import chain_answers, follow_chains
from random_tables import answer_grids, table_of

ONE_RUN = {
    "flat": flat,
    "deep, 2 layers": lambda table, hops: deep(table, hops, 2),
    "deep, 3 layers": lambda table, hops: deep(table, hops, 3),
    "deep, k layers": lambda table, hops: deep(table, hops, hops),
    "wide": wide,
}
MODELS = {"chain of thought": chain_of_thought, **ONE_RUN}


def drawn_questions(table, hops, count=300):
    generator = np.random.default_rng(hops)
    subjects = generator.integers(table.subject_count, size=count)
    return subjects, generator.integers(table.relation_count, size=(count, hops))


@settings(max_examples=25)
@given(answer_grids(4), st.integers(1, 3), st.sampled_from(list(MODELS)))
def test_no_chain_of_any_table_is_answered_wrongly(drawn, hops, name):
    """Partial tables, many to one, objects that are no subjects: all chains, -1 where one breaks off."""
    table = table_of(drawn)
    model = MODELS[name](table, hops)
    shape = (table.subject_count, *[table.relation_count] * hops)
    questions = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)
    said = answer_hops(model, questions[:, 0], questions[:, 1:])
    assert (said.objects == chain_answers(table, questions[:, 0], questions[:, 1:])).all()
    answered = said.leads[said.emitted >= 0]
    assert answered.size == 0 or answered.min() > model.margin - 1e-9


@pytest.mark.parametrize("hops", range(1, 9))
def test_chain_of_thought_is_exact_to_eight_hops_in_the_same_size(hops):
    """E6: 100 % for k <= 8, and the size does not depend on k."""
    table = random_permutations(64, 4)
    model = chain_of_thought(table, hops)
    questions = drawn_questions(table, hops)
    said = answer_hops(model, *questions)
    assert (said.emitted == follow_chains(table, *questions)).all()
    assert model.size.residual_size == 2 * 4 * 6 + 2 * 4 + 1 + 6
    assert model.size.fact_numbers == 64 * 4 * 6
    assert said.leads.min() >= model.margin - 1e-12


@pytest.mark.parametrize("hops", range(1, 9))
@pytest.mark.parametrize("name", list(ONE_RUN))
def test_models_of_one_run_are_exact(name, hops):
    """E7 at R = 2 to eight hops."""
    table = random_permutations(32, 2)
    model = ONE_RUN[name](table, hops)
    subjects, relations = drawn_questions(table, hops, count=120)
    said = answer_hops(model, subjects, relations)
    assert (said.objects == chain_answers(table, subjects, relations)).all()
    # Rounding grows by 1 / (1 - theta) = 5 with every lookup of a deep model.
    assert said.leads.min() >= model.margin - 1e-9


@pytest.mark.parametrize("name", list(MODELS))
def test_models_of_four_relations_and_hops_are_exact(name):
    table = random_permutations(48, 4)
    model = MODELS[name](table, 4)
    subjects, relations = drawn_questions(table, 4)
    said = answer_hops(model, subjects, relations)
    assert (said.objects == chain_answers(table, subjects, relations)).all()


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("hops", [1, 2, 5])
def test_sizes_are_those_of_the_arrays(name, hops):
    table = random_permutations(10, 3)
    model = MODELS[name](table, hops)
    size = model.size
    assert model.subjects.shape[1] == model.relations.shape[1] == size.residual_size
    widths = [len(layer.bias) for layer in model.layers]
    # A stage is one selector and, but for the last, the lookup after it.
    stages = [sum(widths[start : start + 2]) for start in range(0, len(widths), 2)]
    assert len(stages) == size.layers
    assert max(stages) <= size.mlp_width <= max(widths) + min(widths)
    # A lookup that several stages share is stored once.
    distinct = {id(layer): layer for layer in model.layers}.values()
    stored = model.subjects.size + model.relations.size + model.objects.nnz
    for layer in distinct:
        stored += layer.expand.nnz + layer.contract.nnz + sum(head.copy.nnz for head in layer.heads)
    assert stored <= size.stored_numbers <= stored + len(model.relations) * hops


def test_only_the_subject_table_holds_facts_of_chain_of_thought_and_flat():
    for make in (chain_of_thought, flat):
        models = [make(random_permutations(10, 3, world_seed=seed), 2) for seed in range(2)]
        assert (models[0].subjects != models[1].subjects).any()
        for first, second in zip(models[0].layers, models[1].layers, strict=True):
            for part in ("expand", "contract"):
                assert (getattr(first, part) != getattr(second, part)).nnz == 0


def test_attention_is_exactly_one_hot():
    table = random_permutations(16, 2)
    model = chain_of_thought(table, 8)
    tokens = np.concatenate([model.subjects[:1], model.relations[[0, 1] * 4], model.subjects[1:8]])[None]
    relation, entity = (hop_model._attend(head, tokens) for head in model.layers[0].heads)
    # Eight hops, seven objects emitted: the last relation, and the newest entity.
    assert np.array_equal(relation[0], tokens[0, 8])
    assert np.array_equal(entity[0], tokens[0, -1])


def test_blocks_of_questions_do_not_change_answers(monkeypatch):
    table = random_permutations(16, 2)
    model = deep(table, 3, 2)
    questions = drawn_questions(table, 3, count=50)
    whole = answer_hops(model, *questions)
    monkeypatch.setattr(hop_model, "_BLOCK_NUMBERS", 1)
    single = answer_hops(model, *questions)
    assert (whole.emitted == single.emitted).all()
    assert np.allclose(whole.leads, single.leads)


@settings(max_examples=20)
@given(answer_grids(4), st.integers(1, 4))
def test_chain_ends_follow_the_facts(drawn, hops):
    table = table_of(drawn)
    shape = (table.subject_count, *[table.relation_count] * hops)
    questions = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)
    expected = chain_answers(table, questions[:, 0], questions[:, 1:])
    assert (chain_ends(table, hops).ravel() == expected).all()


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (
            lambda t: flat(t, 14),
            r"The flat construction .* would hold .* numbers, .* GiB, more than the limit",
        ),
        (lambda t: wide(t, 12), "The wide construction"),
        (lambda t: deep(t, 14, 1), "The deep construction"),
        (lambda t: chain_of_thought(t, 3, numbers_limit=10), "more than the limit of 10"),
        (lambda t: chain_of_thought(t, 0), "hops was 0; give 1 or more"),
        (lambda t: deep(t, 3, 0), "layers was 0; give 1 or more"),
        (lambda t: deep(t, 40, 40), "rounding in its lookups would be larger than its margin"),
        (
            lambda t: answer_hops(flat(t, 2), np.array([0]), np.array([[0, 0, 0]])),
            r"answers chains of 2, so give shape \(1, 2\)",
        ),
        (lambda t: answer_hops(flat(t, 1), np.array([9]), np.array([[0]])), "names subject 9"),
        (lambda t: answer_hops(flat(t, 1), np.array([0]), np.array([[-2]])), "names relation -2"),
    ],
)
def test_bad_input_is_refused(ask, sentence):
    with pytest.raises(InputError, match=sentence):
        ask(random_permutations(9, 4))
