"""A few kills of the commands that write; `make attack` kills all of them some two thousand times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("kills.py")
# What becomes of processes whose parent is killed stands in tests/test_processes.py.
TRAINING = ["memorize", "paths", "capacity"]
OF_MEMORIES = [
    "construct",
    "edit",
    "edit what was edited",
    "forget",
    "edit a further answer",
    "forget one answer",
]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX's")
@pytest.mark.parametrize(("names", "count"), [(TRAINING, 2), (OF_MEMORIES, 4)], ids=["training", "memories"])
def test_nothing_is_lost_or_left_by_a_kill(names, count):
    command = [sys.executable, str(KILLS), "--kills", str(count), *names]  # one process: importing is slow
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = dict(line.split(": ") for line in ended.stdout.splitlines())
    assert lines.keys() == set(names)
    for line in lines.values():
        killed, wrong = line.split(", ")[:2]
        assert wrong == "0 wrong"
        assert int(killed.split()[0]) >= count // 2  # a moment may come too late, a call does not
