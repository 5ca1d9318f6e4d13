"""Are subject embeddings sums of attribute vectors, one per relation? Fit, control, shares (notes D4, D5).

    s_x ≈ b + Σ_r W_r z_{π_r(x)},    z: rows of the unembedding, centred, over their overall deviation

Only this factorised form can be tested: a free vector for each (relation, attribute) fits any table of
bijections perfectly (notes B3). All measurements are for one memory; a missing fact (-1) adds nothing.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.geometry.ridge import (
    STRENGTHS,
    RidgePath,
    fit_ridge_path,
    held_out_scores,
    ridge_intercept,
    ridge_weights,
    split_subjects,
    with_targets,
)


@dataclass(frozen=True, eq=False)
class SuperpositionFit:
    """The fit of the strength that predicts held-out subjects best."""

    intercept: Float[np.ndarray, " width"]
    maps: Float[np.ndarray, "relation width code"]
    """W_r: an attribute's standardised code to what relation r adds to the subject."""
    codes: Float[np.ndarray, "object code"]
    """z: the standardised codes the maps act on."""
    score: float
    """Held-out R², pooled over coordinates, the mean of the fitted subjects as baseline."""
    shuffled_scores: Float[np.ndarray, " shuffle"]
    """The same when embeddings are permuted over the subjects, each with its own best strength."""
    shares: Float[np.ndarray, " relation"]
    """Variance of W_r z_{π_r(x)} over that of s_x, among all subjects."""
    strength: float
    strengths: Float[np.ndarray, " strength"]
    scores: Float[np.ndarray, " strength"]
    """Held-out R² at each strength tried."""
    fitted: Int[np.ndarray, " fitted"]
    """Subjects the maps were fitted on."""
    held: Int[np.ndarray, " held"]
    """Subjects that scored them."""
    path: RidgePath
    """The fits of all strengths."""

    @property
    def regressors(self) -> int:
        """R · code width + 1."""
        return self.maps.shape[0] * self.maps.shape[2] + 1

    @property
    def well_posed(self) -> bool:
        """Whether the fit has more subjects than regressors; if not, the score understates (notes D4)."""
        return len(self.fitted) > self.regressors


def standardize_codes(codes: Float[np.ndarray, "object code"]) -> Float[np.ndarray, "object code"]:
    """Codes with their mean removed and their overall standard deviation one.

    >>> standardize_codes(np.array([[1.0, 5.0], [3.0, 5.0]])).round(3).tolist()
    [[-1.414, 0.0], [1.414, 0.0]]
    """
    centred = np.asarray(codes, dtype=np.float64) - np.mean(codes, axis=0, dtype=np.float64)
    deviation = centred.std()
    if not deviation > 0:
        raise InputError("All rows of the unembedding are the same, so nothing tells attributes apart.")
    return centred / deviation


def relation_codes(
    codes: Float[np.ndarray, "object code"], answers: Int[np.ndarray, "subject relation"]
) -> Float[np.ndarray, "subject relation*code"]:
    """The codes of a subject's attributes side by side, a block for each relation; 0 where there is no fact.

    >>> relation_codes(np.array([[1.0], [2.0]]), np.array([[0, 1], [1, -1]])).tolist()
    [[1.0, 2.0], [2.0, 0.0]]
    """
    padded = np.concatenate([codes, np.zeros((1, codes.shape[1]))])
    return padded[answers].reshape(len(answers), -1)


