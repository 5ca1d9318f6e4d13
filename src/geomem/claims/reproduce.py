"""Check claims: do the work they need, each piece once, judge every claim, let nothing stop the others."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil, inf
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from geomem.claims.catalogue import find_claims
from geomem.claims.claim import Claim, Verdict, reach_verdict
from geomem.claims.evidence import gather_evidence, plan_request
from geomem.claims.exchange import exchange_model
from geomem.claims.experiment import Experiment, experiment_path, run_experiment, training_of
from geomem.claims.need import Computed, Cost, Scale
from geomem.errors import InputError
from geomem.files import make_parent
from geomem.models.architecture import Model
from geomem.models.own import Factory
from geomem.runs.checkpoint import tidy_finished
from geomem.runs.directory import DONE, is_finished
from geomem.sweep.engines.processes import Processes, find_engine
from geomem.sweep.engines.work import Engine, Outcomes, Work, describe_failure, finish

if TYPE_CHECKING:
    from geomem.runs.job import Job

LONG_SECONDS = 3600.0
"""An experiment that says it takes longer is timed by itself, where there is a card."""
CALL_SECONDS = 2e-6
CORE_FLOPS = 3e10
"""Multiplications and additions per second on one core of the machine the estimate was made on."""


@dataclass(frozen=True)
class Count:
    """How many fleets and how many experiments."""

    fleets: int = 0
    experiments: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.fleets + self.experiments


@dataclass(frozen=True)
class Plan:
    """What is about to happen, said before any work."""

    claims: tuple[Claim, ...]
    needed: Count
    """Work that the claims need together, each piece counted once."""
    missing: Count
    """That of it which is not in the store yet."""
    runs_to_train: int
    """Runs of the missing fleets."""
    processes: int
    seconds: float
    """Estimated time."""
    disk_bytes: int
    """Of the missing fleets; what experiments keep is small."""
    claim_seconds: dict[str, float]
    """Estimated time of the missing work of each claim, on one core; what two claims share counts twice."""


@dataclass(frozen=True)
class WorkDone:
    """A fleet is trained or an experiment measured, or failed."""

    path: Path
    error: str
    """Why it is not there, in a sentence; empty if it is."""
    done: int
    """Fleets and experiments that are done."""
    total: int
    share: float
    """Share of the estimated work that is done."""
    waiting: dict[str, Count]
    """For every claim that cannot be judged yet, what it waits for."""


ReproductionEvent = Plan | WorkDone | Verdict
"""What `on_event` is called with: the plan first, then work and verdicts as they come."""


@dataclass(eq=False)
class _Job:
    """A claim on its way to a verdict."""

    claim: Claim
    works: dict[str, Work] = field(default_factory=dict)
    """By the keys of its needs."""
    waiting: set[Path] = field(default_factory=set)
    error: str = ""


def reproduce(
    patterns: Sequence[str] = (),
    *,
    scale: Cost = "quick",
    seeds: int | Sequence[int] = 3,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    processes: int | None = None,
    engine: Engine | None = None,
    hours: float = inf,
    model: Model | Factory | str | None = None,
    claims: Iterable[Claim] | None = None,
    on_event: Callable[[ReproductionEvent], None] | None = None,
) -> tuple[Verdict, ...]:
    """Check the claims that any pattern matches (all without one); their verdicts, in the papers' order.

    Fleets and experiments are kept in `directory` and shared, between claims and with every later call; on a
    CPU several are worked on at once in `processes` (one per core if not given), or by another `engine` of
    `geomem.sweep.engines`. At the scale `quick` claims that cost more are left out. At `full` the cheapest
    claims come first.
    A `model`, also a factory as `memorize` takes it, stands where claims have a plain Transformer; those that
    have none are left out (`exchange_model`). A claim whose fleet, experiment, evidence or rule fails, or
    whose work does not fit into `hours`, is `not run`, with a sentence that says why. Times are estimated
    only where there is an `on_event`.

    Raises `InputError` for a pattern that matches nothing, for seeds or a device that cannot be, if no claim
    can be settled in `hours`, or if the disk is too small.

    >>> reproduce(["perpetuum*"])
    Traceback (most recent call last):
    geomem.errors.InputError: No claim matches 'perpetuum*'; `geomem reproduce --list` lists them.
    """
    from geomem.runs.environment import check_device, has_device
    from geomem.runs.job import check_seeds, find_model

    tell = on_event or (lambda event: None)
    if Path(directory).exists() and not Path(directory).is_dir():
        raise InputError(f"{directory} is a file; give --directory a place for run directories.")
    found = find_claims(patterns, claims)
    chosen = select_claims(found if model is None else exchange_model(found, find_model(model)), scale)
    jobs = [_Job(claim) for claim in chosen]
    sizes = Scale(scale, check_seeds(seeds))
    needed: dict[Path, Work] = {}
    for job in jobs:
        _plan_claim(job, sizes, directory, device)
        needed |= {work.path: needed.get(work.path, work) for work in job.works.values()}
    missing = {path: work for path, work in needed.items() if not is_finished(path)}
    for path in needed.keys() - missing.keys():
        tidy_finished(path)
    for job in jobs:
        job.waiting = {work.path for work in job.works.values()} & missing.keys()
    engine = find_engine(engine, processes if device == "cpu" else None, device)
    if isinstance(engine, Processes):
        check_device(device)
    with engine.connected(device) if missing else nullcontext(1) as workers:
        if on_event and missing and has_device(device):
            missing = time_works(missing, device)
        work_on = partial(finish, engine)
        return _settle(jobs, sizes, needed, missing, directory, work_on, workers, hours, tell)


def _settle(
    jobs: Sequence[_Job],
    sizes: Scale,
    needed: dict[Path, Work],
    missing: dict[Path, Work],
    directory: str | os.PathLike[str],
    work_on: Callable[[Sequence[Work]], Outcomes],
    workers: int,
    hours: float,
    tell: Callable[[ReproductionEvent], None],
) -> tuple[Verdict, ...]:
    """Let what fits into the hours be worked on, and judge every claim as soon as it can be."""
    from geomem.runs.directory import require_disk
    from geomem.runs.job import check_hours

    processes = min(workers, max(1, len(missing)))
    lacking = {
        job.claim.id: {path: missing[path].seconds for path in job.waiting} for job in jobs if job.waiting
    }
    cheapest, left_out = order_works(lacking, processes, hours)
    if len(left_out) == len(jobs):
        check_hours(min(_together(works.values(), processes) for works in lacking.values()), hours)
    for job in jobs:
        if job.claim.id in left_out:
            job.error = _no_time(_together(lacking[job.claim.id].values(), processes), hours)
            job.waiting = set()
    for path in missing.keys() - set(cheapest):
        del needed[path]
    missing = {path: missing[path] for path in cheapest}
    fleets = [work.task for work in missing.values() if not isinstance(work.task, Experiment)]
    seconds = sum(work.seconds for work in missing.values())
    plan = Plan(
        claims=tuple(job.claim for job in jobs),
        needed=_count(needed.values()),
        missing=_count(missing.values()),
        runs_to_train=sum(len(fleet.seeds) for fleet in fleets),
        processes=processes,
        seconds=_together([work.seconds for work in missing.values()], processes),
        disk_bytes=_disk_bytes(fleets, processes),
        claim_seconds={name: sum(each.values()) for name, each in lacking.items()},
    )
    tell(plan)
    require_disk(Path(directory) / "reproduce", plan.disk_bytes)
    if missing:
        make_parent(Path(directory) / "reproduce")

    verdicts: dict[str, Verdict] = {}

    def judge_ready() -> None:
        for job in jobs:
            if not job.waiting and job.claim.id not in verdicts:
                verdicts[job.claim.id] = verdict = _judge_claim(job, sizes, directory)
                tell(verdict)

    order = list(missing.values())
    if sizes.name == "quick":
        # The longest first, so that no process ends long after the others.
        order.sort(key=lambda work: -work.seconds)
    done: list[Path] = []
    try:
        with closing(work_on(order)) as outcomes:
            judge_ready()
            for outcome in outcomes:
                path, error = outcome.path, outcome.error
                done.append(path)
                for job in jobs:
                    if path in job.waiting:
                        job.waiting.discard(path)
                        job.error = job.error or error
                tell(
                    WorkDone(
                        path=path,
                        error=error,
                        done=len(done),
                        total=len(missing),
                        share=sum(missing[path].seconds for path in done) / seconds,
                        waiting={
                            job.claim.id: _count(missing[path] for path in job.waiting)
                            for job in jobs
                            if job.waiting
                        },
                    )
                )
                judge_ready()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {len(needed) - len(missing) + len(done)} of {len(needed)} "
            f"{name_work(plan.needed)} are kept, and the same command goes on"
        ) from None
    return tuple(verdicts[job.claim.id] for job in jobs)


def order_works(
    lacking: Mapping[str, Mapping[Path, float]], processes: int, hours: float
) -> tuple[list[Path], set[str]]:
    """Works in an order that settles many claims early, and the claims whose work does not fit into `hours`.

    `lacking` has the seconds of each work that a claim waits for. The next claim is always the one that
    lacks least when the works before it are done.

    >>> a, b, c = Path("a"), Path("b"), Path("c")
    >>> order_works({"large": {a: 5000.0}, "small": {b: 10.0, c: 20.0}, "shared": {b: 10.0}}, 1, hours=1.0)
    ([PosixPath('b'), PosixPath('c')], {'large'})
    """
    waiting = dict(lacking)
    chosen: dict[Path, float] = {}
    while waiting:
        more = {
            name: {path: seconds for path, seconds in works.items() if path not in chosen}
            for name, works in waiting.items()
        }
        name = min(more, key=lambda name: sum(more[name].values()))
        del waiting[name]
        together = chosen | dict(sorted(more[name].items(), key=lambda work: work[1]))
        if _together(together.values(), processes) <= 3600 * hours:
            chosen = together
    return list(chosen), {name for name, works in lacking.items() if not works.keys() <= chosen.keys()}


def _together(seconds: Collection[float], processes: int) -> float:
    """Time of works side by side; the longest cannot be shared between processes."""
    return max([sum(seconds) / processes, *seconds])


def _no_time(seconds: float, hours: float) -> str:
    alone = seconds / 3600
    advice = (
        f"give --hours {ceil(1.25 * alone)}"
        if alone > hours
        else "cheaper claims come first, and the same command again goes on"
    )
    return f"Its work would take about {alone:,.1f} hours, and {hours:g} are allowed in all; {advice}."


def select_claims(claims: Sequence[Claim], scale: Cost) -> tuple[Claim, ...]:
    """The claims that run at a scale; raises `InputError` if none does."""
    chosen = tuple(claim for claim in claims if scale == "full" or claim.cost == "quick")
    if not chosen:
        raise InputError(
            f"{' and '.join(claim.id for claim in claims) or 'No claim there'} cannot run with --quick; "
            "give --full, which wants a GPU and hours."
        )
    return chosen


def estimate_seconds(plan: "Job") -> float:
    """Time that a fleet would take on one core of our machine: every step costs calls, then arithmetic.

    A call of torch took 2 microseconds in fleets of three runs; an architecture says how many it makes.
    """
    calls = CALL_SECONDS * (plan.model.step_calls + plan.model.layers * plan.model.block_calls)
    return plan.steps * (calls + plan.cost.flops_per_step / CORE_FLOPS)


def time_works(works: dict[Path, Work], device: str) -> dict[Path, Work]:
    """The same works with the seconds that they take on this machine, by the first steps of three fleets."""
    from geomem.runs.environment import limit_threads
    from geomem.runs.pace import estimate_each, measure_pace

    def time_job(job: "Job") -> float:
        with limit_threads(1):
            return measure_pace(job.train, job.training, device=device).seconds(job.training)

    timed: dict[Path, float] = {}
    for work in works.values():
        # On a CPU these are hopeless, and so is a few steps' time of some of them.
        if device != "cpu" and work.seconds > LONG_SECONDS and (job := _training_of(work)):
            with suppress(Exception):  # whatever is wrong will be said when the work is done
                timed[work.path] = time_job(job)
    fleets = [work for work in works.values() if not isinstance(work.task, Experiment)]
    counted = np.array([work.seconds for work in fleets])
    slower = 1.0
    if fleets:
        each = estimate_each(counted, lambda number: time_job(cast("Job", fleets[number].task)))
        timed |= zip((work.path for work in fleets), each.tolist(), strict=True)
        # Experiments say what they take on the machine that the counted seconds are of.
        slower = float(each.sum() / counted.sum())
    return {
        path: replace(work, seconds=timed.get(path, work.seconds * slower)) for path, work in works.items()
    }


def _training_of(work: Work) -> "Job | None":
    return training_of(work.task) if isinstance(work.task, Experiment) else None


def _disk_bytes(plans: "Collection[Job]", processes: int) -> int:
    """What all fleets keep, and the checkpoints of as many as train at once."""
    checkpoints = sorted((plan.disk_bytes - plan.kept_bytes for plan in plans), reverse=True)
    return sum(plan.kept_bytes for plan in plans) + sum(checkpoints[:processes])


def name_work(count: Count) -> str:
    """What is counted, in the plural.

    >>> name_work(Count(fleets=2)), name_work(Count(fleets=1, experiments=1))
    ('fleets', 'fleets and experiments')
    """
    kinds = ["fleets"] * (count.fleets > 0) + ["experiments"] * (count.experiments > 0)
    return " and ".join(kinds)


def _count(works: Iterable[Work]) -> Count:
    experiments = [isinstance(work.task, Experiment) for work in works]
    return Count(fleets=experiments.count(False), experiments=experiments.count(True))


def _plan_claim(job: _Job, scale: Scale, directory: str | os.PathLike[str], device: str) -> None:
    perform = partial(perform_task, directory=Path(directory).absolute(), device=device)
    try:
        for need in job.claim.requests(scale):
            if isinstance(need, Computed):
                continue
            if need.key in job.works:
                raise ValueError(f"two fleets or experiments have the key {need.key}")
            if isinstance(need, Experiment):
                if not need.seconds > 0:
                    raise ValueError(f"experiment {need.key} says that it takes {need.seconds} s")
                work = Work(experiment_path(need, directory), need, perform, need.seconds, device, mark=DONE)
            else:
                plan = plan_request(need)
                path, seconds = plan.path(directory), estimate_seconds(plan)
                work = Work(path, plan, perform, seconds, device, plan.cost.memory_bytes, mark=DONE)
            job.works[need.key] = work
    except Exception as error:  # whatever is wrong with one claim must not stop the others
        job.error, job.works = describe_failure(error), {}


def perform_task(task: "Job | Experiment", *, directory: Path, device: str) -> None:
    """Train a fleet or measure an experiment, unless it is kept."""
    from geomem.runs.train import train

    if isinstance(task, Experiment):
        run_experiment(task, directory=directory, device=device)
    else:
        train(task, directory, device=device)


def _judge_claim(job: _Job, scale: Scale, directory: str | os.PathLike[str]) -> Verdict:
    if job.error:
        return Verdict(job.claim, "not run", job.error, None)
    try:
        evidence = gather_evidence(job.claim.requests(scale), directory)
        return reach_verdict(job.claim, job.claim.judge(evidence))
    except Exception as error:  # likewise
        return Verdict(job.claim, "not run", describe_failure(error), None)
