"""Fleets are trained and experiments measured here: in this process, or in several of one thread each."""

import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, cast

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

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
    if processes <= 1:
        return (_do(work, directory, device) for work in works)
    return _collect(_start_workers(works, directory, device, processes), works, directory, device)


def describe_failure(error: Exception) -> str:
    """An exception as one sentence: an `InputError`'s own, else its type and text.

    >>> describe_failure(ZeroDivisionError("division by zero"))
    'It failed with ZeroDivisionError: division by zero.'
    """
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return text
    return f"It failed with {type(error).__name__}{f': {text}' if text else ''}".rstrip(".") + "."


def _do(work: Work, directory: str | os.PathLike[str], device: str) -> tuple[Path, str]:
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
            return work.path, describe_failure(error)
        else:
            return work.path, ""


def _do_alone(work: Work, directory: str | os.PathLike[str], device: str) -> tuple[Path, str]:
    # Ctrl-C goes to every process of the terminal; the parent alone answers it, on every system.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _do(work, directory, device)


def _collect(started: Done, works: Sequence[Work], directory: str | os.PathLike[str], device: str) -> Done:
    left = {work.path: work for work in works}
    try:
        for path, error in started:
            del left[path]
            yield path, error
    except TerminatedWorkerError:
        # Whoever it was, it takes no other work with it when it is alone.
        for path, work in left.items():
            try:
                yield from _start_workers([work], directory, device, 2)
            except TerminatedWorkerError:
                yield path, f"The process that worked on {path} was killed; perhaps memory ran out."


def _start_workers(
    works: Sequence[Work], directory: str | os.PathLike[str], device: str, processes: int
) -> Done:
    with _deaf_to_interrupts(), parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=processes, return_as="generator_unordered", batch_size=1)  # pyright: ignore[reportArgumentType]
        done = parallel(delayed(_do_alone)(work, directory, device) for work in works)
    return cast(Done, done)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that start meanwhile never hear Ctrl-C; this one hears it afterwards.

    A terminal sends it to every process, and one that is still importing would die with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
