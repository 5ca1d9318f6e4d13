"""The numbers behind every picture of a fleet, one table per picture: what the CSV files hold.

Bands are from the lowest to the highest seed: with a handful of seeds that hides nothing.
"""

import numpy as np
import polars as pl

from geomem.figures.views import FleetView
from geomem.geometry.portrait import Portrait


def tabulate_embedding(view: FleetView) -> pl.DataFrame:
    """Places in three dimensions: seed, step, node, label, principal components, Laplacian coordinates."""
    runs, snapshots, nodes, _ = view.places.shape
    run, snapshot, node = (axis.ravel() for axis in np.indices((runs, snapshots, nodes)))
    columns = {
        "seed": np.array(view.fleet.seeds)[run],
        "step": view.steps[snapshot],
        "node": view.nodes[node],
        "label": np.array(view.labels, dtype=object)[node].tolist(),
    }
    columns |= {f"component_{axis + 1}": view.places[..., axis].ravel() for axis in range(3)}
    if view.modes is not None:
        columns |= {f"laplacian_{axis + 1}": view.modes[..., axis].ravel() for axis in range(3)}
    return pl.DataFrame(columns)


def tabulate_edges(view: FleetView) -> pl.DataFrame:
    """The drawn edges by label: tail, head."""
    labels = view.labels
    pairs = [(labels[tail], labels[head]) for tail, head in view.edges.tolist()]
    return pl.DataFrame(pairs, schema={"tail": pl.String, "head": pl.String}, orient="row")


def tabulate_heatmap(view: FleetView) -> pl.DataFrame:
    """Cosine after the last step, mean over seeds, beside the distance: row, column, cosine, distance."""
    labels = [view.labels[place] for place in view.heatmap_nodes]
    rows, columns = (axis.ravel() for axis in np.indices(view.distances.shape))
    return pl.DataFrame(
        {
            "row": [labels[i] for i in rows],
            "column": [labels[i] for i in columns],
            "cosine": view.cosines[:, -1].mean(axis=0).ravel(),
            "distance": view.distances.ravel(),
        }
    )


def tabulate_curves(view: FleetView) -> pl.DataFrame:
    """Every metric over training: metric, step, mean over seeds, low and high."""
    parts = [
        pl.DataFrame(
            {"step": view.curve_steps, "mean": v.mean(axis=1), "low": v.min(axis=1), "high": v.max(axis=1)}
        ).insert_column(0, pl.lit(name).alias("metric"))
        for name, v in view.curves.items()
    ]
    return pl.concat(parts)


def tabulate_spectrum(view: FleetView) -> pl.DataFrame:
    """Share of ‖V‖² per distinct Laplacian eigenvalue: eigenvalue, multiplicity, mean, low, high, expected.

    `expected` is the share of an embedding that prefers no direction: multiplicity over number of nodes.
    """
    portrait = view.portrait
    return pl.DataFrame(
        {
            "eigenvalue": portrait.eigenvalues,
            "multiplicity": portrait.multiplicities,
            "mean": portrait.energies.mean(axis=0),
            "low": portrait.energies.min(axis=0),
            "high": portrait.energies.max(axis=0),
            "expected": np.asarray(portrait.multiplicities) / np.sum(portrait.multiplicities),
        }
    )


def tabulate_shells(view: FleetView | Portrait) -> pl.DataFrame:
    """Mean cosine by graph distance: distance, mean, low, high, and the central 95 % with permuted nodes."""
    portrait = view if isinstance(view, Portrait) else view.portrait
    return pl.DataFrame(
        {
            "distance": portrait.shell_distances,
            "mean": portrait.shells.mean(axis=0),
            "low": portrait.shells.min(axis=0),
            "high": portrait.shells.max(axis=0),
            "null_low": portrait.shell_null_low,
            "null_high": portrait.shell_null_high,
        }
    )


def tabulate_dynamics(view: FleetView) -> pl.DataFrame:
    """Node2Vec on each eigenspace: step, eigenvalue, multiplicity, projection, gradient; means over seeds.

    Raises `ValueError` if the fleet has no dynamics.
    """
    if view.dynamics is None:
        raise ValueError(f"{view.title} has no Node2Vec dynamics")
    dynamics = view.dynamics
    snapshot, group = (axis.ravel() for axis in np.indices((len(view.steps), len(dynamics.eigenvalues))))
    columns = {
        "step": view.steps[snapshot],
        "eigenvalue": dynamics.eigenvalues[group],
        "multiplicity": dynamics.multiplicities[group],
        "projection": dynamics.projections.mean(axis=0).ravel(),
    }
    if dynamics.gradients is not None:
        columns["gradient"] = dynamics.gradients.mean(axis=0).ravel()
    return pl.DataFrame(columns)


def tabulate_map(view: FleetView) -> pl.DataFrame:
    """True and learned places: seed, label, true_x, true_y, learned_x, learned_y, in the map's unit.

    Raises `ValueError` if the world has no coordinates.
    """
    if view.learned_maps is None or view.graph.coordinates is None:
        raise ValueError(f"{view.graph.name} has no coordinates")
    true = view.graph.coordinates[view.nodes]
    return pl.concat(
        pl.DataFrame(
            {
                "label": view.labels,
                "true_x": true[:, 0],
                "true_y": true[:, 1],
                "learned_x": learned[:, 0],
                "learned_y": learned[:, 1],
            }
        ).insert_column(0, pl.lit(seed).alias("seed"))
        for seed, learned in zip(view.fleet.seeds, view.learned_maps, strict=True)
    )
