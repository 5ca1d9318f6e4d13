"""The paper's sizes (Table 1) train on a processor: a step each at the real width, depth and vocabulary.

Of `paper-10000x6` it is a whole batch of the preset, whose memory has to stay below 8 GiB. Of the others it
is a few rows, of one model each: a whole batch of the largest has four times the arithmetic, and differs in
nothing but their number.
"""

import json
import os
import subprocess
import sys
from math import log
from pathlib import Path

import pytest

SIZES = {
    "paper-5000x5": (20_010, 29.0e6),
    "paper-10000x6": (50_010, 40.5e6),
    "paper-10000x10": (90_010, 159e6),
}
"""Vocabulary, and parameters of the Transformer, by B.0.2 and B.0.3."""

# Memory that is given back to the system is zeroed again for the next tensor: a third of the time.
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}


FEW_ROWS = ["paper-5000x5:mamba", "paper-10000x10:transformer"]


def take_steps(share, *wanted):
    """What came of the step of each PRESET:MODEL, one after the other in one process."""
    script = Path(__file__).with_name("preset_step.py")
    done = subprocess.run(
        [sys.executable, script, str(share), *wanted],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **KEEPING, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(wanted, map(json.loads, done.stdout.splitlines()), strict=True))


def check_step(step, preset, model):
    vocabulary, parameters = SIZES[preset]
    assert step["steps"] == [0, 1]
    assert step["vocabulary"] == vocabulary
    if model == "transformer":
        assert step["parameters"] == pytest.approx(parameters, rel=0.01)
    # Fresh weights guess among all tokens; a step on these very rows makes them likelier.
    before, after = step["losses"]
    assert before == pytest.approx(log(vocabulary), abs=0.5)
    assert 0 < after < before
    assert step["metrics_finite"]
    assert step["finite"]
    assert step["unchanged"] == []


@pytest.mark.science
@pytest.mark.parametrize("model", ["transformer", "mamba"])
def test_a_whole_step_of_the_middle_preset_fits_into_eight_gibibytes(model, report):
    step = take_steps(1, f"paper-10000x6:{model}")[f"paper-10000x6:{model}"]
    check_step(step, "paper-10000x6", model)
    # 7,500 paths, and 50,001 sources of which the root takes 313 rows of 32 edges, in 105 batches.
    assert step["rows"] == [480, 72]
    assert step["peak"] < 8 * 2**30
    report("peak GiB", step["peak"] / 2**30)


@pytest.fixture(scope="module")
def few_rows():
    """The steps of both presets with a 128th of a batch's rows."""
    return take_steps(128, *FEW_ROWS)


@pytest.mark.science
@pytest.mark.parametrize("wanted", FEW_ROWS)
def test_the_other_presets_take_a_step_of_a_few_rows(wanted, few_rows):
    check_step(few_rows[wanted], *wanted.split(":"))
