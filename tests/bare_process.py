"""A process of its own in which nothing is checked at the package's function boundaries.

There the checks of every call take as long as a small model's step itself. What a step calls is checked
where it is tested alone.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import cache


@cache
def _process() -> ProcessPoolExecutor:
    # Spawned, not forked: a fork would inherit the checked functions.
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def run_bare(function, *arguments, **options):
    """What the function gives there; it and its arguments go by pickle."""
    return _process().submit(function, *arguments, **options).result()
