"""Processes as an engine: order, processes that are ended from outside, and none that outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from geomem.cli import main
from geomem.errors import InputError
from geomem.sweep.engines import Processes, Work, processes, work


def keep(task):
    """Write the number to its file; end the process instead as often as it is told to."""
    path, ends = task
    marks = list(path.parent.glob(f"{path.name}-*"))
    if len(marks) < ends:
        path.with_name(f"{path.name}-{len(marks)}").touch()
        os._exit(1)
    path.write_text(path.name)


def works_of(folder, ends):
    return [
        Work(folder / str(number), (folder / str(number), count), keep, seconds=1.0)
        for number, count in enumerate(ends)
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_every_work_is_done_once(tmp_path, count):
    outcomes = list(work.finish(Processes(count), works_of(tmp_path, [0, 0, 0])))
    assert sorted(outcome.path.name for outcome in outcomes) == ["0", "1", "2"]
    assert {(outcome.status, outcome.error) for outcome in outcomes} == {("done", "")}


def test_what_a_dead_process_left_is_done_again_and_given_up_at_last(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "RESUBMISSIONS", 2)
    found = {outcome.path.name: outcome for outcome in Processes(2).run(works_of(tmp_path, [0, 1, 9, 0]))}
    assert {name: outcome.status for name, outcome in found.items()} == {
        "0": "done",
        "1": "done",
        "2": "lost",
        "3": "done",
    }
    assert found["2"].error == (
        f"The process that worked on {tmp_path / '2'} was killed; perhaps memory ran out."
    )
    assert len(list(tmp_path.glob("2-*"))) == 3


def test_what_only_a_worker_sees_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "VISIBLE_SECONDS", 0.0)
    elsewhere = Work(tmp_path / "a", 0, abs, seconds=1.0)
    with pytest.raises(
        InputError, match=r"says that .*a is done, but it is not here; give --directory a place on a disk"
    ):
        list(work.finish(Processes(1), [elsewhere]))


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

    def command(name, processes):
        options = ["--over", "width=4:7:4", "--steps", "1000", "--processes", processes, "--quiet"]
        return ["sweep", "cycle", "--model", "bilinear", *options, "--directory", str(tmp_path / name)]

    geomem = [sys.executable, "-m", "geomem"]
    process = subprocess.Popen([*geomem, *command("cut", "2")], stderr=subprocess.DEVNULL)
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
        assert main(command(name, "1")) == 0
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
from geomem.sweep.engines.processes import end_with
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
