"""Options that say what works on the fleets: processes of this machine, or a cluster."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from geomem.errors import InputError

if TYPE_CHECKING:
    from geomem.sweep.engines import Engine

MEANT_FOR = {
    "address": ("ray", "dask"),
    "partition": ("slurm",),
    "job_minutes": ("slurm",),
    "jobs": ("slurm",),
}
"""The engines that each option is about."""


@dataclass(frozen=True)
class EngineOptions:
    """What works on the fleets: --processes of this machine, or a cluster that shares the directory."""

    engine: Literal["processes", "ray", "dask", "slurm"] = "processes"
    """Processes of this machine, or a cluster; each but the first is an extra, as in geomem[ray]."""
    address: str = ""
    """Where the Ray or Dask cluster answers, as in 10.0.0.1:6379 or tcp://10.0.0.1:8786; on a node of Ray
    also auto."""
    partition: str = ""
    """Slurm: the partition; its default if not given."""
    job_minutes: int = 60
    """Slurm: the time limit of a job, which gets fleets for half of it."""
    jobs: int = 32
    """Slurm: jobs at a time, at most."""

    def chosen(self) -> "Engine | None":
        """The engine that is meant; None for processes, of which other options say how many.

        Raises `InputError` for an option that another engine has, and where an address lacks.

        >>> EngineOptions(engine="ray").chosen()
        Traceback (most recent call last):
        geomem.errors.InputError: The engine ray needs the cluster's --address.
        """
        from geomem.sweep.engines import Dask, Ray, Slurm

        for entry in fields(self):
            meant = MEANT_FOR.get(entry.name, (self.engine,))
            if self.engine not in meant and getattr(self, entry.name) != entry.default:
                option, others = "--" + entry.name.replace("_", "-"), " or ".join(meant)
                raise InputError(f"{option} is about --engine {others}, not {self.engine}; leave it out.")
        match self.engine:
            case "processes":
                return None
            case "slurm":
                return Slurm(self.partition, self.job_minutes, self.jobs)
        if not self.address:
            raise InputError(f"The engine {self.engine} needs the cluster's --address.")
        return Ray(self.address) if self.engine == "ray" else Dask(self.address)
