"""Does an answer follow the subject's state? States replaced, moved along the fitted map, or moved anywhere.

Axis names: `subject`, `width`, `object`, `code`, `query`, `gain`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import binom

from geomem.geometry.attribute_swap import GAINS, draw_swaps, swapped_vectors
from geomem.geometry.superposition import fit_superposition

SWAPS = 100

Answer = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From subjects [query] and the states [query, width] to put in place of theirs, to objects [query]."""


@dataclass(frozen=True, eq=False)
class Causes:
    """How often the answer becomes another subject's."""

    swaps: int
    untouched: float
    """Share of the right answers when a subject's own state is put in its place: 1 if nothing is lost."""
    replaced: float
    """The state of a subject with the other answer is put in the subject's place."""
    gains: Float[np.ndarray, " gain"]
    moved: Float[np.ndarray, " gain"]
    """The state is moved along the fitted map, by so many times what the map says."""
    random: Float[np.ndarray, " gain"]
    """The state is moved as far in a random direction."""
    p: float
    """Of the map being no better than a random direction, at gain 1: sign test over swaps that differ."""


@dataclass(frozen=True, eq=False)
class RelationCauses:
    """What moves a model's answers about one relation, when a subject's state changes after one layer."""

    relation: str
    layer: str
    causes: Causes


def measure_causes(
    states: Float[np.ndarray, "subject width"],
    objects: Float[np.ndarray, "object code"],
    answers: Int[np.ndarray, " subject"],
    answer_with: Answer,
    *,
    gains: Sequence[float] = GAINS,
    count: int = SWAPS,
    seed: int = 0,
) -> Causes:
    """Exchange the object of subjects that the map was not fitted on, and ask the model with the new state.

        s_x + g W (z_new - z_old),    s = b + W z: the superposition fit of one relation

    `states` are those of one layer and template, `objects` vectors of the answers, `answer_with` runs the
    model from that layer on. Raises `InputError` as `fit_superposition` and `draw_swaps` do.

    >>> objects = np.eye(4)
    >>> answers = np.arange(40) % 4
    >>> states = objects[answers] @ np.eye(4, 6) + 0.1
    >>> def answer_with(subjects, vectors):
    ...     return vectors[:, :4].argmax(axis=1)
    >>> causes = measure_causes(states, objects, answers, answer_with, gains=(0.0, 1.0))
    >>> causes.replaced, causes.moved.tolist()
    (1.0, [0.0, 1.0])
    """
    fit = fit_superposition(states, objects, answers[:, None], seed=seed)
    held = np.full((len(answers), 1), -1, dtype=np.int64)
    held[fit.held, 0] = answers[fit.held]
    swaps = draw_swaps(held, count, seed=seed)
    generator = np.random.default_rng([seed, 4])
    donors = np.array([generator.choice(np.flatnonzero(answers == new)) for new in swaps.new])
    own = np.asarray(states, dtype=np.float64)[swaps.subjects]
    aside = generator.standard_normal(own.shape)
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    step = swapped_vectors(states, fit.maps, fit.codes, swaps) - own
    lengths = np.linalg.norm(step, axis=1, keepdims=True)

    def hits(vectors: np.ndarray) -> np.ndarray:
        return np.asarray(answer_with(swaps.subjects, vectors)) == swaps.new

    tried = {gain: (hits(own + gain * step), hits(own + gain * lengths * aside)) for gain in {*gains, 1.0}}
    one, other = tried[1.0]
    differing, ahead = int((one != other).sum()), int((one & ~other).sum())
    return Causes(
        swaps=len(own),
        untouched=float((np.asarray(answer_with(swaps.subjects, own)) == swaps.old).mean()),
        replaced=float(hits(np.asarray(states, dtype=np.float64)[donors]).mean()),
        gains=np.array(gains, dtype=np.float64),
        moved=np.array([tried[gain][0].mean() for gain in gains]),
        random=np.array([tried[gain][1].mean() for gain in gains]),
        p=float(binom.sf(ahead - 1, differing, 0.5)) if differing else 1.0,
    )
