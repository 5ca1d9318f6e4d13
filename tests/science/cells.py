"""Trained fleets of many seeds on the tiny graphs, by the settings that claims ask for.

Seeds are 0 to 4, the first ones, never chosen by result. Of the runs of width 512 over 10,000 steps, of which
one takes half a minute, it is seed 0 alone and the first 2,000 steps: their rate is constant, so that these
are the beginning of the longer training, number for number.
Each fleet is trained once in a test run, in a directory that all its processes share.
"""

import time
from dataclasses import replace
from pathlib import Path

from bare_process import run_bare
from geomem.claims.evidence import Evidence, FleetEvidence, read_evidence
from geomem.claims.memorize_geometrically.tiny_graphs import tiny_graphs
from geomem.claims.need import FleetRequest, Scale
from geomem.runs.directory import RunLocked

SEEDS = tuple(range(5))
SCALE = Scale("full", SEEDS)

_trained: dict[tuple, FleetEvidence] = {}


def cell(name: str, directory: Path, *, seeds: tuple[int, ...] = SEEDS) -> FleetEvidence:
    """What the fleet of that setting and graph did, "transformer/star"."""
    setting, _, graph = name.partition("/")
    (request,) = tiny_graphs(setting, graphs=(graph,))(Scale("full", seeds))
    return outcome(request, directory)


def evidence(requests: tuple[FleetRequest, ...], directory: Path) -> Evidence:
    """What several fleets did, as the checks of claims look at it."""
    return Evidence({request.key: outcome(request, directory) for request in requests})


def outcome(request: FleetRequest, directory: Path) -> FleetEvidence:
    """What a fleet did."""
    if request.model.width == 512 and request.training.steps == 10_000:
        assert request.training.schedule == "constant"
        training = replace(request.training, steps=2_000, metric_every=50)
        request = replace(request, training=training, seeds=request.seeds[:1])
    key = (request.world.name, request.model, request.training, request.task, request.seeds)
    if key not in _trained:
        _trained[key] = run_bare(train, request, directory)
    return _trained[key]


def train(request: FleetRequest, directory: Path) -> FleetEvidence:
    """Train a fleet, or read it if any process has trained it."""
    import torch

    from geomem.runs.edges import memorize

    threads = torch.get_num_threads()
    while True:
        try:
            fleet = memorize(
                request.world,
                model=request.model,
                task=request.task,
                training=request.training,
                seeds=request.seeds,
                directory=directory,
            )
        except RunLocked:
            time.sleep(0.2)
        else:
            assert torch.get_num_threads() == threads
            return read_evidence(request, fleet)
