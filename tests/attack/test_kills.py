"""A few kills of the commands that write; `make attack` kills all of them some two thousand times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("kills.py")
# What becomes of processes whose parent is killed stands in tests/test_processes.py.
KILLED = {"memorize": 2, "paths": 2, "capacity": 2}
KILLED |= dict.fromkeys(
    ("construct", "edit", "edit what was edited", "forget", "edit a further answer", "forget one answer"), 4
)


@pytest.fixture(scope="module")
def ended():
    """What came of all kills: in one process, for importing is slow."""
    names = [f"{name}={count}" for name, count in KILLED.items()]
    ended = subprocess.run([sys.executable, str(KILLS), *names], capture_output=True, text=True)
    return dict(line.split(": ") for line in ended.stdout.splitlines()), ended.stderr


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX's")
@pytest.mark.parametrize("name", KILLED)
def test_nothing_is_lost_or_left_by_a_kill(name, ended):
    lines, complaints = ended
    killed, wrong = lines[name].split(", ")[:2]
    assert wrong == "0 wrong", complaints
    assert int(killed.split()[0]) >= KILLED[name] // 2  # a moment may come too late, a call does not
