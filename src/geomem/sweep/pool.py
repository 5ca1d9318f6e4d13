"""One pool of processes, of one thread each, for whatever is worked on at once: through joblib's loky."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

KILLED = "killed"
"""What a task gives whose process was ended from outside, when it was alone too."""

WATCH_SECONDS = 0.5
"""How often a process looks whether the one that started it still lives, where the system does not tell."""

Done = Generator[tuple[int, Any], None, None]
"""The number of each task as it ends, and what it gave."""


def do_tasks(function: Callable[..., Any], tasks: Sequence[tuple], *, processes: int) -> Done:
    """Call `function(*task)` for all tasks, in this process or in several; give each as it ends.

    Other processes begin at once, this one when it is asked for the first. They ignore Ctrl-C, which this
    process answers by closing the generator, and end when this one does, however it ends. When one is ended
    from outside, what it left is done again one by one, so that a crash takes nothing else down; a task that
    ends its process then as well gives `KILLED`.

    >>> sorted(do_tasks(pow, [(2, 3), (3, 2)], processes=1))
    [(0, 8), (1, 9)]
    """
    if processes <= 1:
        return ((number, function(*task)) for number, task in enumerate(tasks))
    numbered = dict(enumerate(tasks))
    return _collect(_start(function, numbered, processes), function, numbered)


def _collect(started: Done, function: Callable[..., Any], tasks: dict[int, tuple]) -> Done:
    left = dict(tasks)
    try:
        for number, given in started:
            del left[number]
            yield number, given
    except TerminatedWorkerError:
        for number, task in left.items():
            try:
                yield from _start(function, {number: task}, 2)
            except TerminatedWorkerError:
                yield number, KILLED
    finally:
        with warnings.catch_warnings():
            # joblib warns that tasks were cancelled, which is what closing is for.
            warnings.filterwarnings("ignore", ".*unnecessary computation time")
            started.close()


def _start(function: Callable[..., Any], tasks: dict[int, tuple], processes: int) -> Done:
    settings: Any = {"inner_max_num_threads": 1, "initializer": end_with, "initargs": (os.getpid(),)}
    with _block_interrupts(), parallel_config(backend="loky", **settings):
        parallel: Any = Parallel(n_jobs=processes, return_as="generator_unordered", batch_size=1)  # pyright: ignore[reportArgumentType]
        return parallel(delayed(_call)(number, function, task) for number, task in tasks.items())


def _call(number: int, function: Callable[..., Any], task: tuple) -> tuple[int, Any]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return number, function(*task)


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
