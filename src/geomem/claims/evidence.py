"""What a judge looks at: measurements of finished fleets in memory, and made-up ones of a wrong model.

Axis names: `row` of the metrics, `snapshot`, `run`, `node`, `width`, `shell`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from geomem.claims.need import FleetRequest
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.similarity import distance_shells, geometric_level
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum
from geomem.models.parameters import describe_parameters
from geomem.runs.run import Run
from geomem.training.floor import lowest_loss as lowest_possible_loss
from geomem.training.schedule import metric_steps, snapshot_steps
from geomem.worlds.graphs.graph import distance_matrix
from geomem.worlds.tasks import directed_facts, edge_examples

Memory = Literal["untrained", "associative", "geometric", "zig-zag", "collapsed"]
"""What `imagine_fleet` can make up: embeddings as drawn and nothing recalled; as drawn and all recalled;
near where the graph is near; neighbours opposite and second neighbours alike; all nodes in one place."""

HEAT = 4.0
"""How long heat spreads along the edges to make an imagined geometry: the mean cosine of neighbours is then
.5 to .9 on the tiny graphs."""


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


def curve_table(fleets: Mapping[str, MeasuredRuns], metric: str, *, title: str) -> pl.DataFrame:
    """Mean, lowest and highest value over seeds at every recorded step, for a `Picture`.

    Columns: step, `title`, low, high, graph (the mapping's keys).
    """
    parts = []
    for name, fleet in fleets.items():
        curve = fleet.metrics[metric]
        parts.append(
            pl.DataFrame(
                {
                    "step": fleet.steps,
                    title: curve.mean(axis=1),
                    "low": curve.min(axis=1),
                    "high": curve.max(axis=1),
                    "graph": [name] * len(curve),
                }
            )
        )
    return pl.concat(parts)


# Measurements nobody took: what a model of another memory would show.


def imagine_fleets(
    requests: Iterable[FleetRequest], memory: Memory, *, memorized_at: int | None = 0
) -> Evidence:
    """`imagine_fleet` for every request, as evidence."""
    fleets = {request.key: imagine_fleet(request, memory, memorized_at=memorized_at) for request in requests}
    return Evidence(fleets)


def imagine_arrays(experiments: Mapping[str, Mapping[str, Any]]) -> Evidence:
    """What experiments might have given, by key and name, as evidence.

    >>> imagine_arrays({"capacity": {"recall": [0.1, 0.2]}}).arrays
    {'capacity.recall': array([0.1, 0.2])}
    """
    arrays = {
        key: {name: np.asarray(values) for name, values in found.items()}
        for key, found in experiments.items()
    }
    return Evidence(arrays=name_arrays(arrays))


def imagined(
    memory: Memory, others: Mapping[str, Memory] | None = None, *, memorized_at: int | None = 0
) -> Callable[[Iterable[FleetRequest]], Evidence]:
    """The counterexample of models with one memory; with another where the key contains a text.

    `imagined("geometric", {"-self": "associative"})` is a geometry that self-edges destroy.
    """
    by_text: Mapping[str, Memory] = others or {}

    def imagine(requests: Iterable[FleetRequest]) -> Evidence:
        fleets = {}
        for request in requests:
            own = memory
            for text, other in by_text.items():
                if text in request.key:
                    own = other
                    break
            fleets[request.key] = imagine_fleet(request, own, memorized_at=memorized_at)
        return Evidence(fleets)

    return imagine


def associative(requests: Iterable[FleetRequest]) -> Evidence:
    """Models that recall everything with embeddings as they were drawn."""
    return imagine_fleets(requests, "associative")


def geometric(requests: Iterable[FleetRequest]) -> Evidence:
    """Models whose embeddings make neighbours most alike."""
    return imagine_fleets(requests, "geometric")


def imagine_fleet(request: FleetRequest, memory: Memory, *, memorized_at: int | None = 0) -> FleetEvidence:
    """Measurements as a model with that memory would have given them; nothing is trained.

    The embeddings are drawn from N(0, 1) and go straight to their final place within a tenth of the training
    (stay, if associative). From step `memorized_at` on every fact is recalled and the loss is the lowest
    possible; before, always if it is None or the memory `untrained`, recall is chance and the loss that of a
    uniform answer. Other weights are as drawn.
    """
    graph, training, run_count = request.world, request.training, len(request.seeds)
    examples = edge_examples(graph, request.task)
    facts = directed_facts(graph, request.task)
    generator = np.random.default_rng(request.seeds)
    start = generator.normal(size=(run_count, graph.node_count, request.model.width))
    end = _final_embeddings(start, request, memory)
    kept = snapshot_steps(training)
    shares = np.minimum(1.0, kept / max(1.0, training.steps / 10))[:, None, None, None]
    snapshots = ((1 - shares) * start + shares * end).astype(np.float32)

    steps = metric_steps(training)
    level = geometric_level(snapshots, facts[facts[:, 0] != facts[:, 1]])
    recalls = memory != "untrained" and memorized_at is not None
    done = np.repeat(steps[:, None] >= (memorized_at or 0) if recalls else steps[:, None] < 0, run_count, 1)
    starts = np.unique(examples.fact_examples, return_index=True)[1]
    highest = np.maximum.reduceat(examples.fact_weights, starts).sum()
    degree = examples.fact_count / examples.example_count
    tokens = graph.node_count if request.model.scores == "nodes" else examples.vocabulary_size
    metrics = {
        "loss": np.where(done, lowest_loss(request), np.log(tokens)),
        "associative_accuracy": np.where(done, 1.0, degree / tokens),
        "top1_accuracy": np.where(done, highest, 1 / tokens),
        "geometric_level": np.stack(
            [np.interp(steps, kept, np.asarray(level)[:, run]) for run in range(run_count)], axis=1
        ),
    }
    return FleetEvidence(
        request, steps, metrics, end, kept, snapshots, _drawn_weights(request, end, generator)
    )


def _final_embeddings(start: np.ndarray, request: FleetRequest, memory: Memory) -> np.ndarray:
    if memory in ("untrained", "associative"):
        return start
    if memory == "collapsed":
        return start[:, :1] + 0.01 * start
    # exp(-t L) smooths along edges: the Gram matrix of what it makes of noise is near exp(-2 t L). With the
    # other sign the fastest modes remain, and neighbours point in opposite directions.
    laplacian = laplacian_matrix(request.world, kind="normalized").toarray()
    values, modes = np.linalg.eigh(laplacian)
    heat = np.exp(-HEAT * (values - values[0] if memory == "geometric" else values[-1] - values))
    if memory == "geometric":
        heat[values < values[0] + 1e-9] = 0.0  # the constant mode tells no nodes apart
    kernel = (modes * heat) @ modes.T
    if request.model.width < request.world.node_count:
        return kernel @ start
    # Wide enough for the Gram matrix itself: orthogonal rows in place of noise.
    basis = np.linalg.qr(start.swapaxes(1, 2))[0].swapaxes(1, 2)
    return kernel @ basis


def _drawn_weights(
    request: FleetRequest, embeddings: np.ndarray, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    examples = edge_examples(request.world, request.task)
    described = describe_parameters(
        request.model,
        vocabulary_size=examples.vocabulary_size,
        context_length=examples.prefixes.shape[1],
        node_count=request.world.node_count,
    )
    run_count = len(request.seeds)
    weights = {
        name: generator.normal(size=(run_count, *parameter.shape)) for name, parameter in described.items()
    }
    weights["token_embedding"][:, : request.world.node_count] = embeddings
    return weights
