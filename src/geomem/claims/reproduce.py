"""Check claims: do the work they need, each piece once, judge every claim, let nothing stop the others."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import cpu_count

from geomem.claims.catalogue import find_claims
from geomem.claims.claim import Claim, Verdict, reach_verdict
from geomem.claims.evidence import Evidence, name_arrays, read_evidence
from geomem.claims.experiment import Experiment, experiment_path, read_experiment
from geomem.claims.need import Computed, Cost, FleetRequest, Scale
from geomem.claims.workers import Work, describe_failure, do_work
from geomem.errors import InputError
from geomem.runs.checkpoint import tidy_finished
from geomem.runs.directory import is_finished
from geomem.runs.run import read_run

if TYPE_CHECKING:
    from geomem.runs.job import Job

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
    needs: dict[str, FleetRequest | Experiment] = field(default_factory=dict)
    """By their keys."""
    works: dict[str, Work] = field(default_factory=dict)
    """By the same keys."""
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
    claims: Iterable[Claim] | None = None,
    on_event: Callable[[ReproductionEvent], None] | None = None,
) -> tuple[Verdict, ...]:
    """Check the claims that any pattern matches (all without one); their verdicts, in the papers' order.

    Fleets and experiments are kept in `directory` and shared, between claims and with every later call; on a
    CPU several are worked on at once in `processes` (one per core if not given). At the scale `quick` claims
    that cost more are left out. A claim whose fleet, experiment, evidence or rule fails is `not run`, with a
    sentence that says why.

    Raises `InputError` for a pattern that matches nothing, for seeds or a device that cannot be, or if the
    disk is too small.

    >>> reproduce(["perpetuum*"])
    Traceback (most recent call last):
    geomem.errors.InputError: No claim matches 'perpetuum*'; `geomem reproduce --list` lists them.
    """
    from geomem.runs.directory import require_disk
    from geomem.runs.job import check_seeds

    tell = on_event or (lambda event: None)
    if Path(directory).exists() and not Path(directory).is_dir():
        raise InputError(f"{directory} is a file; give --directory a place for run directories.")
    chosen = select_claims(find_claims(patterns, claims), scale)
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
    fleets = [work.task for work in missing.values() if not isinstance(work.task, Experiment)]
    if on_event:
        missing = _time_works(missing, device)
    seconds = sum(work.seconds for work in missing.values())
    processes = 1 if device != "cpu" else min(processes or cpu_count(), max(1, len(missing)))
    plan = Plan(
        claims=chosen,
        needed=_count(needed.values()),
        missing=_count(missing.values()),
        runs_to_train=sum(len(fleet.seeds) for fleet in fleets),
        processes=processes,
        # The longest cannot be shared between processes.
        seconds=max([seconds / processes, *(work.seconds for work in missing.values())]),
        disk_bytes=_disk_bytes(fleets, processes),
    )
    tell(plan)
    require_disk(Path(directory) / "reproduce", plan.disk_bytes)

    verdicts: dict[str, Verdict] = {}

    def judge_ready() -> None:
        for job in jobs:
            if not job.waiting and job.claim.id not in verdicts:
                verdicts[job.claim.id] = verdict = _judge_claim(job, sizes, directory)
                tell(verdict)

    # The longest first, so that no process ends long after the others.
    order = sorted(missing.values(), key=lambda work: -work.seconds)
    done: list[Path] = []
    try:
        with closing(do_work(order, directory, device, processes=processes)) as finished:
            judge_ready()
            for path, error in finished:
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
    return tuple(verdicts[claim.id] for claim in chosen)


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


def _time_works(works: dict[Path, Work], device: str) -> dict[Path, Work]:
    """The same works with the seconds that they take on this machine, by the first steps of three fleets."""
    from geomem.runs.environment import limit_threads
    from geomem.runs.pace import estimate_each, measure_pace

    jobs = [work for work in works.values() if not isinstance(work.task, Experiment)]
    if not jobs:
        return works

    def measure(number: int) -> float:
        job: Any = jobs[number].task
        with limit_threads(1):
            return measure_pace(job.train, job.training, device=device).seconds(job.training)

    counted = np.array([work.seconds for work in jobs])
    timed = estimate_each(counted, measure)
    found = dict(zip((work.path for work in jobs), timed.tolist(), strict=True))
    # Experiments say what they take on the machine that the counted seconds are of.
    slower = float(timed.sum() / counted.sum())
    return {
        path: replace(work, seconds=found.get(path, work.seconds * slower)) for path, work in works.items()
    }


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
    from geomem.runs.edges import edge_job

    try:
        for need in job.claim.requests(scale):
            if isinstance(need, Computed):
                continue
            if need.key in job.works:
                raise ValueError(f"two fleets or experiments have the key {need.key}")
            if isinstance(need, Experiment):
                if not need.seconds > 0:
                    raise ValueError(f"experiment {need.key} says that it takes {need.seconds} s")
                work = Work(experiment_path(need, directory), need, need.seconds)
            else:
                plan = edge_job(
                    need.world, model=need.model, task=need.task, training=need.training, seeds=need.seeds
                )
                work = Work(plan.path(directory), plan, estimate_seconds(plan))
            job.works[need.key], job.needs[need.key] = work, need
    except Exception as error:  # whatever is wrong with one claim must not stop the others
        job.error, job.works = describe_failure(error), {}


def _judge_claim(job: _Job, scale: Scale, directory: str | os.PathLike[str]) -> Verdict:
    if job.error:
        return Verdict(job.claim, "not run", job.error, None)
    try:
        fleets, measured = {}, {}
        for key, need in job.needs.items():
            if isinstance(need, Experiment):
                measured[key] = read_experiment(need, directory)
            else:
                fleets[key] = read_evidence(need, read_run(job.works[key].path))
        evidence = Evidence(fleets, {**name_arrays(measured), **job.claim.compute(scale)})
        return reach_verdict(job.claim, job.claim.judge(evidence))
    except Exception as error:  # likewise
        return Verdict(job.claim, "not run", describe_failure(error), None)
