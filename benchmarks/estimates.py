"""What is estimated before ten jobs, against what they take: seconds, and memory beside the libraries.

Every job has a process of its own. Seconds are those after the announcement; memory is the highest resident
size less that before the job, and for jobs in several processes that of each of these as well. Estimates are
promised within a factor of two.
"""

import json
import subprocess
import sys

from benchmarks.row import Row

JOBS = {
    "memorize, Transformer of width 32": "edges(grid(8, 8), Transformer(), 20_000)",
    "memorize, Transformer of width 256": "edges(path_star(50, 5), Transformer(width=256, layers=4), 60)",
    "memorize, Mamba of width 64": "edges(grid(15, 15), Mamba(width=64), 200)",
    "memorize, GRU of width 128, 2 layers": "edges(grid(15, 15), Gru(width=128, layers=2), 150)",
    "memorize, Node2Vec on 1,600 nodes": "edges(grid(40, 40), Node2Vec(), 150)",
    "memorize, associative control": "edges(grid(30, 30), Associative(), 150)",
    "paths, 200 arms of 4": "paths(path_star(200, 4), 40)",
    "paths, 1,000 arms of 4": "paths(path_star(1000, 4), 8)",
    "paths in context": "paths(InContextPathFinding(arms=2, length=5), 4)",
    "learn, 16,384 facts": "facts(random_bijections(4096, 4), 40)",
    "capacity, 6 cells of 4 widths": "widths([64, 128, 256], [4, 8], [4, 8, 12, 16], 600)",
    "sweep, 64 rates by 3 widths": "rates(grid(5, 5), 64, [16, 32, 64], 1000)",
}
"""By what is shown: what the process calls."""

PROGRAM = """
import json, resource, sys, tempfile
from time import perf_counter

import numpy as np
import torch

import geomem.runs.train
from geomem.models.configuration import *
from geomem.runs.edges import memorize
from geomem.runs.facts import learn_facts
from geomem.runs.paths import find_paths
from geomem.sweep import sweep
from geomem.sweep.capacity import capacity_curves
from geomem.training.configuration import *
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.graphs.families import *
from geomem.worlds.in_context import InContextPathFinding

told = []


def tell(event):
    told.append((perf_counter(), event)) if not told else None


def edges(world, model, steps):
    memorize(world, model=model, training=Training(steps=steps), **common)


def paths(world, epochs):
    training = PathTraining(epochs=epochs, warmup_steps=1, stop_at=0.0)
    find_paths(world, training=training, seeds=2, **common)


def facts(table, steps):
    learn_facts(table, training=RecallTraining(steps=steps, metric_every=10), **common)


def widths(subjects, relations, sizes, steps):
    training = RecallTraining(steps=steps)
    capacity_curves(subjects, relations, sizes=sizes, training=training, processes=2, **common)


def rates(world, count, widths, steps):
    axes = {"learning_rate": np.geomspace(1e-3, 1e-1, count).tolist(), "width": widths}
    sweep(world, axes=axes, training=Training(steps=steps), processes=2, **common)


def peak(who=resource.RUSAGE_SELF):
    return 1024 * resource.getrusage(who).ru_maxrss


with tempfile.TemporaryDirectory() as directory:
    common = {"directory": directory, "on_progress": tell}
    before = peak()
    eval(sys.argv[1])
    seconds, memory = perf_counter() - told[0][0], peak() - before
event = told[0][1]
if hasattr(event, "job"):
    estimates = event.seconds, event.job.cost.memory_bytes
else:
    estimates = event.seconds_left, event.memory_bytes
    if event.processes > 1:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown()
        memory += event.processes * peak(resource.RUSAGE_CHILDREN)
print(json.dumps([*estimates, seconds, memory]))
"""


def rows() -> list[Row]:
    """Two rows for every job: seconds and memory, measured over estimated."""
    found = []
    for what, call in JOBS.items():
        command = [sys.executable, "-c", PROGRAM, call]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        said_seconds, said_bytes, seconds, memory = json.loads(done.stdout.splitlines()[-1])
        for unit, said, took in (("s", said_seconds, seconds), ("MB", said_bytes / 1e6, memory / 1e6)):
            found.append(
                Row(
                    what=what,
                    ours=f"{said:.3g} {unit} said",
                    theirs=f"{took:.3g} {unit} taken",
                    ratio=said / took,
                    required="0.5 to 2",
                    holds=0.5 <= said / took <= 2,
                )
            )
    return found
