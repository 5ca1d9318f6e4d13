"""How long a person waits for `geomem --help`."""

import statistics
import subprocess
import sys
import time

from benchmarks.row import Row

REPEATS = 7


def median_seconds(code: str) -> float:
    """Median wall-clock time of a new Python process that runs `code`."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def rows() -> list[Row]:
    """Time the help text, and check that torch was not imported for it."""
    help_text = "import sys; sys.argv = ['geomem', '--help']; from geomem.cli import main; main()"
    ours, theirs = median_seconds(help_text), median_seconds("import torch")
    modules = (
        "import atexit, sys; sys.argv = ['geomem', '--help'];"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr));"
        "from geomem.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", modules], check=True, capture_output=True, text=True)
    imported = done.stderr.strip().endswith("True")
    return [
        Row(
            what=f"geomem --help, torch {'' if imported else 'not '}imported; theirs: import torch alone",
            ours=f"{ours:.2f} s",
            theirs=f"{theirs:.2f} s",
            ratio=theirs / ours,
            required="below 0.5 s, no torch",
            holds=ours < 0.5 and not imported,
        )
    ]
