"""Trainings of path finding as experiments of claims, and what judges ask of their curves.

Axis names: `run`, `row` of the metrics, `place` in the answer or in a list of settings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from geomem.claims.claim import Judgement, Picture, Quantity, Scale, judge_by_means, measure_quantity
from geomem.claims.evidence import Evidence, imagine_arrays
from geomem.claims.experiment import Experiment, experiment
from geomem.models.configuration import MODELS, Model
from geomem.training.configuration import PathTraining
from geomem.worlds.graphs.families import path_star, tree_star
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding

STARS = {"path-star": path_star, "tree-star": tree_star}
"""The worlds that paths are found on, by family."""


@dataclass(frozen=True)
class PathSetting:
    """How one fleet is trained to find paths."""

    model: Model
    training: PathTraining
    task: PathFinding | InContextPathFinding
    """In context it is the world as well."""
    arms: int
    length: int
    family: str = "path-star"
    start: "PathSetting | None" = None
    """What the fleet is trained on before: its weights are the start (staged training)."""
    seconds: float = 10.0
    """About how long one seed takes on one core, without its start."""


def describe_setting(setting: PathSetting, seeds: Sequence[int]) -> dict[str, Any]:
    """The settings of `measure_paths`, as JSON can hold them."""
    kind = setting.model.name
    in_context = isinstance(setting.task, InContextPathFinding)
    world = {"family": setting.family, "arms": setting.arms, "length": setting.length}
    described = {
        "world": {"family": "in-context"} if in_context else world,
        "model": {"kind": kind, **asdict(setting.model)},
        "task": asdict(setting.task),
        "training": asdict(setting.training),
        "seeds": list(seeds),
    }
    if setting.start is not None:
        described["start"] = describe_setting(setting.start, seeds)
    return described


@experiment(version=1)
def measure_paths(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Every metric of a fleet of `find_paths` as [run, row], and `epochs` as [row].

    The fleet stays in the directory, so that an interrupted one goes on and a staged one shares its start.
    """
    from geomem.runs.store import fleet_metrics

    fleet = _train(settings, directory, device, on_progress)
    table = fleet_metrics(fleet).sort("metric", "run", "step")
    steps = table["step"].unique().sort().to_numpy()
    curves = {"epochs": steps / settings["training"]["batches"]}
    for (name,), part in table.group_by("metric"):
        curves[str(name)] = part.sort("run", "step")["value"].to_numpy().reshape(-1, len(steps))
    return curves


def _train(settings: Mapping[str, Any], directory: Any, device: str, on_progress: Callable[[float], None]):
    from geomem.runs.paths import find_paths
    from geomem.training.loop import Progress

    start = None
    if "start" in settings:
        start = _train(settings["start"], directory, device, lambda share: None)
    world, model = dict(settings["world"]), dict(settings["model"])
    kind, family = model.pop("kind"), world.pop("family")
    in_context = family == "in-context"

    def tell(event: object) -> None:
        if isinstance(event, Progress):
            on_progress(event.step / event.steps)

    return find_paths(
        InContextPathFinding(**settings["task"]) if in_context else STARS[family](**world),
        model=MODELS[kind](**model),
        task=None if in_context else PathFinding(**settings["task"]),
        training=PathTraining(**settings["training"]),
        seeds=settings["seeds"],
        directory=directory,
        device=device,
        start=start,
        on_progress=tell,
    )


def request_paths(
    settings: Mapping[str, PathSetting], *names: str
) -> Callable[[Scale], tuple[Experiment, ...]]:
    """The function a claim's `experiments` is: the settings of those names, which are the keys.

    >>> from geomem.claims.paths import SETTINGS
    >>> [experiment.key for experiment in request_paths(SETTINGS, "base", "mamba")(Scale("quick", (0, 1)))]
    ['base', 'mamba']
    """

    def request(scale: Scale) -> tuple[Experiment, ...]:
        return tuple(
            Experiment(
                name,
                measure_paths,
                describe_setting(settings[name], scale.seeds),
                settings[name].seconds * len(scale.seeds),
            )
            for name in names
        )

    return request


# What judges ask of curves.


def curve(evidence: Evidence, key: str, metric: str) -> Float[np.ndarray, "run row"]:
    """A metric of every run over the training."""
    return evidence.arrays[f"{key}.{metric}"]


def last(evidence: Evidence, key: str, metric: str) -> Float[np.ndarray, " run"]:
    """A metric after the last epoch."""
    return curve(evidence, key, metric)[:, -1]


