"""`geomem doctor`: what this installation is, and whether it computes what it should."""

import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from warnings import catch_warnings, simplefilter

from rich.text import Text

from geomem.cli.console import open_console
from geomem.cli.options import parse_options
from geomem.cli.progress import format_seconds
from geomem.errors import InputError
from geomem.files import existing_place
from geomem.runs.directory import format_bytes

LEAST_PYTHON = (3, 11)
LEAST_FREE_DISK = 100_000_000
"""Bytes: some hundred small runs, or the demo and its report many times."""
LEAST_FREE_MEMORY = 1_000_000_000
"""Bytes: torch itself takes a third of it."""
STEPS = 1_000_000
"""Of a training that is only begun, for its speed."""


@dataclass(frozen=True)
class DoctorOptions:
    """Where runs would go."""

    directory: Path = Path("runs")
    """The directory whose disk is looked at."""
    device: str | None = None
    """cpu, cuda, or cuda:1, where a few steps are taken; the card if torch finds one."""


class CheckFailed(Exception):
    """A check did not hold; the message says what was found and what to do."""


class Noted(Exception):
    """A check holds, and the message says what could be better."""


def run(arguments: Sequence[str]) -> int:
    """Print a line per check; the exit status is 0 if all hold and 1 if not."""
    description = (
        "Check this installation: versions, memory, disk, devices, a training with a known result, speed."
    )
    options = parse_options(DoctorOptions, arguments, verb="doctor", description=description)
    console = open_console()
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("python", check_python),
        ("packages", check_packages),
        ("torch", lambda: check_torch(options.device)),
        ("memory", check_memory),
        ("disk", lambda: check_disk(options.directory)),
        ("training", lambda: check_training_result(options.device)),
        ("speed", lambda: check_speed(options.device)),
    )
    failed = 0
    for name, check in checks:
        try:
            word, style, found = "ok", "green", check()
        except Noted as note:
            word, style, found = "note", "yellow", str(note)
        # Whatever breaks is what a doctor is asked to find, so every error becomes a line.
        except Exception as error:
            failed += 1
            word, style = "failed", "bold red"
            told = isinstance(error, CheckFailed | InputError)
            found = str(error) if told else f"{type(error).__name__}: {error}"
        console.print(Text.assemble((f"{word:<7}", style), f"{name:<9} ", found), soft_wrap=True)
    console.print("All is well." if not failed else f"{failed} of {len(checks)} checks failed.")
    return 1 if failed else 0


def check_python() -> str:
    """The interpreter, which must be new enough."""
    found = f"{sys.version.split()[0]} on {sys.platform}"
    if sys.version_info < LEAST_PYTHON:
        raise CheckFailed(f"{found}; geomem needs Python {'.'.join(map(str, LEAST_PYTHON))} or newer")
    return found


def check_packages() -> str:
    """Versions of what geomem computes with; all must import."""
    from importlib import import_module
    from importlib.metadata import version

    from geomem.version import find_version

    names = ("numpy", "scipy", "networkx", "polars", "safetensors", "plotly", "matplotlib")
    for name in names:
        import_module(name)
    return ", ".join([f"geomem {find_version()}", *(f"{name} {version(name)}" for name in names)])


def check_torch(device: str | None) -> str:
    """The build of torch, its threads and devices; whether it fits the card, and has the device asked for."""
    from geomem.runs.environment import check_device, describe_devices, describe_misfit

    with catch_warnings():
        simplefilter("ignore")  # what torch warns of a driver is said in `describe_misfit`
        if device is not None:
            check_device(device)
        if misfit := describe_misfit():
            raise Noted(f"{describe_devices()}; {misfit}")
        return describe_devices()


def check_memory() -> str:
    """Memory that a training could take."""
    from geomem.runs.environment import available_memory

    free = available_memory()
    if free < LEAST_FREE_MEMORY:
        raise CheckFailed(
            f"{format_bytes(free)} free; close other programs, small runs need about 1 GB with torch"
        )
    return f"{format_bytes(free)} free"


def check_disk(directory: Path) -> str:
    """Disk for runs, which must be writable."""
    place = existing_place(directory)
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        raise CheckFailed(f"{place} cannot be written; choose another place with --directory")
    if free < LEAST_FREE_DISK:
        raise CheckFailed(f"{format_bytes(free)} free at {place}; free some space")
    return f"{format_bytes(free)} free at {place}"


def check_training_result(device: str | None) -> str:
    """Train, store and read back; recall must be perfect and the loss must reach what the facts allow.

    On a cycle every node has two neighbours, so no model can do better than a loss of log 2.
    """
    from geomem.runs.edges import memorize
    from geomem.runs.environment import find_device
    from geomem.training.configuration import Training

    began, device = monotonic(), find_device(device)
    with tempfile.TemporaryDirectory() as directory:
        training = Training(steps=300, metric_every=300)
        fleet = memorize(
            "cycle", model="bilinear", training=training, seeds=1, directory=directory, device=device
        )
        last = {name: values[0] for name, values in fleet.final().items()}
    found = (
        f"a cycle of 15 nodes: recalled {last['associative_accuracy']:.3f} (expected 1.000), "
        f"loss {last['loss']:.4f} (expected {math.log(2):.4f}), {format_seconds(monotonic() - began)}"
    )
    if last["associative_accuracy"] < 1 or abs(last["loss"] - math.log(2)) > 0.01:
        raise CheckFailed(f"{found}; please report this with the lines above")
    return found


def check_speed(device: str | None) -> str:
    """Steps per second of every architecture, by the first steps of three runs with its own defaults."""
    from geomem.models.configuration import MODELS
    from geomem.runs.edges import edge_job
    from geomem.runs.environment import find_device, limit_threads
    from geomem.runs.facts import fact_job
    from geomem.runs.pace import measure_pace
    from geomem.training.configuration import RecallTraining, Training
    from geomem.worlds.facts.families import random_bijections

    device = find_device(device)
    # So long that half a second of each is timed.
    edges, facts = Training(steps=STEPS, metric_every=STEPS), RecallTraining(steps=STEPS, metric_every=STEPS)
    jobs = {kind.title: edge_job("path-star", model=kind(), training=edges) for kind in MODELS.values()}
    jobs["Recall"] = fact_job(random_bijections(64, 4), training=facts)
    speeds = []
    for title, job in jobs.items():
        with limit_threads(1):
            pace = measure_pace(job.train, job.training, device=device)
        speeds.append(f"{title} {1 / pace.step:,.0f}")
    return f"steps/s of 3 runs on {device}: {', '.join(speeds)}"
