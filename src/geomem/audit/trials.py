"""The trials that a geometry on a graph must survive, and the controls beside them.

Axis names: `look` (one layer under one template), `draw` (as observed first, then as the null has it).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

from geomem.audit.pairs import standard_scores
from geomem.audit.resampling import bound_of_leads
from geomem.audit.words import LEAST_MANTEL, Trial
from geomem.geometry.nulls import p_value
from geomem.geometry.reading import SIGNIFICANCE

Names = Sequence[tuple[str, str]]


def where(names: Names, look: int) -> str:
    """Where a look is, in words.

    >>> where([("block 3", "the land of {}")], 0)
    "at block 3 under 'the land of {}'"
    """
    layer, template = names[look]
    return f"at {layer}" + (f" under {template!r}" if template else "")


def after_maximum(scores: Float[np.ndarray, "draw look"]) -> list[float]:
    """p of every look's score, against the largest over the looks of every other draw.

    >>> after_maximum(np.array([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.5]]))
    [0.3333333333333333, 1.0]
    """
    largest = scores[1:].max(axis=1)
    return [p_value(float(score), largest) for score in scores[0]]


def best_look(draws: Float[np.ndarray, "draw look"], sign: int) -> int:
    """The look that is farthest from its null, on the side of `sign`."""
    return int(standard_scores(draws, sign)[0].argmax())


def try_looks(
    name: str,
    names: Names,
    draws: Float[np.ndarray, "draw look"],
    sentence: str,
    *,
    sign: int = -1,
    least: float = 0.0,
    wanted: bool = True,
) -> Trial:
    """Whether some look is beyond its null, p of the largest score over all looks.

    `sentence` has places for `where` and `value`. It is passed if p is small enough and the value at least
    `least` on the side of `sign`; or, if that is not `wanted`, if it is not small.

    >>> draws = np.random.default_rng(0).normal(size=(200, 3))
    >>> draws[0, 1] = -9
    >>> trial = try_looks("chance", [("block", str(at)) for at in range(3)], draws, "{where}: {value:.0f}")
    >>> trial.p, trial.passed, trial.sentence
    (0.005, True, "at block under '1': -9")
    """
    scores = standard_scores(draws, sign)
    best = int(scores[0].argmax())
    value, p = float(draws[0, best]), min(after_maximum(scores))
    found = p <= SIGNIFICANCE and sign * value >= least
    said = sentence.format(where=where(names, best), value=value)
    return Trial(name, value, p, SIGNIFICANCE, found == wanted, said)


def try_chance(names: Names, mantels: Float[np.ndarray, "draw look"]) -> Trial:
    """Similarity falls with graph distance, more than under permuted entities, and not by next to nothing."""
    sentence = "{where} similarity follows graph distance by {value:.2f}, "
    return try_looks(
        "permuted entities",
        names,
        mantels,
        f"{sentence}at least {LEAST_MANTEL} and beyond permuted entities",
        least=LEAST_MANTEL,
    )


def try_impossible(
    mantels: Float[np.ndarray, "draw look"], rewired: Float[np.ndarray, "graph look"]
) -> Trial:
    """How many rewired graphs permuted entities alone would call significant, where .05 is allowed.

    The null is that of the graph itself. Passed if they are not too many: P(X >= called), X binomial.
    """
    mean, deviation = mantels.mean(axis=0), mantels.std(axis=0)
    scores = np.divide(mean - rewired, deviation, out=np.zeros_like(rewired), where=deviation > 0)
    limit = float(np.quantile(standard_scores(mantels, -1)[1:].max(axis=1), 1 - SIGNIFICANCE))
    called = int((scores.max(axis=1) > limit).sum())
    p = float(binom.sf(called - 1, len(rewired), SIGNIFICANCE))
    sentence = f"of {len(rewired)} graphs that no model can know, permuted entities alone pass {called}"
    return Trial("impossible twins", called / len(rewired), p, SIGNIFICANCE, p > SIGNIFICANCE, sentence)


def try_ahead(name: str, names: Names, leads: Float[np.ndarray, "draw look"], sentence: str) -> Trial:
    """Whether some look follows the graph more closely than a rival, and not by next to nothing.

    `leads` are those of resampled entities, p is that of `bound_of_leads`.
    """
    errors = leads[1:].std(axis=0)
    best = int((leads[0] / np.where(errors > 0, errors, np.inf)).argmax())
    value, p = float(leads[0, best]), bound_of_leads(leads)
    said = sentence.format(where=where(names, best), value=value)
    return Trial(name, value, p, SIGNIFICANCE, p <= SIGNIFICANCE and value >= LEAST_MANTEL, said)
