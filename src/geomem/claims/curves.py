"""Curves of trainings that were experiments, read as those of fleets are: metrics by name, [row, run].

Axis names: `row` of the metrics, `run`, `place` in a list of settings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import spearmanr

from geomem.claims.check import Check, Picture, check, draw_bands
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence, MeasuredRuns, final

Imagined = Mapping[str, Mapping[str, float | Sequence[float | int]]]
"""Values of metrics by key and name: one for all rows, or one for every row."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The metrics of an experiment's trainings."""

    steps: Float[np.ndarray, " row"]
    """Epochs after which the metrics were written; row 0 is before any update."""
    metrics: Mapping[str, Float[np.ndarray, "row run"]]


def curves(evidence: Evidence, key: str) -> Curves:
    """The curves of one experiment, whose arrays are `key.epochs`, [row], and `key.metric`, [run, row]."""
    arrays = {
        name.removeprefix(f"{key}."): values
        for name, values in evidence.arrays.items()
        if name.startswith(f"{key}.")
    }
    return Curves(arrays.pop("epochs"), {name: values.T for name, values in arrays.items()})


def peak(run: MeasuredRuns, metric: str) -> Float[np.ndarray, " run"]:
    """The highest value of a metric in the training."""
    return run.metrics[metric].max(axis=0)


def first_step(run: MeasuredRuns, metric: str, *, at_least: float) -> Float[np.ndarray, " run"]:
    """The first recorded step with the metric at least so high; the last one if there is none.

    >>> runs = imagine_curves({"base": {"held_out.exact_match": [0.0, 0.5, 1.0]}}, epochs=8)
    >>> first_step(curves(runs, "base"), "held_out.exact_match", at_least=0.4)
    array([4., 4., 4.])
    """
    reached = run.metrics[metric] >= at_least
    return np.where(reached.any(axis=0), run.steps[reached.argmax(axis=0)], run.steps[-1])


def area(run: MeasuredRuns, metric: str) -> Float[np.ndarray, " run"]:
    """Mean of a metric over the training, by trapezoids."""
    return np.trapezoid(run.metrics[metric], run.steps, axis=0) / run.steps[-1]


def rank_correlation(
    values: Float[np.ndarray, "place run"], against: Float[np.ndarray, " place"] | None = None
) -> Float[np.ndarray, " run"]:
    """Spearman's correlation of the values with their places, or other numbers; 0 where nothing moves.

    >>> rank_correlation(np.array([[1.0, 3.0, 1.0], [2.0, 2.0, 1.0], [9.0, 1.0, 1.0]]))
    array([ 1., -1.,  0.])
    """
    places = np.arange(len(values)) if against is None else against
    return np.array(
        [spearmanr(places, run)[0] if np.ptp(run) and np.ptp(places) else 0.0 for run in values.T]
    )


def draw_curves(
    runs: Mapping[str, MeasuredRuns], metric: str, title: str, labels: Mapping[str, str] | None = None
) -> Picture:
    """Mean, lowest and highest value over seeds by epoch, a line for every key or for those with a label."""
    named = [(label, runs[key]) for key, label in (labels or {key: key for key in runs}).items()]
    lines = [(label, run.steps, run.metrics[metric]) for label, run in named]
    return draw_bands(lines, "epoch", title, series="training")


def imagine_curves(metrics: Imagined, *, epochs: int = 64, runs: int = 3) -> Evidence:
    """Curves that trainings might have given, as evidence.

    >>> imagine_curves({"base": {"retrieval": 0.5}}, runs=2).arrays["base.retrieval"]
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]])
    """
    made: dict[str, dict[str, np.ndarray]] = {}
    for key, own in metrics.items():
        rows = max((np.size(values) for values in own.values() if np.ndim(values)), default=3)
        made[key] = {name: np.full((runs, rows), values, dtype=float) for name, values in own.items()}
        made[key]["epochs"] = np.linspace(0.0, epochs, rows)
    return imagine_arrays(made)


def check_end(
    runs: Mapping[str, MeasuredRuns], metric: str, title: str, **bounds: Any
) -> Iterator[Check | Picture]:
    """The check that a metric of the first training ends within bounds; the others are reported beside it."""
    first, *others = runs
    yield check(title, final(runs[first], metric), **bounds)
    for key in others:
        yield check(f"{title}, {key}", final(runs[key], metric))
    yield draw_curves(runs, metric, title)
