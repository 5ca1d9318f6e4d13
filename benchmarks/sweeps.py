"""What a sweep costs beside its training: to begin fleets, to store their tables and to read them back.

2,000 configurations of 200 shapes, in two processes that have started before. What the two did not train is
the rest, the wait for the last fleet included; the same sweep again reads what is kept.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.row import Row
from geomem.models.configuration import Bilinear
from geomem.sweep import running, sweep
from geomem.sweep.measured import train_and_measure
from geomem.training.configuration import Training

PROCESSES = 2
WORLDS = ["cycle", "grid", "irregular", "path-star"]
AXES = {"width": list(range(4, 54)), "learning_rate": np.geomspace(1e-3, 1e-1, 10).tolist()}
STEPS = 500


def timed(log: Path, fleet, **hooks):
    """Train a fleet, and write down how long that took."""
    began = time.perf_counter()
    table = train_and_measure(fleet, **hooks)
    with log.open("a") as file:
        file.write(f"{time.perf_counter() - began}\n")
    return table


def rows() -> list[Row]:
    """The share of the training that all else takes."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "seconds.txt"
        running.train_and_measure = partial(timed, log)

        def train(name: str, widths: list[int]) -> tuple[float, int]:
            axes, training = AXES | {"width": widths}, Training(steps=STEPS)
            began, place = time.perf_counter(), Path(directory) / name
            found = sweep(
                WORLDS, Bilinear(), axes=axes, training=training, directory=place, processes=PROCESSES
            )
            return time.perf_counter() - began, len(found.table)

        train("started", [4])
        log.unlink()
        whole, runs = train("timed", AXES["width"])
        seconds = [float(line) for line in log.read_text().split()]
        again, _ = train("timed", AXES["width"])
    running.train_and_measure = train_and_measure
    rest = PROCESSES * whole - sum(seconds)
    share = (rest + again) / sum(seconds)
    return [
        Row(
            what=f"a sweep of {runs:,} configurations in {len(seconds)} fleets, {PROCESSES} processes: what "
            "is not training, and reading all of it back, as a share of the training",
            ours=f"{1000 * rest / len(seconds):.3g} ms a fleet, {again:.2g} s to read",
            theirs=f"{sum(seconds):.0f} s of training",
            ratio=share,
            required="under 5 %",
            holds=share < 0.05,
        )
    ]
