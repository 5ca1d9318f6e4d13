"""Experiments: what claims need besides fleets, measured once, kept in a directory and shared like fleets.

An experiment is a function at the top of a module with settings that JSON can hold. Its identity is the
function's full name, the version it declares and the settings; whatever has that identity is measured once.
`<directory>/<function>-<hash12>/` holds

| file | what |
|---|---|
| `manifest.json` | function, version, settings, seconds, shapes, versions, device, platform, git state |
| `arrays.safetensors` | the arrays by name |
| `DONE` | size and SHA-256 of each file above; written last |
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from geomem.errors import InputError
from geomem.files import json_file
from geomem.models.own import OwnModule
from geomem.runs.directory import (
    DONE,
    FORMAT,
    MANIFEST,
    array_file,
    canonical_json,
    check_directory,
    configuration_hash,
    damaged,
    is_finished,
    read_arrays,
    read_json,
    run_path,
    write_directory,
)

if TYPE_CHECKING:
    from geomem.runs.job import Job

ARRAYS = "arrays.safetensors"
FILES = (MANIFEST, ARRAYS)

Measure = Callable[..., Mapping[str, np.ndarray]]
"""`measure(settings, *, directory, device, on_progress)` gives arrays by name, [run] or [run, ...] where
there are seeds. `settings` is what JSON makes of the experiment's (lists for tuples); all randomness comes
from seeds in there. `directory` is where run directories are, so that it can keep runs of its own there and
go on with them; `on_progress` takes the share of its work that is done. It starts no processes."""

AnyMeasure = TypeVar("AnyMeasure", bound=Measure)


def experiment(
    *, version: int, name: str = "", training: "Callable[[Mapping[str, Any]], Job | None] | None" = None
) -> Callable[[AnyMeasure], AnyMeasure]:
    """Declare a function's version: raise it when the function would measure something else than before.

    `name` is its full name in its identity, if not the present one: experiments that were kept before a
    function moved to another module are then found again. `training(settings)` gives the run that takes
    nearly all of its time, if it is one, so that the time can be measured beforehand.

    >>> @experiment(version=2)
    ... def measure_squares(settings, *, directory, device, on_progress):
    ...     return {"squares": np.square(settings["numbers"])}
    >>> identify(Experiment("squares", measure_squares, {"numbers": (1, 2)}, seconds=0.1))["version"]
    2
    """

    def declare(measure: AnyMeasure) -> AnyMeasure:
        measure.version = version  # pyright: ignore[reportFunctionMemberAccess]
        measure.name = name  # pyright: ignore[reportFunctionMemberAccess]
        measure.training = training  # pyright: ignore[reportFunctionMemberAccess]
        return measure

    return declare


@dataclass(frozen=True, eq=False)
class Experiment:
    """An experiment that a claim needs; its judge finds an array of it as `evidence.arrays["key.name"]`.

    Two claims that ask for the same function with the same settings share it, whatever their keys; so take
    seeds from the scale and settings from constants of the group.
    """

    key: str
    measure: Measure
    """A function at the top of a module, with `@experiment(version=...)`."""
    settings: Mapping[str, Any]
    """Texts, numbers, lists and mappings; seeds included."""
    seconds: float
    """About how long it takes on one core; more than 0."""
    module: OwnModule | None = None
    """A person's module that the settings describe, whose factory goes to other processes with it."""


def identify(experiment: Experiment) -> dict[str, Any]:
    """What the experiment is, whichever claim asks: function, version, settings as JSON has them.

    Raises `ValueError` if the function is not at the top of a module or has no version, or if JSON cannot
    hold the settings.
    """
    measure, name = experiment.measure, getattr(experiment.measure, "__qualname__", "")
    if not name.isidentifier():
        raise ValueError(
            f"experiment {experiment.key}: {name or measure!r} is not a function at the top of a module"
        )
    version = getattr(measure, "version", None)
    if type(version) is not int:
        raise ValueError(f"experiment {experiment.key}: {name} lacks @experiment(version=...)")
    try:
        settings = json.loads(canonical_json(experiment.settings))
    except (TypeError, ValueError) as error:
        raise ValueError(f"experiment {experiment.key}: JSON cannot hold its settings ({error})") from error
    full = getattr(measure, "name", "") or f"{measure.__module__}.{name}"
    return {"experiment": full, "version": version, "settings": settings}


