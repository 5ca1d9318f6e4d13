import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from block_superposition import (
    binary_codes,
    block_superposition,
    plain_answers,
    plain_jacobians,
    random_answers,
)
from geomem.geometry.reinitialization import (
    RULES,
    choose_rule,
    fresh_answers,
    measure_transfer,
    write_subjects,
)
from geomem.geometry.superposition import fit_superposition, relation_codes


@pytest.fixture(scope="module")
def memory():
    answers = random_answers(128, 3)
    weights = block_superposition(answers, binary_codes(128))
    S = weights["subject_embedding"]
    fit = fit_superposition(S, weights["output_embedding"], answers)
    jacobians = plain_jacobians(weights, 0.9 * S[fit.fitted]).mean(axis=1)
    return weights, answers, fit, jacobians


def judge_by(weights):
    """Recall, and an entropy that knows nothing: the first of equals wins."""

    def judge(vectors, answers):
        return float((plain_answers(weights, vectors) == answers).mean()), 0.0

    return judge


@pytest.mark.parametrize("name", RULES)
def test_new_facts_are_all_recalled_from_block_superposition(memory, name):
    """B6: overwrite the subject table and nothing else; every rule finds the exact formula's direction."""
    weights, answers, fit, jacobians = memory

    def answer(vectors):
        return plain_answers(weights, vectors)

    rule = choose_rule(
        name,
        fit,
        jacobians,
        weights["subject_embedding"],
        answers,
        judge_by(weights),
        gains=(0.5, 1.0, 8.0),
    )
    assert rule.old_recall == 1.0
    transfer = measure_transfer(rule, answers, answer)
    assert transfer.recall.tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(transfer.other_relation).all()
    assert transfer.wrong_maps.max() < 0.05
    if name == "ridge":
        fresh = random_answers(128, 3, seed=7)
        rewritten = block_superposition(fresh, binary_codes(128))["subject_embedding"]
        assert np.abs(write_subjects(rule, fresh) - rule.gain * rewritten).max() < 0.02


def test_errors_that_name_another_relation_are_counted(memory):
    weights, answers, fit, jacobians = memory

    def next_relation(vectors):
        return np.roll(plain_answers(weights, vectors), -1, axis=1)

    rule = choose_rule(
        "ridge",
        fit,
        jacobians,
        weights["subject_embedding"],
        answers,
        judge_by(weights),
        gains=(1.0,),
    )
    transfer = measure_transfer(rule, answers, next_relation, draws=2)
    assert transfer.recall.max() < 0.05
    assert transfer.other_relation.tolist() == [1.0, 1.0]
    assert transfer.wrong_maps.max() > 0.99


def test_rules_are_the_formulas(memory):
    weights, answers, fit, jacobians = memory
    S, z = weights["subject_embedding"], fit.codes

    def never(vectors, asked):
        return 0.0, 9.0

    fresh = random_answers(128, 3, seed=3)
    adjoint = choose_rule("adjoint", fit, jacobians, S, answers, never, gains=(1.0,))
    expected = sum(z[fresh[:, r]] @ jacobians[r] for r in range(3))
    written = write_subjects(adjoint, fresh) - S[fit.fitted].mean(axis=0)
    ratio = np.linalg.norm(written) / np.linalg.norm(expected)
    assert np.allclose(written, ratio * expected)
    squares = choose_rule("least-squares", fit, jacobians, S, answers, never, gains=(1.0,))
    strength = squares.strength * np.linalg.eigvalsh(sum(J.T @ J for J in jacobians)).mean()
    stacked = np.concatenate([*jacobians, np.sqrt(strength) * np.eye(S.shape[1])])
    targets = np.concatenate([relation_codes(z, fresh), np.zeros((128, S.shape[1]))], axis=1)
    solved = np.linalg.lstsq(stacked, targets.T, rcond=None)[0].T
    written = write_subjects(squares, fresh) - S[fit.fitted].mean(axis=0)
    assert np.allclose(written, np.linalg.norm(written) / np.linalg.norm(solved) * solved, atol=1e-8)
    # Gain 1 is the length of the trained embeddings, on the old facts.
    old = write_subjects(squares, answers[fit.fitted]) - S[fit.fitted].mean(axis=0)
    assert np.linalg.norm(old) == pytest.approx(np.linalg.norm(S[fit.fitted] - S[fit.fitted].mean(axis=0)))


def test_recall_of_held_out_subjects_chooses_and_then_their_entropy(memory):
    weights, answers, fit, jacobians = memory
    S, seen = weights["subject_embedding"], []

    def judge(vectors, asked):
        seen.append(asked)
        length = np.linalg.norm(vectors - fit.intercept, axis=1).mean() / np.linalg.norm(S, axis=1).mean()
        return float(length > 0.6), abs(length - 1.4)

    rule = choose_rule("ridge", fit, jacobians, S, answers, judge, gains=(0.5, 1.0, 1.41, 4.0), subjects=9)
    assert all(np.array_equal(asked, answers[fit.held[:9]]) for asked in seen)
    assert len(seen) == 4 * len(fit.strengths)
    assert (rule.gain, rule.old_recall, rule.strength) == (1.41, 1.0, fit.strengths[0])
    assert rule.old_loss < 0.02


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 999))
def test_fresh_facts_keep_what_is_asked_and_how_often_each_object_is(subjects, relations, seed):
    answers = np.random.default_rng(seed).integers(-1, 6, size=(subjects, relations))
    before = answers.copy()
    fresh = fresh_answers(answers, seed=seed)
    assert np.array_equal(answers, before)
    assert np.array_equal(fresh < 0, answers < 0)
    assert np.array_equal(np.sort(fresh, axis=0), np.sort(answers, axis=0))
    assert np.array_equal(fresh, fresh_answers(answers, seed=seed))


def test_draws_are_new_bijections_independent_between_relations():
    answers = np.tile(np.arange(2000)[:, None], (1, 2))
    first, second = fresh_answers(answers, seed=0), fresh_answers(answers, seed=1)
    assert (first == answers).mean() < 0.01
    assert (first == second).mean() < 0.01
    assert (first[:, 0] == first[:, 1]).mean() < 0.01
