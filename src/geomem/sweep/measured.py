"""What a sweep keeps of a fleet: one row of measurements per run."""

from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.geometry.reading import read_embeddings
from geomem.measure.edges import measure_snapshots
from geomem.runs.edges import directed_pairs
from geomem.runs.environment import limit_threads
from geomem.sweep.grid import Fleet
from geomem.training.edges import train_fleet
from geomem.training.floor import lowest_loss
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import edge_examples

MEASUREMENTS = {
    "loss": pl.Float64,
    "excess_loss": pl.Float64,
    "associative_accuracy": pl.Float64,
    "geometric_level": pl.Float64,
    "geometric_level_peak": pl.Float64,
    "fiedler_alignment": pl.Float64,
    "neighbour_cosine": pl.Float64,
    "second_neighbour_cosine": pl.Float64,
    "reading": pl.String,
}
"""What is measured of every run after its last step; the peak is over all rows of the metrics."""


def train_and_measure(fleet: Fleet, **hooks: Any) -> pl.DataFrame:
    """Train a fleet on one thread and measure every run: the axes' values, the seed, the `MEASUREMENTS`.

    `hooks` are arguments of `train_fleet`.
    """
    examples = edge_examples(fleet.graph, fleet.task)
    with limit_threads(1):
        trained = train_fleet(
            fleet.model,
            examples,
            directed_pairs(fleet.graph, fleet.task),
            fleet.graph.node_count,
            fleet.runs,
            fleet.training,
            **hooks,
        )
    embeddings = trained.snapshots[-1]
    curves = measure_snapshots(embeddings[None], fleet.graph)
    nothing = np.full(len(fleet.runs), np.nan)
    loss, level = trained.metrics["loss"][-1], trained.metrics["geometric_level"]
    measured = {
        "loss": loss,
        "excess_loss": loss - lowest_loss(fleet.model, examples),
        "associative_accuracy": trained.metrics["associative_accuracy"][-1],
        "geometric_level": level[-1],
        "geometric_level_peak": np.fmax.reduce(level, axis=0),
        "fiedler_alignment": curves.get("fiedler_alignment", nothing[None])[0],
        "neighbour_cosine": curves["geometric_level"][0],
        "second_neighbour_cosine": curves.get("second_neighbour_cosine", nothing[None])[0],
        "reading": read_runs(embeddings.astype(np.float64), fleet.graph),
    }
    columns = {name: [cell[name] for cell in fleet.cells] for name in fleet.cells[0]}
    return pl.DataFrame(columns | {"seed": [run.seed for run in fleet.runs]} | measured)


def read_runs(embeddings: Float[np.ndarray, "run node width"], graph: Graph) -> list[str | None]:
    """The word of `READINGS` for every run's embedding; None where a number is NaN or infinite.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(15) / 15
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> read_runs(np.stack([circle, circle * np.nan]), cycle(15))
    ['geometric', None]
    """
    sound = np.array([np.isfinite(run).all() for run in embeddings])
    words = iter(reading.word for reading in read_embeddings(embeddings[sound], graph))
    return [next(words) if finite else None for finite in sound]


def is_memorized(table: pl.DataFrame) -> pl.Series:
    """Whether each run recalls every fact: its associative accuracy is 1.

    >>> is_memorized(pl.DataFrame({"associative_accuracy": [1.0, 0.97]})).to_list()
    [True, False]
    """
    return table["associative_accuracy"] == 1.0
