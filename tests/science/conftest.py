"""A table of what the science tests measured, printed after the run: fraction of seeds, mean and range."""

import os

import numpy as np
import pytest


@pytest.fixture(scope="session")
def runs_directory(tmp_path_factory):
    """Where fleets are kept for the whole test run, whichever process trains them."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny-graph-runs"


@pytest.fixture
def report(request):
    """Note a measured quantity: `report(name, values, holds)`, with `holds` per seed."""

    def note(name: str, values, holds=None) -> None:
        values = np.atleast_1d(np.asarray(values, dtype=float))
        held = "" if holds is None else f"{int(np.sum(holds))} of {np.size(holds)} seeds"
        measured = f"mean {np.nanmean(values):.4g}, {np.nanmin(values):.4g} to {np.nanmax(values):.4g}"
        # Properties of a report also reach the summary from a worker process.
        request.node.user_properties.append(("measured", (f"{request.node.name}  {name}", measured, held)))

    return note


def pytest_terminal_summary(terminalreporter):
    """Print the collected table."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call"
    ]
    rows = [value for report in reports for key, value in report.user_properties if key == "measured"]
    if not rows:
        return
    terminalreporter.section("what was measured (arXiv 2510.26745, tiny graphs)")
    width = max(len(row[0]) for row in rows)
    for name, measured, held in rows:
        terminalreporter.write_line(f"{name:<{width}}  {measured:<44}  {held}")
