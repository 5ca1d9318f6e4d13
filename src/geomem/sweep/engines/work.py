"""Works and outcomes: what an engine is given, and what it says of each. Results stay where they are kept."""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from traceback import format_exception
from typing import Any, Literal, Protocol, runtime_checkable

from geomem.errors import InputError
from geomem.runs.directory import RunLocked

RESUBMISSIONS = 3
"""How often a work is given to another worker when the one that had it was ended."""

VISIBLE_SECONDS = 60.0
"""How long what another machine wrote may take to be seen here: NFS remembers that a file is missing."""


@dataclass(frozen=True, eq=False)
class Work:
    """One piece of work: a fleet to train, an experiment to measure."""

    path: Path
    """Where its result is kept, which tells it from other work."""
    task: Any
    perform: Callable[[Any], object]
    """Does the task and keeps its result, or finds it done; a function of a module, or a partial one."""
    seconds: float
    """Estimated time on one core."""
    device: str = "cpu"
    memory_bytes: int = 0
    """About what it takes; 0 if nobody knows."""
    mark: str = ""
    """The file in `path` that is there once it is done; nothing if `path` is that file."""

    @property
    def is_done(self) -> bool:
        """Whether its result is there, as far as can be seen from here."""
        return os.path.lexists(self.path / self.mark)


@dataclass(frozen=True)
class Outcome:
    """How a work ended."""

    path: Path
    """That of the work."""
    status: Literal["done", "failed", "lost", "refused"]
    """`lost` if every worker that had it was ended, `refused` if a worker cannot do any work."""
    error: str = ""
    """What went wrong, in a sentence."""
    traceback: str = ""
    seconds: float = 0.0
    """Time it took its worker."""


Outcomes = Generator[Outcome, None, None]


@runtime_checkable
class Engine(Protocol):
    """Something that works: processes here, or a cluster."""

    def connected(self, device: str) -> AbstractContextManager[int]:
        """Reach the workers for a while; how many works they do at a time.

        Raises `InputError` if they cannot be reached, or have no such device.
        """
        ...

    def run(self, works: Sequence[Work]) -> Outcomes:
        """Do works while connected, begun in their order; give each outcome as it comes.

        A work whose worker was ended is done again, at most `RESUBMISSIONS` times. Closing the generator ends
        what is being worked on.
        """
        ...


def do_work(work: Work) -> Outcome:
    """Do a work here, after whoever holds it has let it go.

    >>> do_work(Work(Path("a"), 0, lambda task: 1 / task, seconds=1.0)).error
    'It failed with ZeroDivisionError: division by zero.'
    """
    began = monotonic()
    while True:
        try:
            work.perform(work.task)
        except RunLocked:  # by another work that needs the same run, or by a worker that lost its command
            sleep(1)
        except Exception as error:  # what is wrong with one work must not stop the others
            text = "".join(format_exception(error))
            return Outcome(work.path, "failed", describe_failure(error), text, monotonic() - began)
        else:
            return Outcome(work.path, "done", seconds=monotonic() - began)


def describe_failure(error: Exception) -> str:
    """An exception as one sentence: an `InputError`'s own, else its type and text.

    >>> describe_failure(ZeroDivisionError("division by zero"))
    'It failed with ZeroDivisionError: division by zero.'
    """
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return text
    return f"It failed with {type(error).__name__}{f': {text}' if text else ''}".rstrip(".") + "."


def describe_loss(work: Work) -> Outcome:
    """The outcome of a work whose workers were all ended."""
    error = f"The process that worked on {work.path} was killed; perhaps memory ran out."
    return Outcome(work.path, "lost", error)


def finish(engine: Engine, works: Sequence[Work]) -> Outcomes:
    """Let an engine do works; whatever it says is done can be seen from here.

    Other processes begin at once, this one when it is asked for the first. Raises `InputError` where a worker
    refuses, or a result is not here though its worker wrote it: going on would be in vain.
    """
    return _check(engine.run(works), {work.path: work for work in works})


def _check(outcomes: Outcomes, works: Mapping[Path, Work]) -> Outcomes:
    with closing(outcomes):
        for outcome in outcomes:
            if outcome.status == "refused":
                raise InputError(outcome.error)
            if outcome.status == "done":
                _wait_for(works[outcome.path])
            yield outcome


def _wait_for(work: Work) -> None:
    deadline = monotonic() + VISIBLE_SECONDS
    while not work.is_done:
        if monotonic() > deadline:
            raise InputError(
                f"A worker says that {work.path} is done, but it is not here; give --directory a place on a "
                "disk that this machine and every worker share."
            )
        with os.scandir(work.path.parent):  # which makes NFS look again
            sleep(0.2)
