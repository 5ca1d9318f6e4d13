"""A few kills of the commands that train; `make attack` kills all of them some two thousand times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("kills.py")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX's")
@pytest.mark.parametrize("name", ["memorize", "paths", "sweep in two processes", "capacity"])
def test_nothing_is_lost_or_left_by_a_kill(name):
    ended = subprocess.run([sys.executable, str(KILLS), "--kills", "2", name], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith(f"{name}: 2 kills, 0 wrong")
