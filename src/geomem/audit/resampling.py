"""By how much one set of vectors is ahead of another: a bootstrap over entities.

Axis names: `entity`, `column` (of a sample of pairs), `pair`, `look`; `draw` (as observed first, then
resampled).
"""

import numpy as np
from jaxtyping import Float

from geomem.audit.pairs import counted_pairs, distance_ranks, pair_distances, pair_weights
from geomem.geometry.nulls import p_value
from geomem.geometry.sampling import PairSample

BOOTSTRAPS = 499

CHUNK = 50
"""Resamples whose weights of pairs are held at once."""


def draw_resamples(size: int, count: int = BOOTSTRAPS, *, seed: int = 0) -> Float[np.ndarray, "draw entity"]:
    """How often each of `size` is in `count` draws with replacement; first once each, as observed.

    >>> draw_resamples(3, 2).sum(axis=1).tolist()
    [3.0, 3.0, 3.0]
    """
    generator = np.random.default_rng(seed)
    drawn = [np.bincount(generator.integers(0, size, size), minlength=size) for _ in range(count)]
    return np.array([np.ones(size), *drawn])


def resample_pairs(
    Z: Float[np.ndarray, "pair look"], sample: PairSample, times: Float[np.ndarray, "draw column"]
) -> tuple[Float[np.ndarray, "draw look"], Float[np.ndarray, "draw look"]]:
    """Mantel's correlations, and how much higher neighbours rank than others, of resampled entities.

    `Z` are standardised ranks. A pair counts as often as its two entities together; a pair of an entity with
    itself is left out. The second number times the deviation of the ranks is the neighbour AUC less 1/2.
    """
    weights, distances = pair_weights(sample), pair_distances(sample)
    D = distance_ranks(distances, weights).astype(Z.dtype)[:, None]
    looks, one = Z.shape[1], np.ones_like(D)
    moments = np.concatenate([one, D, D**2, Z, Z**2, D * Z], axis=1)
    counted = weights * counted_pairs(distances, weights)
    near, far = weights * (distances == 1), weights * (distances > 1)
    mantels, leads = np.empty((2, len(times), looks))
    for at in range(0, len(times), CHUNK):
        chosen = times[at : at + CHUNK]
        drawn = chosen[:, sample.shells.first] * chosen[:, sample.shells.second]
        means = _means(drawn * counted, moments)
        of_D, of_Z = means[:, 1:2], means[:, 3 : 3 + looks]
        product = means[:, 3 + 2 * looks :] - of_D * of_Z
        variances = (means[:, 2:3] - of_D**2) * (means[:, 3 + looks : 3 + 2 * looks] - of_Z**2)
        scale = np.sqrt(np.where(variances > 1e-9, variances, np.inf))
        mantels[at : at + CHUNK] = product / scale
        leads[at : at + CHUNK] = _means(drawn * near, Z) - _means(drawn * far, Z)
    return mantels, leads


def _means(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    totals = weights.sum(axis=1, keepdims=True)
    return (weights.astype(values.dtype) @ values) / np.where(totals > 0, totals, np.inf)


def bound_of_leads(leads: Float[np.ndarray, "draw look"]) -> float:
    """p of no lead: share of resamples whose largest (lead - observed) / error reaches the largest observed.

    A simultaneous bound over the looks, so that choosing the best of many is no advantage.

    >>> leads = np.random.default_rng(0).normal([0, 4], size=(500, 2))
    >>> leads[0] = 0, 4
    >>> bound_of_leads(leads) < 0.01
    True
    """
    errors = leads[1:].std(axis=0)
    varied = errors > 0
    if not varied.any():
        return 1.0
    scores = leads[:, varied] / errors[varied]
    return p_value(float(scores[0].max()), (scores[1:] - scores[0]).max(axis=1))
