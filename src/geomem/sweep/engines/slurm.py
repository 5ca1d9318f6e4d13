"""Slurm as an engine: job arrays through submitit, several works a job."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal

from geomem.errors import InputError
from geomem.files import partial_directory, system_errors
from geomem.sweep.engines.remote import describe_misfit, do_sent, import_engine, sent
from geomem.sweep.engines.work import RESUBMISSIONS, Outcome, Outcomes, Work, describe_loss

POLL_SECONDS = 1.0
"""Between two looks at the disk; Slurm itself is asked less often, by submitit."""

ENDING_SECONDS = 10.0
"""How long jobs may take to end when their works are done."""

ARRAY_JOBS = 1000
"""Jobs of an array at most: Slurm takes so many unless it is told otherwise (MaxArraySize 1001)."""

GIGABYTE = 1 << 30


@dataclass(frozen=True)
class Slurm:
    """Slurm, of whose cluster this machine is a login node: works as jobs of one core, and of one card each
    where the device is one. Whatever else a site wants (an account, a quality of service) sbatch reads from
    the environment, as in SBATCH_ACCOUNT.

    A job has so many works that it takes half of its time by the estimate. When a job ends before its works
    do, the one it had in hand gets a job of its own.

    >>> Slurm(partition="short", job_minutes=30)
    Slurm(partition='short', job_minutes=30, jobs=32, cluster='slurm')
    """

    partition: str = ""
    """The partition; Slurm's default if not given."""
    job_minutes: int = 60
    """The time limit of a job."""
    jobs: int = 32
    """Jobs at a time, at most; fewer works than that are a job each."""
    cluster: Literal["slurm", "local"] = "slurm"
    """`local` has jobs as processes of this machine, to try it out."""

    @contextmanager
    def connected(self, device: str) -> Iterator[int]:
        """See that Slurm is here, as `Engine.connected` says."""
        for name in ("job_minutes", "jobs"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a whole number of at least 1.")
        import_engine("submitit", "slurm")
        if self.cluster == "slurm" and not shutil.which("sbatch"):
            raise InputError("There is no sbatch here; run this on a login node of a Slurm cluster.")
        yield self.jobs

    def run(self, works: Sequence[Work]) -> Outcomes:
        """Do works, as `Engine.run` says."""
        if not works:
            return
        place = works[0].path.parent.absolute()
        # Only this person's: jobs and results go through it as submitit writes them.
        with system_errors(place, "written"), partial_directory(place) as folder:
            yield from self._run(works, folder)

    def _run(self, works: Sequence[Work], folder: Path) -> Outcomes:
        lost = Counter[Path]()
        left = {work.path: work for work in works}
        running = self._submit(deal_works(works, self.jobs, 30.0 * self.job_minutes), folder)
        try:
            while left:
                for path in [path for path, work in left.items() if work.is_done]:
                    del left[path]
                    yield Outcome(path, "done")
                for job in [job for job in running if job.done()]:
                    chunk = running.pop(job)
                    for outcome in _outcomes(job, chunk):
                        if left.pop(outcome.path, None):
                            yield outcome
                    if again := [work for work in chunk if work.path in left and not work.is_done]:
                        hurt, *others = again  # works of a job are done in order
                        lost[hurt.path] += 1
                        if lost[hurt.path] > RESUBMISSIONS:
                            yield describe_loss(left.pop(hurt.path))
                            running |= self._submit([others], folder)
                        else:
                            running |= self._submit([[hurt], others], folder)
                if left:
                    sleep(POLL_SECONDS)
            deadline = monotonic() + ENDING_SECONDS
            while monotonic() < deadline and not all(job.done() for job in running):
                sleep(POLL_SECONDS)
        finally:
            for job in running:
                if not job.done():
                    job.cancel(check=False)

    def _submit(self, chunks: Sequence[Sequence[Work]], folder: Path) -> dict[Any, Sequence[Work]]:
        chunks = [chunk for chunk in chunks if chunk]
        if not chunks:
            return {}
        submitit = import_engine("submitit", "slurm")
        executor = submitit.AutoExecutor(folder=folder, cluster=self.cluster)
        works = [work for chunk in chunks for work in chunk]
        needed = max(work.memory_bytes for work in works)
        settings = {
            "name": "geomem",
            "timeout_min": self.job_minutes,
            "cpus_per_task": 1,
            "gpus_per_node": int(works[0].device != "cpu"),
            "mem_gb": ceil(1.5 * needed / GIGABYTE) if needed else None,
            "slurm_partition": self.partition or None,
            "slurm_array_parallelism": self.jobs,
        }
        try:
            executor.update_parameters(**{name: value for name, value in settings.items() if value})
            jobs = executor.map_array(do_chunk, [[sent(work) for work in chunk] for chunk in chunks])
        except (RuntimeError, submitit.core.utils.FailedJobError) as error:
            why = (str(error).strip().splitlines() or ["sbatch failed"])[-1].strip()
            raise InputError(f"Slurm took no job ({why}); see to it and run this again.") from error
        return dict(zip(jobs, chunks, strict=True))


def deal_works(works: Sequence[Work], jobs: int, seconds: float) -> list[list[Work]]:
    """Works dealt to as many jobs as are wanted, or to more where one would take longer than `seconds`.

    Each goes to the job that has least to do so far, so that all end at about the same time.

    >>> works = [Work(Path(name), 0, abs, seconds) for name, seconds in [("a", 6.0), ("b", 4.0), ("c", 3.0)]]
    >>> [[work.path.name for work in job] for job in deal_works(works, 2, 99.0)]
    [['a'], ['b', 'c']]
    """
    wanted = max(jobs, ceil(sum(work.seconds for work in works) / seconds))
    chunks: list[list[Work]] = [[] for _ in range(min(wanted, len(works), ARRAY_JOBS))]
    taken = [0.0] * len(chunks)
    for work in works:
        least = min(range(len(chunks)), key=taken.__getitem__)
        chunks[least].append(work)
        taken[least] += work.seconds
    return chunks


def do_chunk(chunk: Sequence[tuple[Work, str, str]]) -> list[Outcome]:
    """Do the works of a job, one after the other; after a refusal no more."""
    outcomes = []
    for one in chunk:
        outcomes.append(do_sent(*one))
        if outcomes[-1].status == "refused":
            break
    return outcomes


def _outcomes(job: Any, chunk: Sequence[Work]) -> list[Outcome]:
    """What a job that ended says of its works; nothing if it was ended from outside."""
    submitit = import_engine("submitit", "slurm")
    try:
        return job.result()
    except submitit.core.utils.FailedJobError as error:
        return [describe_misfit(chunk[0], error)]
    except submitit.core.utils.UncompletedJobError:
        return []
