"""A Dask cluster as an engine: one future per work."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import gethostname
from typing import Any

from geomem.errors import InputError
from geomem.sweep.engines.remote import (
    CONNECT_SECONDS,
    check_address,
    describe_misfit,
    do_sent,
    import_engine,
    sent,
    unusable,
)
from geomem.sweep.engines.work import Outcome, Outcomes, Work, describe_loss

AHEAD, LEAST_AHEAD = 4, 32
"""Futures in Dask's hands for every worker, and at least: enough that no worker waits and a cluster grows."""


@dataclass(frozen=True)
class Dask:
    """A Dask cluster that runs, of workers with one thread; a card is a worker's resource GPU.

    Dask itself gives a work again whose worker was ended, three times unless its settings say otherwise.

    >>> Dask("tcp://127.0.0.1:8786").address
    'tcp://127.0.0.1:8786'
    """

    address: str
    """HOST:PORT of the scheduler, as in tcp://10.0.0.1:8786."""

    @contextmanager
    def connected(self, device: str) -> Iterator[int]:
        """Connect, as `Engine.connected` says."""
        check_address(self.address, "Dask scheduler", "tcp://10.0.0.1:8786")
        distributed = _import()
        try:
            client = distributed.Client(self.address, timeout=CONNECT_SECONDS, set_as_default=True)
        except Exception as error:
            raise unusable("Dask scheduler", self.address, error) from error
        with client:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            if device != "cpu" and not any(worker["resources"].get("GPU") for worker in workers):
                raise InputError(
                    f"No worker of the Dask scheduler at {self.address} has the resource GPU; start some "
                    "with --resources GPU=1, or give device cpu."
                )
            yield max(1, len(workers))

    def run(self, works: Sequence[Work]) -> Outcomes:
        """Do works, as `Engine.run` says."""
        distributed = _import()
        client = distributed.default_client()
        waiting = deque(works)
        ahead = max(LEAST_AHEAD, AHEAD * len(client.nthreads()))
        pending: dict[Any, Work] = {}
        ended = distributed.as_completed()

        def submit() -> None:
            work = waiting.popleft()
            resources = {"GPU": 1} if work.device != "cpu" else None
            future = client.submit(_do_here, *sent(work), pure=False, resources=resources)
            pending[future] = work
            ended.add(future)

        try:
            while waiting and len(pending) < ahead:
                submit()
            for future in ended:
                work = pending.pop(future)
                outcome = _outcome(future, work)
                future.release()  # Dask would do it again if what it keeps of it were lost
                if waiting:
                    submit()
                yield outcome
        finally:
            with suppress(Exception):
                client.cancel(list(pending), force=True)


def _do_here(work: Work, version: str, place: str) -> Outcome:
    threads = _import().get_worker().state.nthreads
    if threads > 1:
        error = f"The Dask worker on {gethostname()} has {threads} threads"
        return Outcome(work.path, "refused", f"{error}; start workers with --nthreads 1, one for every core.")
    return do_sent(work, version, place)


def _outcome(future: Any, work: Work) -> Outcome:
    distributed = _import()
    try:
        return future.result()
    except distributed.KilledWorker:
        return describe_loss(work)
    except distributed.CancelledError as error:
        raise InputError(
            "The Dask scheduler no longer answers; start it and run the same command again, which goes on."
        ) from error
    except Exception as error:
        return describe_misfit(work, error)


def _import() -> Any:
    return import_engine("distributed", "dask")
