"""Kill every writing command, at its n-th writing call or at a moment, and see that nothing is lost or stuck.

`python tests/attack/kills.py --kills 20` kills every command so often and prints a table. After each kill

1. whoever reads (`ask`, `measure`) gets one sentence or an answer, the former or the new one;
2. the same command again ends with 0;
3. what then lies there is what one uninterrupted command leaves: the same names, the same bytes but times;
4. nothing beside the named places has changed, and no process of the command is left.

Commands run in forks of this process, which has imported everything and computed nothing.
"""

import argparse
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from killer import watch_writes

os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "COLUMNS": "200"}

PATIENCE = 300
"""Seconds after which a command counts as stuck; a busy machine may be slow."""

SYSTEM_CALLS = (
    "write,pwrite64,writev,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate,fsync,"
    "fdatasync,link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,flock"
)
"""What changes a disk, and locks, as Linux has it."""

VOLATILE = {"started", "seconds", "first_step", "threads", "git", "time", "written"}
"""Keys of manifests that two equal runs may have differently."""

BY_NAME_ALONE = (".html", ".pdf", "DONE")
"""Files that hold times, or digests of files that do: that they are there is compared, not their bytes."""

FACTS = "".join(
    f"{person}\t{relation}\t{town}\n"
    for person, home, work in (("Ada", "Rome", "Paris"), ("Ben", "Paris", "Rome"), ("Cem", "Rome", "Rome"))
    for relation, town in (("lives in", home), ("works in", work))
)


@dataclass(frozen=True)
class Scenario:
    """A command that writes, what comes before it once, and what reads beside it."""

    name: str
    command: str
    before: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    """What the first reading command may print; anything if empty. It ends with 1 if there is no answer."""
    status: tuple[int, ...] = (0,)
    """How the uninterrupted command may end."""


STEPS = "--steps 40 --metric-every 10 --seeds 2 --quiet"
GRID = f"sweep cycle --nodes 6 --model associative --over learning-rate=0.01,0.1 --over width=2,3 {STEPS}"
CONSTRUCT = "construct facts.tsv --out memory"
EDIT = "edit memory Ada 'lives in' Paris"
ASK = "ask memory Ada 'lives in'"
SCENARIOS = (
    Scenario(
        "memorize", f"memorize cycle --nodes 6 --model transformer --width 8 {STEPS}", reads=("measure RUN",)
    ),
    Scenario(
        "paths",
        "paths path-star --arms 8 --length 3 --width 8 --layers 1 --epochs 4 --batches 2 --warmup-steps 2",
        reads=("measure RUN",),
    ),
    Scenario("learn", f"learn facts.tsv --width 6 --mlp-width 8 {STEPS}", reads=("ask RUN Ada 'lives in'",)),
    Scenario("construct", CONSTRUCT, reads=(ASK,), answers=("Rome",)),
    Scenario("edit", EDIT, before=(CONSTRUCT,), reads=(ASK, "measure memory"), answers=("Rome", "Paris")),
    Scenario(
        "edit what was edited",
        EDIT,
        before=(CONSTRUCT, "edit memory Ben 'lives in' Rome"),
        reads=(ASK,),
        answers=("Rome", "Paris"),
    ),
    Scenario(
        "forget",
        "forget memory Ada 'lives in'",
        before=(CONSTRUCT,),
        reads=(ASK,),
        answers=("Rome", "no answer"),
    ),
    Scenario("sweep", f"{GRID} --processes 1"),
    Scenario("sweep in two processes", f"{GRID} --processes 2"),
    Scenario(
        "capacity",
        "capacity --subjects 4 --relations 1 --sizes 2 3 --seeds 2 --steps 40 --processes 1 --out c.svg",
    ),
    Scenario(
        "reproduce",
        "reproduce race/associative-two-steps --seeds 1 --processes 1 --json verdicts.json",
        status=(0, 1),
    ),
    Scenario(
        "report",
        "report RUN --out report.html --figures figures",
        before=(f"memorize cycle --nodes 6 --model node2vec {STEPS}",),
    ),
)


@dataclass(frozen=True)
class Ending:
    """How a command ended, and what it said."""

    status: int
    text: str
    calls: int
    seconds: float


def run_forked(command: str, place: Path, *, kill_at: int = 0, after: float = 0.0) -> Ending:
    """Run a command in a fork; kill it before its `kill_at`-th writing call, or `after` so many seconds."""
    said, counted = place.parent / "said.txt", place.parent / "calls.txt"
    given = [_find_run(place) if argument == "RUN" else argument for argument in shlex.split(command)]
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _run_here(given, place, said, counted, kill_at)
    ended, status, killed = 0, 0, False
    while not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        passed = time.monotonic() - began
        if not ended and ((after and passed > after) or passed > PATIENCE) and not killed:
            os.kill(child, signal.SIGKILL)
            killed = True
        if not ended:
            time.sleep(0.002)
    passed = time.monotonic() - began
    calls = int(counted.read_text()) if counted.exists() else 0
    text = said.read_text(errors="replace") if said.exists() else ""
    code = os.waitstatus_to_exitcode(status)
    return Ending(-1000 if killed and not after else code, text, calls, passed)


