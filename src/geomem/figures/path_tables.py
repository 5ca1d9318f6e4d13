"""The numbers behind the pictures of path finding, one table per picture: what the CSV files hold.

Bands are from the lowest to the highest seed. Epochs are steps by batches; metrics are those of
`geomem.training.path_metrics`.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.geometry.projection import column_signs
from geomem.path_measure import PathDistances, path_chances, path_distances, steps_of_epoch
from geomem.store import StoredFleet, fleet_embeddings, fleet_metrics

COLOURED_PATHS = 8
"""Held-out paths coloured in a picture of the embedding."""

Projection = Literal["pca", "umap"]


def tabulate_paths(fleets: Mapping[str, StoredFleet]) -> pl.DataFrame:
    """Every metric of every setting over training: setting, metric, epoch, mean, low, high, runs, chance.

    Means are over the runs that have a number: the geometry of a run that diverged has none. `chance` is what
    guessing gives, null where there is nothing to guess. Raises `ValueError` for a fleet that finds no paths.
    """
    parts = []
    for setting, fleet in fleets.items():
        chances = path_chances(fleet)
        value = pl.col("value").fill_nan(None)
        table = (
            fleet_metrics(fleet)
            .group_by("metric", "step", maintain_order=True)
            .agg(value.mean().alias("mean"), value.min().alias("low"), value.max().alias("high"))
            .sort("metric", "step", maintain_order=True)
        )
        parts.append(
            table.select(
                pl.lit(setting).alias("setting"),
                "metric",
                (pl.col("step") / steps_of_epoch(fleet)).alias("epoch"),
                "mean",
                "low",
                "high",
                pl.lit(len(fleet.seeds)).alias("runs"),
                pl.col("metric")
                .replace_strict(chances, default=None, return_dtype=pl.Float64)
                .alias("chance"),
            )
        )
    return pl.concat(parts)


def last_rows(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of `tabulate_paths` after each setting's last epoch."""
    return table.filter(pl.col("epoch") == pl.col("epoch").max().over("setting"))


def tabulate_path_distances(fleet: StoredFleet, distances: PathDistances | None = None) -> pl.DataFrame:
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


def tabulate_path_places(fleet: StoredFleet, projection: Projection = "pca", *, run: int = 0) -> pl.DataFrame:
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
    embeddings, share = fleet_embeddings(fleet)[run], None
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
