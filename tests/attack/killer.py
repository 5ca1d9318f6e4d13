"""Run a geomem command that kills itself at its n-th call that writes: `python killer.py N VERB ARGS...`.

N is a whole number, or several with commas; `{n}` in the arguments stands for each. Every command runs in a
process of its own, forked when geomem is imported, and dies by SIGKILL just before the call. Prints a line
per N: N and the exit status, -9 if it was killed; a command that ends has fewer calls than N. What workers of
its own write does not count.
"""

import os
import signal
import sys
from collections.abc import Callable

WRITING = (
    "os.rename",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
)
"""Audit events of calls that change a directory; `open` is one too where it is for writing."""


def watch_writes(kill_at: int = 0) -> Callable[[], int]:
    """Let this process die just before its `kill_at`-th call that writes, from 1 on; gives their count."""
    calls = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal calls
        if event == "open":
            path, _, flags = arguments
            is_writing = not isinstance(path, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if not is_writing or path == os.devnull:
                return
        elif event not in WRITING:
            return
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return lambda: calls


def run_killed(number: int, arguments: list[str]) -> int:
    """Exit status of a forked process that runs a command and dies at its `number`-th call that writes."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    from geomem.cli import main

    watch_writes(number + 1)
    status = 1
    try:
        status = main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    from importlib import import_module

    import_module(f"geomem.cli.{sys.argv[2]}")
    for one in sys.argv[1].split(","):
        status = run_killed(int(one), [argument.replace("{n}", one) for argument in sys.argv[2:]])
        print(one, status, flush=True)
