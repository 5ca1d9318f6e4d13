"""Kill every writing command, at writing calls, system calls and moments; see that nothing is lost or stuck.

`python tests/attack/kills.py --kills 20` tries to kill every command so often and prints a line for each.
After each kill

1. whoever reads (`ask`, `measure`) gets one sentence or an answer, the former or the new one;
2. the same command again ends with 0;
3. what then lies there is what one uninterrupted command leaves: the same names, the same bytes but times;
4. nothing beside the named places has changed, and no process of the command is left.

Commands run in forks of this process, which has imported everything and computed nothing.
"""

import argparse
import gc
import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scenarios import FACTS, SCENARIOS, Scenario

os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "COLUMNS": "200"}

PATIENCE = 300
"""Seconds after which a command counts as stuck; a busy machine may be slow."""

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

SYSTEM_CALLS = (
    "write,pwrite64,writev,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate,fsync,"
    "fdatasync,link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,flock"
)
"""What changes a disk, and locks, as Linux has it."""

VOLATILE = {"started", "seconds", "first_step", "threads", "git", "time", "written"}
"""Keys of manifests that two equal runs may have differently."""

BY_NAME_ALONE = (".html", ".pdf", "DONE")
"""Files that hold times, or digests of files that do: that they are there is compared, not their bytes."""

IMPORTED_LATE = (
    "tyro._backends._tyro_backend",
    "tyro.constructors._struct_spec_attrs",
    "typeguard",
    "torch.fx.experimental.symbolic_shapes",
    "fontTools.subset",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "polars._utils.parquet",
)
"""What libraries import when they are used."""


@dataclass(frozen=True)
class Kill:
    """When a command dies by SIGKILL: just before a call, counted from 1 on, or after so many seconds."""

    call: int = 0
    """A writing call, as Python tells of it."""
    system_call: str = ""
    """One of the `SYSTEM_CALLS` of its main thread, through `strace`: a name, then its number among those of
    this name, as `strace` counts."""
    seconds: float = 0.0

    def __str__(self) -> str:
        """When it is, for people."""
        if self.seconds:
            return f"after {self.seconds:.3f} s"
        return f"before writing call {self.call}" if self.call else f"before {self.system_call}"


NEVER = Kill()


@dataclass(frozen=True)
class Ending:
    """How a command ended, and what it said."""

    status: int
    """-9 if it was killed as it should be."""
    text: str
    seconds: float
    calls: int
    """How many writing calls it made; 0 if it was killed."""
    system_calls: tuple[str, ...] = ()
    """Those that were traced, each as `Kill` names it."""


def run_forked(command: str, place: Path, kill: Kill = NEVER, *, traced: bool = False) -> Ending:
    """Run a command in a fork, under `strace` if `traced`, and kill it."""
    said, counted, log = (place.parent / name for name in ("said.txt", "calls.txt", "log.txt"))
    given = [_find_run(place) if argument == "RUN" else argument for argument in shlex.split(command)]
    for path in (counted, said):  # what workers of a killed command still say is not this command's
        path.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _run_here(given, place, said, counted, kill.call, waiting=traced)
    tracer = _trace(child, log, kill.system_call) if traced else None
    began = time.monotonic()
    ended, status, stuck = 0, 0, False
    while not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        passed = time.monotonic() - began
        if not ended and not stuck and (passed > PATIENCE or 0 < kill.seconds < passed):
            os.kill(child, signal.SIGKILL)
            stuck = passed > PATIENCE
        if not ended:
            time.sleep(0.002)
    passed = time.monotonic() - began
    calls = int(counted.read_text()) if counted.exists() else 0
    text = said.read_text(errors="replace") if said.exists() else ""
    code = -1000 if stuck else os.waitstatus_to_exitcode(status)
    if not tracer:
        return Ending(code, text, passed, calls)
    tracer.wait()
    return Ending(code, text, passed, calls, tuple(_number_names(log.read_text())))