def _run_here(arguments: list[str], place: Path, said: Path, counted: Path, kill_at: int) -> None:
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


def _find_run(place: Path) -> str:
    """The run directory that is there, finished or not."""
    found = sorted(path for path in (place / "runs").glob("*-????????????") if path.is_dir())
    return str(found[0].relative_to(place)) if found else "runs/none"


def run_traced(command: str, place: Path, trace: Sequence[str]) -> Ending:
    """Run a command in a process of its own under `strace` with these options."""
    said, began = place.parent / "said.txt", time.monotonic()
    program = [sys.executable, "-c", "import sys; from geomem.cli import main; sys.exit(main())"]
    with said.open("w") as out:
        code = subprocess.run(
            ["strace", "-qq", *trace, *program, *shlex.split(command)],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            timeout=PATIENCE,
            env=os.environ | {"GEOMEM_ATTACK": str(place), "PYTHONDONTWRITEBYTECODE": "1"},
        ).returncode
    return Ending(code, said.read_text(errors="replace"), 0, time.monotonic() - began)


def attack_system_calls(scenario: Scenario, kills: int, *, say: Callable[[str], None]) -> list[str]:
    """Kill a scenario's command at so many of the system calls that write; what went wrong."""
    with tempfile.TemporaryDirectory(prefix="geomem-attack-") as folder:
        start, whole, log = Path(folder) / "start", Path(folder) / "whole", Path(folder) / "log.txt"
        prepare(scenario, start)
        shutil.copytree(start, whole, symlinks=True)
        run_traced(scenario.command, whole, ["-o", str(log), "-e", f"trace={SYSTEM_CALLS}"])
        count, expected, wrong = len(log.read_text().splitlines()), describe(whole), []
        for number in range(min(kills, count)):
            at = 1 + number * count // min(kills, count)
            place = Path(folder) / f"place-{number}"
            shutil.copytree(start, place, symlinks=True)
            inject = f"inject={SYSTEM_CALLS}:signal=KILL:when={at}"
            ending = run_traced(
                scenario.command, place, ["-o", os.devnull, "-e", f"trace={SYSTEM_CALLS}", "-e", inject]
            )
            for one in _look(scenario, place, expected, ending):
                wrong.append(f"{scenario.name}, killed at system call {at} of {count}: {one}")
                say(wrong[-1])
            shutil.rmtree(place)
    return wrong


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


def attack(scenario: Scenario, kills: int, chance: random.Random, *, say: Callable[[str], None]) -> list[str]:
    """Kill a scenario's command so often, half at writing calls and half at moments; what went wrong."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="geomem-attack-") as folder:
        start, whole = Path(folder) / "start", Path(folder) / "whole"
        prepare(scenario, start)
        shutil.copytree(start, whole, symlinks=True)
        first = run_forked(scenario.command, whole)
        if first.status not in scenario.status:
            say(f"{scenario.name}, not killed at all, ended with {first.status}\n{first.text}")
            return [f"uninterrupted: {first.status}"]
        expected = describe(whole)
        for number in range(kills):
            place = Path(folder) / f"place-{number}"
            shutil.copytree(start, place, symlinks=True)
            if number % 2 == 0:
                at = (
                    1 + (number // 2 * 7919) % first.calls
                    if kills < 2 * first.calls
                    else 1 + number // 2 % first.calls
                )
                what = f"{scenario.name}, killed at writing call {at} of {first.calls}"
                ending = run_forked(scenario.command, place, kill_at=at)
            else:
                after = chance.random() * first.seconds * 1.1
                what = f"{scenario.name}, killed after {after:.3f} s of {first.seconds:.3f}"
                ending = run_forked(scenario.command, place, after=after)
            found = _look(scenario, place, expected, ending)
            wrong += [f"{what}: {one}" for one in found]
            for one in found:
                say(f"{what}: {one}")
            shutil.rmtree(place)
    return wrong


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

    for module in pkgutil.walk_packages(geomem.__path__, "geomem."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def main() -> int:
    """Attack the scenarios and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20, help="kills of every command")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--system-calls", action="store_true", help="at system calls, through strace")
    parser.add_argument("names", nargs="*", help="scenarios; all if none is given")
    options = parser.parse_args()
    import_everything()
    chosen = [one for one in SCENARIOS if not options.names or one.name in options.names]
    total = 0
    for scenario in chosen:
        began = time.monotonic()
        say = partial(print, flush=True)
        if options.system_calls:
            wrong = attack_system_calls(scenario, options.kills, say=say)
        else:
            chance = random.Random(f"{options.seed} {scenario.name}")
            wrong = attack(scenario, options.kills, chance, say=say)
        total += len(wrong)
        seconds = time.monotonic() - began
        print(f"{scenario.name}: {options.kills} kills, {len(wrong)} wrong, {seconds:.0f} s", flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
