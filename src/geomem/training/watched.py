"""Training on examples from given weights, with every step shown to a function: what goes where, and why."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from geomem.models.architecture import Model
from geomem.models.model import trainable_names
from geomem.models.objective import make_objective
from geomem.training.configuration import Training, run_settings
from geomem.training.loop import Problem, join_parameters, train_problem
from geomem.worlds.tasks import Examples

Watch = Callable[[int, np.ndarray, np.ndarray, np.ndarray], None]
"""Told before every update and after the last: the step, losses [run], numbers and gradient of all runs
[run, parameter], which change in place; after the last update the gradient is still that before it."""


def train_watched(
    model: Model,
    examples: Examples,
    weights: Mapping[str, np.ndarray],
    training: Training,
    watch: Watch,
    *,
    stop_below: float = -np.inf,
) -> None:
    """Train from weights [run, ...] by name until every run's loss was below a bound, or all steps are done.

    Numbers are the trained tensors, flattened in the order of `trainable_names`. What comes out is what
    `watch` keeps.

    >>> from geomem.models.configuration import Bilinear
    >>> from geomem.worlds.graphs.families import path
    >>> from geomem.worlds.tasks import EdgeMemorization, edge_examples
    >>> zeros = {"token_embedding": np.zeros((1, 12, 2)), "weight": np.eye(2)[None], "bias": np.zeros((1, 2))}
    >>> model, examples, steps = Bilinear(width=2), edge_examples(path(3), EdgeMemorization()), []
    >>> train_watched(model, examples, zeros, Training(steps=2), lambda step, *_: steps.append(step))
    >>> steps
    [0, 1, 2]
    """
    names = trainable_names(model)
    runs = run_settings(training, tuple(range(len(weights[names[0]]))))
    tensors = {key: torch.tensor(array, dtype=torch.float32) for key, array in weights.items()}
    flat, live = join_parameters(tensors, names)
    gradient = torch.zeros_like(flat)
    objective = make_objective(model, live, gradient, examples, seeds=[run.seed for run in runs])
    lowest = np.full(len(runs), np.inf)

    def measure(step: int, found: Any) -> dict[str, np.ndarray]:
        losses = (found or objective.evaluate()).losses.numpy()
        watch(step, losses, flat.numpy(), gradient.numpy())
        np.minimum(lowest, losses, out=lowest)
        return {"lowest": lowest}

    problem = Problem(flat, gradient, objective.differentiate, measure, lambda: live["token_embedding"])
    training = replace(training, metric_every=1, snapshots=2)
    train_problem(problem, runs, training, enough=lambda row: bool((row["lowest"] <= stop_below).all()))
