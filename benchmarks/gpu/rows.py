"""What is measured on a card, a row each; `python -m benchmarks.gpu.rows NAME SECONDS` does one of them.

A row runs in a process of its own, so that one that crashes or fills the memory takes no other with it. It
prints its numbers as JSON on the last line.
"""

import importlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from geomem.models.configuration import Model, Node2Vec, Recall, Transformer
from geomem.runs.edges import edge_job
from geomem.runs.facts import fact_job
from geomem.runs.job import Job
from geomem.runs.paths import find_paths, path_job
from geomem.runs.presets import PathPreset, find_preset, preset_model
from geomem.training.configuration import RecallTraining, Training, default_training
from geomem.training.loop import Progress
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.graphs.families import path_star

ROOT = Path(__file__).parents[2]
RUNS = Path(__file__).with_name("runs")
"""Where the fast presets are trained, so that one which was cut goes on."""

WARM_STEPS, TIMED_STEPS = 8, 20
STOP_SECONDS = 30
"""Before its limit a training is told to stop, so that it keeps a checkpoint."""

Numbers = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One thing to measure."""

    what: str
    seconds: int
    """What it may take."""
    measure: Callable[[str, float], Numbers]
    """Given a device and the seconds that are left; its numbers have `"unfinished": True` if it was cut."""


def run_gpu_tests(device: str, limit: float) -> Numbers:
    """How many of the tests marked `gpu` pass; fails if one does not."""
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    marks = ("mark.gpu", "tests.devices")
    files = [str(path) for path in tests if any(m in path.read_text(encoding="utf-8") for m in marks)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=limit,
    )
    if done.returncode:
        raise RuntimeError(" ".join(done.stdout.split()[-60:]))
    found = {word: int(count) for count, word in re.findall(r"(\d+) (passed|skipped)", done.stdout)}
    if not found.get("passed"):
        raise RuntimeError(f"no test was run, {found.get('skipped', 0)} were skipped")
    return found


class _Timed(Exception):
    """Ends a training that was only begun to be timed."""


def time_steps(job: Job, device: str) -> float:
    """Milliseconds of a step of a training, by steps after the first, without a wait between them."""
    done, times = 0, []

    def stop() -> bool:
        nonlocal done
        done += 1
        if done in (WARM_STEPS, WARM_STEPS + TIMED_STEPS):
            if device != "cpu":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter())
        if len(times) == 2:
            raise _Timed
        return False

    try:
        job.train(should_stop=stop, device=device)
    except _Timed:
        return 1000 * (times[1] - times[0]) / TIMED_STEPS
    raise RuntimeError(f"the training ended after {done} steps")


def ways() -> dict[str, Callable[[], AbstractContextManager[object]]]:
    """How a step may be taken, each a context: captured and not where this code has both."""
    try:
        capture: Any = importlib.import_module("geomem.training.capture")
    except ModuleNotFoundError:
        return {"uncaptured": nullcontext}
    uncaptured = getattr(capture, "uncaptured", None)
    return {"captured": nullcontext} | ({"uncaptured": uncaptured} if uncaptured else {})


@contextmanager
def products(precision: str) -> Iterator[None]:
    """Let torch round the factors of float32 products to TF32 meanwhile, or not."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "TF32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def time_preset(
    preset: PathPreset,
    model: Model,
    device: str,
    *,
    runs: int = 1,
    precisions: tuple[str, ...] = ("float32",),
) -> Numbers:
    """Milliseconds of a step by precision and way; a text where it failed."""
    numbers: Numbers = {}
    world = path_star(preset.arms, preset.length)
    for way, context in ways().items():
        for precision in precisions:
            name = f"{precision}, {way}, ms"
            kept: Any = "bfloat16" if precision == "bfloat16" else "float32"
            training = replace(preset.training, precision=kept)
            job = path_job(
                world,
                model=model,
                task=preset.task,
                training=training,
                seeds=runs,
                interventions=preset.interventions,
            )
            try:
                with context(), products(precision):
                    numbers[name] = round(time_steps(job, device), 2)
            except Exception as error:  # the other ways are measured all the same
                numbers[name] = f"failed ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
    if device != "cpu":
        numbers["peak memory, GB"] = round(torch.cuda.max_memory_allocated(device) / 1e9, 2)
    if not any(isinstance(number, float) for name, number in numbers.items() if name.endswith(" ms")):
        raise RuntimeError("; ".join(f"{name} {number}" for name, number in numbers.items()))
    return numbers


def time_trainings(job: Job, *devices: str) -> Numbers:
    """Seconds of a whole training on each device, at the first call and at the second."""
    numbers: Numbers = {}
    for device in devices:
        for call in ("first", "second"):
            began = time.perf_counter()
            job.train(device=device)  # its results come to the CPU, so it has ended
            numbers[f"{call} call on {device}, s"] = round(time.perf_counter() - began, 2)
    return numbers | ({"CPU threads": torch.get_num_threads()} if "cpu" in devices else {})


