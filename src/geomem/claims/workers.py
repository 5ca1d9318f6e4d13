"""Fleets are trained and experiments measured here: in this process, or in several of one thread each."""

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from geomem.claims.experiment import Experiment, run_experiment
from geomem.errors import InputError

if TYPE_CHECKING:
    from geomem.runs.job import Job


@dataclass(frozen=True, eq=False)
class Work:
    """A fleet to train or an experiment to measure."""

    path: Path
    """Its directory, which tells it from other work."""
    task: "Job | Experiment"
    seconds: float
    """Estimated time on one core."""


Done = Generator[tuple[Path, str], None, None]
"""Paths of work as it ends, each with what went wrong, or an empty text."""


def do_work(works: Sequence[Work], directory: str | os.PathLike[str], device: str, *, processes: int) -> Done:
    """Do all work, in this process or in several; give the path of each as it ends, and what went wrong.

    Other processes begin at once, this one when it is asked for the first.
    """
    from geomem.sweep.pool import do_tasks

    tasks = [(work, directory, device) for work in works]
    return _name_ends(works, do_tasks(_do, tasks, processes=processes))


def describe_failure(error: Exception) -> str:
    """An exception as one sentence: an `InputError`'s own, else its type and text.

    >>> describe_failure(ZeroDivisionError("division by zero"))
    'It failed with ZeroDivisionError: division by zero.'
    """
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return text
    return f"It failed with {type(error).__name__}{f': {text}' if text else ''}".rstrip(".") + "."


def _name_ends(works: Sequence[Work], done: Generator[tuple[int, str], None, None]) -> Done:
    from geomem.sweep.pool import KILLED

    with closing(done):
        for number, error in done:
            path = works[number].path
            killed = f"The process that worked on {path} was killed; perhaps memory ran out."
            yield path, killed if error == KILLED else error


def _do(work: Work, directory: str | os.PathLike[str], device: str) -> str:
    from geomem.runs.directory import RunLocked
    from geomem.runs.train import train

    task = work.task
    while True:
        try:
            if isinstance(task, Experiment):
                run_experiment(task, directory=directory, device=device)
            else:
                train(task, directory, device=device)
        except RunLocked:
            # Two experiments may keep a run in common: when its owner is done with it, it is read.
            sleep(1)
        except Exception as error:  # the claims that need this are not run, the others are
            return describe_failure(error)
        else:
            return ""