def _number_names(log: str) -> Iterator[str]:
    """The system calls of a log of `strace`: the name of each, and how many there were of it so far.

    >>> list(_number_names('mkdir("a")\nunlink("b")\nmkdir("c")\n'))
    ['mkdir 1', 'unlink 1', 'mkdir 2']
    """
    seen: Counter[str] = Counter()
    for line in log.splitlines():
        name = line.partition("(")[0]
        if name.isidentifier():
            seen[name] += 1
            yield f"{name} {seen[name]}"


def _trace(child: int, log: Path, kill_at: str) -> "subprocess.Popen[bytes]":
    """Attach `strace` to a child that has stopped itself, and let it go on."""
    os.waitpid(child, os.WUNTRACED)
    asked = ["-e", f"trace={SYSTEM_CALLS}", "-e", "signal=none"]
    if kill_at:
        name, _, number = kill_at.partition(" ")
        asked += ["-e", f"inject={name}:signal=KILL:when={number}"]
    tracer = subprocess.Popen(["strace", "-qqq", "-o", str(log), *asked, "-p", str(child)])
    while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text():
        if tracer.poll() is not None:
            os.kill(child, signal.SIGKILL)
            raise RuntimeError(f"strace ended with {tracer.returncode}")
        time.sleep(0.002)
    os.kill(child, signal.SIGCONT)
    return tracer


def _run_here(
    arguments: list[str], place: Path, said: Path, counted: Path, kill_at: int, *, waiting: bool
) -> None:
    """The child: never returns."""
    code = 70
    try:
        os.setsid()
        os.chdir(place)
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ["GEOMEM_ATTACK"] = str(place)
        if waiting:
            os.kill(os.getpid(), signal.SIGSTOP)
        calls = watch_writes(kill_at)
        from geomem.cli import main

        code = main(arguments)
        counted.write_text(str(calls()))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 71
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def watch_writes(kill_at: int) -> Callable[[], int]:
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


def _find_run(place: Path) -> str:
    """The run directory that is there, finished or not."""
    found = sorted(path for path in (place / "runs").glob("*-????????????") if path.is_dir())
    return str(found[0].relative_to(place)) if found else "runs/none"


