import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from block_superposition import (
    binary_codes,
    block_superposition,
    plain_answers,
    plain_jacobians,
    plain_states,
    random_answers,
)
from geomem.geometry.selector import (
    constancy,
    fixed_gates,
    gate_rates,
    gate_variance_explained,
    map_cosines,
    mean_between_relations,
    participation_ranks,
    read_out_cosines,
    summarize_jacobians,
)


def block_gates(weights):
    return np.stack(
        [
            plain_states(weights, weights["subject_embedding"], r)[1] > 1e-9
            for r in range(len(weights["relation_embedding"]))
        ]
    )


@pytest.mark.parametrize("relations", [2, 3])
def test_the_ideal_selector(relations):
    """Block superposition with gates that the flag alone opens."""
    answers = random_answers(16, relations)
    weights = block_superposition(answers, binary_codes(16), flag=3)
    # Away from |h| = M, where a gate that is shut is about to open.
    vectors = 0.9 * weights["subject_embedding"]
    assert np.array_equal(plain_answers(weights, weights["subject_embedding"]), answers)
    summary = summarize_jacobians(plain_jacobians(weights, vectors))
    U = weights["output_embedding"]
    assert constancy(summary) == pytest.approx([1.0] * relations)
    assert mean_between_relations(read_out_cosines(summary.means, U)) == pytest.approx(0, abs=1e-8)
    # The residual stream carries all blocks on: R m shared entries beside m chosen ones.
    expected = relations / (relations + 1)
    assert mean_between_relations(map_cosines(summary.means)) == pytest.approx(expected)
    # The centred binary words of 16 objects are orthogonal: 4 equal singular values.
    assert participation_ranks(summary.means, U) == pytest.approx([4.0] * relations, rel=1e-6)
    rates = gate_rates(block_gates(weights))
    assert gate_variance_explained(rates) == pytest.approx(1.0)
    assert fixed_gates(rates) == 1.0


@pytest.mark.parametrize("relations", [2, 3, 4])
def test_signed_pairs_open_by_the_sign_of_the_payload(relations):
    """B1 as it is written: exact selection, but (R - 1) / (2 R - 1) of gate variance explained."""
    weights = block_superposition(random_answers(64, relations), binary_codes(64))
    rates = gate_rates(block_gates(weights))
    assert gate_variance_explained(rates) == pytest.approx((relations - 1) / (2 * relations - 1))
    assert fixed_gates(rates) == pytest.approx(1 - 1 / relations)


def test_summary_is_the_definition_word_for_word():
    J = np.random.default_rng(0).normal(size=(3, 5, 4, 6)) + 1
    summary = summarize_jacobians(J)
    U = np.random.default_rng(1).normal(size=(7, 4)) + 2
    U_centred = U - U.mean(axis=0)
    for r in range(3):
        mean = J[r].mean(axis=0)
        expected = 1 - ((J[r] - mean) ** 2).sum() / (J[r] ** 2).sum()
        assert constancy(summary)[r] == pytest.approx(expected)
        sigma = np.linalg.svd(U_centred @ mean, compute_uv=False)
        rank = sigma.sum() ** 2 / (sigma**2).sum()
        assert participation_ranks(summary.means, U)[r] == pytest.approx(rank)
        for s in range(3):
            first, second = mean.ravel(), J[s].mean(axis=0).ravel()
            cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
            assert map_cosines(summary.means)[r, s] == pytest.approx(cosine)
            first, second = (U_centred @ mean).ravel(), (U_centred @ J[s].mean(axis=0)).ravel()
            cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
            assert read_out_cosines(summary.means, U)[r, s] == pytest.approx(cosine)


@given(st.integers(0, 999))
def test_what_every_logit_gets_alike_changes_nothing(seed):
    generator = np.random.default_rng(seed)
    maps, U, shift = (generator.normal(size=shape) for shape in ((2, 3, 5), (8, 3), (1, 3)))
    assert np.allclose(read_out_cosines(maps, U), read_out_cosines(maps, U + 9 * shift))
    assert np.allclose(participation_ranks(maps, U), participation_ranks(maps, U + 9 * shift))


def test_equal_maps_one_relation_and_none():
    J = np.random.default_rng(2).normal(size=(1, 1, 3, 3)).repeat(2, axis=0)
    summary = summarize_jacobians(J)
    assert constancy(summary) == pytest.approx([1, 1])
    assert mean_between_relations(map_cosines(summary.means)) == pytest.approx(1)
    assert np.isnan(mean_between_relations(map_cosines(summary.means[:1])))
    dead = summarize_jacobians(np.zeros((2, 4, 3, 3)))
    assert np.isnan(constancy(dead)).all()
    assert np.isnan(map_cosines(dead.means)).all()
    assert np.isnan(participation_ranks(dead.means, np.eye(3))).all()


@given(st.integers(2, 5), st.integers(2, 30), st.integers(0, 999))
def test_gate_variance_by_counting(relations, subjects, seed):
    gates = np.random.default_rng(seed).random((relations, subjects, 1)) < 0.5
    total, within = gates.var(), gates.var(axis=1).mean()
    explained = gate_variance_explained(gate_rates(gates))
    if total > 0.01:
        assert explained == pytest.approx(1 - within / total)
    else:
        assert np.isnan(explained)


def test_gates_that_never_vary_count_as_fixed_but_explain_nothing():
    rates = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert np.isnan(gate_variance_explained(rates))
    assert fixed_gates(rates) == 1.0
    assert fixed_gates(np.array([[0.98, 0.02, 0.5, 0.985]])) == 0.25
