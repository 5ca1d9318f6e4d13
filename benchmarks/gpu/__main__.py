"""Measure geomem on one card, in eight minutes at most: `python -m benchmarks.gpu`.

Every row has a limit of time; one that fails is written down as failed. `results.json` and `results.md`
beside this file are written after every row. The same command on the same card and code goes on: it leaves
what is measured, and does what failed, was cut or was not reached. Without a card it says so, with status 0.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from benchmarks.gpu.rows import ROOT, ROWS, RUNS
from geomem.files import replace_file, text_file, write_json
from geomem.runs.environment import describe_environment, describe_misfit, seen_cards

HERE = Path(__file__).parent
ALL_SECONDS = 480
LEAST_SECONDS = 20
"""What is left for a row, or it is not begun."""

MEASURED, FAILED, CUT, NOT_REACHED = "measured", "failed", "unfinished", "not reached"


def main() -> int:
    """Measure every row that is not measured; 1 if one failed, and 0 where there is no card."""
    if not torch.cuda.is_available():
        misfit = describe_misfit()
        print(f"No CUDA device, so nothing is measured and nothing written{f': {misfit}' if misfit else ''}.")
        return 0
    results = measure_all(describe_card(), HERE)
    print((HERE / "results.md").read_text(encoding="utf-8"))
    return int(any(row["status"] == FAILED for row in results["rows"].values()))


def describe_card() -> dict[str, Any]:
    """What numbers depend on: card, driver, versions, source."""
    environment = describe_environment("cuda")
    seen = seen_cards()
    return {
        "card": environment["device"],
        "memory": torch.cuda.mem_get_info()[1],
        "driver": seen[1] if seen else "",
        "cuda": torch.version.cuda,
        "versions": environment["versions"],
        "git": environment["git"],
        "source": digest_source(),
    }


def digest_source() -> str:
    """A hash of the code that is measured, which tells it from other code where there is no git."""
    files = [*(ROOT / "src" / "geomem").rglob("*.py"), *HERE.glob("*.py")]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def measure_all(
    card: dict[str, Any],
    folder: Path,
    *,
    measure: "Callable[[str, float], dict[str, Any]] | None" = None,
    clock: Callable[[], float] = monotonic,
) -> dict[str, Any]:
    """Measure what is missing in the results of this card and code, and write them down after every row."""
    measure = measure or measure_row
    began, results = clock(), begin(card, folder / "results.json")
    for name, row in ROWS.items():
        former = results["rows"].get(name, {"status": NOT_REACHED})
        left = ALL_SECONDS - (clock() - began)
        if former["status"] == MEASURED:
            continue
        if left < LEAST_SECONDS:
            results["rows"][name] = former
        else:
            print(f"{row.what} ...", file=sys.stderr)
            found = measure(name, min(row.seconds, left))
            spent = former.get("numbers", {}).get("seconds", 0) if former["status"] == CUT else 0
            if "seconds" in found.get("numbers", {}):
                found["numbers"]["seconds"] = round(found["numbers"]["seconds"] + spent, 1)
            results["rows"][name] = found | {"date": datetime.now(UTC).isoformat(timespec="seconds")}
        write_json(folder / "results.json", results)
        replace_file(folder / "results.md", text_file(table(results)))
    return results


def begin(card: dict[str, Any], path: Path) -> dict[str, Any]:
    """The results that are there, if they are of this card and code; else empty ones."""
    if path.exists():
        former = json.loads(path.read_text(encoding="utf-8"))
        if {name: former.get(name) for name in card} == json.loads(json.dumps(card)):
            return former
    # What other code has trained is not this one's.
    shutil.rmtree(path.with_name(RUNS.name), ignore_errors=True)
    return card | {"rows": {}}


def measure_row(name: str, limit: float) -> dict[str, Any]:
    """One row in a process of its own: its status, with its numbers or the reason why there are none."""
    command = [sys.executable, "-m", "benchmarks.gpu.rows", name, f"{limit:.0f}"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"status": FAILED, "why": f"it took more than {limit:.0f} s"}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines()
        return {"status": FAILED, "why": said[-1] if said else f"it ended with status {done.returncode}"}
    numbers = json.loads(lines[-1])
    return {"status": CUT if numbers.pop("unfinished", False) else MEASURED, "numbers": numbers}


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    git = results["git"] or {"commit": "unknown", "changed": False}
    lines = [
        f"{results['card']} ({results['memory'] / 1e9:.0f} GB), driver {results['driver'] or 'unknown'}, "
        f"torch {results['versions']['torch']}, CUDA {results['cuda']}, geomem at "
        f"{git['commit'][:12]}{' with changes' if git['changed'] else ''}.",
        "",
        "| what | status | numbers | measured |",
        "|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        found = results["rows"].get(name, {"status": NOT_REACHED})
        numbers = "; ".join(f"{title}: {number}" for title, number in found.get("numbers", {}).items())
        said = (numbers or found.get("why", "")).replace("|", "&#124;")
        lines.append(f"| {row.what} | {found['status']} | {said} | {found.get('date', '')[:10]} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
