"""Finished fleets and memories as one HTML page that needs nothing else: no network, no server, no file."""

from geomem.report.memories import write_memory_report
from geomem.report.page import write_report

__all__ = ["write_memory_report", "write_report"]
