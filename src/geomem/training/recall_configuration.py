"""How a fleet of recall models is trained, without importing torch; fields are the command line's options."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from geomem.errors import InputError
from geomem.models.configuration import Recall
from geomem.models.recall import RecallSize
from geomem.training.configuration import RunSettings, Training, check_training

BETAS = (0.9, 0.98)
"""AdamW's decay rates of the two running means."""


@dataclass(frozen=True)
class RecallTraining:
    """Training on a table of facts: the whole table in every step, or batches of subjects."""

    steps: int = 1200
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    """Decoupled weight decay on every trained parameter, as torch.optim.AdamW applies it."""
    warmup_steps: int = 20
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: a cosine down to `final_learning_rate`, or constant."""
    final_learning_rate: float = 0.0
    """Learning rate at the last step of the cosine, as a share of the peak."""
    batch_subjects: int = 0
    """Subjects in a step, each with all its facts; 0 for all. Every epoch shuffles them anew and drops what
    does not fill a batch. A step's loss is the sum over its facts divided by all facts of the table."""
    metric_every: int = 100
    """Steps between two rows of the metrics; the first step and the last are always written."""


@dataclass(frozen=True, eq=False)
class RecallRun:
    """One run of a fleet: its model, its facts, its seed. Widths and sizes may differ between runs."""

    model: Recall
    size: RecallSize
    answers: Int[np.ndarray, "subject path"]
    """The object after every subject and path (`models.networks.recall.all_paths`), or -1."""
    settings: RunSettings


def check_recall_training(training: RecallTraining, *, subjects: int) -> None:
    """Raise `InputError` if a number of the training cannot be meant for so many subjects.

    >>> check_recall_training(RecallTraining(batch_subjects=64), subjects=32)
    Traceback (most recent call last):
    geomem.errors.InputError: batch_subjects is 64, the table has 32 subjects; give 0 for all or fewer.
    """
    check_training(loop_training(training))
    if not 0 <= training.batch_subjects <= subjects:
        raise InputError(
            f"batch_subjects is {training.batch_subjects}, the table has {subjects} subjects; "
            "give 0 for all or fewer."
        )


def loop_training(training: RecallTraining) -> Training:
    """The part of it that the loop of every fleet asks for.

    >>> loop_training(RecallTraining(steps=7)).steps
    7
    """
    return Training(
        steps=training.steps,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup_steps=training.warmup_steps,
        schedule=training.schedule,
        final_learning_rate=training.final_learning_rate,
        metric_every=training.metric_every,
        snapshots=2,
    )
