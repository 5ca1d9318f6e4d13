"""What checks look at: measurements of finished fleets, in memory.

Axis names: `row` of the metrics, `snapshot`, `run`, `node`, `width`, `shell`.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from geomem.claims.experiment import Experiment, read_experiment
from geomem.claims.need import Computed, FleetRequest, Need
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.similarity import distance_shells
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.runs.edges import edge_job
from geomem.runs.job import Job
from geomem.runs.run import Run, read_run
from geomem.training.floor import lowest_loss as lowest_possible_loss
from geomem.worlds.graphs.graph import distance_matrix
from geomem.worlds.tasks import edge_examples


@runtime_checkable
class MeasuredRuns(Protocol):
    """Curves of trainings, of a fleet or of an experiment: checks ask both in one way."""

    @property
    def steps(self) -> Float[np.ndarray, " row"]:
        """What the training counts, at every row; row 0 is before any update."""
        ...

    @property
    def metrics(self) -> Mapping[str, Float[np.ndarray, "row run"]]:
        """Metrics by name."""
        ...


@dataclass(frozen=True, eq=False)
class FleetEvidence:
    """A finished fleet's measurements, in memory."""

    request: FleetRequest
    steps: Int[np.ndarray, " row"]
    """Steps after which the metrics were written; row 0 is before any update."""
    metrics: Mapping[str, Float[np.ndarray, "row run"]]
    """loss, associative_accuracy, top1_accuracy and geometric_level, as while training."""
    embeddings: Float[np.ndarray, "run node width"]
    """Of the nodes, after the last step."""
    snapshot_steps: Int[np.ndarray, " snapshot"]
    snapshots: Float[np.ndarray, "snapshot run node width"]
    weights: Mapping[str, np.ndarray]
    """Every parameter after the last step, [run, ...]."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """All a judge may look at: fleets by the key of their request, and arrays by name.

    An experiment's arrays are called `key.name`, those of the claim's `compute` as it says.
    """

    fleets: Mapping[str, FleetEvidence] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __getitem__(self, key: str) -> FleetEvidence:
        return self.fleets[key]

    def of(self, name: str) -> list[tuple[str, FleetEvidence]]:
        """The fleets whose keys are "name/..." with the ends of their keys, such as graphs."""
        parts = [(key.rpartition("/"), fleet) for key, fleet in self.fleets.items()]
        return [(end, fleet) for (start, _, end), fleet in parts if start == name]


def read_evidence(request: FleetRequest, fleet: Run) -> FleetEvidence:
    """A stored fleet's measurements; raises `InputError` if its files are damaged."""
    kept, snapshots = fleet.snapshots()
    return FleetEvidence(
        request, fleet.steps, fleet.curves(), fleet.embeddings(), kept, snapshots, fleet.weights()
    )


def plan_request(request: FleetRequest) -> Job:
    """The fleet that a request asks for, before its training."""
    return edge_job(
        request.world,
        model=request.model,
        task=request.task,
        training=request.training,
        seeds=request.seeds,
        treatment=request.treatment,
    )


def gather_evidence(needs: Iterable[Need], directory: str | os.PathLike[str]) -> Evidence:
    """The measurements of what was trained and measured before, and what is computed on the spot.

    Raises `InputError` for a fleet or an experiment that is missing, unfinished or damaged.
    """
    fleets, measured, computed = {}, {}, {}
    for need in needs:
        if isinstance(need, Computed):
            computed |= need.compute()
        elif isinstance(need, Experiment):
            measured[need.key] = read_experiment(need, directory)
        else:
            fleets[need.key] = read_evidence(need, read_run(plan_request(need).path(directory)))
    return Evidence(fleets, {**name_arrays(measured), **computed})


def name_arrays(experiments: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of experiments by the names a judge looks them up with, `key.name`."""
    return {f"{key}.{name}": array for key, found in experiments.items() for name, array in found.items()}


# What judges ask of a fleet.


def final(fleet: MeasuredRuns, metric: str) -> Float[np.ndarray, " run"]:
    """A metric after the last step."""
    return fleet.metrics[metric][-1]


def memorized(fleet: FleetEvidence) -> np.ndarray:
    """Whether every neighbour of every node is among its best answers at the end, [run]."""
    return final(fleet, "associative_accuracy") == 1.0


def first_step_memorized(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """The first recorded step after which every fact is recalled; infinity if there is none."""
    recalled = fleet.metrics["associative_accuracy"] == 1.0
    return np.where(recalled.any(axis=0), fleet.steps[recalled.argmax(axis=0)], np.inf)


def lowest_loss(request: FleetRequest) -> float:
    """The entropy of the targets in nats, which no model's loss can beat.

    >>> from geomem.models.configuration import Transformer
    >>> from geomem.training.configuration import Training
    >>> from geomem.worlds.graphs.families import path_star
    >>> star = FleetRequest("star", path_star(4, 5), Transformer(), Training(), (0,))
    >>> round(lowest_loss(star), 4)
    0.6931
    """
    return lowest_possible_loss(request.model, edge_examples(request.world, request.task))


def excess_loss(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """Final loss minus the lowest possible one, in nats."""
    return final(fleet, "loss") - lowest_loss(fleet.request)


def shells(fleet: FleetEvidence) -> Float[np.ndarray, "run shell"]:
    """Mean cosine of the nodes 1, 2, 3, ... steps apart, after the last step."""
    return distance_shells(fleet.embeddings, distance_matrix(fleet.request.world))[1]


def alignment(fleet: FleetEvidence) -> Float[np.ndarray, " run"]:
    """Fiedler alignment of the final embeddings: 1 if the slowest modes of the graph are in them."""
    return np.atleast_1d(fiedler_alignment(fleet.embeddings, laplacian_spectrum(fleet.request.world)))
