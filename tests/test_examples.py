"""Every numbered example runs as it stands, prints something and makes its figure."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9][0-9]_*.py"))

# Every example runs as a script of its own, in a fork of a process that has imported what all of them import
# and computed nothing: importing takes longer than most examples. The figures it left open are counted.
RUN = """
import gc, os, runpy, sys, warnings
warnings.simplefilter("error")
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
import torch
import geomem.runs, geomem.figures, geomem.measure
gc.freeze()  # what is collected in a fork is not copied for it

for example in sys.argv[1:]:
    name = os.path.basename(example)
    child = os.fork()
    if child:
        print(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    status = 1
    try:
        os.mkdir(name)
        os.chdir(name)
        for stream, file in ((1, "said.txt"), (2, "complaints.txt")):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
        runpy.run_path(example, run_name="__main__")
        assert plt.get_fignums(), "the example made no figure"
        status = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
"""


def test_there_are_examples():
    assert len(EXAMPLES) >= 6


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The place where the examples ran, each in a folder of its name, and how each ended.

    They find settings of nobody, and a list of fonts that the first of them makes.
    """
    place = tmp_path_factory.mktemp("examples")
    environment = os.environ | {
        "MPLCONFIGDIR": str(tmp_path_factory.mktemp("matplotlib")),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, EXAMPLES)],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return place, dict(line.split() for line in done.stdout.splitlines())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs the examples in forks")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, ended):
    place, status = ended
    assert status[example.name] == "0", (place / example.name / "complaints.txt").read_text()
    assert (place / example.name / "said.txt").read_text().strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_titled(example):
    text = example.read_text()
    title, line, *_ = ast.get_docstring(ast.parse(text)).splitlines()
    assert line == "=" * len(title)
    code = [
        line for line in text.split('"""', 2)[2].splitlines() if line.strip() and not line.startswith("#")
    ]
    assert len(code) <= 40
