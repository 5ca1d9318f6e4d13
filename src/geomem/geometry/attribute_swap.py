"""Causal test of the superposition: exchange one attribute in a subject's vector and ask again (notes D9).

s_x + g W_r (z_new - z_old):    success: relation r now answers new;  retention: the other answers stay
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError

GAINS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Gains g at which swaps are scored; success at a large one alone shows only a large push."""


@dataclass(frozen=True, eq=False)
class Swaps:
    """Which attribute is exchanged in whom: one row each."""

    subjects: Int[np.ndarray, " swap"]
    relations: Int[np.ndarray, " swap"]
    old: Int[np.ndarray, " swap"]
    new: Int[np.ndarray, " swap"]


@dataclass(frozen=True, eq=False)
class SwapCurve:
    """Success and retention over the gain."""

    gains: Float[np.ndarray, " gain"]
    success: Float[np.ndarray, " gain"]
    retention: Float[np.ndarray, " gain"]
    """Share of the answers to other relations that are as before the swap; NaN if there is one relation."""

    @property
    def best(self) -> float:
        """Highest over the gains of the smaller of success and retention."""
        both = np.fmin(self.success, self.retention)
        return float(both.max())


def draw_swaps(answers: Int[np.ndarray, "subject relation"], count: int, *, seed: int = 0) -> Swaps:
    """Facts drawn at random, each with a new object among those its relation has; at most `count`, each once.

    >>> swaps = draw_swaps(np.array([[0, 2], [1, 2]]), 9)
    >>> sorted(zip(swaps.subjects.tolist(), swaps.old.tolist(), swaps.new.tolist()))
    [(0, 0, 1), (1, 1, 0)]
    """
    generator = np.random.default_rng([seed, 3])
    several = [r for r, column in enumerate(answers.T) if len(np.unique(column[column >= 0])) > 1]
    subjects, relations = np.nonzero((answers >= 0) & np.isin(np.arange(answers.shape[1]), several))
    if not len(subjects):
        raise InputError(
            "No relation has two different objects, so there is nothing to exchange; give more facts."
        )
    chosen = generator.permutation(len(subjects))[:count]
    subjects, relations = subjects[chosen], relations[chosen]
    old = answers[subjects, relations]
    new = np.empty_like(old)
    for r in several:
        rows = relations == r
        objects = np.unique(answers[answers[:, r] >= 0, r])
        # Any but the old one, uniformly: a step around the circle of the relation's objects.
        steps = generator.integers(1, len(objects), size=int(rows.sum()))
        new[rows] = objects[(np.searchsorted(objects, old[rows]) + steps) % len(objects)]
    return Swaps(subjects, relations, old, new)


def swapped_vectors(
    embeddings: Float[np.ndarray, "subject width"],
    maps: Float[np.ndarray, "relation width code"],
    codes: Float[np.ndarray, "object code"],
    swaps: Swaps,
    *,
    gain: float = 1.0,
) -> Float[np.ndarray, "swap width"]:
    """s_x + g W_r (z_new - z_old) for every swap; maps and codes as `fit_superposition` gives them.

    >>> swaps = Swaps(*(np.array([value]) for value in (0, 0, 0, 1)))
    >>> swapped_vectors(np.array([[5.0]]), np.array([[[2.0]]]), np.array([[1.0], [0.0]]), swaps).tolist()
    [[3.0]]
    """
    moved = np.asarray(embeddings, dtype=np.float64)[swaps.subjects]
    for r in range(len(maps)):
        rows = swaps.relations == r
        moved[rows] += gain * ((codes[swaps.new[rows]] - codes[swaps.old[rows]]) @ maps[r].T)
    return moved


def measure_attribute_swap(
    embeddings: Float[np.ndarray, "subject width"],
    maps: Float[np.ndarray, "relation width code"],
    codes: Float[np.ndarray, "object code"],
    swaps: Swaps,
    answer: Callable[[np.ndarray], np.ndarray],
    *,
    gains: Sequence[float] = GAINS,
) -> SwapCurve:
    """Success and retention of the swaps at each gain.

    `answer` takes subject vectors [query, width] and gives the answers [query, relation] of the memory.

    >>> codes, maps = np.eye(3), np.array([np.eye(6, 3), np.eye(6, 3, k=-3)])
    >>> subjects = np.array([[1.0, 0, 0, 0, 1, 0], [0, 1.0, 0, 1, 0, 0]])
    >>> def answer(vectors):
    ...     return vectors.reshape(-1, 2, 3).argmax(axis=2)
    >>> swaps = draw_swaps(answer(subjects), 4)
    >>> curve = measure_attribute_swap(subjects, maps, codes, swaps, answer, gains=(0.25, 1.0))
    >>> curve.success.tolist(), curve.retention.tolist()
    ([0.0, 1.0], [1.0, 1.0])
    """
    before = answer(np.asarray(embeddings, dtype=np.float64)[swaps.subjects])
    rows = np.arange(len(swaps.subjects))
    others = np.arange(before.shape[1]) != swaps.relations[:, None]
    success, retention = [], []
    for gain in gains:
        after = answer(swapped_vectors(embeddings, maps, codes, swaps, gain=gain))
        success.append((after[rows, swaps.relations] == swaps.new).mean())
        retention.append((after == before)[others].mean() if others.any() else np.nan)
    return SwapCurve(np.array(gains, dtype=np.float64), np.array(success), np.array(retention))