def peak(evidence: Evidence, key: str, metric: str) -> Float[np.ndarray, " run"]:
    """The highest value of a metric in the training."""
    return curve(evidence, key, metric).max(axis=1)


def epochs_to(evidence: Evidence, key: str, metric: str, share: float) -> Float[np.ndarray, " run"]:
    """The first epoch that was looked at with the metric at least `share`; the last one without any.

    >>> evidence = imagine_paths({"base": {"held_out.exact_match": [0.0, 0.5, 1.0]}}, epochs=8)
    >>> epochs_to(evidence, "base", "held_out.exact_match", 0.4)
    array([4., 4., 4.])
    """
    reached = curve(evidence, key, metric) >= share
    epochs = evidence.arrays[f"{key}.epochs"]
    return np.where(reached.any(axis=1), epochs[reached.argmax(axis=1)], epochs[-1])


def area(evidence: Evidence, key: str, metric: str) -> Float[np.ndarray, " run"]:
    """Mean of a metric over the epochs of the training, by trapezoids."""
    epochs = evidence.arrays[f"{key}.epochs"]
    return np.trapezoid(curve(evidence, key, metric), epochs, axis=1) / epochs[-1]


def rank_correlation(values: Float[np.ndarray, "run place"]) -> Float[np.ndarray, " run"]:
    """Spearman's correlation of the values with their places; 0 where all values are the same.

    >>> rank_correlation(np.array([[1.0, 2.0, 9.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]))
    array([ 1., -1.,  0.])
    """
    ranks = rankdata(values, axis=1) - (values.shape[1] + 1) / 2
    places = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    lengths = np.sqrt((ranks**2).sum(axis=1) * (places**2).sum())
    return np.divide(ranks @ places, lengths, out=np.zeros(len(ranks)), where=lengths > 0)


def draw_curves(evidence: Evidence, keys: Mapping[str, str], metric: str, *, title: str) -> Picture:
    """Mean, lowest and highest value over seeds by epoch, a line for every key; `keys` names them."""
    parts = []
    for name, key in keys.items():
        values, epochs = curve(evidence, key, metric), evidence.arrays[f"{key}.epochs"]
        ends = {"low": values.min(axis=0), "high": values.max(axis=0)}
        parts.append(
            pl.DataFrame(
                {"epoch": epochs, title: values.mean(axis=0), **ends, "training": [name] * len(epochs)}
            )
        )
    return Picture(pl.concat(parts), "epoch", title, series="training")


def measure_last(
    evidence: Evidence,
    key: str,
    metric: str,
    title: str,
    *,
    holds: Callable[[Float[np.ndarray, " run"]], Bool[np.ndarray, " run"]] | None = None,
) -> Quantity:
    """The last value of a metric as a quantity, with the rule for single seeds if there is one."""
    values = last(evidence, key, metric)
    return measure_quantity(title, values, held=None if holds is None else holds(values))


def judge_reach(
    key: str, metric: str, least: float, *, what: str, beside: str = ""
) -> Callable[[Evidence], Judgement]:
    """The judge of a metric that has to end at `least`; `beside` is a training drawn with it."""

    def judge(evidence: Evidence) -> Judgement:
        reached = measure_last(evidence, key, metric, what, holds=lambda values: values >= least)
        keys = {key: key} | ({beside: beside} if beside else {})
        others = [measure_last(evidence, beside, metric, f"{what}, {beside}")] if beside else []
        return judge_by_means(
            reached,
            *others,
            sentence=f"The {what} ends at {{mean:.2f}} ({{low:.2f}} to {{high:.2f}}), at {least} or more on "
            "{held} of {seeds} seeds.",
            picture=draw_curves(evidence, keys, metric, title=what),
        )

    return judge


def imagine_paths(
    curves: Mapping[str, Mapping[str, float | Sequence[float | int]]], *, epochs: int = 64, runs: int = 3
) -> Evidence:
    """Curves that trainings might have given, by key and metric: the values of all rows, or of every row.

    >>> imagine_paths({"base": {"retrieval": 0.5}}, runs=2).arrays["base.retrieval"]
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]])
    """
    made: dict[str, dict[str, np.ndarray]] = {}
    for key, metrics in curves.items():
        rows = max((np.size(values) for values in metrics.values() if np.ndim(values)), default=3)
        made[key] = {name: np.full((runs, rows), values, dtype=float) for name, values in metrics.items()}
        made[key]["epochs"] = np.linspace(0.0, epochs, rows)
    return imagine_arrays(made)
