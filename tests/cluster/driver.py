"""A small sweep by any engine, whose workers write down which fleet they begin and end; for cluster tests.

`python driver.py ADDRESS DIRECTORY FLEETS` is the sweep by Ray, as a process that can be killed.
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

from geomem.models.configuration import Bilinear
from geomem.sweep import running, sweep
from geomem.sweep.engines import Ray
from geomem.sweep.measured import train_and_measure
from geomem.training.configuration import Training

PACE = 0.1
"""Seconds that a fleet waits, so that it can be killed while it is in hand."""


def measure(log: Path, pace: float, fleet, **hooks):
    """Train a fleet and write down when it began and ended, and in which process."""
    width = fleet.model.width
    note(log, f"begin {width} {os.getpid()}")
    time.sleep(pace)
    table = train_and_measure(fleet, **hooks)
    note(log, f"end {width} {os.getpid()}")
    return table


def note(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(f"{text}\n")


def train_fleets(engine, directory: Path, fleets: int, pace: float = PACE):
    """One fleet per width, from 4 on, four runs each; the log lies beside the directory."""
    running.train_and_measure = partial(measure, directory.absolute().with_suffix(".log"), pace)
    axes = {"width": list(range(4, 4 + fleets)), "learning_rate": [0.01, 0.03]}
    training = Training(steps=40, metric_every=10)
    return sweep(
        "cycle", Bilinear(), axes=axes, training=training, seeds=2, engine=engine, directory=directory
    )


def read_log(directory: Path) -> list[tuple[str, int, int]]:
    """What was begun and ended: the word, the fleet's width and the process."""
    log = directory.with_suffix(".log")
    lines = log.read_text().splitlines() if log.exists() else []
    return [(word, int(width), int(process)) for word, width, process in map(str.split, lines)]


if __name__ == "__main__":
    from driver import train_fleets  # by the name that workers know

    address, directory, fleets = sys.argv[1:]
    train_fleets(Ray(address), Path(directory), int(fleets))
