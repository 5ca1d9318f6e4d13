"""Engines: what works on the fleets of a sweep, processes of this machine or a cluster."""

from geomem.sweep.engines.processes import Processes
from geomem.sweep.engines.work import Engine, Outcome, Work

__all__ = ["Engine", "Outcome", "Processes", "Work"]
