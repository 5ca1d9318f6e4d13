"""Path finding as a job: a world or prompts, a model, a task and seeds become a trained fleet on disk.

Nothing is printed; whoever wants to know what happens gives `on_progress`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from geomem.models.architecture import Model
from geomem.runs.edges import Announcement, Hooks, available_memory, train_in_directory
from geomem.runs.path_plan import PathPlan, check_memory, estimate_seconds, plan_paths
from geomem.runs.store import FORMAT, StoredFleet, fleet_weights, is_finished, read_fleet, write_fleet
from geomem.training.configuration import PathTraining, RunSettings
from geomem.training.loop import Progress
from geomem.training.path_batches import path_examples
from geomem.training.paths import TrainedPaths, train_paths
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding


@dataclass(frozen=True, eq=False)
class PathAnnouncement(Announcement):
    """What is about to happen, said before the first step."""

    path_count: int
    """Paths trained in an epoch, or prompts."""
    seconds: float
    """Estimate for the steps that are left, if none of them is saved by stopping early."""


PathEvent = PathAnnouncement | Progress
"""What `on_progress` is called with: one announcement, then progress at every row of the metrics."""


def find_paths(
    world: Graph | InContextPathFinding | str | os.PathLike[str] | object,
    *,
    model: Model | str | None = None,
    task: PathFinding | None = None,
    training: PathTraining | None = None,
    seeds: int | Sequence[int] | None = None,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    start: StoredFleet | str | os.PathLike[str] | None = None,
    on_progress: Callable[[PathEvent], None] | None = None,
) -> StoredFleet:
    """Train one run per seed to name the path to a leaf, and keep everything in a run directory.

    `world` is a path-star or tree-star as `memorize` takes worlds, or an `InContextPathFinding`, which shows
    a fresh small path-star in every prompt; `start` a finished fleet on the same world whose weights the runs
    begin with, seed by seed (staged training). Weights of the task at 0 leave out edges or paths. Metrics are
    those of `geomem.training.path_metrics`; the world stored for prompts is that of the first one tested.
    The same configuration again trains nothing; an interrupted one goes on where its last checkpoint left it
    and ends in the same bits (same machine, same versions).

    Raises `InputError` if anything cannot be read or meant, if path finding is ill-posed on the world, if
    the fleet to start from does not fit, if memory or disk will not do, or if another process is training
    the same configuration.

    >>> import tempfile
    >>> from geomem.models.configuration import Transformer
    >>> from geomem.worlds.graphs.families import path_star
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     short = PathTraining(epochs=4, warmup_steps=2)
    ...     star = path_star(arms=20, length=3)
    ...     fleet = find_paths(star, model=Transformer(width=8), training=short, directory=directory)
    ...     fleet.seeds, fleet.manifest["configuration"]["task"]["kind"]
    ((0, 1, 2), 'path-finding')
    """
    plan = plan_paths(
        world,
        model=model,
        task=task,
        training=training,
        seeds=seeds,
        directory=directory,
        device=device,
        start=start,
    )
    if not is_finished(plan.path):
        check_memory(plan, available_memory(device))

    def announce(first_step: int) -> None:
        if on_progress:
            left = 1 - first_step / plan.steps
            on_progress(
                PathAnnouncement(
                    path=plan.path,
                    graph=plan.graph,
                    model=plan.kind,
                    run_count=len(plan.seeds),
                    fact_count=_count_facts(plan),
                    steps=plan.steps,
                    first_step=first_step,
                    memory_bytes=plan.cost.memory_bytes,
                    disk_bytes=plan.disk_bytes,
                    path_count=plan.sizes.train_rows,
                    seconds=left * estimate_seconds(plan) if left else 0.0,
                )
            )

    def train(hooks: Hooks) -> TrainedPaths:
        asked = plan.task
        return train_paths(
            plan.model,
            asked if isinstance(asked, InContextPathFinding) else path_examples(plan.graph, asked),
            [
                RunSettings(seed, plan.training.learning_rate, plan.training.weight_decay)
                for seed in plan.seeds
            ],
            plan.training,
            start=fleet_weights(plan.start) if plan.start else None,
            state=hooks.state,
            on_progress=on_progress,
            on_checkpoint=hooks.on_checkpoint,
            should_stop=hooks.should_stop,
            device=device,
        )

    def write(trained: TrainedPaths, manifest: dict[str, Any]) -> StoredFleet:
        return write_fleet(
            plan.path,
            manifest=manifest,
            graph=plan.graph,
            metrics=trained.metrics,
            metric_steps=trained.metric_steps,
            weights={name: tensor.numpy() for name, tensor in trained.parameters.items()},
            snapshots=trained.snapshots,
            snapshot_steps=trained.snapshot_steps,
        )

    return train_in_directory(
        plan.path,
        manifest={"format": FORMAT, "name": plan.name, "configuration": plan.configuration},
        steps=plan.steps,
        memory_bytes=plan.cost.memory_bytes,
        disk_bytes=plan.disk_bytes,
        threads=plan.threads,
        device=device,
        announce=announce,
        train=train,
        write=write,
        read=read_fleet,
    )


def _count_facts(plan: PathPlan) -> int:
    """Directed edges that are trained; none in context, where each prompt has its own."""
    if isinstance(plan.task, InContextPathFinding) or not plan.task.edge_weight:
        return 0
    both = 2 if plan.task.directions == "both" else 1
    return both * plan.graph.edge_count + plan.task.self_edges * plan.graph.node_count
