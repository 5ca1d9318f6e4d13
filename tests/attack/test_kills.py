"""A few kills of the commands that train; `make attack` kills all of them some two thousand times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("kills.py")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX's")
def test_nothing_is_lost_or_left_by_a_kill():
    names = ["memorize", "paths", "sweep in two processes", "capacity"]  # as they stand there
    command = [sys.executable, str(KILLS), "--kills", "2", *names]  # one process: importing takes seconds
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert line.startswith(f"{name}: 2 kills, 0 wrong")
