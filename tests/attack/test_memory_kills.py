"""A memory that is constructed, edited or forgotten survives a kill at every call that writes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from geomem import files
from geomem.cli import main
from geomem.memories.ask import ask
from geomem.memories.construct import construct_memory
from geomem.memories.edit import edit_fact
from geomem.runs.directory import CURRENT, DONE
from geomem.runs.run import FACT_FILES, read_run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX's")

KILLER = Path(__file__).with_name("killer.py")
FACTS = [
    ("Italy", "borders", "France"),
    ("Italy", "borders", "Austria"),
    ("Italy", "capital", "Rome"),
    ("Austria", "capital", "Vienna"),
]
FLAT = {*FACT_FILES, DONE}


def killed(numbers, arguments, folder):
    """Exit status of a command killed at each of some calls, by number."""
    command = [sys.executable, str(KILLER), ",".join(map(str, numbers)), *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = [line.split() for line in ended.stdout.splitlines()]
    return {int(line[0]): int(line[1]) for line in lines if len(line) == 2 and line[0].isdecimal()}


def again(arguments):
    """The exit status of the same command, in a process that has cleared nothing yet."""
    files.remove_leftovers.cache_clear()
    return main(arguments)


CHANGES = {
    "edit": (["edit", "{memory}", "Italy", "capital", "Vienna"], "capital", ("Rome",), ("Vienna",)),
    "forget": (["forget", "{memory}", "Italy", "capital"], "capital", ("Rome",), ()),
    "forget one": (
        ["forget", "{memory}", "Italy", "borders", "Austria"],
        "borders",
        ("France", "Austria"),
        ("France",),
    ),
    "cell": (
        ["edit", "{memory}", "Italy", "borders", "Vienna", "--also"],
        "borders",
        ("France", "Austria"),
        ("France", "Austria", "Vienna"),
    ),
}


@pytest.mark.parametrize(("name", "edited"), [*((name, False) for name in CHANGES), ("edit", True)])
def test_a_killed_change_leaves_the_old_or_the_new_and_is_finished_by_itself(tmp_path, name, edited, capsys):
    arguments, relation, before, after = CHANGES[name]
    memory = construct_memory(FACTS, tmp_path / "memory", several=True)
    if edited:
        edit_fact(memory, "Austria", "capital", "Rome")
    points = [*range(3, 100, 16), 1000]
    for point in points:
        shutil.copytree(tmp_path / "memory", tmp_path / f"killed-{point}")
    status = killed(points, [part.replace("{memory}", "killed-{n}") for part in arguments], tmp_path)
    assert status[3] == -9
    assert status[1000] == 0
    seen = []
    for point in points:
        path = tmp_path / f"killed-{point}"
        found = ask(path, "Italy", relation).answers
        assert found in (before, after)
        seen.append(found == after)
        assert again([part.replace("{memory}", str(path)) for part in arguments]) == 0
        assert ask(path, "Italy", relation).answers == after
        changes = read_run(path).manifest["edits"]
        assert len(changes) == 1 + edited
        assert {entry.name for entry in path.iterdir()} == {CURRENT, f"version-{1 + edited}"}
        assert {entry.name for entry in (path / f"version-{1 + edited}").iterdir()} == FLAT
    assert (seen[0], seen[-1]) == (False, True)
    assert "already; nothing to change" in capsys.readouterr().out
    assert {entry.name for entry in tmp_path.iterdir()} == {"memory", *(f"killed-{n}" for n in points)}


def test_a_killed_construction_leaves_nothing_or_all(tmp_path, capsys):
    (tmp_path / "facts.tsv").write_text("Ada\tlives in\tRome\nBen\tlives in\tParis\n")
    points = [*range(0, 60, 8), 1000]
    for point in points:
        (tmp_path / str(point)).mkdir()
    status = killed(points, ["construct", "facts.tsv", "--out", "{n}/memory"], tmp_path)
    assert (status[0], status[1000]) == (-9, 0)
    for point in points:
        path = tmp_path / str(point) / "memory"
        if path.exists():
            assert ask(path, "Ada", "lives in").answers == ("Rome",)
        assert again(["construct", str(tmp_path / "facts.tsv"), "--out", str(path)]) == 0
        assert [entry.name for entry in path.parent.iterdir()] == ["memory"]
        assert {entry.name for entry in path.iterdir()} == FLAT
