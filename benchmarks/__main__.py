"""Print the speed table: `python -m benchmarks`, or `python -m benchmarks fleet node2vec` for some of it.

Every ratio compares two programs timed in this one process, on one thread, on this machine.
The exit status is 1 if a promise is not kept.
"""

import importlib
import os
import platform
import sys

from rich.console import Console
from rich.table import Table

NAMES = ("startup", "fleet", "recall", "node2vec", "prefixes", "paths", "spectra", "operators", "own_modules")
"""`estimates` and `sweeps` are run when named only: they take minutes and want a quiet machine."""


def main() -> int:
    """Run the named benchmarks and print one table."""
    names = sys.argv[1:] or NAMES
    # Read when numpy and torch are first imported. The models are too small for a second thread to pay.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    console = Console(width=None if sys.stdout.isatty() else 150)
    machine = f"{platform.machine()}, one of {os.cpu_count()} cores, Python {platform.python_version()}"
    table = Table(title=f"Speed on {machine}")
    for column in ("what", "ours", "theirs", "ratio", "required", "holds"):
        table.add_column(column, justify="right" if column == "ratio" else "left")
    kept = True
    for name in names:
        with console.status(f"timing {name}"):
            rows = importlib.import_module(f"benchmarks.{name}").rows()
        for row in rows:
            ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
            verdict = "" if row.holds is None else "yes" if row.holds else "NO"
            table.add_row(row.what, row.ours, row.theirs, ratio, row.required, verdict)
            kept = kept and row.holds is not False
        table.add_section()
    console.print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
