"""Sweeps: grids of configurations (`grid`), trained and kept (`running`), measured (`measured`)."""

from geomem.sweep.measured import MEASUREMENTS, is_memorized
from geomem.sweep.parts import SweepProgress
from geomem.sweep.running import Sweep, sweep

__all__ = ["MEASUREMENTS", "Sweep", "SweepProgress", "is_memorized", "sweep"]
