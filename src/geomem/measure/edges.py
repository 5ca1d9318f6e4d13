"""Measurements of finished fleets: their portrait, their curves over training, and tables of both.

The measurements of embeddings alone are in `geomem.geometry.portrait` and named here again.
Axis names: `run`, `node`, `width`, `snapshot`.
"""

from dataclasses import fields, replace

import numpy as np
import polars as pl
import polars.selectors as cs
from jaxtyping import Float

from geomem.geometry.margins import bilinear_logits, measure_margins, skewed_weight
from geomem.geometry.measurement import Definition, make_measurement
from geomem.geometry.measurement import Measurement as Measurement
from geomem.geometry.nulls import PERMUTATIONS
from geomem.geometry.portrait import Portrait as Portrait
from geomem.geometry.portrait import measure_embeddings as measure_embeddings
from geomem.geometry.portrait import measure_snapshots as measure_snapshots
from geomem.geometry.portrait import measure_vectors as measure_vectors
from geomem.geometry.reading import READINGS as READINGS
from geomem.geometry.signatures import (
    Signature,
    find_divergence,
    find_in_embeddings,
    find_unfinished_memorization,
    spread_over_runs,
)
from geomem.geometry.spectrum import DENSE_NODE_LIMIT
from geomem.measure.paths import find_first_token_guessed, measure_answers, measure_metrics, stored_path_task
from geomem.runs.directory import damaged
from geomem.runs.metrics import metrics_table
from geomem.runs.run import SNAPSHOTS, Run, select_runs
from geomem.training.floor import lowest_loss
from geomem.worlds.graphs.graph import Graph, induced_subgraph, node_degrees
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.language.telling import Telling
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples, told_facts

MARGINS = (
    Definition(
        "margin",
        "Margin",
        "Mean lead of the best true neighbour's logit over any other node's: positive if recalled.",
    ),
    Definition(
        "skewed_margin",
        "Skewed margin",
        "The same if W may only stretch the embedding's own directions: positive in a geometry, near or "
        "below 0 in a lookup table.",
    ),
    Definition(
        "skewed_accuracy",
        "Skewed accuracy",
        "Share of nodes whose best other node is a true neighbour when W may only stretch.",
    ),
)
"""Of bilinear models."""

NO_EMBEDDING = (
    "The embedding of the module is not known, so its geometry is not measured; train it with its embedding "
    "named (--embedding NAME)."
)


