"""How fleets are trained, without importing torch; the fields are the command line's options."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Interval, Le, doc
from jaxtyping import Int

from geomem.errors import InputError
from geomem.fields import MOST, Count, NonNegative, ShareBelowOne, WholeNumber, check_fields
from geomem.models.architecture import Model
from geomem.models.own import OwnModule
from geomem.models.recall import Recall, RecallSize

RECALL_BETAS = (0.9, 0.98)
"""AdamW's decay rates of the two running means, for recall models."""


@dataclass(frozen=True)
class Optimization:
    """What every training has: learning rate and its schedule, weight decay, rows of the metrics."""

    learning_rate: NonNegative = 0.01
    weight_decay: NonNegative = 0.0
    """Decoupled weight decay on every trained parameter, as torch.optim.AdamW applies it."""
    warmup_steps: WholeNumber = 0
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: a cosine down to `final_learning_rate`, or constant."""
    final_learning_rate: NonNegative = 0.1
    """Learning rate at the last step of the cosine, as a share of the peak."""
    metric_every: Count = 5
    """Steps between two rows of the metrics; the first step and the last are always written."""


@dataclass(frozen=True)
class Training(Optimization):
    """Full-batch training of a fleet: optimizer, learning-rate schedule, what is written down on the way."""

    steps: Count = 500
    optimizer: Literal["adamw", "gradient-descent"] = "adamw"
    snapshots: Annotated[int, Ge(2), Le(MOST)] = 24
    """How many times the node embeddings are kept, log-spaced from step 0 to the last."""


@dataclass(frozen=True)
class PathTraining(Optimization):
    """Training in epochs: every edge and every training path is in one of the batches of an epoch."""

    epochs: Count = 200
    """Number of epochs at most; the learning rate's schedule has this length."""
    batches: Count = 8
    """Batches in an epoch; each is one step."""
    micro_batches: Count = 1
    """Parts of a batch, computed one after the other to save memory; the gradient is the same."""
    prompts: Count = 256
    """Fresh prompts in a batch of path finding in context."""
    learning_rate: NonNegative = 1e-3
    weight_decay: NonNegative = 0.01
    warmup_steps: WholeNumber = 20
    averaging: ShareBelowOne = 0.0
    """Share of the former mean in the running mean of the weights that is evaluated and kept, the rest being
    the weights just updated; 0 evaluates and keeps the weights themselves."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Numbers in the matrix products, all but float32 on a GPU only; parameters and the loss stay float32."""
    stop_at: Annotated[float, Interval(ge=0, le=1), doc("a share from 0 (train all epochs) to 1")] = 0.95
    """End once every run finds this share of the held-out first hops, and of whole paths at least 0.9 of them
    (edges alone: of the edges); 0 trains all epochs."""
    metric_every: Count = 4
    """Epochs between two rows of the metrics; the first and the last are always written."""
    snapshots: Annotated[int, Ge(2), Le(MOST)] = 6
    """How many times the node embeddings are kept, log-spaced from step 0 to the last."""


@dataclass(frozen=True)
class RecallTraining(Optimization):
    """Training on a table of facts: the whole table in every step, or batches of subjects."""

    steps: Count = 1200
    warmup_steps: WholeNumber = 20
    final_learning_rate: NonNegative = 0.0
    batch_subjects: WholeNumber = 0
    """Subjects in a step, each with all its facts; 0 for all. Every epoch shuffles them again and drops what
    does not fill a batch. A step's loss is the sum over its facts divided by all facts of the table."""
    metric_every: Count = 100


AnyTraining = Training | PathTraining | RecallTraining


@dataclass(frozen=True)
class RunSettings:
    """What may differ between the runs of one fleet; shapes may not."""

    seed: int
    learning_rate: float
    """Peak learning rate; the schedule's shape is the fleet's."""
    weight_decay: float = 0.0
    scale: float = 1.0
    """Factor on the standard deviation of every initial weight."""


@dataclass(frozen=True, eq=False)
class RecallRun:
    """One run of a fleet: its model, its facts, its seed. Widths and sizes may differ between runs."""

    model: Recall | OwnModule
    """Of modules of a person's own, the same for all runs of a fleet."""
    size: RecallSize
    answers: Int[np.ndarray, "subject path"]
    """The object after every subject and path (`models.networks.recall.all_paths`), or -1."""
    settings: RunSettings
    object_tokens: Int[np.ndarray, " object"] | None = None
    """Of a module, what the objects are among its tokens."""


def check_training(training: AnyTraining, *, subjects: int | None = None) -> None:
    """Raise `InputError` if a field of the training is out of bounds, or its warm-up is as long as it.

    `subjects` is how many a table of facts has: a batch takes no more.

    >>> check_training(Training(steps=10, warmup_steps=20))
    Traceback (most recent call last):
    geomem.errors.InputError: warmup_steps is 20 and steps is 10; give fewer warm-up steps than steps.
    >>> check_training(RecallTraining(batch_subjects=64), subjects=32)
    Traceback (most recent call last):
    geomem.errors.InputError: batch_subjects is 64, the table has 32 subjects; give 0 for all or fewer.
    """
    check_fields(training)
    steps = step_count(training)
    if training.warmup_steps >= steps:
        said = f"steps is {steps}"
        if isinstance(training, PathTraining):
            said = f"{training.epochs} epochs of {training.batches} batches are {steps} steps"
        raise InputError(
            f"warmup_steps is {training.warmup_steps} and {said}; give fewer warm-up steps than steps."
        )
    if isinstance(training, RecallTraining) and training.batch_subjects > (subjects or float("inf")):
        raise InputError(
            f"batch_subjects is {training.batch_subjects}, the table has {subjects} subjects; "
            "give 0 for all or fewer."
        )


def step_count(training: AnyTraining) -> int:
    """Updates of a training, unless it stops early.

    >>> step_count(PathTraining(epochs=10, batches=8))
    80
    """
    return training.epochs * training.batches if isinstance(training, PathTraining) else training.steps


def loop_training(training: AnyTraining) -> Training:
    """The same training counted in steps, as the training loop takes it.

    >>> loop_training(PathTraining(epochs=10, batches=8, metric_every=2)).metric_every
    16
    """
    if isinstance(training, Training):
        return training
    shared = {field.name: getattr(training, field.name) for field in fields(Optimization)}
    if isinstance(training, PathTraining):
        shared["metric_every"] *= training.batches
        return Training(**shared, steps=step_count(training), snapshots=training.snapshots)
    return Training(**shared, steps=training.steps, snapshots=2)


def run_settings(training: AnyTraining, seeds: tuple[int, ...]) -> list[RunSettings]:
    """One run per seed, each with the training's own rates.

    >>> run_settings(Training(learning_rate=0.1), (7,))
    [RunSettings(seed=7, learning_rate=0.1, weight_decay=0.0, scale=1.0)]
    """
    return [RunSettings(seed, training.learning_rate, training.weight_decay) for seed in seeds]


def default_training(model: Model) -> Training:
    """The published setting of each architecture on the tiny graphs (release notebooks, notes B.3.1).

    >>> from geomem.models.configuration import Node2Vec
    >>> default_training(Node2Vec()).optimizer
    'gradient-descent'
    """
    return Training(**model.published)