def train_preset(
    preset: PathPreset, device: str, limit: float, *, seeds: int = 3, directory: Path = RUNS
) -> Numbers:
    """What the seeds of a preset reach, at its end or after so many seconds; the next call goes on."""
    told: list[Progress] = []

    def tell(event: object) -> None:
        if isinstance(event, Progress):
            told.append(event)

    timer = threading.Timer(limit - STOP_SECONDS, signal.raise_signal, [signal.SIGINT])
    timer.start()
    (model,) = preset.models.values()
    began = time.perf_counter()
    try:
        fleet = find_paths(
            path_star(preset.arms, preset.length),
            model=model,
            task=preset.task,
            training=preset.training,
            seeds=seeds,
            interventions=preset.interventions,
            directory=directory,
            device=device,
            on_progress=tell,
        )
        step, metrics, unfinished = int(fleet.steps[-1]), fleet.final(), {}
    except KeyboardInterrupt:
        if not told:
            raise RuntimeError("the time did not suffice for a row of the metrics") from None
        step, metrics, unfinished = told[-1].step, told[-1].metrics, {"unfinished": True}
    finally:
        timer.cancel()
    reached = {
        f"held-out {title}": [
            round(float(value), 4) if isfinite(value) else str(value)
            for value in metrics[f"held_out.{metric}"]
        ]
        for title, metric in (("first hops", "first_hop"), ("whole paths", "exact_match"))
    }
    seconds = {"seconds": round(time.perf_counter() - began, 1)}
    return {"epoch": round(step / preset.training.batches)} | reached | seconds | unfinished


def _steps(preset: str, model: str, *precisions: str, runs: int = 1) -> Callable[[str, float], Numbers]:
    return lambda device, limit: time_preset(
        find_preset(preset), preset_model(preset, model), device, runs=runs, precisions=precisions
    )


def _training(preset: str) -> Callable[[str, float], Numbers]:
    return lambda device, limit: train_preset(find_preset(preset), device, limit)


def _whole(job: Callable[[], Job], *also: str) -> Callable[[str, float], Numbers]:
    return lambda device, limit: time_trainings(job(), device, *also)


def _tiny(model: Model, training: Training, runs: int) -> Callable[[], Job]:
    return lambda: edge_job(path_star(4, 5), model=model, training=training, seeds=runs)


def _recall(width: int) -> Callable[[], Job]:
    return lambda: fact_job(
        random_bijections(1024, 4), model=Recall(width=width), training=RecallTraining(steps=300), seeds=2
    )


EVERY = ("float32", "TF32", "bfloat16")

ROWS: dict[str, Row] = {
    "tests": Row("tests marked gpu", 120, run_gpu_tests),
    "middle-transformer": Row(
        "a step of paper-10000x6, Transformer", 75, _steps("paper-10000x6", "transformer", *EVERY)
    ),
    "middle-mamba": Row("a step of paper-10000x6, Mamba", 75, _steps("paper-10000x6", "mamba", *EVERY)),
    "middle-fast": Row("paper-10000x6-fast, 3 seeds", 100, _training("paper-10000x6-fast")),
    "small-fast": Row("paper-5000x5-fast, 3 seeds", 70, _training("paper-5000x5-fast")),
    "tiny-1024": Row(
        "1,024 Transformers on the tiny star, 500 steps", 60, _whole(_tiny(Transformer(), Training(), 1024))
    ),
    "tiny-64": Row(
        "64 Transformers on the tiny star, 500 steps", 40, _whole(_tiny(Transformer(), Training(), 64), "cpu")
    ),
    "headline": Row(
        "a step of headline, 3 runs", 30, _steps("headline", "transformer", "float32", "bfloat16", runs=3)
    ),
    "small-transformer": Row(
        "a step of paper-5000x5, Transformer", 60, _steps("paper-5000x5", "transformer", *EVERY)
    ),
    "small-mamba": Row("a step of paper-5000x5, Mamba", 60, _steps("paper-5000x5", "mamba", *EVERY)),
    "small-fleet": Row(
        "a step of paper-5000x5, Transformer, 4 runs",
        60,
        _steps("paper-5000x5", "transformer", *EVERY, runs=4),
    ),
    "large-transformer": Row(
        "a step of paper-10000x10, Transformer", 75, _steps("paper-10000x10", "transformer", "bfloat16")
    ),
    "large-mamba": Row("a step of paper-10000x10, Mamba", 75, _steps("paper-10000x10", "mamba", "bfloat16")),
    "node2vec-64": Row(
        "64 Node2Vec on the tiny star", 40, _whole(_tiny(Node2Vec(), default_training(Node2Vec()), 64))
    ),
    "recall-64": Row(
        "recall of 1,024 subjects, 4 relations, width 64, 300 steps, 2 runs", 60, _whole(_recall(64))
    ),
    "recall-256": Row(
        "recall of 1,024 subjects, 4 relations, width 256, 300 steps, 2 runs", 60, _whole(_recall(256))
    ),
}
"""What matters most first; a training that is cut goes on at the next call."""


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored behind a shell
    print(json.dumps(ROWS[sys.argv[1]].measure("cuda", float(sys.argv[2]))))
