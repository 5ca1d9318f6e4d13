"""Small experiments for the tests; each call leaves a file, so that a test can count them."""

import os
import time
from pathlib import Path

import numpy as np
from small_claims import small_claim

from geomem.claims.claim import Claim, Judgement, judge_by_means, measure_quantity
from geomem.claims.evidence import Evidence, imagine_arrays
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


def judge_powers(evidence: Evidence) -> Judgement:
    power = evidence.arrays["powers.power"]
    return judge_by_means(
        measure_quantity("power", power, held=power == 1.0), sentence="The mean power is {mean:.2f}."
    )


def powers_claim(name: str, **changes) -> Claim:
    """A claim that an experiment is needed for; it holds."""
    return small_claim(
        name,
        **{
            "fleets": lambda scale: (),
            "experiments": lambda scale: (powers(seeds=scale.seeds),),
            "judge": judge_powers,
            "expected": (),
            "wrong": lambda requests: imagine_arrays({"powers": {"power": [2.0, 4.0]}}),
        }
        | changes,
    )
