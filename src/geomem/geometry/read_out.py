"""What linear maps read off a recall memory: attributes from subjects, answers per relation (notes D6, D11).

Both are fitted on most subjects and scored on the rest, so with bijections the attributes that are scored
were never seen with that relation and no classifier over attributes could pass.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.ridge import STRENGTHS, fit_ridge_path, held_out_scores, predict_ridge, split_subjects
from geomem.geometry.superposition import standardize_codes

CHUNK_NUMBERS = 8_000_000
"""Scores [query, object] held at once: 64 MB."""


@dataclass(frozen=True, eq=False)
class ReadOut:
    """A linear probe from subject embeddings to the codes of their attributes, one for each relation."""

    accuracy: Float[np.ndarray, " relation"]
    """Share of held-out subjects whose prediction has its highest cosine with the right attribute of all."""
    score: Float[np.ndarray, " relation"]
    """Held-out R² of the predicted codes."""


def best_objects(
    states: Float[np.ndarray, "query code"], codes: Float[np.ndarray, "object code"]
) -> Int[np.ndarray, " query"]:
    """The object with the highest product with each state; -1 where the highest is shared by several.

    >>> best_objects(np.array([[2.0, 0.0], [1.0, 1.0]]), np.eye(2)).tolist()
    [0, -1]
    """
    best = np.empty(len(states), dtype=np.int64)
    rows = max(1, CHUNK_NUMBERS // max(1, len(codes)))
    for at in range(0, len(states), rows):
        scores = states[at : at + rows] @ codes.T
        top = scores.argmax(axis=1)
        shared = (scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1
        best[at : at + rows] = np.where(shared, -1, top)
    return best


def probe_read_out(
    embeddings: Float[np.ndarray, "subject width"],
    unembedding: Float[np.ndarray, "object code"],
    answers: Int[np.ndarray, "subject relation"],
    *,
    held_out: float = 0.2,
    strengths: tuple[float, ...] = STRENGTHS,
    seed: int = 0,
) -> ReadOut:
    """Ridge from s_x to z_{π_r(x)} per relation, its top-1 among all objects on held-out subjects (notes D6).

    Embeddings are centred and divided by their overall deviation, and strengths are chosen by held-out R².
    Ties count as wrong. A relation without facts among the held-out subjects gives NaN.

    >>> generator = np.random.default_rng(0)
    >>> answers = generator.permutation(100)[:, None]
    >>> unembedding = generator.normal(size=(100, 4))
    >>> embeddings = unembedding[answers[:, 0]] @ generator.normal(size=(4, 6))
    >>> probe = probe_read_out(embeddings, unembedding, answers)
    >>> probe.accuracy.tolist(), bool(probe.score[0] > 0.99)
    ([1.0], True)
    """
    S, z = standardize_codes(embeddings), standardize_codes(unembedding)
    fitted, held = split_subjects(len(S), held_out=held_out, seed=seed)
    lams = np.asarray(strengths, dtype=np.float64)
    unit = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    accuracy, score = np.full(answers.shape[1], np.nan), np.full(answers.shape[1], np.nan)
    for r, column in enumerate(answers.T):
        known, asked = fitted[column[fitted] >= 0], held[column[held] >= 0]
        if len(known) < 2 or not len(asked):
            continue
        path = fit_ridge_path(S[known], z[column[known]])
        scores = held_out_scores(path, S[asked], z[column[asked]], lams)
        predicted = predict_ridge(path, S[asked], float(lams[scores.argmax()]))
        accuracy[r] = (best_objects(predicted, unit) == column[asked]).mean()
        score[r] = scores.max()
    return ReadOut(accuracy, score)


def affine_surrogate(
    embeddings: Float[np.ndarray, "subject width"],
    states: Float[np.ndarray, "subject relation state"],
    unembedding: Float[np.ndarray, "object state"],
    answers: Int[np.ndarray, "subject relation"],
    *,
    held_out: float = 0.2,
    strengths: tuple[float, ...] = STRENGTHS,
    seed: int = 0,
) -> Float[np.ndarray, " relation"]:
    """Recall of held-out subjects when one affine map for each relation replaces the network (notes D11).

    The map goes from the subject embedding to the state that meets the unembedding. It is fitted by ridge on
    most subjects, its strength chosen by held-out R² of the states. Ties count as wrong. A high value says
    "affine map chosen by the relation", a low one "table of keys and values".

    >>> generator = np.random.default_rng(0)
    >>> S = generator.normal(size=(50, 3))
    >>> codes = np.eye(50)
    >>> states = np.stack([S, -S], axis=1) @ (10 * S.T)
    >>> answers = states.argmax(axis=2)
    >>> affine_surrogate(S, states, codes, answers).tolist()
    [1.0, 1.0]
    """
    S = standardize_codes(embeddings)
    fitted, held = split_subjects(len(S), held_out=held_out, seed=seed)
    lams = np.asarray(strengths, dtype=np.float64)
    recall = np.full(answers.shape[1], np.nan)
    for r, column in enumerate(answers.T):
        known, asked = fitted[column[fitted] >= 0], held[column[held] >= 0]
        if len(known) < 2 or not len(asked):
            continue
        wanted = np.asarray(states[:, r], dtype=np.float64)
        path = fit_ridge_path(S[known], wanted[known])
        scores = held_out_scores(path, S[asked], wanted[asked], lams)
        predicted = predict_ridge(path, S[asked], float(lams[scores.argmax()]))
        recall[r] = (best_objects(predicted, np.asarray(unembedding, np.float64)) == column[asked]).mean()
    return recall
