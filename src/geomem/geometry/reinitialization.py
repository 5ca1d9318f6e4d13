"""Zero-shot transfer: new facts written into the subject table by a rule, all else unchanged (notes B6).

    ridge:          s = b + g Σ_r W_r z_{a_r},                            W_r: the superposition fit
    adjoint:        s = mean + g Σ_r J_rᵀ z_{a_r},                        J_r: mean Jacobians
    least-squares:  s = mean + g argmin_s Σ_r |J_r s - z_{a_r}|² + λ |s|²

Strength λ and gain g are chosen by the recall of new facts of their own, drawn like those that are scored but
from another random stream; of equals the lower cross-entropy wins. Old facts cannot choose: their recall
saturates at 1. In the last two rules g is relative to the length of trained embeddings, λ to the mean
eigenvalue of Σ_r J_rᵀ J_r.

Axis names: `draw` (one set of new facts), `subject`, `relation`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.ridge import ridge_intercept, ridge_weights
from geomem.geometry.superposition import SuperpositionFit, relation_codes

RULES = ("ridge", "adjoint", "least-squares")

STREAMS = {"score": 4, "choose": 7}
"""Random streams of new facts by what they are for: a rule is chosen on facts that never score it."""

STRENGTH_STEP, GAIN_STEP = 10**0.5, 2**0.5
"""Factors between neighbours of the lattice on which strength and gain are sought."""

COARSE_STRENGTHS = {"ridge": range(-4, 9, 2), "adjoint": range(1), "least-squares": range(-12, 3, 2)}
COARSE_GAINS = range(-4, 13, 2)
"""Where the search starts, in steps of the lattice: strengths from 0.01 or 1e-6 up, gains from 1/4 to 64."""

LIMIT = 30
"""Steps of the lattice from 1 in either direction at most: strengths from 1e-15 to 1e15."""

SAME_LOSS = 1e-3
"""Cross-entropies that differ by less are equal: a perfect memory would have its margins grow for ever."""


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
    recall: float
    """Recall of the new facts that strength and gain were chosen by; they are not those of a `Transfer`."""
    loss: float
    """Their mean cross-entropy, which decides between equals."""
    at_limit: bool
    """Whether the search ended because strength or gain can go no further (`LIMIT`)."""


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
    answers: Int[np.ndarray, "subject relation"],
    *,
    seed: int = 0,
    stream: Literal["score", "choose"] = "score",
) -> Int[np.ndarray, "subject relation"]:
    """New facts of the same kind: each relation's objects permuted over the subjects that have one.

    Of random bijections this makes fresh random bijections; in any table every object stays as frequent.

    >>> fresh_answers(np.array([[0], [-1], [0]])).tolist()
    [[0], [-1], [0]]
    """
    generator = np.random.default_rng([seed, STREAMS[stream]])
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
    subjects: int = 1024,
    seed: int = 0,
) -> Rule:
    """The rule with the strength and gain that recall most new facts of at most `subjects` subjects.

    `judge` takes subject vectors [query, width] and their answers [query, relation] and gives the memory's
    recall and mean cross-entropy; `jacobians` are the mean J_r, and `embeddings` and `answers` those that
    `fit` was made from. The new facts are of the stream "choose", so none of them is ever scored.

    Strength and gain lie on a lattice, half a decade and a factor √2 between neighbours. A quarter of the
    subjects choose a start among every second of its points; from there all of them lead to the best
    neighbour until none is better, as far as need be, so that the grid has no end that could be chosen.
    """
    fresh = fresh_answers(answers, seed=seed, stream="choose")
    fresh = fresh[(fresh >= 0).any(axis=1)]
    fresh = fresh[np.random.default_rng([seed, 8]).permutation(len(fresh))[:subjects]]
    few = fresh[: max(1, len(fresh) // 4)]
    weights_at = cache(_weights_by_step(name, fit, jacobians, embeddings, answers))
    lowest, highest = (0, 0) if name == "adjoint" else (-LIMIT, LIMIT)

    def try_out(strength: int, gain: int, asked: np.ndarray) -> Rule:
        found = float("nan") if name == "adjoint" else STRENGTH_STEP**strength
        rule = Rule(name, *weights_at(strength), fit.codes, GAIN_STEP**gain, found, 0.0, np.inf, False)
        at_limit = (name != "adjoint" and abs(strength) == LIMIT) or abs(gain) == LIMIT
        recall, loss = judge(write_subjects(rule, asked), asked)
        return replace(rule, recall=float(recall), loss=float(loss), at_limit=at_limit)

    @cache
    def judged(strength: int, gain: int) -> Rule:
        return try_out(strength, gain, fresh)

    starts = [(strength, gain) for strength in COARSE_STRENGTHS[name] for gain in COARSE_GAINS]
    tried = [try_out(*start, few) for start in starts]
    at = starts[max(range(len(starts)), key=lambda n: (tried[n].recall, -tried[n].loss))]
    while True:
        near = [
            (strength, gain)
            for strength in range(max(lowest, at[0] - 1), min(highest, at[0] + 1) + 1)
            for gain in range(max(-LIMIT, at[1] - 1), min(LIMIT, at[1] + 1) + 1)
        ]
        best = max(near, key=lambda step: (judged(*step).recall, -judged(*step).loss))
        if not _is_better(judged(*best), judged(*at)):
            return judged(*at)
        at = best


def measure_transfer(
    rule: Rule,
    answers: Int[np.ndarray, "subject relation"],
    answer: Callable[[np.ndarray], np.ndarray],
    *,
    draws: int = 3,
    subjects: int = 1024,
    seed: int = 0,
) -> Transfer:
    """Recall of fresh facts, of at most `subjects` random subjects, and its wrong-map control (notes D7).

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


def _is_better(rule: Rule, than: Rule) -> bool:
    if rule.recall != than.recall:
        return rule.recall > than.recall
    return rule.loss < than.loss - SAME_LOSS


def _weights_by_step(
    name: str, fit: SuperpositionFit, jacobians: np.ndarray, embeddings: np.ndarray, answers: np.ndarray
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """The function that gives a rule's intercept and weights at a strength, in steps of the lattice."""
    if name == "ridge":
        return lambda step: (
            ridge_intercept(fit.path, STRENGTH_STEP**step),
            ridge_weights(fit.path, STRENGTH_STEP**step),
        )
    S = np.asarray(embeddings, dtype=np.float64)[fit.fitted]
    X = relation_codes(fit.codes, answers[fit.fitted])
    stacked = np.concatenate(list(np.asarray(jacobians, dtype=np.float64)))
    centre = S.mean(axis=0)
    if name == "adjoint":
        return lambda step: (centre, _to_length(stacked, X, S - centre))
    values, vectors = np.linalg.eigh(stacked.T @ stacked)
    # Rounding makes eigenvalues of directions that no Jacobian sees negative.
    values = values.clip(min=0.0)

    def solve(step: int) -> tuple[np.ndarray, np.ndarray]:
        inverse = vectors / (values + STRENGTH_STEP**step * (values.mean() or 1.0)) @ vectors.T
        return centre, _to_length(stacked @ inverse, X, S - centre)

    return solve


def _to_length(weights: np.ndarray, X: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Weights scaled so that what they write of the old facts has the overall length that was trained."""
    written = np.linalg.norm(X @ weights)
    return weights * (np.linalg.norm(deviations) / written if written > 0 else 0.0)


def _recall(said: np.ndarray, true: np.ndarray) -> float:
    asked = true >= 0
    return float((said == true)[asked].mean()) if asked.any() else float("nan")
