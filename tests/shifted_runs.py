"""Runs made on the spot, with weights pushed away from their start, so that no bias is 0 and no gain 1."""

from pathlib import Path

import numpy as np

from geomem.checkpoints.import_ import STILL, STILL_PATHS
from geomem.models.architecture import Model
from geomem.runs.edges import edge_job
from geomem.runs.paths import path_job
from geomem.runs.run import Run
from geomem.runs.start import Start
from geomem.runs.train import train
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.tasks import EdgeMemorization


def shifted_run(
    model: Model,
    graph: Graph,
    directory: Path,
    *,
    seeds: int = 1,
    task: EdgeMemorization | PathFinding | None = None,
) -> Run:
    """Runs of the weights that the model draws, plus N(0, 0.2²); sinusoids stay."""
    plan, still = (path_job, STILL_PATHS) if isinstance(task, PathFinding) else (edge_job, STILL)
    drawn = train(plan(graph, model=model, task=task, training=still, seeds=seeds), directory).weights()
    random = np.random.default_rng(7)
    for name, array in drawn.items():
        if name != "position_embedding" or getattr(model, "positions", "") != "sinusoidal":
            array += random.normal(0, 0.2, array.shape).astype(np.float32)
    start = Start("shifted", lambda: drawn)
    return train(plan(graph, model=model, task=task, training=still, seeds=seeds, start=start), directory)
