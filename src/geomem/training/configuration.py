"""How a fleet is trained, without importing torch; the fields are the command line's options."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from geomem.errors import InputError
from geomem.models.architecture import Model


@dataclass(frozen=True)
class Training:
    """Full-batch training of a fleet: optimizer, learning-rate schedule, what is written down on the way."""

    steps: int = 500
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    """Decoupled weight decay on every trained parameter, as torch.optim.AdamW applies it."""
    warmup_steps: int = 0
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: a cosine down to `final_learning_rate`, or constant."""
    final_learning_rate: float = 0.1
    """Learning rate at the last step of the cosine, as a share of the peak."""
    optimizer: Literal["adamw", "gradient-descent"] = "adamw"
    metric_every: int = 5
    """Steps between two rows of the metrics; the first step and the last are always written."""
    snapshots: int = 24
    """How many times the node embeddings are kept, log-spaced from step 0 to the last."""


@dataclass(frozen=True)
class RunSettings:
    """What may differ between the runs of one fleet; shapes may not."""

    seed: int
    learning_rate: float
    """Peak learning rate; the schedule's shape is the fleet's."""
    weight_decay: float = 0.0
    scale: float = 1.0
    """Factor on the standard deviation of every initial weight."""


def check_training(training: Training) -> None:
    """Raise `InputError` if a number of the training cannot be meant.

    >>> check_training(Training(steps=10, warmup_steps=20))
    Traceback (most recent call last):
    geomem.errors.InputError: warmup_steps is 20 and steps is 10; give fewer warm-up steps than steps.
    """
    for name, least in (("steps", 1), ("warmup_steps", 0), ("metric_every", 1), ("snapshots", 2)):
        if getattr(training, name) < least:
            raise InputError(f"{name} is {getattr(training, name)}; give a whole number of at least {least}.")
    if training.warmup_steps >= training.steps:
        raise InputError(
            f"warmup_steps is {training.warmup_steps} and steps is {training.steps}; "
            "give fewer warm-up steps than steps."
        )
    for name in ("learning_rate", "weight_decay", "final_learning_rate"):
        value = getattr(training, name)
        if not (isfinite(value) and value >= 0):
            raise InputError(f"{name} is {value}; give a finite number of at least 0.")
    if training.schedule not in ("cosine", "constant"):
        raise InputError(f"schedule is {training.schedule!r}; give 'cosine' or 'constant'.")
    if training.optimizer not in ("adamw", "gradient-descent"):
        raise InputError(f"optimizer is {training.optimizer!r}; give 'adamw' or 'gradient-descent'.")


def default_training(model: Model) -> Training:
    """The published setting of each architecture on the tiny graphs (release notebooks, B.3.1).

    >>> from geomem.models.configuration import Node2Vec
    >>> default_training(Node2Vec()).optimizer
    'gradient-descent'
    """
    return Training(**model.published)
