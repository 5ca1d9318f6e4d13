"""Counterexamples: what a model of which a statement is false would show, made up and not trained.

Axis names: `run`, `node`, `width`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from geomem.claims.evidence import Evidence, FleetEvidence, lowest_loss, name_arrays
from geomem.claims.need import FleetRequest, Scale, collect_arrays
from geomem.geometry.similarity import geometric_level
from geomem.geometry.spectrum import laplacian_matrix
from geomem.models.parameters import describe_parameters
from geomem.training.schedule import metric_steps, snapshot_steps
from geomem.worlds.tasks import directed_facts, edge_examples

Memory = Literal["untrained", "associative", "geometric", "zig-zag", "collapsed"]
"""What `imagine_fleet` can make up: embeddings as drawn and nothing recalled; as drawn and all recalled;
near where the graph is near; neighbours opposite and second neighbours alike; all nodes in one place."""

HEAT = 4.0
"""How long heat spreads along the edges to make an imagined geometry: the mean cosine of neighbours is then
.5 to .9 on the tiny graphs."""

Counterexample = Callable[[Iterable[FleetRequest]], Evidence]


def imagined(
    memory: Memory, others: Mapping[str, Memory] | None = None, *, memorized_at: int | None = 0
) -> Counterexample:
    """Models with one memory; with another where the key contains a text.

    `imagined("geometric", {"-self": "associative"})` is a geometry that self-edges destroy.
    """

    def imagine(requests: Iterable[FleetRequest]) -> Evidence:
        fleets = {}
        for request in requests:
            special: list[Memory] = [other for text, other in (others or {}).items() if text in request.key]
            own = (*special, memory)[0]
            fleets[request.key] = imagine_fleet(request, own, memorized_at=memorized_at)
        return Evidence(fleets)

    return imagine


associative, geometric = imagined("associative"), imagined("geometric")


def altered(function: Callable[..., Any], **options: Any) -> Counterexample:
    """What a function that is `computed` gives with other options than the claim's."""
    return lambda requests: Evidence(arrays=collect_arrays(function(Scale("quick", (0, 1, 2)), **options)))


def imagine_numbers(arrays: Mapping[str, Any]) -> Evidence:
    """Computed arrays of a false statement."""
    return Evidence(arrays={name: np.atleast_1d(np.asarray(values)) for name, values in arrays.items()})


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
