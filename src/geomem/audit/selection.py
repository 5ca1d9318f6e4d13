"""Does the relation choose what is read of the subject? From states of prompts that name a relation.

Axis names: `relation`, `subject`, `object`, `width`, `code`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.audit.states import States
from geomem.errors import InputError
from geomem.geometry.superposition import fit_superposition


@dataclass(frozen=True, eq=False)
class Selection:
    """What a layer holds of every relation's answer when one relation is asked for."""

    layer: str
    shares: Float[np.ndarray, "relation relation"]
    """Of the variance of the states of prompts for one relation (row), what the answers to each relation
    explain (column), by the superposition fit."""

    @property
    def strength(self) -> float:
        """Mean share of the relation asked for less that of all others: 0 if asking selects nothing."""
        own = np.eye(len(self.shares), dtype=bool)
        return float(self.shares[own].mean() - self.shares[~own].mean()) if len(own) > 1 else float("nan")


def measure_selection(
    prompts: States,
    objects: Float[np.ndarray, "object code"],
    answers: Int[np.ndarray, "subject relation"],
    *,
    seed: int = 0,
) -> tuple[Selection, ...]:
    """Relation-conditioned selection of every layer that templates reach: the fit of each relation's states.

    The templates of `prompts` name the relations, in the order of the columns of `answers`, whose rows are
    those of the entities; -1 where there is no fact, whose state is not looked at. An ideal selector's states
    hold the answer to the relation asked for and no other. Raises `InputError` if there is not one template
    for each relation.

    >>> from geomem.audit.states import Layer
    >>> generator = np.random.default_rng(0)
    >>> answers = np.stack([generator.permutation(60) for _ in range(2)], axis=1)
    >>> objects = generator.normal(size=(60, 4))
    >>> names = tuple(str(number) for number in range(60))
    >>> place = Layer("block 1", np.stack([objects[answers[:, 0]], objects[answers[:, 1]]]))
    >>> states = States(names, ("The capital of {}", "The coin of {}"), "last token", (place,))
    >>> measure_selection(states, objects, answers)[0].strength > 0.9
    True
    """
    relations = answers.shape[1]
    if len(prompts.templates) != relations:
        raise InputError(
            f"There are {len(prompts.templates)} templates for {relations} relations; give one for each."
        )
    reached = [layer for layer in prompts.layers if len(layer.vectors) == relations]
    found = []
    for layer in reached:
        fits = [
            fit_superposition(states[known], objects, answers[known], seed=seed)
            for states, known in zip(layer.vectors, answers.T >= 0, strict=True)
        ]
        found.append(Selection(layer.name, np.stack([fit.shares for fit in fits])))
    return tuple(found)