def describe(place: Path) -> dict[str, str]:
    """Every file by its path, with a digest of what does not change with the time."""
    tree = {}
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        if path.is_dir() and not path.is_symlink():
            tree[name + "/"] = ""
        elif path.name.endswith(BY_NAME_ALONE):
            tree[name] = "there"
        elif path.suffix == ".json":
            tree[name] = json.dumps(_lasting(json.loads(path.read_text())), sort_keys=True)
        else:
            tree[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return tree


def _lasting(content: object) -> object:
    if isinstance(content, dict):
        return {key: _lasting(value) for key, value in content.items() if key not in VOLATILE}
    return [_lasting(entry) for entry in content] if isinstance(content, list) else content


def living(place: Path) -> list[int]:
    """Processes of a command in this place that are left, other than this one."""
    marker, found = f"GEOMEM_ATTACK={place}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def prepare(scenario: Scenario, place: Path) -> None:
    """Everything that is there before the command."""
    place.mkdir()
    (place / "facts.tsv").write_text(FACTS)
    (place / "mine.txt").write_text("precious\n")
    for command in scenario.before:
        ending = run_forked(command, place)
        if ending.status != 0:
            raise RuntimeError(f"{command} ended with {ending.status}:\n{ending.text}")


def attack(scenario: Scenario, count: int, traced: bool, start: int = 0, step: int = 1) -> tuple[int, int]:
    """Try to kill a scenario's command so often; how often it died, and how many things were wrong.

    Half of the kills are at writing calls and half at moments; if `traced`, all at system calls. Of these are
    made every `step`-th from `start` on. Prints what was wrong. This process must have computed nothing.
    """
    import_everything()
    killed = wrong = 0
    with tempfile.TemporaryDirectory(prefix="geomem-attack-") as folder:
        before, whole = Path(folder) / "before", Path(folder) / "whole"
        prepare(scenario, before)
        shutil.copytree(before, whole, symlinks=True)
        first = run_forked(scenario.command, whole, traced=traced)
        if first.status not in scenario.status:
            print(
                f"{scenario.name}, not killed at all, ended with {first.status}\n{first.text}",
                file=sys.stderr,
            )
            return 0, 1
        expected, seconds = describe(whole), first.seconds
        chance = random.Random(f"{scenario.name} {start}")
        for number in range(start, count, step):
            if traced:
                kill = Kill(system_call=first.system_calls[number * len(first.system_calls) // count])
            elif number // step % 2:
                kill = Kill(seconds=chance.random() * seconds)
            else:
                kill = Kill(call=1 + number * first.calls // count)
            place = Path(folder) / "place"
            shutil.copytree(before, place, symlinks=True)
            ending = run_forked(scenario.command, place, kill, traced=traced)
            if ending.status == -signal.SIGKILL:
                killed += 1
            else:
                seconds = min(seconds, ending.seconds)
            for one in _look(scenario, place, expected, ending):
                wrong += 1
                print(f"{scenario.name}, killed {kill}: {one}", file=sys.stderr, flush=True)
            shutil.rmtree(place)
    return killed, wrong


def _look(scenario: Scenario, place: Path, expected: dict[str, str], ending: Ending) -> list[str]:
    """What is wrong after a kill."""
    wrong = []
    if "Traceback" in ending.text:
        wrong.append(f"a traceback of the killed command\n{ending.text}")
    for number, command in enumerate(scenario.reads):
        read = run_forked(command, place)
        if read.status not in (0, 1, 2) or "Traceback" in read.text:
            wrong.append(f"{command} ended with {read.status}\n{read.text}")
        elif number == 0 and read.status < 2 and scenario.answers:
            if not any(answer in read.text for answer in scenario.answers):
                wrong.append(f"{command} says neither of {scenario.answers}\n{read.text}")
        elif number == 0 and scenario.before and scenario.answers:
            wrong.append(f"{command} cannot read what was whole before\n{read.text}")
    again = run_forked(scenario.command, place)
    if again.status not in scenario.status or "Traceback" in again.text:
        wrong.append(f"the same command again ended with {again.status}\n{again.text}")
    there = describe(place)
    for name in sorted(expected.keys() | there.keys()):
        if expected.get(name) != there.get(name):
            state = "is left" if name not in expected else "is missing" if name not in there else "differs"
            wrong.append(f"{name} {state}")
    deadline = time.monotonic() + 20
    while (left := living(place)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        wrong.append(f"{len(left)} processes are left")
        for process in left:
            os.kill(process, signal.SIGKILL)
    return wrong


def import_everything() -> None:
    """What the forks would import each for itself; nothing is computed, for threads do not outlive a fork."""
    import importlib
    import pkgutil

    import geomem

    found = pkgutil.walk_packages(geomem.__path__, "geomem.")
    for name in [*(module.name for module in found if not module.name.endswith("__main__")), *IMPORTED_LATE]:
        with suppress(ModuleNotFoundError):  # triton, which comes with CUDA
            importlib.import_module(name)
    gc.freeze()  # or every fork would look at all of it, and so copy it, when it collects garbage


def main() -> int:
    """Attack the scenarios and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20, help="kills of every command")
    parser.add_argument("--system-calls", action="store_true", help="at system calls, through strace")
    parser.add_argument("names", nargs="*", metavar="NAME[=KILLS]", help="scenarios; all if none is given")
    options = parser.parse_args()
    wanted = dict(name.partition("=")[::2] for name in options.names)
    total = 0
    for scenario in SCENARIOS:
        if wanted and scenario.name not in wanted:
            continue
        began = time.monotonic()
        kills = int(wanted.get(scenario.name) or options.kills)
        killed, wrong = attack(scenario, kills, options.system_calls)
        total += wrong
        seconds = time.monotonic() - began
        print(f"{scenario.name}: {killed} killed, {wrong} wrong, {seconds:.0f} s", flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
