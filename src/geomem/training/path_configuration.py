"""How path finding is trained, without importing torch; the fields are the command line's options."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from geomem.errors import InputError
from geomem.training.configuration import Training


@dataclass(frozen=True)
class PathTraining:
    """Training in epochs: every edge and every training path is in one of the batches of an epoch."""

    epochs: int = 200
    """At most so many; the schedule of the learning rate is as long."""
    batches: int = 8
    """Batches, thus steps, of an epoch."""
    micro_batches: int = 1
    """Parts of a batch that are computed one after the other, to save memory; the gradient is the same."""
    prompts: int = 256
    """Fresh prompts in a batch of path finding in context."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    """Decoupled weight decay on every trained parameter, as torch.optim.AdamW applies it."""
    warmup_steps: int = 20
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: a cosine down to `final_learning_rate`, or constant."""
    final_learning_rate: float = 0.1
    """Learning rate at the last step of the cosine, as a share of the peak."""
    averaging: float = 0.0
    """Share of the former mean in the running mean of the weights that is evaluated and kept, the rest being
    the weights just updated; 0 evaluates and keeps the weights themselves."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers in the matrix products, bfloat16 on a GPU only; parameters and the loss stay float32."""
    stop_at: float = 0.95
    """End once every run finds this share of the held-out first hops, and of whole paths at least 0.9 of them
    (edges alone: of the edges); 0 trains all epochs."""
    metric_every: int = 4
    """Epochs between two rows of the metrics; the first and the last are always written."""
    snapshots: int = 6
    """How many times the node embeddings are kept, log-spaced from step 0 to the last."""


def check_path_training(training: PathTraining) -> None:
    """Raise `InputError` if a number of the training cannot be meant.

    >>> check_path_training(PathTraining(stop_at=1.5))
    Traceback (most recent call last):
    geomem.errors.InputError: stop_at is 1.5; give a share from 0 (train all epochs) to 1.
    """
    leasts = {
        "epochs": 1,
        "batches": 1,
        "micro_batches": 1,
        "prompts": 1,
        "warmup_steps": 0,
        "metric_every": 1,
        "snapshots": 2,
    }
    for name, least in leasts.items():
        if getattr(training, name) < least:
            raise InputError(f"{name} is {getattr(training, name)}; give a whole number of at least {least}.")
    steps = training.epochs * training.batches
    if training.warmup_steps >= steps:
        raise InputError(
            f"warmup_steps is {training.warmup_steps} and {training.epochs} epochs of {training.batches} "
            f"batches are {steps} steps; give fewer warm-up steps than steps."
        )
    for name in ("learning_rate", "weight_decay", "final_learning_rate"):
        value = getattr(training, name)
        if not (isfinite(value) and value >= 0):
            raise InputError(f"{name} is {value}; give a finite number of at least 0.")
    if not 0 <= training.stop_at <= 1:
        raise InputError(f"stop_at is {training.stop_at}; give a share from 0 (train all epochs) to 1.")
    if not 0 <= training.averaging < 1:
        raise InputError(f"averaging is {training.averaging}; give a share of at least 0 and below 1.")
    if training.schedule not in ("cosine", "constant"):
        raise InputError(f"schedule is {training.schedule!r}; give 'cosine' or 'constant'.")
    if training.precision not in ("float32", "bfloat16"):
        raise InputError(f"precision is {training.precision!r}; give 'float32' or 'bfloat16'.")


def loop_training(training: PathTraining) -> Training:
    """The same training counted in steps, as the training loop takes it.

    >>> loop_training(PathTraining(epochs=10, batches=8, metric_every=2)).steps
    80
    """
    return Training(
        steps=training.epochs * training.batches,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup_steps=training.warmup_steps,
        schedule=training.schedule,
        final_learning_rate=training.final_learning_rate,
        metric_every=training.metric_every * training.batches,
        snapshots=training.snapshots,
    )
