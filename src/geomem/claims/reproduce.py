"""Check claims: train the fleets they need, each once, judge every claim, let nothing stop the others."""

import os
import signal
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from geomem.claims.catalogue import find_claims
from geomem.claims.claim import Claim, Cost, FleetRequest, Scale, Verdict, reach_verdict
from geomem.claims.evidence import Evidence, read_evidence
from geomem.errors import InputError
from geomem.models.configuration import Mamba, Node2Vec, Transformer
from geomem.store import is_finished, read_fleet

if TYPE_CHECKING:
    from geomem.plan import FleetPlan

CORE_FLOPS = 3e10
"""Multiplications and additions per second on one core of the machine the estimate was made on."""


@dataclass(frozen=True)
class Plan:
    """What is about to happen, said before the first fleet."""

    claims: tuple[Claim, ...]
    fleet_count: int
    """Fleets that the claims need together, each counted once."""
    fleets_to_train: int
    """Those of them that are not in the store yet."""
    runs_to_train: int
    processes: int
    seconds: float
    """Estimated time."""
    disk_bytes: int


@dataclass(frozen=True)
class FleetDone:
    """A fleet is trained, or failed."""

    path: Path
    error: str
    """Why it is not there, in a sentence; empty if it is."""
    done: int
    """Fleets that are done."""
    total: int
    share: float
    """Share of the estimated work that is done."""
    waiting: dict[str, int]
    """For every claim that cannot be judged yet, the number of fleets it waits for."""


Trained = Generator[tuple[Path, str], None, None]
"""Paths of fleets as they end, each with what went wrong, or an empty text."""

ReproductionEvent = Plan | FleetDone | Verdict
"""What `on_event` is called with: the plan first, then fleets and verdicts as they come."""


@dataclass(eq=False)
class _Job:
    """A claim on its way to a verdict."""

    claim: Claim
    plans: "dict[str, FleetPlan]" = field(default_factory=dict)
    requests: dict[str, FleetRequest] = field(default_factory=dict)
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
    """Check the claims that any pattern matches (all without one); their verdicts, in the paper's order.

    Fleets are kept in `directory` and shared, between claims and with every later call; on a CPU several
    train at once in `processes` (one per core if not given). At the scale `quick` claims that cost more are
    left out. A claim whose fleet, evidence or rule fails is `not run`, with a sentence that says why.

    Raises `InputError` for a pattern that matches nothing, for seeds or a device that cannot be, or if the
    disk will not do.

    >>> reproduce(["perpetuum*"])
    Traceback (most recent call last):
    geomem.errors.InputError: No claim matches 'perpetuum*'; `geomem reproduce --list` lists them.
    """
    from geomem.checkpoint import require_disk
    from geomem.plan import check_seeds

    tell = on_event or (lambda event: None)
    if Path(directory).exists() and not Path(directory).is_dir():
        raise InputError(f"{directory} is a file; give --directory a place for run directories.")
    chosen = select_claims(find_claims(patterns, claims), scale)
    jobs = [_Job(claim) for claim in chosen]
    sizes = Scale(scale, check_seeds(seeds))
    needed: dict[Path, FleetPlan] = {}
    for job in jobs:
        _plan_claim(job, sizes, directory, device, needed)
    missing = {path: plan for path, plan in needed.items() if not is_finished(path)}
    for job in jobs:
        job.waiting = {plan.path for plan in job.plans.values()} & missing.keys()
    work = {path: estimate_seconds(plan) for path, plan in missing.items()}
    processes = 1 if device != "cpu" else min(processes or cpu_count(), max(1, len(missing)))
    plan = Plan(
        claims=chosen,
        fleet_count=len(needed),
        fleets_to_train=len(missing),
        runs_to_train=sum(len(plan.seeds) for plan in missing.values()),
        processes=processes,
        # The longest fleet cannot be shared between processes.
        seconds=max(sum(work.values()) / processes, max(work.values(), default=0.0)),
        disk_bytes=_disk_bytes(missing.values(), processes),
    )
    tell(plan)
    require_disk(Path(directory) / "reproduce", plan.disk_bytes)

    verdicts: dict[str, Verdict] = {}

    def judge_ready() -> None:
        for job in jobs:
            if not job.waiting and job.claim.id not in verdicts:
                verdicts[job.claim.id] = verdict = _judge_claim(job, sizes)
                tell(verdict)

    # The longest first, so that no process ends long after the others.
    order = [missing[path] for path in sorted(work, key=lambda path: -work[path])]
    done: list[Path] = []
    try:
        with closing(_train_fleets(order, directory, device, processes)) as finished:
            judge_ready()
            for path, error in finished:
                done.append(path)
                for job in jobs:
                    if path in job.waiting:
                        job.waiting.discard(path)
                        job.error = job.error or error
                tell(
                    FleetDone(
                        path=path,
                        error=error,
                        done=len(done),
                        total=len(missing),
                        share=sum(work[path] for path in done) / sum(work.values()),
                        waiting={job.claim.id: len(job.waiting) for job in jobs if job.waiting},
                    )
                )
                judge_ready()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {len(needed) - len(missing) + len(done)} of {len(needed)} fleets are kept, "
            "and the same command goes on"
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


