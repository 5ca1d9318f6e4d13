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
    GAIN_STEP,
    LIMIT,
    RULES,
    STRENGTH_STEP,
    Rule,
    choose_rule,
    fresh_answers,
    measure_transfer,
    write_subjects,
)
from geomem.geometry.ridge import ridge_intercept, ridge_weights
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

    S = weights["subject_embedding"]
    rule = choose_rule(name, fit, jacobians, S, answers, judge_by(weights))
    assert rule.recall == 1.0
    assert not rule.at_limit
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

    S = weights["subject_embedding"]
    rule = choose_rule("ridge", fit, jacobians, S, answers, judge_by(weights))
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
    adjoint = choose_rule("adjoint", fit, jacobians, S, answers, never)
    expected = sum(z[fresh[:, r]] @ jacobians[r] for r in range(3))
    written = write_subjects(adjoint, fresh) - S[fit.fitted].mean(axis=0)
    ratio = np.linalg.norm(written) / np.linalg.norm(expected)
    assert np.allclose(written, ratio * expected)
    squares = choose_rule("least-squares", fit, jacobians, S, answers, never)
    strength = squares.strength * np.linalg.eigvalsh(sum(J.T @ J for J in jacobians)).mean()
    stacked = np.concatenate([*jacobians, np.sqrt(strength) * np.eye(S.shape[1])])
    targets = np.concatenate([relation_codes(z, fresh), np.zeros((128, S.shape[1]))], axis=1)
    solved = np.linalg.lstsq(stacked, targets.T, rcond=None)[0].T
    written = write_subjects(squares, fresh) - S[fit.fitted].mean(axis=0)
    assert np.allclose(written, np.linalg.norm(written) / np.linalg.norm(solved) * solved, atol=1e-8)
    # Gain 1 is the length of the trained embeddings, on the old facts.
    old = (write_subjects(squares, answers[fit.fitted]) - S[fit.fitted].mean(axis=0)) / squares.gain
    assert np.linalg.norm(old) == pytest.approx(np.linalg.norm(S[fit.fitted] - S[fit.fitted].mean(axis=0)))


@pytest.fixture(scope="module")
def noisy():
    """A block superposition with noise on embeddings and read-out, in which transfer is far from complete."""
    answers = random_answers(128, 2)
    weights = block_superposition(answers, binary_codes(128))
    generator = np.random.default_rng(3)
    clean = weights["subject_embedding"]
    S = clean + 0.3 * generator.normal(size=clean.shape)
    output = weights["output_embedding"]
    weights["output_embedding"] = output + 0.12 * generator.normal(size=output.shape)
    return weights, answers, S, fit_superposition(S, weights["output_embedding"], answers)


def test_the_choice_is_as_good_as_the_best_of_a_fine_grid(noisy):
    """Brute force over strengths and gains on the scored facts themselves gains next to nothing."""
    weights, answers, S, fit = noisy
    jacobians = plain_jacobians(weights, S[fit.fitted[:20]]).mean(axis=1)

    def answer(vectors):
        return plain_answers(weights, vectors)

    rule = choose_rule("ridge", fit, jacobians, S, answers, judge_by(weights))
    chosen = measure_transfer(rule, answers, answer).recall.mean()
    best = 0.0
    for strength in np.logspace(-2, 4, 13):
        W, b = ridge_weights(fit.path, strength), ridge_intercept(fit.path, strength)
        for gain in np.geomspace(0.25, 16, 13):
            tried = Rule("ridge", b, W, fit.codes, gain, strength, 0.0, 0.0, False)
            best = max(best, measure_transfer(tried, answers, answer).recall.mean())
    assert 0.2 < best < 0.98
    assert chosen > best - 0.03


def test_no_fact_that_is_scored_chooses(noisy):
    weights, answers, S, fit = noisy
    jacobians = plain_jacobians(weights, S[:5]).mean(axis=1)
    seen, scored = [], []

    def judge(vectors, asked):
        seen.append(asked)
        return judge_by(weights)(vectors, asked)

    rule = choose_rule("ridge", fit, jacobians, S, answers, judge, seed=6)
    pool = {tuple(row) for row in fresh_answers(answers, seed=6, stream="choose").tolist()}
    assert {tuple(row) for asked in seen for row in asked.tolist()} == pool
    for draw in range(3):
        scored += fresh_answers(answers, seed=6 + draw).tolist()
    # Of 128 · 128 pairs a fresh one is the same by chance.
    assert len(pool & {tuple(row) for row in scored}) < 12
    assert len(pool & {tuple(row) for row in answers.tolist()}) < 6
    # Scores do not come back into the choice.
    again = choose_rule("ridge", fit, jacobians, S, answers, judge, seed=6)
    assert (again.strength, again.gain, again.recall) == (rule.strength, rule.gain, rule.recall)


def test_the_grid_widens_to_where_the_best_is(memory):
    """A judge that wants a length far beyond the start gets it; one that never has enough is said."""
    weights, answers, fit, jacobians = memory
    S = weights["subject_embedding"]
    centre = S[fit.fitted].mean(axis=0)
    natural = np.linalg.norm(S[fit.fitted] - centre, axis=1).mean()

    def nearest_to(wanted):
        def judge(vectors, asked):
            length = np.linalg.norm(vectors - centre, axis=1).mean() / natural
            return 1.0, float(abs(np.log2(length / wanted)))

        return judge

    rule = choose_rule("adjoint", fit, jacobians, S, answers, nearest_to(1500.0))
    assert rule.gain == pytest.approx(1500, rel=0.3)
    assert np.isnan(rule.strength)
    assert not rule.at_limit
    rule = choose_rule("adjoint", fit, jacobians, S, answers, nearest_to(1e9))
    assert rule.gain == pytest.approx(GAIN_STEP**LIMIT)
    assert rule.at_limit


def test_of_equals_the_lower_entropy_wins_but_not_by_a_hair(memory):
    weights, answers, fit, jacobians = memory
    S = weights["subject_embedding"]

    def hardly(vectors, asked):
        return 0.5, 1.0 + 1e-5 / np.linalg.norm(vectors)

    rule = choose_rule("ridge", fit, jacobians, S, answers, hardly)
    # The start is the longest of all; from there nothing is better by more than a hair.
    assert rule.gain == pytest.approx(GAIN_STEP**12)
    assert rule.strength == pytest.approx(STRENGTH_STEP**-4)


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
