"""A Ray cluster as an engine: plain tasks, one per work."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from geomem.errors import InputError
from geomem.sweep.engines.remote import check_address, describe_misfit, do_sent, import_engine, sent, unusable
from geomem.sweep.engines.work import RESUBMISSIONS, Outcome, Outcomes, Work, describe_loss

AHEAD, LEAST_AHEAD = 4, 32
"""Tasks in Ray's hands for every core, and at least: enough that no core waits and a cluster grows."""

HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
SETTINGS = bytes([4])
"""How gRPC, which Ray speaks, begins (RFC 9113, 3.4), and the kind of frame that answers: whatever listens at
an address, Ray itself would try for minutes."""


@dataclass(frozen=True)
class Ray:
    """A Ray cluster that runs: one core for every work, and one card where the device is one.

    >>> Ray("127.0.0.1:6379").address
    '127.0.0.1:6379'
    """

    address: str
    """HOST:PORT of the head node, ray://HOST:PORT from outside, or auto on a node of the cluster."""

    @contextmanager
    def connected(self, device: str) -> Iterator[int]:
        """Connect, as `Engine.connected` says; a connection that was there before stays."""
        if self.address != "auto":
            check_address(self.address, "Ray cluster", "10.0.0.1:6379", hello=HTTP_2, answer=SETTINGS)
        ray = _import()
        ours = not ray.is_initialized()
        if ours:
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
            except Exception as error:
                raise unusable("Ray cluster", self.address, error) from error
        try:
            found = ray.cluster_resources()
            cards = device != "cpu"
            if cards and not found.get("GPU"):
                raise InputError(f"No node of the Ray cluster at {self.address} has a card; give device cpu.")
            yield max(1, int(found.get("GPU" if cards else "CPU", 1)))
        finally:
            if ours:
                ray.shutdown()

    def run(self, works: Sequence[Work]) -> Outcomes:
        """Do works, as `Engine.run` says."""
        ray = _import()
        waiting, lost = deque(works), Counter[Any]()
        ahead = max(LEAST_AHEAD, AHEAD * int(ray.cluster_resources().get("CPU", 1)))
        pending: dict[Any, Work] = {}
        try:
            while waiting or pending:
                while waiting and len(pending) < ahead:
                    work = waiting.popleft()
                    cards = int(work.device != "cpu")
                    # Ended workers are counted here: Ray does not give a task again that a signal ended.
                    task = ray.remote(num_cpus=1, num_gpus=cards, max_retries=0)(do_sent)
                    pending[task.remote(*sent(work))] = work
                ready, _ = ray.wait(list(pending), num_returns=1)
                work = pending.pop(ready[0])
                outcome = _outcome(ready[0], work)
                if outcome.status == "lost":
                    lost[work.path] += 1
                    if lost[work.path] <= RESUBMISSIONS:
                        waiting.appendleft(work)
                        continue
                yield outcome
        finally:
            for task in pending:
                with suppress(Exception):
                    ray.cancel(task, force=True)


def _outcome(task: Any, work: Work) -> Outcome:
    ray = _import()
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        return describe_misfit(work, error)
    except ray.exceptions.RayError:
        return describe_loss(work)


def _import() -> Any:
    return import_engine("ray", "ray")
