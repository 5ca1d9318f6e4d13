"""The pool of processes: order, processes that are ended from outside, and none that outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from geomem.cli import main
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


def descendants(pid):
    """Processes that a process started, and those that these did."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found[1:]


def alive(pid):
    """Whether a process still runs; one that nobody asked how it ended does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(holds, process=None):
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "waited for two minutes"
        assert process is None or process.poll() is None, "the process ended too early"
        time.sleep(0.02)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_no_process_outlives_the_sweep_that_started_it(tmp_path, how):
    """Whatever is left then, the same command goes on and leaves what an undisturbed one leaves."""

    def command(name):
        options = ["--over", "width=4:7:4", "--steps", "2000", "--processes", "2", "--quiet"]
        return ["sweep", "cycle", "--model", "bilinear", *options, "--directory", str(tmp_path / name)]

    process = subprocess.Popen([sys.executable, "-m", "geomem", *command("cut")], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.glob("cut/*/unfinished/fleet-*"))) == 2, process)
    started = descendants(process.pid)
    assert len(started) >= 2
    process.send_signal(how)
    process.wait()
    wait_until(lambda: not any(map(alive, started)))
    assert not list(Path("/dev/shm").glob(f"*-{process.pid}-*"))
    if how == signal.SIGTERM:
        return  # what is left is the same

    for name in ("cut", "whole"):
        assert main(command(name)) == 0
    names, tables = {}, {}
    for name in ("cut", "whole"):
        names[name] = sorted(path.name for path in (tmp_path / name).rglob("*"))
        parts = sorted((tmp_path / name).glob("*/fleet-*.parquet"))
        tables[name] = pl.concat(map(pl.read_parquet, parts))
    assert names["cut"] == names["whole"]
    assert tables["cut"].equals(tables["whole"])


PARENT = """
import os, subprocess, sys
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[1], str(os.getpid())]).returncode)
"""
CHILD = """
import sys, time
from geomem.sweep.pool import end_with
sys.platform = "elsewhere"
end_with(int(sys.argv[1]))
print("watching", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds processes in /proc")
def test_where_the_system_does_not_tell_a_thread_watches():
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "watching\n"
        (child,) = descendants(parent.pid)
        assert alive(child)
        parent.kill()
    wait_until(lambda: not alive(child))