def training_of(experiment: Experiment) -> "Job | None":
    """The run that takes nearly all of an experiment's time; None if it does not say."""
    training = getattr(experiment.measure, "training", None)
    return training(identify(experiment)["settings"]) if training else None


def experiment_path(experiment: Experiment, directory: str | os.PathLike[str]) -> Path:
    """The directory it is kept in; experiments of one identity have one.

    Raises `ValueError` if the experiment has no identity.
    """
    configuration = identify(experiment)
    return run_path(directory, configuration["experiment"].rpartition(".")[2], configuration)


def run_experiment(
    experiment: Experiment,
    *,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    on_progress: Callable[[float], None] | None = None,
) -> dict[str, np.ndarray]:
    """Measure an experiment and keep its arrays, or read them if they were measured before.

    Nothing is written before all is measured: a killed one leaves an empty directory, beside whatever runs
    its function keeps itself.

    Raises `InputError` if what is kept is damaged, if another process is measuring it, or if the disk
    refuses; `ValueError` if the experiment has no identity or gives something else than arrays of numbers.

    >>> import tempfile
    >>> def measure_roots(settings, *, directory, device, on_progress):
    ...     print("measuring")
    ...     return {"roots": np.sqrt(settings["numbers"])}
    >>> roots = Experiment("roots", experiment(version=1)(measure_roots), {"numbers": [4, 9]}, seconds=0.1)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     once = run_experiment(roots, directory=directory)
    ...     again = run_experiment(roots, directory=directory)
    measuring
    >>> again["roots"]
    array([2., 3.])
    """
    from geomem.runs.directory import locked_run
    from geomem.runs.environment import describe_environment

    configuration = identify(experiment)
    path = experiment_path(experiment, directory)
    if not is_finished(path):
        with locked_run(path):
            if not is_finished(path):  # else whoever held the lock before measured it
                started, began = datetime.now(UTC).isoformat(timespec="seconds"), monotonic()
                measured = experiment.measure(
                    configuration["settings"],
                    directory=Path(directory),
                    device=device,
                    on_progress=on_progress or (lambda share: None),
                )
                arrays = _check_arrays(experiment, measured)
                manifest = {
                    "format": FORMAT,
                    "hash": configuration_hash(configuration),
                    "configuration": configuration,
                    "started": started,
                    "seconds": round(monotonic() - began, 3),
                    "arrays": {name: list(array.shape) for name, array in arrays.items()},
                    **describe_environment(device),
                }
                files = {MANIFEST: json_file(manifest), ARRAYS: array_file(arrays, {"format": str(FORMAT)})}
                write_directory(path, files)
    return read_experiment(experiment, directory)


def read_experiment(experiment: Experiment, directory: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an experiment that was measured before, by name.

    Raises `InputError`, one sentence that names the file, if the directory is missing, unfinished, changed
    since it was written, or another experiment's.
    """
    path = experiment_path(experiment, directory)
    if not is_finished(path):
        raise InputError(
            f"The experiment {path} is unfinished (no {DONE} in it); run the same command again to finish it."
        )
    check_directory(path, FILES)
    manifest = read_json(path / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise damaged(path / MANIFEST, f"it is not a manifest of format {FORMAT}")
    if manifest.get("configuration") != identify(experiment):
        raise damaged(path / MANIFEST, "it is that of another experiment")
    return read_arrays(path / ARRAYS)


def _check_arrays(experiment: Experiment, measured: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(array) for name, array in measured.items()}
    strange = [name for name, array in arrays.items() if array.dtype.kind not in "biuf"]
    if strange or not arrays:
        what = f"{strange[0]} is of {arrays[strange[0]].dtype}" if strange else "there are none"
        raise ValueError(f"experiment {experiment.key}: it should give arrays of numbers, but {what}")
    return arrays
