"""The pool of processes: order, and processes that are ended from outside."""

import os
from pathlib import Path

import pytest

from geomem.sweep.pool import KILLED, do_tasks


def double(number):
    return 2 * number


def die(number, marks, always):
    """End the process: the first time, or every time; else give the number."""
    mark = Path(marks) / str(number)
    if number == 1 and (always or not mark.exists()):
        mark.touch()
        os._exit(1)
    return number


@pytest.mark.parametrize("processes", [1, 2])
def test_every_task_is_done_once(processes):
    assert sorted(do_tasks(double, [(3,), (4,), (5,)], processes=processes)) == [(0, 6), (1, 8), (2, 10)]


@pytest.mark.parametrize(("always", "given"), [(False, 1), (True, KILLED)])
def test_what_a_dead_process_left_is_done_again(tmp_path, always, given):
    tasks = [(number, str(tmp_path), always) for number in range(3)]
    assert sorted(do_tasks(die, tasks, processes=2)) == [(0, 0), (1, given), (2, 2)]
