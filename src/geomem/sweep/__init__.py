"""Sweeps: grids of configurations (`grid`), trained and kept (`running`), measured (`measured`)."""

from geomem.sweep.measured import MEASUREMENTS, is_memorized
from geomem.sweep.running import Sweep, SweepProgress, sweep

__all__ = ["MEASUREMENTS", "Sweep", "SweepProgress", "is_memorized", "sweep"]