def estimate_seconds(plan: "FleetPlan") -> float:
    """Time that training a fleet takes on one core: every step costs calls, then arithmetic.

    The calls were timed for fleets of three runs: 1.6 ms per step for one layer of a Transformer, 2.3 for
    Mamba, 0.4 for bilinear models, 0.04 for Node2Vec's closed form.
    """
    match plan.model:
        case Node2Vec():
            calls = 4e-5
        case Transformer(layers=layers):
            calls = 5e-4 + 1.1e-3 * layers
        case Mamba(layers=layers):
            calls = 5e-4 + 1.8e-3 * layers
        case _:
            calls = 4e-4
    return plan.training.steps * (calls + plan.cost.flops_per_step / CORE_FLOPS)


def _disk_bytes(plans: "Collection[FleetPlan]", processes: int) -> int:
    """What all fleets keep, and the checkpoints of as many as train at once."""
    checkpoints = sorted((plan.disk_bytes - plan.kept_bytes for plan in plans), reverse=True)
    return sum(plan.kept_bytes for plan in plans) + sum(checkpoints[:processes])


def _plan_claim(
    job: _Job,
    scale: Scale,
    directory: str | os.PathLike[str],
    device: str,
    needed: "dict[Path, FleetPlan]",
) -> None:
    from geomem.plan import plan_fleet

    try:
        for request in job.claim.fleets(scale):
            if request.key in job.requests:
                raise ValueError(f"two fleets have the key {request.key}")
            plan = plan_fleet(
                request.world,
                model=request.model,
                task=request.task,
                training=request.training,
                seeds=request.seeds,
                directory=directory,
                device=device,
            )
            job.requests[request.key], job.plans[request.key] = request, plan
    except Exception as error:  # whatever is wrong with one claim must not stop the others
        job.error, job.plans = describe_failure(error), {}
    needed |= {plan.path: needed.get(plan.path, plan) for plan in job.plans.values()}


def _judge_claim(job: _Job, scale: Scale) -> Verdict:
    if job.error:
        return Verdict(job.claim, "not run", job.error, None)
    try:
        fleets = {
            key: read_evidence(job.requests[key], read_fleet(plan.path)) for key, plan in job.plans.items()
        }
        arrays = job.claim.compute(scale) if job.claim.compute else {}
        return reach_verdict(job.claim, job.claim.judge(Evidence(fleets, arrays)))
    except Exception as error:  # likewise
        return Verdict(job.claim, "not run", describe_failure(error), None)


def describe_failure(error: Exception) -> str:
    """An exception as one sentence: an `InputError`'s own, else its type and text.

    >>> describe_failure(ZeroDivisionError("division by zero"))
    'It failed with ZeroDivisionError: division by zero.'
    """
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return text
    return f"It failed with {type(error).__name__}{f': {text}' if text else ''}".rstrip(".") + "."


def _train_fleet(plan: "FleetPlan", directory: str | os.PathLike[str], device: str) -> tuple[Path, str]:
    from geomem.memorize import memorize

    try:
        memorize(
            plan.graph,
            model=plan.model,
            task=plan.task,
            training=plan.training,
            seeds=plan.seeds,
            directory=directory,
            device=device,
        )
    except Exception as error:  # the claims that need this fleet are not run, the others are
        return plan.path, describe_failure(error)
    return plan.path, ""


def _train_fleet_alone(plan: "FleetPlan", directory: str | os.PathLike[str], device: str) -> tuple[Path, str]:
    # Ctrl-C goes to every process of the terminal; the parent alone answers it, on every system.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _train_fleet(plan, directory, device)


def _train_fleets(
    plans: "Sequence[FleetPlan]", directory: str | os.PathLike[str], device: str, processes: int
) -> Trained:
    """Train fleets, in this process or in several; give the path of each as it ends, and what went wrong.

    Other processes begin at once, this one when it is asked for the first.
    """
    if processes <= 1:
        return (_train_fleet(plan, directory, device) for plan in plans)
    return _collect(_start_workers(plans, directory, device, processes), plans, directory, device)


def _collect(
    started: Trained,
    plans: "Sequence[FleetPlan]",
    directory: str | os.PathLike[str],
    device: str,
) -> Trained:
    left = {plan.path: plan for plan in plans}
    try:
        for path, error in started:
            del left[path]
            yield path, error
    except TerminatedWorkerError:
        # Whoever it was, it takes no other fleet with it when it trains alone.
        for path, plan in left.items():
            try:
                yield from _start_workers([plan], directory, device, 2)
            except TerminatedWorkerError:
                yield path, f"The process that trained {path} was killed; perhaps memory ran out."


def _start_workers(
    plans: "Sequence[FleetPlan]", directory: str | os.PathLike[str], device: str, processes: int
) -> Trained:
    with _deaf_to_interrupts(), parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=processes, return_as="generator_unordered", batch_size=1)  # pyright: ignore[reportArgumentType]
        trained = parallel(delayed(_train_fleet_alone)(plan, directory, device) for plan in plans)
    return cast(Trained, trained)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that start meanwhile never hear Ctrl-C; this one hears it afterwards.

    A terminal sends it to every process, and one that is still importing would die with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
