"""Engines: what works on the fleets of a sweep, processes of this machine or a cluster."""

from geomem.sweep.engines.dask import Dask
from geomem.sweep.engines.processes import Processes
from geomem.sweep.engines.ray import Ray
from geomem.sweep.engines.slurm import Slurm
from geomem.sweep.engines.work import Engine, Outcome, Work

__all__ = ["Dask", "Engine", "Outcome", "Processes", "Ray", "Slurm", "Work"]
