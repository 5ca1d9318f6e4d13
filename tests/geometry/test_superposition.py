import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from block_superposition import binary_codes, block_superposition, random_answers
from geomem.errors import InputError
from geomem.geometry.read_out import affine_surrogate, best_objects, probe_read_out
from geomem.geometry.ridge import (
    STRENGTHS,
    fit_ridge_path,
    held_out_scores,
    predict_ridge,
    ridge_intercept,
    ridge_weights,
    split_subjects,
    with_targets,
)
from geomem.geometry.superposition import fit_superposition, relation_codes, standardize_codes, superpose


def plain_ridge(X, Y, strength):
    """Normal equations with an intercept that is not penalised."""
    padded = np.concatenate([np.ones((len(X), 1)), X], axis=1)
    penalty = strength * np.eye(padded.shape[1])
    penalty[0, 0] = 0
    return np.linalg.solve(padded.T @ padded + penalty, padded.T @ Y)


@given(st.integers(2, 40), st.integers(1, 25), st.integers(0, 999), st.sampled_from([0.1, 1.0, 300.0]))
@settings(max_examples=40)
def test_ridge_equals_the_normal_equations_tall_and_wide(rows, inputs, seed, strength):
    generator = np.random.default_rng(seed)
    X, Y = generator.normal(size=(rows, inputs)) + 3, generator.normal(size=(rows, 2)) - 5
    path, expected = fit_ridge_path(X, Y), plain_ridge(X, Y, strength)
    assert np.allclose(ridge_weights(path, strength), expected[1:], atol=1e-8)
    assert np.allclose(ridge_intercept(path, strength), expected[0], atol=1e-7)
    fresh = generator.normal(size=(5, inputs))
    assert np.allclose(predict_ridge(path, fresh, strength), expected[0] + fresh @ expected[1:], atol=1e-7)


def test_without_strength_it_is_least_squares_even_with_repeated_columns():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(30, 4))
    X = np.concatenate([X, X[:, :2]], axis=1)
    Y = generator.normal(size=(30, 3))
    expected = np.linalg.lstsq(X - X.mean(axis=0), Y - Y.mean(axis=0), rcond=None)[0]
    assert np.allclose(ridge_weights(fit_ridge_path(X, Y), 0.0), expected)
    assert np.allclose(ridge_weights(fit_ridge_path(X[:5], Y[:5]), 0.0).shape, (6, 3))


def test_held_out_scores_by_hand_and_other_targets():
    generator = np.random.default_rng(1)
    X, Y, Z = (generator.normal(size=(40, width)) for width in (6, 3, 3))
    path = fit_ridge_path(X[:30], Y[:30])
    scores = held_out_scores(path, X[30:], Y[30:], np.array(STRENGTHS))
    for strength, score in zip(STRENGTHS, scores, strict=True):
        coefficients = plain_ridge(X[:30], Y[:30], strength)
        residual = ((Y[30:] - coefficients[0] - X[30:] @ coefficients[1:]) ** 2).sum()
        assert score == pytest.approx(1 - residual / ((Y[30:] - Y[:30].mean(axis=0)) ** 2).sum())
    other = with_targets(path, X[:30], Z[:30])
    assert np.allclose(ridge_weights(other, 2.0), ridge_weights(fit_ridge_path(X[:30], Z[:30]), 2.0))
    still = fit_ridge_path(X, np.ones((40, 1)))
    assert np.isnan(held_out_scores(still, X, np.ones((40, 1)), np.array([1.0]))).all()


