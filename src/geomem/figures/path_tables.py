"""The numbers behind the pictures of path finding, one table per picture: what the CSV files hold.

Bands are from the lowest to the highest seed. Epochs are steps by batches; metrics are those of
`geomem.training.path_metrics`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.geometry.projection import column_signs
from geomem.measure.paths import PathDistances, path_chances, path_distances, steps_of_epoch, unasked_metrics
from geomem.runs.metrics import metrics_table
from geomem.runs.run import Run

COLOURED_PATHS = 8
"""Held-out paths coloured in a picture of the embedding."""

Projection = Literal["pca", "umap"]


def tabulate_paths(fleets: Mapping[str, Run | Sequence[Run]]) -> pl.DataFrame:
    """Every metric of every setting over training.

    The columns are setting, stage, metric, epoch, mean, low, high, runs and chance. A sequence of fleets is
    a staged training, whose epochs go on from one stage to the next. Means are over the runs that have a
    number: the geometry of a run that diverged has none. `chance` is what guessing gives, null where there is
    nothing to guess. Whole paths are left out where the first hop alone is asked.

    Raises `ValueError` for a fleet that finds no paths.
    """
    parts = []
    for setting, given in fleets.items():
        before = 0.0
        for stage, fleet in enumerate([given] if isinstance(given, Run) else given, start=1):
            part = _tabulate_stage(fleet).with_columns(
                pl.lit(setting).alias("setting"), pl.lit(stage).alias("stage"), pl.col("epoch") + before
            )
            parts.append(part.select("setting", "stage", pl.exclude("setting", "stage")))
            before = float(np.max(part["epoch"].to_numpy()))
    return pl.concat(parts)


def _tabulate_stage(fleet: Run) -> pl.DataFrame:
    """The rows of one fleet, its epochs counted from its own start."""
    value = pl.col("value").fill_nan(None)
    table = (
        metrics_table(fleet.curves(), fleet.steps)
        .filter(~pl.col("metric").is_in(list(unasked_metrics(fleet))))
        .group_by("metric", "step", maintain_order=True)
        .agg(value.mean().alias("mean"), value.min().alias("low"), value.max().alias("high"))
        .sort("metric", "step", maintain_order=True)
    )
    chance = pl.col("metric").replace_strict(path_chances(fleet), default=None, return_dtype=pl.Float64)
    return table.select(
        "metric",
        (pl.col("step") / steps_of_epoch(fleet)).alias("epoch"),
        "mean",
        "low",
        "high",
        pl.lit(len(fleet.seeds)).alias("runs"),
        chance.alias("chance"),
    )


def last_rows(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of `tabulate_paths` after each setting's last epoch."""
    # A stage may stop before its first step: then the one before ended at the same epoch.
    last = (pl.col(name) == pl.col(name).max().over("setting") for name in ("epoch", "stage"))
    return table.filter(*last)


def tabulate_path_distances(fleet: Run, distances: PathDistances | None = None) -> pl.DataFrame:
    """Both heatmaps, means over seeds: row and column (leaves), first_hop (the column's), distances.

    `leaf_first` is from the row's leaf to the column's first hop, `path_path` between the two paths; null
    where paths have one node besides the root. Raises `ValueError` for a fleet without held-out paths.
    """
    distances = path_distances(fleet) if distances is None else distances
    if distances is None:
        raise ValueError(f"{fleet.path} has no held-out paths")
    leaves = [fleet.graph.labels[path[-1]] for path in distances.paths]
    hops = [fleet.graph.labels[path[1]] for path in distances.paths]
    rows, columns = (axis.ravel() for axis in np.indices((len(leaves), len(leaves))))
    between = distances.path_path
    return pl.DataFrame(
        {
            "row": [leaves[row] for row in rows],
            "column": [leaves[column] for column in columns],
            "first_hop": [hops[column] for column in columns],
            "leaf_first": np.nanmean(distances.leaf_first, axis=0).ravel(),
            "path_path": None if between is None else np.nanmean(between, axis=0).ravel(),
        },
        schema_overrides={"path_path": pl.Float64},
    )


def tabulate_path_places(fleet: Run, projection: Projection = "pca", *, run: int = 0) -> pl.DataFrame:
    """Nodes in two dimensions: path, place in it, node, label, x, y, share; all nodes, then coloured paths.

    The rows of all nodes but the root have no path; the coloured paths are held out and drawn by seed 0. The
    axes of "pca" are the first two principal components of the coloured paths' nodes, `share` that of these
    nodes' variance; it is null for UMAP, from which no number is ever computed.

    Raises `InputError` if UMAP is not installed, `ValueError` for a fleet without held-out paths.
    """
    distances = path_distances(fleet, count=COLOURED_PATHS)
    if distances is None:
        raise ValueError(f"{fleet.path} has no held-out paths")
    coloured = distances.paths[:, 1:]
    embeddings, share = fleet.embeddings()[run], None
    others = np.flatnonzero(np.arange(len(embeddings)) != fleet.graph.root)
    if projection == "pca":
        points, share = place_by_pca(embeddings, np.unique(coloured))
    else:
        points = np.zeros((len(embeddings), 2))
        points[others] = place_by_umap(embeddings[others])
    paths, places = (axis.ravel() for axis in np.indices(coloured.shape))
    nodes = np.concatenate([others, coloured.ravel()])
    absent = [None] * len(others)
    return pl.DataFrame(
        {
            "path": [*absent, *paths.tolist()],
            "place": [*absent, *(places + 1).tolist()],
            "node": nodes,
            "label": [fleet.graph.labels[node] for node in nodes],
            "x": points[nodes, 0],
            "y": points[nodes, 1],
            "share": [share] * len(nodes),
        },
        schema_overrides={"path": pl.Int64, "place": pl.Int64, "share": pl.Float64},
    )


def place_by_pca(
    embeddings: Float[np.ndarray, "node width"], chosen: Int[np.ndarray, " chosen"]
) -> tuple[Float[np.ndarray, "node 2"], float]:
    """All rows on the first two principal components of some of them, and the share of these ones' variance.

    >>> points, share = place_by_pca(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 5.0]]), np.array([0, 1]))
    >>> np.abs(points).tolist(), share
    ([[1.0, 0.0], [1.0, 0.0], [0.0, 5.0]], 1.0)
    """
    centre = embeddings[chosen].mean(axis=0)
    _, sizes, directions = np.linalg.svd(embeddings[chosen] - centre, full_matrices=False)
    points = (embeddings - centre) @ directions[:2].T
    total = float((sizes**2).sum())
    return points * column_signs(points[chosen]), float((sizes[:2] ** 2).sum()) / total if total else 0.0


def place_by_umap(embeddings: Float[np.ndarray, "node width"]) -> Float[np.ndarray, "node 2"]:
    """UMAP with the paper's 15 neighbours and distance .1, seeded: an illustration, nothing to measure.

    Raises `InputError` if umap-learn is not installed.
    """
    try:
        from umap import UMAP  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            "UMAP is not installed; install geomem with its extra, as in `pip install geomem[umap]`."
        ) from error
    neighbours = min(15, len(embeddings) - 1)
    reducer: Any = UMAP(n_neighbors=neighbours, min_dist=0.1, random_state=0, n_jobs=1)
    return np.asarray(reducer.fit_transform(embeddings), dtype=np.float64)
