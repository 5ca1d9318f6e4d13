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
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime

from inputs import alter_runs, spoil_files
from kills import attack
from scenarios import SCENARIOS

Job = tuple[str, Callable[..., tuple[int, int]], tuple]
"""What is attacked, and a function of a module with its arguments: how often, and how often wrongly."""


def main() -> int:
    """Attack, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=220, help="of the quickest commands")
    parser.add_argument("--system-calls", type=int, default=24, help="kills of every command at these")
    parser.add_argument("--files", type=int, default=10_000, help="spoilt files")
    parser.add_argument("--commands", type=int, default=1000, help="spoilt files given to commands")
    parser.add_argument("--runs", type=int, default=3000, help="altered run directories")
    options = parser.parse_args()
    began = time.monotonic()
    print(f"{_today()}, Python {platform.python_version()}, {platform.system()} {platform.machine()}\n")
    print("| attack | times | wrong |\n|---|---|---|", flush=True)
    counted: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    left: Counter[str] = Counter()
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        for jobs in (_inputs(options), _kills(options)):
            left = Counter(job[0] for job in jobs)
            for what, times, mistakes in _work(jobs):
                counted[what] += times
                wrong[what] += mistakes
                left[what] -= 1
                if not left[what]:
                    print(f"| {what} | {counted[what]:,} | {wrong[what]} |", flush=True)
    except KeyboardInterrupt:
        print("cut; what was done of the rest:")
        for what in (what for what in counted if left[what]):
            print(f"| {what} | {counted[what]:,} | {wrong[what]} |")
    minutes = (time.monotonic() - began) / 60
    print(f"| all | {counted.total():,} | {wrong.total()} |\n\nAfter {minutes:.0f} minutes, {_today()}.")
    return 1 if wrong.total() else 0


def _inputs(options: argparse.Namespace) -> list[Job]:
    return [
        ("spoilt files, by the readers", spoil_files, (options.files, False)),
        ("spoilt files, by commands", spoil_files, (options.commands, True)),
        ("altered run directories", alter_runs, (options.runs,)),
    ]


def _kills(options: argparse.Namespace) -> list[Job]:
    """Every scenario in parts of some twenty kills, those of quick commands first."""
    parts: list[tuple[tuple[float, int], Job]] = []
    for scenario in SCENARIOS:
        count = max(1, round(scenario.share * options.kills))
        plans = [(f"`{scenario.name}` killed", count, False)]
        if shutil.which("strace"):
            plans.append((f"`{scenario.name}` killed at system calls", options.system_calls, True))
        for what, count, traced in plans:
            step = -(-count // 20)
            parts += [
                ((-scenario.share, start), (what, attack, (scenario, count, traced, start, step)))
                for start in range(step)
            ]
    return [job for _, job in sorted(parts, key=lambda part: part[0])]


def _work(jobs: list[Job]) -> Iterator[tuple[str, int, int]]:
    """Do what is to be done in as many fresh processes as there are cores; what each gave, as it ends."""
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as hands:
        started = {hands.submit(function, *given): what for what, function, given in jobs}
        try:
            for done in as_completed(started):
                yield started[done], *done.result()
        except (KeyboardInterrupt, GeneratorExit):
            hands.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    sys.exit(main())