def test_ridge_refuses_rows_that_do_not_fit():
    with pytest.raises(InputError, match="1 rows to fit"):
        fit_ridge_path(np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(InputError, match=r"held_out is 0\.2 of 2 subjects"):
        split_subjects(2)


@given(st.integers(8, 60), st.integers(0, 99))
def test_subjects_are_dealt_once_and_by_the_seed(count, seed):
    fitted, held = split_subjects(count, seed=seed)
    assert np.array_equal(np.sort(np.concatenate([fitted, held])), np.arange(count))
    assert len(held) == round(0.2 * count)
    assert np.array_equal(split_subjects(count, seed=seed)[1], held)


@pytest.mark.parametrize(("subjects", "relations"), [(64, 2), (256, 2), (256, 4)])
def test_block_superposition_is_fitted_perfectly_and_its_shuffle_not_at_all(subjects, relations):
    answers = random_answers(subjects, relations)
    weights = block_superposition(answers, binary_codes(subjects))
    fit = fit_superposition(weights["subject_embedding"], weights["output_embedding"], answers)
    assert fit.score > 1 - 1e-4
    # At its best strength, on the 13 to 51 subjects held out.
    assert fit.shuffled_scores.max() < 0.05
    assert fit.shares == pytest.approx([1 / relations] * relations, rel=1e-2)
    assert fit.strength == STRENGTHS[0]
    bits = int(np.log2(subjects))
    assert fit.regressors == relations * (relations * bits + relations + bits) + 1
    assert fit.well_posed == (0.8 * subjects > fit.regressors)
    fresh = random_answers(subjects, relations, seed=1)
    rewritten = block_superposition(fresh, binary_codes(subjects))["subject_embedding"]
    assert np.abs(superpose(fit, fresh) - rewritten).max() < 0.02 * np.abs(rewritten).max()


def test_dense_superposition_with_noise_scores_what_the_noise_leaves():
    generator = np.random.default_rng(2)
    answers = random_answers(2000, 2)
    codes = standardize_codes(generator.normal(size=(2000, 10)))
    turns = [np.linalg.qr(generator.normal(size=(10, 10)))[0] for _ in range(2)]
    clean = codes[answers[:, 0]] @ turns[0].T + 2 * codes[answers[:, 1]] @ turns[1].T
    noisy = clean + np.sqrt(5) * generator.normal(size=clean.shape)
    fit = fit_superposition(noisy, codes, answers)
    # Variances 1 and 4 of the parts and 5 of the noise.
    assert fit.score == pytest.approx(0.5, abs=0.04)
    assert fit.shares == pytest.approx([0.1, 0.4], abs=0.03)
    assert np.allclose(fit.maps[0], turns[0], atol=0.3)
    assert np.allclose(fit.maps[1], 2 * turns[1], atol=0.3)
    assert fit.scores.max() == fit.score == fit.scores[list(fit.strengths).index(fit.strength)]
    assert np.allclose(superpose(fit, answers, gain=0.0), fit.intercept)


def test_sums_that_ignore_the_relation_are_told_from_superpositions():
    """Embeddings that hold nothing of the facts score no better than their shuffle."""
    generator = np.random.default_rng(3)
    answers = random_answers(300, 2)
    fit = fit_superposition(generator.normal(size=(300, 8)), generator.normal(size=(300, 8)), answers)
    assert fit.score < 0.03
    assert fit.shares.sum() < 0.1


def test_missing_facts_add_nothing_and_the_rest_is_still_exact():
    answers = random_answers(200, 3)
    answers[np.random.default_rng(4).random(answers.shape) < 0.4] = -1
    codes = binary_codes(200)
    codes -= codes.mean(axis=0)
    weights = block_superposition(answers, codes)
    fit = fit_superposition(weights["subject_embedding"], weights["output_embedding"], answers)
    assert fit.score > 1 - 1e-4
    assert np.array_equal(relation_codes(codes, answers[:1])[0].reshape(3, -1)[answers[0] < 0].sum(), 0.0)


def test_the_control_is_honest_about_a_table_without_relation_to_its_embedding():
    constant = fit_superposition(np.ones((20, 3)), np.eye(20), random_answers(20, 1))
    assert np.isnan(constant.score)
    assert np.isnan(constant.shares).all()
    with pytest.raises(InputError, match="All rows of the unembedding are the same"):
        fit_superposition(np.eye(20), np.ones((20, 3)), random_answers(20, 1))
    with pytest.raises(InputError, match="19 subject embeddings and answers for 20"):
        fit_superposition(np.eye(19), np.eye(20), random_answers(20, 1))


def test_read_out_of_block_superposition_and_of_nothing():
    answers = random_answers(256, 2)
    weights = block_superposition(answers, binary_codes(256))
    probe = probe_read_out(weights["subject_embedding"], weights["output_embedding"], answers)
    assert probe.accuracy.tolist() == [1.0, 1.0]
    assert probe.score.min() > 1 - 1e-4
    noise = np.random.default_rng(5).normal(size=weights["subject_embedding"].shape)
    chance = probe_read_out(noise, weights["output_embedding"], answers)
    assert chance.accuracy.max() < 0.1
    assert chance.score.max() < 0.05
    answers[:, 1] = -1
    partial = probe_read_out(weights["subject_embedding"], weights["output_embedding"], answers)
    assert partial.accuracy[0] == 1.0
    assert np.isnan(partial.accuracy[1])


def test_best_objects_in_blocks_and_on_ties(monkeypatch):
    generator = np.random.default_rng(6)
    states, codes = generator.normal(size=(23, 5)), generator.normal(size=(11, 5))
    whole = best_objects(states, codes)
    assert np.array_equal(whole, (states @ codes.T).argmax(axis=1))
    monkeypatch.setattr("geomem.geometry.read_out.CHUNK_NUMBERS", 22)
    assert np.array_equal(best_objects(states, codes), whole)
    assert best_objects(np.zeros((2, 5)), codes).tolist() == [-1, -1]


def test_an_affine_map_per_relation_is_recovered_and_a_lookup_is_not():
    generator = np.random.default_rng(7)
    S, U = generator.normal(size=(200, 6)), generator.normal(size=(200, 6))
    maps, shifts = generator.normal(size=(2, 6, 6)), generator.normal(size=(2, 6))
    states = np.einsum("row,nw->nro", maps, S) + shifts
    answers = np.stack([(states[:, r] @ U.T).argmax(axis=1) for r in range(2)], axis=1)
    assert affine_surrogate(S, states, U, answers).min() >= 0.95
    lookup = U[random_answers(200, 2)] * 9
    assert affine_surrogate(S, lookup, U, random_answers(200, 2)).max() < 0.1
