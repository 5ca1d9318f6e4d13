"""Finished fleets as one HTML page that needs nothing else: no network, no server, no other file."""

from geomem.report.page import write_report

__all__ = ["write_report"]
