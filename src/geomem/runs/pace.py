"""How long a training takes, told from its own first steps on the machine that will do the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from time import perf_counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from geomem.training.configuration import AnyTraining, PathTraining, loop_training
from geomem.training.loop import Progress

LEAST_STEPS = 3
"""Steps that are timed at least, unless they take `MOST_SECONDS`: the first one also warms up torch."""
ENOUGH_SECONDS, MOST_SECONDS = 0.5, 10.0
"""What timing takes, and what it takes at most where two steps do not take longer."""
SHORT_SECONDS = 5.0
"""A training that takes less is timed for one step more than these: nobody plans with its estimate."""


@dataclass(frozen=True)
class Pace:
    """Seconds of the parts of a training."""

    once: float
    """Before the first step, and after the last where that was seen."""
    step: float
    row: float
    """What a row of the metrics adds to its step."""

    def seconds(self, training: AnyTraining, *, first_step: int = 0) -> float:
        """Of a whole training, or of what is left of it, unless it stops early.

        >>> from geomem.training.configuration import Training
        >>> Pace(once=1.0, step=0.5, row=2.0).seconds(Training(steps=10, metric_every=5))
        12.0
        """
        loop = loop_training(training)
        rows = ceil(loop.steps / loop.metric_every) - ceil(first_step / loop.metric_every) + 1
        return self.once + (loop.steps - first_step) * self.step + rows * self.row


class _TimedEnoughError(Exception):
    """Ends a training that was only begun for its pace."""


def measure_pace(train: Callable[..., Any], training: AnyTraining, *, device: str = "cpu") -> Pace:
    """Time the first steps of a training that is then thrown away: half a second of them, or a few.

    `train` takes the callbacks of `geomem.training.loop.train_problem`; `training` is what it trains by.
    What follows the last step counts if there are only `LEAST_STEPS`.

    >>> from geomem.runs.edges import edge_job
    >>> from geomem.training.configuration import Training
    >>> job = edge_job("cycle", model="bilinear", training=Training(steps=20))
    >>> 0 < measure_pace(job.train, job.training).seconds(job.training) < 60
    True
    """
    began = perf_counter()
    ends: list[float] = []
    rows: dict[int, float] = {}
    """Seconds from the beginning of the first step to the end of a row, by step."""

    def write_down(progress: Progress) -> None:
        rows[progress.step] = progress.seconds

    def stop() -> bool:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        ends.append(perf_counter())
        passed = ends[-1] - began
        if len(ends) < 2:  # a row of the metrics comes with the first step and may take as long as many
            return False
        if passed > MOST_SECONDS or (
            len(ends) > LEAST_STEPS
            and (passed > ENOUGH_SECONDS or _pace(began, ends, rows).seconds(training) < SHORT_SECONDS)
        ):
            raise _TimedEnoughError
        return False

    try:
        train(on_progress=write_down, should_stop=stop, device=device)
    except _TimedEnoughError:
        after = 0.0
    else:
        if not ends:  # the first row was enough
            return Pace(once=perf_counter() - began, step=0.0, row=0.0)
        after = perf_counter() - ends[-1]
    return _pace(began, ends, rows, after)


def _pace(began: float, ends: Sequence[float], rows: dict[int, float], after: float = 0.0) -> Pace:
    steps = np.diff(ends)
    with_row = np.array([step + 1 in rows for step in range(len(steps))], dtype=bool)
    first = rows[0]  # a step and a row, torch's warming up among them
    plain = steps[~with_row]
    step = float(np.median(plain)) if plain.size else float(np.median(steps)) if steps.size else first
    row = float(np.median(steps[with_row])) - step if with_row.any() else first - step
    return Pace(once=max(0.0, ends[0] - began - first) + after, step=step, row=max(0.0, row))


def shortened(training: Any) -> Any:
    """The training of so few steps that timing it takes in what follows the last one.

    >>> from geomem.training.configuration import PathTraining
    >>> shortened(PathTraining(epochs=100, batches=2)).epochs
    2
    """
    if isinstance(training, PathTraining):
        epochs = min(training.epochs, ceil(LEAST_STEPS / training.batches))
        return replace(training, epochs=epochs, warmup_steps=0, metric_every=1)
    return replace(training, steps=min(LEAST_STEPS, training.steps), warmup_steps=0, metric_every=2)


def estimate_each(
    counted: Float[np.ndarray, " training"], measure: Callable[[int], float]
) -> Float[np.ndarray, " training"]:
    """Seconds of many trainings, of which the longest, the middle and the shortest are measured.

    `counted` is what each takes in any unit; `measure` gives the seconds of one of them. Their ratio is
    interpolated over the logarithm of what is counted. If all take less than a few seconds together, the
    longest stands for all.

    >>> estimate_each(np.array([1.0, 4.0, 2.0]), lambda number: 10.0)
    array([10., 10., 10.])
    """
    order = np.argsort(counted)
    ratios: dict[int, float] = {}
    for number in (order[-1], order[len(order) // 2], order[0]):
        if int(number) not in ratios:
            ratios[int(number)] = measure(int(number)) / float(counted[number])
        if len(ratios) == 1 and counted.sum() * ratios[int(number)] < SHORT_SECONDS:
            break
    known = sorted(ratios, key=lambda number: counted[number])
    at = np.interp(np.log(counted), np.log(counted[known]), [ratios[number] for number in known])
    return counted * at
