"""What the README shows works: its Python runs, its commands parse, its files exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from geomem.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
SHELL = [
    line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line and line[0] != "#"
]
SHELL += re.findall(r"\| `((?:geomem|make) [^`]*)` \|", README)
GEOMEM = sorted({line for line in SHELL if line.startswith("geomem ")})
MAKE = sorted({line.split()[1] for line in SHELL if line.startswith("make ")})


def test_python_of_the_readme_runs(tmp_path):
    (code,) = [text for kind, text in BLOCKS if kind == "python"]
    assert len([line for line in code.splitlines() if line.strip()]) <= 9
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("command", GEOMEM)
def test_command_of_the_readme_parses(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "borders.tsv").write_text("a\tb\nb\tc\n")
    (tmp_path / "facts.tsv").write_text("a\tis\tb\n")
    words = shlex.split(command, comments=True)
    # With --help after them, the options are parsed and nothing is run.
    with pytest.raises(SystemExit) as ended:
        main([*words[1:], "--help"])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    shown = {option for option in words if option.startswith("--")}
    assert {option for option in shown if option not in printed.out} == set()


def test_there_are_commands_to_check():
    assert len(GEOMEM) >= 8
    assert {"demo", "test"} <= set(MAKE)


@pytest.mark.parametrize("target", MAKE)
def test_make_target_of_the_readme_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_files_the_readme_links_to_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r'(?:src|srcset)="([^"]+)"', README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
