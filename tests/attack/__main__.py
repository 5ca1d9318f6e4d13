"""The long attack: `python tests/attack`, or `make attack`, prints a table in Markdown after about an hour.

Every writing command is killed at its writing calls, at moments and, where `strace` is installed, at system
calls; spoilt files go to every reader and every command; run directories are altered value by value. Exit
status 1 if anything went wrong; what it was is printed as it happens.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from kills import SCENARIOS

HERE = Path(__file__).parent
KEPT = HERE.parent / "kept_runs"
TRACED = ("construct", "edit", "edit what was edited", "forget")
"""Scenarios that start quickly enough to be killed often in processes of their own."""


def kill(count: int, names: Sequence[str], *options: str) -> Iterator[tuple[str, int, int]]:
    """What was attacked, how often and how often wrongly: the lines that `kills.py` ends a scenario with.

    The scenarios are dealt to as many processes as there are cores.
    """
    hands = [names[start :: os.cpu_count() or 1] for start in range(os.cpu_count() or 1)]
    program = [sys.executable, str(HERE / "kills.py"), "--kills", str(count), *options]
    attacks = [
        subprocess.Popen([*program, *hand], stdout=subprocess.PIPE, text=True) for hand in hands if hand
    ]
    for attack in attacks:
        assert attack.stdout is not None
        for line in attack.stdout:
            name, _, rest = line.partition(": ")
            words = rest.split()
            if len(words) == 6 and words[1] == "kills," and words[3] == "wrong,":
                yield name, int(words[0]), int(words[2])
            else:
                print(line, end="", file=sys.stderr, flush=True)
        attack.wait()


def spoil_files(count: int, *, by_command: bool) -> tuple[int, int]:
    """How many spoilt files were read or refused, and how many ended in anything else."""
    from mutations import Broken, attack

    wrong, size = 0, 100
    for seed in range(count // size):
        folder = Path(tempfile.mkdtemp(prefix="geomem-attack-"))
        try:
            attack(size, 1000 + seed, folder, by_command=by_command)
        except Broken as error:
            wrong += 1
            print(f"{error}: {error.__cause__!r}", file=sys.stderr, flush=True)
            continue
        shutil.rmtree(folder)
    return count // size * size, wrong


def alter_runs(count: int) -> tuple[int, int]:
    """How many altered run directories were given to a command, and how many did not end in one sentence."""
    from hostile_runs import (
        ARRAY_CHANGES,
        METRIC_CHANGES,
        WRONG,
        places,
        put,
        rewrite,
        with_arrays,
        with_metrics,
    )
    from test_hostile_runs import VERBS

    from geomem.cli import main

    changes: list[tuple[str, str, Callable[[Path], None]]] = []
    for kind in VERBS:
        for name in ("manifest.json", "world.json", "facts.json"):
            if (KEPT / kind / name).exists():
                for keys in places(json.loads((KEPT / kind / name).read_text())):
                    for value in WRONG:

                        def alter(path: Path, keys=keys, value=value, name=name) -> None:
                            rewrite(path, lambda content: put(content, keys, value), name)

                        changes.append((kind, f"{name} {keys} {value!r:.40}", alter))
        for what, change in METRIC_CHANGES.items():
            changes.append((kind, what, lambda path, change=change: with_metrics(path, change)))
        for what, change in ARRAY_CHANGES.items():
            for name in ("weights.safetensors", "snapshots.safetensors"):
                if (KEPT / kind / name).exists():
                    changes.append((kind, what, lambda path, c=change, name=name: with_arrays(path, name, c)))
    random.Random(0).shuffle(changes)
    wrong = 0
    for kind, what, change in changes[:count]:
        with tempfile.TemporaryDirectory(prefix="geomem-attack-") as folder:
            path = Path(folder) / "run"
            shutil.copytree(KEPT / kind, path)
            change(path)
            said = io.StringIO()
            try:
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    status = main([part.replace("{path}", str(path)) for part in VERBS[kind]])
            except Exception as error:
                status = repr(error)
            if status not in (0, 1, 2) or "Traceback" in said.getvalue() or "\x1b" in said.getvalue():
                wrong += 1
                print(f"{kind}, {what}: {status}\n{said.getvalue()[-600:]}", file=sys.stderr, flush=True)
    return min(count, len(changes)), wrong


def main() -> int:
    """Attack, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=160, help="of each of twelve commands")
    parser.add_argument("--system-calls", type=int, default=60, help="kills of each of four at these")
    parser.add_argument("--files", type=int, default=10_000, help="spoilt files")
    parser.add_argument("--commands", type=int, default=1000, help="spoilt files given to commands")
    parser.add_argument("--runs", type=int, default=3000, help="altered run directories")
    options = parser.parse_args()
    began = time.monotonic()
    names = [scenario.name for scenario in SCENARIOS] if options.kills else []
    rows: list[tuple[str, int, int]] = []
    rows.append(("spoilt files, by the readers", *spoil_files(options.files, by_command=False)))
    rows.append(("spoilt files, by commands", *spoil_files(options.commands, by_command=True)))
    rows.append(("altered run directories", *alter_runs(options.runs)))
    rows += [(f"`{name}` killed", count, wrong) for name, count, wrong in kill(options.kills, names)]
    if shutil.which("strace") and options.system_calls:
        traced = kill(options.system_calls, TRACED, "--system-calls")
        rows += [(f"`{name}` killed at system calls", count, wrong) for name, count, wrong in traced]
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    day = datetime.now(UTC).date().isoformat()
    print(f"{day}, {machine}, {(time.monotonic() - began) / 60:.0f} minutes\n")
    print("| attack | times | wrong |\n|---|---|---|")
    for what, times, wrong in [*rows, ("all", sum(row[1] for row in rows), sum(row[2] for row in rows))]:
        print(f"| {what} | {times:,} | {wrong} |")
    return 1 if any(wrong for _, _, wrong in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
