"""The curves of runs on disk: one long table of run, step, metric and value, checked when it is read."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from geomem.runs.directory import damaged, read_table

METRIC_SCHEMA = pl.Schema({"run": pl.Int32, "step": pl.Int64, "metric": pl.String, "value": pl.Float64})
METRIC_LIMIT = 1000
"""Different metrics that a reader takes in."""

Curves = dict[str, Float[np.ndarray, "row run"]]


def metrics_table(metrics: Mapping[str, np.ndarray], steps: Int[np.ndarray, " row"]) -> pl.DataFrame:
    """Curves [row, run] by name as one long table: run, step, metric, value.

    >>> metrics_table({"loss": np.array([[2.0, 3.0]])}, np.array([5])).rows()
    [(0, 5, 'loss', 2.0), (1, 5, 'loss', 3.0)]
    """
    parts = []
    for name, values in metrics.items():
        rows, runs = values.shape
        parts.append(
            pl.DataFrame(
                {
                    "run": np.repeat(np.arange(runs), rows),
                    "step": np.tile(steps, runs),
                    "metric": [name] * (rows * runs),
                    "value": np.asarray(values, dtype=np.float64).T.ravel(),
                },
                schema=METRIC_SCHEMA,
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame(schema=METRIC_SCHEMA)


def read_metrics(path: Path, run_count: int) -> tuple[Int[np.ndarray, " row"], Curves]:
    """The steps of the metrics and every metric by name, of all runs.

    Raises `InputError` unless every metric is there once for every run and step.
    """
    table = read_table(path, METRIC_SCHEMA)
    if not len(table) or any(table.null_count().row(0)):
        raise damaged(path, f"it is not a table of {', '.join(METRIC_SCHEMA.names())}")
    if table.select(pl.col("run").min().alias("low"), pl.col("run").max().alias("high")).row(0) != (
        0,
        run_count - 1,
    ):
        raise damaged(path, f"its runs are not 0 to {run_count - 1}")
    steps = table["step"].unique().sort().to_numpy()
    if steps[0] < 0 or table["metric"].n_unique() > METRIC_LIMIT:
        raise damaged(path, "its steps or metrics are not those of a training")
    curves = {}
    for (name,), part in table.group_by("metric", maintain_order=True):
        part = part.sort("step", "run")
        is_whole = len(part) == len(steps) * run_count
        is_whole = is_whole and (part["step"].to_numpy() == steps.repeat(run_count)).all()
        if not is_whole or not (part["run"].to_numpy() == np.tile(np.arange(run_count), len(steps))).all():
            raise damaged(path, f"{str(name)[:60]!r} is not there once for every run and step")
        curves[str(name)] = part["value"].to_numpy().reshape(len(steps), run_count)
    return steps, curves