def fit_superposition(
    embeddings: Float[np.ndarray, "embedded width"],
    unembedding: Float[np.ndarray, "object code"],
    answers: Int[np.ndarray, "subject relation"],
    *,
    held_out: float = 0.2,
    strengths: tuple[float, ...] = STRENGTHS,
    shuffles: int = 3,
    seed: int = 0,
) -> SuperpositionFit:
    """Fit s_x = b + Σ_r W_r z_{π_r(x)} by ridge on most subjects and score it on the rest (notes D4).

    The strength is the one with the best held-out R²; the control chooses its own the same way, so both are
    equally flattered. Raises `InputError` if there are not as many embeddings as subjects, or all rows of
    the unembedding are equal. Time min(subjects, R · code)³, memory subjects x R · code.

    >>> generator = np.random.default_rng(0)
    >>> answers = np.stack([generator.permutation(200) for _ in range(2)], axis=1)
    >>> unembedding = generator.normal(size=(200, 4))
    >>> summed = unembedding[answers[:, 0]] - 2 * unembedding[answers[:, 1], ::-1]
    >>> fit = fit_superposition(summed, unembedding, answers)
    >>> bool(fit.score > 0.999 and fit.shuffled_scores.max() < 0.05), fit.shares.round(1).tolist()
    (True, [0.2, 0.8])
    """
    if len(embeddings) != len(answers):
        raise InputError(
            f"There are {len(embeddings)} subject embeddings and answers for {len(answers)} subjects; "
            "give one row of answers for each."
        )
    S, z = np.asarray(embeddings, dtype=np.float64), standardize_codes(unembedding)
    X = relation_codes(z, answers)
    fitted, held = split_subjects(len(S), held_out=held_out, seed=seed)
    lams = np.asarray(strengths, dtype=np.float64)
    path = fit_ridge_path(X[fitted], S[fitted])
    scores = held_out_scores(path, X[held], S[held], lams)
    best = float(lams[np.nanargmax(scores)]) if np.isfinite(scores).any() else float(lams[0])
    maps = ridge_weights(path, best).reshape(answers.shape[1], z.shape[1], S.shape[1])
    parts = X.reshape(len(X), answers.shape[1], -1)
    variance = np.array([(parts[:, r] @ maps[r]).var(axis=0).sum() for r in range(len(maps))])
    total = S.var(axis=0).sum()
    return SuperpositionFit(
        intercept=ridge_intercept(path, best),
        maps=np.ascontiguousarray(maps.transpose(0, 2, 1)),
        codes=z,
        score=float(scores.max()),
        shuffled_scores=_shuffled_scores(path, X, S, fitted, held, lams, shuffles, seed),
        shares=np.divide(variance, total, out=np.full(len(maps), np.nan), where=total > 0),
        strength=best,
        strengths=lams,
        scores=scores,
        fitted=fitted,
        held=held,
        path=path,
    )


def superpose(
    fit: SuperpositionFit, answers: Int[np.ndarray, "subject relation"], *, gain: float = 1.0
) -> Float[np.ndarray, "subject width"]:
    """Embeddings of subjects with other attributes: b + g Σ_r W_r z_{a_r} (rule "ridge" of notes B6).

    >>> codes = np.array([[1.0], [-1.0]])
    >>> fit = fit_superposition(np.tile(codes, (10, 1)), codes, np.tile([[0], [1]], (10, 1)))
    >>> superpose(fit, np.array([[1], [0]])).round(1).tolist()
    [[-1.0], [1.0]]
    """
    weights = np.concatenate([W.T for W in fit.maps])
    return fit.intercept + gain * (relation_codes(fit.codes, answers) @ weights)


def _shuffled_scores(
    path: RidgePath,
    X: np.ndarray,
    S: np.ndarray,
    fitted: np.ndarray,
    held: np.ndarray,
    strengths: np.ndarray,
    shuffles: int,
    seed: int,
) -> Float[np.ndarray, " shuffle"]:
    """Best held-out R² under permutations of the subjects: what no relation between them gives."""
    generator = np.random.default_rng([seed, 2])
    best = []
    for _ in range(shuffles):
        dealt = S[generator.permutation(len(S))]
        control = with_targets(path, X[fitted], dealt[fitted])
        best.append(held_out_scores(control, X[held], dealt[held], strengths).max())
    return np.array(best)
