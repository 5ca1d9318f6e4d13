"""Processes of this machine, of one thread each, through joblib's loky."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from geomem.errors import InputError
from geomem.sweep.engines.work import RESUBMISSIONS, Engine, Outcome, Outcomes, Work, describe_loss, do_work

WATCH_SECONDS = 0.5
"""How often a process looks whether the one that started it still lives, where the system does not tell."""

Numbered = Generator[tuple[int, Outcome], None, None]


@dataclass(frozen=True)
class Processes:
    """So many processes, of one thread each; a single one is this process itself.

    They ignore Ctrl-C, which this process answers by closing what `run` gives, and end when this one does,
    however it ends. Nobody knows what one that was ended from outside worked on, so every work that may have
    been in its hands is done again: once beside the others, then alone, so that it takes no other down.

    >>> from pathlib import Path
    >>> works = [Work(Path(str(number)), number, print, seconds=1.0) for number in (3, 4)]
    >>> [outcome.status for outcome in Processes(1).run(works)]
    3
    4
    ['done', 'done']
    """

    count: int

    @contextmanager
    def connected(self, device: str) -> Iterator[int]:
        """Nothing to reach."""
        yield self.count

    def run(self, works: Sequence[Work]) -> Outcomes:
        """Do works, as `Engine.run` says; other processes begin before the first outcome is asked for."""
        count = min(self.count, len(works))
        if count <= 1:
            return (do_work(work) for work in works)
        numbered = dict(enumerate(works))
        return _collect(_start(numbered, count), numbered, count)


def find_engine(engine: Engine | None, processes: int | None, device: str = "cpu") -> Engine:
    """The engine that is given, else processes: unless given, one per core, and a single one on a card.

    Raises `InputError` for less than one process, or if both are given.

    >>> find_engine(None, 2)
    Processes(count=2)
    """
    if engine is not None and processes is not None:
        raise InputError(f"processes is {processes}, and an engine is given as well; give one of the two.")
    engine = engine or Processes((cpu_count() if device == "cpu" else 1) if processes is None else processes)
    if isinstance(engine, Processes) and engine.count < 1:
        raise InputError(f"processes is {engine.count}; give a whole number of at least 1.")
    return engine


def _collect(started: Numbered, works: Mapping[int, Work], count: int) -> Outcomes:
    left, batch, ends = dict(works), list(works), Counter[int]()
    while True:
        try:
            for number, outcome in started:
                del left[number]
                yield outcome
        except TerminatedWorkerError:
            # Works are begun in order: what was in hand is among the first that are left.
            for number in [number for number in batch if number in left][:count]:
                ends[number] += 1
                if ends[number] > RESUBMISSIONS:
                    yield describe_loss(left.pop(number))
        finally:
            with warnings.catch_warnings():
                # joblib warns that tasks were cancelled, which is what closing is for.
                warnings.filterwarnings("ignore", ".*unnecessary computation time")
                started.close()
        if not left:
            return
        suspects = [number for number in left if ends[number] > 1]
        batch = suspects[:1] or list(left)
        started = _start({number: left[number] for number in batch}, count)


def _start(works: Mapping[int, Work], count: int) -> Numbered:
    settings: Any = {"inner_max_num_threads": 1, "initializer": end_with, "initargs": (os.getpid(),)}
    with _block_interrupts(), parallel_config(backend="loky", **settings):
        parallel: Any = Parallel(n_jobs=count, return_as="generator_unordered", batch_size=1)  # pyright: ignore[reportArgumentType]
        return parallel(delayed(_call)(number, work) for number, work in works.items())


def _call(number: int, work: Work) -> tuple[int, Outcome]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return number, do_work(work)


def end_with(parent: int) -> None:
    """End this process as soon as the one of that number, which started it, is gone, however it ended.

    Linux does so by itself, even in the middle of a computation; elsewhere a thread watches.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.name == "posix" and os.getppid() != parent:  # it was gone before
        os._exit(1)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    if os.name == "posix":
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
    elif started_by := multiprocessing.parent_process():
        started_by.join()
    os._exit(1)


@contextmanager
def _block_interrupts() -> Iterator[None]:
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
