"""The long attack: `python tests/attack`, or `make attack`, prints a table in Markdown after about an hour.

Every writing command is killed at its writing calls, at moments and, where `strace` is installed, at system
calls; spoilt files go to every reader and every command; run directories are altered value by value. Every
row is printed when it is known. Exit status 1 if anything went wrong; what it was is printed as it happens.
"""

import argparse
import multiprocessing
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime

from inputs import alter_runs, spoil_files
from kills import SCENARIOS, attack


def main() -> int:
    """Attack, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=165, help="of a command; fewer of those that take long")
    parser.add_argument("--system-calls", type=int, default=24, help="kills of a command at these")
    parser.add_argument("--files", type=int, default=10_000, help="spoilt files")
    parser.add_argument("--commands", type=int, default=1000, help="spoilt files given to commands")
    parser.add_argument("--runs", type=int, default=3000, help="altered run directories")
    options = parser.parse_args()
    began = time.monotonic()
    jobs: list[tuple[str, Callable[..., tuple[int, int]], tuple]] = [
        ("spoilt files, by the readers", spoil_files, (options.files, False)),
        ("spoilt files, by commands", spoil_files, (options.commands, True)),
        ("altered run directories", alter_runs, (options.runs,)),
    ]
    for scenario in sorted(SCENARIOS, key=lambda scenario: scenario.share):  # what takes long begins first
        count = round(scenario.share * options.kills)
        jobs.append((f"`{scenario.name}` killed", attack, (scenario, count, False)))
        if shutil.which("strace"):
            traced = (scenario, options.system_calls, True)
            jobs.append((f"`{scenario.name}` killed at system calls", attack, traced))
    print(f"{_today()}, Python {platform.python_version()}, {platform.system()} {platform.machine()}\n")
    print("| attack | times | wrong |\n|---|---|---|", flush=True)
    rows: list[tuple[int, int]] = []
    # A fresh process for each: a fork must not follow a computation, whose threads it would lack.
    with ProcessPoolExecutor(
        os.cpu_count(), multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as hands:
        started = {hands.submit(function, *given): what for what, function, given in jobs}
        for done in as_completed(started):
            rows.append(done.result())
            print(f"| {started[done]} | {rows[-1][0]:,} | {rows[-1][1]} |", flush=True)
    times, wrong = (sum(column) for column in zip(*rows, strict=True))
    print(
        f"| all | {times:,} | {wrong} |\n\nAfter {(time.monotonic() - began) / 60:.0f} minutes, {_today()}."
    )
    return 1 if wrong else 0


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    sys.exit(main())
