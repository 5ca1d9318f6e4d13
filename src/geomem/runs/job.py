"""Runs before their training: every setting definite, what they will take, and where they go."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomem.errors import InputError
from geomem.fields import MOST_SEEDS
from geomem.models.architecture import ParameterDescription
from geomem.models.configuration import Model, find_architecture
from geomem.models.own import Factory, own_module
from geomem.models.parameters import Cost
from geomem.runs.configuration import Task, describe_configuration, model_kind
from geomem.runs.directory import run_path, safe_name
from geomem.runs.start import Start
from geomem.runs.told import ToldVocabulary
from geomem.training.configuration import AnyTraining, step_count
from geomem.training.treatment import NOTHING, Treatment, describe_treatment
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.graph import Graph

if TYPE_CHECKING:
    from geomem.training.loop import Trained

SINGLE_THREAD_FLOPS = 1e8
"""Steps with less arithmetic run on one thread: waking others costs more than they do, on a busy machine ten
times more, and the result does not depend on the number of cores."""


@dataclass(frozen=True, eq=False)
class Job:
    """One fleet before its training: everything definite, nothing allocated."""

    world: Graph | FactTable
    """The world; in context, that of the first test prompt."""
    task: Task
    model: Any
    """A `Model`, or a `Recall`."""
    training: AnyTraining
    seeds: tuple[int, ...]
    name: str
    """How the directory's name begins."""
    counts: dict[str, int]
    """How much is trained on, by name: `facts`, or `edges` and `paths` of an epoch, or `prompts`."""
    cost: Cost
    kept_bytes: int
    """Disk that the finished runs take."""
    disk_bytes: int
    """Disk that they take at most, with the checkpoints of their training."""
    train: "Callable[..., Trained]"
    """Trains the runs, with the arguments of `train_fleet` from `state` on; other `runs` than the
    seeds with the training's own rates too. Only this imports torch. Like all of a job it can be pickled, for
    other processes."""
    start: Start | None = None
    """The weights that the runs begin with; drawn from the seeds if None."""
    treatment: Treatment = NOTHING
    """What interventions do beside the settings."""
    told: ToldVocabulary | None = None
    """The vocabulary of a graph that is told in sentences."""

    @property
    def steps(self) -> int:
        """Steps, unless stopped early."""
        return step_count(self.training)

    @property
    def kind(self) -> str:
        """The architecture's name."""
        return model_kind(self.model)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """What the path's hash is made from, as the manifest says it."""
        described = describe_configuration(self.world, self.task, self.model, self.training, self.seeds)
        described |= {"start": self.start.digest} if self.start else {}
        # Only what was done: runs without interventions keep the hashes that they had before there were any.
        treatment = describe_treatment(self.treatment)
        return described | ({"treatment": treatment} if treatment else {})

    def path(self, directory: str | os.PathLike[str] = "runs") -> Path:
        """The run directory; equal jobs have equal paths."""
        return run_path(directory, self.name, self.configuration)


def job_name(world: Graph | FactTable, *words: str) -> str:
    """How the directory's name of a job begins.

    >>> from geomem.worlds.graphs.families import cycle
    >>> job_name(cycle(6), "mamba", "paths")
    'cycle-6-mamba-paths'
    """
    return safe_name("-".join([world.name, *words]))


def count_disk(
    described: dict[str, ParameterDescription],
    run_count: int,
    *,
    snapshot_numbers: int,
    rows: int,
    metric_count: int,
    text_bytes: int,
    averaging: bool = False,
) -> tuple[int, int, int]:
    """Bytes of disk that runs keep and take at most, and of what they write down besides their weights.

    `described` are the tensors of one run, `snapshot_numbers` those of its snapshots, `rows` of the metrics
    with `metric_count` numbers each. While a checkpoint replaces the former both exist, each with AdamW's two
    moments beside the weights, and with their mean where it is kept.
    """
    weights = 4 * run_count * sum(prod(parameter.shape) for parameter in described.values())
    snapshots = 4 * run_count * snapshot_numbers
    # Numbers of eight bytes, twice in the unpacked long table.
    metrics = 2 * 8 * run_count * metric_count * rows
    written = snapshots + metrics
    kept = weights + written + text_bytes
    return kept, kept + 2 * ((3 + averaging) * weights + written), written


def find_model(model: Model | Factory | str) -> Model:
    """Resolve an architecture's name to its default configuration, and a factory to an `OwnModule`.

    >>> find_model("node2vec").width
    100
    """
    if isinstance(model, str):
        return find_architecture(model)()
    return model if isinstance(model, Model) else own_module(model)


def check_hours(seconds: float, hours: float) -> None:
    """Raise `InputError` for work that would take longer than the hours that were given.

    >>> check_hours(7200.0, hours=2.0)
    """
    if seconds > 3600 * hours:
        needed = seconds / 3600
        raise InputError(
            f"This would take about {needed:,.{0 if needed >= 10 else 1}f} hours and {hours:g} are "
            f"allowed; give --hours {ceil(1.25 * needed)} to let it run, or ask for less."
        )


def check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds that a count or a list stands for.

    Raises `InputError` if there is none, or one twice, or one is not a whole number from 0 to 2^63 - 1, or if
    there are more than `MOST_SEEDS`.

    >>> check_seeds(3), check_seeds([7, 1])
    ((0, 1, 2), (7, 1))
    """
    try:
        count = len(seeds) if isinstance(seeds, Sequence) else index(seeds)
        if count > MOST_SEEDS:
            raise InputError(f"There are {count:,} seeds; give at most {MOST_SEEDS:,}.")
        found = tuple(map(index, seeds)) if isinstance(seeds, Sequence) else tuple(range(count))
    except TypeError:
        found = ()
    if not found or len(set(found)) < len(found) or not all(0 <= seed < 2**63 for seed in found):
        raise InputError(
            f"seeds is {seeds!r}; give a count of at least 1, or different whole numbers of at least 0."
        )
    return found