def measure_fleet(fleet: Run, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Portrait:
    """Measure a finished fleet: its final embeddings, and what it recalls of its facts.

    Adds to `measure_embeddings` the final associative accuracy, top-1 accuracy, loss and its distance to the
    lowest possible loss; for a fleet that finds paths what `geomem.measure.paths` has of its answers;
    and, for bilinear and associative models of up to `DENSE_NODE_LIMIT` nodes, the
    margins with W as it is and with W skewed. Runs whose loss or embeddings hold NaN or infinity are left out
    of everything but the signatures, unless no run is sound; then it raises `InputError`. Of a module whose
    embedding is not known only what it recalls is measured, and the reading is an empty word.
    """
    task = stored_task(fleet)
    everything, fleet = fleet, sound_runs(fleet)
    # First of all, because it refuses what holds no numbers.
    portrait = (
        measure_embeddings(*_measured_part(fleet), permutations=permutations, seed=seed)
        if fleet.model.width
        else _without_geometry(len(fleet.seeds))
    )
    finds_paths = stored_path_task(fleet) is not None
    recall = measure_answers(fleet, seed=seed) if finds_paths else _recall_measurements(fleet, task, seed)
    is_bilinear = fleet.manifest["configuration"]["model"]["kind"] in ("bilinear", "associative")
    # Where every node is every other's neighbour there is nothing to lead over; the logits of every node for
    # every other are one matrix.
    is_small = fleet.graph.node_count <= DENSE_NODE_LIMIT
    if is_bilinear and is_small and node_degrees(fleet.graph).min() < fleet.graph.node_count - 1:
        recall += _margin_measurements(fleet, task, seed)
    portrait = replace(portrait, measurements=(*recall, *portrait.measurements))
    return replace(portrait, signatures=_fleet_signatures(everything, fleet, portrait, task))


def _without_geometry(run_count: int) -> Portrait:
    """The portrait of runs whose embedding is not known: nothing, and no word for it."""
    nothing, of_runs = np.zeros(0), np.zeros((run_count, 0))
    return Portrait(
        measurements=(),
        shell_distances=nothing,
        shells=of_runs,
        centred_shells=of_runs,
        shell_null_low=nothing,
        shell_null_high=nothing,
        eigenvalues=nothing,
        multiplicities=np.zeros(0, dtype=np.int64),
        energies=of_runs,
        readings=("",) * run_count,
        reasons=("",) * run_count,
        reading="",
        signatures=(),
        notes=(NO_EMBEDDING,),
    )


def _measured_part(fleet: Run) -> tuple[Float[np.ndarray, "run node width"], Graph]:
    """Embeddings and graph; where every prompt has its own star, those of the first test prompt's."""
    embeddings, graph = fleet.embeddings(), fleet.graph
    if not isinstance(stored_path_task(fleet), InContextPathFinding):
        return embeddings, graph
    nodes = np.unique(graph.edges)
    return embeddings[:, nodes], induced_subgraph(graph, nodes)


def sound_runs(fleet: Run) -> Run:
    """The runs whose last loss and embeddings are finite numbers; all runs if there is none."""
    sound = np.isfinite(fleet.embeddings()).all(axis=(1, 2)) & np.isfinite(fleet.final()["loss"])
    return fleet if sound.all() or not sound.any() else select_runs(fleet, np.flatnonzero(sound).tolist())


def _fleet_signatures(
    everything: Run, sound: Run, portrait: Portrait, task: EdgeMemorization
) -> tuple[Signature, ...]:
    """What is found in the curves of all runs, then what is found in the embeddings of the sound ones."""
    measured = np.isin(everything.seeds, sound.seeds)
    facts = told_facts(everything.graph, task)
    # The same number; of paths and sentences that of a sample if there are many, and none in context.
    name = "associative_accuracy" if stored_path_task(everything) is None else "edge_recall"
    name = "train.names_recalled" if isinstance(everything.task, Telling) else name
    accuracies = everything.final().get(name, np.full(len(everything.seeds), np.nan))
    recalled = everything.recalled()
    if recalled is not None and recalled.shape[1] != len(facts):
        raise damaged(
            everything.place / SNAPSHOTS, f"recalled has {recalled.shape[1]} facts, not {len(facts)}"
        )
    in_embeddings = (
        find_in_embeddings(
            *_measured_part(sound), portrait.readings, portrait.centred_shells, accuracies[measured]
        )
        if sound.model.width
        else ()
    )
    return (
        find_divergence(everything.curves()["loss"], everything.embeddings()),
        find_unfinished_memorization(
            np.where(measured, accuracies, np.nan), recalled, facts, everything.graph.labels
        ),
        *(spread_over_runs(signature, measured) for signature in in_embeddings),
        *find_first_token_guessed(everything),
    )


def stored_task(fleet: Run) -> EdgeMemorization:
    """The task a fleet was trained on, as its manifest says."""
    shared = {field.name for field in fields(EdgeMemorization)} & {field.name for field in fields(fleet.task)}
    return EdgeMemorization(**{name: getattr(fleet.task, name) for name in shared})


def _recall_measurements(fleet: Run, task: EdgeMemorization, seed: int) -> list[Measurement]:
    values = fleet.final()
    if isinstance(fleet.task, Telling):
        loss = Definition("loss", "Loss", "Cross-entropy in nats of a token of the texts.")
        return [make_measurement(loss, values["loss"], seed=seed), *measure_metrics(fleet, seed=seed)]
    examples = edge_examples(fleet.graph, task)
    floor = lowest_loss(fleet.model, examples)
    # One fact of each example can be the single best answer; facts are sorted by example.
    starts = np.unique(examples.fact_examples, return_index=True)[1]
    highest = np.maximum.reduceat(examples.fact_weights, starts).sum()

    definitions = (
        Definition(
            "associative_accuracy",
            "Associative accuracy",
            "Share of each node's d neighbours among its d best answers: 1 every fact is memorised.",
            compared=True,
        ),
        Definition(
            "top1_accuracy",
            "Top-1 accuracy",
            f"Share of facts that are the single best answer; no model of these facts exceeds {highest:.4f}.",
        ),
        Definition("loss", "Loss", "Cross-entropy of the facts in nats."),
        Definition(
            "excess_loss",
            "Loss above its floor",
            f"Loss minus the entropy of the targets, {floor:.4f} nats, which no model can beat.",
        ),
    )
    values["excess_loss"] = values["loss"] - floor
    made = [
        make_measurement(definition, values[definition.name], seed=seed)
        for definition in definitions
        if definition.name in values
    ]
    return made + measure_metrics(fleet, seed=seed)


def _margin_measurements(fleet: Run, task: EdgeMemorization, seed: int) -> list[Measurement]:
    parameters = fleet.weights()
    facts = directed_facts(fleet.graph, task)
    E = fleet.embeddings()
    W, b = parameters["weight"].astype(np.float64), parameters["bias"].astype(np.float64)
    whole = measure_margins(bilinear_logits(E, W, b), facts)
    skewed = measure_margins(bilinear_logits(E, skewed_weight(E, W), b), facts)
    values = {"margin": whole.margin, "skewed_margin": skewed.margin, "skewed_accuracy": skewed.accuracy}
    return [
        make_measurement(definition, np.asarray(values[definition.name]), seed=seed) for definition in MARGINS
    ]


def measure_curves(fleet: Run) -> pl.DataFrame:
    """`measure_snapshots` of finished runs as a long table: run, step, metric, value."""
    steps, snapshots = fleet.snapshots()
    return metrics_table(measure_snapshots(snapshots, fleet.graph), steps)


def portrait_table(portrait: Portrait) -> pl.DataFrame:
    """One row per measurement: name, title, mean, interval, null, p-value, values per run, how to read it.

    Numbers that do not exist (an interval of one run, a p-value without a null model) are null.

    >>> from geomem.worlds.graphs.families import cycle
    >>> portrait = measure_embeddings(np.eye(6), cycle(6))
    >>> portrait_table(portrait).columns[:6]
    ['name', 'title', 'mean', 'low', 'high', 'null']
    """
    numbers = ("mean", "low", "high", "null", "null_mean", "null_low", "null_high", "p_value")
    columns = ("name", "title", *numbers)
    table = pl.DataFrame(
        {column: [getattr(measured, column) for measured in portrait.measurements] for column in columns}
    )
    return table.with_columns(
        pl.Series("values", [measurement.values.tolist() for measurement in portrait.measurements]),
        pl.Series("explanation", [measurement.explanation for measurement in portrait.measurements]),
    ).with_columns(cs.float().fill_nan(None))
