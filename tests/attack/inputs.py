"""Spoilt files and altered run directories in numbers: how many were given, and how many ended wrongly."""

import contextlib
import io
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from hostile_runs import ARRAY_CHANGES, METRIC_CHANGES, WRONG, places, put, rewrite, with_arrays, with_metrics
from mutations import Broken, attack

from geomem.cli import main

KEPT = Path(__file__).parents[1] / "kept_runs"
VERBS = {
    "edges": ["measure", "{path}"],
    "paths": ["measure", "{path}"],
    "facts": ["ask", "{path}", "s0", "r0"],
    "constructed": ["forget", "{path}", "Italy", "borders", "France"],
}
"""What reads a kept run of each kind."""


def spoil_files(count: int, by_command: bool) -> tuple[int, int]:
    """How many spoilt files were read or refused, and how many ended in anything else."""
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
