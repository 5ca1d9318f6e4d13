"""Small experiments for the tests; each call leaves a file, so that a test can count them."""

import os
import time
from pathlib import Path

import numpy as np
from small_claims import small_claim

from geomem.claims.check import check
from geomem.claims.claim import Claim
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import Experiment, experiment


def leave_a_mark(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / f"call-{os.getpid()}-{time.monotonic_ns()}").touch()


def calls(directory: Path) -> int:
    return len(list(directory.glob("call-*")))


@experiment(version=1)
def measure_powers(settings, *, directory, device, on_progress):
    leave_a_mark(directory)
    on_progress(1.0)
    seeds = np.array(settings["seeds"])
    return {"power": settings["base"] ** seeds.astype(float), "draws": np.ones((len(seeds), 3), dtype=bool)}


@experiment(version=1)
def fail(settings, *, directory, device, on_progress):
    leave_a_mark(directory)
    raise RuntimeError("the training\nwent up in smoke.")


@experiment(version=1)
def give_up(settings, *, directory, device, on_progress):
    leave_a_mark(directory)
    raise KeyboardInterrupt


@experiment(version=1)
def sleep(settings, *, directory, device, on_progress):
    leave_a_mark(directory)
    time.sleep(settings["seconds"])
    return {"slept": np.array([settings["seconds"]])}


@experiment(version=1)
def keep_a_run(settings, *, directory, device, on_progress):
    """Holds a run directory that other experiments want as well, and fails unless it gets it."""
    from geomem.runs.directory import locked_run

    with locked_run(directory / "common-run"):
        time.sleep(settings["seconds"])
    return {"kept": np.array([1.0])}


@experiment(version=1)
def count_threads(settings, *, directory, device, on_progress):
    import torch

    return {"threads": np.array([torch.get_num_threads()])}


@experiment(version=1)
def give_texts(settings, *, directory, device, on_progress):
    return {"words": np.array(["a", "b"])}


@experiment(version=1)
def give_nothing(settings, *, directory, device, on_progress):
    return {}


def no_version(settings, *, directory, device, on_progress):
    return {"x": np.zeros(1)}


def powers(key: str = "powers", base: float = 1.0, seeds: tuple[int, ...] = (0, 1), **changes) -> Experiment:
    return Experiment(
        **{"key": key, "measure": measure_powers, "settings": {"base": base, "seeds": seeds}, "seconds": 1.0}
        | changes
    )


def check_powers(runs: Evidence):
    yield check("power", runs.arrays["powers.power"], at_least=1, at_most=1)


def powers_claim(name: str, *needs, **changes) -> Claim:
    """A claim that an experiment is needed for; it holds."""
    settings = {
        "checks": check_powers,
        "expected": (),
        "counterexample": lambda requests: imagine_arrays({"powers": {"power": [2.0, 4.0]}}),
    }
    needs = needs or (lambda scale: (powers(seeds=scale.seeds),),)
    return small_claim(name, *needs, **settings | changes)
