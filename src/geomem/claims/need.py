"""What a claim needs before it can be checked: fleets, experiments, or arrays computed on the spot."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from geomem.claims.experiment import Experiment
from geomem.models.configuration import Model
from geomem.training.configuration import Training
from geomem.training.treatment import NOTHING, Treatment
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization

Cost = Literal["quick", "full"]
"""`quick` claims run on two cores in minutes; `full` ones want a GPU and only run when asked for."""


@dataclass(frozen=True)
class Scale:
    """How large the experiments may be, and their seeds."""

    name: Cost
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FleetRequest:
    """A fleet that a claim needs, by the key its checks find it with.

    Two claims that ask for the same world, task, model, training and seeds share one run directory, whatever
    their keys; so take seeds from the scale and settings from constants of the group.
    """

    key: str
    world: Graph
    model: Model
    training: Training
    seeds: tuple[int, ...]
    task: EdgeMemorization = field(default_factory=EdgeMemorization)
    treatment: Treatment = NOTHING
    """What interventions do beside these settings."""


@dataclass(frozen=True, eq=False)
class Computed:
    """Arrays that need no training, in seconds: constructions, derivatives, bounds."""

    compute: Callable[[], Mapping[str, np.ndarray]]


Found = dict[str, np.ndarray] | Iterator[tuple[str, float]]
"""Arrays by name, or names and numbers one by one."""

Need = FleetRequest | Experiment | Computed
Needs = Callable[[Scale], tuple[Need, ...]]


def computed(function: Callable[[Scale], Found]) -> Needs:
    """The need of what a function of the scale computes: arrays by name, or names and numbers one by one.

    All numbers of a name become one array; checks find it by that name.

    >>> def squares(scale):
    ...     for seed in scale.seeds:
    ...         yield "square", seed**2
    >>> need, = computed(squares)(Scale("quick", (2, 3)))
    >>> need.compute()
    {'square': array([4, 9])}
    """
    return lambda scale: (Computed(lambda: collect_arrays(function(scale))),)


def collect_arrays(found: Found) -> Mapping[str, np.ndarray]:
    """Arrays by name, of names and numbers that come one by one; those that are arrays already stay."""
    if isinstance(found, dict):
        return found
    numbers: dict[str, list[float]] = {}
    for name, value in found:
        numbers.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in numbers.items()}
