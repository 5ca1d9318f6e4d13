"""Zero-shot transfer: new facts written into the subject table by a rule, every other weight as it was (B6).

    ridge:          s = b + g Σ_r W_r z_{a_r},                            W_r: the superposition fit
    adjoint:        s = mean + g Σ_r J_rᵀ z_{a_r},                        J_r: mean Jacobians
    least-squares:  s = mean + g argmin_s Σ_r |J_r s - z_{a_r}|² + λ |s|²

Strength λ and gain g are chosen by the recall of old facts of subjects on which nothing was fitted. It
saturates at 1: of equals the smallest strength wins, because strength blends the maps of the relations, and
then the lowest cross-entropy. New facts are used once, to score. In the last two rules g is relative to the
length of trained embeddings, λ to the mean eigenvalue of Σ_r J_rᵀ J_r.

Axis names: `draw` (one set of new facts), `subject`, `relation`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.ridge import ridge_intercept, ridge_weights
from geomem.geometry.superposition import SuperpositionFit, relation_codes

RULES = ("ridge", "adjoint", "least-squares")
GAINS = (0.35, 0.5, 0.71, 1.0, 1.41, 2.0, 2.83, 4.0, 5.66, 8.0)
RELATIVE_STRENGTHS = (1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True, eq=False)
class Rule:
    """A way to write attributes into subject vectors: one linear map of their codes, and its choices."""

    name: Literal["ridge", "adjoint", "least-squares"]
    intercept: Float[np.ndarray, " width"]
    weights: Float[np.ndarray, "regressor width"]
    codes: Float[np.ndarray, "object code"]
    gain: float
    strength: float
    """NaN for the adjoint rule, which has none."""
    old_recall: float
    """Recall of the old facts of held-out subjects written by this rule: what the choice was made by."""
    old_loss: float
    """Their mean cross-entropy, which decides between gains of equal recall."""


@dataclass(frozen=True, eq=False)
class Transfer:
    """Recall of new facts that a rule wrote into the subject table."""

    rule: Rule
    recall: Float[np.ndarray, " draw"]
    wrong_maps: Float[np.ndarray, " draw"]
    """The control: every attribute written with the map of the next relation. NaN if there is one."""
    other_relation: Float[np.ndarray, " draw"]
    """Share of the errors that name the subject's attribute under another relation; NaN without errors."""


def fresh_answers(
    answers: Int[np.ndarray, "subject relation"], *, seed: int = 0
) -> Int[np.ndarray, "subject relation"]:
    """New facts of the same kind: each relation's objects dealt anew to the subjects that have one.

    Of random bijections this makes fresh random bijections; in any table every object stays as frequent.

    >>> fresh_answers(np.array([[0], [-1], [0]])).tolist()
    [[0], [-1], [0]]
    """
    generator = np.random.default_rng([seed, 4])
    fresh = answers.copy()
    for column in fresh.T:
        known = np.flatnonzero(column >= 0)
        column[known] = column[generator.permutation(known)]
    return fresh


def write_subjects(
    rule: Rule, answers: Int[np.ndarray, "subject relation"]
) -> Float[np.ndarray, "subject width"]:
    """The vectors by which a rule says that these subjects have these attributes."""
    return rule.intercept + rule.gain * (relation_codes(rule.codes, answers) @ rule.weights)


def choose_rule(
    name: Literal["ridge", "adjoint", "least-squares"],
    fit: SuperpositionFit,
    jacobians: Float[np.ndarray, "relation out width"],
    embeddings: Float[np.ndarray, "subject width"],
    answers: Int[np.ndarray, "subject relation"],
    judge: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
    *,
    gains: Sequence[float] = GAINS,
    subjects: int = 256,
) -> Rule:
    """The rule with the strength and gain that recall most old facts of at most `subjects` held-out subjects.

    `judge` takes subject vectors [query, width] and their answers [query, relation] and gives the memory's
    recall and mean cross-entropy; `jacobians` are the mean J_r, and `embeddings` and `answers` those that
    `fit` was made from.
    """
    asked = answers[fit.held[:subjects]]
    best = []
    for strength, intercept, weights in _candidates(name, fit, jacobians, embeddings, answers):
        judged = []
        for gain in gains:
            rule = Rule(name, intercept, weights, fit.codes, float(gain), strength, 0.0, np.inf)
            recall, loss = judge(write_subjects(rule, asked), asked)
            judged.append(replace(rule, old_recall=recall, old_loss=loss))
        best.append(max(judged, key=lambda rule: (rule.old_recall, -rule.old_loss)))
    # Strengths ascend, and the first of equals is the largest.
    return max(best, key=lambda rule: rule.old_recall)


def measure_transfer(
    rule: Rule,
    answers: Int[np.ndarray, "subject relation"],
    answer: Callable[[np.ndarray], np.ndarray],
    *,
    draws: int = 3,
    subjects: int = 1024,
    seed: int = 0,
) -> Transfer:
    """Recall of fresh facts, of at most `subjects` subjects drawn at random, and its wrong-map control (D7).

    Chance is one over the number of objects.
    """
    recall, wrong, other = [], [], []
    for draw in range(draws):
        fresh = fresh_answers(answers, seed=seed + draw)
        order = np.random.default_rng([seed, 5, draw]).permutation(len(fresh))
        fresh = fresh[order[:subjects]]
        said = answer(write_subjects(rule, fresh))
        recall.append(_recall(said, fresh))
        mistaken = (said != fresh) & (fresh >= 0)
        elsewhere = (said[:, :, None] == fresh[:, None, :]).any(axis=2)
        other.append(elsewhere[mistaken].mean() if mistaken.any() else np.nan)
        rolled = np.roll(fresh, 1, axis=1)
        several = fresh.shape[1] > 1
        wrong.append(_recall(answer(write_subjects(rule, rolled)), fresh) if several else np.nan)
    return Transfer(rule, np.array(recall), np.array(wrong), np.array(other))


def _candidates(
    name: str, fit: SuperpositionFit, jacobians: np.ndarray, embeddings: np.ndarray, answers: np.ndarray
):
    """Strength, intercept and weights of every strength of a rule, smallest first."""
    if name == "ridge":
        for strength in fit.strengths:
            yield float(strength), ridge_intercept(fit.path, strength), ridge_weights(fit.path, strength)
        return
    S = np.asarray(embeddings, dtype=np.float64)[fit.fitted]
    X = relation_codes(fit.codes, answers[fit.fitted])
    stacked = np.concatenate(list(np.asarray(jacobians, dtype=np.float64)))
    centre = S.mean(axis=0)
    if name == "adjoint":
        yield float("nan"), centre, _to_length(stacked, X, S - centre)
        return
    values, vectors = np.linalg.eigh(stacked.T @ stacked)
    for strength in RELATIVE_STRENGTHS:
        inverse = vectors / (values + strength * values.mean()) @ vectors.T
        yield strength, centre, _to_length(stacked @ inverse, X, S - centre)


def _to_length(weights: np.ndarray, X: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Weights scaled so that what they write of the old facts has the overall length that was trained."""
    written = np.linalg.norm(X @ weights)
    return weights * (np.linalg.norm(deviations) / written if written > 0 else 0.0)


def _recall(said: np.ndarray, true: np.ndarray) -> float:
    asked = true >= 0
    return float((said == true)[asked].mean()) if asked.any() else float("nan")
