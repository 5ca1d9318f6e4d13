"""When what happens: learning rates, metric rows and snapshots over the steps of a training."""

import math

import numpy as np
from jaxtyping import Int

from geomem.training.configuration import Training


def learning_rate_factor(training: Training, step: int) -> float:
    """Share of the peak learning rate at a step, counted from 0.

    Warm-up: (step + 1) / warmup_steps. Then constant, or with x running from 0 to 1 at the last step
    final + (1 - final) (1 + cos π x) / 2.

    >>> training = Training(steps=101, schedule="cosine", final_learning_rate=0.1)
    >>> [round(learning_rate_factor(training, step), 3) for step in (0, 50, 100)]
    [1.0, 0.55, 0.1]
    """
    if step < training.warmup_steps:
        return (step + 1) / training.warmup_steps
    if training.schedule == "constant":
        return 1.0
    share = (step - training.warmup_steps) / max(1, training.steps - 1 - training.warmup_steps)
    final = training.final_learning_rate
    return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2


def metric_steps(training: Training) -> Int[np.ndarray, " row"]:
    """Steps after which the metrics are written: 0, every `metric_every`-th, and the last.

    >>> metric_steps(Training(steps=12, metric_every=5)).tolist()
    [0, 5, 10, 12]
    """
    return np.unique(np.append(np.arange(0, training.steps, training.metric_every), training.steps))


def snapshot_steps(training: Training) -> Int[np.ndarray, " snapshot"]:
    """Steps after which the embeddings are kept: 0, then log-spaced whole numbers up to the last.

    >>> snapshot_steps(Training(steps=100, snapshots=6)).tolist()
    [0, 1, 3, 10, 32, 100]
    """
    count = min(training.snapshots, training.steps + 1)
    steps = [0, 1]
    while len(steps) < count:
        # Where the logarithmic grid is finer than one step it is one step, and the rest is spread anew.
        ratio = (training.steps / steps[-1]) ** (1 / (count - len(steps)))
        steps.append(max(steps[-1] + 1, round(steps[-1] * ratio)))
    steps[-1] = training.steps
    return np.array(steps)
