"""Every numbered example runs as it stands, prints something and makes its figure."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9][0-9]_*.py"))

# The example runs as a script of its own; when it ends, the figures it left open are counted.
RUN = """
import runpy, sys, warnings
warnings.simplefilter("error")
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
runpy.run_path(sys.argv[1], run_name="__main__")
assert plt.get_fignums(), "the example made no figure"
"""


def test_there_are_examples():
    assert len(EXAMPLES) >= 6


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """What the examples find: settings of nobody, and a list of fonts that the first of them makes."""
    return os.environ | {"MPLCONFIGDIR": str(tmp_path_factory.mktemp("matplotlib")), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(example)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_titled(example):
    text = example.read_text()
    title, line, *_ = ast.get_docstring(ast.parse(text)).splitlines()
    assert line == "=" * len(title)
    code = [
        line for line in text.split('"""', 2)[2].splitlines() if line.strip() and not line.startswith("#")
    ]
    assert len(code) <= 40
