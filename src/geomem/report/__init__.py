"""Fleets, memories and audits, each as one HTML page that needs nothing else: no network, no server."""

from geomem.report.audit import write_audit
from geomem.report.memories import write_memory_report
from geomem.report.page import write_report

__all__ = ["write_audit", "write_memory_report", "write_report"]
