"""Capacity of the recall model: recall as a function of its width, for many numbers of facts.

Every cell (subjects, relations) is trained at many widths and seeds at once, each run on random facts of its
own; the threshold is then read off the whole curve, not searched for. Runs of different width, and of
different cells where padding costs less than a step of its own, train in one fleet.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path

import polars as pl

from geomem.errors import InputError
from geomem.models.configuration import Recall, check_recall
from geomem.models.recall import RecallSize, count_trained, estimate_recall_cost
from geomem.runs.directory import run_path
from geomem.runs.job import check_seeds
from geomem.sweep.engines.work import Engine
from geomem.sweep.grid import MAXIMUM_RUNS, FactFleet, FactRun, pack_runs, recall_cost
from geomem.sweep.measured import FACT_MEASUREMENTS, fleet_state, is_memorized, train_and_measure
from geomem.sweep.parts import STEP_OVERHEAD, Parts, SweepProgress, choose_engine, complete_parts
from geomem.sweep.thresholds import ThresholdFit, Varied, fit_thresholds, tabulate_recall, tabulate_thresholds
from geomem.training.configuration import RecallTraining, RunSettings, check_training
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.facts.table import FactTable, entropy_bits

TYPICAL_BITS = 1.38
"""Bits that a weight holds at the threshold, on average over 18 cells (notes C1 on arXiv 2605.12426)."""

SPREAD = (0.6, 0.75, 0.85, 0.92, 1.0, 1.08, 1.17, 1.3, 1.5)
"""Widths of a cell, as multiples of the width that would hold `TYPICAL_BITS`."""

SCHEMA = {
    **dict.fromkeys(("subjects", "relations", "width", "mlp_width", "seed"), pl.Int64),
    **FACT_MEASUREMENTS,
}
"""One row per run; `weights` are those trained, `bits` the entropy of its facts."""


@dataclass(frozen=True, eq=False)
class Capacity:
    """Finished curves of capacity."""

    runs: pl.DataFrame
    """One row per run, with the columns of `SCHEMA`."""
    varied: Varied
    path: Path

    @cached_property
    def curves(self) -> pl.DataFrame:
        """Recall by size, as `tabulate_recall` says."""
        return tabulate_recall(self.runs, self.varied)

    @cached_property
    def thresholds(self) -> pl.DataFrame:
        """One row per cell, as `tabulate_thresholds` says."""
        return tabulate_thresholds(self.runs, self.varied)

    @cached_property
    def fit(self) -> ThresholdFit | None:
        """The law of the thresholds."""
        return fit_thresholds(self.thresholds)


@dataclass(frozen=True)
class CapacityRun:
    """One run of the grid, before its facts are drawn."""

    model: Recall
    subjects: int
    relations: int
    seed: int


def capacity_curves(
    subjects: Sequence[int] = (64, 128, 256),
    relations: Sequence[int] = (2, 4, 8, 16),
    *,
    sizes: Sequence[int] | None = None,
    varied: Varied = "width",
    neurons_per_width: int = 4,
    model: Recall | None = None,
    training: RecallTraining | None = None,
    facts: Callable[..., FactTable] = random_bijections,
    seeds: int | Sequence[int] = 3,
    directory: str | os.PathLike[str] = "capacity",
    processes: int | None = None,
    engine: Engine | None = None,
    device: str = "cpu",
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> Capacity:
    """Train the recall model at many widths per cell, and read off where it recalls every fact.

    `sizes` are the widths tried in every cell; by default those around the width whose weights would hold
    1.38 bits each. With `varied="width"` the MLP has `neurons_per_width` times as many neurons (0: none);
    with "mlp_width" the model's width stays and `sizes` are numbers of neurons. `facts(subjects, relations,
    world_seed=seed)` draws a run's facts; for a tied model their objects must be the subjects, as
    `random_permutations` draws them. Finished fleets are kept: an interrupted call goes on, and the same call
    again trains nothing. On a card one fleet is trained at a time unless `processes` is given.

    Raises `InputError` for invalid numbers, for a tied model of other objects, or, before any
    run starts, if the device is missing or its memory too small.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     found = capacity_curves([8], [2], sizes=[1, 8], training=RecallTraining(steps=100), seeds=2,
    ...         directory=directory, processes=1)
    >>> found.curves["width"].to_list(), found.thresholds["threshold"].to_list()
    ([1, 8], [8.0])
    """
    model, training = model or Recall(), training or RecallTraining()
    seeds = check_seeds(seeds)
    _check_numbers("subjects", subjects, least=2)
    _check_numbers("relations", relations, least=1)
    if neurons_per_width < 0:
        raise InputError(f"neurons_per_width is {neurons_per_width}; give a whole number of at least 0.")
    if model.hops > 1:
        raise InputError(f"hops is {model.hops}; capacity is measured for one hop, give hops 1.")
    if sizes is None and varied == "mlp_width":
        raise InputError("sizes is not given; give the numbers of neurons to try, as in 2, 8, 32, 128.")
    if sizes is not None:
        _check_numbers("sizes", sizes, least=1)
    check_training(training, subjects=min(subjects))

    def resize(size: int) -> Recall:
        if varied == "mlp_width":
            return replace(model, mlp_width=size)
        return replace(model, width=size, mlp_width=neurons_per_width * size)

    check_recall(resize(1))
    # Facts of the smallest cell stand for the function that draws them.
    smallest = facts(min(subjects), min(relations), world_seed=seeds[0])
    if model.tied and smallest.objects != smallest.subjects:
        raise InputError(
            f"A tied model reads out with its subjects, but the objects of {smallest.name!r} are others; "
            "give facts whose objects are the subjects, such as random_permutations, or tied=False."
        )
    runs = []
    for count, kinds in product(sorted(subjects), sorted(relations)):
        tried = (
            sizes if sizes is not None else likely_widths(resize, facts(count, kinds, world_seed=seeds[0]))
        )
        runs += [CapacityRun(resize(size), count, kinds, seed) for size in sorted(tried) for seed in seeds]
        if len(runs) > MAXIMUM_RUNS:
            raise InputError(
                f"There would be more than {MAXIMUM_RUNS:,} runs; give fewer tables, sizes or seeds."
            )
    draw = cache(lambda count, kinds, seed: facts(count, kinds, world_seed=seed))
    fleets = [_make_fleet(group, training, draw) for group in pack_runs(runs, step_arithmetic)]
    costs = [fleet.cost for fleet in fleets]
    largest = max(cost.memory_bytes for cost in costs)
    engine = choose_engine(engine, processes, fleet_bytes=largest, fleet_count=len(fleets), device=device)
    configuration = {
        "model": asdict(model),
        "training": asdict(training),
        "varied": varied,
        "runs": [
            [run.subjects, run.relations, run.model.width, run.model.mlp_width, run.seed] for run in runs
        ],
        "facts": smallest.digest,
    }
    path = run_path(directory, f"recall-capacity-{varied.replace('_', '-')}", configuration)
    parts = Parts(
        fleets,
        train_and_measure,
        fleet_state,
        schema=SCHEMA,
        run_counts=[len(fleet.runs) for fleet in fleets],
        arithmetic=[training.steps * (cost.flops_per_step + STEP_OVERHEAD) for cost in costs],
        memory_bytes=largest,
        is_memorized=is_memorized,
        device=device,
    )
    table = complete_parts(parts, path, configuration, engine=engine, on_progress=on_progress)
    return Capacity(table.sort("subjects", "relations", varied, "seed"), varied, path)


def likely_widths(resize: Callable[[int], Recall], table: FactTable) -> list[int]:
    """Widths around the one whose weights would hold `TYPICAL_BITS` each of the table's entropy.

    >>> likely_widths(lambda width: Recall(width=width, mlp_width=4 * width), random_bijections(64, 16))
    [7, 9, 10, 11, 12, 13, 14, 16, 18]
    """
    size = RecallSize(table.subject_count, table.relation_count, table.object_count)
    needed = entropy_bits(table) / TYPICAL_BITS
    middle = next(width for width in range(1, 100_000) if count_trained(resize(width), size) >= needed)
    widths = {max(1, round(factor * middle)) for factor in SPREAD}
    # Where one more is over a tenth, no whole number between may be left out.
    return sorted(range(min(widths), max(widths) + 1) if middle < 10 else widths)


def _make_fleet(
    group: Sequence[CapacityRun], training: RecallTraining, draw: Callable[[int, int, int], FactTable]
) -> FactFleet:
    """Runs that train together, with their facts."""
    runs = tuple(
        FactRun(
            draw(run.subjects, run.relations, run.seed),
            run.model,
            RunSettings(run.seed, training.learning_rate, training.weight_decay),
        )
        for run in group
    )
    cells = tuple(
        {
            "subjects": run.subjects,
            "relations": run.relations,
            "width": run.model.width,
            "mlp_width": run.model.mlp_width,
        }
        for run in group
    )
    return FactFleet(runs, training, cells, recall_cost(runs, training))


def step_arithmetic(runs: Sequence[CapacityRun]) -> int:
    """Arithmetic of a step of some runs in one fleet."""
    sizes = [RecallSize(run.subjects, run.relations, run.subjects) for run in runs]
    return estimate_recall_cost([run.model for run in runs], sizes).flops_per_step


def _check_numbers(name: str, values: Sequence[int], *, least: int) -> None:
    if not values or len(set(values)) < len(values) or min(values) < least:
        raise InputError(
            f"{name} is {list(values)}; give one or more different whole numbers of at least {least}."
        )
