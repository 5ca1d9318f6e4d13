"""How a model itself answers the questions it is audited on.

Axis names: `question`, `candidate`.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int
from scipy.stats import binom

from geomem.geometry.reading import SIGNIFICANCE


@dataclass(frozen=True)
class Answer:
    """What a model, or a map, answers about one name."""

    name: str
    given: str
    wanted: tuple[str, ...]
    """All that would have been right."""
    right: bool
    """Also where a candidate begins with the same token as the right one: nobody can tell them apart."""


@dataclass(frozen=True)
class Behaviour:
    """How often a model, asked for these facts, answered right.

    >>> Behaviour(asked=100, right=50, chance=0.1).known, Behaviour(asked=100, right=12, chance=0.1).known
    (True, False)
    """

    asked: int
    right: int
    """Right answers among the candidates."""
    chance: float
    """Share that is right without knowledge: that of the most frequent answer."""
    first: float = float("nan")
    """Share of questions whose single best answer, over the whole vocabulary, is right."""
    answers: tuple[Answer, ...] = field(default=(), repr=False)
    """The best candidate for every name, if they were kept."""

    @property
    def p(self) -> float:
        """Chance of as many right answers without knowledge: P(X >= right), X binomial."""
        return float(binom.sf(self.right - 1, self.asked, self.chance))

    @property
    def known(self) -> bool:
        """Whether the answers are better than chance."""
        return self.p <= SIGNIFICANCE


def judge_answers(
    right: Int[np.ndarray, " question"],
    *,
    top: Int[np.ndarray, " question"],
    among: Int[np.ndarray, " question"],
    same: Int[np.ndarray, " candidate"],
) -> Behaviour:
    """How often the most probable token, and the most probable candidate, were right.

    `top` and `among` are numbers of candidates, -1 for a token that begins none; `same` says for each
    candidate which one stands for it, where several begin with one token. Chance is the share of the most
    frequent right answer.

    >>> right, among = np.array([0, 1, 1, 2]), np.array([0, 1, 1, 0])
    >>> judge_answers(right, top=np.array([-1, 1, -1, -1]), among=among, same=np.arange(3))
    Behaviour(asked=4, right=3, chance=0.5, first=0.25)
    """
    wanted = same[right]
    return Behaviour(
        asked=len(right),
        right=int((among == wanted).sum()),
        chance=float(np.bincount(wanted).max() / len(wanted)),
        first=float((top == wanted).mean()),
    )
