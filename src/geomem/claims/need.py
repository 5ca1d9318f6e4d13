"""What a claim needs before it can be checked: fleets, experiments, or arrays computed on the spot."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from geomem.claims.experiment import Experiment
from geomem.models.configuration import Model
from geomem.training.configuration import Training
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


@dataclass(frozen=True, eq=False)
class Computed:
    """Arrays that need no training, in seconds: constructions, derivatives, bounds."""

    compute: Callable[[], Mapping[str, np.ndarray]]


Need = FleetRequest | Experiment | Computed
Needs = Callable[[Scale], tuple[Need, ...]]


def computed(function: Callable[[Scale], Mapping[str, np.ndarray]]) -> Needs:
    """The need of arrays that a function of the scale computes; checks find them by the names it gives.

    >>> need, = computed(lambda scale: {"squares": np.square(scale.seeds)})(Scale("quick", (1, 2)))
    >>> need.compute()
    {'squares': array([1, 4])}
    """
    return lambda scale: (Computed(partial(function, scale)),)
